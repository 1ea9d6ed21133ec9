//! The operations `mtls` and `ca` of the contract.

use serde_json::{Value, json};

use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::{Choice, TransportPolicy};
use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::test_ca::{Leaf, LeafSpec, Speaks, TestCa};

use crate::api::shop::Shop;
use crate::api::transport::client;

/// Certificate and key in one text, as the contract wants them.
fn identity(leaf: &Leaf) -> Value {
    json!({"identity": format!("{}{}", leaf.chain_pem(), leaf.key_pem())})
}

#[tokio::test]
async fn both_together_make_a_mutual_connection() {
    let shop = Shop::open().await;
    let (partner, ours) = (
        TestCa::new("Partner CA").unwrap(),
        TestCa::new("Our CA").unwrap(),
    );
    let leaf = partner.issue(&LeafSpec::default()).unwrap();
    let receiver = FakeEndpoint::tls(&leaf, [200]).await.unwrap();
    receiver.demand(&leaf, Speaks::Http1, &ours).unwrap();
    let endpoint = shop.path_of_endpoint("a", &receiver.url()).await;
    let (mtls, ca) = (format!("{endpoint}/mtls"), format!("{endpoint}/ca"));
    shop.tell("PUT", &ca, &json!({"cert": partner.root_pem()}), 204)
        .await;
    shop.tell("PUT", &mtls, &identity(&client(&ours, "us")), 204)
        .await;
    let shown = shop.get(&format!("{endpoint}/transport")).await;
    let name = endpoint.rsplit('/').next().unwrap();
    let own = json!({"trust": "private", "trustAnchors": name, "clientIdentity": name});
    assert_eq!(shown["own"], own);
    let seen = shop
        .tell(
            "POST",
            &format!("{endpoint}/transport/probe"),
            &Value::Null,
            200,
        )
        .await;
    assert_eq!(seen["result"], "ok", "{seen}");
    assert_eq!(seen["client"]["decision"], "matched");
}

#[tokio::test]
async fn the_way_of_mtls() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Our CA").unwrap();
    let endpoint = shop.path_of_endpoint("a", "https://example.com").await;
    let mtls = format!("{endpoint}/mtls");
    assert_eq!(shop.get(&mtls).await, json!({}));
    let first = identity(&client(&ca, "first"));
    shop.tell("PUT", &mtls, &first, 204).await;
    let shown = shop.get(&mtls).await;
    assert_eq!(
        (&shown["subject"], &shown["issuer"]),
        (&json!("CN=first"), &json!("CN=Our CA"))
    );
    assert!(!shown.to_string().contains("PRIVATE"), "{shown}");
    // The same again changes nothing; another one takes over and leaves one to fall back on.
    shop.tell("PUT", &mtls, &first, 204).await;
    for name in ["second", "third"] {
        shop.tell("PUT", &mtls, &identity(&client(&ca, name)), 204)
            .await;
    }
    assert_eq!(shop.get(&mtls).await["subject"], "CN=third");
    let name = endpoint.rsplit('/').next().unwrap();
    let kept = shop
        .get(&format!("/transport/client-identity/{name}"))
        .await;
    let stages: Vec<_> = kept["certificates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["stage"])
        .collect();
    assert_eq!(stages, ["retired", "distributed", "distributed"]);
    shop.ask("DELETE", &mtls, "").await.expect(204);
    assert_eq!(shop.get(&mtls).await, json!({}));
    assert_eq!(
        shop.get(&format!("{endpoint}/transport")).await["own"],
        json!({})
    );
    assert_eq!(
        shop.get("/transport/client-identity").await["data"],
        json!([])
    );
    shop.ask("DELETE", &mtls, "").await.expect(204);
}

#[tokio::test]
async fn the_way_of_ca() {
    let shop = Shop::open().await;
    let (old, new) = (
        TestCa::new("Old CA").unwrap(),
        TestCa::new("New CA").unwrap(),
    );
    let endpoint = shop.path_of_endpoint("a", "https://example.com").await;
    let ca = format!("{endpoint}/ca");
    assert_eq!(shop.get(&ca).await, json!({"cert": null}));
    let both = format!("{}{}", old.root_pem(), new.root_pem());
    shop.tell("PUT", &ca, &json!({"cert": both}), 204).await;
    let shown = shop.get(&ca).await["cert"]
        .as_str()
        .unwrap()
        .matches("BEGIN")
        .count();
    assert_eq!(shown, 2);
    shop.tell("PUT", &ca, &json!({"cert": new.root_pem()}), 204)
        .await;
    let shown = shop.get(&ca).await["cert"]
        .as_str()
        .unwrap()
        .matches("BEGIN")
        .count();
    assert_eq!(shown, 1);
    shop.tell("PUT", &ca, &json!({"cert": null}), 204).await;
    assert_eq!(shop.get(&ca).await, json!({"cert": null}));
    assert_eq!(
        shop.get(&format!("{endpoint}/transport")).await["own"],
        json!({})
    );
    assert_eq!(
        shop.get("/transport/trust-anchors").await["data"],
        json!([])
    );
}

#[tokio::test]
async fn refusals() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Our CA").unwrap();
    let endpoint = shop.path_of_endpoint("a", "https://example.com").await;
    let (mtls, roots) = (format!("{endpoint}/mtls"), format!("{endpoint}/ca"));
    let check = async |path: &str, given: Value, loc: &str, rule: &str| {
        let (found, by, msg) = shop.violates("PUT", path, &given).await;
        assert_eq!((found.as_str(), by.as_str()), (loc, rule));
        assert!(!msg.contains("MIG"), "{msg}");
    };
    let leaf = client(&ca, "us");
    check(&mtls, json!({}), "body.identity", "value_error.missing").await;
    let wrong = "value_error.client_identity";
    check(
        &mtls,
        json!({"identity": leaf.chain_pem()}),
        "body.identity",
        wrong,
    )
    .await;
    check(
        &mtls,
        json!({"identity": leaf.key_pem()}),
        "body.identity",
        wrong,
    )
    .await;
    let anchors = "value_error.trust_anchors";
    check(
        &roots,
        json!({"cert": leaf.chain_pem()}),
        "body.cert",
        anchors,
    )
    .await;
    check(&roots, json!({"cert": ""}), "body.cert", anchors).await;
    let plain = shop.path_of_endpoint("b", "http://127.0.0.1:9/").await;
    let (plain_mtls, plain_ca) = (format!("{plain}/mtls"), format!("{plain}/ca"));
    check(
        &plain_mtls,
        identity(&leaf),
        "body",
        "value_error.transport",
    )
    .await;
    let cert = json!({"cert": ca.root_pem()});
    check(&plain_ca, cert, "body", "value_error.transport").await;
    assert_eq!(
        shop.get("/transport/client-identity").await["data"],
        json!([])
    );
}

#[tokio::test]
async fn only_an_explicit_null_takes_roots_away() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Partner CA").unwrap();
    let endpoint = shop.path_of_endpoint("a", "https://example.com").await;
    let (mtls, roots) = (format!("{endpoint}/mtls"), format!("{endpoint}/ca"));
    let given = json!({"cert": ca.root_pem()});
    shop.tell("PUT", &roots, &given, 204).await;
    shop.tell("PUT", &mtls, &identity(&client(&ca, "us")), 204)
        .await;
    let own = shop.get(&format!("{endpoint}/transport")).await["own"].clone();
    let check = async |path: &str, given: Value, loc: &str, rule: &str| {
        let (found, by, _) = shop.violates("PUT", path, &given).await;
        assert_eq!((found.as_str(), by.as_str()), (loc, rule));
        let now = shop.get(&format!("{endpoint}/transport")).await["own"].clone();
        assert_eq!(now, own, "{given}");
    };
    let (missing, unknown) = ("value_error.missing", "value_error.unknown");
    check(&roots, json!({}), "body.cert", missing).await;
    check(&roots, json!({"certs": null}), "body.certs", unknown).await;
    let beside = json!({"cert": null, "force": true});
    check(&roots, beside, "body.force", unknown).await;
    check(&roots, json!({"cert": 1}), "body.cert", "type_error").await;
    check(&mtls, json!({}), "body.identity", missing).await;
    let null = json!({"identity": null});
    check(&mtls, null, "body.identity", "type_error").await;
    let mut beside = identity(&client(&ca, "us"));
    beside["key"] = "x".into();
    check(&mtls, beside, "body.key", unknown).await;
    let empty = shop.ask("PUT", &roots, "").await.expect(422);
    assert_eq!(empty["detail"][0]["type"], "value_error.jsondecode");
    assert!(shop.get(&roots).await["cert"].is_string());
}

#[tokio::test]
async fn what_belongs_to_one_endpoint_is_not_named_elsewhere() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Our CA").unwrap();
    let endpoint = shop.path_of_endpoint("a", "https://example.com").await;
    let other = shop.path_of_endpoint("b", "https://example.com").await;
    shop.tell(
        "PUT",
        &format!("{endpoint}/ca"),
        &json!({"cert": ca.root_pem()}),
        204,
    )
    .await;
    let given = identity(&client(&ca, "us"));
    shop.tell("PUT", &format!("{endpoint}/mtls"), &given, 204)
        .await;
    let name = endpoint.rsplit('/').next().unwrap();
    let policy = "/transport/policy/partner";
    for (field, layer) in [
        (
            "trustAnchors",
            json!({"trust": "private", "trustAnchors": name}),
        ),
        ("clientIdentity", json!({"clientIdentity": name})),
    ] {
        let (loc, rule, msg) = shop.violates("PUT", policy, &layer).await;
        let expect = (format!("body.{field}"), "value_error.name.reserved");
        assert_eq!((loc, rule.as_str()), expect);
        assert!(msg.contains(name), "{msg}");
        let theirs = json!({"own": layer});
        let (loc, rule, _) = shop
            .violates("PUT", &format!("{other}/transport"), &theirs)
            .await;
        let expect = (format!("body.own.{field}"), "value_error.name.reserved");
        assert_eq!((loc, rule.as_str()), expect);
    }
    // Its own settings may say what they say.
    let transport = format!("{endpoint}/transport");
    let own = json!({"own": shop.get(&transport).await["own"]});
    assert_eq!(
        shop.tell("PUT", &transport, &own, 200).await["own"],
        own["own"]
    );
}

#[tokio::test]
async fn what_a_policy_names_all_the_same_is_taken_back_whole() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Our CA").unwrap();
    let endpoint = shop.path_of_endpoint("a", "https://example.com").await;
    let (mtls, roots) = (format!("{endpoint}/mtls"), format!("{endpoint}/ca"));
    let cert = json!({"cert": ca.root_pem()});
    shop.tell("PUT", &roots, &cert, 204).await;
    let given = identity(&client(&ca, "us"));
    shop.tell("PUT", &mtls, &given, 204).await;
    let private = Name::parse(endpoint.rsplit('/').next().unwrap()).unwrap();
    let naming = TransportPolicy {
        trust_anchors: Some(private.clone()),
        client_identity: Some(Choice::Named(private)),
        ..TransportPolicy::default()
    };
    shop.has_policy("old", naming).await;
    shop.ask("DELETE", &mtls, "").await.expect(204);
    shop.tell("PUT", &roots, &json!({"cert": null}), 204).await;
    let own = shop.get(&format!("{endpoint}/transport")).await["own"].clone();
    assert_eq!(own, json!({}));
    assert_eq!(shop.get(&mtls).await, json!({}));
    assert_eq!(shop.get(&roots).await, json!({"cert": null}));
    let left = async |kind: &str| {
        let list = shop.get(&format!("/transport/{kind}")).await;
        list["data"].as_array().unwrap().len()
    };
    assert_eq!(left("client-identity").await, 1);
    assert_eq!(left("trust-anchors").await, 1);
    // Nothing else names them any more, so that they go.
    shop.has_policy("old", TransportPolicy::default()).await;
    shop.ask("DELETE", &mtls, "").await.expect(204);
    shop.tell("PUT", &roots, &json!({"cert": null}), 204).await;
    assert_eq!(left("client-identity").await, 0);
    assert_eq!(left("trust-anchors").await, 0);
}

#[tokio::test]
async fn what_belongs_to_an_endpoint_goes_with_it() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Our CA").unwrap();
    let left = async || {
        let of = async |kind: &str| shop.get(&format!("/transport/{kind}")).await["data"].clone();
        (of("client-identity").await, of("trust-anchors").await)
    };
    for deleted in ["endpoint", "application"] {
        let endpoint = shop.path_of_endpoint(deleted, "https://example.com").await;
        let given = identity(&client(&ca, "us"));
        shop.tell("PUT", &format!("{endpoint}/mtls"), &given, 204)
            .await;
        let given = json!({"cert": ca.root_pem()});
        shop.tell("PUT", &format!("{endpoint}/ca"), &given, 204)
            .await;
        let (identities, anchors) = left().await;
        assert_eq!(
            (
                identities[0]["version"].is_i64(),
                anchors[0]["version"].is_i64()
            ),
            (true, true)
        );
        let path = match deleted {
            "endpoint" => endpoint,
            _ => format!("/app/{deleted}"),
        };
        shop.ask("DELETE", &path, "").await.expect(204);
        assert_eq!(left().await, (json!([]), json!([])), "{deleted}");
    }
}
