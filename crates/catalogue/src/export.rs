//! The catalogue as a document that others' tools read, and that can be imported again.

use serde_json::{Map, Value, json};

use hookseal_domain::event_type::validation::ValidationMode;

use crate::embedded::embedded;
use crate::import::EXTENSION;
use crate::json::joined;
use crate::schema_set::SchemaSet;

/// What an exported document is called.
const TITLE: &str = "Event catalogue";

/// An event type to write down.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    /// Its name.
    pub name: String,
    /// For people.
    pub description: String,
    /// Offered with a warning.
    pub deprecated: bool,
    /// Shown only to applications with one of these flags.
    pub feature_flags: Vec<String>,
    /// For display in groups.
    pub group_name: Option<String>,
    /// What becomes of payloads that do not match.
    pub validation: ValidationMode,
    /// Its schemas.
    pub schemas: SchemaSet,
}

/// As OpenAPI 3.1. The same event types make the same document.
pub fn openapi(event_types: &[Exported]) -> Value {
    let mut webhooks = Map::new();
    let mut schemas = Map::new();
    for event_type in event_types {
        let name = &event_type.name;
        let own = event_type.own(&format!("/webhooks/{name}/post"));
        let answer = json!({"2XX": {"description": "The event was accepted."}});
        let mut operation = Map::from_iter([
            ("description".to_owned(), json!(event_type.description)),
            ("deprecated".to_owned(), json!(event_type.deprecated)),
            (EXTENSION.to_owned(), json!(own)),
            ("responses".to_owned(), answer),
        ]);
        if let Some((_, schema)) = event_type.schemas.newest() {
            let at = format!("/components/schemas/{name}");
            schemas.insert(name.clone(), embedded(schema, &at));
            let content = json!({"application/json": {"schema": {"$ref": format!("#{at}")}}});
            let body = json!({"required": true, "content": content});
            operation.insert("requestBody".to_owned(), body);
        }
        webhooks.insert(name.clone(), json!({"post": operation}));
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": "1.0.0"},
        "webhooks": webhooks,
        "components": {"schemas": schemas},
    })
}

/// As AsyncAPI 3.0. The same event types make the same document.
pub fn asyncapi(event_types: &[Exported]) -> Value {
    let mut messages = Map::new();
    let mut of_channel = Map::new();
    for event_type in event_types {
        let name = &event_type.name;
        let at = format!("/components/messages/{name}");
        let mut own = event_type.own(&at);
        own.insert("deprecated".to_owned(), json!(event_type.deprecated));
        let mut message = Map::from_iter([
            ("name".to_owned(), json!(name)),
            ("contentType".to_owned(), json!("application/json")),
            ("description".to_owned(), json!(event_type.description)),
            (EXTENSION.to_owned(), json!(own)),
        ]);
        if let Some((_, schema)) = event_type.schemas.newest() {
            let payload = json!({
                "schemaFormat": format(schema),
                "schema": embedded(schema, &format!("{at}/payload/schema")),
            });
            message.insert("payload".to_owned(), payload);
        }
        messages.insert(name.clone(), Value::Object(message));
        of_channel.insert(name.clone(), json!({"$ref": format!("#{at}")}));
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {"title": TITLE, "version": "1.0.0"},
        "defaultContentType": "application/json",
        "channels": {"webhooks": {"address": null, "messages": of_channel}},
        "operations": {"sendEvent": {"action": "send", "channel": {"$ref": "#/channels/webhooks"}}},
        "components": {"messages": messages},
    })
}

/// What AsyncAPI calls the dialect of a schema.
fn format(schema: &Value) -> &'static str {
    let named = schema.get("$schema").and_then(Value::as_str);
    if named.is_some_and(|named| named.contains("draft-07")) {
        "application/schema+json;version=draft-07"
    } else {
        "application/schema+json;version=draft-2020-12"
    }
}

// === impl Exported ===

impl Exported {
    /// What these documents have no words for. `pointer` is where it is described.
    fn own(&self, pointer: &str) -> Map<String, Value> {
        let mut own = Map::from_iter([
            ("featureFlags".to_owned(), json!(self.feature_flags)),
            ("groupName".to_owned(), json!(self.group_name)),
            ("validation".to_owned(), json!(self.validation.as_str())),
        ]);
        if let Some((version, _)) = self.schemas.newest() {
            let at = joined(&joined(pointer, EXTENSION), "versions");
            let older = self.schemas.iter().filter(|(name, _)| *name != version);
            let older: Map<_, _> = older
                .map(|(name, schema)| (name.clone(), embedded(schema, &joined(&at, name))))
                .collect();
            own.insert("version".to_owned(), json!(version));
            own.insert("versions".to_owned(), Value::Object(older));
        }
        own
    }
}

#[cfg(test)]
mod tests;
