//! Client identities: what comes in, and what never goes out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateSigningRequestParams, Issuer, KeyPair, date_time_ymd};
use serde_json::{Value, json};

use hookseal_testkit::test_ca::{LeafSpec, Purpose, TestCa, Validity};

use crate::api::shop::Shop;
use crate::api::transport::{client, upload};

const US: &str = "/transport/client-identity/us";
const CERTIFICATES: &str = "/transport/client-identity/us/certificates";
const REQUESTS: &str = "/transport/client-identity/us/requests";
/// Made with OpenSSL, with the password `secret`.
const PKCS12: &[u8] = include_bytes!("client.p12");

/// What a CA answers to a certificate request.
fn sign(ca: &TestCa, csr: &str) -> String {
    let key = KeyPair::from_pem(&ca.key_pem()).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&ca.pem(), key).unwrap();
    let mut request = CertificateSigningRequestParams::from_pem(csr).unwrap();
    request.params.not_before = date_time_ymd(2020, 1, 1);
    request.params.not_after = date_time_ymd(2049, 1, 1);
    request.signed_by(&issuer).unwrap().pem()
}

#[tokio::test]
async fn the_first_is_presented_at_once_and_later_ones_when_they_are_known() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Our CA").unwrap();
    let first = shop
        .tell("POST", CERTIFICATES, &upload(&client(&ca, "us")), 201)
        .await;
    assert_eq!(
        (&first["number"], &first["stage"]),
        (&json!(1), &json!("distributed"))
    );
    assert_eq!(
        (&first["subject"], &first["issuer"]),
        (&json!("CN=us"), &json!("CN=Our CA"))
    );
    let second = shop
        .tell("POST", CERTIFICATES, &upload(&client(&ca, "us")), 201)
        .await;
    assert_eq!(
        (&second["number"], &second["stage"]),
        (&json!(2), &json!("issued"))
    );
    let mut known = upload(&client(&ca, "us"));
    known["distribute"] = true.into();
    let third = shop.tell("POST", CERTIFICATES, &known, 201).await;
    assert_eq!(
        (&third["number"], &third["stage"]),
        (&json!(3), &json!("distributed"))
    );
    let told = shop
        .tell(
            "POST",
            &format!("{CERTIFICATES}/2/distribute"),
            &json!({}),
            200,
        )
        .await;
    assert_eq!(told["stage"], "distributed");
    let all = shop.get(US).await;
    assert_eq!(all["certificates"].as_array().unwrap().len(), 3);
    assert_eq!(
        shop.get("/transport/client-identity").await["data"],
        json!([all])
    );
    shop.ask("DELETE", US, "").await.expect(204);
    assert_eq!(shop.ask("GET", US, "").await.error(404), "not_found");
}

#[tokio::test]
async fn no_answer_holds_a_key() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Our CA").unwrap();
    let leaf = client(&ca, "us");
    let key: String = leaf.key_pem().lines().skip(1).take(2).collect();
    let mut answers = vec![shop.tell("POST", CERTIFICATES, &upload(&leaf), 201).await];
    answers.push(
        shop.tell("POST", REQUESTS, &json!({"commonName": "us"}), 201)
            .await,
    );
    answers.push(shop.get(US).await);
    answers.push(shop.get("/transport/client-identity").await);
    answers.push(shop.get(&format!("{US}/rotation")).await);
    // Nor does a refusal quote one.
    let wrong = json!({"certificate": leaf.key_pem(), "privateKey": leaf.chain_pem()});
    answers.push(shop.tell("POST", CERTIFICATES, &wrong, 422).await);
    for answer in answers {
        let text = answer.to_string().replace("\\n", "");
        assert!(!text.contains("PRIVATE KEY"), "{text}");
        assert!(
            !text.contains(&key) && !text.contains("privateKey\":"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_key_made_here_waits_for_its_certificate() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Our CA").unwrap();
    let wanted = json!({
        "commonName": "us", "dnsNames": ["hooks.example.com"],
        "uris": ["spiffe://example.org/hooks"], "algorithm": "ecdsa_p384",
    });
    let made = shop.tell("POST", REQUESTS, &wanted, 201).await;
    assert_eq!(
        (&made["number"], &made["stage"]),
        (&json!(1), &json!("requested"))
    );
    let csr = made["csr"].as_str().unwrap();
    let path = format!("{CERTIFICATES}/1");
    // Another's certificate is not the answer.
    let other = json!({"certificate": client(&ca, "us").chain_pem()});
    let (loc, rule, _) = shop.violates("PUT", &path, &other).await;
    assert_eq!(
        (loc.as_str(), rule.as_str()),
        ("body.certificate", "value_error.client_identity")
    );
    let answer = json!({"certificate": sign(&ca, csr)});
    let installed = shop.tell("PUT", &path, &answer, 200).await;
    assert_eq!(installed["stage"], "distributed");
    assert_eq!(installed["subject"], "CN=us");
    let twice = shop.refuses("PUT", &path, &answer, "wrong_stage").await;
    assert!(twice.contains("distributed"), "{twice}");

    let second = shop
        .tell("POST", REQUESTS, &json!({"commonName": "us"}), 201)
        .await;
    let answer = json!({"certificate": sign(&ca, second["csr"].as_str().unwrap())});
    let installed = shop
        .tell("PUT", &format!("{CERTIFICATES}/2"), &answer, 200)
        .await;
    assert_eq!(installed["stage"], "issued");
}

#[tokio::test]
async fn requests_are_checked() {
    let shop = Shop::open().await;
    let check = async |given: Value, field: &str, rule: &str| {
        let (loc, found, _) = shop.violates("POST", REQUESTS, &given).await;
        assert_eq!((loc, found.as_str()), (format!("body.{field}"), rule));
    };
    let rule = "value_error.certificate_request";
    check(json!({}), "commonName", "value_error.missing").await;
    check(json!({"commonName": ""}), "commonName", rule).await;
    check(
        json!({"commonName": "us", "algorithm": "rsa_1024"}),
        "algorithm",
        "value_error.choice",
    )
    .await;
    check(
        json!({"commonName": "us", "dnsNames": ["not a name"]}),
        "dnsNames",
        rule,
    )
    .await;
    check(
        json!({"commonName": "us", "uris": ["not a uri"]}),
        "uris",
        rule,
    )
    .await;
    check(
        json!({"commonName": "us", "size": 3}),
        "size",
        "value_error.unknown",
    )
    .await;
}

#[tokio::test]
async fn a_pkcs12_file_brings_both() {
    let shop = Shop::open().await;
    let file = STANDARD.encode(PKCS12);
    let given = json!({"pkcs12": file, "password": "secret"});
    let made = shop.tell("POST", CERTIFICATES, &given, 201).await;
    assert_eq!(made["subject"], "CN=Client");
    let check = async |given: Value, field: &str, words: &str| {
        let (loc, rule, msg) = shop.violates("POST", CERTIFICATES, &given).await;
        assert_eq!(
            (loc, rule.as_str()),
            (format!("body.{field}"), "value_error.client_identity")
        );
        assert!(msg.contains(words), "{msg}");
    };
    check(
        json!({"pkcs12": file, "password": "Secret"}),
        "password",
        "password",
    )
    .await;
    check(
        json!({"pkcs12": "!", "password": "secret"}),
        "pkcs12",
        "base64",
    )
    .await;
    let beside = json!({"pkcs12": file, "password": "secret", "privateKey": "x"});
    check(beside, "privateKey", "pkcs12").await;
}

#[tokio::test]
async fn certificates_that_no_receiver_would_take_are_refused() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Our CA").unwrap();
    let check = async |given: Value, field: &str, words: &str| {
        let (loc, rule, msg) = shop.violates("POST", CERTIFICATES, &given).await;
        assert_eq!(
            (loc, rule.as_str()),
            (format!("body.{field}"), "value_error.client_identity")
        );
        assert!(msg.contains(words), "{msg}");
    };
    let issue = |spec: LeafSpec| upload(&ca.issue(&spec).unwrap());
    let expired = LeafSpec {
        validity: Validity::Past,
        ..LeafSpec::client("us")
    };
    check(issue(expired), "certificate", "us").await;
    let server = LeafSpec {
        purpose: Purpose::Server,
        ..LeafSpec::client("us")
    };
    check(issue(server), "certificate", "clientAuth").await;
    let mut mixed = upload(&client(&ca, "us"));
    mixed["privateKey"] = client(&ca, "us").key_pem().into();
    check(mixed, "privateKey", "not that of the certificate").await;
    let mut none = upload(&client(&ca, "us"));
    none["privateKey"] = "nothing".into();
    check(none, "privateKey", "no private key").await;
    let empty = shop.tell("POST", CERTIFICATES, &json!({}), 422).await;
    assert_eq!(empty["detail"].as_array().unwrap().len(), 2);
    assert_eq!(shop.ask("GET", US, "").await.error(404), "not_found");
}

#[tokio::test]
async fn the_same_certificate_twice_is_a_conflict() {
    let shop = Shop::open().await;
    let given = upload(&client(&TestCa::new("Our CA").unwrap(), "us"));
    shop.tell("POST", CERTIFICATES, &given, 201).await;
    let why = shop.refuses("POST", CERTIFICATES, &given, "conflict").await;
    assert!(why.contains("number 1"), "{why}");
}

#[tokio::test]
async fn there_are_at_most_eight() {
    let shop = Shop::open().await;
    for _ in 0..8 {
        shop.tell("POST", REQUESTS, &json!({"commonName": "us"}), 201)
            .await;
    }
    shop.refuses(
        "POST",
        REQUESTS,
        &json!({"commonName": "us"}),
        "limit_reached",
    )
    .await;
    // A key that was never presented goes at once.
    let gone = shop
        .tell("POST", &format!("{CERTIFICATES}/1/retire"), &json!({}), 200)
        .await;
    assert_eq!(gone["stage"], "retired");
    let ninth = shop
        .tell("POST", REQUESTS, &json!({"commonName": "us"}), 201)
        .await;
    assert_eq!(ninth["number"], 9);
}

#[tokio::test]
async fn posts_are_repeatable() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Our CA").unwrap();
    let given = upload(&client(&ca, "us")).to_string();
    let retire = format!("{CERTIFICATES}/2/retire");
    let distribute = format!("{CERTIFICATES}/2/distribute");
    for (path, body, status) in [
        (CERTIFICATES, given.as_str(), 201),
        (REQUESTS, r#"{"commonName": "us"}"#, 201),
        (retire.as_str(), "{}", 200),
    ] {
        let key = format!("key of {path}");
        let first = shop.ask_once(&key, path, body).await.expect(status);
        let again = shop.ask_once(&key, path, body).await.expect(status);
        assert_eq!(first, again, "{path}");
        let other = body.replacen('{', "{ ", 1);
        let other = shop.ask_once(&key, path, &other).await;
        assert_eq!(other.error(409), "idempotency_key_reused", "{path}");
    }
    assert_eq!(
        shop.get(US).await["certificates"].as_array().unwrap().len(),
        2
    );
    let late = shop
        .refuses("POST", &distribute, &json!({}), "wrong_stage")
        .await;
    assert!(late.contains("retired"), "{late}");
}
