//! What a document says in words of this server's own: others' tools leave such an extension alone.

use serde_json::{Map, Value};

use hookseal_domain::event_type::validation::ValidationMode;

use crate::import::Fault;
use crate::json::joined;

/// Where it stands in what describes an event type.
pub const EXTENSION: &str = "x-hookseal-event-type";

/// What a document says of an event type besides what all documents say. What it says nothing of is
/// `None`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Own {
    /// Its name, where the document calls it otherwise.
    pub name: Option<String>,
    /// Offered with a warning.
    pub deprecated: Option<bool>,
    /// Shown only to applications with one of these flags, as they were given.
    pub feature_flags: Option<Vec<String>>,
    /// For display in groups, as it was given; `Some(None)` for none.
    pub group_name: Option<Option<String>>,
    /// What becomes of payloads that do not match.
    pub validation: Option<ValidationMode>,
    /// What the version of the schema is called.
    pub version: Option<String>,
}

// === impl Own ===

impl Own {
    /// Reads it where it stands in what is described at `pointer`.
    pub(crate) fn read(described: &Value, pointer: &str) -> Result<Self, Fault> {
        let Some(own) = described.get(EXTENSION) else {
            return Ok(Self::default());
        };
        let reader = Reader {
            map: own.as_object(),
            at: joined(pointer, EXTENSION),
        };
        if reader.map.is_none() {
            return Err(Fault::at(&reader.at, "must be an object"));
        }
        Ok(Self {
            name: reader.text("name")?.flatten(),
            deprecated: reader.read("deprecated", "must be true or false", Value::as_bool)?,
            feature_flags: reader.read("featureFlags", "must be a list of texts", texts)?,
            group_name: reader.text("groupName")?,
            validation: reader.read("validation", "must be off, warn or enforce", mode)?,
            version: reader.text("version")?.flatten(),
        })
    }
}

struct Reader<'v> {
    map: Option<&'v Map<String, Value>>,
    at: String,
}

impl<'v> Reader<'v> {
    fn read<T>(
        &self,
        name: &str,
        rule: &str,
        read: impl FnOnce(&'v Value) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        let Some(value) = self.map.and_then(|map| map.get(name)) else {
            return Ok(None);
        };
        let read = read(value).ok_or_else(|| Fault::at(&joined(&self.at, name), rule))?;
        Ok(Some(read))
    }

    /// A text; `null` is none.
    fn text(&self, name: &str) -> Result<Option<Option<String>>, Fault> {
        self.read(name, "must be a text", |value| match value {
            Value::Null => Some(None),
            value => value.as_str().map(|text| Some(text.to_owned())),
        })
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let texts = value.as_array()?.iter();
    texts.map(|text| text.as_str().map(str::to_owned)).collect()
}

fn mode(value: &Value) -> Option<ValidationMode> {
    ValidationMode::parse(value.as_str()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_said_is_not_known() {
        let read = |own: Value| Own::read(&json!({EXTENSION: own}), "/a").unwrap();
        assert_eq!(Own::read(&json!({}), "/a"), Ok(Own::default()));
        assert_eq!(read(json!({})), Own::default());
        let full = json!({"name": "n", "deprecated": true, "featureFlags": ["a"], "groupName": null,
            "validation": "warn", "version": "2", "versions": {}});
        let expect = Own {
            name: Some("n".to_owned()),
            deprecated: Some(true),
            feature_flags: Some(vec!["a".to_owned()]),
            group_name: Some(None),
            validation: Some(ValidationMode::Warn),
            version: Some("2".to_owned()),
        };
        assert_eq!(read(full), expect);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |own: Value, expect: &str| {
            let fault = Own::read(&json!({EXTENSION: own}), "/a").unwrap_err();
            assert_eq!(fault.pointer, expect);
        };
        check(json!(1), "/a/x-hookseal-event-type");
        check(
            json!({"deprecated": "yes"}),
            "/a/x-hookseal-event-type/deprecated",
        );
        check(
            json!({"featureFlags": [1]}),
            "/a/x-hookseal-event-type/featureFlags",
        );
        check(
            json!({"groupName": 1}),
            "/a/x-hookseal-event-type/groupName",
        );
        check(
            json!({"validation": "strict"}),
            "/a/x-hookseal-event-type/validation",
        );
    }
}
