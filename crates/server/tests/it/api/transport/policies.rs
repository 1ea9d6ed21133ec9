//! Named policies.

use serde_json::{Value, json};

use hookseal_pki::certificate::SpkiSha256;
use hookseal_testkit::test_ca::TestCa;

use crate::api::shop::Shop;
use crate::api::transport::{client, upload};

const POLICY: &str = "/transport/policy/strict";

#[tokio::test]
async fn the_way_of_a_policy() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Partner CA").unwrap();
    let anchors = json!({"pem": ca.root_pem()});
    shop.tell("PUT", "/transport/trust-anchors/partner", &anchors, 201)
        .await;
    let us = upload(&client(&ca, "us"));
    shop.tell(
        "POST",
        "/transport/client-identity/us/certificates",
        &us,
        201,
    )
    .await;
    let policy = json!({
        "tlsMinVersion": "1.3", "keyExchangeGroups": ["X25519MLKEM768", "x25519"],
        "trust": "both", "trustAnchors": "partner", "pinning": "report", "clientIdentity": "us",
        "revocation": "hard", "crlUrls": ["http://crl.example.com/a.crl"],
        "serverName": "hooks.example.com", "proxy": "none", "plainHttp": "never",
    });
    let mut named = policy.clone();
    named["name"] = "strict".into();
    assert_eq!(shop.tell("PUT", POLICY, &policy, 201).await, named);
    assert_eq!(shop.tell("PUT", POLICY, &policy, 200).await, named);
    assert_eq!(shop.get(POLICY).await, named);
    assert_eq!(shop.get("/transport/policy").await["data"], json!([named]));
    // All of it is replaced.
    let less = shop.tell("PUT", POLICY, &json!({"trust": null}), 200).await;
    assert_eq!(less, json!({"name": "strict"}));
    shop.ask("DELETE", POLICY, "").await.expect(204);
    assert_eq!(shop.ask("GET", POLICY, "").await.error(404), "not_found");
    assert_eq!(shop.ask("DELETE", POLICY, "").await.error(404), "not_found");
}

#[tokio::test]
async fn every_broken_rule_names_its_field() {
    let shop = Shop::open().await;
    let check = async |field: &str, given: Value, rule: &str, words: &str| {
        let (loc, found, msg) = shop.violates("PUT", POLICY, &json!({field: given})).await;
        assert!(loc.starts_with(&format!("body.{field}")), "{loc}");
        assert_eq!(found, rule, "{field}");
        assert!(msg.contains(words), "{msg}");
    };
    check(
        "tlsMinVersion",
        json!("1.1"),
        "value_error.choice",
        "1.2, 1.3",
    )
    .await;
    check("tlsMinVersion", json!(1.3), "type_error", "a string").await;
    let groups = "keyExchangeGroups";
    check(
        groups,
        json!([]),
        "value_error.list.min_items",
        "at least one",
    )
    .await;
    check(groups, json!(["ffdhe2048"]), "value_error.choice", "x25519").await;
    let twice = json!(["x25519", "x25519"]);
    check(groups, twice, "value_error.list.unique_items", "twice").await;
    check(
        "trust",
        json!("all"),
        "value_error.choice",
        "public, private, both",
    )
    .await;
    check(
        "trustAnchors",
        json!("gone"),
        "value_error.reference",
        "gone",
    )
    .await;
    check(
        "trustAnchors",
        json!("no name"),
        "value_error.pattern",
        "letters",
    )
    .await;
    check("pinning", json!("on"), "value_error.choice", "enforce").await;
    check("clientIdentity", json!("me"), "value_error.reference", "me").await;
    check("revocation", json!("maybe"), "value_error.choice", "hard").await;
    check(
        "crlUrls",
        json!(["https://a.example"]),
        "value_error.crl_url",
        "http://",
    )
    .await;
    check(
        "crlUrls",
        json!(["http://u:p@a.example"]),
        "value_error.crl_url",
        "user name",
    )
    .await;
    check(
        "crlUrls",
        json!(["nothing"]),
        "value_error.crl_url",
        "absolute",
    )
    .await;
    let many: Vec<_> = (0..9).map(|n| format!("http://a.example/{n}")).collect();
    check(
        "crlUrls",
        json!(many),
        "value_error.list.max_items",
        "at most 8",
    )
    .await;
    check(
        "serverName",
        json!("https://a"),
        "value_error.server_name",
        "DNS name",
    )
    .await;
    check(
        "serverName",
        json!("a:443"),
        "value_error.server_name",
        "DNS name",
    )
    .await;
    check("proxy", json!("dmz"), "value_error.reference", "dmz").await;
    check("plainHttp", json!(true), "type_error", "a string").await;
    check(
        "plainHttp",
        json!("always"),
        "value_error.choice",
        "as_operator",
    )
    .await;
    let (loc, rule, msg) = shop
        .violates("PUT", POLICY, &json!({"trust": "private"}))
        .await;
    assert_eq!(
        (loc.as_str(), rule.as_str()),
        ("body.trustAnchors", "value_error.missing")
    );
    assert!(msg.contains("private roots"), "{msg}");
    // What is spelled wrong would protect nothing.
    let (loc, rule, msg) = shop
        .violates("PUT", POLICY, &json!({"tlsMinversion": "1.3"}))
        .await;
    assert!(loc.starts_with("body"), "{loc}");
    assert_eq!(rule, "value_error.unknown");
    assert!(msg.contains("tlsMinVersion"), "{msg}");
    assert_eq!(shop.get("/transport/policy").await["data"], json!([]));
}

#[tokio::test]
async fn an_ip_address_is_a_server_name_too() {
    let shop = Shop::open().await;
    for name in ["10.1.2.3", "2001:db8::1", "hooks.example.com"] {
        let policy = json!({"serverName": name});
        let put = shop.ask("PUT", POLICY, policy.to_string()).await;
        assert_eq!(put.json()["serverName"], name);
    }
}

#[tokio::test]
async fn names_of_endpoints_are_not_given() {
    let shop = Shop::open().await;
    for name in ["ep_23rb8YdGqMT0qIzpgGwdXfHirMu", "ep_x", "none"] {
        let path = format!("/transport/policy/{name}");
        let (loc, rule, _) = shop.violates("PUT", &path, &json!({})).await;
        assert_eq!(
            (loc.as_str(), rule.as_str()),
            ("path.name", "value_error.name.reserved")
        );
    }
}

#[tokio::test]
async fn what_is_named_stays() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Partner CA").unwrap();
    let anchors = json!({"pem": ca.root_pem()});
    let set = "/transport/trust-anchors/partner";
    shop.tell("PUT", set, &anchors, 201).await;
    let private = json!({"trust": "private", "trustAnchors": "partner"});
    shop.tell("PUT", POLICY, &private, 201).await;
    let why = shop.refuses("DELETE", set, &Value::Null, "in_use").await;
    assert!(why.contains("named by 1 "), "{why}");
    let endpoint = shop.path_of_endpoint("a", "https://example.com").await;
    let transport = format!("{endpoint}/transport");
    shop.tell("PUT", &transport, &json!({"policy": "strict"}), 200)
        .await;
    shop.refuses("DELETE", POLICY, &Value::Null, "in_use").await;
    shop.tell("PUT", &transport, &json!({}), 200).await;
    shop.ask("DELETE", POLICY, "").await.expect(204);
    shop.ask("DELETE", set, "").await.expect(204);
}

#[tokio::test]
async fn private_trust_may_name_its_roots_in_the_default_policy() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Partner CA").unwrap();
    let anchors = json!({"pem": ca.root_pem()});
    shop.tell("PUT", "/transport/trust-anchors/partner", &anchors, 201)
        .await;
    let lowest = json!({"trustAnchors": "partner"});
    shop.tell("PUT", "/transport/policy/default", &lowest, 201)
        .await;
    shop.tell("PUT", POLICY, &json!({"trust": "private"}), 201)
        .await;
}

#[tokio::test]
async fn pins_are_not_enforced_by_surprise() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let mut paths = Vec::new();
    for _ in 0..3 {
        let endpoint = shop.endpoint(&app, "https://example.com").await;
        paths.push(format!("/app/{app}/endpoint/{endpoint}"));
    }
    let pin = async |path: &str, byte: u8| {
        let key = SpkiSha256::from_bytes([byte; 32]).to_string();
        shop.tell("POST", &format!("{path}/pins"), &json!({"pin": key}), 201)
            .await;
    };
    pin(&paths[0], 1).await;
    pin(&paths[0], 2).await;
    pin(&paths[1], 1).await;
    let says = async |path: &str, changes: Value| {
        let path = format!("{path}/transport");
        shop.tell("PATCH", &path, &changes, 200).await;
    };
    let enforce = json!({"pinning": "enforce"});
    const DEFAULT: &str = "/transport/policy/default";
    let refused = async |policy: &str| {
        shop.refuses("PUT", policy, &enforce, "would_interrupt")
            .await
    };
    let why = refused(DEFAULT).await;
    assert!(why.starts_with("2 endpoints"), "{why}");
    assert_eq!(shop.ask("GET", DEFAULT, "").await.error(404), "not_found");

    // A policy that nobody names stops nobody; then it does.
    let report = json!({"pinning": "report"});
    shop.tell("PUT", POLICY, &enforce, 201).await;
    shop.tell("PUT", POLICY, &report, 200).await;
    for path in &paths[..2] {
        says(path, json!({"policy": "strict"})).await;
    }
    let why = refused(POLICY).await;
    assert!(why.starts_with("1 endpoints"), "{why}");
    // Those of the policy say otherwise than the default, which the third is left to.
    let why = refused(DEFAULT).await;
    assert!(why.starts_with("1 endpoints"), "{why}");
    says(&paths[2], json!({"own": {"pinning": "off"}})).await;
    shop.tell("PUT", DEFAULT, &enforce, 201).await;

    let forced = format!("{POLICY}?force=true");
    shop.tell("PUT", &forced, &enforce, 200).await;
    // What is enforced already is no news.
    shop.tell("PUT", POLICY, &enforce, 200).await;
}
