//! One endpoint's trouble is not another's. How fast the others stay is measured in `bench`.

use hookseal_testkit::tarpit::Tarpit;
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
