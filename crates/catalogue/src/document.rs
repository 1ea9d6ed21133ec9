//! A document as somebody wrote it, in JSON or YAML.
//!
//! **Invariant:** what YAML's aliases make of a document is bounded, in values and in bytes.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{DuplicateKeyPolicy, Options};

use crate::json::levels;
use crate::limits::{ALIASES_MAX, DOCUMENT_LEVELS_MAX, IMPORT_BYTES_MAX, IMPORT_BYTES_PER_VALUE};

/// A document that can't be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unreadable {
    /// It is written in no such notation, or goes beyond its bounds.
    #[error("can be read neither as JSON nor as YAML: {0}")]
    Notation(String),
    /// It is nested too deep.
    #[error("is nested deeper than {DOCUMENT_LEVELS_MAX} levels")]
    Levels,
}

/// Reads a document: JSON if it begins like an object of JSON and is one, else YAML.
pub fn parse(text: &str) -> Result<Value, Unreadable> {
    parse_within(text, IMPORT_BYTES_MAX)
}

fn parse_within(text: &str, bytes_max: usize) -> Result<Value, Unreadable> {
    let begins_like_json = text.trim_start().starts_with('{');
    if begins_like_json && let Ok(value) = serde_json::from_str(text) {
        return if levels(&value) > DOCUMENT_LEVELS_MAX {
            Err(Unreadable::Levels)
        } else {
            Ok(value)
        };
    }
    let left = Cell::new(bytes_max);
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, options(), |yaml| {
        Bounded(&left).deserialize(yaml)
    });
    read.map_err(|error| Unreadable::Notation(error.to_string()))
}

fn options() -> Options {
    let budget = serde_saphyr::budget! {
        max_depth: DOCUMENT_LEVELS_MAX,
        flow_nesting_limit: DOCUMENT_LEVELS_MAX,
        max_aliases: ALIASES_MAX,
        max_anchors: ALIASES_MAX,
        max_documents: 1,
    };
    serde_saphyr::options! {
        budget: budget,
        strict_booleans: true,
        duplicate_keys: DuplicateKeyPolicy::Error,
        // A picture of the place, of several lines.
        with_snippet: false,
    }
}

/// Reads a value and takes it from what is left.
#[derive(Clone, Copy)]
struct Bounded<'b>(&'b Cell<usize>);

impl Bounded<'_> {
    fn take<E: Error>(self, bytes: usize) -> Result<(), E> {
        let left = self
            .0
            .get()
            .checked_sub(bytes.saturating_add(IMPORT_BYTES_PER_VALUE));
        let left =
            left.ok_or_else(|| E::custom("it is too large when its aliases are written out"))?;
        self.0.set(left);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has as well")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.take(0).map(|()| Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.take(0).map(|()| Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.take(0).map(|()| Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.take(0)?;
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number has no end"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.take(value.len()).map(|()| Value::from(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.take(0).map(|()| Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.take(0)?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        self.take(0)?;
        let mut map = Map::new();
        // Keys such as `200` are texts as well.
        while let Some(name) = entries.next_key::<String>()? {
            self.take(name.len())?;
            let value = entries.next_value_seed(self)?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_notations_are_read() {
        let expect = json!({"openapi": "3.1.0", "a": {"200": [1, -2, 1.5, true, null, "no"]}});
        assert_eq!(parse(&expect.to_string()), Ok(expect.clone()));
        let yaml = "openapi: 3.1.0\na:\n  200: &list [1, -2, 1.5, true, null, no]\n";
        assert_eq!(parse(yaml), Ok(expect));
        assert_eq!(
            parse("a: &x {b: 1}\nc: *x\n"),
            Ok(json!({"a": {"b": 1}, "c": {"b": 1}}))
        );
    }

    #[test]
    fn hostile_documents_are_refused() {
        let bomb = (1..9).fold(
            "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(),
            |bomb, at| {
                let inner = vec![format!("*a{}", at - 1); 9].join(", ");
                format!("{bomb}a{at}: &a{at} [{inner}]\n")
            },
        );
        let long = format!(
            "a: &a {}\nb: [{}]\n",
            "x".repeat(1 << 16),
            vec!["*a"; 40].join(", ")
        );
        let deep = "[".repeat(100_000);
        let nested = format!("{}1{}", "{\"a\":".repeat(500), "}".repeat(500));
        for text in [
            bomb,
            long,
            deep,
            nested,
            "a: *b".to_owned(),
            "a: 1\na: 2".to_owned(),
            "\0".to_owned(),
        ] {
            let refused = parse_within(&text, 1 << 20).unwrap_err().to_string();
            assert!(refused.len() < 300, "{refused}");
        }
    }
}
