//! Pins of an endpoint.

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use hookseal_domain::transport::handshake::HandshakeReport;
use hookseal_testkit::test_ca::{LeafSpec, TestCa};

use crate::api::shop::Shop;
use crate::api::transport::certificate;

const FIRST: &str = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
const SECOND: &str = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const THIRD: &str = "sha256/BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA=";

/// A good handshake that showed these keys.
fn shown(keys: &[&str]) -> HandshakeReport {
    HandshakeReport {
        verified: keys.iter().map(|key| certificate(key)).collect(),
        ..HandshakeReport::default()
    }
}

/// An application with one endpoint: its path, and the ids of both.
async fn endpoint(shop: &Shop) -> (String, String, String) {
    let app = shop.app("a").await;
    let endpoint = shop.endpoint(&app, "https://example.com").await;
    (format!("/app/{app}/endpoint/{endpoint}"), app, endpoint)
}

fn path_of(pins: &str, pin: &Value) -> String {
    format!("{pins}/{}", pin["sha256"].as_str().unwrap())
}

#[tokio::test]
async fn the_way_of_a_pin() {
    let shop = Shop::open().await;
    let (path, app, id) = endpoint(&shop).await;
    let pins = format!("{path}/pins");
    let given = json!({"pin": FIRST, "note": "today's", "state": "active"});
    let first = shop.tell("POST", &pins, &given, 201).await;
    assert_eq!(
        (&first["pin"], &first["state"]),
        (&json!(FIRST), &json!("active"))
    );
    assert_eq!(
        (&first["note"], &first["live"]),
        (&json!("today's"), &json!(false))
    );
    let second = shop.tell("POST", &pins, &json!({"pin": SECOND}), 201).await;
    assert_eq!(second["state"], "staged");
    shop.saw(&app, &id, &shown(&[FIRST])).await;
    let all = shop.get(&pins).await;
    assert_eq!(all["data"][0]["live"], true);
    assert!(all["data"][0]["firstSeenAt"].is_string());
    assert_eq!(all["warnings"], json!([]));

    // The server changes over; then its new key becomes the active one.
    let one = path_of(&pins, &second);
    let active = json!({"state": "active", "note": "next year's"});
    let why = shop
        .refuses("PATCH", &one, &active, "would_interrupt")
        .await;
    assert!(why.contains("not seen"), "{why}");
    let forced = json!({"state": "active", "force": true});
    let staged = shop.tell("PATCH", &one, &forced, 200).await;
    assert_eq!(staged["state"], "active");
    let back = json!({"state": "staged"});
    shop.tell("PATCH", &one, &back, 200).await;
    shop.saw(&app, &id, &shown(&[SECOND])).await;
    let all = shop.get(&pins).await;
    assert_eq!(all["data"][1]["state"], "seen");
    assert_eq!(all["warnings"][0]["code"], "live_key_is_staged");
    let now = shop.tell("PATCH", &one, &active, 200).await;
    assert_eq!(
        (&now["state"], &now["note"]),
        (&json!("active"), &json!("next year's"))
    );
    let all = shop.get(&pins).await;
    assert_eq!(all["data"][0]["state"], "retiring");
    shop.ask("DELETE", &path_of(&pins, &first), "")
        .await
        .expect(204);
    assert_eq!(shop.get(&pins).await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_would_stop_deliveries_needs_force() {
    let shop = Shop::open().await;
    let (path, app, id) = endpoint(&shop).await;
    let pins = format!("{path}/pins");
    let mut made = Vec::new();
    for pin in [FIRST, SECOND, THIRD] {
        made.push(shop.tell("POST", &pins, &json!({"pin": pin}), 201).await);
    }
    let enforce = json!({"own": {"pinning": "enforce"}});
    shop.tell("PATCH", &format!("{path}/transport"), &enforce, 200)
        .await;
    shop.saw(&app, &id, &shown(&[FIRST])).await;
    let live = path_of(&pins, &made[0]);
    let why = shop
        .refuses("DELETE", &live, &Value::Null, "would_interrupt")
        .await;
    assert!(why.contains("only pin"), "{why}");
    shop.ask("DELETE", &path_of(&pins, &made[2]), "")
        .await
        .expect(204);
    let backup = path_of(&pins, &made[1]);
    let why = shop
        .refuses("DELETE", &backup, &Value::Null, "would_interrupt")
        .await;
    assert!(why.contains("backup"), "{why}");
    shop.ask("DELETE", &format!("{live}?force=true"), "")
        .await
        .expect(204);
    let told = shop.get(&format!("{path}/transport/explain")).await;
    let codes: Vec<_> = told["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|w| &w["code"])
        .collect();
    assert_eq!(codes, ["no_backup", "no_match"]);
    assert_eq!(told["todo"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn keys_come_in_many_shapes() {
    let shop = Shop::open().await;
    let (path, ..) = endpoint(&shop).await;
    let pins = format!("{path}/pins");
    let ca = TestCa::new("Partner CA").unwrap();
    let leaf = ca.issue(&LeafSpec::default()).unwrap();
    let made = shop
        .tell(
            "POST",
            &pins,
            &json!({"certificate": leaf.chain_pem()}),
            201,
        )
        .await;
    assert_eq!(made["pin"], leaf.spki_sha256());
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::new(Vec::new()).unwrap();
    let csr = request.serialize_request(&key).unwrap().pem().unwrap();
    let made = shop.tell("POST", &pins, &json!({"csr": csr}), 201).await;
    let public = json!({"publicKey": key.public_key_pem()});
    let why = shop.refuses("POST", &pins, &public, "conflict").await;
    assert!(why.contains("already"), "{why}");
    shop.ask("DELETE", &path_of(&pins, &made), "")
        .await
        .expect(204);
    let again = shop.tell("POST", &pins, &public, 201).await;
    assert_eq!(again["pin"], made["pin"]);
}

#[tokio::test]
async fn what_is_no_key_is_refused() {
    let shop = Shop::open().await;
    let (path, ..) = endpoint(&shop).await;
    let pins = format!("{path}/pins");
    let leaf = TestCa::new("Partner CA")
        .unwrap()
        .issue(&LeafSpec::default())
        .unwrap();
    let check = async |given: Value, loc: &str, rule: &str, words: &str| {
        let (found, by, msg) = shop.violates("POST", &pins, &given).await;
        assert_eq!((found.as_str(), by.as_str()), (loc, rule));
        assert!(msg.contains(words), "{msg}");
    };
    let pin = "value_error.pin";
    check(json!({}), "body.pin", "value_error.missing", "publicKey").await;
    check(json!({"pin": "sha1/AAAA"}), "body.pin", pin, "sha256").await;
    check(
        json!({"pin": "ab".repeat(32)}),
        "body.pin",
        pin,
        "fingerprint",
    )
    .await;
    let both = json!({"pin": FIRST, "csr": "x"});
    check(both, "body.csr", pin, "another source").await;
    let private = json!({"publicKey": leaf.key_pem()});
    check(private, "body.publicKey", pin, "private key").await;
    let misplaced = json!({"csr": leaf.chain_pem()});
    check(misplaced, "body.csr", pin, "certificate").await;
    let state = json!({"pin": FIRST, "state": "seen"});
    check(
        state,
        "body.state",
        "value_error.choice",
        "staged or active",
    )
    .await;
    let long = json!({"pin": FIRST, "note": "ü".repeat(501)});
    check(long, "body.note", "value_error.length", "500 characters").await;
    let made = shop.tell("POST", &pins, &json!({"pin": FIRST}), 201).await;
    let one = path_of(&pins, &made);
    let (loc, rule, _) = shop
        .violates("PATCH", &one, &json!({"state": "seen"}))
        .await;
    assert_eq!(
        (loc.as_str(), rule.as_str()),
        ("body.state", "value_error.choice")
    );
    let unknown = format!("{pins}/{}", "0".repeat(64));
    assert_eq!(
        shop.ask("DELETE", &unknown, "").await.error(404),
        "not_found"
    );
    assert_eq!(
        shop.ask("PATCH", &unknown, "{}").await.error(404),
        "not_found"
    );
}

#[tokio::test]
async fn there_are_at_most_sixteen() {
    let shop = Shop::open().await;
    let (path, ..) = endpoint(&shop).await;
    let pins = format!("{path}/pins");
    let ca = TestCa::new("Partner CA").unwrap();
    let fresh = || {
        let leaf = ca.issue(&LeafSpec::default()).unwrap();
        json!({"pin": leaf.spki_sha256()})
    };
    for _ in 0..16 {
        shop.tell("POST", &pins, &fresh(), 201).await;
    }
    shop.refuses("POST", &pins, &fresh(), "limit_reached").await;
}

#[tokio::test]
async fn adding_is_repeatable() {
    let shop = Shop::open().await;
    let (path, ..) = endpoint(&shop).await;
    let pins = format!("{path}/pins");
    let body = json!({"pin": FIRST}).to_string();
    let first = shop.ask_once("k", &pins, &body).await.expect(201);
    shop.advance(std::time::Duration::from_secs(60));
    assert_eq!(shop.ask_once("k", &pins, &body).await.expect(201), first);
    let other = json!({"pin": SECOND}).to_string();
    let other = shop.ask_once("k", &pins, &other).await;
    assert_eq!(other.error(409), "idempotency_key_reused");
}
