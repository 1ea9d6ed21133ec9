//! Verifications as the API shows and begins them, and the callback that needs no token but its own.

use http::Request;
use serde_json::{Value, json};

use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::reply::Reply;

use crate::api::shop::{Answer, CALLBACK, Shop};

async fn verify(shop: &Shop, endpoint: &str, body: Value) -> Value {
    let path = format!("{endpoint}/verify");
    let answer = shop.ask("POST", &path, body.to_string()).await;
    answer.expect(200)
}

/// Asks without a token.
async fn call(shop: &Shop, method: &str, token: &str, rate: Option<&str>) -> Answer {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/api/v1/verification/{token}"));
    if let Some(rate) = rate {
        request = request.header("webhook-allowed-rate", rate);
    }
    shop.send(request.body("".into()).unwrap()).await
}

async fn endpoint(shop: &Shop, hook: &FakeEndpoint) -> String {
    let app = shop.app("a").await;
    let endpoint = shop.endpoint(&app, &hook.url()).await;
    format!("/app/{app}/endpoint/{endpoint}")
}

#[tokio::test]
async fn what_the_receiver_said_is_shown_and_its_rate_counts() {
    let shop = Shop::open().await;
    let consent = Reply::status(200)
        .header("webhook-allowed-origin", "*")
        .header("webhook-allowed-rate", "120");
    let replies = [consent, Reply::status(200).echo("challenge"), 500.into()];
    let hook = FakeEndpoint::plain(replies).await.unwrap();
    let endpoint = endpoint(&shop, &hook).await;
    assert_eq!(shop.get(&endpoint).await.get("verification"), None);

    let throttled = r#"{"throttleRate": 10}"#;
    shop.ask("PATCH", &endpoint, throttled).await.expect(200);
    let verified = verify(&shop, &endpoint, json!({"method": "cloudevents"})).await;
    let expect = json!({"method": "cloudevents", "state": "verified",
        "verifiedAt": "2026-11-23T08:20:00.000Z", "grantedRate": 120, "withheld": false});
    assert_eq!(verified, expect);
    assert_eq!(shop.get(&endpoint).await["verification"], expect);
    let asked = hook.receives_one().await.unwrap();
    assert_eq!(asked.header("webhook-request-origin"), "hooks.example");
    assert_eq!(asked.header("webhook-request-rate"), "600");
    let pace = shop.get(&format!("{endpoint}/rate-limit-status")).await;
    assert_eq!(
        (&pace["throttleRate"], &pace["grantedRate"]),
        (&json!(10), &json!(120))
    );

    let verified = verify(&shop, &endpoint, json!({"method": "challenge"})).await;
    assert_eq!(
        (&verified["method"], &verified["state"]),
        (&json!("challenge"), &json!("verified"))
    );
    let failed = verify(&shop, &endpoint, json!({"method": "challenge"})).await;
    let expect = json!({"method": "challenge", "state": "failed", "grantedRate": 120,
        "reason": "the receiver answered 500", "withheld": false});
    assert_eq!(failed, expect);
    let path = endpoint.replace("/endpoint/", "/endpoint?limit=1&x=");
    let listed = shop.get(path.split('&').next().unwrap()).await;
    assert_eq!(listed["data"][0]["verification"], expect);

    let elsewhere = json!({"url": format!("{}?new", hook.url())});
    let moved = shop.ask("PATCH", &endpoint, elsewhere.to_string()).await;
    assert_eq!(moved.expect(200).get("verification"), None);
}

#[tokio::test]
async fn a_callback_needs_its_token_only_and_counts_once() {
    let shop = Shop::open().await;
    let hook = FakeEndpoint::plain([405]).await.unwrap();
    let endpoint = endpoint(&shop, &hook).await;
    let body = json!({"method": "cloudevents", "requestRate": 90});
    let pending = verify(&shop, &endpoint, body.clone()).await;
    let expect = json!({"method": "cloudevents", "state": "pending",
        "expiresAt": "2026-11-24T08:20:00.000Z", "withheld": false});
    assert_eq!(pending, expect, "the token is for the receiver only");
    let token = async |count: usize| {
        let received = hook.receives(count).await.unwrap();
        let callback = received[count - 1].header("webhook-request-callback");
        callback.strip_prefix(CALLBACK).unwrap().to_owned()
    };
    let first = token(1).await;
    for (method, token) in [
        ("GET", "x"),
        ("POST", &first[1..]),
        ("GET", &"A".repeat(43)),
    ] {
        assert_eq!(
            call(&shop, method, token, None).await.error(404),
            "not_found"
        );
    }
    let head = call(&shop, "HEAD", &first, None).await;
    assert_eq!(head.status, 404, "whoever only looks grants nothing");
    let refused = call(&shop, "POST", &first, Some("lots")).await.expect(422);
    let first_violation = &refused["detail"][0];
    assert_eq!(
        first_violation["loc"],
        json!(["header", "webhook-allowed-rate"])
    );
    let granted = call(&shop, "POST", &first, Some("30")).await.expect(200);
    assert_eq!(granted, json!({"verified": true}));
    assert_eq!(shop.get(&endpoint).await["verification"]["grantedRate"], 30);
    call(&shop, "POST", &first, None).await.expect(404);

    verify(&shop, &endpoint, body).await;
    let second = token(2).await;
    call(&shop, "GET", &second, None).await.expect(200);
    let shown = shop.get(&endpoint).await["verification"].clone();
    assert_eq!(
        (&shown["state"], &shown["grantedRate"]),
        (&json!("verified"), &json!(90))
    );
}

#[tokio::test]
async fn what_can_not_be_asked_is_refused_and_asks_nobody() {
    let shop = Shop::open().await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let endpoint = endpoint(&shop, &hook).await;
    let check = async |body: Value, at: &str, rule: &str| {
        let path = format!("{endpoint}/verify");
        let refused = shop.ask("POST", &path, body.to_string()).await.expect(422);
        let first = &refused["detail"][0];
        assert_eq!(first["loc"], json!(["body", at]), "{refused}");
        assert_eq!(first["type"], rule, "{refused}");
    };
    check(json!({}), "method", "value_error.missing").await;
    check(json!({"method": "none"}), "method", "value_error.choice").await;
    let rated = |method: &str, rate: i64| json!({"method": method, "requestRate": rate});
    check(rated("cloudevents", 0), "requestRate", "value_error.number").await;
    check(
        rated("cloudevents", 4_294_967_296),
        "requestRate",
        "value_error.number",
    )
    .await;
    check(
        rated("challenge", 5),
        "requestRate",
        "value_error.not_supported",
    )
    .await;
    assert!(hook.received().is_empty());
}

#[tokio::test]
async fn an_application_asks_for_its_own_endpoints_only() {
    let shop = Shop::open().await;
    let hook = FakeEndpoint::plain([Reply::status(200).echo("challenge")])
        .await
        .unwrap();
    let endpoint = endpoint(&shop, &hook).await;
    let path = format!("{endpoint}/verify");
    let body = r#"{"method": "challenge"}"#;
    let app = endpoint.split('/').nth(2).unwrap();
    let stranger = shop.app("b").await;
    let other = shop
        .ask_as(&shop.as_app(&stranger), "POST", &path, body)
        .await;
    assert_eq!(other.error(404), "not_found");
    let reader = shop.api_token(&["read"]).await;
    let reader = reader["token"].as_str().unwrap();
    let reader = shop.ask_as(reader, "POST", &path, body).await;
    assert_eq!(reader.error(403), "insufficient_permissions");
    assert!(hook.received().is_empty());
    let own = shop.ask_as(&shop.as_app(app), "POST", &path, body).await;
    assert_eq!(own.expect(200)["state"], "verified");
}
