//! Trust anchor sets.

use serde_json::{Value, json};

use hookseal_domain::transport::handshake::HandshakeReport;
use hookseal_testkit::test_ca::{LeafSpec, TestCa, Validity};

use crate::api::shop::Shop;
use crate::api::transport::certificate;

const SET: &str = "/transport/trust-anchors/partner";
/// A root that browsers trust.
const PUBLIC: &str = include_str!("isrg-root-x2.pem");

fn pem(roots: &[&TestCa]) -> Value {
    let all: Vec<_> = roots.iter().map(|ca| ca.root_pem()).collect();
    json!({"pem": all.concat()})
}

fn sha256_of(set: &Value, index: usize) -> String {
    set["anchors"][index]["sha256"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_way_of_a_set() {
    let shop = Shop::open().await;
    let (old, new) = (
        TestCa::new("Old CA").unwrap(),
        TestCa::new("New CA").unwrap(),
    );
    let made = shop.tell("PUT", SET, &pem(&[&old]), 201).await;
    assert_eq!(made["name"], "partner");
    let anchor = &made["anchors"][0];
    assert_eq!(anchor["subject"], "CN=Old CA");
    assert_eq!(anchor["state"], "active");
    assert_eq!(anchor["endpoints"], 0);
    assert_eq!(anchor["notAfter"], "2049-12-31T00:00:00.000Z");
    assert!(anchor["pin"].as_str().unwrap().starts_with("sha256/"));
    assert_eq!(
        anchor["pem"].as_str().unwrap().replace('\r', ""),
        old.root_pem().replace('\r', "")
    );

    // The new one beside the old one, the old one marked, then gone.
    let both = shop
        .tell("POST", &format!("{SET}/anchors"), &pem(&[&new]), 201)
        .await;
    assert_eq!(both["anchors"].as_array().unwrap().len(), 2);
    assert_ne!(both["version"], made["version"]);
    let first = format!("{SET}/anchors/{}", sha256_of(&both, 0));
    let marked = shop
        .tell("PATCH", &first, &json!({"state": "retiring"}), 200)
        .await;
    assert_eq!(marked["anchors"][0]["state"], "retiring");
    assert!(marked["anchors"][0]["retiringSince"].is_string());
    let back = shop
        .tell("PATCH", &first, &json!({"state": "active"}), 200)
        .await;
    assert!(back["anchors"][0]["retiringSince"].is_null());
    let left = shop.ask("DELETE", &first, "").await.expect(200);
    assert_eq!(left["anchors"].as_array().unwrap().len(), 1);
    assert_eq!(shop.get(SET).await, left);
    let list = shop.get("/transport/trust-anchors").await;
    assert_eq!(list["data"][0]["name"], "partner");
    assert!(list["data"][0]["anchors"][0]["endpoints"].is_null());

    // The last one goes with its set.
    let last = format!("{SET}/anchors/{}", sha256_of(&left, 0));
    shop.refuses("DELETE", &last, &Value::Null, "would_interrupt")
        .await;
    shop.ask("DELETE", SET, "").await.expect(204);
    assert_eq!(shop.ask("GET", SET, "").await.error(404), "not_found");
}

#[tokio::test]
async fn a_root_that_stays_keeps_its_times() {
    let shop = Shop::open().await;
    let (old, new) = (
        TestCa::new("Old CA").unwrap(),
        TestCa::new("New CA").unwrap(),
    );
    let made = shop.tell("PUT", SET, &pem(&[&old]), 201).await;
    shop.advance(std::time::Duration::from_secs(60));
    let replaced = shop.tell("PUT", SET, &pem(&[&new, &old]), 200).await;
    assert_eq!(
        replaced["anchors"][1]["addedAt"],
        made["anchors"][0]["addedAt"]
    );
    assert_ne!(
        replaced["anchors"][0]["addedAt"],
        made["anchors"][0]["addedAt"]
    );
}

#[tokio::test]
async fn what_is_no_private_root_is_refused_by_name() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Partner CA").unwrap();
    let expired = TestCa::valid("Old CA", Validity::Past).unwrap();
    let leaf = ca.issue(&LeafSpec::default()).unwrap();
    let check = async |given: String, words: &str| {
        let (loc, rule, msg) = shop.violates("PUT", SET, &json!({"pem": given})).await;
        assert_eq!(
            (loc.as_str(), rule.as_str()),
            ("body.pem", "value_error.trust_anchors")
        );
        assert!(msg.contains(words), "{msg}");
    };
    check(String::new(), "no certificate").await;
    check(leaf.chain_pem(), "Test receiver").await;
    check(expired.root_pem(), "Old CA").await;
    check(ca.root_pem().repeat(2), "Partner CA").await;
    check(format!("{}{}", ca.root_pem(), ca.key_pem()), "private key").await;
    check(PUBLIC.to_owned(), "ISRG Root X2").await;
    let (loc, rule, _) = shop.violates("PUT", SET, &json!({})).await;
    assert_eq!(
        (loc.as_str(), rule.as_str()),
        ("body.pem", "value_error.missing")
    );
    assert_eq!(shop.ask("GET", SET, "").await.error(404), "not_found");
}

#[tokio::test]
async fn a_root_that_endpoints_need_is_replaced_with_an_overlap() {
    let shop = Shop::open().await;
    let (old, new) = (
        TestCa::new("Old CA").unwrap(),
        TestCa::new("New CA").unwrap(),
    );
    let made = shop.tell("PUT", SET, &pem(&[&old]), 201).await;
    let app = shop.app("a").await;
    let endpoint = shop.endpoint(&app, "https://example.com").await;
    let transport = format!("/app/{app}/endpoint/{endpoint}/transport");
    shop.tell("PUT", &transport, &private("partner"), 200).await;
    let root = made["anchors"][0]["pin"].as_str().unwrap();
    shop.saw(&app, &endpoint, &verified(root)).await;
    assert_eq!(shop.get(SET).await["anchors"][0]["endpoints"], 1);
    let why = shop
        .refuses("PUT", SET, &pem(&[&new]), "would_interrupt")
        .await;
    for words in ["Old CA", "1 endpoints", "give both", "force"] {
        assert!(why.contains(words), "{why}");
    }
    let both = shop.tell("PUT", SET, &pem(&[&old, &new]), 200).await;
    let first = format!("{SET}/anchors/{}", sha256_of(&both, 0));
    let why = shop
        .refuses("DELETE", &first, &Value::Null, "would_interrupt")
        .await;
    assert!(why.contains("1 endpoints"), "{why}");
    // Once the endpoint's chain ends in the new one, the old one may go.
    let root = both["anchors"][1]["pin"].as_str().unwrap();
    shop.saw(&app, &endpoint, &verified(root)).await;
    shop.ask("DELETE", &first, "").await.expect(200);
    // And who knows what they do is not kept from it.
    let forced = shop
        .tell("PUT", &format!("{SET}?force=true"), &pem(&[&old]), 200)
        .await;
    assert_eq!(forced["anchors"].as_array().unwrap().len(), 1);
}

/// What an endpoint says that trusts a set alone.
fn private(set: &str) -> Value {
    json!({"own": {"trust": "private", "trustAnchors": set}})
}

/// A good handshake whose chain ended in the root with this key.
fn verified(root: &str) -> HandshakeReport {
    HandshakeReport {
        verified: vec![
            certificate("sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
            certificate(root),
        ],
        ..HandshakeReport::default()
    }
}

#[tokio::test]
async fn nobody_needs_the_roots_of_a_set_that_nothing_names() {
    let shop = Shop::open().await;
    let (old, new) = (
        TestCa::new("Old CA").unwrap(),
        TestCa::new("New CA").unwrap(),
    );
    let made = shop.tell("PUT", SET, &pem(&[&old]), 201).await;
    let app = shop.app("a").await;
    let endpoint = shop.endpoint(&app, "https://example.com").await;
    let transport = format!("/app/{app}/endpoint/{endpoint}/transport");
    shop.tell("PUT", &transport, &private("partner"), 200).await;
    let root = made["anchors"][0]["pin"].as_str().unwrap();
    shop.saw(&app, &endpoint, &verified(root)).await;
    let draft = "/transport/trust-anchors/draft";
    let made = shop.tell("PUT", draft, &pem(&[&old, &new]), 201).await;
    assert_eq!(made["anchors"][0]["endpoints"], 0);
    assert_eq!(shop.get(draft).await, made);
    assert_eq!(shop.get(SET).await["anchors"][0]["endpoints"], 1);
    // As soon as a policy names it, the count is by root over the organisation.
    let policy = "/transport/policy/later";
    let naming = json!({"trustAnchors": "draft"});
    shop.tell("PUT", policy, &naming, 201).await;
    assert_eq!(shop.get(draft).await["anchors"][0]["endpoints"], 1);
    let first = format!("{draft}/anchors/{}", sha256_of(&made, 0));
    shop.refuses("DELETE", &first, &Value::Null, "would_interrupt")
        .await;
    shop.ask("DELETE", policy, "").await.expect(204);
    let left = shop.ask("DELETE", &first, "").await.expect(200);
    assert_eq!(left["anchors"].as_array().unwrap().len(), 1);
    shop.tell("PUT", draft, &pem(&[&old]), 200).await;
}

#[tokio::test]
async fn refusals() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Partner CA").unwrap();
    let made = shop.tell("PUT", SET, &pem(&[&ca]), 201).await;
    let again = format!("{SET}/anchors");
    let why = shop.refuses("POST", &again, &pem(&[&ca]), "conflict").await;
    assert!(why.contains("Partner CA"), "{why}");
    let (loc, rule, _) = shop
        .violates("PUT", "/transport/trust-anchors/ep_1", &pem(&[&ca]))
        .await;
    assert_eq!(
        (loc.as_str(), rule.as_str()),
        ("path.name", "value_error.name.reserved")
    );
    let unknown = format!("{SET}/anchors/{}", "0".repeat(64));
    assert_eq!(
        shop.ask("DELETE", &unknown, "").await.error(404),
        "not_found"
    );
    assert_eq!(
        shop.ask("DELETE", &format!("{SET}/anchors/x"), "")
            .await
            .error(404),
        "not_found"
    );
    let one = format!("{SET}/anchors/{}", sha256_of(&made, 0));
    let (loc, rule, _) = shop
        .violates("PATCH", &one, &json!({"state": "gone"}))
        .await;
    assert_eq!(
        (loc.as_str(), rule.as_str()),
        ("body.state", "value_error.choice")
    );
    let nobody = "/transport/trust-anchors/nobody/anchors/x";
    assert_eq!(shop.ask("DELETE", nobody, "").await.error(404), "not_found");
}

#[tokio::test]
async fn adding_is_repeatable() {
    let shop = Shop::open().await;
    let (one, two) = (TestCa::new("One").unwrap(), TestCa::new("Two").unwrap());
    let path = format!("{SET}/anchors");
    let first = shop
        .ask_once("k", &path, &pem(&[&one]).to_string())
        .await
        .expect(201);
    let again = shop
        .ask_once("k", &path, &pem(&[&one]).to_string())
        .await
        .expect(201);
    assert_eq!(first, again);
    let other = shop.ask_once("k", &path, &pem(&[&two]).to_string()).await;
    assert_eq!(other.error(409), "idempotency_key_reused");
}
