//! How fast deliveries go, as the API shows it.

use std::time::Duration;

use serde_json::{Value, json};

use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::reply::Reply;
use hookseal_testkit::wait::until;

use crate::api::shop::{Shop, id};

const START: &str = "2026-11-23T08:20:00.000Z";

async fn status_becomes(shop: &Shop, path: &str, is: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let reached = until("the status", async || {
        last = shop.get(path).await;
        Ok(is(&last).then_some(()))
    });
    if reached.await.is_err() {
        panic!("not as expected: {last}");
    }
    last
}

#[tokio::test]
async fn what_waits_for_a_slot_is_shown_with_the_slot() {
    let shop = Shop::open().await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let app = id(&shop
        .make("/app", r#"{"name": "Customer", "throttleRate": 50}"#)
        .await);
    let endpoint = json!({"url": hook.url(), "throttleRate": 2, "maxInFlight": 1});
    let endpoints = format!("/app/{app}/endpoint");
    let endpoint = id(&shop.make(&endpoints, &endpoint.to_string()).await);
    let path = format!("{endpoints}/{endpoint}/rate-limit-status");
    assert_eq!(
        shop.get(&path).await,
        json!({
            "status": "Ok",
            "throttleRate": 2,
            "appThrottleRate": 50,
            "inFlight": 0,
            "waiting": 0,
            "hasBacklog": false,
        })
    );
    for _ in 0..4 {
        shop.message(&app, "{}").await;
    }
    let limited = |status: &Value| status["status"] == "RateLimited" && status["inFlight"] == 0;
    assert_eq!(
        status_becomes(&shop, &path, limited).await,
        json!({
            "status": "RateLimited",
            "throttledSince": START,
            "throttleRate": 2,
            "appThrottleRate": 50,
            "nextSlotAt": "2026-11-23T08:20:00.504Z",
            "inFlight": 0,
            "inFlightMax": 1,
            "waiting": 3,
            "hasBacklog": false,
        })
    );
    assert_eq!(hook.received().len(), 1);
}

#[tokio::test]
async fn an_endpoint_that_pushes_back_is_shown_with_its_reason() {
    let shop = Shop::open().await;
    let busy = Reply::status(429).header("retry-after", "30");
    let hook = FakeEndpoint::plain([busy]).await.unwrap();
    let app = id(&shop.make("/app", r#"{"name": "Customer"}"#).await);
    let endpoint = shop.endpoint(&app, &hook.url()).await;
    shop.message(&app, "{}").await;
    let path = format!("/app/{app}/endpoint/{endpoint}/rate-limit-status");
    let limited = |status: &Value| status["status"] == "RateLimited" && status["inFlight"] == 0;
    let status = status_becomes(&shop, &path, limited).await;
    assert_eq!(status["throttledSince"], START);
    assert_eq!(
        status["pushedBack"],
        json!({
            "since": START,
            "until": "2026-11-23T08:20:30.000Z",
            "statusCode": 429,
            "reason": "too_many_requests_retry_after",
        })
    );
    shop.advance(Duration::from_secs(30));
    let status = shop.get(&path).await;
    assert_eq!(
        (&status["status"], &status["pushedBack"]),
        (&json!("Ok"), &Value::Null)
    );
}
