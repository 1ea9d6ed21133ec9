//! What is exported is judged by others: the validators that the makers of both notations recommend.

use hookseal_testkit::world::World;
use serde_json::{Value, json};

use crate::support::peer::Peer;
use crate::support::world;

#[tokio::test]
async fn an_outside_judge_accepts_the_catalogue_as_openapi() -> anyhow::Result<()> {
    let judge = Peer::python("judge_openapi.py").await?;
    judged("the validator of OpenAPI", judge, "openapi", |document| {
        document["webhooks"]["invoice.paid"]["post"]["responses"] = json!(1);
    })
    .await
}

#[tokio::test]
async fn an_outside_judge_accepts_the_catalogue_as_asyncapi() -> anyhow::Result<()> {
    let judge = Peer::node("judge_asyncapi.js").await?;
    judged("the parser of AsyncAPI", judge, "asyncapi", |document| {
        document["components"]["messages"]["invoice.paid"]["contentType"] = json!(1);
    })
    .await
}

/// Lets a peer judge what is exported, and the same with a fault: it must find that one only.
async fn judged(
    what: &str,
    judge: Peer,
    kind: &str,
    spoil: impl FnOnce(&mut Value),
) -> anyhow::Result<()> {
    let world = world().start().await?;
    fill(&world).await?;
    let path = format!("/api/v1/event-type/export/{kind}");
    let document = world.api.get(&path).await?.expect(200)?;
    let mut spoilt = document.clone();
    spoil(&mut spoilt);
    anyhow::ensure!(spoilt != document, "nothing was spoilt");
    let request = json!({"documents": [document, spoilt]});
    let Some(answer) = judge.ask(what, &request).await? else {
        return Ok(());
    };
    let faults: Vec<Vec<String>> = serde_json::from_str(&answer)?;
    let [faults, of_spoilt] = faults.as_slice() else {
        anyhow::bail!("{answer}");
    };
    assert_eq!(faults.as_slice(), [""; 0], "{document:#}");
    assert!(!of_spoilt.is_empty());
    Ok(())
}

/// Event types with schemas of both dialects, recursive ones, and all that is said besides.
async fn fill(world: &World) -> anyhow::Result<()> {
    let line = json!({"$anchor": "line", "type": "object", "properties": {"parts": {"items": {"$ref": "#line"}}}});
    let newest = json!({"$id": "https://example.com/invoice", "type": "object", "required": ["id"],
        "properties": {"id": {"type": ["string", "null"]}, "line": {"$ref": "#/$defs/a%20line"},
            "previous": {"$ref": "#"}, "default": {"prefixItems": [{"const": 1}], "items": false}},
        "$defs": {"a line": line}, "examples": [{"id": "1"}], "unevaluatedProperties": true});
    let older = json!({"type": "object", "properties": {"next": {"$ref": "#"}}});
    let seven = json!({"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"x": {"$id": "#x"}},
        "properties": {"x": {"$ref": "#x"}}, "dependencies": {"x": ["y"]}});
    let plain = json!({"name": "plain", "description": ""});
    let full = json!({"name": "invoice.paid", "description": "It was *paid*", "deprecated": true,
        "groupName": "billing", "featureFlags": ["beta"], "validation": "warn",
        "schemas": {"v1/a": older, "v2": newest}});
    let seven = json!({"name": "7", "description": "Older", "schemas": {"1": seven}});
    for event_type in [plain, full, seven] {
        let made = world.api.post("/api/v1/event-type", &event_type).await?;
        made.expect(201)?;
    }
    Ok(())
}
