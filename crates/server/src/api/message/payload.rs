//! What a payload has to be. Looks at its bytes, never changes them.

use serde_json::value::RawValue;

use hookseal_domain::violation::Violation;

/// Most levels of objects and lists inside each other, the payload's own among them. Common parsers
/// refuse deeper ones (Ruby's at 101, serde_json at 128): no retry would get them to a receiver.
const LEVELS_MAX: usize = 100;

/// The payload if receivers can read it.
pub(super) fn check_payload(given: &RawValue) -> Result<&RawValue, Violation> {
    let text = given.get();
    if !text.starts_with('{') {
        return Err(Violation::new("type_error", "must be a JSON object"));
    }
    if levels(text) > LEVELS_MAX {
        let message = format!("must not be nested deeper than {LEVELS_MAX} levels");
        return Err(Violation::new("value_error.nesting", message));
    }
    Ok(given)
}

/// How many levels a JSON text has. It is known to be JSON: brackets outside of texts are balanced.
fn levels(json: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_text(&mut bytes),
            b'{' | b'[' => {
                open += 1;
                most = most.max(open);
            }
            b'}' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    most
}

/// Goes on behind the end of the text that has begun.
fn skip_text(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            // What is escaped ends nothing; the rest of a `\u` escape holds no quote.
            b'\\' => _ = bytes.next(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_do_not_count() {
        let check = |json: &str, expect: usize| assert_eq!(levels(json), expect, "{json}");
        check("{}", 1);
        check(r#"{"a": [[], {}], "b": {}}"#, 3);
        check(r#"{"[[{": "{[\"{[", "a": []}"#, 2);
        check(r#"{"a": "\\", "b": [[]]}"#, 3);
        check(r#"{"a": "\ud800\u005b["}"#, 1);
    }

    #[test]
    fn payloads_are_objects_of_bounded_depth() {
        let check = |json: String, expect: Result<(), &str>| {
            let raw = RawValue::from_string(json).unwrap();
            let got = check_payload(&raw).map(|_| ());
            assert_eq!(got.map_err(|violation| violation.rule), expect);
        };
        let nested =
            |lists: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(lists), "]".repeat(lists));
        check(nested(99), Ok(()));
        check(nested(100), Err("value_error.nesting"));
        check(nested(100_000), Err("value_error.nesting"));
        check("[]".to_owned(), Err("type_error"));
    }
}
