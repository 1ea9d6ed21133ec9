//! What an endpoint demands of its connections.

use serde_json::{Value, json};

use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::handshake::{Failed, HandshakeReport};
use hookseal_testkit::test_ca::TestCa;

use crate::api::shop::Shop;
use crate::api::transport::{certificate, client, trust_privately, upload};

#[tokio::test]
async fn nothing_said_is_what_the_operator_says() {
    let shop = Shop::open().await;
    let endpoint = shop.path_of_endpoint("a", "https://example.com").await;
    let shown = shop.get(&format!("{endpoint}/transport")).await;
    assert_eq!(
        (&shown["policy"], &shown["own"]),
        (&Value::Null, &json!({}))
    );
    assert_eq!(
        shown["effective"]["trust"],
        json!({"value": "public", "from": "operator"})
    );
    assert!(shown["problem"].is_null());
    assert!(shown["generation"].as_u64().is_some());
}

#[tokio::test]
async fn layers_lie_over_each_other() {
    let shop = Shop::open().await;
    let endpoint = shop.path_of_endpoint("a", "https://example.com").await;
    let path = format!("{endpoint}/transport");
    shop.tell(
        "PUT",
        "/transport/policy/default",
        &json!({"revocation": "soft"}),
        201,
    )
    .await;
    let strict = json!({"tlsMinVersion": "1.3", "revocation": "hard"});
    shop.tell("PUT", "/transport/policy/strict", &strict, 201)
        .await;
    let before = shop.get(&path).await;
    let given = json!({"policy": "strict", "own": {"tlsMinVersion": "1.2"}});
    let shown = shop.tell("PUT", &path, &given, 200).await;
    assert_eq!(shown["policy"], "strict");
    assert_eq!(shown["own"], json!({"tlsMinVersion": "1.2"}));
    assert_ne!(shown["generation"], before["generation"]);
    let of = |shown: &Value, field: &str| shown["effective"][field].clone();
    assert_eq!(
        of(&shown, "tlsMinVersion"),
        json!({"value": "1.2", "from": "endpoint"})
    );
    assert_eq!(
        of(&shown, "revocation"),
        json!({"value": "hard", "from": "policy"})
    );

    // A PATCH leaves what it does not name, and `null` leaves it to the layer below.
    let changed = json!({"own": {"serverName": "a.example", "tlsMinVersion": null}});
    let shown = shop.tell("PATCH", &path, &changed, 200).await;
    assert_eq!(shown["own"], json!({"serverName": "a.example"}));
    assert_eq!(
        of(&shown, "tlsMinVersion"),
        json!({"value": "1.3", "from": "policy"})
    );
    let shown = shop
        .tell("PATCH", &path, &json!({"policy": null}), 200)
        .await;
    assert_eq!(
        of(&shown, "revocation"),
        json!({"value": "soft", "from": "default_policy"})
    );
    assert_eq!(shown["own"], json!({"serverName": "a.example"}));
    let shown = shop.tell("PUT", &path, &json!({}), 200).await;
    assert_eq!(shown["own"], json!({}));
}

#[tokio::test]
async fn what_can_not_be_applied_is_not_kept() {
    let shop = Shop::open().await;
    let endpoint = shop.path_of_endpoint("a", "https://example.com").await;
    let path = format!("{endpoint}/transport");
    let check = async |given: Value, loc: &str, rule: &str| {
        let (found, by, _) = shop.violates("PUT", &path, &given).await;
        assert_eq!((found.as_str(), by.as_str()), (loc, rule));
    };
    let own = |field: &str, value: Value| json!({"own": {field: value}});
    check(
        json!({"policy": "gone"}),
        "body.policy",
        "value_error.reference",
    )
    .await;
    check(json!({"policy": 5}), "body.policy", "type_error").await;
    check(json!({"own": []}), "body.own", "type_error").await;
    let reference = "value_error.reference";
    check(
        own("trustAnchors", json!("gone")),
        "body.own.trustAnchors",
        reference,
    )
    .await;
    check(
        own("clientIdentity", json!("gone")),
        "body.own.clientIdentity",
        reference,
    )
    .await;
    check(own("proxy", json!("gone")), "body.own.proxy", reference).await;
    let trust = own("trust", json!("private"));
    check(trust, "body.own.trustAnchors", "value_error.missing").await;
    let pinning = own("pinning", json!("enforce"));
    check(pinning, "body.own.pinning", "value_error.transport").await;
    check(
        own("tlsMinVersion", json!("1.0")),
        "body.own.tlsMinVersion",
        "value_error.choice",
    )
    .await;
    let unknown = "value_error.unknown";
    let (loc, rule, _) = shop.violates("PUT", &path, &own("pin", json!("x"))).await;
    assert!(
        loc.starts_with("body.own") && rule == unknown,
        "{loc} {rule}"
    );
    let shown = shop.get(&path).await;
    assert_eq!(shown["own"], json!({}));
    // A key without its certificate can't be presented.
    let requests = "/transport/client-identity/us/requests";
    shop.tell("POST", requests, &json!({"commonName": "us"}), 201)
        .await;
    let empty = own("clientIdentity", json!("us"));
    check(empty, "body.own.clientIdentity", "value_error.transport").await;
}

#[tokio::test]
async fn what_needs_tls_is_refused_without_it() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Partner CA").unwrap();
    let endpoint = shop.path_of_endpoint("a", "http://127.0.0.1:9/").await;
    let path = format!("{endpoint}/transport");
    let never = json!({"own": {"plainHttp": "never"}});
    let (loc, rule, msg) = shop.violates("PUT", &path, &never).await;
    assert_eq!(
        (loc.as_str(), rule.as_str()),
        ("body.own", "value_error.transport")
    );
    assert!(
        msg.contains("http://") && msg.contains("plainHttp: never"),
        "{msg}"
    );
    let certificates = "/transport/client-identity/us/certificates";
    shop.tell("POST", certificates, &upload(&client(&ca, "us")), 201)
        .await;
    let us = json!({"own": {"clientIdentity": "us"}});
    let (_, _, msg) = shop.violates("PUT", &path, &us).await;
    assert!(msg.contains("a client certificate"), "{msg}");

    // And the other way round: a URL without TLS under a policy that demands it.
    let lowest = json!({"plainHttp": "never"});
    shop.tell("PUT", "/transport/policy/default", &lowest, 201)
        .await;
    let app = shop.app("b").await;
    let path = format!("/app/{app}/endpoint");
    let plain = json!({"url": "http://127.0.0.1:9/"});
    let (loc, rule, _) = shop.violates("POST", &path, &plain).await;
    assert_eq!(
        (loc.as_str(), rule.as_str()),
        ("body.url", "value_error.transport")
    );
    let (loc, _, _) = shop.violates("PUT", &format!("{path}/new"), &plain).await;
    assert_eq!(loc, "body.url");
    let made = shop.endpoint(&app, "https://example.com").await;
    for method in ["PUT", "PATCH"] {
        let (loc, _, _) = shop
            .violates(method, &format!("{path}/{made}"), &plain)
            .await;
        assert_eq!(loc, "body.url");
    }
}

#[tokio::test]
async fn enforced_pins_need_a_backup() {
    let shop = Shop::open().await;
    let endpoint = shop.path_of_endpoint("a", "https://example.com").await;
    let path = format!("{endpoint}/transport");
    let pin = json!({"pin": "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="});
    shop.tell("POST", &format!("{endpoint}/pins"), &pin, 201)
        .await;
    let enforce = json!({"own": {"pinning": "enforce"}});
    let why = shop
        .refuses("PUT", &path, &enforce, "would_interrupt")
        .await;
    assert!(why.contains("backup"), "{why}");
    let shown = shop
        .tell("PUT", &format!("{path}?force=true"), &enforce, 200)
        .await;
    assert_eq!(shown["warnings"][0]["code"], "no_backup");
    assert_eq!(shown["pins"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_application_looks_and_does_not_touch() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let endpoint = shop.endpoint(&app, "https://example.com").await;
    let token = shop.as_app(&app);
    let path = format!("/app/{app}/endpoint/{endpoint}");
    for below in ["transport", "transport/explain", "pins", "mtls", "ca"] {
        shop.ask_as(&token, "GET", &format!("{path}/{below}"), "")
            .await
            .expect(200);
    }
    for (method, below) in [
        ("PUT", "transport"),
        ("PATCH", "transport"),
        ("POST", "pins"),
    ] {
        let answer = shop
            .ask_as(&token, method, &format!("{path}/{below}"), "{}")
            .await;
        assert_eq!(answer.error(403), "insufficient_permissions");
    }
}

#[tokio::test]
async fn the_explanation_before_anything_was_seen() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Partner CA").unwrap();
    let app = shop.app("a").await;
    let endpoint = shop.endpoint(&app, "https://example.com").await;
    let path = format!("/app/{app}/endpoint/{endpoint}");
    trust_privately(&shop, &path, &ca).await;
    let told = shop.get(&format!("{path}/transport/explain")).await;
    assert_eq!(told["verdict"], "not_seen");
    assert_eq!(told["breaker"], json!({"state": "delivering"}));
    assert_eq!(
        told["effective"]["trust"],
        json!({"value": "private", "from": "endpoint"})
    );
    let by_id = shop
        .get(&format!("/transport/explain?endpoint={endpoint}"))
        .await;
    assert_eq!(by_id, told);
    assert_eq!(
        (&told["appId"], &told["endpointId"]),
        (&json!(app), &json!(endpoint))
    );
    let missing = shop
        .tell("GET", "/transport/explain", &Value::Null, 422)
        .await;
    assert_eq!(missing["detail"][0]["loc"], json!(["query", "endpoint"]));
    let wrong = shop
        .tell("GET", "/transport/explain?endpoint=x", &Value::Null, 422)
        .await;
    assert_eq!(wrong["detail"][0]["type"], "value_error.pattern");
    let path = format!("/transport/explain?endpoint={endpoint}");
    let other = shop.ask_as(&shop.as_stranger(), "GET", &path, "").await;
    assert_eq!(other.error(404), "not_found");
}

#[tokio::test]
async fn the_explanation_says_why_and_what_to_do() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let endpoint = shop.endpoint(&app, "https://example.com").await;
    let explain = format!("/transport/explain?endpoint={endpoint}");
    let failed = HandshakeReport {
        failure: Some(Failed {
            failure: TlsFailure::UnknownCa,
            reason: "the receiver sent the alert unknown_ca".to_owned(),
        }),
        ..HandshakeReport::default()
    };
    shop.saw(&app, &endpoint, &failed).await;
    let told = shop.get(&explain).await;
    assert_eq!(told["verdict"], "failed");
    assert_eq!(told["reason"], "the receiver sent the alert unknown_ca");
    let failure = json!({
        "code": "unknown_ca", "fault": "us", "retry": "later",
        "advice": TlsFailure::UnknownCa.advice(),
    });
    assert_eq!(told["failure"], failure);
    assert_eq!(told["last"]["failure"], failure);
    assert_eq!(told["todo"], json!([TlsFailure::UnknownCa.advice()]));
    assert!(told["lastGood"].is_null());

    let good = HandshakeReport {
        verified: vec![certificate(
            "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        )],
        ..HandshakeReport::default()
    };
    shop.saw(&app, &endpoint, &good).await;
    let told = shop.get(&explain).await;
    assert_eq!(
        (&told["verdict"], &told["todo"]),
        (&json!("passed"), &json!([]))
    );
    assert!(
        told["reason"].as_str().unwrap().contains("CN=seen"),
        "{told}"
    );
    assert_eq!(told["lastGood"]["result"], "ok");
}

#[tokio::test]
async fn the_explanation_of_a_policy_that_can_not_be_applied() {
    let shop = Shop::open().await;
    let endpoint = shop.path_of_endpoint("a", "http://127.0.0.1:9/").await;
    let never = json!({"plainHttp": "never"});
    shop.tell("PUT", "/transport/policy/default", &never, 201)
        .await;
    let told = shop.get(&format!("{endpoint}/transport/explain")).await;
    assert_eq!(told["verdict"], "unusable");
    assert_eq!(told["failure"]["code"], "policy_unusable");
    let shown = shop.get(&format!("{endpoint}/transport")).await;
    let problem = shown["problem"].as_str().unwrap();
    assert!(told["reason"].as_str().unwrap().contains(problem), "{told}");
}
