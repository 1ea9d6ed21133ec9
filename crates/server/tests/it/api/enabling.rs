//! Endpoints that fail or are disabled: how that is shown, and how they are enabled.

use hookseal_testkit::wait::until;
use serde_json::{Value, json};

use crate::api::shop::{Shop, id};

/// An endpoint that nobody listens on: its path.
async fn failing(shop: &Shop) -> String {
    let app = shop.app("a").await;
    let endpoint = shop.endpoint(&app, "http://127.0.0.1:1/").await;
    format!("/app/{app}/endpoint/{endpoint}")
}

async fn disable(shop: &Shop, path: &str) {
    let disabled = r#"{"disabled": true}"#;
    shop.ask("PATCH", path, disabled).await.expect(200);
}

#[tokio::test]
async fn that_it_fails_and_why_it_is_disabled_is_shown() {
    let shop = Shop::open().await;
    let path = failing(&shop).await;
    let shown = shop.get(&path).await;
    assert_eq!(shown.get("failingSince"), None);
    assert_eq!(shown.get("disabledReason"), None);
    let (app, _) = path["/app/".len()..].split_once('/').unwrap();
    shop.message(app, "{}").await;
    let since = until("the first attempt", async || {
        let since = shop.get(&path).await["failingSince"].clone();
        Ok((since != Value::Null).then_some(since))
    });
    let since = since.await.unwrap();
    assert!(since.as_str().unwrap().starts_with("2026-11-23T08:20:0"));
    disable(&shop, &path).await;
    let shown = shop.get(&path).await;
    assert_eq!(shown["disabledReason"], "client");
    assert_eq!(shown["failingSince"], since);
    let list = path.rsplit_once('/').unwrap().0;
    assert_eq!(shop.get(list).await["data"][0], shown);
    let enabled = r#"{"disabled": false}"#;
    let shown = shop.ask("PATCH", &path, enabled).await.expect(200);
    assert_eq!(shown.get("failingSince"), None);
    assert_eq!(shown.get("disabledReason"), None);
}

#[tokio::test]
async fn enabling_answers_with_what_was_begun() {
    let shop = Shop::open().await;
    let path = failing(&shop).await;
    let enable = format!("{path}/enable");
    disable(&shop, &path).await;
    let enabled = shop.ask("POST", &enable, "{}").await.expect(200);
    assert_eq!(enabled, json!({"endpoint": shop.get(&path).await}));
    assert_eq!(enabled["endpoint"]["disabled"], false);

    disable(&shop, &path).await;
    let since = r#"{"recoverSince": "2026-11-23T00:00:00Z"}"#;
    let enabled = shop.ask_once("once", &enable, since).await.expect(200);
    assert_eq!(enabled["endpoint"], shop.get(&path).await);
    assert_eq!(enabled["task"]["task"], "endpoint.recover");
    assert_eq!(
        enabled["task"]["data"]["until"], "2026-11-23T08:20:00.000Z",
        "{enabled}"
    );
    let task = id(&enabled["task"]);
    let shown = shop.get(&format!("/background-task/{task}")).await;
    assert_eq!(shown["data"]["since"], "2026-11-23T00:00:00.000Z");

    // The same request again: nothing more comes of it.
    disable(&shop, &path).await;
    let again = shop.ask_once("once", &enable, since).await.expect(200);
    assert_eq!(id(&again["task"]), task);
    assert_eq!(again["endpoint"]["disabled"], true);
    let other = shop.ask_once("once", &enable, "{}").await;
    assert_eq!(other.error(409), "idempotency_key_reused");
}

#[tokio::test]
async fn nothing_is_enabled_by_what_is_refused() {
    let shop = Shop::open().await;
    let path = failing(&shop).await;
    let enable = format!("{path}/enable");
    disable(&shop, &path).await;
    for (since, message) in [
        ("yesterday", None),
        ("2026-11-23T08:20:01Z", Some("must not be after now")),
    ] {
        let body = json!({"recoverSince": since}).to_string();
        let refused = shop.ask("POST", &enable, body).await.expect(422);
        let first = &refused["detail"][0];
        assert_eq!(first["loc"], json!(["body", "recoverSince"]), "{refused}");
        assert_eq!(first["type"], "value_error.datetime");
        if let Some(message) = message {
            assert_eq!(first["msg"], message);
        }
    }
    assert_eq!(shop.get(&path).await["disabled"], true);
    let list = path.rsplit_once('/').unwrap().0;
    let nobody = format!("{list}/nobody/enable");
    assert_eq!(
        shop.ask("POST", &nobody, "{}").await.error(404),
        "not_found"
    );
}
