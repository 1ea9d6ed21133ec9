//! Event types with schemas: what is saved, what is refused, what is only noticed.

use hookseal_testkit::fake_endpoint::FakeEndpoint;
use serde_json::{Value, json};

use crate::api::shop::{Shop, id};

/// An application, and an event type with these schemas and this mode.
async fn shop(schemas: Value, validation: &str) -> (Shop, String) {
    let shop = Shop::open().await;
    let app = shop.app("customer").await;
    let body = json!({"name": "invoice.paid", "description": "", "schemas": schemas,
        "validation": validation});
    shop.make("/event-type", &body.to_string()).await;
    (shop, format!("/app/{app}/msg"))
}

fn message(payload: Value) -> String {
    json!({"eventType": "invoice.paid", "payload": payload}).to_string()
}

fn schemas() -> Value {
    json!({
        "2": {"type": "object", "required": ["old"]},
        "10": {"type": "object", "properties": {"lines": {"items": {"properties": {
            "sum/net": {"type": "integer"}}}}}},
    })
}

#[tokio::test]
async fn what_does_not_match_is_refused_where_the_schema_is_enforced() {
    let (shop, messages) = shop(schemas(), "enforce").await;
    let wrong = message(json!({"lines": [{}, {"sum/net": "hush"}]}));
    let refused = shop.ask("POST", &messages, wrong).await.expect(422);
    let expect = json!({"detail": [{
        "loc": ["body", "payload", "lines", "1", "sum/net"],
        "msg": "does not match schema version `10` of the event type: `type` at \
            `/lines/1/sum~1net`: value is not of type \"integer\"",
        "type": "value_error.payload.schema",
    }]});
    assert_eq!(refused, expect);
    let broadcast = shop.ask(
        "POST",
        "/msg/broadcast",
        message(json!({"lines": [{"sum/net": 1.5}]})),
    );
    let refused = broadcast.await.expect(422);
    assert_eq!(refused["detail"][0]["type"], "value_error.payload.schema");
    assert_eq!(
        shop.get(&messages).await["data"],
        json!([]),
        "nothing is stored"
    );
    let right = message(json!({"lines": [{"sum/net": 5}]}));
    shop.ask("POST", &messages, right).await.expect(202);
}

#[tokio::test]
async fn what_does_not_match_is_accepted_elsewhere() {
    for mode in ["warn", "off"] {
        let (shop, messages) = shop(schemas(), mode).await;
        let wrong = message(json!({"lines": [{"sum/net": "x"}]}));
        shop.ask("POST", &messages, wrong).await.expect(202);
    }
    let (shop, messages) = shop(Value::Null, "enforce").await;
    let any = message(json!({"a": 1}));
    shop.ask("POST", &messages, any).await.expect(202);
}

#[tokio::test]
async fn a_change_holds_for_the_next_message() {
    let (shop, messages) = shop(json!({"1": {"required": ["a"]}}), "off").await;
    let event_type = "/event-type/invoice.paid";
    let publish = async |expect| {
        let answer = shop.ask("POST", &messages, message(json!({"b": 1}))).await;
        answer.expect(expect);
    };
    let patch = async |body: Value| {
        let answer = shop.ask("PATCH", event_type, body.to_string()).await;
        answer.expect(200)
    };
    publish(202).await;
    patch(json!({"validation": "enforce"})).await;
    publish(422).await;
    patch(json!({"schemas": {"1": {"required": ["a"]}, "2": {"required": ["b"]}}})).await;
    publish(202).await;
    patch(json!({"schemas": {"3": {"required": ["c"]}}})).await;
    publish(422).await;
    // Official clients know no mode: what they replace keeps it.
    let put = json!({"description": "d", "schemas": {"3": {"required": ["c"]}}}).to_string();
    let put = shop.ask("PUT", event_type, put).await.expect(200);
    assert_eq!(put["validation"], "enforce");
    publish(422).await;
    let expunge = format!("{event_type}?expunge=true");
    let gone = shop.ask("DELETE", &expunge, "").await;
    assert_eq!(gone.status, 204);
    publish(202).await;
    shop.ask(
        "PUT",
        event_type,
        r#"{"description": "", "schemas": {"1": {"required": ["a"]}}, "validation": "enforce"}"#,
    )
    .await
    .expect(201);
    publish(422).await;
    assert_eq!(
        patch(json!({"validation": "off"})).await.get("validation"),
        None
    );
    publish(202).await;
}

#[tokio::test]
async fn a_repetition_is_answered_as_before() {
    let (shop, messages) = shop(json!({"1": {"required": ["a"]}}), "off").await;
    let body = message(json!({"b": 1}));
    let first = shop.ask_once("key", &messages, &body).await.expect(202);
    let enforce = r#"{"validation": "enforce"}"#;
    let changed = shop.ask("PATCH", "/event-type/invoice.paid", enforce).await;
    changed.expect(200);
    let again = shop.ask_once("key", &messages, &body).await.expect(202);
    assert_eq!(id(&again), id(&first));
    shop.ask_once("other", &messages, &body).await.expect(422);
    let other = message(json!({"c": 1}));
    let reused = shop.ask_once("key", &messages, &other).await;
    assert_eq!(reused.error(409), "idempotency_key_reused");
}

#[tokio::test]
async fn schemas_that_are_none_are_not_saved() {
    let shop = Shop::open().await;
    shop.make("/event-type", r#"{"name": "t", "description": ""}"#)
        .await;
    let check = async |schema: Value, inside: &[&str], part: &str| {
        let body = json!({"name": "n", "description": "", "schemas": {"1": {}, "2": schema}});
        for (method, path) in [
            ("POST", "/event-type"),
            ("PUT", "/event-type/t"),
            ("PATCH", "/event-type/t"),
        ] {
            let refused = shop.ask(method, path, body.to_string()).await.expect(422);
            let found = &refused["detail"][0];
            let loc: Vec<_> = ["body", "schemas", "2"].iter().chain(inside).collect();
            assert_eq!(found["loc"], json!(loc), "{found}");
            assert_eq!(found["type"], "value_error.schema");
            assert!(found["msg"].as_str().unwrap().contains(part), "{found}");
        }
    };
    let wrong = json!({"properties": {"a/b": {"type": "text"}}});
    check(
        wrong,
        &["properties", "a/b", "type"],
        "`/properties/a~1b/type`",
    )
    .await;
    let away = json!({"$ref": "http://169.254.169.254/latest/meta-data"});
    check(away, &["$ref"], "nothing is fetched").await;
    let pattern = json!({"pattern": "(a{1000}){1000}"});
    check(pattern, &["pattern"], "KiB").await;
    check(json!({"$ref": "#"}), &[], "without an end").await;
    assert_eq!(shop.get("/event-type/t").await.get("schemas"), None);
    let mode = json!({"name": "n", "description": "", "validation": "strict"}).to_string();
    let refused = shop.ask("POST", "/event-type", mode).await.expect(422);
    assert_eq!(refused["detail"][0]["loc"], json!(["body", "validation"]));
}

#[tokio::test]
async fn an_example_goes_to_one_endpoint() {
    let shop = Shop::open().await;
    let app = shop.app("customer").await;
    let schema = json!({"type": "object", "required": ["id"], "properties": {
        "id": {"type": "string", "format": "uuid"}, "sum": {"type": "integer", "minimum": 5}}});
    let body = json!({"name": "invoice.paid", "description": "", "schemas": {"1": schema},
        "validation": "enforce"});
    shop.make("/event-type", &body.to_string()).await;
    shop.make("/event-type", r#"{"name": "plain", "description": ""}"#)
        .await;
    let hidden = r#"{"name": "hidden", "description": "", "featureFlags": ["beta"]}"#;
    shop.make("/event-type", hidden).await;
    let [wanted, other] = [
        FakeEndpoint::plain([200, 200]).await.unwrap(),
        FakeEndpoint::plain([200]).await.unwrap(),
    ];
    // It subscribes to something else.
    let endpoints = format!("/app/{app}/endpoint");
    let body = json!({"url": wanted.url(), "filterTypes": ["plain"], "channels": ["c"]});
    let endpoint = id(&shop.make(&endpoints, &body.to_string()).await);
    shop.endpoint(&app, &other.url()).await;
    let path = format!("{endpoints}/{endpoint}/send-example");
    let token = shop.as_app(&app);
    let invoice = r#"{"eventType": "invoice.paid"}"#;
    let sent = shop
        .ask_as(&token, "POST", &path, invoice)
        .await
        .expect(200);
    let expect = json!({"id": "00000000-0000-4000-8000-000000000001", "sum": 5});
    assert_eq!(
        (&sent["payload"], &sent["eventType"]),
        (&expect, &json!("invoice.paid"))
    );
    let got = wanted.receives_one().await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&got.body).unwrap(), expect);

    let sent = shop
        .ask_once("k", &path, r#"{"eventType": "plain"}"#)
        .await
        .expect(200);
    assert_eq!(
        sent["payload"],
        json!({"type": "plain", "data": {"example": true}})
    );
    let again = shop
        .ask_once("k", &path, r#"{"eventType": "plain"}"#)
        .await
        .expect(200);
    assert_eq!(id(&again), id(&sent));
    wanted.receives_one().await.unwrap();
    assert_eq!(other.received().len(), 0);

    let hidden = r#"{"eventType": "hidden"}"#;
    let refused = shop.ask_as(&token, "POST", &path, hidden).await;
    assert_eq!(refused.error(404), "not_found");
    let nothing = shop.ask("POST", &path, r#"{"eventType": "nothing"}"#).await;
    assert_eq!(nothing.error(404), "not_found");
    let endpoint = format!("{endpoints}/{endpoint}");
    let disable = shop.ask("PATCH", &endpoint, r#"{"disabled": true}"#).await;
    disable.expect(200);
    let refused = shop.ask("POST", &path, invoice).await;
    assert_eq!(refused.error(409), "endpoint_disabled");
}

#[tokio::test]
async fn retry_schedules_are_set_and_bounded() {
    let shop = Shop::open().await;
    shop.make("/event-type", r#"{"name": "t", "description": ""}"#)
        .await;
    let path = "/event-type/t/retry-schedule";
    assert_eq!(shop.get(path).await, json!({"retrySchedule": null}));
    let set = async |body: Value| shop.ask("PUT", path, body.to_string()).await;
    let delay = |secs: i64, nanos: i64| json!({"secs": secs, "nanos": nanos});
    let schedule = json!({"retrySchedule": [delay(5, 500_000_000), delay(0, 0)]});
    assert_eq!(set(schedule.clone()).await.expect(200), schedule);
    assert_eq!(shop.get(path).await, schedule);
    let put = shop
        .ask("PUT", "/event-type/t", r#"{"description": "new"}"#)
        .await;
    put.expect(200);
    assert_eq!(
        shop.get(path).await,
        schedule,
        "a PUT of the event type leaves it"
    );

    let refused = async |delays: Vec<Value>, inside: &[&str], part: &str| {
        let refused = set(json!({"retrySchedule": delays})).await.expect(422);
        let found = &refused["detail"][0];
        let loc: Vec<_> = ["body", "retrySchedule"].iter().chain(inside).collect();
        assert_eq!(found["loc"], json!(loc));
        assert!(found["msg"].as_str().unwrap().contains(part), "{found}");
    };
    refused(vec![delay(1, 0); 51], &[], "at most 50").await;
    refused(vec![delay(1, 0), delay(604_801, 0)], &["1"], "7 days").await;
    refused(vec![delay(-1, 0)], &["0"], "whole milliseconds").await;
    refused(vec![delay(0, 1)], &["0"], "whole milliseconds").await;
    refused(vec![delay(0, 1_000_000_000)], &["0"], "whole milliseconds").await;
    refused(vec![delay(604_800, 0); 11], &[], "2160h").await;
    assert_eq!(shop.get(path).await, schedule);
    set(json!({"retrySchedule": null})).await.expect(200);
    assert_eq!(shop.get(path).await, json!({"retrySchedule": null}));
    let nothing = shop
        .ask("PUT", "/event-type/nothing/retry-schedule", "{}")
        .await;
    assert_eq!(nothing.error(404), "not_found");
}
