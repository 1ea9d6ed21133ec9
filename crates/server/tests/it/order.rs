//! Ordered endpoints under failures, stalls and kill -9: everything arrives, in order; only what was
//! under way may arrive twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hookseal_testkit::api_client::ApiClient;
use hookseal_testkit::reply::Reply;
use hookseal_testkit::seed::Seed;
use hookseal_testkit::wait::until_within;
use hookseal_testkit::world::{Hook, World, string_at};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::world;

/// Events, where the environment names no other number: what a test run bears.
const EVENTS: usize = 10_000;
/// Names another number, such as the 100,000 of a release.
const EVENTS_VARIABLE: &str = "HOOKSEAL_ORDER_EVENTS";
/// As many endpoints get them, each its share.
const ENDPOINTS: usize = 20;
/// How often the server is killed while they are published.
const KILLS: usize = 3;
/// As many clients publish, each one message after the other.
const CLIENTS: usize = 16;
/// What a client waits before it tries a server again that it did not reach.
const AWAY_PAUSE: Duration = Duration::from_millis(5);
/// Longer than this no attempt takes; a receiver that stalls takes longer.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
/// After the last event everything must arrive; the machine may be busy.
const ARRIVES_WITHIN: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ordered_endpoints_get_everything_in_order_though_the_server_is_killed()
-> anyhow::Result<()> {
    let events = match std::env::var(EVENTS_VARIABLE) {
        Ok(text) => text.parse()?,
        Err(_) => EVENTS,
    };
    let mut seed = Seed::announced("ordered endpoints, failures, stalls and kills")?;
    let steps = [r#""50ms""#; 20].join(",");
    let mut world = world()
        .set(&format!("delivery.retry_schedule=[{steps}]"))
        .set(&format!(
            "delivery.timeout=\"{}s\"",
            ATTEMPT_TIMEOUT.as_secs()
        ))
        .set("breaker.pause_first=\"100ms\"")
        .start()
        .await?;
    let mut hooks = Vec::new();
    for number in 0..ENDPOINTS {
        let properties = json!({"fifo": true, "filterTypes": [event_type(number)]});
        let setup = world.endpoint().with(properties);
        hooks.push(
            setup
                .replying(replies(&mut seed, events / ENDPOINTS))
                .await?,
        );
    }
    let published = Arc::<AtomicUsize>::default();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (api, path) = (world.api.clone(), world.path("/msg?with_content=false"));
        let published = Arc::clone(&published);
        clients.spawn(publish(api, path, client, events, published));
    }
    for kill in 1..=KILLS {
        let at = events * kill / (KILLS + 1);
        until_within(ARRIVES_WITHIN, "events to be published", async || {
            Ok((published.load(Ordering::Relaxed) >= at).then_some(()))
        })
        .await?;
        world.server.kill()?;
        world.server.start_again().await?;
    }
    let mut acknowledged = BTreeSet::new();
    while let Some(ids) = clients.join_next().await {
        acknowledged.extend(ids??);
    }
    for (number, hook) in hooks.iter().enumerate() {
        is_finished(&world, hook).await?;
        check_order(number, hook)?;
    }
    let requests: Vec<_> = hooks.iter().flat_map(|hook| hook.received()).collect();
    let arrived: BTreeSet<_> = requests.iter().map(|r| r.webhook_id().to_owned()).collect();
    let lost: Vec<_> = acknowledged.difference(&arrived).collect();
    anyhow::ensure!(lost.is_empty(), "lost: {lost:?}");
    println!(
        "{KILLS} kills, {} acknowledged, {} arrived in {} requests, in order",
        acknowledged.len(),
        arrived.len(),
        requests.len(),
    );
    Ok(())
}

fn event_type(endpoint: usize) -> String {
    format!("order.tested.{endpoint}")
}

/// One in ten fails, one in a hundred takes a while, a few stall until the attempt is given up.
fn replies(seed: &mut Seed, share: usize) -> Vec<Reply> {
    let drawn = (0..share).map(|_| match seed.draw_below(1000) {
        0..100 => Reply::status(500),
        100..110 => Reply::status(200).after(Duration::from_millis(30)),
        110 => Reply::status(200).after(ATTEMPT_TIMEOUT * 2),
        _ => Reply::status(200),
    });
    drawn.chain([Reply::status(200)]).collect()
}

/// A client that publishes until so many events of all clients are acknowledged; the ids of its own.
async fn publish(
    api: ApiClient,
    path: String,
    client: usize,
    events: usize,
    published: Arc<AtomicUsize>,
) -> anyhow::Result<BTreeSet<String>> {
    let mut acknowledged = BTreeSet::new();
    let mut number = 0;
    while published.load(Ordering::Relaxed) < events {
        number += 1;
        let event = json!({
            "eventType": event_type((client + number) % ENDPOINTS),
            "payload": {"client": client, "number": number},
        });
        match api.post(&path, &event).await {
            Ok(answer) if answer.status == StatusCode::ACCEPTED => {
                acknowledged.insert(string_at(&answer.json()?, "id")?);
                published.fetch_add(1, Ordering::Relaxed);
            }
            Ok(answer) if answer.status != StatusCode::SERVICE_UNAVAILABLE => {
                anyhow::bail!("{answer}");
            }
            _ => {
                // sleep: the server is away
                tokio::time::sleep(AWAY_PAUSE).await;
            }
        }
    }
    Ok(acknowledged)
}

/// Waits until nothing of an endpoint is unfinished; then everything was delivered.
async fn is_finished(world: &World, hook: &Hook) -> anyhow::Result<()> {
    let messages = world.path(&format!("/endpoint/{}/msg", hook.id));
    until_within(ARRIVES_WITHIN, "nothing is left unfinished", async || {
        let (pending, fail, sending) = (1, 2, 3);
        for status in [pending, fail, sending] {
            let path = format!("{messages}?limit=1&status={status}&with_content=false");
            let page = world.api.get(&path).await?.expect(200)?;
            anyhow::ensure!(
                status != fail || page["data"] == json!([]),
                "failed: {page}"
            );
            if page["data"] != json!([]) {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await
}

/// What a client publishes after another event arrives after it; what arrives again is what arrived
/// last.
fn check_order(number: usize, hook: &Hook) -> anyhow::Result<()> {
    let mut order: Vec<(u64, u64)> = Vec::new();
    for received in hook.received() {
        let body: Value = serde_json::from_slice(&received.body)?;
        let at = |name: &str| body[name].as_u64().unwrap_or(0);
        order.push((at("client"), at("number")));
    }
    order.dedup();
    let mut last_of = BTreeMap::new();
    for (client, event) in order {
        let last = last_of.insert(client, event).unwrap_or(0);
        anyhow::ensure!(
            last < event,
            "endpoint {number}: event {event} of client {client} after {last}"
        );
    }
    Ok(())
}
