//! What happens to a delivery, from publish to its end.

use std::time::Duration;

use hookseal_domain::delivery::outcome::Outcome;
use hookseal_domain::delivery::{Ended, Pending, Trigger};
use hookseal_domain::endpoint::ParkOn;
use hookseal_domain::endpoint::url::EndpointUrl;
use hookseal_domain::signature::key::{KeyKind, SigningKey};
use hookseal_domain::signature::standard;
use hookseal_engine::publish::PublishError;
use hookseal_store::inspect::DeliveryStatus;
use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::reply::Reply;
use hookseal_testkit::test_ca::{LeafSpec, TestCa};

use crate::world::{SECRET, World};

const ENDED: fn(Ended) -> DeliveryStatus = DeliveryStatus::Ended;

#[tokio::test]
async fn a_message_arrives_signed_and_byte_for_byte() {
    let world = World::new().await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    world.endpoint(&hook.url()).await;
    let body = r#"{ "amount": 1e400,  "ü":"\u00fc" }"#;
    let message = world.publish(body).await;

    let got = hook.receives_one().await.unwrap();
    assert_eq!(got.body, body);
    let key = SigningKey::from_bytes(KeyKind::HmacSha256, &SECRET).unwrap();
    let now = world.engine.now();
    let signature = standard::sign([&key], &message.to_string(), now, body.as_bytes());
    for prefix in ["webhook", "svix"] {
        let header = |name: &str| got.headers[format!("{prefix}-{name}")].to_str().unwrap();
        assert_eq!(header("id"), message.to_string());
        assert_eq!(header("timestamp"), now.as_secs().to_string());
        assert_eq!(header("signature"), signature);
    }
    assert_eq!(got.headers["content-type"], "application/json");
    assert_eq!(got.headers["user-agent"], "Hookseal/test");

    world.status_becomes(message, ENDED(Ended::Delivered)).await;
    let attempts = world.attempts(message, 1).await;
    assert_eq!(attempts[0].outcome, Outcome::Accepted);
    assert_eq!(attempts[0].trigger, Trigger::Publish);
    assert_eq!(attempts[0].facts.url, hook.url());
}

#[tokio::test]
async fn failures_are_tried_again_by_the_schedule() {
    let world = World::new().await;
    let hook = FakeEndpoint::plain([500, 503, 204]).await.unwrap();
    world.endpoint(&hook.url()).await;
    let message = world.publish("{}").await;

    world.attempts(message, 1).await;
    let due = world.engine.now().plus(Duration::from_secs(5));
    let waiting = DeliveryStatus::Pending(Pending::Waiting { due });
    world.status_becomes(message, waiting).await;
    world.clock.advance(Duration::from_millis(4990));
    assert_eq!(hook.received().len(), 1, "not before its time");
    world.clock.advance(Duration::from_millis(10));
    world.attempts(message, 2).await;

    let due = world.engine.now().plus(Duration::from_secs(300));
    let waiting = DeliveryStatus::Pending(Pending::Waiting { due });
    world.status_becomes(message, waiting).await;
    world.clock.advance(Duration::from_secs(300));
    world.status_becomes(message, ENDED(Ended::Delivered)).await;

    let attempts = world.attempts(message, 3).await;
    let story: Vec<_> = attempts
        .iter()
        .map(|a| (a.number, a.status_code, a.ended))
        .collect();
    let delivered = Some(Ended::Delivered);
    assert_eq!(
        story,
        [
            (1, Some(500), None),
            (2, Some(503), None),
            (3, Some(204), delivered)
        ]
    );
    let ids: Vec<_> = hook
        .received()
        .iter()
        .map(|r| r.webhook_id().to_owned())
        .collect();
    assert_eq!(ids, vec![message.to_string(); 3], "the same id each time");
}

#[tokio::test]
async fn retry_after_moves_the_next_attempt() {
    let world = World::new().await;
    let busy = Reply::status(429).header("retry-after", "90");
    let hook = FakeEndpoint::plain([busy, 200.into()]).await.unwrap();
    world.endpoint(&hook.url()).await;
    let message = world.publish("{}").await;
    let due = world.engine.now().plus(Duration::from_secs(90));
    let waiting = DeliveryStatus::Pending(Pending::Waiting { due });
    world.status_becomes(message, waiting).await;
}

#[tokio::test]
async fn a_schedule_that_runs_out_leaves_a_dead_letter() {
    let world = World::with(|config| {
        config.retry_schedule =
            hookseal_domain::delivery::retry::RetrySchedule::try_new(vec![]).unwrap();
    })
    .await;
    let hook = FakeEndpoint::plain([302]).await.unwrap();
    world.endpoint(&hook.url()).await;
    let message = world.publish("{}").await;
    world.status_becomes(message, ENDED(Ended::Exhausted)).await;
}

#[tokio::test]
async fn what_the_receiver_calls_wrong_is_parked_at_once() {
    let world = World::new().await;
    let hook = FakeEndpoint::plain([422]).await.unwrap();
    let url = hook.url();
    world
        .endpoint_with(&url, |spec| spec.park_on = ParkOn::parse(&[422]).unwrap())
        .await;
    let message = world.publish("{}").await;
    world.status_becomes(message, ENDED(Ended::Parked)).await;
    assert_eq!(world.attempts(message, 1).await[0].outcome, Outcome::Parked);
}

#[tokio::test]
async fn gone_disables_and_enabling_releases_what_was_held() {
    let world = World::new().await;
    let hook = FakeEndpoint::plain([410, 200]).await.unwrap();
    let endpoint = world.endpoint(&hook.url()).await;
    let first = world.publish("{}").await;
    world.status_becomes(first, ENDED(Ended::Gone)).await;
    let mut stored = world.stored_endpoint(endpoint).await;
    assert!(stored.switched_off.is_some());

    let held = world.publish("{}").await;
    world
        .status_becomes(held, DeliveryStatus::Pending(Pending::Held))
        .await;
    assert_eq!(hook.received().len(), 1);

    stored.spec.disabled = false;
    let now = world.engine.now();
    let enabled = world
        .store
        .update_endpoint(world.app, endpoint, stored.spec, now)
        .await;
    assert!(enabled.unwrap().switched_off.is_none());
    world.engine.application_changed(world.app);
    world.engine.backlog_changed(world.app, endpoint);
    world.status_becomes(held, ENDED(Ended::Delivered)).await;
    assert_eq!(hook.received().len(), 2);
}

#[tokio::test]
async fn a_server_that_is_not_trusted_gets_nothing_until_a_long_step() {
    let world = World::new().await;
    let leaf = TestCa::new("Nobody's root")
        .unwrap()
        .issue(&LeafSpec::default())
        .unwrap();
    let hook = FakeEndpoint::tls(&leaf, [200]).await.unwrap();
    world.endpoint(&hook.url_by_name()).await;
    let message = world.publish("{}").await;
    let attempt = world.attempts(message, 1).await.remove(0);
    assert_eq!(attempt.outcome, Outcome::NotTrusted);
    assert!(
        attempt
            .facts
            .reason
            .is_some_and(|reason| !reason.is_empty())
    );
    assert_eq!(hook.connections().application_bytes, 0);
    let due = world.engine.now().plus(Duration::from_secs(1800));
    let waiting = DeliveryStatus::Pending(Pending::Waiting { due });
    world.status_becomes(message, waiting).await;
}

#[tokio::test]
async fn a_refused_address_is_an_outcome_with_its_reason() {
    let world = World::new().await;
    world
        .endpoint("https://169.254.169.254/latest/meta-data/")
        .await;
    let message = world.publish("{}").await;
    let attempt = world.attempts(message, 1).await.remove(0);
    assert_eq!(attempt.outcome, Outcome::Blocked);
    let reason = attempt.facts.reason.unwrap();
    assert!(
        reason.contains("169.254.169.254") && reason.contains("link-local"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_deleted_endpoint_ends_its_deliveries() {
    let world = World::new().await;
    let hook = FakeEndpoint::plain([500]).await.unwrap();
    let endpoint = world.endpoint(&hook.url()).await;
    let message = world.publish("{}").await;
    world.attempts(message, 1).await;
    let now = world.engine.now();
    world.store.flush().await.unwrap();
    world
        .store
        .delete_endpoint(world.app, endpoint, now)
        .await
        .unwrap();
    world.engine.application_changed(world.app);
    world.clock.advance(Duration::from_secs(2));
    let attempts = world.attempts(message, 2).await;
    assert_eq!(attempts[1].ended, Some(Ended::EndpointDeleted));
    assert_eq!(hook.received().len(), 1);
}

#[tokio::test]
async fn a_change_of_the_url_counts_from_the_next_attempt() {
    let world = World::new().await;
    let old = FakeEndpoint::plain([500]).await.unwrap();
    let new = FakeEndpoint::plain([200]).await.unwrap();
    let endpoint = world.endpoint(&old.url()).await;
    let message = world.publish("{}").await;
    world.attempts(message, 1).await;
    let mut spec = world.stored_endpoint(endpoint).await.spec;
    spec.url = EndpointUrl::parse(&new.url()).unwrap();
    let now = world.engine.now();
    world
        .store
        .update_endpoint(world.app, endpoint, spec, now)
        .await
        .unwrap();
    world.engine.application_changed(world.app);
    world.clock.advance(Duration::from_secs(5));
    new.receives_one().await.unwrap();
    assert_eq!(old.received().len(), 1);
}

#[tokio::test]
async fn an_unknown_application_is_said_so() {
    let mut world = World::new().await;
    world.app = world.engine.next_id();
    let error = world.try_publish("{}").await.unwrap_err();
    assert!(matches!(error, PublishError::UnknownApplication));
}
