//! Says where and why a body could not be read, in the words of JSON: no name of a type of ours
//! leaves through here.

use serde::Deserialize;
use serde_json::error::Category;

use hookseal_domain::violation::Violation;

use crate::api::error::violations::Violations;
use crate::api::input::objects::Objects;

/// Parses once more to find the place of the error: only bad requests pay for that.
pub(super) fn located<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Violations {
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let (path, error) = match serde_path_to_error::deserialize::<_, T>(Objects(&mut parser)) {
        Err(error) => (path_of(error.path()), error.into_inner()),
        Ok(_) => match parser.end() {
            Err(error) => (Vec::new(), error),
            Ok(()) => (Vec::new(), serde::de::Error::custom("is not valid JSON")),
        },
    };
    if error.classify() != Category::Data {
        let violation = Violation::new("value_error.jsondecode", error.to_string());
        return Violations::one(&["body"], &violation);
    }
    let mut loc = vec!["body"];
    loc.extend(path.iter().map(String::as_str));
    Violations::one(&loc, &plain(&error.to_string()))
}

/// A value that has to be an object.
fn not_an_object() -> Violation {
    type_error("must be a JSON object")
}

/// The parser's words for a value of the wrong type, in ours.
fn plain(text: &str) -> Violation {
    // Without line and column, which say nothing of a value.
    let text = text.rsplit_once(" at line ").map_or(text, |(text, _)| text);
    if text.starts_with("duplicate field ") {
        // With its name, which is one of the contract's.
        return Violation::new("type_error", text.to_owned());
    }
    if let Some(named) = text.strip_prefix("unknown field ") {
        let known = named.split_once(", expected ").map(|(_, known)| known);
        let message = format!("is no field here; it can have {}", known.unwrap_or("none"));
        return Violation::new("value_error.unknown", message);
    }
    let expected = text
        .rsplit_once(", expected ")
        .map(|(_, expected)| expected);
    match expected.unwrap_or_default() {
        "a string" => type_error("must be a string"),
        "a boolean" => type_error("must be a boolean"),
        "a sequence" => type_error("must be an array"),
        "i64" if text.starts_with("invalid value") => {
            Violation::new("value_error.number", "is too large a number")
        }
        "i64" => type_error("must be an integer"),
        "a map" => not_an_object(),
        named if named.starts_with("struct ") => not_an_object(),
        _ => type_error("must be of the type in the reference"),
    }
}

fn type_error(message: &'static str) -> Violation {
    Violation::new("type_error", message)
}

fn path_of(path: &serde_path_to_error::Path) -> Vec<String> {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { variant } => Some(variant.clone()),
            Segment::Unknown => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Shape {
        number: i64,
        text: String,
        flag: bool,
        list: Vec<String>,
        map: BTreeMap<String, String>,
        inner: Option<Box<Self>>,
    }

    #[test]
    fn types_are_told_in_plain_words() {
        let check = |value: &str, field: &str, rule: &str, msg: &str| {
            let body = format!("{{\"{field}\": {value}}}");
            let found = located::<Shape>(body.as_bytes()).into_vec();
            let [found] = found.as_slice() else {
                panic!("{found:?}")
            };
            assert_eq!((found.rule.as_str(), found.msg.as_str()), (rule, msg));
            assert_eq!(found.loc, ["body", field], "{body}");
        };
        for value in ["1.5", "\"1\"", "null", "true", "[]", "{}", "1e30"] {
            check(value, "number", "type_error", "must be an integer");
        }
        let large = (u64::MAX).to_string();
        let too_large = "is too large a number";
        check(&large, "number", "value_error.number", too_large);
        for value in ["1", "null", "true", "[]", "{}"] {
            check(value, "text", "type_error", "must be a string");
        }
        check("\"true\"", "flag", "type_error", "must be a boolean");
        let lying = "\"x, expected i64 at line 5\"";
        check(lying, "flag", "type_error", "must be a boolean");
        check("{}", "list", "type_error", "must be an array");
        check("\"a\"", "list", "type_error", "must be an array");
        check("[]", "map", "type_error", "must be a JSON object");
        for value in ["5", "[]", "[1, \"a\"]"] {
            check(value, "inner", "type_error", "must be a JSON object");
        }
    }

    #[test]
    fn a_field_is_given_once() {
        let found = located::<Shape>(b"{\"text\": \"a\", \"text\": \"b\"}").into_vec();
        assert_eq!(found[0].rule, "type_error");
        assert_eq!(found[0].msg, "duplicate field `text`");
    }
}
