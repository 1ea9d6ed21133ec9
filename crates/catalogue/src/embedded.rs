//! A schema as it stands inside of a larger document.
//!
//! **Invariant:** it means the same there, and `standalone` makes the same of it again.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::graph::anchors;
use crate::json::local_fragment;
use crate::keywords::{DATA, MAPS, REFERENCES};

/// A schema as it stands at a pointer of a larger document: its references lead to there. Names that
/// only those references needed are left out, since in a larger document there may be others like them.
pub(crate) fn embedded(schema: &Value, pointer: &str) -> Value {
    moved(schema, pointer, &anchors(schema))
}

/// Whether two schemas are the same, wherever they stood.
pub(crate) fn are_same(one: &Value, other: &Value) -> bool {
    one == other || embedded(one, "") == embedded(other, "")
}

fn moved(value: &Value, pointer: &str, anchors: &BTreeMap<&str, String>) -> Value {
    match value {
        Value::Array(list) => {
            let items = list.iter().map(|item| moved(item, pointer, anchors));
            Value::Array(items.collect())
        }
        Value::Object(map) => Value::Object(moved_object(map, pointer, anchors)),
        plain => plain.clone(),
    }
}

fn moved_object(
    map: &Map<String, Value>,
    pointer: &str,
    anchors: &BTreeMap<&str, String>,
) -> Map<String, Value> {
    let mut copy = Map::new();
    for (keyword, value) in map {
        let moved_value = match value {
            Value::String(_)
                if matches!(keyword.as_str(), "$id" | "$anchor" | "$dynamicAnchor") =>
            {
                continue;
            }
            Value::String(to) if REFERENCES.contains(&keyword.as_str()) => {
                json!(moved_reference(to, pointer, anchors))
            }
            Value::Object(named) if MAPS.contains(&keyword.as_str()) => {
                let named = named
                    .iter()
                    .map(|(name, inner)| (name.clone(), moved(inner, pointer, anchors)));
                Value::Object(named.collect())
            }
            data if DATA.contains(&keyword.as_str()) => data.clone(),
            other => moved(other, pointer, anchors),
        };
        copy.insert(keyword.clone(), moved_value);
    }
    copy
}

fn moved_reference(to: &str, pointer: &str, anchors: &BTreeMap<&str, String>) -> String {
    match local_fragment(to) {
        Some(at) if at.is_empty() || at.starts_with('/') => {
            format!("#{}{}", encoded(pointer), encoded(&at))
        }
        Some(name) => match anchors.get(name.as_str()) {
            Some(at) => format!("#{}{}", encoded(pointer), encoded(at)),
            None => to.to_owned(),
        },
        // No reference, whatever it is called.
        None => to.to_owned(),
    }
}

/// A pointer as a fragment has it (RFC 6901 §6).
pub(crate) fn encoded(pointer: &str) -> String {
    let mut text = String::with_capacity(pointer.len());
    for byte in pointer.bytes() {
        match byte {
            b if b.is_ascii_alphanumeric() || b"/-_.~$".contains(&b) => text.push(char::from(b)),
            b => text.push_str(&format!("%{b:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_lead_to_where_it_stands() {
        let schema = json!({
            "$id": "https://example.com/own", "$anchor": "top",
            "$defs": {"a b": {"$anchor": "x"}, "$ref": {"type": "null"}},
            "properties": {"$id": {"$ref": "#"}, "$ref": {"$ref": "#x"}, "y": {"$dynamicRef": "#top"}},
            "items": {"$ref": "#/$defs/a%20b"}, "default": {"$ref": "#/data"}, "x-own": {"$ref": "data"},
        });
        let expect = json!({
            "$defs": {"a b": {}, "$ref": {"type": "null"}},
            "properties": {"$id": {"$ref": "#/in/a~1b"}, "$ref": {"$ref": "#/in/a~1b/$defs/a%20b"},
                "y": {"$dynamicRef": "#/in/a~1b"}},
            "items": {"$ref": "#/in/a~1b/$defs/a%20b"}, "default": {"$ref": "#/data"},
            "x-own": {"$ref": "data"},
        });
        assert_eq!(embedded(&schema, "/in/a~1b"), expect);
    }

    #[test]
    fn what_differs_only_in_names_is_the_same() {
        let one = json!({"$id": "https://example.com/own", "$defs": {"a": {"$anchor": "x"}}, "$ref": "#x"});
        let other = json!({"$defs": {"a": {}}, "$ref": "#/$defs/a"});
        assert!(are_same(&one, &other));
        let third = json!({"$defs": {"a": {}}, "$ref": "#/$defs/b"});
        assert!(!are_same(&one, &third));
    }
}
