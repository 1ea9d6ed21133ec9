//! Recovering ten thousand failed deliveries, with kill -9 in the middle.

use std::collections::BTreeSet;
use std::time::Duration;

use hookseal_testkit::api_client::ApiClient;
use hookseal_testkit::wait::until_within;
use hookseal_testkit::world::{Hook, World, string_at};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::world;

/// As many deliveries fail and are recovered.
const FAILED: usize = 10_000;
/// As many clients publish, each one message after the other.
const CLIENTS: usize = 16;
/// After so many new deliveries the server is killed.
const KILLED_AT: [u64; 3] = [1_500, 4_000, 7_500];
/// Each stage; the machine may be busy.
const STAGE_WITHIN: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_is_complete_and_its_counts_exact_though_the_server_is_killed()
-> anyhow::Result<()> {
    let mut world = world().start().await?;
    let parks = json!({"parkOn": [422]});
    let hook = world.endpoint().with(parks).replying([422]).await?;
    let published = publish(&world).await?;
    settled(&world, &hook).await?;
    let before = hook.received().len();
    let failed: BTreeSet<_> = ids(&hook, 0);
    anyhow::ensure!(failed == published, "not all failed");
    hook.reply_with([200]);

    let path = world.path(&format!("/endpoint/{}/recover", hook.id));
    let since = json!({"since": "2020-01-01T00:00:00Z"});
    let task = world.api.post(&path, &since).await?.expect(202)?;
    let task = string_at(&task, "id")?;
    for at in KILLED_AT {
        let moment = format!("{at} new deliveries");
        until_within(STAGE_WITHIN, &moment, async || {
            let done = show(&world, &task).await?["data"]["done"].as_u64();
            Ok(done.filter(|done| *done >= at))
        })
        .await?;
        world.server.kill()?;
        world.server.start_again().await?;
        let now = show(&world, &task).await?;
        anyhow::ensure!(now["status"] == "running", "killed too late: {now}");
    }
    let ended = until_within(STAGE_WITHIN, "the task to end", async || {
        let now = show(&world, &task).await?;
        Ok((now["status"] != "running").then_some(now))
    });
    let ended = ended.await?;
    assert_eq!(ended["status"], "finished", "{ended}");
    let counts = ["lookedAt", "done", "leftOut"].map(|count| ended["data"][count].as_u64());
    assert_eq!(counts, [Some(10_000), Some(10_000), Some(0)], "{ended}");
    settled(&world, &hook).await?;
    assert_eq!(ids(&hook, before), published, "each was delivered");
    for status in [2, 4] {
        let left = of_status(&world, &hook, status).await?;
        assert_eq!(left["data"], json!([]), "status {status}");
    }
    let requests = hook.received().len() - before;
    println!(
        "{} kills, {FAILED} recovered in {requests} requests: {} duplicates",
        KILLED_AT.len(),
        requests - FAILED,
    );
    Ok(())
}

async fn show(world: &World, task: &str) -> anyhow::Result<Value> {
    let path = format!("/api/v1/background-task/{task}");
    world.api.get(&path).await?.expect(200)
}

/// The messages of the requests that came after so many.
fn ids(hook: &Hook, after: usize) -> BTreeSet<String> {
    let received = hook.received().into_iter().skip(after);
    received.map(|one| one.webhook_id().to_owned()).collect()
}

/// Publishes from several clients; the ids of all.
async fn publish(world: &World) -> anyhow::Result<BTreeSet<String>> {
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let count = FAILED / CLIENTS;
        let (api, path) = (world.api.clone(), world.path("/msg?with_content=false"));
        clients.spawn(publish_some(api, path, client, count));
    }
    let mut published = BTreeSet::new();
    while let Some(ids) = clients.join_next().await {
        published.extend(ids??);
    }
    Ok(published)
}

async fn publish_some(
    api: ApiClient,
    path: String,
    client: usize,
    count: usize,
) -> anyhow::Result<Vec<String>> {
    let mut ids = Vec::new();
    for number in 0..count {
        let payload = json!({"client": client, "number": number});
        let event = json!({"eventType": "recovery.tested", "payload": payload});
        let answer = api.post(&path, &event).await?.expect(202)?;
        ids.push(string_at(&answer, "id")?);
    }
    Ok(ids)
}

async fn of_status(world: &World, hook: &Hook, status: u8) -> anyhow::Result<Value> {
    let messages = world.path(&format!("/endpoint/{}/msg", hook.id));
    let path = format!("{messages}?limit=1&status={status}&with_content=false");
    world.api.get(&path).await?.expect(200)
}

/// Waits until nothing of an endpoint is unfinished.
async fn settled(world: &World, hook: &Hook) -> anyhow::Result<()> {
    until_within(STAGE_WITHIN, "nothing is left unfinished", async || {
        let (pending, sending) = (1, 3);
        for status in [pending, sending] {
            if of_status(world, hook, status).await?["data"] != json!([]) {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await
}
