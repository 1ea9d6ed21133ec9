//! How an endpoint wants its deliveries: what is said, what is shown, what is refused.

use serde_json::{Value, json};

use crate::api::shop::Shop;

const NAMES: [&str; 5] = ["maxInFlight", "fifo", "onExhausted", "orderingKey", "batch"];

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

    let batch = json!({"batch": {"maxEvents": 100, "maxWaitMs": 250}});
    assert_eq!(patch(batch.clone()).await, batch);
    assert_eq!(patch(json!({"description": "more"})).await, batch);
    assert_eq!(shown(&shop.get(&one).await), batch);
    let both = json!({"batch": null, "fifo": true});
    assert_eq!(patch(both).await["fifo"], true);
    let back = json!({"fifo": false, "batch": {"maxEvents": 2, "maxWaitMs": 0}});
    assert_eq!(
        patch(back).await,
        json!({"batch": {"maxEvents": 2, "maxWaitMs": 0}})
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

#[tokio::test]
async fn zero_in_flight_is_the_nodes_own_limit() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let path = format!("/app/{app}/endpoint");
    let body = |most: i64| json!({"url": "https://example.com", "maxInFlight": most}).to_string();
    let made = shop.make(&path, &body(0)).await;
    let one = format!("{path}/{}", made["id"].as_str().unwrap());
    assert_eq!(shown(&made), json!({}));
    for (method, path) in [("POST", &path), ("PUT", &one), ("PATCH", &one)] {
        for most in [-1, 65_536] {
            let refused = shop.ask(method, path, body(most)).await.expect(422);
            let detail = &refused["detail"][0];
            assert_eq!(detail["loc"], json!(["body", "maxInFlight"]));
            assert_eq!(detail["msg"], "must be from 0 to 65535", "{method}");
        }
    }
    for method in ["PUT", "PATCH"] {
        let set = shop.ask(method, &one, body(7)).await.expect(200);
        assert_eq!(shown(&set), json!({"maxInFlight": 7}), "{method}");
        let unset = shop.ask(method, &one, body(0)).await.expect(200);
        assert_eq!(shown(&unset), json!({}), "{method}");
    }
}

#[tokio::test]
async fn a_batch_has_bounds_and_no_order() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let path = format!("/app/{app}/endpoint");
    let of = |events: Value, wait: Value| json!({"maxEvents": events, "maxWaitMs": wait});
    for (given, loc, rule, says) in [
        (
            json!({"batch": of(json!(1), json!(0))}),
            json!(["body", "batch", "maxEvents"]),
            "value_error.number",
            "from 2 to 1000",
        ),
        (
            json!({"batch": of(json!(1001), json!(0))}),
            json!(["body", "batch", "maxEvents"]),
            "value_error.number",
            "from 2 to 1000",
        ),
        (
            json!({"batch": of(json!(2), json!(60_001))}),
            json!(["body", "batch", "maxWaitMs"]),
            "value_error.number",
            "from 0 to 60000",
        ),
        (
            json!({"batch": {"maxEvents": 2}}),
            json!(["body", "batch", "maxWaitMs"]),
            "value_error.missing",
            "must be given",
        ),
        (
            json!({"fifo": true, "batch": of(json!(2), json!(0))}),
            json!(["body", "batch"]),
            "value_error.batch.fifo",
            "one event at a time",
        ),
        (
            json!({"fifo": true, "orderingKey": {"pointer": "/a"}, "batch": of(json!(2), json!(0))}),
            json!(["body", "batch"]),
            "value_error.batch.fifo",
            "one event at a time",
        ),
    ] {
        let mut whole = given.clone();
        whole["url"] = json!("https://example.com");
        let answer = shop.ask("POST", &path, whole.to_string()).await.expect(422);
        let detail = &answer["detail"][0];
        assert_eq!(detail["loc"], loc, "{given}");
        assert_eq!(detail["type"], rule, "{given}");
        let message = detail["msg"].as_str().unwrap();
        assert!(message.contains(says), "{given}: {message}");
    }
    // Nor does one that has a batch get an order.
    let body = json!({"url": "https://example.com", "uid": "e",
        "batch": {"maxEvents": 2, "maxWaitMs": 0}});
    shop.make(&path, &body.to_string()).await;
    let fifo = json!({"fifo": true}).to_string();
    let answer = shop.ask("PATCH", &format!("{path}/e"), fifo).await;
    assert_eq!(
        answer.expect(422)["detail"][0]["type"],
        "value_error.batch.fifo"
    );
}
