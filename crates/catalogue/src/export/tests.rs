//! What is written down is read again, and is the same.

use crate::document::parse;
use crate::import::{Imported, WrongDocument, asyncapi as read_asyncapi, openapi as read_openapi};
use crate::limits::FAULTS_MAX;

use super::*;

fn catalogue() -> Vec<Exported> {
    let line = json!({"type": "object", "properties": {"next": {"$ref": "#/$defs/line"},
        "whole": {"$ref": "#"}, "named": {"$ref": "#the-line"}}, "$anchor": "the-line"});
    let newest = json!({"type": "object", "$defs": {"line": line, "a b": {"type": "null"}},
        "properties": {"line": {"$ref": "#/$defs/line"}, "odd": {"$ref": "#/$defs/a%20b"},
        "default": {"$ref": "#/$defs/line"}}, "default": {"$ref": "data"}, "x-data": {"$ref": "data"}});
    let older = json!({"title": "old", "items": {"$ref": "#"}});
    let seven = json!({"$schema": "http://json-schema.org/draft-07/schema#",
        "definitions": {"x": {"$id": "#x"}}, "properties": {"x": {"$ref": "#/definitions/x"}, "y": {"$ref": "#x"}}});
    let own = json!({"$id": "https://example.com/own", "$defs": {"x": true}, "$ref": "#/$defs/x"});
    let of = |name: &str, schemas: Value| Exported {
        name: name.to_owned(),
        description: format!("About {name}"),
        deprecated: name.starts_with('o'),
        feature_flags: vec!["beta".to_owned()],
        group_name: Some("billing".to_owned()),
        validation: ValidationMode::Warn,
        schemas: SchemaSet::parse(&schemas.to_string()).unwrap(),
    };
    let plain = Exported {
        feature_flags: Vec::new(),
        group_name: None,
        validation: ValidationMode::Off,
        ..of("plain", json!({}))
    };
    vec![
        of(
            "invoice.paid",
            json!({"2": older, "a/b": {"title": "odd"}, "10": newest}),
        ),
        of("old-one", json!({"1": seven})),
        of("own", json!({"1": own})),
        plain,
    ]
}

/// What becomes of the catalogue when this is imported into it.
fn imported(imported: Imported, known: &[Exported]) -> Vec<Exported> {
    assert_eq!(imported.skipped, []);
    let of = |read: crate::import::ImportedType| {
        let known = known.iter().find(|known| known.name == read.name.as_str());
        let schemas = known.map(|known| known.schemas.clone()).unwrap_or_default();
        let merged = read.schemas.merged(&schemas).unwrap();
        Exported {
            name: read.name.to_string(),
            description: read.description,
            deprecated: read.deprecated.unwrap(),
            feature_flags: read.own.feature_flags.unwrap(),
            group_name: read.own.group_name.unwrap(),
            validation: read.own.validation.unwrap(),
            schemas: merged.unwrap_or(schemas),
        }
    };
    imported.event_types.into_iter().map(of).collect()
}

fn faults(read: Result<Imported, WrongDocument>) -> Vec<(String, String)> {
    match read {
        Err(WrongDocument::Faults(faults)) => {
            let told = faults.into_iter().map(|fault| (fault.pointer, fault.rule));
            told.collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_exported_is_imported_as_the_same() {
    let catalogue = catalogue();
    for event_type in &catalogue {
        event_type.schemas.check().unwrap();
    }
    let as_openapi = openapi(&catalogue);
    let as_asyncapi = asyncapi(&catalogue);
    let read_openapi = || read_openapi::import(&as_openapi).unwrap();
    let read_asyncapi = || read_asyncapi::import(&as_asyncapi).unwrap();
    // Where it comes from, nothing changes.
    assert_eq!(imported(read_openapi(), &catalogue), catalogue);
    assert_eq!(imported(read_asyncapi(), &catalogue), catalogue);
    // Elsewhere, it becomes what makes the same documents.
    for copy in [
        imported(read_openapi(), &[]),
        imported(read_asyncapi(), &[]),
    ] {
        assert_eq!(openapi(&copy), as_openapi);
        assert_eq!(asyncapi(&copy), as_asyncapi);
        assert_eq!(imported(read_openapi(), &copy), copy);
        assert_eq!(imported(read_asyncapi(), &copy), copy);
        for event_type in copy {
            event_type.schemas.check().unwrap();
        }
    }
}

#[test]
fn references_lead_to_within_the_document() {
    let written = openapi(&catalogue());
    let line = &written["components"]["schemas"]["invoice.paid"]["$defs"]["line"]["properties"];
    let base = "#/components/schemas/invoice.paid";
    assert_eq!(line["next"]["$ref"], format!("{base}/$defs/line"));
    assert_eq!(line["whole"]["$ref"], base);
    assert_eq!(line["named"]["$ref"], format!("{base}/$defs/line"));
}

#[test]
fn openapi_with_components_is_imported() {
    let document = parse(
        "openapi: 3.0.3\n\
         x-webhooks:\n\
         \x20 pet.new:\n\
         \x20   post:\n\
         \x20     summary: A pet came\n\
         \x20     requestBody: {$ref: '#/components/requestBodies/Pet'}\n\
         \x20     responses: {200: {description: ok}}\n\
         components:\n\
         \x20 requestBodies: {Pet: {content: {application/json; charset=utf-8: {schema: {$ref: '#/components/schemas/Pet'}}}}}\n\
         \x20 schemas:\n\
         \x20   Pet: {type: object, properties: {name: {type: string, nullable: true, example: Rex}, \
         mother: {$ref: '#/components/schemas/Pet'}, owner: {$ref: '#/components/schemas/Owner', description: x}, \
         age: {type: integer, minimum: 0, exclusiveMinimum: true}}}\n\
         \x20   Owner: {type: object, properties: {pets: {type: array, items: {$ref: '#/components/schemas/Pet'}}, \
         boss: {$ref: '#/components/schemas/Owner'}}}\n",
    )
    .unwrap();
    let imported = read_openapi::import(&document).unwrap();
    let [pet] = imported.event_types.as_slice() else {
        panic!("{imported:?}")
    };
    assert_eq!(
        (pet.name.as_str(), pet.description.as_str()),
        ("pet.new", "A pet came")
    );
    let schema = json!({"type": "object", "properties": {
        "name": {"type": ["string", "null"], "examples": ["Rex"]}, "mother": {"$ref": "#"},
        "owner": {"$ref": "#/$defs/Owner"}, "age": {"type": "integer", "exclusiveMinimum": 0}},
        "$defs": {"Owner": {"type": "object", "properties": {
            "pets": {"type": "array", "items": {"$ref": "#"}}, "boss": {"$ref": "#/$defs/Owner"}}}}});
    assert_eq!(pet.schemas.newest(), Some(&schema));
    pet.schemas.merged(&SchemaSet::default()).unwrap().unwrap();
}

#[test]
fn what_is_brought_along_gets_a_name_of_its_own() {
    let document = json!({"openapi": "3.1.0",
        "webhooks": {"a": {"post": {"requestBody": {"content": {"application/json": {
            "schema": {"$ref": "#/components/schemas/A"}}}}}}},
        "components": {"schemas": {
            "A": {"$defs": {"B": {"title": "own"}}, "properties": {
                "own": {"$ref": "#/components/schemas/A/$defs/B"}, "b": {"$ref": "#/components/schemas/B"},
                "c": {"$ref": "#/components/schemas/B/x/B"}, "d": {"$ref": "#/components/schemas/%C3%A4~1"}}},
            "B": {"title": "other", "x": {"B": {"title": "third", "type": "text"}}}, "ä/": true}}});
    let imported = read_openapi::import(&document).unwrap();
    let expect = json!({"properties": {"own": {"$ref": "#/$defs/B"}, "b": {"$ref": "#/$defs/B_2"},
            "c": {"$ref": "#/$defs/B_3"}, "d": {"$ref": "#/$defs/__"}},
        "$defs": {"B": {"title": "own"}, "B_2": {"title": "other", "x": {"B": {"title": "third", "type": "text"}}},
            "B_3": {"title": "third", "type": "text"}, "__": true}});
    let schemas = &imported.event_types[0].schemas;
    assert_eq!(schemas.newest(), Some(&expect));
    let fault = schemas.merged(&SchemaSet::default()).unwrap_err();
    assert_eq!(fault.pointer, "/components/schemas/B/x/B/type");
}

#[test]
fn what_can_not_be_used_is_named_with_its_place() {
    let document = parse(
        "openapi: 3.1.0\n\
         webhooks:\n\
         \x20 fine: {post: {}}\n\
         \x20 bad name: {post: {}}\n\
         \x20 empty: {}\n\
         \x20 xml: {post: {requestBody: {content: {application/xml: {schema: {}}}}}}\n\
         \x20 away: {post: {requestBody: {content: {application/json: {schema: {$ref: 'http://x/y'}}}}}}\n\
         \x20 lost: {post: {requestBody: {content: {application/json: {schema: {items: {$ref: '#/components/schemas/No'}}}}}}}\n\
         \x20 all: {post: {requestBody: {content: {application/json: {schema: {items: {$ref: '#'}}}}}}}\n\
         \x20 file: {post: {requestBody: {content: {application/json: {schema: {items: {$ref: 'a.yaml#/a'}}}}}}}\n\
         \x20 text: {post: {requestBody: {content: {application/json: {schema: text}}}}}\n\
         \x20 circle: {$ref: '#/webhooks/circle'}\n\
         x-webhooks:\n\
         \x20 fine: {post: {description: other}}\n",
    )
    .unwrap();
    let told = faults(read_openapi::import(&document));
    let told: Vec<_> = told
        .iter()
        .map(|(at, rule)| (at.as_str(), rule.as_str()))
        .collect();
    let schema = |name: &str, rest: &str| {
        format!("/webhooks/{name}/post/requestBody/content/application~1json/schema{rest}")
    };
    let (all, away, file) = (
        schema("all", "/items/$ref"),
        schema("away", "/$ref"),
        schema("file", "/items/$ref"),
    );
    let (lost, text) = (schema("lost", "/items/$ref"), schema("text", ""));
    let mut expect = [
        (
            all.as_str(),
            "refers to the whole document, which is no schema",
        ),
        (
            away.as_str(),
            "refers to `http://x/y`, which is not in the document; nothing is fetched",
        ),
        (
            "/webhooks/bad name",
            "has a name that no event type can have: it may only contain letters, digits and the characters - _ .",
        ),
        (
            "/webhooks/circle/$ref",
            "is a reference to a reference, more than 8 times",
        ),
        ("/webhooks/empty", "has no operation"),
        (
            file.as_str(),
            "refers to `a.yaml#/a`, which is not in the document; nothing is fetched",
        ),
        (
            lost.as_str(),
            "refers to `/components/schemas/No`, which does not exist",
        ),
        (text.as_str(), "is no JSON schema that is an object"),
        (
            "/webhooks/xml/post/requestBody/content",
            "has nothing that is JSON",
        ),
        (
            "/x-webhooks/fine/post",
            "describes `fine`, and so does `/webhooks/fine/post`",
        ),
    ];
    let mut told = told;
    told.sort_unstable();
    expect.sort_unstable();
    assert_eq!(told, expect);
}

#[test]
fn asyncapi_of_version_2_is_imported() {
    let paid = json!({"name": "invoice.paid", "summary": "Paid", "payload": {"$ref": "#/components/schemas/Invoice"}});
    let document = json!({"asyncapi": "2.6.0", "channels": {
        "invoice/paid": {"subscribe": {"message": {"oneOf": [{"$ref": "#/components/messages/Paid"},
            {"$ref": "#/components/messages/voided"}]}}},
        "again": {"subscribe": {"message": {"$ref": "#/components/messages/Paid"}}},
        "user/made": {"subscribe": {"message": {"payload": {"type": "object"}}}},
        "orders": {"publish": {"message": {"payload": {}}}},
    }, "components": {"messages": {"Paid": paid, "voided": {"payload": {"$ref": "#/components/schemas/Invoice"}}},
        "schemas": {"Invoice": {"properties": {"next": {"$ref": "#/components/schemas/Invoice"}}}}}});
    let imported = read_asyncapi::import(&document).unwrap();
    let mut names: Vec<_> = imported
        .event_types
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["invoice.paid", "user.made", "voided"]);
    let schema = json!({"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"next": {"$ref": "#"}}});
    let paid = imported
        .event_types
        .iter()
        .find(|one| one.name.as_str() == "invoice.paid");
    assert_eq!(paid.unwrap().schemas.newest(), Some(&schema));
    assert_eq!(paid.unwrap().deprecated, None);
    let [skipped] = imported.skipped.as_slice() else {
        panic!("{imported:?}")
    };
    assert_eq!(
        (skipped.name.as_str(), skipped.pointer.as_str()),
        ("orders", "/channels/orders/publish")
    );
}

#[test]
fn asyncapi_of_version_3_is_imported() {
    let user = json!({"$ref": "#/components/messages/UserMade"});
    let with_format = json!({"schemaFormat": "application/vnd.oai.openapi;version=3.0.0",
        "schema": {"type": "string", "nullable": true}});
    let mut document = json!({"asyncapi": "3.0.0",
        "channels": {
            "users": {"messages": {"made": user, "gone": {"payload": {"$ref": "#/components/schemas/User"}}}},
            "orders": {"messages": {"order": {"payload": {}}}}},
        "operations": {
            "send": {"action": "send", "channel": {"$ref": "#/channels/users"}},
            "again": {"action": "send", "channel": {"$ref": "#/channels/users"},
                "messages": [{"$ref": "#/channels/users/messages/made"}]},
            "receive": {"action": "receive", "channel": {"$ref": "#/channels/orders"}}},
        "components": {
            "messages": {"UserMade": {"name": "user.made", "description": "Made", "payload": with_format,
                "x-hookseal-event-type": {"name": "user.created", "groupName": "users"}}},
            "schemas": {"User": {"definitions": {"User": true}, "properties": {
                "boss": {"$ref": "#/components/schemas/User"}, "x": {"$ref": "#/components/schemas/X"}}},
                "X": {"type": "string"}}}});
    let imported = read_asyncapi::import(&document).unwrap();
    let names = |imported: &Imported| -> Vec<String> {
        let names = imported.event_types.iter().map(|one| one.name.to_string());
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(&imported), ["gone", "user.created"]);
    assert_eq!(imported.skipped.len(), 1);
    for one in &imported.event_types {
        let schema = one.schemas.newest().unwrap();
        if one.name.as_str() == "gone" {
            assert_eq!(schema["definitions"]["X"], json!({"type": "string"}));
            assert_eq!(schema["properties"]["boss"]["$ref"], "#");
        } else {
            assert_eq!(*schema, json!({"type": ["string", "null"]}));
            assert_eq!(one.own.group_name, Some(Some("users".to_owned())));
        }
        one.schemas.merged(&SchemaSet::default()).unwrap().unwrap();
    }
    // Without operations, everything in its channels; without channels, all components.
    document["operations"] = json!({});
    let imported = read_asyncapi::import(&document).unwrap();
    assert_eq!(names(&imported), ["gone", "order", "user.created"]);
    document["channels"] = json!({});
    let imported = read_asyncapi::import(&document).unwrap();
    assert_eq!(names(&imported), ["user.created"]);
    document["components"]["messages"]["UserMade"]["payload"]["schemaFormat"] =
        json!("application/vnd.apache.avro;version=1.9.0");
    let told = faults(read_asyncapi::import(&document));
    assert_eq!(told[0].0, "/components/messages/UserMade/payload/schema");
    assert!(told[0].1.contains("no JSON Schema"), "{told:?}");
}

#[test]
fn what_is_no_such_document_is_refused() {
    for document in [
        json!({}),
        json!([]),
        json!({"openapi": "2.0"}),
        json!({"swagger": "2.0"}),
        json!({"openapi": 3}),
    ] {
        let read = read_openapi::import(&document);
        assert!(matches!(read, Err(WrongDocument::Kind(_))), "{document}");
    }
    let nothing = json!({"openapi": "3.1.0", "paths": {"/a": {"post": {}}}});
    let read = read_openapi::import(&nothing);
    assert!(matches!(read, Err(WrongDocument::Empty(_))), "{read:?}");
    for document in [
        json!({"asyncapi": "1.2.0"}),
        json!({"asyncapi": "4.0.0"}),
        json!(null),
    ] {
        let read = read_asyncapi::import(&document);
        assert!(matches!(read, Err(WrongDocument::Kind(_))), "{document}");
    }
    let nothing = json!({"asyncapi": "3.0.0", "channels": {"a": {}}});
    let read = read_asyncapi::import(&nothing);
    assert!(matches!(read, Err(WrongDocument::Empty(_))), "{read:?}");
    let webhooks: Map<_, _> = (0..1001)
        .map(|n| (format!("t{n}"), json!({"post": {}})))
        .collect();
    let many = json!({"openapi": "3.1.0", "webhooks": webhooks});
    let told = faults(read_openapi::import(&many));
    assert!(told[0].1.contains("one event type too many"), "{told:?}");
}

#[test]
fn what_is_brought_along_is_bounded() {
    let check = |large: Value| {
        // Each of a thousand event types would bring the whole along.
        let post = json!({"requestBody": {"content": {"application/json": {
            "schema": {"allOf": [{"$ref": "#/components/schemas/Large"}]}}}}});
        let webhooks: Map<_, _> = (0..1000)
            .map(|n| (format!("t{n}"), json!({"post": post})))
            .collect();
        let document = json!({"openapi": "3.1.0", "webhooks": webhooks,
            "components": {"schemas": {"Large": large}}});
        let told = faults(read_openapi::import(&document));
        assert_eq!(told.len(), FAULTS_MAX);
        assert!(told[0].1.contains("too large"), "{told:?}");
    };
    let many = vec![json!({"title": "x".repeat(1_000)}); 100];
    check(json!({"prefixItems": many}));
    check(json!({"default": "x".repeat(100_000)}));
    check(json!({"description": "x".repeat(100_000)}));
    let patterns: Vec<_> = (0..100).map(|_| json!({"pattern": "\\w{9}"})).collect();
    check(json!({"allOf": patterns}));
}
