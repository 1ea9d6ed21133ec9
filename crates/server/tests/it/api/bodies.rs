//! Bodies of requests, by what the document says of them.

use serde_json::{Value, json};

use crate::api::authorization::Stock;
use crate::api::shop::Shop;

/// An object in the body of an operation.
struct Place {
    method: String,
    path: String,
    /// From the body to it, with `0` for the first of a list.
    steps: Vec<String>,
}

/// All that the committed document has, but those in which everything may stand.
fn places() -> Vec<Place> {
    let document: Value =
        serde_json::from_str(include_str!("../../../../../openapi.json")).unwrap();
    let mut places = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            let mut found = Vec::new();
            objects(&document, body, &[], &mut found);
            places.extend(found.into_iter().map(|steps| Place {
                method: method.to_ascii_uppercase(),
                path: path.clone(),
                steps,
            }));
        }
    }
    places
}

fn objects(document: &Value, schema: &Value, at: &[String], found: &mut Vec<Vec<String>>) {
    if let Some(named) = schema["$ref"].as_str() {
        let pointer = named.strip_prefix('#').unwrap();
        return objects(document, document.pointer(pointer).unwrap(), at, found);
    }
    for either in ["oneOf", "anyOf", "allOf"] {
        for schema in schema[either].as_array().into_iter().flatten() {
            objects(document, schema, at, found);
        }
    }
    let says_object = |said: &Value| *said == "object";
    let types = &schema["type"];
    if says_object(types)
        || types
            .as_array()
            .is_some_and(|all| all.iter().any(says_object))
    {
        found.push(at.to_vec());
    }
    let inside = |step: &str| [at, &[step.to_owned()]].concat();
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        objects(document, schema, &inside(name), found);
    }
    if schema["items"].is_object() {
        objects(document, &schema["items"], &inside("0"), found);
    }
}

/// A body with this at the place, and nothing else but names in lists: without one an event type is
/// not looked at any further.
fn with(steps: &[String], inner: Value) -> Value {
    let around = |mut inner: Value, step: &String| {
        if step != "0" {
            return json!({step: inner});
        }
        if let Some(item) = inner.as_object_mut() {
            item.insert("name".to_owned(), json!("t"));
        }
        json!([inner])
    };
    steps.iter().rev().fold(inner, around)
}

#[tokio::test]
async fn a_list_is_taken_for_no_object() {
    let shop = Shop::open().await;
    let stock = Stock::of(&shop).await;
    let event_type = r#"{"name": "t", "description": ""}"#;
    shop.make("/event-type", event_type).await;
    let places = places();
    let mut wrong = Vec::new();
    for Place {
        method,
        path,
        steps,
    } in &places
    {
        let mut loc = vec!["body".to_owned()];
        // There are no connectors, whatever they are: told of all of them together.
        let told = match steps.first() {
            Some(first) if first == "connectors" => 1,
            _ => steps.len(),
        };
        loc.extend(steps.iter().take(told).cloned());
        for list in [json!([]), json!(["a", "b", "c"]), json!([5, 100])] {
            let body = with(steps, list).to_string();
            let answer = shop.ask(method, &stock.path(path), body.clone()).await;
            let details = answer.json()["detail"].as_array().cloned();
            let named = details.iter().flatten().any(|one| one["loc"] == json!(loc));
            if answer.status != 422 || !named {
                wrong.push(format!("{method} {path} {body}: {}", answer.json()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Nested ones among them, in objects and lists.
    for deep in [
        &["batch"][..],
        &["own"],
        &["retrySchedule", "0"],
        &["application", "metadata"],
    ] {
        assert!(places.iter().any(|place| place.steps == deep), "{deep:?}");
    }
}
