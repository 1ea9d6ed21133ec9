//! The value at a place of a JSON document (RFC 6901), read past everything else.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// The value there, as text that is the same for equal values; `None` if there is none, if it is
/// `null`, or if the document is no JSON.
pub(super) fn value_at(pointer: &str, document: &[u8]) -> Option<String> {
    let mut deserializer = serde_json::Deserializer::from_slice(document);
    let found = At(pointer).deserialize(&mut deserializer).ok()??;
    Some(found.to_string())
}

/// What is left of a pointer: nothing, or `/` and more.
#[derive(Clone, Copy)]
struct At<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() {
            let value = Value::deserialize(from)?;
            return Ok((!value.is_null()).then_some(value));
        }
        from.deserialize_any(self)
    }
}

impl At<'_> {
    /// The next name, unescaped, and what is left then.
    fn step(&self) -> (Cow<'_, str>, Self) {
        let path = self.0.strip_prefix('/').unwrap_or(self.0);
        let (name, rest) = match path.find('/') {
            Some(end) => path.split_at(end),
            None => (path, ""),
        };
        let name = if name.contains('~') {
            Cow::Owned(name.replace("~1", "/").replace("~0", "~"))
        } else {
            Cow::Borrowed(name)
        };
        (name, At(rest))
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (name, rest) = self.step();
        let mut found = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == name {
                // The last of equal names counts, as for most readers.
                found = map.next_value_seed(rest)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let (name, rest) = self.step();
        let plain = name == "0" || !name.starts_with(['0', '+']);
        let wanted: Option<usize> = name.parse().ok().filter(|_| plain);
        let mut found = None;
        for index in 0_usize.. {
            let more = if Some(index) == wanted {
                list.next_element_seed(rest)?.map(|value| found = value)
            } else {
                list.next_element::<IgnoredAny>()?.map(drop)
            };
            if more.is_none() {
                break;
            }
        }
        Ok(found)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(pointer: &str, document: &str) -> Option<String> {
        value_at(pointer, document.as_bytes())
    }

    #[test]
    fn values_are_found_where_they_are() {
        let document = r#"{"user": {"id": 7, "a/b": [true, {"~": "x"}], "no": null}, "": "y"}"#;
        for (pointer, value) in [
            ("/user/id", Some("7")),
            ("/user/a~1b/0", Some("true")),
            ("/user/a~1b/1/~0", Some(r#""x""#)),
            ("/user/a~1b/1", Some(r#"{"~":"x"}"#)),
            ("/", Some(r#""y""#)),
            ("/user/no", None),
            ("/user/name", None),
            ("/user/id/more", None),
            ("/user/a~1b/2", None),
            ("/user/a~1b/00", None),
            ("/user/a~1b/-", None),
        ] {
            assert_eq!(at(pointer, document).as_deref(), value, "{pointer}");
        }
    }

    #[test]
    fn equal_values_have_equal_texts() {
        let texts = [
            r#"{"a": "é"}"#,
            r#"{"b": 1, "a":"\u00e9"}"#,
            r#"{"a":0,"a":"é"}"#,
        ];
        for text in texts {
            assert_eq!(at("/a", text).as_deref(), Some("\"é\""), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_has_no_values() {
        for document in ["", "{", "{\"a\": }", "[1, 2", "7"] {
            assert_eq!(at("/a", document), None, "{document}");
        }
        let deep = "[".repeat(10_000);
        assert_eq!(at("/0", &deep), None);
    }
}
