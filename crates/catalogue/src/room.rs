//! How much may still be copied out of a document: several schemas bring the same along, each for itself.

use serde_json::Value;

use crate::limits::{IMPORT_BYTES_MAX, IMPORT_BYTES_PER_PATTERN, IMPORT_BYTES_PER_VALUE};

/// What is left of the bound.
#[derive(Debug)]
pub(crate) struct Room {
    left: usize,
}

/// There is no more.
#[derive(Debug)]
pub(crate) struct NoRoom;

// === impl Room ===

impl Room {
    /// Takes the room that a value needs without what is in it.
    pub(crate) fn take(&mut self, value: &Value) -> Result<(), NoRoom> {
        let bytes = match value {
            Value::String(text) => text.len(),
            Value::Object(map) => {
                let names: usize = map.keys().map(String::len).sum();
                let named = |keyword: &str| map.get(keyword).and_then(Value::as_object);
                let patterns = usize::from(map.get("pattern").is_some_and(Value::is_string));
                let more = named("patternProperties").map_or(0, serde_json::Map::len);
                let patterns = patterns.saturating_add(more);
                names.saturating_add(patterns.saturating_mul(IMPORT_BYTES_PER_PATTERN))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => 0,
        };
        let bytes = bytes.saturating_add(IMPORT_BYTES_PER_VALUE);
        self.left = self.left.checked_sub(bytes).ok_or(NoRoom)?;
        Ok(())
    }

    /// Takes the room that a value needs.
    pub(crate) fn take_all(&mut self, value: &Value) -> Result<(), NoRoom> {
        let mut open = vec![value];
        while let Some(value) = open.pop() {
            self.take(value)?;
            match value {
                Value::Object(map) => open.extend(map.values()),
                Value::Array(list) => open.extend(list),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Default for Room {
    fn default() -> Self {
        Self {
            left: IMPORT_BYTES_MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_is_counted() {
        let check = |value: Value, expect: usize| {
            let mut room = Room::default();
            room.take_all(&value).unwrap();
            assert_eq!(IMPORT_BYTES_MAX - room.left, expect, "{value}");
        };
        let value = IMPORT_BYTES_PER_VALUE;
        check(json!(null), value);
        check(json!("abc"), value + 3);
        check(json!({"ab": ["c", 1]}), 4 * value + 3);
        let patterns = json!({"pattern": "x", "patternProperties": {"y": true, "z": true}});
        let names = "pattern".len() + "patternProperties".len();
        let expect = 5 * value + names + 3 + 3 * IMPORT_BYTES_PER_PATTERN;
        check(patterns, expect);
        let mut room = Room::default();
        assert!(room.take_all(&json!("x".repeat(IMPORT_BYTES_MAX))).is_err());
    }
}
