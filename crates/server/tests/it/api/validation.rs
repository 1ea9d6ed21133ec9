//! Every validation of the contract with its exact error body.

use serde_json::{Value, json};

use crate::api::shop::Shop;

/// What a broken rule is told as.
fn violation(loc: &[&str], rule: &str, msg: &str) -> Value {
    json!({"loc": loc, "msg": msg, "type": rule})
}

struct Desk {
    shop: Shop,
}

impl Desk {
    async fn open() -> Self {
        let shop = Shop::open().await;
        let app = shop.app("a").await;
        let endpoint = r#"{"url": "https://example.com/hook", "uid": "e"}"#;
        shop.make(&format!("/app/{app}/endpoint"), endpoint).await;
        shop.make("/event-type", r#"{"name": "t", "description": ""}"#)
            .await;
        Self { shop }
    }

    /// The request is refused with exactly these violations.
    async fn refuses_all(&self, method: &str, path: &str, body: &str, expect: &[Value]) {
        let got = self.shop.ask(method, path, body.to_owned()).await;
        let rules = include_str!("../../../../../docs/reference/errors.md");
        let body_got = got.json();
        assert_eq!(got.status, 422, "{method} {path} {body}: {body_got}");
        assert_eq!(
            body_got,
            json!({"detail": expect}),
            "{method} {path} {body}"
        );
        for found in body_got["detail"].as_array().unwrap() {
            let rule = format!("| `{}` |", found["type"].as_str().unwrap());
            assert!(rules.contains(&rule), "{rule} is not in the reference");
        }
    }

    /// The request is refused with exactly this violation.
    async fn refuses(
        &self,
        request: (&str, &str),
        body: &str,
        loc: &[&str],
        rule: &str,
        msg: &str,
    ) {
        let expect = violation(loc, rule, msg);
        self.refuses_all(request.0, request.1, body, &[expect])
            .await;
    }
}

const MISSING: (&str, &str) = ("value_error.missing", "must be given");
const EMPTY: (&str, &str) = ("value_error.length", "must not be empty");
const UID_LONG: (&str, &str) = ("value_error.length", "must be at most 256 characters");
const NAME_CHARS: (&str, &str) = (
    "value_error.pattern",
    "may only contain letters, digits and the characters - _ .",
);
const CHANNEL_CHARS: (&str, &str) = (
    "value_error.pattern",
    "may only contain letters, digits and the characters - _ . : +",
);
const TWICE: (&str, &str) = (
    "value_error.list.unique_items",
    "must not name anything twice",
);
const NO_ITEMS: (&str, &str) = (
    "value_error.list.min_items",
    "must not be empty; leave it out for all",
);
const RATE: (&str, &str) = ("value_error.number", "must be from 1 to 65535");
const PATCHED_RATE: (&str, &str) = ("value_error.number", "must be from 0 to 65535");
const SECRET: (&str, &str) = (
    "value_error.secret",
    "must be whsec_ and the base64 of 24 to 75 bytes, or whsk_ and the base64 of an ed25519 key",
);
const NULL_TEXT: (&str, &str) = ("type_error", "must be a string");
const NULL_BOOL: (&str, &str) = ("type_error", "must be a boolean");
const NULL_MAP: (&str, &str) = ("type_error", "must be a JSON object");
const NUMBER_TEXT: (&str, &str) = ("type_error", "must be a string");

#[tokio::test]
async fn bodies_that_are_no_objects() {
    let desk = Desk::open().await;
    for (method, path) in [
        ("POST", "/app"),
        ("PUT", "/app/a"),
        ("PATCH", "/app/a"),
        ("POST", "/app/a/endpoint"),
        ("PUT", "/app/a/endpoint/e"),
        ("PATCH", "/app/a/endpoint/e"),
        ("PUT", "/app/a/endpoint/e/headers"),
        ("PATCH", "/app/a/endpoint/e/headers"),
        ("POST", "/app/a/endpoint/e/secret/rotate"),
        ("POST", "/app/a/msg"),
        ("POST", "/event-type"),
        ("PUT", "/event-type/t"),
        ("PATCH", "/event-type/t"),
    ] {
        let syntax = "value_error.jsondecode";
        let eof = "EOF while parsing a value at line 1 column 0";
        desk.refuses((method, path), "", &["body"], syntax, eof)
            .await;
        let broken = "EOF while parsing an object at line 1 column 1";
        desk.refuses((method, path), "{", &["body"], syntax, broken)
            .await;
        let more = "trailing characters at line 1 column 3";
        if !matches!(path, "/app/a/msg") {
            desk.refuses((method, path), "{}x", &["body"], syntax, more)
                .await;
        }
        let answer = desk.shop.ask(method, path, "[]").await.expect(422);
        assert_eq!(answer["detail"][0]["type"], "type_error", "{method} {path}");
        let answer = desk.shop.ask(method, path, &b"{\"\xff\":1}"[..]).await;
        assert_eq!(
            answer.expect(422)["detail"][0]["type"],
            syntax,
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn values_of_the_wrong_type() {
    let desk = Desk::open().await;
    let check = async |request: (&str, &str), field: &str, value: Value, msg: &str| {
        let mut body = json!({"name": "n", "url": "https://example.com", "eventType": "t"});
        body[field] = value;
        let loc = ["body", field];
        desk.refuses(request, &body.to_string(), &loc, "type_error", msg)
            .await;
    };
    let object = "must be a JSON object";
    let (app, message, endpoint) = (
        ("POST", "/app"),
        ("POST", "/app/a/msg"),
        ("POST", "/app/a/endpoint"),
    );
    for value in [json!("5"), json!(1.5), json!([])] {
        check(app, "throttleRate", value, "must be an integer").await;
    }
    for value in [json!([]), json!("a"), json!(5)] {
        check(app, "metadata", value, object).await;
    }
    check(app, "uid", json!({}), "must be a string").await;
    check(endpoint, "disabled", json!("true"), "must be a boolean").await;
    check(endpoint, "channels", json!("a"), "must be an array").await;
    for value in [json!(["n", "u", 1, {}]), json!([]), json!("n"), json!(5)] {
        check(message, "application", value, object).await;
    }
    for body in ["[]", "[1]", "5", "null", "\"a\""] {
        for request in [app, message, endpoint] {
            desk.refuses(request, body, &["body"], "type_error", object)
                .await;
        }
    }
    let body = r#"{"eventType": "t", "payload": {}, "application": {"name": 5}}"#;
    let loc = ["body", "application", "name"];
    desk.refuses(message, body, &loc, NUMBER_TEXT.0, NUMBER_TEXT.1)
        .await;
    let body = r#"{"name": "n", "throttleRate": 18446744073709551615}"#;
    let (rule, msg) = ("value_error.number", "is too large a number");
    desk.refuses(app, body, &["body", "throttleRate"], rule, msg)
        .await;
    let body = r#"{"eventType": "t", "payload": {}, "data": {}}"#;
    let twice = "duplicate field `payload`";
    desk.refuses(message, body, &["body"], "type_error", twice)
        .await;
}

#[tokio::test]
async fn payloads_of_bounded_depth() {
    let desk = Desk::open().await;
    let body = |lists: usize| {
        let (open, close) = ("[".repeat(lists), "]".repeat(lists));
        format!(r#"{{"eventType": "t", "payload": {{"a\ud800":{open}"[["{close}}}}}"#)
    };
    let answer = desk.shop.ask("POST", "/app/a/msg", body(99)).await;
    assert_eq!(answer.status, 202);
    let (rule, msg) = (
        "value_error.nesting",
        "must not be nested deeper than 100 levels",
    );
    for lists in [100, 10_000] {
        let loc = ["body", "payload"];
        desk.refuses(("POST", "/app/a/msg"), &body(lists), &loc, rule, msg)
            .await;
    }
}

#[tokio::test]
async fn applications() {
    let desk = Desk::open().await;
    let long = "x".repeat(257);
    let too_long = "x".repeat(4097);
    for request in [("POST", "/app"), ("PUT", "/app/a")] {
        let check = async |body: &str, field: &str, (rule, msg): (&str, &str)| {
            desk.refuses(request, body, &["body", field], rule, msg)
                .await;
        };
        check("{}", "name", MISSING).await;
        check(r#"{"name": ""}"#, "name", EMPTY).await;
        check(r#"{"name": null}"#, "name", NULL_TEXT).await;
        check(r#"{"name": 5}"#, "name", NUMBER_TEXT).await;
        let limit = ("value_error.length", "must be at most 4096 bytes");
        check(&json!({"name": too_long}).to_string(), "name", limit).await;
        check(r#"{"name": "n", "uid": ""}"#, "uid", EMPTY).await;
        check(
            &json!({"name": "n", "uid": long}).to_string(),
            "uid",
            UID_LONG,
        )
        .await;
        check(r#"{"name": "n", "uid": "a b"}"#, "uid", NAME_CHARS).await;
        let prefix = (
            "invalid_uid_prefix",
            "must not start with app_, which is kept for ids",
        );
        check(r#"{"name": "n", "uid": "app_x"}"#, "uid", prefix).await;
        check(r#"{"name": "n", "throttleRate": 0}"#, "throttleRate", RATE).await;
        check(r#"{"name": "n", "rateLimit": 65536}"#, "throttleRate", RATE).await;
        check(r#"{"name": "n", "metadata": null}"#, "metadata", NULL_MAP).await;
    }
    desk.refuses(
        ("POST", "/app"),
        r#"{"name": "n", "metadata": {"k": 5}}"#,
        &["body", "metadata", "k"],
        NUMBER_TEXT.0,
        NUMBER_TEXT.1,
    )
    .await;
    let many: Value = (0..51).map(|n| (n.to_string(), json!("v"))).collect();
    desk.refuses(
        ("POST", "/app"),
        &json!({"name": "n", "metadata": many}).to_string(),
        &["body", "metadata"],
        "value_error.map.max_items",
        "must have at most 50 entries",
    )
    .await;
    desk.refuses(
        ("POST", "/app"),
        &json!({"name": "n", "metadata": {"k": too_long}}).to_string(),
        &["body", "metadata", "k"],
        "value_error.length",
        "must be at most 4096 bytes",
    )
    .await;
    let patch = async |body: &str, field: &str, (rule, msg): (&str, &str)| {
        desk.refuses(("PATCH", "/app/a"), body, &["body", field], rule, msg)
            .await;
    };
    patch(r#"{"name": null}"#, "name", NULL_TEXT).await;
    patch(r#"{"name": ""}"#, "name", EMPTY).await;
    patch(r#"{"uid": "a/b"}"#, "uid", NAME_CHARS).await;
    patch(r#"{"throttleRate": -1}"#, "throttleRate", PATCHED_RATE).await;
    patch(r#"{"metadata": null}"#, "metadata", NULL_MAP).await;
}

#[tokio::test]
async fn endpoints() {
    let desk = Desk::open().await;
    let url = "https://example.com";
    for request in [("POST", "/app/a/endpoint"), ("PUT", "/app/a/endpoint/e")] {
        let check = async |more: Value, field: &str, (rule, msg): (&str, &str)| {
            let mut body = json!({"url": url});
            body.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            desk.refuses(request, &body.to_string(), &["body", field], rule, msg)
                .await;
        };
        desk.refuses(request, "{}", &["body", "url"], MISSING.0, MISSING.1)
            .await;
        check(json!({"url": null}), "url", NULL_TEXT).await;
        check(
            json!({"uid": "ep_x"}),
            "uid",
            (
                "invalid_uid_prefix",
                "must not start with ep_, which is kept for ids",
            ),
        )
        .await;
        check(json!({"uid": ""}), "uid", EMPTY).await;
        check(json!({"uid": "x".repeat(257)}), "uid", UID_LONG).await;
        check(json!({"uid": "ü"}), "uid", NAME_CHARS).await;
        check(json!({"description": null}), "description", NULL_TEXT).await;
        check(
            json!({"description": "x".repeat(4097)}),
            "description",
            ("value_error.length", "must be at most 4096 bytes"),
        )
        .await;
        check(json!({"disabled": null}), "disabled", NULL_BOOL).await;
        check(json!({"eventTypes": []}), "eventTypes", NO_ITEMS).await;
        check(json!({"filterTypes": ["a", "a"]}), "eventTypes", TWICE).await;
        check(json!({"channels": []}), "channels", NO_ITEMS).await;
        check(json!({"channels": ["a", "a"]}), "channels", TWICE).await;
        let eleven: Vec<_> = (0..11).map(|n| format!("c{n}")).collect();
        check(
            json!({"channels": eleven}),
            "channels",
            ("value_error.list.max_items", "must have at most 10 items"),
        )
        .await;
        let many: Vec<_> = (0..1001).map(|n| format!("t{n}")).collect();
        check(
            json!({"eventTypes": many}),
            "eventTypes",
            ("value_error.list.max_items", "must have at most 1000 items"),
        )
        .await;
        check(json!({"throttleRate": 0}), "throttleRate", RATE).await;
        let park = (
            "value_error.park_on",
            "must list status codes from 400 to 499, without 408, 410, 425 and 429",
        );
        check(json!({"parkOn": [422, 429]}), "parkOn", park).await;
        check(json!({"parkOn": [70000]}), "parkOn", park).await;
        check(json!({"parkOn": [-1]}), "parkOn", park).await;
        check(
            json!({"parkOn": vec![422; 101]}),
            "parkOn",
            (
                "value_error.list.max_items",
                "must list at most 100 status codes",
            ),
        )
        .await;
        check(json!({"metadata": null}), "metadata", NULL_MAP).await;
    }
}

#[tokio::test]
async fn items_of_lists() {
    let desk = Desk::open().await;
    let check = async |field: &str, item: &str, (rule, msg): (&str, &str)| {
        let body = json!({"url": "https://example.com", field: ["good", item]});
        let loc = ["body", field, "1"];
        let request = ("POST", "/app/a/endpoint");
        desk.refuses(request, &body.to_string(), &loc, rule, msg)
            .await;
    };
    check("eventTypes", "", EMPTY).await;
    check("eventTypes", "a b", NAME_CHARS).await;
    check("eventTypes", &"x".repeat(257), UID_LONG).await;
    check("channels", "", EMPTY).await;
    check("channels", "a b", CHANNEL_CHARS).await;
    let long = ("value_error.length", "must be at most 128 characters");
    check("channels", &"x".repeat(129), long).await;
}

#[tokio::test]
async fn urls() {
    let desk = Desk::open().await;
    let check = async |url: &str, rule: &str, msg: &str| {
        let body = json!({"url": url}).to_string();
        for request in [
            ("POST", "/app/a/endpoint"),
            ("PUT", "/app/a/endpoint/e"),
            ("PATCH", "/app/a/endpoint/e"),
        ] {
            desk.refuses(request, &body, &["body", "url"], rule, msg)
                .await;
        }
    };
    let relative = "must be an absolute URL (relative URL without a base)";
    check("", "value_error.url", relative).await;
    check("example.com/hook", "value_error.url", relative).await;
    check(
        "https://",
        "value_error.url",
        "must be an absolute URL (empty host)",
    )
    .await;
    let port = ("value_error.url.port", "must not be 0");
    check("https://example.com:0/hook", port.0, port.1).await;
    let long = format!("https://example.com/{}", "a".repeat(65_536));
    check(&long, "value_error.url", "must be at most 65536 bytes").await;
    check(
        "ftp://example.com",
        "value_error.url.scheme",
        "must use https",
    )
    .await;
    let userinfo = "must not contain a user name or password; send credentials in a header";
    check(
        "https://u:p@example.com",
        "value_error.url.userinfo",
        userinfo,
    )
    .await;
    let fragment = "must not have a fragment";
    check(
        "https://example.com/#f",
        "value_error.url.fragment",
        fragment,
    )
    .await;
    for (host, ip, name, words) in [
        (
            "10.0.0.1",
            "10.0.0.1",
            "private",
            "it is in a private network",
        ),
        (
            "169.254.169.254",
            "169.254.169.254",
            "link_local",
            "it is a link-local address",
        ),
        (
            "2130706434",
            "127.0.0.2",
            "loopback",
            "it is a loopback address",
        ),
        ("[::1]", "::1", "loopback", "it is a loopback address"),
        (
            "[::ffff:10.0.0.1]",
            "::ffff:10.0.0.1",
            "private",
            "it is in a private network",
        ),
    ] {
        let msg = format!(
            "must not go to this address ({name}): address {ip} is refused: {words}; an operator \
             can allow its network with egress.allow_networks"
        );
        check(&format!("https://{host}/"), "value_error.url.address", &msg).await;
    }
    let plain = "must not go to this address (plain_http): address 8.8.8.8 is refused: plain HTTP \
                 is not allowed to it (egress.plain_http)";
    check("http://8.8.8.8/", "value_error.url.address", plain).await;
}

#[tokio::test]
async fn plain_http_that_can_go_nowhere() {
    let shop = Shop::open_with(|config| config.address_policy = Default::default()).await;
    let app = shop.app("a").await;
    let path = format!("/app/{app}/endpoint");
    let answer = shop
        .ask("POST", &path, r#"{"url": "http://example.com"}"#)
        .await;
    assert_eq!(
        answer.expect(422),
        json!({"detail": [violation(
            &["body", "url"],
            "value_error.url.plain_http",
            "must use https: plain HTTP is not allowed (egress.plain_http)"
        )]})
    );
}

#[tokio::test]
async fn patches_of_endpoints() {
    let desk = Desk::open().await;
    let check = async |body: &str, field: &str, (rule, msg): (&str, &str)| {
        let request = ("PATCH", "/app/a/endpoint/e");
        desk.refuses(request, body, &["body", field], rule, msg)
            .await;
    };
    check(r#"{"url": null}"#, "url", NULL_TEXT).await;
    check(r#"{"uid": "a b"}"#, "uid", NAME_CHARS).await;
    check(r#"{"description": null}"#, "description", NULL_TEXT).await;
    check(r#"{"disabled": null}"#, "disabled", NULL_BOOL).await;
    check(r#"{"metadata": null}"#, "metadata", NULL_MAP).await;
    check(r#"{"eventTypes": ["a", "a"]}"#, "eventTypes", TWICE).await;
    check(r#"{"channels": ["a", "a"]}"#, "channels", TWICE).await;
    check(r#"{"throttleRate": 65536}"#, "throttleRate", PATCHED_RATE).await;
    let park = (
        "value_error.park_on",
        "must list status codes from 400 to 499, without 408, 410, 425 and 429",
    );
    check(r#"{"parkOn": [500]}"#, "parkOn", park).await;
}

#[tokio::test]
async fn headers_and_keys() {
    let desk = Desk::open().await;
    for (method, path) in [
        ("PUT", "/app/a/endpoint/e/headers"),
        ("PATCH", "/app/a/endpoint/e/headers"),
        ("POST", "/app/a/endpoint"),
    ] {
        let check = async |name: &str, value: &str, (rule, msg): (&str, &str)| {
            let body = json!({"url": "https://example.com", "headers": {name: value}});
            let loc = ["body", "headers", name];
            desk.refuses((method, path), &body.to_string(), &loc, rule, msg)
                .await;
        };
        check(
            "a b",
            "x",
            ("header.name", "is no valid header name (RFC 9110 §5.1)"),
        )
        .await;
        check(
            "",
            "x",
            ("header.name", "is no valid header name (RFC 9110 §5.1)"),
        )
        .await;
        let reserved = ("header.reserved", "is set by Hookseal and can't be changed");
        check("Content-Length", "5", reserved).await;
        check("webhook-id", "5", reserved).await;
        check("Svix-Signature", "5", reserved).await;
        let value = (
            "header.value",
            "must have a value of at most 4096 visible ASCII characters, without spaces at its ends",
        );
        check("x-a", "1\r\nx-b: 2", value).await;
        check("x-a", &"x".repeat(4097), value).await;
        let twice =
            json!({"url": "https://example.com", "headers": {"X-A": "1", "x-a": "2"}}).to_string();
        desk.refuses(
            (method, path),
            &twice,
            &["body", "headers", "x-a"],
            "header.duplicate",
            "is given more than once",
        )
        .await;
        let many: Value = (0..51).map(|n| (format!("x-{n}"), json!("v"))).collect();
        let many = json!({"url": "https://example.com", "headers": many}).to_string();
        desk.refuses(
            (method, path),
            &many,
            &["body", "headers"],
            "header.count",
            "must be at most 50 headers",
        )
        .await;
    }
    for method in ["PUT", "PATCH"] {
        let request = (method, "/app/a/endpoint/e/headers");
        desk.refuses(request, "{}", &["body", "headers"], MISSING.0, MISSING.1)
            .await;
        let null = r#"{"headers": null}"#;
        desk.refuses(request, null, &["body", "headers"], NULL_MAP.0, NULL_MAP.1)
            .await;
    }
    for secret in [
        "",
        "short",
        "whsec_!",
        "whpk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    ] {
        let body = json!({"url": "https://example.com", "secret": secret}).to_string();
        desk.refuses(
            ("POST", "/app/a/endpoint"),
            &body,
            &["body", "secret"],
            SECRET.0,
            SECRET.1,
        )
        .await;
        let body = json!({"key": secret}).to_string();
        desk.refuses(
            ("POST", "/app/a/endpoint/e/secret/rotate"),
            &body,
            &["body", "key"],
            SECRET.0,
            SECRET.1,
        )
        .await;
    }
    for secs in [-1, 604_801] {
        let body = json!({"gracePeriodSeconds": secs}).to_string();
        let loc = ["body", "gracePeriodSeconds"];
        let request = ("POST", "/app/a/endpoint/e/secret/rotate");
        desk.refuses(
            request,
            &body,
            &loc,
            "value_error.number",
            "must be from 0 to 604800",
        )
        .await;
    }
}

#[tokio::test]
async fn event_types() {
    let desk = Desk::open().await;
    let name = async |name: Value, (rule, msg): (&str, &str)| {
        let body = json!({"name": name, "description": "d"}).to_string();
        desk.refuses(("POST", "/event-type"), &body, &["body", "name"], rule, msg)
            .await;
    };
    name(json!(null), NULL_TEXT).await;
    name(json!(""), EMPTY).await;
    name(json!("a b"), NAME_CHARS).await;
    name(json!("x".repeat(257)), UID_LONG).await;
    let missing = [
        violation(&["body", "name"], MISSING.0, MISSING.1),
        violation(&["body", "description"], MISSING.0, MISSING.1),
    ];
    desk.refuses_all("POST", "/event-type", "{}", &missing)
        .await;
    desk.refuses_all("PUT", "/event-type/t", "{}", &missing[1..])
        .await;
    for (method, path) in [
        ("POST", "/event-type"),
        ("PUT", "/event-type/t"),
        ("PATCH", "/event-type/t"),
    ] {
        let check = async |more: Value, field: &str, (rule, msg): (&str, &str)| {
            let mut body = json!({"name": "n", "description": "d"});
            body.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            desk.refuses(
                (method, path),
                &body.to_string(),
                &["body", field],
                rule,
                msg,
            )
            .await;
        };
        check(json!({"description": null}), "description", NULL_TEXT).await;
        check(
            json!({"description": "x".repeat(4097)}),
            "description",
            ("value_error.length", "must be at most 4096 bytes"),
        )
        .await;
        check(json!({"archived": null}), "archived", NULL_BOOL).await;
        check(json!({"deprecated": null}), "deprecated", NULL_BOOL).await;
        check(json!({"featureFlag": "a b"}), "featureFlag", NAME_CHARS).await;
        check(json!({"featureFlags": ["a", "a"]}), "featureFlags", TWICE).await;
        check(json!({"groupName": "a b"}), "groupName", NAME_CHARS).await;
        let schemas = (
            "type_error",
            "must be an object of JSON schemas, each an object",
        );
        check(json!({"schemas": [1]}), "schemas", schemas).await;
        check(json!({"schemas": {"1": "x"}}), "schemas", schemas).await;
        let large = json!({"schemas": {"1": {"description": "x".repeat(1 << 20)}}});
        check(
            large,
            "schemas",
            ("value_error.length", "must be at most 1048576 bytes"),
        )
        .await;
        if method != "PATCH" {
            check(json!({"featureFlags": []}), "featureFlags", NO_ITEMS).await;
        }
    }
}

#[tokio::test]
async fn messages() {
    let desk = Desk::open().await;
    let request = ("POST", "/app/a/msg");
    let check = async |more: Value, loc: &[&str], (rule, msg): (&str, &str)| {
        let mut body = json!({"eventType": "t", "payload": {}});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let loc = [&["body"], loc].concat();
        desk.refuses(request, &body.to_string(), &loc, rule, msg)
            .await;
    };
    let missing = [
        violation(&["body", "eventType"], MISSING.0, MISSING.1),
        violation(&["body", "payload"], MISSING.0, MISSING.1),
    ];
    desk.refuses_all("POST", "/app/a/msg", "{}", &missing).await;
    check(json!({"eventType": null}), &["eventType"], NULL_TEXT).await;
    check(json!({"eventType": ""}), &["eventType"], EMPTY).await;
    check(json!({"eventType": "a b"}), &["eventType"], NAME_CHARS).await;
    check(
        json!({"eventType": "x".repeat(257)}),
        &["eventType"],
        UID_LONG,
    )
    .await;
    for payload in [json!(null), json!("text"), json!([1]), json!(5)] {
        check(
            json!({"payload": payload}),
            &["payload"],
            ("type_error", "must be a JSON object"),
        )
        .await;
    }
    check(json!({"eventId": ""}), &["eventId"], EMPTY).await;
    check(json!({"eventId": "a b"}), &["eventId"], NAME_CHARS).await;
    check(json!({"eventId": "x".repeat(257)}), &["eventId"], UID_LONG).await;
    check(
        json!({"eventId": "msg_x"}),
        &["eventId"],
        (
            "invalid_uid_prefix",
            "must not start with msg_, which is kept for ids",
        ),
    )
    .await;
    check(json!({"channels": []}), &["channels"], NO_ITEMS).await;
    check(json!({"channels": ["a", "a"]}), &["channels"], TWICE).await;
    check(
        json!({"channels": ["a b"]}),
        &["channels", "0"],
        CHANNEL_CHARS,
    )
    .await;
    let eleven: Vec<_> = (0..11).map(|n| format!("c{n}")).collect();
    check(
        json!({"channels": eleven}),
        &["channels"],
        ("value_error.list.max_items", "must have at most 10 items"),
    )
    .await;
    check(
        json!({"tags": ["a", "b", "c", "d", "e", "f"]}),
        &["tags"],
        ("value_error.list.max_items", "must have at most 5 items"),
    )
    .await;
    check(json!({"tags": ["a", "a"]}), &["tags"], TWICE).await;
    check(json!({"tags": [""]}), &["tags", "0"], EMPTY).await;
    check(
        json!({"tags": ["a:b"]}),
        &["tags", "0"],
        (
            "value_error.pattern",
            r"may only contain letters, digits and the characters - _ . / \ #",
        ),
    )
    .await;
    check(
        json!({"tags": ["x".repeat(129)]}),
        &["tags", "0"],
        ("value_error.length", "must be at most 128 bytes"),
    )
    .await;
    for days in [0, 91] {
        check(
            json!({"payloadRetentionPeriod": days}),
            &["payloadRetentionPeriod"],
            ("value_error.number", "must be from 1 to 90"),
        )
        .await;
    }
    for hours in [0, 2161] {
        check(
            json!({"payloadRetentionHours": hours}),
            &["payloadRetentionHours"],
            ("value_error.number", "must be from 1 to 2160"),
        )
        .await;
    }
    let cases = [
        (
            json!({"deliverAt": "tomorrow"}),
            "deliverAt",
            "value_error.datetime",
            "is not an RFC 3339 date and time such as 2026-11-23T08:30:00Z",
        ),
        (
            json!({"deliverAt": "2027-01-01T00:00:00Z"}),
            "deliverAt",
            "value_error.deliver_at.too_far",
            "must be at most 30 days ahead",
        ),
        (
            json!({"deliverAt": "2026-11-24T08:20:00Z", "payloadRetentionHours": 24}),
            "deliverAt",
            "value_error.deliver_at.retention",
            "must be before the payload's retention ends",
        ),
        (
            json!({"expireAfter": 0}),
            "expireAfter",
            "value_error.number",
            "must be from 1 to 2592000",
        ),
        (
            json!({"expireAfter": 2_592_001}),
            "expireAfter",
            "value_error.number",
            "must be from 1 to 2592000",
        ),
        (
            json!({"priority": "urgent"}),
            "priority",
            "value_error.priority",
            "must be high, normal or bulk",
        ),
    ];
    for (body, field, rule, message) in cases {
        check(body, &[field], (rule, message)).await;
    }
    let text = "is not supported by this server; payloads are JSON objects";
    check(
        json!({"transformationsParams": {"rawPayload": "x"}}),
        &["transformationsParams", "rawPayload"],
        ("value_error.not_supported", text),
    )
    .await;
    check(
        json!({"application": {}}),
        &["application", "name"],
        MISSING,
    )
    .await;
    check(
        json!({"application": {"name": "n", "uid": "app_x"}}),
        &["application", "uid"],
        (
            "invalid_uid_prefix",
            "must not start with app_, which is kept for ids",
        ),
    )
    .await;
    let twice = r#"{"eventType": "t", "eventType": "t", "payload": {}}"#;
    desk.refuses(
        request,
        twice,
        &["body"],
        "type_error",
        "duplicate field `eventType`",
    )
    .await;
}

#[tokio::test]
async fn all_violations_of_a_body_are_told() {
    let desk = Desk::open().await;
    let body = r#"{"url": "example.com", "uid": "a b", "throttleRate": 0, "headers": {"host": "x"}, "secret": "x"}"#;
    let answer = desk
        .shop
        .ask("POST", "/app/a/endpoint", body)
        .await
        .expect(422);
    let fields: Vec<_> = answer["detail"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["loc"][1].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["headers", "secret", "url", "uid", "throttleRate"]);
}

#[tokio::test]
async fn queries() {
    let desk = Desk::open().await;
    let message = desk.shop.message("a", "{}").await;
    let by_message = format!("/app/a/attempt/msg/{message}");
    let destinations = format!("/app/a/msg/{message}/endpoint");
    let paged = [
        "/app",
        "/app/a/endpoint",
        "/event-type",
        "/app/a/msg",
        "/app/a/endpoint/e/msg",
        "/app/a/attempt/endpoint/e",
        &by_message,
        &destinations,
    ];
    let refuses = async |path: &str, query: &str, field: &str, rule: &str, msg: &str| {
        let path = format!("{path}?{query}");
        desk.refuses(("GET", &path), "", &["query", field], rule, msg)
            .await;
    };
    for path in paged {
        for limit in ["0", "251", "-1", "x"] {
            let query = format!("limit={limit}");
            refuses(
                path,
                &query,
                "limit",
                "value_error.number",
                "must be from 1 to 250",
            )
            .await;
        }
        let wrong = if path == "/event-type" {
            "a%20b"
        } else {
            "nothing"
        };
        let msg = "must be an iterator that this list gave";
        refuses(
            path,
            &format!("iterator={wrong}"),
            "iterator",
            "value_error.iterator",
            msg,
        )
        .await;
        refuses(
            path,
            &format!("iterator=-{wrong}"),
            "iterator",
            "value_error.iterator",
            msg,
        )
        .await;
    }
    for path in &paged[..3] {
        refuses(
            path,
            "order=up",
            "order",
            "value_error.choice",
            "must be ascending or descending",
        )
        .await;
    }
    for path in [paged[3], paged[4], paged[5], paged[6]] {
        refuses(
            path,
            "channel=a%20b",
            "channel",
            CHANNEL_CHARS.0,
            CHANNEL_CHARS.1,
        )
        .await;
        refuses(
            path,
            "event_types=a,b%20c",
            "event_types",
            NAME_CHARS.0,
            NAME_CHARS.1,
        )
        .await;
        let time = "is not an RFC 3339 date and time such as 2026-11-23T08:30:00Z";
        refuses(path, "before=now", "before", "value_error.datetime", time).await;
        refuses(path, "after=now", "after", "value_error.datetime", time).await;
        refuses(
            path,
            "with_content=yes",
            "with_content",
            "type_error",
            "must be true or false",
        )
        .await;
    }
    for path in [paged[4], paged[5], paged[6]] {
        refuses(
            path,
            "status=5",
            "status",
            "value_error.choice",
            "must be 0, 1, 2, 3 or 4",
        )
        .await;
    }
    for path in [paged[5], paged[6]] {
        let msg = "must be 0, 100, 200, 300, 400 or 500";
        refuses(
            path,
            "status_code_class=404",
            "status_code_class",
            "value_error.choice",
            msg,
        )
        .await;
    }
    refuses(
        &format!("/app/a/msg/{message}"),
        "with_content=1",
        "with_content",
        "type_error",
        "must be true or false",
    )
    .await;
    refuses(
        "/event-type",
        "include_archived=1",
        "include_archived",
        "type_error",
        "must be true or false",
    )
    .await;
    let flag = [violation(
        &["query", "get_if_exists"],
        "type_error",
        "must be true or false",
    )];
    desk.refuses_all("POST", "/app?get_if_exists=1", r#"{"name": "n"}"#, &flag)
        .await;
    let flag = [violation(
        &["query", "expunge"],
        "type_error",
        "must be true or false",
    )];
    desk.refuses_all("DELETE", "/event-type/t?expunge=1", "", &flag)
        .await;
    let flag = [violation(
        &["query", "with_content"],
        "type_error",
        "must be true or false",
    )];
    desk.refuses_all("POST", "/app/a/msg?with_content=1", "{}", &flag)
        .await;
    let long = [violation(
        &["query"],
        "value_error.length",
        "must be at most 16384 bytes",
    )];
    desk.refuses_all("GET", &format!("/app?x={}", "x".repeat(16_384)), "", &long)
        .await;
}

#[tokio::test]
async fn paths_and_keys() {
    let desk = Desk::open().await;
    let long = "x".repeat(257);
    for (at, field) in [
        ("/app/@", "app_id"),
        ("/app/a/endpoint/@", "endpoint_id"),
        ("/app/a/msg/@", "msg_id"),
        ("/event-type/@", "event_type_name"),
    ] {
        for (text, (rule, msg)) in [("a%20b", NAME_CHARS), (&long, UID_LONG)] {
            let path = at.replace('@', text);
            desk.refuses(("GET", &path), "", &["path", field], rule, msg)
                .await;
        }
    }
    for key in ["", &"k".repeat(257)] {
        let answer = desk.shop.ask_once(key, "/app", r#"{"name": "n"}"#).await;
        let expect = violation(
            &["header", "idempotency-key"],
            "value_error.length",
            "must be 1 to 256 bytes",
        );
        assert_eq!(answer.expect(422), json!({"detail": [expect]}));
    }
}
