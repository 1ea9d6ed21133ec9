//! What is a schema, and what matches it.

use serde_json::json;

use super::*;

fn fault(schema: Value) -> (String, String) {
    let fault = Schema::compile("1", &schema).unwrap_err();
    (fault.pointer, fault.rule)
}

fn refused(schema: Value, pointer: &str, part: &str) {
    let (at, rule) = fault(schema.clone());
    assert_eq!(at, pointer, "{schema}: {rule}");
    assert!(rule.contains(part), "{schema}: {rule}");
}

fn mismatch(schema: Value, payload: &str) -> Option<(String, String)> {
    let schema = Schema::compile("1", &schema).unwrap();
    let found = schema.check(payload.as_bytes()).err();
    found.map(|found| (found.pointer, found.keyword))
}

#[test]
fn faults_name_their_place() {
    refused(json!({"type": "objekt"}), "/type", "objekt");
    let inside = json!({"properties": {"a/b": {"minimum": "x"}}});
    refused(inside, "/properties/a~1b/minimum", "number");
    refused(
        json!({"properties": {"a": {"pattern": "("}}}),
        "/properties/a/pattern",
        "regex",
    );
    refused(
        json!({"$schema": "http://json-schema.org/draft-04/schema#"}),
        "/$schema",
        "2020-12",
    );
    refused(json!({"$schema": 4}), "/$schema", "2020-12");
}

#[test]
fn nothing_is_fetched() {
    for elsewhere in [
        "https://example.com/a.json",
        "file:///etc/passwd",
        "other.json#/a",
        "//example.com/x",
        "#/$defs/missing",
        "#missing",
        "#/$defs/%zz",
    ] {
        let schema = json!({"properties": {"a": {"$ref": elsewhere}}});
        refused(schema, "/properties/a/$ref", "nothing is fetched");
    }
    let unused = json!({"$defs": {"a": {"$ref": "https://example.com/a.json"}}});
    refused(unused, "/$defs/a/$ref", "nothing is fetched");
    let other = json!({"$defs": {"a": {"$id": "https://example.com/a.json"}}});
    refused(other, "/$defs/a/$id", "at the top");
}

#[test]
fn schemas_without_an_end_are_refused() {
    refused(json!({"$ref": "#"}), "", "without an end");
    let around = json!({"$ref": "#/$defs/a", "$defs": {
        "a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}});
    assert!(fault(around).1.contains("without an end"));
    let mut doubling = serde_json::Map::new();
    for at in 0..14 {
        let next = format!("#/$defs/d{}", at + 1);
        let both = json!({"allOf": [{"$ref": next}, {"$ref": next}]});
        doubling.insert(format!("d{at}"), both);
    }
    doubling.insert("d14".to_owned(), json!(true));
    let doubling = json!({"$ref": "#/$defs/d0", "$defs": doubling});
    assert!(fault(doubling).1.contains("more than 10000 schemas"));
    let chain = (0..40).fold(json!(true), |inner, _| json!({"not": inner}));
    assert!(fault(chain).1.contains("leads through more than 32"));
}

#[test]
fn schemas_are_bounded() {
    let deep = (0..60).fold(json!(true), |inner, _| json!({"properties": {"a": inner}}));
    refused(deep, "", "nested deeper than 100");
    let many: serde_json::Map<_, _> = (0..10_001).map(|n| (n.to_string(), json!(true))).collect();
    assert!(
        fault(json!({"properties": many}))
            .1
            .contains("one subschema too many")
    );
    let patterns: Vec<_> = (0..501).map(|_| json!({"pattern": "a"})).collect();
    assert!(
        fault(json!({"prefixItems": patterns}))
            .1
            .contains("expression too many")
    );
    let large = json!({"properties": {"a": {"pattern": "(a{1000}){1000}"}}});
    refused(large, "/properties/a/pattern", "4096 KiB");
    let usual = [
        r"^[^@]{1,64}@[^@]{1,255}$",
        r"^\p{Lu}[\p{L} ]{0,30}$",
        r"\p{L}{8}",
    ];
    for pattern in usual {
        assert!(Schema::compile("1", &json!({"pattern": pattern})).is_ok());
    }
    let many: Vec<_> = (0..400).map(|_| json!({"pattern": r"\p{L}{20}"})).collect();
    refused(
        json!({"prefixItems": many}),
        "/prefixItems/0/pattern",
        "KiB",
    );
}

#[test]
fn a_mismatch_names_payload_and_keyword() {
    let schema = || {
        json!({"type": "object", "required": ["id"], "properties": {
            "id": {"type": "string", "pattern": "^[a-z]+$"},
            "lines": {"items": {"$ref": "#/$defs/line"}}},
            "$defs": {"line": {"properties": {"sum": {"type": "integer", "minimum": 0}}}}})
    };
    let check = |payload: &str, expect: Option<(&str, &str)>| {
        let found = mismatch(schema(), payload);
        let found = found
            .as_ref()
            .map(|(at, keyword)| (at.as_str(), keyword.as_str()));
        assert_eq!(found, expect, "{payload}");
    };
    check(r#"{"id": "a", "lines": [{"sum": 0}]}"#, None);
    check("{}", Some(("", "required")));
    check(r#"{"id": 1}"#, Some(("/id", "type")));
    check(r#"{"id": "A"}"#, Some(("/id", "pattern")));
    check(
        r#"{"id": "a", "lines": [{}, {"sum": -1}]}"#,
        Some(("/lines/1/sum", "minimum")),
    );
    check(r#"{"id": "a", "n": 1e400}"#, Some(("", "(limit)")));
}

#[test]
fn a_mismatch_tells_no_value() {
    let schema = json!({"properties": {"a": {"enum": ["x"]}, "b": {"maxLength": 3}}});
    let schema = Schema::compile("7", &schema).unwrap();
    for payload in [r#"{"a": "hush-hush"}"#, r#"{"b": "hush-hush"}"#] {
        let found = schema.check(payload.as_bytes()).unwrap_err();
        assert!(!format!("{found:?}").contains("hush"), "{found:?}");
        assert_eq!(found.version, "7");
    }
}

#[test]
fn each_dialect_has_its_own_meaning() {
    let seven = "http://json-schema.org/draft-07/schema#";
    let pair = |dialect: &str, keyword: &str| {
        let mut schema = json!({"$schema": dialect});
        schema["properties"] = json!({"a": {keyword: [{"type": "string"}]}});
        schema
    };
    let wrong = r#"{"a": [1]}"#;
    let found = mismatch(pair(seven, "items"), wrong);
    assert_eq!(found, Some(("/a/0".to_owned(), "type".to_owned())));
    assert_eq!(mismatch(pair(seven, "prefixItems"), wrong), None);
    let later = "https://json-schema.org/draft/2020-12/schema";
    let found = mismatch(pair(later, "prefixItems"), wrong);
    assert_eq!(found, Some(("/a/0".to_owned(), "type".to_owned())));
    assert_eq!(fault(pair(later, "items")).0, "/properties/a/items");
}

#[test]
fn payloads_that_would_take_for_ever_are_not_looked_at() {
    let again = json!({"properties": {"x": {"$ref": "#"}}});
    let schema = Schema::compile("1", &json!({"allOf": [again, again]})).unwrap();
    let nested = |levels: usize| {
        let open = "{\"x\":".repeat(levels);
        format!("{open}{{}}{}", "}".repeat(levels))
    };
    assert_eq!(schema.check(nested(8).as_bytes()), Ok(()));
    let found = schema.check(nested(90).as_bytes()).unwrap_err();
    assert_eq!(found.keyword, "(limit)");
}

#[test]
fn the_longest_chain_fits_on_the_stack() {
    // Up to the bound, at each of the most levels that a payload has, on a thread of the usual size.
    let chain = (0..15).fold(
        json!({"properties": {"x": {"$ref": "#"}}}),
        |inner, _| json!({"allOf": [{"anyOf": [inner]}]}),
    );
    let payload = format!("{}{{}}{}", "{\"x\":".repeat(99), "}".repeat(99));
    let check = move || {
        Schema::compile("1", &chain)
            .unwrap()
            .check(payload.as_bytes())
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    assert_eq!(thread.spawn(check).unwrap().join().unwrap(), Ok(()));
}

/// At each level every branch fails in its turn, so that what is wrong with all of them would take
/// gigabytes.
fn branching(branches: usize) -> Value {
    let branch = json!({"properties": {"a": {"$ref": "#/$defs/n"}}});
    let one_of: Vec<_> = (0..branches).map(|_| branch.clone()).collect();
    json!({"$defs": {"n": {"oneOf": one_of}}, "$ref": "#/$defs/n"})
}

#[test]
fn where_a_payload_fails_is_not_said_at_any_price() {
    let nested = |levels| (0..levels).fold(json!(1), |inner, _| json!({"a": inner}));
    let schema = Schema::compile("1", &branching(2)).unwrap();
    let found = |levels| {
        let payload = nested(levels).to_string();
        let comparison = schema.read(payload.as_bytes()).unwrap();
        let found = comparison.compare().unwrap_err();
        (comparison.is_quick(), found.keyword)
    };
    assert_eq!(found(3), (true, "oneOf".to_owned()));
    assert_eq!(found(16), (false, "(limit)".to_owned()));
    assert!(schema.read(nested(40).to_string().as_bytes()).is_err());
}
