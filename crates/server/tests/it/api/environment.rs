//! Environments: exported, and imported elsewhere.

use serde_json::{Value, json};

use crate::api::shop::{Shop, id};

async fn export(shop: &Shop) -> Value {
    shop.ask("POST", "/environment/export", "")
        .await
        .expect(200)
}

async fn import(shop: &Shop, body: &Value) {
    shop.ask("POST", "/environment/import", body.to_string())
        .await
        .expect(204);
}

/// What an import has to bring about, without times.
fn said(document: &Value) -> Value {
    let mut event_types = document["eventTypes"].clone();
    for event_type in event_types.as_array_mut().unwrap() {
        let fields = event_type.as_object_mut().unwrap();
        assert!(fields.remove("createdAt").is_some() && fields.remove("updatedAt").is_some());
    }
    event_types
}

#[tokio::test]
async fn what_is_exported_can_be_imported_elsewhere() {
    let shop = Shop::open().await;
    let schemas = r#"{"1": { "type" :"object", "maxProperties": 1.0 }}"#;
    let paid = format!(
        r#"{{"name": "invoice.paid", "description": "d", "deprecated": true, "groupName": "g",
            "featureFlags": ["beta"], "validation": "enforce", "schemas": {schemas}}}"#
    );
    shop.make("/event-type", &paid).await;
    for n in 0..20 {
        let body = json!({"name": format!("t{n:02}"), "description": "", "archived": n == 3});
        shop.make("/event-type", &body.to_string()).await;
    }
    let schedule = r#"{"retrySchedule": [{"secs": 5, "nanos": 0}]}"#;
    let path = "/event-type/invoice.paid/retry-schedule";
    shop.ask("PUT", path, schedule).await.expect(200);
    let answer = shop.ask("POST", "/environment/export", "").await;
    let text = String::from_utf8(answer.bytes.to_vec()).unwrap();
    assert!(text.contains(schemas), "schemas as they were given: {text}");
    let document: Value = answer.expect(200);
    assert_eq!(
        (
            &document["version"],
            &document["settings"],
            &document["connectors"]
        ),
        (&json!(1), &json!(null), &json!([]))
    );
    assert_eq!(document["eventTypes"].as_array().unwrap().len(), 21);
    assert_eq!(
        document["eventTypes"][0]["retrySchedule"],
        json!([{"secs": 5, "nanos": 0}])
    );
    let other = Shop::open().await;
    let old = r#"{"name": "t01", "description": "old", "validation": "warn"}"#;
    other.make("/event-type", old).await;
    other
        .make("/event-type", r#"{"name": "own", "description": ""}"#)
        .await;
    other
        .ask("POST", "/environment/import", text)
        .await
        .expect(204);
    let there = export(&other).await;
    let mut expect = said(&document);
    let own = json!({"name": "own", "description": "", "archived": false, "deprecated": false});
    expect.as_array_mut().unwrap().insert(1, own);
    expect[3]["validation"] = json!("warn");
    assert_eq!(
        said(&there),
        expect,
        "nothing is deleted, and what is not said stays"
    );
}

#[tokio::test]
async fn importing_again_changes_nothing() {
    let shop = Shop::open().await;
    let body = json!({"eventTypes": [
        {"name": "a", "description": "", "retrySchedule": []},
        {"name": "b", "description": "", "schemas": {"1": {"type": "object"}}},
    ], "settings": {}, "connectors": null});
    import(&shop, &body).await;
    let first = export(&shop).await;
    shop.advance(std::time::Duration::from_secs(60));
    import(&shop, &body).await;
    assert_eq!(export(&shop).await["eventTypes"], first["eventTypes"]);
    import(&shop, &json!({})).await;
    assert_eq!(export(&shop).await["eventTypes"], first["eventTypes"]);
}

#[tokio::test]
async fn what_is_wrong_is_named_and_nothing_is_changed() {
    let shop = Shop::open().await;
    shop.make("/event-type", r#"{"name": "a", "description": "before"}"#)
        .await;
    let before = export(&shop).await["eventTypes"].clone();
    let good = json!({"name": "a", "description": "after"});
    let with = |bad: Value| json!({"eventTypes": [good, bad]});
    let named = |more: Value| {
        let mut named = json!({"name": "b", "description": ""});
        for (key, value) in more.as_object().unwrap() {
            named[key] = value.clone();
        }
        with(named)
    };
    let many: Vec<_> = (0..5001).map(|n| json!({"name": n.to_string()})).collect();
    for (body, loc, rule) in [
        (
            with(json!({"name": "b"})),
            json!(["1", "description"]),
            "value_error.missing",
        ),
        (
            with(json!({"description": ""})),
            json!(["1", "name"]),
            "value_error.missing",
        ),
        (
            named(json!({"name": "b c"})),
            json!(["1", "name"]),
            "value_error.pattern",
        ),
        (
            named(json!({"name": "a"})),
            json!(["1", "name"]),
            "value_error.list.unique_items",
        ),
        (
            named(json!({"archived": 1})),
            json!(["1", "archived"]),
            "type_error",
        ),
        (
            named(json!({"validation": "x"})),
            json!(["1", "validation"]),
            "value_error.choice",
        ),
        (with(json!([])), json!(["1"]), "type_error"),
        (with(json!(null)), json!(["1"]), "type_error"),
        (
            named(json!({"schemas": {"1": {"type": 5}}})),
            json!(["1", "schemas", "1", "type"]),
            "value_error.schema",
        ),
        (
            named(json!({"retrySchedule": [{"secs": 700_000, "nanos": 0}]})),
            json!(["1", "retrySchedule", "0"]),
            "value_error.retry_schedule",
        ),
        (
            json!({"eventTypes": many}),
            json!([]),
            "value_error.list.max_items",
        ),
    ] {
        let refused = shop
            .ask("POST", "/environment/import", body.to_string())
            .await;
        let refused = refused.expect(422);
        let first = &refused["detail"][0];
        let mut expect = vec![json!("body"), json!("eventTypes")];
        expect.extend(loc.as_array().unwrap().iter().cloned());
        assert_eq!(
            (&first["loc"], &first["type"]),
            (&json!(expect), &json!(rule)),
            "{refused}"
        );
        assert_eq!(export(&shop).await["eventTypes"], before, "{rule}");
    }
    for (body, field, rule) in [
        (
            json!({"settings": {"a": 1}}),
            "settings",
            "value_error.not_supported",
        ),
        (json!({"settings": 1}), "settings", "type_error"),
        (
            json!({"connectors": [{}]}),
            "connectors",
            "value_error.not_supported",
        ),
    ] {
        let mut body = body;
        body["eventTypes"] = json!([good]);
        let refused = shop
            .ask("POST", "/environment/import", body.to_string())
            .await;
        let refused = refused.expect(422);
        let first = &refused["detail"][0];
        assert_eq!(
            (&first["loc"], &first["type"]),
            (&json!(["body", field]), &json!(rule))
        );
        assert_eq!(export(&shop).await["eventTypes"], before, "{rule}");
    }
}

#[tokio::test]
async fn documents_may_be_larger_than_messages_but_not_endless() {
    let shop = Shop::open().await;
    let text = "x".repeat(900_000);
    let of = |name: &str| {
        json!({"name": name, "description": "",
        "schemas": {"1": {"description": text}}})
    };
    let body = |count: usize| {
        let types: Vec<_> = (0..count).map(|n| of(&format!("t{n}"))).collect();
        json!({"eventTypes": types})
    };
    import(&shop, &body(5)).await;
    assert_eq!(
        export(&shop).await["eventTypes"].as_array().unwrap().len(),
        5
    );
    let refused = shop
        .ask("POST", "/environment/import", body(20).to_string())
        .await;
    assert_eq!(refused.error(413), "payload_too_large");
    import(&shop, &body(10)).await;
    let refused = shop.ask("POST", "/environment/export", "").await;
    assert_eq!(refused.error(409), "limit_reached");
    assert_eq!(id(&shop.make("/app", r#"{"name": "x"}"#).await).len(), 31);
}
