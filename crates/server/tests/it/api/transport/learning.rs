//! Handshakes made to look, and pins learned from them.

use serde_json::{Value, json};

use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::test_ca::{LeafSpec, Speaks, TestCa};

use crate::api::shop::Shop;
use crate::api::transport::{client, trust_privately, upload};

#[tokio::test]
async fn a_probe_shows_the_receiver_and_sends_nothing() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Partner CA").unwrap();
    let leaf = ca.issue(&LeafSpec::default()).unwrap();
    let receiver = FakeEndpoint::tls(&leaf, [200]).await.unwrap();
    let endpoint = shop.path_of_endpoint("a", &receiver.url()).await;
    let probe = format!("{endpoint}/transport/probe");
    let seen = shop.tell("POST", &probe, &Value::Null, 200).await;
    assert_eq!(seen["result"], "peer_unknown_issuer", "{seen}");
    assert_eq!(seen["failure"]["fault"], "receiver");
    assert!(
        seen["reason"]
            .as_str()
            .unwrap()
            .contains("trust anchor set")
    );
    assert_eq!(seen["observed"][0]["pin"], leaf.spki_sha256());

    trust_privately(&shop, &endpoint, &ca).await;
    let seen = shop.tell("POST", &probe, &Value::Null, 200).await;
    assert_eq!(seen["result"], "ok", "{seen}");
    assert_eq!(seen["verified"][0]["pin"], leaf.spki_sha256());
    assert_eq!(seen["tls"]["version"], "TLSv1.3");
    assert_eq!(receiver.received().len(), 0);
}

#[tokio::test]
async fn a_probe_tells_what_is_presented() {
    let shop = Shop::open().await;
    let (partner, ours) = (
        TestCa::new("Partner CA").unwrap(),
        TestCa::new("Our CA").unwrap(),
    );
    let leaf = partner.issue(&LeafSpec::default()).unwrap();
    let receiver = FakeEndpoint::tls(&leaf, [200]).await.unwrap();
    receiver.demand(&leaf, Speaks::Http1, &ours).unwrap();
    let endpoint = shop.path_of_endpoint("a", &receiver.url()).await;
    trust_privately(&shop, &endpoint, &partner).await;
    let probe = format!("{endpoint}/transport/probe");
    let seen = shop.tell("POST", &probe, &Value::Null, 200).await;
    assert_eq!(seen["client"]["requested"], true, "{seen}");
    assert_eq!(seen["client"]["decision"], "no_identity");
    let certificates = "/transport/client-identity/us/certificates";
    shop.tell("POST", certificates, &upload(&client(&ours, "us")), 201)
        .await;
    let us = json!({"own": {"clientIdentity": "us"}});
    shop.tell("PATCH", &format!("{endpoint}/transport"), &us, 200)
        .await;
    let seen = shop.tell("POST", &probe, &Value::Null, 200).await;
    assert_eq!(seen["client"]["decision"], "matched", "{seen}");
    assert_eq!(seen["client"]["presented"]["identity"], "us");
}

#[tokio::test]
async fn without_tls_there_is_nothing_to_look_at() {
    let shop = Shop::open().await;
    let endpoint = shop.path_of_endpoint("a", "http://127.0.0.1:9/").await;
    shop.refuses(
        "POST",
        &format!("{endpoint}/transport/probe"),
        &Value::Null,
        "no_tls",
    )
    .await;
    shop.refuses(
        "POST",
        &format!("{endpoint}/pins/learn"),
        &json!({}),
        "no_tls",
    )
    .await;
    let told = shop.get(&format!("{endpoint}/transport/explain")).await;
    assert_eq!(told["verdict"], "plain_http");
}

#[tokio::test]
async fn a_pin_is_learned_when_a_person_confirms_it() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Partner CA").unwrap();
    let leaf = ca.issue(&LeafSpec::default()).unwrap();
    let receiver = FakeEndpoint::tls(&leaf, [200]).await.unwrap();
    let endpoint = shop.path_of_endpoint("a", &receiver.url()).await;
    let learn = format!("{endpoint}/pins/learn");
    let seen = shop.tell("POST", &learn, &json!({}), 200).await;
    assert_eq!(seen["candidates"][0]["verified"], false);
    let warned = seen["warnings"].as_array().unwrap();
    assert!(
        warned
            .iter()
            .any(|text| text.as_str().unwrap().contains("not verified")),
        "{seen}"
    );

    trust_privately(&shop, &endpoint, &ca).await;
    let seen = shop.tell("POST", &learn, &json!({}), 200).await;
    let roles: Vec<_> = seen["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["role"])
        .collect();
    assert_eq!(roles, ["leaf", "root"]);
    assert_eq!(seen["warnings"], json!([]));
    assert_eq!(
        shop.get(&format!("{endpoint}/pins")).await["data"],
        json!([])
    );

    let confirm = seen["candidates"][0]["confirm"].clone();
    let given = json!({"confirm": confirm, "note": "seen today"});
    let key = "a key";
    let made = shop
        .ask_once(key, &learn, &given.to_string())
        .await
        .expect(201);
    assert_eq!(
        (&made["pin"], &made["state"]),
        (&json!(leaf.spki_sha256()), &json!("staged"))
    );
    assert_eq!(made["note"], "seen today");
    let again = shop
        .ask_once(key, &learn, &given.to_string())
        .await
        .expect(201);
    assert_eq!(again, made);
    shop.refuses("POST", &learn, &given, "conflict").await;
}

#[tokio::test]
async fn a_key_that_is_not_shown_any_more_is_not_pinned() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Partner CA").unwrap();
    let leaf = ca.issue(&LeafSpec::default()).unwrap();
    let receiver = FakeEndpoint::tls(&leaf, [200]).await.unwrap();
    let endpoint = shop.path_of_endpoint("a", &receiver.url()).await;
    trust_privately(&shop, &endpoint, &ca).await;
    let learn = format!("{endpoint}/pins/learn");
    let other = ca.issue(&LeafSpec::default()).unwrap();
    receiver.present(&other, Speaks::default()).unwrap();
    let given = json!({"confirm": leaf.spki_sha256()});
    let why = shop.refuses("POST", &learn, &given, "key_not_shown").await;
    assert!(why.contains(&leaf.spki_sha256()), "{why}");
    let (loc, rule, _) = shop
        .violates("POST", &learn, &json!({"confirm": "yes"}))
        .await;
    assert_eq!(
        (loc.as_str(), rule.as_str()),
        ("body.confirm", "value_error.pin")
    );
    assert_eq!(
        shop.get(&format!("{endpoint}/pins")).await["data"],
        json!([])
    );
}
