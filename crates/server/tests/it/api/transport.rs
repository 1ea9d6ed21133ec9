//! Transport security through the API: each resource's way, and each refusal with its field.

mod anchors;
mod compatible;
mod endpoints;
mod identities;
mod learning;
mod pins;
mod policies;
mod rotations;

use http::StatusCode;
use serde_json::{Value, json};

use hookseal_domain::transport::handshake::SeenCertificate;
use hookseal_pki::certificate::SpkiSha256;
use hookseal_testkit::test_ca::{Leaf, LeafSpec, TestCa};

use crate::api::shop::Shop;

/// The body as a request has it.
fn body(value: &Value) -> String {
    value.to_string()
}

/// A client certificate of a CA.
fn client(ca: &TestCa, common_name: &str) -> Leaf {
    ca.issue(&LeafSpec::client(common_name)).unwrap()
}

/// A client certificate as it is uploaded.
fn upload(leaf: &Leaf) -> Value {
    json!({"certificate": leaf.chain_pem(), "privateKey": leaf.key_pem()})
}

impl Shop {
    /// Asks with a JSON body.
    async fn tell(&self, method: &str, path: &str, given: &Value, status: u16) -> Value {
        self.ask(method, path, body(given)).await.expect(status)
    }

    /// Is refused with one violation; returns where, by which rule, and why.
    async fn violates(&self, method: &str, path: &str, given: &Value) -> (String, String, String) {
        let refused = self.tell(method, path, given, 422).await;
        let [found] = refused["detail"].as_array().unwrap().as_slice() else {
            panic!("{refused}")
        };
        let loc: Vec<_> = found["loc"].as_array().unwrap().iter().collect();
        let loc: Vec<_> = loc.iter().map(|part| part.as_str().unwrap()).collect();
        let rules = include_str!("../../../../../docs/reference/errors.md");
        let rule = found["type"].as_str().unwrap();
        assert!(
            rules.contains(&format!("| `{rule}` |")),
            "{rule} is not in the reference"
        );
        let text = found["msg"].as_str().unwrap().to_owned();
        (loc.join("."), rule.to_owned(), text)
    }

    /// Is refused with a code; returns why.
    async fn refuses(&self, method: &str, path: &str, given: &Value, code: &str) -> String {
        let answer = self.ask(method, path, body(given)).await;
        let (status, refused) = (answer.status, answer.json());
        assert_eq!(refused["code"], code, "{method} {path}: {refused}");
        assert_eq!(status, StatusCode::CONFLICT);
        refused["detail"].as_str().unwrap().to_owned()
    }

    /// An application with one endpoint: the endpoint's path.
    async fn path_of_endpoint(&self, uid: &str, url: &str) -> String {
        let app = self.app(uid).await;
        let endpoint = self.endpoint(&app, url).await;
        format!("/app/{app}/endpoint/{endpoint}")
    }
}

/// A certificate with this key, as it was seen.
fn certificate(pin: &str) -> SeenCertificate {
    SeenCertificate {
        subject: "CN=seen".to_owned(),
        issuer: "CN=issuer".to_owned(),
        spki_sha256: SpkiSha256::parse(pin).unwrap(),
        sha256: Some([7; 32]),
        not_before: None,
        not_after: None,
    }
}

/// Sets a private root for an endpoint's chain, under a name of its own.
async fn trust_privately(shop: &Shop, endpoint: &str, ca: &TestCa) {
    let set = "/transport/trust-anchors/partner";
    shop.tell("PUT", set, &json!({"pem": ca.root_pem()}), 201)
        .await;
    let own = json!({"own": {"trust": "private", "trustAnchors": "partner"}});
    shop.tell("PATCH", &format!("{endpoint}/transport"), &own, 200)
        .await;
}
