//! One endpoint's trouble is not another's. How fast the others stay is measured in `bench`.

use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::hostile_endpoint::{HostileEndpoint, Hostility};
use hookseal_testkit::tarpit::Tarpit;
use hookseal_testkit::wait::until;
use hookseal_testkit::world::Standing;
use serde_json::json;

use crate::support::world;

/// More than the dead endpoint may have in flight, so that its lane is full.
const MESSAGES: usize = 100;
/// Beside the dead one.
const HEALTHY: usize = 10;

#[tokio::test]
async fn a_dead_endpoint_does_not_hold_up_the_others() -> anyhow::Result<()> {
    let world = world()
        .set("delivery.timeout=60s")
        .set("egress.connect_timeout=60s")
        .set("delivery.max_in_flight_per_endpoint=8")
        .start()
        .await?;
    let dead = Tarpit::open().await?;
    let dead = world.subscribe(&dead.url(), &json!({})).await?;
    let mut healthy = Vec::new();
    for _ in 0..HEALTHY {
        healthy.push(world.endpoint().replying([200]).await?);
    }
    let mut messages = Vec::new();
    for _ in 0..MESSAGES {
        messages.push(world.publish("invoice.paid").await?);
    }
    for hook in &healthy {
        hook.receives(MESSAGES).await?;
    }
    // All of it arrived while the dead one's first attempts still hang.
    for message in &messages {
        assert_ne!(world.standing(message, &dead).await?, Standing::Fail);
        let attempts = world.attempts(message).await?;
        assert!(
            attempts
                .iter()
                .all(|attempt| attempt["endpointId"] != *dead)
        );
    }
    Ok(())
}

#[tokio::test]
async fn bad_endpoints_of_all_kinds_do_not_hold_up_the_others() -> anyhow::Result<()> {
    let world = world()
        .set("delivery.timeout=60s")
        .set("delivery.max_in_flight=128")
        .set("breaker.pause_first=1h")
        .start()
        .await?;
    let mut stuck = Vec::new();
    for hostility in [
        Hostility::StallBeforeHeaders,
        Hostility::StallInHeaders,
        Hostility::StallAfterHeaders,
    ] {
        for _ in 0..5 {
            let endpoint = HostileEndpoint::plain(hostility).await?;
            world.subscribe(&endpoint.url(), &json!({})).await?;
            stuck.push(endpoint);
        }
    }
    let failing = FakeEndpoint::plain([500]).await?;
    let mut failing_ids = Vec::new();
    for _ in 0..10 {
        failing_ids.push(world.subscribe(&failing.url(), &json!({})).await?);
    }
    let mut healthy = Vec::new();
    for _ in 0..HEALTHY {
        healthy.push(world.endpoint().replying([200]).await?);
    }
    for _ in 0..MESSAGES {
        world.publish("invoice.paid").await?;
    }
    for hook in &healthy {
        hook.receives(MESSAGES).await?;
    }
    // Those that fail get nothing more; those that are stuck have what an unknown endpoint gets.
    for id in &failing_ids {
        let path = format!("/api/v1/app/{}/endpoint/{id}/breaker", world.app);
        until("the pause", async || {
            let breaker = world.api.get(&path).await?.expect(200)?;
            Ok((breaker["state"] == "paused").then_some(()))
        })
        .await?;
    }
    assert!(failing.received().len() < failing_ids.len() * MESSAGES);
    for endpoint in &stuck {
        let connections = endpoint.connections();
        assert!((1..=4).contains(&connections), "{connections}");
    }
    Ok(())
}
