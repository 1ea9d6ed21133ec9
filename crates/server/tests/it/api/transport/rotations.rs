//! Rotation of our own certificate: nothing old goes before the new one was seen at work.

use serde_json::{Value, json};

use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::handshake::{
    ClientCertificate, HandshakeReport, PresentDecision, Presented,
};
use hookseal_domain::transport::name::Name;
use hookseal_testkit::test_ca::TestCa;

use crate::api::shop::Shop;
use crate::api::transport::{client, upload};

const CERTIFICATES: &str = "/transport/client-identity/us/certificates";
const ROTATION: &str = "/transport/client-identity/us/rotation";

/// Makes every endpoint present the identity.
async fn present(shop: &Shop) {
    let presents = json!({"clientIdentity": "us"});
    shop.tell("PUT", "/transport/policy/default", &presents, 201)
        .await;
}

/// A good handshake in which this certificate of ours was accepted.
fn accepted(certificate: &Value) -> HandshakeReport {
    let digits = certificate["sha256"].as_str().unwrap();
    let mut sha256 = [0; 32];
    for (at, byte) in sha256.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap();
    }
    HandshakeReport {
        client: ClientCertificate {
            requested: true,
            ca_hints: vec![],
            decision: PresentDecision::Matched,
            presented: Some(Presented {
                identity: Name::parse("us").unwrap(),
                number: u32::try_from(certificate["number"].as_u64().unwrap()).unwrap(),
                sha256,
                not_after: Timestamp::from_millis(4_000_000_000_000),
            }),
            accepted: true,
        },
        ..HandshakeReport::default()
    }
}

#[tokio::test]
async fn step_by_step() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Our CA").unwrap();
    let app = shop.app("a").await;
    let (one, two) = (
        shop.endpoint(&app, "https://one.example").await,
        shop.endpoint(&app, "https://two.example").await,
    );
    let old = shop
        .tell("POST", CERTIFICATES, &upload(&client(&ca, "us")), 201)
        .await;
    present(&shop).await;
    shop.saw(&app, &one, &accepted(&old)).await;
    shop.saw(&app, &two, &accepted(&old)).await;
    let new = shop
        .tell("POST", CERTIFICATES, &upload(&client(&ca, "us")), 201)
        .await;
    let retire = format!("{CERTIFICATES}/1/retire");
    let why = shop
        .refuses("POST", &retire, &json!({}), "would_interrupt")
        .await;
    assert!(why.contains("accepted by any receiver yet"), "{why}");

    shop.tell(
        "POST",
        &format!("{CERTIFICATES}/2/distribute"),
        &json!({}),
        200,
    )
    .await;
    shop.saw(&app, &one, &accepted(&new)).await;
    let stands = shop.get(ROTATION).await;
    let of = |index: usize| {
        let one = &stands["certificates"][index];
        (
            one["stage"].as_str().unwrap(),
            one["endpoints"].as_u64().unwrap(),
        )
    };
    assert_eq!((of(0), of(1)), (("seen", 1), ("seen", 1)));
    let users = stands["endpoints"]["data"].as_array().unwrap();
    let told: Vec<_> = users
        .iter()
        .map(|user| {
            (
                user["endpointId"].as_str().unwrap(),
                user["stillOnOld"] == true,
            )
        })
        .collect();
    assert_eq!(told, [(one.as_str(), false), (two.as_str(), true)]);
    assert_eq!(users[0]["appId"], app);

    let why = shop
        .refuses("POST", &retire, &json!({}), "would_interrupt")
        .await;
    assert!(why.contains("1 endpoints"), "{why}");
    // One that is to present another identity is not waited for.
    let elsewhere = format!("/app/{app}/endpoint/{two}/transport");
    let change = async |own: Value| {
        let changes = json!({"own": {"clientIdentity": own}});
        shop.tell("PATCH", &elsewhere, &changes, 200).await;
    };
    shop.tell(
        "POST",
        "/transport/client-identity/them/certificates",
        &upload(&client(&ca, "them")),
        201,
    )
    .await;
    change(json!("them")).await;
    let stands = shop.get(ROTATION).await;
    assert_eq!(stands["certificates"][0]["endpoints"], 0);
    change(Value::Null).await;
    shop.saw(&app, &two, &accepted(&new)).await;
    let retired = shop.tell("POST", &retire, &json!({}), 200).await;
    assert_eq!(retired["stage"], "retired");
    let stands = shop.get(ROTATION).await;
    assert_eq!(stands["certificates"][1]["endpoints"], 2);
}

#[tokio::test]
async fn who_knows_what_they_do_is_not_kept_from_it() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Our CA").unwrap();
    shop.tell("POST", CERTIFICATES, &upload(&client(&ca, "us")), 201)
        .await;
    let path = format!("{CERTIFICATES}/1/retire?force=true");
    let retired = shop.tell("POST", &path, &json!({}), 200).await;
    assert!(retired["retiredAt"].is_string());
    let unknown = format!("{CERTIFICATES}/7/retire");
    assert_eq!(
        shop.ask("POST", &unknown, "{}").await.error(404),
        "not_found"
    );
    let nobody = "/transport/client-identity/nobody/rotation";
    assert_eq!(shop.ask("GET", nobody, "").await.error(404), "not_found");
}

#[tokio::test]
async fn pages_of_endpoints() {
    let shop = Shop::open().await;
    let ca = TestCa::new("Our CA").unwrap();
    let made = shop
        .tell("POST", CERTIFICATES, &upload(&client(&ca, "us")), 201)
        .await;
    present(&shop).await;
    let app = shop.app("a").await;
    for _ in 0..3 {
        let endpoint = shop.endpoint(&app, "https://example.com").await;
        shop.saw(&app, &endpoint, &accepted(&made)).await;
    }
    let first = shop.get(&format!("{ROTATION}?limit=2")).await;
    assert_eq!(first["endpoints"]["data"].as_array().unwrap().len(), 2);
    assert_eq!(first["endpoints"]["done"], false);
    let next = first["endpoints"]["iterator"].as_str().unwrap();
    let last = shop
        .get(&format!("{ROTATION}?limit=2&iterator={next}"))
        .await;
    assert_eq!(last["endpoints"]["data"].as_array().unwrap().len(), 1);
}
