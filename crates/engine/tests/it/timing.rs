//! When deliveries begin, and when they are not worth making any more.

use std::time::Duration;

use hookseal_domain::delivery::outcome::Outcome;
use hookseal_domain::delivery::{Ended, Pending};
use hookseal_domain::message::options::MessageOptions;
use hookseal_store::inspect::DeliveryStatus;
use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::reply::Reply;

use crate::world::World;

const MINUTE: Duration = Duration::from_secs(60);
/// As long as the schedule sleeps, and longer than the sweeper does.
const LITTLE: Duration = Duration::from_secs(6);

fn at(world: &World, after: Duration) -> MessageOptions {
    MessageOptions {
        deliver_at: Some(world.engine.now().plus(after)),
        ..MessageOptions::default()
    }
}

fn until(world: &World, after: Duration) -> MessageOptions {
    MessageOptions {
        expires_at: Some(world.engine.now().plus(after)),
        ..MessageOptions::default()
    }
}

fn expired() -> DeliveryStatus {
    DeliveryStatus::Ended(Ended::MessageExpired)
}

#[tokio::test]
async fn a_scheduled_message_is_sent_when_its_time_has_come() {
    let world = World::new().await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    world.endpoint(&hook.url()).await;
    let options = at(&world, MINUTE);
    let due = options.deliver_at.unwrap();
    let message = world.publish_as(options, r#"{"n":1}"#).await;
    let waiting = DeliveryStatus::Pending(Pending::Waiting { due });
    assert_eq!(world.status(message).await, Some(waiting));
    // A message that says nothing goes at once, past the one that waits.
    world.publish(r#"{"n":2}"#).await;
    assert_eq!(hook.receives_one().await.unwrap().body, r#"{"n":2}"#);
    world.clock.advance(MINUTE);
    let received = &hook.receives(2).await.unwrap()[1];
    assert_eq!(received.body, r#"{"n":1}"#);
    assert_eq!(received.webhook_id(), message.to_string());
    assert_eq!(world.attempts(message, 1).await[0].number, 1);
}

#[tokio::test]
async fn a_scheduled_message_survives_a_restart_and_is_held_like_any_other() {
    let world = World::new().await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let endpoint = world.endpoint(&hook.url()).await;
    let message = world.publish_as(at(&world, MINUTE), "{}").await;
    world
        .update_endpoint(endpoint, |spec| spec.disabled = true)
        .await;
    let world = world.restart().await;
    world.clock.advance(MINUTE);
    let held = DeliveryStatus::Pending(Pending::Held);
    world.status_becomes(message, held).await;
    assert_eq!(hook.received().len(), 0);
    world
        .update_endpoint(endpoint, |spec| spec.disabled = false)
        .await;
    world
        .status_becomes(message, DeliveryStatus::Ended(Ended::Delivered))
        .await;
}

#[tokio::test]
async fn a_retry_that_would_come_too_late_ends_when_the_message_does() {
    let world = World::new().await;
    let hook = FakeEndpoint::plain([500]).await.unwrap();
    world.endpoint(&hook.url()).await;
    let options = until(&world, MINUTE);
    let message = world.publish_as(options, "{}").await;
    world.attempts(message, 1).await;
    world.clock.advance(LITTLE);
    world.attempts(message, 2).await;
    let due = options.expires_at.unwrap();
    let waiting = DeliveryStatus::Pending(Pending::Waiting { due });
    world.status_becomes(message, waiting).await;
    world.clock.advance(MINUTE);
    let attempts = world.attempts(message, 3).await;
    assert_eq!(attempts[2].outcome, Outcome::Unsendable);
    assert_eq!(attempts[2].ended, Some(Ended::MessageExpired));
    assert_eq!(attempts[2].facts.url, hook.url());
    let reason = attempts[2].facts.reason.clone().unwrap();
    assert!(reason.contains("has expired"), "{reason}");
    world.status_becomes(message, expired()).await;
    assert_eq!(hook.received().len(), 2, "nothing was sent");
    let counted = world.metric(r#"hookseal_deliveries_ended_total{ended="message_expired"}"#);
    assert_eq!(counted, Some(1.0));
}

#[tokio::test]
async fn what_is_held_expires_too() {
    let world = World::new().await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), |spec| spec.disabled = true)
        .await;
    let message = world.publish_as(until(&world, MINUTE), "{}").await;
    let held = DeliveryStatus::Pending(Pending::Held);
    assert_eq!(world.status(message).await, Some(held));
    world.clock.advance(MINUTE);
    world.status_becomes(message, expired()).await;
    world
        .update_endpoint(endpoint, |spec| spec.disabled = false)
        .await;
    let attempt = world.attempts(message, 1).await.remove(0);
    assert_eq!(attempt.outcome, Outcome::Unsendable);
    assert_eq!(hook.received().len(), 0);
}

#[tokio::test]
async fn what_waits_in_memory_and_in_the_backlog_is_not_sent_late() {
    let world = World::with(|config| {
        config.in_flight_per_endpoint_max = 1;
        config.window_deliveries_max = 2;
    })
    .await;
    let slow = Reply::status(200).after(Duration::from_secs(3));
    let hook = FakeEndpoint::plain([slow]).await.unwrap();
    world.endpoint(&hook.url()).await;
    let first = world.publish("{}").await;
    hook.receives_one().await.unwrap();
    let mut late = Vec::new();
    for _ in 0..4 {
        late.push(world.publish_as(until(&world, MINUTE), "{}").await);
    }
    world.clock.advance(MINUTE);
    world
        .status_becomes(first, DeliveryStatus::Ended(Ended::Delivered))
        .await;
    for message in late {
        world.status_becomes(message, expired()).await;
    }
    assert_eq!(hook.received().len(), 1);
}
