//! Documents of APIs: event types out of them, and the catalogue as such.

use hookseal_testkit::wait::until;
use serde_json::{Value, json};

use crate::api::shop::Shop;

const PETS: &str = "\
openapi: 3.1.0
info: {title: Pets, version: 1.0.0}
webhooks:
  pet.new:
    post:
      summary: A pet came
      deprecated: true
      requestBody:
        content:
          application/json:
            schema: {$ref: '#/components/schemas/Pet'}
      responses: {200: {description: ok}}
components:
  schemas:
    Pet: {type: object, required: [name], properties: {name: {type: string}, mother: {$ref: '#/components/schemas/Pet'}}}
";

/// The schema of that pet.
fn pet() -> Value {
    json!({"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string"}, "mother": {"$ref": "#"}}})
}

/// Imports a document; returns what came of it.
async fn import(shop: &Shop, text: &str, more: Value) -> Value {
    let mut body = json!({"specRaw": text});
    let more = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(more);
    let path = "/event-type/import/openapi";
    let answer = shop.ask("POST", path, body.to_string()).await;
    answer.expect(200)["data"].clone()
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_and_changes_nothing() {
    let shop = Shop::open().await;
    shop.make("/event-type", r#"{"name": "old", "description": ""}"#)
        .await;
    let before = shop.get("/event-type?with_content=true").await;
    let dry = import(&shop, PETS, json!({"dryRun": true, "replaceAll": true})).await;
    let expect = json!({"modified": [], "archived": ["old"], "to_modify": [{"name": "pet.new",
        "description": "A pet came", "deprecated": true, "schemas": {"1": pet()}}]});
    assert_eq!(dry, expect);
    assert_eq!(shop.get("/event-type?with_content=true").await, before);
}

#[tokio::test]
async fn what_is_imported_is_there() {
    let shop = Shop::open().await;
    shop.make("/event-type", r#"{"name": "old", "description": ""}"#)
        .await;
    let first = import(&shop, PETS, json!({})).await;
    assert_eq!(first, json!({"modified": ["pet.new"]}));
    let made = shop.get("/event-type/pet.new").await;
    assert_eq!(
        (&made["description"], &made["deprecated"], &made["schemas"]),
        (&json!("A pet came"), &json!(true), &json!({"1": pet()}))
    );
    let again = import(&shop, PETS, json!({})).await;
    assert_eq!(again, json!({"modified": []}), "nothing is new");
    assert_eq!(shop.get("/event-type/pet.new").await, made);

    // Only what the document does not name is archived, once.
    let replaced = import(&shop, PETS, json!({"replaceAll": true})).await;
    assert_eq!(replaced, json!({"modified": [], "archived": ["old"]}));
    assert_eq!(shop.get("/event-type/old").await["archived"], true);
    let replaced = import(&shop, PETS, json!({"replaceAll": true})).await;
    assert_eq!(replaced, json!({"modified": []}));

    // An archived one comes back.
    let archived = r#"{"archived": true}"#;
    shop.ask("PATCH", "/event-type/pet.new", archived)
        .await
        .expect(200);
    let back = import(&shop, PETS, json!({})).await;
    assert_eq!(back, json!({"modified": ["pet.new"]}));
    assert_eq!(shop.get("/event-type/pet.new").await["archived"], false);
}

#[tokio::test]
async fn another_schema_becomes_the_next_version_and_the_rest_stays() {
    let shop = Shop::open().await;
    import(&shop, PETS, json!({})).await;
    let patch = r#"{"validation": "enforce", "groupName": "pets", "featureFlags": ["a"]}"#;
    let patched = shop.ask("PATCH", "/event-type/pet.new", patch).await;
    patched.expect(200);
    let schedule = json!({"retrySchedule": [{"secs": 5, "nanos": 0}]}).to_string();
    let path = "/event-type/pet.new/retry-schedule";
    let set = shop.ask("PUT", path, schedule).await;
    assert!(set.status.is_success(), "{}", set.status);
    let schedule = shop.get(path).await;
    import(&shop, &PETS.replace("[name]", "[id]"), json!({})).await;
    let found = shop.get("/event-type/pet.new").await;
    let mut second = pet();
    second["required"] = json!(["id"]);
    assert_eq!(found["schemas"], json!({"1": pet(), "2": second}));
    assert_eq!(
        (
            &found["validation"],
            &found["groupName"],
            &found["featureFlags"]
        ),
        (&json!("enforce"), &json!("pets"), &json!(["a"]))
    );
    assert_eq!(shop.get(path).await, schedule);
    // It holds at once.
    let app = shop.app("customer").await;
    let message = r#"{"eventType": "pet.new", "payload": {"name": "Rex"}}"#;
    let refused = shop.ask("POST", &format!("/app/{app}/msg"), message).await;
    refused.expect(422);
}

#[tokio::test]
async fn a_fault_names_its_place_and_nothing_is_changed() {
    let shop = Shop::open().await;
    shop.make("/event-type", r#"{"name": "old", "description": ""}"#)
        .await;
    let before = shop.get("/event-type?include_archived=true").await;
    let check = async |document: Value, expect: Value| {
        for dry_run in [true, false] {
            let body = json!({"spec": document, "replaceAll": true, "dryRun": dry_run});
            let path = "/event-type/import/openapi";
            let refused = shop.ask("POST", path, body.to_string()).await.expect(422);
            assert_eq!(refused, json!({"detail": expect}), "{document}");
        }
        let after = shop.get("/event-type?include_archived=true").await;
        assert_eq!(after, before, "{document}");
    };
    let with = |post: Value| {
        json!({"openapi": "3.1.0", "webhooks": {"a.fine": {"post": {}}, "b/c": {"post": {}},
        "pet": {"post": post}}, "components": {"schemas": {"Age": {"minimum": "0"}}}})
    };
    let name = json!({"loc": ["body", "spec", "webhooks", "b/c"], "type": "value_error.document",
        "msg": "at `/webhooks/b~1c`: has a name that no event type can have: it may only contain letters, \
            digits and the characters - _ ."});
    check(with(json!({})), json!([name])).await;
    let fine = |schema: Value| {
        let content = json!({"application/json": {"schema": schema}});
        let mut document = with(json!({"requestBody": {"content": content}}));
        document["webhooks"].as_object_mut().unwrap().remove("b/c");
        document
    };
    let fault = |place: &[&str], rule: &str| {
        let loc: Vec<_> = ["body", "spec"].iter().chain(place).collect();
        let pointer: String = place
            .iter()
            .map(|step| format!("/{}", step.replace('/', "~1")))
            .collect();
        json!([{"loc": loc, "msg": format!("at `{pointer}`: {rule}"), "type": "value_error.document"}])
    };
    let body = [
        "webhooks",
        "pet",
        "post",
        "requestBody",
        "content",
        "application/json",
        "schema",
    ];
    let inside = |more: &[&'static str]| [&body[..], more].concat();
    check(
        fine(json!({"items": {"$ref": "https://example.com/pet.json"}})),
        fault(
            &inside(&["items", "$ref"]),
            "refers to `https://example.com/pet.json`, which is not in the document; nothing is fetched",
        ),
    )
    .await;
    check(
        fine(json!({"items": {"$ref": "#/components/schemas/Age"}})),
        fault(
            &["components", "schemas", "Age", "minimum"],
            "\"0\" is not of type \"number\"",
        ),
    )
    .await;
    check(
        fine(json!({"allOf": [{"$ref": "#/webhooks/pet/post/requestBody/content/application~1json/schema"}]})),
        fault(
            &body,
            "applies to a value because it applies to that value, without an end",
        ),
    )
    .await;
    let mut flagged = with(json!({"x-hookseal-event-type": {"featureFlags": ["no flag"]}}));
    flagged["webhooks"].as_object_mut().unwrap().remove("b/c");
    check(
        flagged,
        fault(
            &[
                "webhooks",
                "pet",
                "post",
                "x-hookseal-event-type",
                "featureFlags",
            ],
            "has a flag that may only contain letters, digits and the characters - _ .",
        ),
    )
    .await;
}

#[tokio::test]
async fn messages_that_are_sent_are_imported() {
    let shop = Shop::open().await;
    let document = json!({"asyncapi": "3.0.0", "info": {"title": "Pets", "version": "1"},
        "channels": {"pets": {"messages": {"new": {"$ref": "#/components/messages/PetNew"}}},
            "orders": {"messages": {"order": {"payload": {}}}}},
        "operations": {"tell": {"action": "send", "channel": {"$ref": "#/channels/pets"}},
            "hear": {"action": "receive", "channel": {"$ref": "#/channels/orders"}}},
        "components": {"messages": {"PetNew": {"name": "pet.new", "title": "New", "payload": {"type": "object"}}}}});
    let body = json!({"spec": document}).to_string();
    let answer = shop.ask("POST", "/event-type/import/asyncapi", body).await;
    let skipped = json!([{"name": "hear", "pointer": "/operations/hear",
        "reason": "is received by the application, not sent"}]);
    let expect = json!({"modified": ["pet.new"], "skipped": skipped});
    assert_eq!(answer.expect(200)["data"], expect);
    let made = shop.get("/event-type/pet.new").await;
    let schema = json!({"type": "object", "$schema": "http://json-schema.org/draft-07/schema#"});
    assert_eq!(
        (&made["description"], &made["schemas"]["1"]),
        (&json!("New"), &schema)
    );
    let older = "asyncapi: 2.6.0\nchannels:\n  pet/gone:\n    subscribe:\n      message: {payload: {type: object}}\n";
    let body = json!({"specRaw": older, "replaceAll": true}).to_string();
    let answer = shop.ask("POST", "/event-type/import/asyncapi", body).await;
    let expect = json!({"modified": ["pet.gone"], "archived": ["pet.new"]});
    assert_eq!(answer.expect(200)["data"], expect);
}

#[tokio::test]
async fn an_export_is_imported_as_the_same() {
    let shop = Shop::open().await;
    let schemas = json!({"1": {"title": "old"}, "2": {"type": "object", "$id": "https://example.com/invoice",
        "properties": {"next": {"$ref": "#"}, "line": {"$ref": "#line"}},
        "$defs": {"line": {"$anchor": "line", "items": {"$ref": "#/$defs/line"}}}}});
    let full = json!({"name": "invoice.paid", "description": "Paid", "deprecated": true,
        "groupName": "billing", "featureFlags": ["a", "b"], "schemas": schemas, "validation": "warn"});
    shop.make("/event-type", &full.to_string()).await;
    let plain = r#"{"name": "plain", "description": ""}"#;
    shop.make("/event-type", plain).await;
    let gone = r#"{"name": "gone", "description": "", "archived": true}"#;
    shop.make("/event-type", gone).await;
    let before = shop
        .get("/event-type?include_archived=true&with_content=true")
        .await;
    let export = |kind: &str| format!("/event-type/export/{kind}");
    let stranger = shop.as_stranger();
    for kind in ["openapi", "asyncapi"] {
        let document = shop.get(&export(kind)).await;
        assert!(!document.to_string().contains("gone"), "{document}");
        let body = json!({"spec": document, "replaceAll": true}).to_string();
        let path = format!("/event-type/import/{kind}");
        let own = shop.ask("POST", &path, body.clone()).await.expect(200);
        assert_eq!(own["data"], json!({"modified": []}));
        let text = json!({"specRaw": document.to_string()}).to_string();
        let own = shop.ask("POST", &path, text).await.expect(200);
        assert_eq!(own["data"], json!({"modified": []}));
        // Elsewhere, it becomes what makes the same document; by the other kind as well.
        let answer = shop.ask_as(&stranger, "POST", &path, body).await;
        let expect = match kind {
            "openapi" => json!(["invoice.paid", "plain"]),
            _ => json!([]),
        };
        assert_eq!(answer.expect(200)["data"], json!({"modified": expect}));
        for kind in ["openapi", "asyncapi"] {
            let theirs = shop.ask_as(&stranger, "GET", &export(kind), "").await;
            assert_eq!(theirs.expect(200), shop.get(&export(kind)).await);
        }
    }
    let after = shop
        .get("/event-type?include_archived=true&with_content=true")
        .await;
    assert_eq!(after, before);
    let task = shop.ask("POST", &export("openapi"), "").await.expect(202);
    let path = format!("/background-task/{}", task["id"].as_str().unwrap());
    let task = until("the task to finish", async || {
        let task = shop.get(&path).await;
        Ok((task["status"] == "finished").then_some(task))
    })
    .await
    .unwrap();
    assert_eq!(task["task"], "event-type.export-openapi");
    assert_eq!(task["data"]["openapi"], shop.get(&export("openapi")).await);
    let other = Shop::open().await;
    let body = json!({"spec": shop.get(&export("asyncapi")).await}).to_string();
    let answer = other.ask("POST", "/event-type/import/asyncapi", body).await;
    answer.expect(200);
    let theirs = other.get(&export("openapi")).await;
    assert_eq!(theirs, shop.get(&export("openapi")).await);
}

#[tokio::test]
async fn documents_that_are_of_no_use_are_refused() {
    let shop = Shop::open().await;
    let bomb = (1..9).fold("a0: &a0 [x, x, x]\n".to_owned(), |bomb, at| {
        let inner = vec![format!("*a{}", at - 1); 90].join(", ");
        format!("{bomb}a{at}: &a{at} [{inner}]\n")
    });
    let check = async |kind: &str, body: Value, field: &str, rule: &str| {
        let path = format!("/event-type/import/{kind}");
        let refused = shop.ask("POST", &path, body.to_string()).await.expect(422);
        let found = &refused["detail"][0];
        assert_eq!(
            (&found["loc"], &found["type"]),
            (&json!(["body", field]), &json!(rule)),
            "{found}"
        );
    };
    let (missing, useless) = ("value_error.missing", "value_error.document");
    for kind in ["openapi", "asyncapi"] {
        check(kind, json!({}), "spec", missing).await;
        let both = json!({"spec": {}, "specRaw": ""});
        check(kind, both, "spec", missing).await;
        let deep = "[".repeat(50_000);
        for raw in [&bomb, "", "a: [", "{\"a\":", &deep, "a: 1\na: 2", "a: *b"] {
            check(kind, json!({"specRaw": raw}), "specRaw", useless).await;
        }
        let swagger = json!({"spec": {"swagger": "2.0"}});
        check(kind, swagger, "spec", useless).await;
        check(kind, json!({"spec": [1]}), "spec", useless).await;
    }
    let nothing = json!({"spec": {"openapi": "3.1.0", "paths": {}}});
    check("openapi", nothing, "spec", useless).await;
    let nothing = json!({"spec": {"asyncapi": "2.6.0", "channels": {}}});
    check("asyncapi", nothing, "spec", useless).await;
    assert_eq!(shop.get("/event-type").await["data"], json!([]));
}
