//! Attempts and deliveries as they are told.

use serde_json::{Value, json};

use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::wait::until;

use crate::api::shop::{Shop, id};

/// The attempts at a path, newest first, once there are as many.
async fn attempts(shop: &Shop, path: &str, count: usize) -> Vec<Value> {
    let found = until("the attempts", async || {
        let list = shop.get(path).await;
        let rows = list["data"].as_array().unwrap().clone();
        Ok((rows.len() >= count).then_some(rows))
    });
    found.await.unwrap()
}

#[tokio::test]
async fn attempts_tell_what_happened() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let hook = FakeEndpoint::plain([500]).await.unwrap();
    let endpoint = shop.endpoint(&app, &hook.url()).await;
    let message = shop.message(&app, r#"{"a": 1}"#).await;
    let by_message = format!("/app/{app}/attempt/msg/{message}");
    let attempt = attempts(&shop, &by_message, 1).await.remove(0);
    let expect = json!({
        "id": attempt["id"], "msgId": message, "endpointId": endpoint, "url": hook.url(),
        "timestamp": "2026-11-23T08:20:00.000Z", "status": 2, "statusText": "fail",
        "responseStatusCode": 500, "response": attempt["response"], "responseDurationMs": attempt["responseDurationMs"],
        "triggerType": 0, "attemptNumber": 1, "outcome": "retry", "reason": attempt["reason"],
        "connection": {"remoteIp": "127.0.0.1", "httpVersion": "HTTP/1.1"},
    });
    let mut expect = expect;
    if attempt.get("reason").is_none() {
        expect.as_object_mut().unwrap().remove("reason");
    }
    assert_eq!(attempt, expect);
    let one = format!("/app/{app}/msg/{message}/attempt/{}", id(&attempt));
    assert_eq!(shop.get(&one).await, attempt);

    let by_endpoint = format!("/app/{app}/attempt/endpoint/{endpoint}");
    let count = async |path: &str, query: &str| {
        let list = shop.get(&format!("{path}?{query}")).await;
        list["data"].as_array().unwrap().len()
    };
    for path in [&by_message, &by_endpoint] {
        for (query, expect) in [
            ("", 1),
            ("status=2", 1),
            ("status=0", 0),
            ("status=1", 0),
            ("status=3", 0),
            ("status_code_class=500", 1),
            ("status_code_class=200", 0),
            ("status_code_class=0", 0),
            ("event_types=invoice.paid", 1),
            ("event_types=other", 0),
            ("channel=c", 0),
            ("before=2026-11-23T08:20:00Z", 0),
            ("after=2026-11-23T08:20:00Z", 0),
            ("before=2026-11-23T08:20:01Z&after=2026-11-23T08:19:59Z", 1),
        ] {
            assert_eq!(count(path, query).await, expect, "{path}?{query}");
        }
    }
    assert_eq!(
        count(&by_message, &format!("endpoint_id={endpoint}")).await,
        1
    );
    let other = shop.endpoint(&app, "https://example.com").await;
    assert_eq!(count(&by_message, &format!("endpoint_id={other}")).await, 0);
    let unknown = shop
        .ask("GET", &format!("{by_message}?endpoint_id=nobody"), "")
        .await;
    assert_eq!(unknown.error(404), "not_found");
}

#[tokio::test]
async fn responses_can_be_left_out_and_forgotten() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let endpoint = shop.endpoint(&app, "http://127.0.0.1:1/").await;
    let message = shop.message(&app, "{}").await;
    let list = format!("/app/{app}/attempt/msg/{message}");
    let attempt = attempts(&shop, &list, 1).await.remove(0);
    assert_eq!(
        (&attempt["responseStatusCode"], &attempt["response"]),
        (&json!(0), &json!(""))
    );
    assert_eq!(attempt["outcome"], "unreachable");
    let lean = shop.get(&format!("{list}?with_content=false")).await;
    assert_eq!(
        (&lean["data"][0]["url"], &lean["data"][0]["response"]),
        (&json!("http://127.0.0.1:1/"), &json!(""))
    );

    let one = format!("/app/{app}/msg/{message}/attempt/{}", id(&attempt));
    assert_eq!(
        shop.ask("DELETE", &format!("{one}/content"), "")
            .await
            .status,
        204
    );
    assert_eq!(shop.get(&one).await["response"], "EXPUNGED");
    let nobody = one.replace(&endpoint, "x").replace("atmpt_", "atmpt_0");
    assert_eq!(shop.ask("GET", &nobody, "").await.error(404), "not_found");
}

#[tokio::test]
async fn deliveries_tell_how_they_stand() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let good = FakeEndpoint::plain([200, 200]).await.unwrap();
    let bad = FakeEndpoint::plain([500]).await.unwrap();
    let parking = FakeEndpoint::plain([422]).await.unwrap();
    let good_id = shop.endpoint(&app, &good.url()).await;
    let bad_id = shop.endpoint(&app, &bad.url()).await;
    let body = json!({"url": parking.url(), "parkOn": [422]}).to_string();
    let parking_id = id(&shop.make(&format!("/app/{app}/endpoint"), &body).await);
    let body = r#"{"url": "https://example.com", "disabled": true}"#;
    let off_id = id(&shop.make(&format!("/app/{app}/endpoint"), body).await);
    let message = shop.message(&app, r#"{"a": 1}"#).await;
    attempts(&shop, &format!("/app/{app}/attempt/msg/{message}"), 3).await;

    let rows = attempts(&shop, &format!("/app/{app}/msg/{message}/endpoint"), 4).await;
    let status: Vec<_> = rows
        .iter()
        .map(|row| (id(row), row["status"].clone(), row["statusText"].clone()))
        .collect();
    let expect = [
        (good_id.clone(), json!(0), json!("success")),
        (bad_id.clone(), json!(1), json!("pending")),
        (parking_id.clone(), json!(2), json!("fail")),
        (off_id.clone(), json!(1), json!("pending")),
    ];
    assert_eq!(status, expect);
    // Five seconds, with the jitter of ±20 %.
    let next = rows[1]["nextAttempt"].as_str().unwrap();
    assert!(
        ("2026-11-23T08:20:04.000Z".."2026-11-23T08:20:06.001Z").contains(&next),
        "{next}"
    );
    assert!(rows[0].get("nextAttempt").is_none() && rows[3].get("nextAttempt").is_none());

    let listed = async |endpoint: &str, status: u8| {
        let path = format!("/app/{app}/endpoint/{endpoint}/msg?status={status}");
        shop.get(&path).await["data"].as_array().unwrap().len()
    };
    for (endpoint, expect) in [(&good_id, 0), (&bad_id, 1), (&parking_id, 2), (&off_id, 1)] {
        for status in 0..4 {
            let count = usize::from(status == expect);
            assert_eq!(listed(endpoint, status).await, count, "{endpoint} {status}");
        }
    }
    let rows = shop
        .get(&format!("/app/{app}/endpoint/{good_id}/msg"))
        .await;
    assert_eq!(
        (&rows["data"][0]["id"], &rows["data"][0]["payload"]),
        (&json!(message), &json!({"a": 1}))
    );

    let resend = format!("/app/{app}/msg/{message}/endpoint/{good_id}/resend");
    shop.ask("POST", &resend, "").await.expect(202);
    let again = attempts(&shop, &format!("/app/{app}/attempt/endpoint/{good_id}"), 2).await;
    assert_eq!(
        (&again[0]["triggerType"], &again[0]["status"]),
        (&json!(1), &json!(0))
    );
    let resend = format!("/app/{app}/msg/{message}/endpoint/{off_id}/resend");
    assert_eq!(
        shop.ask("POST", &resend, "").await.error(409),
        "endpoint_disabled"
    );
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_until_it_is_enabled() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let hook = FakeEndpoint::plain([410, 200]).await.unwrap();
    let endpoint = shop.endpoint(&app, &hook.url()).await;
    let path = format!("/app/{app}/endpoint/{endpoint}");
    let message = shop.message(&app, "{}").await;
    let list = format!("/app/{app}/attempt/msg/{message}");
    let gone = attempts(&shop, &list, 1).await.remove(0);
    assert_eq!(
        (&gone["outcome"], &gone["ended"]),
        (&json!("gone"), &json!("gone"))
    );
    assert_eq!(shop.get(&path).await["disabled"], true);

    // A change of something else does not enable it.
    let patched = shop
        .ask("PATCH", &path, r#"{"description": "d"}"#)
        .await
        .expect(200);
    assert_eq!(patched["disabled"], true);
    let held = shop.message(&app, r#"{"n": 2}"#).await;
    let patched = shop
        .ask("PATCH", &path, r#"{"disabled": false}"#)
        .await
        .expect(200);
    assert_eq!(patched["disabled"], false);
    let list = format!("/app/{app}/attempt/msg/{held}");
    assert_eq!(attempts(&shop, &list, 1).await[0]["status"], 0);
}
