//! How an endpoint wants its deliveries: what is said, what is shown, what is refused.

use serde_json::{Value, json};

use crate::api::shop::Shop;

const NAMES: [&str; 4] = ["maxInFlight", "fifo", "onExhausted", "orderingKey"];

/// What an endpoint shows of it.
fn shown(endpoint: &Value) -> Value {
    let named = NAMES.map(|name| (name.to_owned(), endpoint.get(name).cloned()));
    let given = named
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    Value::Object(given.collect())
}

#[tokio::test]
async fn is_stored_shown_changed_and_cleared() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let path = format!("/app/{app}/endpoint");
    let plain = shop.make(&path, r#"{"url": "https://example.com"}"#).await;
    assert_eq!(shown(&plain), json!({}));

    let body = json!({"url": "https://example.com", "uid": "e", "maxInFlight": 3, "fifo": true,
        "onExhausted": "moveOn", "orderingKey": {"header": "X-Customer"}});
    let made = shop.make(&path, &body.to_string()).await;
    let whole = json!({"maxInFlight": 3, "fifo": true, "onExhausted": "moveOn",
        "orderingKey": {"header": "x-customer"}});
    assert_eq!(shown(&made), whole);
    let one = format!("{path}/e");
    assert_eq!(shown(&shop.get(&one).await), whole);

    let patch = async |body: Value| {
        let patched = shop.ask("PATCH", &one, body.to_string()).await.expect(200);
        shown(&patched)
    };
    assert_eq!(patch(json!({"description": "else"})).await, whole);
    assert_eq!(
        patch(json!({"onExhausted": null, "orderingKey": {"pointer": "/user/id"}})).await,
        json!({"maxInFlight": 3, "fifo": true, "onExhausted": "block",
            "orderingKey": {"pointer": "/user/id"}})
    );
    assert_eq!(
        patch(json!({"fifo": false, "maxInFlight": 0})).await,
        json!({}),
        "what goes with an order goes with it"
    );

    let put = json!({"url": "https://example.com"}).to_string();
    let replaced = shop.ask("PUT", &one, put).await.expect(200);
    assert_eq!(shown(&replaced), json!({}));
}

#[tokio::test]
async fn what_can_not_be_is_refused_by_name_and_changes_nothing() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let path = format!("/app/{app}/endpoint");
    let body = json!({"url": "https://example.com", "uid": "e", "fifo": true});
    shop.make(&path, &body.to_string()).await;
    let one = format!("{path}/e");
    let before = shop.get(&one).await;
    let key = |key: Value| json!({"fifo": true, "orderingKey": key});
    for (given, field, rule) in [
        (
            json!({"maxInFlight": 65_536}),
            "maxInFlight",
            "value_error.number",
        ),
        (
            json!({"maxInFlight": -1}),
            "maxInFlight",
            "value_error.number",
        ),
        (
            json!({"fifo": false, "onExhausted": "block"}),
            "onExhausted",
            "value_error.fifo",
        ),
        (
            json!({"fifo": false, "orderingKey": {"header": "a"}}),
            "orderingKey",
            "value_error.fifo",
        ),
        (
            json!({"fifo": true, "onExhausted": "stop"}),
            "onExhausted",
            "value_error.on_exhausted",
        ),
        (key(json!({})), "orderingKey", "value_error.ordering_key"),
        (
            key(json!({"header": "a", "pointer": "/a"})),
            "orderingKey",
            "value_error.ordering_key",
        ),
        (
            key(json!({"header": "Authorization"})),
            "orderingKey",
            "value_error.ordering_key.credential",
        ),
        (
            key(json!({"header": "a b"})),
            "orderingKey",
            "value_error.ordering_key.header",
        ),
        (
            key(json!({"pointer": "a"})),
            "orderingKey",
            "value_error.ordering_key.pointer",
        ),
    ] {
        let answer = shop.ask("PATCH", &one, given.to_string()).await.expect(422);
        let detail = &answer["detail"][0];
        assert_eq!(detail["loc"], json!(["body", field]), "{given}");
        assert_eq!(detail["type"], rule, "{given}");
        let mut whole = given.clone();
        whole["url"] = json!("https://example.com");
        let answer = shop.ask("POST", &path, whole.to_string()).await.expect(422);
        assert_eq!(answer["detail"][0]["type"], rule, "{given}");
    }
    assert_eq!(shop.get(&one).await, before);
}
