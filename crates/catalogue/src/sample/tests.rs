//! Examples fulfil the schemas that they are made from.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn check(schema: Value, expect: Value) {
    assert_eq!(Value::Object(sample(&schema)), expect, "{schema}");
}

#[test]
fn what_the_schema_gives_comes_first() {
    check(
        json!({"examples": [{"a": 1}, {"a": 2}], "default": {}}),
        json!({"a": 1}),
    );
    let properties = json!({"a": {"const": 5}, "b": {"enum": ["x", "y"]}, "c": {"default": null},
        "d": {"type": "string", "examples": ["given"]}});
    check(
        json!({"properties": properties}),
        json!({"a": 5, "b": "x", "c": null, "d": "given"}),
    );
}

#[test]
fn types_formats_and_bounds_are_kept() {
    let schema = json!({"type": "object", "required": ["id", "extra"], "properties": {
        "at": {"type": "string", "format": "date-time"},
        "count": {"type": "integer", "exclusiveMinimum": 3, "multipleOf": 5},
        "flag": {"type": "boolean"},
        "id": {"type": "string", "pattern": "^inv_[0-9a-f]{4}$"},
        "list": {"type": "array", "minItems": 2, "uniqueItems": true, "items": {"type": "string"}},
        "nothing": {"type": ["null"]},
        "rate": {"type": "number", "maximum": -1.5},
        "short": {"type": "string", "maxLength": 3},
    }});
    let expect = json!({"at": "2026-01-31T12:00:00Z", "count": 5, "extra": "string", "flag": true,
        "id": "inv_aaaa", "list": ["string", "1-string"], "nothing": null, "rate": -1.5,
        "short": "str"});
    check(schema, expect);
}

#[test]
fn branches_are_tried_until_one_fits() {
    let one =
        json!({"properties": {"kind": {"const": "a"}, "x": false}, "required": ["kind", "x"]});
    let two = json!({"properties": {"kind": {"const": "b"}}, "required": ["kind"]});
    check(
        json!({"type": "object", "oneOf": [one, two]}),
        json!({"kind": "b"}),
    );
}

#[test]
fn recursion_ends() {
    let schema = json!({"$ref": "#/$defs/node", "$defs": {"node": {"type": "object",
        "properties": {"next": {"$ref": "#/$defs/node"}, "v": {"type": "integer"}},
        "required": ["v"]}}});
    let made = Value::Object(sample(&schema));
    assert_eq!(made["next"]["next"]["v"], 1);
    assert!(Schema::compile("", &schema).unwrap().matches_quickly(made));
    // Nothing finite fulfils this one.
    let endless = json!({"properties": {"n": {"$ref": "#"}}, "required": ["n"]});
    assert_eq!(sample(&endless), Map::new());
    let wide: Map<_, _> = (0..20)
        .map(|n| (format!("p{n}"), json!({"$ref": "#"})))
        .collect();
    let made = Value::Object(sample(&json!({"properties": wide})));
    assert!(made.to_string().len() < 100_000);
}

#[test]
fn large_wishes_are_bounded() {
    let schema = json!({"properties": {
        "list": {"minItems": 1_000_000, "items": {"minItems": 1_000_000}},
        "text": {"minLength": 1_000_000_000},
        "pattern": {"pattern": "^(a{1000}){100}$"},
    }, "minProperties": 1_000_000});
    assert!(json!(sample(&schema)).to_string().len() < 100_000);
}

/// Schemas that something fulfils.
fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({"type": "boolean"})),
        Just(json!({"type": "null"})),
        (-100_i64..100, 0_i64..50).prop_map(|(low, more)| {
            json!({"type": "integer", "minimum": low, "maximum": low + more})
        }),
        (-100_i64..100, 1_i64..20).prop_map(|(low, step)| {
            json!({"type": "number", "exclusiveMinimum": low, "multipleOf": step})
        }),
        (0_u64..30, 0_u64..30).prop_map(|(min, more)| {
            json!({"type": "string", "minLength": min, "maxLength": min + more})
        }),
        "[a-z]{1,4}(-[0-9]{1,3})?".prop_map(|text| json!({"const": text})),
        (1_usize..9)
            .prop_map(|n| json!({"type": "string", "pattern": format!("^[A-F0-9]{{{n}}}-x+$")})),
        prop::sample::select(vec!["date-time", "uuid", "email", "ipv4", "uri"])
            .prop_map(|format| json!({"type": "string", "format": format})),
    ];
    let inner = leaf.prop_recursive(4, 40, 4, |inner| {
        let objects = prop::collection::btree_map("[a-e]", inner.clone(), 0..4);
        let lists = (inner.clone(), 0_u64..4)
            .prop_map(|(items, min)| json!({"type": "array", "items": items, "minItems": min}));
        let object = |map: std::collections::BTreeMap<String, Value>| {
            let required: Vec<_> = map.keys().cloned().collect();
            json!({"type": "object", "properties": map, "required": required,
                "additionalProperties": false})
        };
        prop_oneof![
            objects.prop_map(object),
            lists,
            inner.clone().prop_map(|one| json!({"anyOf": [one, true]})),
            inner.prop_map(|one| json!({"allOf": [one]})),
        ]
    });
    prop::collection::btree_map("[a-e]", inner, 0..5).prop_map(|map| {
        let refs: Map<_, _> = map
            .keys()
            .map(|name| (name.clone(), json!({"$ref": format!("#/$defs/{name}")})))
            .collect();
        let required: Vec<_> = map.keys().cloned().collect();
        json!({"type": "object", "properties": refs, "required": required, "$defs": map})
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn examples_fulfil_their_schemas(schema in schemas()) {
        let made = Value::Object(sample(&schema));
        let fits = Schema::compile("", &schema).unwrap().check(made.to_string().as_bytes());
        prop_assert_eq!(fits, Ok(()), "{}\n{}", schema, made);
        prop_assert_eq!(Value::Object(sample(&schema)), made);
    }
}

#[test]
fn an_example_that_would_take_long_to_check_is_not_checked() {
    let branch = json!({"properties": {"a": {"$ref": "#/$defs/n"}}});
    let one_of: Vec<_> = (0..5).map(|_| branch.clone()).collect();
    let schema = json!({"$defs": {"n": {"oneOf": one_of}}, "$ref": "#/$defs/n"});
    assert!(sample(&schema).contains_key("a"));
}
