//! Nothing that was accepted is lost: by an overflow, a restart, a shutdown, a caller that leaves.

use std::collections::BTreeSet;
use std::time::Duration;

use hookseal_domain::delivery::{Ended, Pending};
use hookseal_engine::publish::PublishError;
use hookseal_store::inspect::DeliveryStatus;
use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::reply::Reply;

use crate::world::World;

/// Every id that arrived, and that each arrived once.
fn ids_of(hook: &FakeEndpoint) -> BTreeSet<String> {
    let all: Vec<_> = hook
        .received()
        .iter()
        .map(|r| r.webhook_id().to_owned())
        .collect();
    let ids: BTreeSet<_> = all.iter().cloned().collect();
    assert_eq!(ids.len(), all.len(), "something arrived twice");
    ids
}

#[tokio::test]
async fn what_does_not_fit_in_memory_arrives_from_the_backlog() {
    let world = World::with(|config| config.window_deliveries_max = 4).await;
    let slow = Reply::status(200).after(Duration::from_millis(2));
    let hook = FakeEndpoint::plain([slow]).await.unwrap();
    world.endpoint(&hook.url()).await;
    let mut published = BTreeSet::new();
    for _ in 0..200 {
        published.insert(world.publish("{}").await.to_string());
    }
    hook.receives(200).await.unwrap();
    assert_eq!(ids_of(&hook), published);
}

#[tokio::test]
async fn what_waits_behind_an_attempt_that_panics_arrives() {
    let world = World::with(|config| config.in_flight_per_endpoint_max = 1).await;
    let slow = Reply::status(500).after(Duration::from_millis(300));
    let hook = FakeEndpoint::plain([slow, Reply::status(200)])
        .await
        .unwrap();
    world.endpoint(&hook.url()).await;
    world.publish("{}").await;
    hook.receives_one().await.unwrap();
    world.random.panic_next();
    let behind = world.publish("{}").await;
    world
        .status_becomes(behind, DeliveryStatus::Ended(Ended::Delivered))
        .await;
}

#[tokio::test]
async fn a_large_payload_is_delivered_though_memory_is_small() {
    let world = World::with(|config| config.window_bytes_max = 1000).await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    world.endpoint(&hook.url()).await;
    let large = format!(r#"{{"x":"{}"}}"#, "y".repeat(500_000));
    for _ in 0..5 {
        world.publish(&large).await;
    }
    let received = hook.receives(5).await.unwrap();
    assert!(received.iter().all(|r| r.body == large));
}

#[tokio::test]
async fn a_new_process_goes_on_where_the_old_one_ended() {
    let world = World::new().await;
    let hook = FakeEndpoint::plain([500]).await.unwrap();
    world.endpoint(&hook.url()).await;
    let message = world.publish("{}").await;
    world.attempts(message, 1).await;
    let waiting = world.engine.now().plus(Duration::from_secs(5));
    let waiting = DeliveryStatus::Pending(Pending::Waiting { due: waiting });
    world.status_becomes(message, waiting).await;

    hook.reply_with([200]);
    let world = world.restart().await;
    world.clock.advance(Duration::from_secs(5));
    world
        .status_becomes(message, DeliveryStatus::Ended(Ended::Delivered))
        .await;
}

#[tokio::test]
async fn a_stop_hands_back_what_was_not_begun() {
    let world = World::with(|config| config.in_flight_per_endpoint_max = 1).await;
    let slow = Reply::status(200).after(Duration::from_millis(300));
    let hook = FakeEndpoint::plain([slow]).await.unwrap();
    world.endpoint(&hook.url()).await;
    let mut published = BTreeSet::new();
    for _ in 0..5 {
        published.insert(world.publish("{}").await.to_string());
    }
    hook.receives(1).await.unwrap();
    let report = world.engine.shutdown(Duration::from_secs(10)).await;
    assert_eq!(report.cut_off, 0);
    assert!(report.handed_back >= 3, "{report:?}");
    let refused = world.try_publish("{}").await.unwrap_err();
    assert!(matches!(refused, PublishError::Overloaded));

    let world = world.restart().await;
    hook.receives(5).await.unwrap();
    assert_eq!(ids_of(&hook), published);
    drop(world);
}

#[tokio::test]
async fn a_caller_that_leaves_takes_nothing_with_it() {
    let world = World::new().await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    world.endpoint(&hook.url()).await;
    world.publish("{}").await;
    for _ in 0..20 {
        let publish = world.try_publish("{}");
        // Polled once, then dropped: as when a client closes its connection.
        let left = tokio::time::timeout(Duration::ZERO, publish).await;
        drop(left);
    }
    hook.receives(21).await.unwrap();
    assert_eq!(ids_of(&hook).len(), 21);
}

#[tokio::test]
async fn a_dead_endpoint_holds_up_nobody() {
    let world = World::new().await;
    let stuck = Reply::status(200).after(Duration::from_secs(4));
    let dead = FakeEndpoint::plain([stuck]).await.unwrap();
    let alive = FakeEndpoint::plain([200]).await.unwrap();
    world.endpoint(&dead.url()).await;
    world.endpoint(&alive.url()).await;
    for _ in 0..100 {
        world.publish("{}").await;
    }
    alive.receives(100).await.unwrap();
    assert!(
        dead.received().len() <= 4,
        "as many as may be under way at once"
    );
}
