//! kill -9 at random moments under load: what was acknowledged arrives.

use std::collections::BTreeSet;
use std::time::Duration;

use hookseal_testkit::reply::Reply;
use hookseal_testkit::seed::Seed;
use hookseal_testkit::wait::until_within;
use hookseal_testkit::world::{Hook, World};
use serde_json::json;

use crate::support::load::Load;
use crate::support::world;

/// How often in a row the server is killed.
const KILLS: usize = 20;
/// The longest life between start and kill.
const LIFE_MS_MAX: u64 = 400;
/// After the last start everything must arrive; the machine may be busy.
const ARRIVES_WITHIN: Duration = Duration::from_secs(60);
/// As many clients publish, each one message after the other.
const CLIENTS: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_server_is_killed() -> anyhow::Result<()> {
    let seed = Seed::announced("kills with a healthy receiver")?;
    let mut world = world().start().await?;
    let hooks = [
        world.endpoint().replying([200]).await?,
        world.endpoint().over_tls().replying([200]).await?,
    ];
    torture(&mut world, &hooks, seed).await
}

/// With failures, and little room in memory, the schedule, its claims and the backlog are in play as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_receiver_fails_as_well() -> anyhow::Result<()> {
    let mut seed = Seed::announced("kills with a failing receiver")?;
    let steps = [r#""50ms""#; 20].join(",");
    let mut world = world()
        .set(&format!("delivery.retry_schedule=[{steps}]"))
        .set("delivery.window_deliveries=8")
        .start()
        .await?;
    let replies = (0..5000).map(|_| match seed.draw_below(10) {
        0..3 => Reply::status(500),
        3 => Reply::status(200).after(Duration::from_millis(30)),
        _ => Reply::status(200),
    });
    let hook = world
        .endpoint()
        .over_tls()
        .replying(replies.chain([Reply::status(200)]))
        .await?;
    torture(&mut world, &[hook], seed).await
}

async fn torture(world: &mut World, hooks: &[Hook], mut seed: Seed) -> anyhow::Result<()> {
    let load = Load::start(world, CLIENTS);
    for _ in 0..KILLS {
        let life = Duration::from_millis(seed.draw_below(LIFE_MS_MAX));
        // sleep: the moment of the kill is drawn, and must not hang on what the server does
        tokio::time::sleep(life).await;
        world.server.kill()?;
        world.server.start_again().await?;
    }
    let acknowledged = load.stop().await?;
    let missing = || -> Vec<_> {
        hooks
            .iter()
            .map(|hook| missing(&acknowledged, hook))
            .collect()
    };
    let none_lost = until_within(
        ARRIVES_WITHIN,
        "all that was acknowledged arrives",
        async || Ok(missing().iter().all(BTreeSet::is_empty).then_some(())),
    );
    if none_lost.await.is_err() {
        anyhow::bail!(
            "of {} acknowledged were lost: {:?}",
            acknowledged.len(),
            missing()
        );
    }
    for hook in hooks {
        // Arrival alone would not show a delivery that nobody takes up again.
        until_within(ARRIVES_WITHIN, "nothing is left unfinished", async || {
            let messages = world.path(&format!("/endpoint/{}/msg", hook.id));
            let (pending, sending) = (1, 3);
            for status in [pending, sending] {
                let page = world
                    .api
                    .get(&format!("{messages}?limit=1&status={status}"))
                    .await?;
                if page.expect(200)?["data"] != json!([]) {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
        .await?;
    }
    for hook in hooks {
        let (requests, arrived) = (hook.received().len(), arrived(hook).len());
        println!(
            "{KILLS} kills, {} acknowledged, {arrived} arrived in {requests} requests: {} duplicates",
            acknowledged.len(),
            requests - arrived,
        );
    }
    assert!(acknowledged.len() > KILLS, "the load was too small to tell");
    Ok(())
}

fn missing(acknowledged: &BTreeSet<String>, hook: &Hook) -> BTreeSet<String> {
    acknowledged.difference(&arrived(hook)).cloned().collect()
}

fn arrived(hook: &Hook) -> BTreeSet<String> {
    let received = hook.received();
    received
        .iter()
        .map(|received| received.webhook_id().to_owned())
        .collect()
}
