//! Publishing: what is accepted, answered and kept.

use std::time::Duration;

use serde_json::json;

use hookseal_testkit::fake_endpoint::FakeEndpoint;

use crate::api::shop::Shop;

#[tokio::test]
async fn payloads_arrive_byte_for_byte() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let hook = FakeEndpoint::plain([200, 200, 200]).await.unwrap();
    shop.endpoint(&app, &hook.url()).await;
    let payload =
        "{ \"a\" :1e400,\n\t\"b\":1.0, \"\\u00fc\": \"ü\", \"a\": 12345678901234567890123 }";
    let body = format!("{{\"eventType\":\"t\" , \"payload\": {payload}}}");
    let path = format!("/app/{app}/msg");
    let answer = shop.ask("POST", &path, body).await;
    assert_eq!(answer.status, 202);
    let text = String::from_utf8(answer.bytes.to_vec()).unwrap();
    assert!(text.contains(&format!("\"payload\":{payload}")), "{text}");
    assert_eq!(hook.receives_one().await.unwrap().body, payload);

    let (_, message) = text.split_once("\"id\":\"").unwrap();
    let shown = format!("{path}/{}", &message[..31]);
    let shown = shop.ask("GET", &shown, "").await;
    assert_eq!(shown.bytes, answer.bytes);
}

#[tokio::test]
async fn large_payloads_arrive_too() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    shop.endpoint(&app, &hook.url()).await;
    let payload = format!(r#"{{"text":  "{}"}}"#, "ü".repeat(200_000));
    shop.message(&app, &payload).await;
    assert!(hook.receives_one().await.unwrap().body == payload);
}

#[tokio::test]
async fn messages_are_shown_as_they_were_given() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let path = format!("/app/{app}/msg");
    let body = r#"{"eventType": "invoice.paid", "eventId": "e-1", "channels": ["eu"], "tags": ["a/b#c"],
        "data": {"a": 1}, "payloadRetentionPeriod": 5, "transformationsParams": {"x": 1}, "deliverAt": null}"#;
    let made = shop.ask("POST", &path, body).await.expect(202);
    let expect = json!({"id": made["id"], "eventType": "invoice.paid", "eventId": "e-1", "channels": ["eu"],
        "tags": ["a/b#c"], "payload": {"a": 1}, "timestamp": "2026-11-23T08:20:00.000Z"});
    assert_eq!(made, expect);
    assert_eq!(shop.get(&format!("{path}/e-1")).await, expect);
    let without = shop.get(&format!("{path}/e-1?with_content=false")).await;
    assert_eq!(without["payload"], json!({}));
    assert_eq!(shop.ask("POST", &path, body).await.error(409), "conflict");
    let lean = r#"{"eventType": "t", "payload": {"a": 1}}"#;
    let lean = shop
        .ask("POST", &format!("{path}?with_content=false"), lean)
        .await
        .expect(202);
    assert_eq!(lean["payload"], json!({}));
}

#[tokio::test]
async fn messages_say_when_and_how_urgently() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let endpoint = shop.endpoint(&app, "https://example.com").await;
    let path = format!("/app/{app}/msg");
    let body = r#"{"eventType": "t", "payload": {"a": 1}, "deliverAt": "2026-11-24T09:20:00+01:00",
        "expireAfter": 60, "priority": "bulk"}"#;
    let made = shop.ask("POST", &path, body).await.expect(202);
    let expect = json!({"id": made["id"], "eventType": "t", "payload": {"a": 1},
        "timestamp": "2026-11-23T08:20:00.000Z", "deliverAt": "2026-11-24T08:20:00.000Z",
        "expiresAt": "2026-11-24T08:21:00.000Z", "priority": "bulk"});
    assert_eq!(made, expect);
    let shown = format!("{path}/{}", expect["id"].as_str().unwrap());
    assert_eq!(shop.get(&shown).await, expect);
    assert_eq!(shop.get(&path).await["data"][0], expect);
    let deliveries = shop.get(&format!("{shown}/endpoint")).await;
    let due = &deliveries["data"][0]["nextAttempt"];
    assert_eq!(due, "2026-11-24T08:20:00.000Z", "{deliveries}");
    // What says nothing new, and what is past, is not shown.
    let body = r#"{"eventType": "t", "payload": {"a": 1}, "deliverAt": "2026-11-23T08:19:59Z",
        "priority": "normal"}"#;
    let made = shop.ask("POST", &path, body).await.expect(202);
    let expect = json!({"id": made["id"], "eventType": "t", "payload": {"a": 1},
        "timestamp": "2026-11-23T08:20:00.000Z"});
    assert_eq!(made, expect);

    shop.advance(Duration::from_secs(25 * 3600));
    let resend = format!("{shown}/endpoint/{endpoint}/resend");
    let resend = shop.ask("POST", &resend, "").await;
    assert_eq!(resend.error(409), "message_expired");
}

#[tokio::test]
async fn expunged_payloads_are_gone() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let message = shop.message(&app, r#"{"a": 1}"#).await;
    let path = format!("/app/{app}/msg/{message}");
    assert_eq!(
        shop.ask("DELETE", &format!("{path}/content"), "")
            .await
            .status,
        204
    );
    assert_eq!(shop.get(&path).await["payload"], json!({"expired": true}));
    let endpoint = shop.endpoint(&app, "https://example.com").await;
    let resend = shop
        .ask("POST", &format!("{path}/endpoint/{endpoint}/resend"), "")
        .await;
    assert_eq!(resend.error(409), "payload_gone");
}

#[tokio::test]
async fn an_application_can_come_with_its_message() {
    let shop = Shop::open().await;
    let publish = async |app: &str, application: &str| {
        let body =
            format!(r#"{{"eventType": "t", "payload": {{}}, "application": {application}}}"#);
        shop.ask("POST", &format!("/app/{app}/msg"), body).await
    };
    let nobody = shop
        .ask(
            "POST",
            "/app/new/msg",
            r#"{"eventType": "t", "payload": {}}"#,
        )
        .await;
    assert_eq!(nobody.error(404), "not_found");
    assert_eq!(
        publish("new", r#"{"name": "New", "uid": "new"}"#)
            .await
            .status,
        202
    );
    assert_eq!(shop.get("/app/new").await["name"], "New");
    assert_eq!(publish("new", r#"{"name": "Ignored"}"#).await.status, 202);
    assert_eq!(shop.get("/app/new").await["name"], "New");
    assert_eq!(publish("newer", r#"{"name": "Newer"}"#).await.status, 202);
    assert_eq!(shop.get("/app/newer").await["uid"], "newer");
    let other = publish("third", r#"{"name": "n", "uid": "fourth"}"#)
        .await
        .expect(422);
    let expect = json!({"detail": [{"loc": ["body", "application", "uid"], "msg": "must be the uid in the path",
        "type": "value_error.choice"}]});
    assert_eq!(other, expect);
    let app = shop.app("a").await;
    shop.ask("DELETE", &format!("/app/{app}"), "").await;
    assert_eq!(
        publish(&app, r#"{"name": "n"}"#).await.error(404),
        "not_found"
    );
}

#[tokio::test]
async fn messages_are_chosen_by_what_they_are() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let path = format!("/app/{app}/msg");
    for (kind, channel, tag) in [("a", "x", "t1"), ("b", "y", "t2"), ("c", "x", "t2")] {
        let body = json!({"eventType": kind, "channels": [channel], "tags": [tag], "payload": {}});
        shop.ask("POST", &path, body.to_string()).await.expect(202);
        shop.advance(Duration::from_secs(1));
    }
    let kinds = async |query: &str| -> Vec<String> {
        let list = shop.get(&format!("{path}?{query}")).await;
        let rows = list["data"].as_array().unwrap();
        rows.iter()
            .map(|row| row["eventType"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(kinds("").await, ["c", "b", "a"]);
    assert_eq!(kinds("channel=x").await, ["c", "a"]);
    assert_eq!(kinds("tag=t2").await, ["c", "b"]);
    assert_eq!(kinds("event_types=a,b").await, ["b", "a"]);
    assert_eq!(kinds("event_types=a&event_types=c").await, ["c", "a"]);
    assert_eq!(kinds("before=2026-11-23T08:20:01Z").await, ["a"]);
    assert_eq!(kinds("after=2026-11-23T08:20:00.500Z").await, ["c", "b"]);
    assert_eq!(kinds("channel=x&tag=t2").await, ["c"]);
}
