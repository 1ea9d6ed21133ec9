//! Test attempts: made once, shown at once, and of no consequence.

use serde_json::{Value, json};

use hookseal_testkit::fake_endpoint::FakeEndpoint;

use crate::api::shop::{Shop, id};

const BODY: &str = r#"{"eventType": "invoice.paid", "payload": { "a" :1.0}}"#;

async fn test(shop: &Shop, app: &str, endpoint: &str) -> Value {
    let path = format!("/app/{app}/endpoint/{endpoint}/msg/test-attempt");
    shop.make(&path, BODY).await
}

#[tokio::test]
async fn one_is_sent_like_every_other_and_shown() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let (hook, other) = (
        FakeEndpoint::plain([202]).await.unwrap(),
        FakeEndpoint::plain([200]).await.unwrap(),
    );
    // It wants something else, and that in order.
    let spec = json!({"url": hook.url(), "filterTypes": ["other"], "fifo": true});
    let made = shop
        .make(&format!("/app/{app}/endpoint"), &spec.to_string())
        .await;
    let endpoint = id(&made);
    shop.endpoint(&app, &other.url()).await;
    let attempt = test(&shop, &app, &endpoint).await;
    assert_eq!(
        (&attempt["status"], &attempt["responseStatusCode"]),
        (&json!(0), &json!(202))
    );
    assert_eq!(
        (&attempt["endpointId"], &attempt["url"]),
        (&json!(endpoint), &json!(hook.url()))
    );
    assert_eq!(attempt["ended"], "delivered");
    let got = hook.receives_one().await.unwrap();
    assert_eq!(got.body, r#"{ "a" :1.0}"#);
    assert_eq!(
        got.headers["webhook-id"],
        attempt["msgId"].as_str().unwrap()
    );
    assert!(
        got.headers["webhook-signature"]
            .to_str()
            .unwrap()
            .starts_with("v1,")
    );
    let message = attempt["msgId"].as_str().unwrap();
    let path = format!("/app/{app}/msg/{message}/attempt/{}", id(&attempt));
    assert_eq!(
        shop.get(&path).await,
        attempt,
        "it is listed like every other"
    );
    let to = shop
        .get(&format!("/app/{app}/msg/{message}/endpoint"))
        .await;
    assert_eq!(
        to["data"].as_array().unwrap().len(),
        1,
        "nobody else gets it"
    );
    assert_eq!(
        (to["data"][0]["status"].clone(), other.received().len()),
        (json!(0), 0)
    );
}

#[tokio::test]
async fn one_that_fails_is_not_tried_again_nor_recovered() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let hook = FakeEndpoint::plain([500, 410, 200]).await.unwrap();
    let endpoint = shop.endpoint(&app, &hook.url()).await;
    for code in [500, 410] {
        let attempt = test(&shop, &app, &endpoint).await;
        assert_eq!(
            (&attempt["status"], &attempt["responseStatusCode"]),
            (&json!(2), &json!(code))
        );
        assert_eq!(attempt["ended"], "skipped");
    }
    let shown = shop.get(&format!("/app/{app}/endpoint/{endpoint}")).await;
    assert_eq!(shown["disabled"], false, "it decides nothing");
    let path = format!("/app/{app}/endpoint/{endpoint}/recover");
    let since = r#"{"since": "2026-11-23T00:00:00Z"}"#;
    let task = shop.ask("POST", &path, since).await.expect(202);
    let task = crate::api::tasks::finished(&shop, &id(&task)).await;
    assert_eq!(task["data"]["done"], 0);
    let listed = shop
        .get(&format!("/app/{app}/endpoint/{endpoint}/msg"))
        .await;
    assert_eq!(listed["data"][0]["statusText"], "canceled");
    assert_eq!(hook.received().len(), 2);
}

#[tokio::test]
async fn the_same_request_is_one_attempt() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let endpoint = shop.endpoint(&app, &hook.url()).await;
    let path = format!("/app/{app}/endpoint/{endpoint}/msg/test-attempt");
    let first = shop.ask_once("k", &path, BODY).await.expect(201);
    let again = shop.ask_once("k", &path, BODY).await.expect(201);
    assert_eq!((first, hook.received().len()), (again, 1));
    let other = BODY.replace("1.0", "2");
    let other = shop.ask_once("k", &path, &other).await;
    assert_eq!(other.error(409), "idempotency_key_reused");
}

#[tokio::test]
async fn what_is_not_to_be_tested_is_refused() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let endpoint = shop.endpoint(&app, "http://127.0.0.1:1/").await;
    let path = format!("/app/{app}/endpoint/{endpoint}");
    let attempt = test(&shop, &app, &endpoint).await;
    assert_eq!(attempt["outcome"], "unreachable");
    let test = format!("{path}/msg/test-attempt");
    let later = json!({"eventType": "t", "payload": {}, "expireAfter": 5});
    let refused = shop.ask("POST", &test, later.to_string()).await.expect(422);
    assert_eq!(refused["detail"][0]["type"], "value_error.not_supported");
    assert_eq!(refused["detail"][0]["loc"], json!(["body", "expireAfter"]));
    shop.ask("POST", &test, "{}").await.expect(422);
    shop.ask("PATCH", &path, r#"{"disabled": true}"#)
        .await
        .expect(200);
    let refused = shop.ask("POST", &test, BODY).await;
    assert_eq!(refused.error(409), "endpoint_disabled");
    shop.ask("PATCH", &path, r#"{"disabled": false}"#)
        .await
        .expect(200);
    let strict = r#"{"name": "invoice.paid", "description": "", "validation": "enforce",
        "schemas": {"1": {"required": ["b"]}}}"#;
    shop.make("/event-type", strict).await;
    let refused = shop.ask("POST", &test, BODY).await.expect(422);
    assert_eq!(refused["detail"][0]["type"], "value_error.payload.schema");
    let by_app = shop.ask_as(&shop.as_app(&app), "POST", &test, BODY).await;
    assert_eq!(by_app.error(403), "insufficient_permissions");
}
