//! Test attempts: the way of every delivery, and of no consequence for any.

use std::time::Duration;

use hookseal_domain::delivery::Ended;
use hookseal_domain::delivery::breaker::BreakerState;
use hookseal_domain::delivery::outcome::Outcome;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_store::inspect::DeliveryStatus;
use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::test_ca::{LeafSpec, Speaks, TestCa, Validity};
use hookseal_testkit::wait::until;

use crate::world::World;

#[tokio::test]
async fn who_is_not_trusted_gets_nothing() {
    let (ca, stranger) = (TestCa::new("Root").unwrap(), TestCa::new("Other").unwrap());
    let world = World::trusting(&ca, |_| {}).await;
    for (issuer, expect) in [(&ca, Outcome::Accepted), (&stranger, Outcome::NotTrusted)] {
        let leaf = issuer.issue(&LeafSpec::default()).unwrap();
        let hook = FakeEndpoint::tls(&leaf, [200]).await.unwrap();
        let endpoint = world.endpoint(&hook.url_by_name()).await;
        let attempt = world.trial(endpoint, r#"{"a":1}"#).await;
        assert_eq!(attempt.outcome, expect);
        let is_known = attempt.facts.tls_failure == Some(TlsFailure::PeerUnknownIssuer);
        assert_eq!(
            is_known,
            expect == Outcome::NotTrusted,
            "{:?}",
            attempt.facts
        );
        let arrived = usize::from(expect == Outcome::Accepted);
        assert_eq!(hook.received().len(), arrived);
    }
}

#[tokio::test]
async fn a_paused_endpoint_is_tested_and_stays_paused() {
    let ca = TestCa::new("Root").unwrap();
    let world = World::trusting(&ca, |config| config.in_flight_per_endpoint_max = 1).await;
    let expired = LeafSpec {
        validity: Validity::Past,
        ..LeafSpec::default()
    };
    let hook = FakeEndpoint::tls(&ca.issue(&expired).unwrap(), [200])
        .await
        .unwrap();
    let endpoint = world.endpoint(&hook.url_by_name()).await;
    for _ in 0..20 {
        world.publish("{}").await;
    }
    let is_paused = || {
        matches!(
            world.engine.breaker(endpoint),
            Some(BreakerState::Paused { .. })
        )
    };
    until("the pause", async || Ok(is_paused().then_some(())))
        .await
        .unwrap();
    let good = ca.issue(&LeafSpec::default()).unwrap();
    hook.present(&good, Speaks::default()).unwrap();
    let attempt = world.trial(endpoint, "{}").await;
    assert_eq!((attempt.outcome, attempt.number), (Outcome::Accepted, 1));
    assert!(is_paused(), "it decides nothing");
    assert_eq!(hook.received().len(), 1);
    let ended = world.status(attempt.key.message).await;
    assert_eq!(ended, Some(DeliveryStatus::Ended(Ended::Delivered)));
}

#[tokio::test]
async fn what_ended_is_not_tried_after_a_restart() {
    let world = World::new().await;
    let hook = FakeEndpoint::plain([500, 200]).await.unwrap();
    let endpoint = world.endpoint(&hook.url()).await;
    let attempt = world.trial(endpoint, "{}").await;
    let message = attempt.key.message;
    let ended = Some(DeliveryStatus::Ended(Ended::Skipped));
    assert_eq!(world.status(message).await, ended);
    let world = world.restart().await;
    world.clock.advance(Duration::from_secs(86_400));
    assert_eq!(world.status(message).await, ended, "nothing is left to try");
    assert_eq!(world.attempts(message, 1).await.len(), 1);
    assert_eq!(hook.received().len(), 1);
}
