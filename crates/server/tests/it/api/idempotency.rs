//! Requests that are sent twice.

use std::time::Duration;

use crate::api::shop::{Shop, id};

#[tokio::test]
async fn a_repeated_request_changes_nothing_more() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let endpoint = shop.endpoint(&app, "https://example.com").await;
    for (path, body, status) in [
        ("/app".to_owned(), r#"{"name": "n", "uid": "u"}"#, 201),
        (
            "/app?get_if_exists=true".to_owned(),
            r#"{"name": "n", "uid": "v"}"#,
            201,
        ),
        (
            "/event-type".to_owned(),
            r#"{"name": "t", "description": ""}"#,
            201,
        ),
        (
            format!("/app/{app}/endpoint"),
            r#"{"url": "https://example.com", "uid": "e"}"#,
            201,
        ),
        (
            format!("/app/{app}/msg"),
            r#"{"eventType": "t", "eventId": "i", "payload": {"a": 1}}"#,
            202,
        ),
        (
            format!("/app/{app}/endpoint/{endpoint}/secret/rotate"),
            "{}",
            200,
        ),
    ] {
        let key = format!("key of {path}");
        let first = shop.ask_once(&key, &path, body).await.expect(status);
        shop.advance(Duration::from_secs(3600));
        let again = shop.ask_once(&key, &path, body).await.expect(status);
        assert_eq!(first, again, "{path}");
        let slash = shop
            .ask_once(&key, &path.replacen('?', "/?", 1), body)
            .await;
        assert_eq!(slash.expect(status), first, "{path}");
        let other = shop
            .ask_once(&key, &path, &body.replacen('{', "{ ", 1))
            .await;
        assert_eq!(other.error(409), "idempotency_key_reused", "{path}");
    }
    assert_eq!(shop.get("/app").await["data"].as_array().unwrap().len(), 3);
    let messages = shop.get(&format!("/app/{app}/msg")).await;
    assert_eq!(messages["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_belongs_to_a_path_and_a_token() {
    let shop = Shop::open().await;
    let (a, b) = (shop.app("a").await, shop.app("b").await);
    let body = r#"{"eventType": "t", "payload": {}}"#;
    let publish = async |app: &str| {
        let answer = shop.ask_once("k", &format!("/app/{app}/msg"), body).await;
        id(&answer.expect(202))
    };
    let (first, second) = (publish(&a).await, publish(&b).await);
    assert_ne!(first, second);
    assert_eq!(publish(&a).await, first);
    assert_eq!(publish("a").await, first, "the same by its uid");
}

#[tokio::test]
async fn a_key_is_forgotten_after_twelve_hours() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let path = format!("/app/{app}/msg");
    let body = r#"{"eventType": "t", "payload": {}}"#;
    let first = shop.ask_once("k", &path, body).await.expect(202);
    shop.advance(Duration::from_secs(12 * 3600 - 1));
    assert_eq!(shop.ask_once("k", &path, body).await.expect(202), first);
    shop.advance(Duration::from_secs(2));
    assert_ne!(
        shop.ask_once("k", &path, body).await.expect(202)["id"],
        first["id"]
    );
}

#[tokio::test]
async fn a_resend_is_made_once() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let endpoint = shop.endpoint(&app, "http://127.0.0.1:1/").await;
    let message = shop.message(&app, "{}").await;
    let path = format!("/app/{app}/msg/{message}/endpoint/{endpoint}/resend");
    for _ in 0..2 {
        let answer = shop.ask_once("k", &path, "").await;
        assert_eq!(answer.expect(202), serde_json::json!({}));
    }
}
