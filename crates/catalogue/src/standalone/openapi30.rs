//! What OpenAPI 3.0 says in words of its own (its specification, Schema Object), in those of JSON Schema
//! 2020-12.

use serde_json::{Map, Value, json};

/// The bounds that another keyword there makes exclusive.
const BOUNDS: [(&str, &str); 2] = [
    ("minimum", "exclusiveMinimum"),
    ("maximum", "exclusiveMaximum"),
];
/// Keywords by which an object is known as a schema.
const SCHEMA: [&str; 6] = ["type", "allOf", "anyOf", "oneOf", "properties", "enum"];

/// Translates one schema, without those in it.
pub(super) fn translate(schema: &mut Map<String, Value>) {
    for (bound, exclusive) in BOUNDS {
        match schema.get(exclusive) {
            Some(Value::Bool(true)) => {
                schema.remove(exclusive);
                if let Some(value) = schema.remove(bound) {
                    schema.insert(exclusive.to_owned(), value);
                }
            }
            Some(Value::Bool(false)) => _ = schema.remove(exclusive),
            _ => {}
        }
    }
    let is_nullable = schema.get("nullable").is_some_and(Value::is_boolean)
        && schema.remove("nullable") == Some(Value::Bool(true));
    // Without a type it says nothing (OpenAPI 3.0.3, proposal 2019-10-31).
    if is_nullable && let Some(Value::String(name)) = schema.get("type").cloned() {
        schema.insert("type".to_owned(), json!([name, "null"]));
        if let Some(Value::Array(list)) = schema.get_mut("enum")
            && !list.contains(&Value::Null)
        {
            list.push(Value::Null);
        }
    }
    let is_schema = SCHEMA.iter().any(|keyword| schema.contains_key(*keyword));
    if is_schema && let Some(example) = schema.remove("example") {
        schema.insert("examples".to_owned(), json!([example]));
    }
}
