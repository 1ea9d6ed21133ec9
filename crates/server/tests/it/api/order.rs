//! The order of an endpoint as the API shows it, and how a person skips what blocks it.

use serde_json::{Value, json};

use hookseal_testkit::wait::until;

use crate::api::shop::{Shop, id};

/// A shop with an ordered endpoint that nobody listens at.
async fn ordered() -> (Shop, String, String) {
    let shop = Shop::open().await;
    let app = id(&shop.make("/app", r#"{"name": "Customer"}"#).await);
    let endpoint = r#"{"url": "http://127.0.0.1:1/", "fifo": true}"#;
    let endpoint = id(&shop.make(&format!("/app/{app}/endpoint"), endpoint).await);
    let path = format!("/app/{app}/endpoint/{endpoint}/order");
    (shop, app, path)
}

async fn head_becomes(shop: &Shop, path: &str, message: &str, state: &str) -> Value {
    until("the head of the order", async || {
        let order = shop.get(path).await;
        let head = &order["heads"][0];
        Ok((head["msgId"] == message && head["state"] == state).then_some(order))
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn the_head_is_shown_and_skipped() {
    let (shop, app, path) = ordered().await;
    assert_eq!(shop.get(&path).await, json!({"heads": []}));
    let first = shop.message(&app, "{}").await;
    let second = shop.message(&app, "{}").await;
    let order = head_becomes(&shop, &path, &first, "waiting").await;
    let head = &order["heads"][0];
    assert_eq!(head["attempts"], 1);
    assert_eq!(head["waiting"], 1);
    assert!(head["nextAttempt"].is_string(), "{head}");

    let skip = format!("{path}/skip");
    let body = json!({"msgId": first}).to_string();
    shop.ask("POST", &skip, body.clone()).await.expect(200);
    head_becomes(&shop, &path, &second, "waiting").await;
    shop.ask("POST", &skip, body).await.expect(200);
    let endpoints = shop.get(&format!("/app/{app}/msg/{first}/endpoint")).await;
    assert_eq!(endpoints["data"][0]["statusText"], "canceled");
    assert_eq!(endpoints["data"][0]["status"], 4);
}

#[tokio::test]
async fn what_has_no_order_is_not_skipped() {
    let (shop, app, path) = ordered().await;
    let skip = format!("{path}/skip");
    let before = shop.message(&app, "{}").await;
    let endpoint = path.trim_end_matches("/order");
    let patched = shop.ask("PATCH", endpoint, r#"{"fifo": false}"#).await;
    patched.expect(200);
    let free = shop.message(&app, "{}").await;
    let body = json!({"msgId": free}).to_string();
    let refused = shop.ask("POST", &skip, body).await;
    assert_eq!(refused.error(409), "conflict");
    let body = json!({"msgId": before}).to_string();
    shop.ask("POST", &skip, body).await.expect(200);
    let unknown = shop.ask("POST", &skip, r#"{"msgId": "nothing"}"#).await;
    assert_eq!(unknown.error(404), "not_found");
    assert_eq!(shop.ask("POST", &skip, "{}").await.status, 422);
}
