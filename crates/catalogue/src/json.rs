//! Places in a JSON document: pointers (RFC 6901), and references to within the document.

use serde_json::Value;

/// A pointer with one more step.
pub(crate) fn joined(pointer: &str, step: &str) -> String {
    format!("{pointer}/{}", step.replace('~', "~0").replace('/', "~1"))
}

/// The steps of a pointer, as they are written in the document.
pub fn steps(pointer: &str) -> impl Iterator<Item = String> + '_ {
    let steps = pointer.split('/').skip(1);
    steps.map(|step| step.replace("~1", "/").replace("~0", "~"))
}

/// The fragment of a reference to within its own document, decoded; `None` of any other.
pub(crate) fn local_fragment(reference: &str) -> Option<String> {
    decoded(reference.strip_prefix('#')?)
}

/// Takes percent-encoding away (RFC 3986 §2.1).
fn decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let [high, low] = [rest.next()?, rest.next()?];
        let pair = [high, low];
        let pair = std::str::from_utf8(&pair).ok()?;
        bytes.push(u8::from_str_radix(pair, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// How many levels of objects and lists a value has; a plain value has none.
pub(crate) fn levels(value: &Value) -> usize {
    let mut open = vec![(value, 0_usize)];
    let mut most = 0;
    while let Some((value, above)) = open.pop() {
        match value {
            Value::Object(map) => open.extend(map.values().map(|inner| (inner, above + 1))),
            Value::Array(list) => open.extend(list.iter().map(|inner| (inner, above + 1))),
            _ => continue,
        }
        most = most.max(above + 1);
    }
    most
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_decoded() {
        let check = |text: &str, expect: Option<&str>| {
            assert_eq!(local_fragment(text).as_deref(), expect, "{text}");
        };
        check("#", Some(""));
        check("#/$defs/a%20b", Some("/$defs/a b"));
        check("#/a%c3%bc", Some("/aü"));
        check("#/a%2", None);
        check("#/a%zz", None);
        check("other.json#/a", None);
    }

    #[test]
    fn steps_are_unescaped() {
        let pointer = joined(&joined("", "a/b"), "c~d");
        assert_eq!(pointer, "/a~1b/c~0d");
        assert_eq!(steps(&pointer).collect::<Vec<_>>(), ["a/b", "c~d"]);
        assert_eq!(steps("").count(), 0);
    }

    #[test]
    fn levels_are_counted() {
        let check = |value: Value, expect| assert_eq!(levels(&value), expect, "{value}");
        check(json!(1), 0);
        check(json!({}), 1);
        check(json!({"a": [[], 1], "b": {}}), 3);
    }
}
