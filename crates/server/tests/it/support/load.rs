//! Publishes without pause, as a client does whose server may be away. **Invariant:** only what was answered with
//! 202 counts as acknowledged.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hookseal_testkit::api_client::ApiClient;
use hookseal_testkit::world::{World, string_at};
use http::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;

/// What a client waits before it tries a server again that it did not reach.
const AWAY_PAUSE: Duration = Duration::from_millis(5);

/// A load that runs until it is stopped.
pub(crate) struct Load {
    go_on: Arc<AtomicBool>,
    publishers: JoinSet<anyhow::Result<BTreeSet<String>>>,
}

// === impl Load ===

impl Load {
    /// Starts to publish to the world's application from so many clients, one message after the other each.
    pub(crate) fn start(world: &World, clients: usize) -> Self {
        let go_on = Arc::new(AtomicBool::new(true));
        let mut publishers = JoinSet::new();
        for client in 0..clients {
            let path = world.path("/msg?with_content=false");
            publishers.spawn(publish(world.api.clone(), path, client, Arc::clone(&go_on)));
        }
        Self { go_on, publishers }
    }

    /// Stops, and returns the ids of all that was acknowledged.
    pub(crate) async fn stop(mut self) -> anyhow::Result<BTreeSet<String>> {
        self.go_on.store(false, Ordering::Relaxed);
        let mut acknowledged = BTreeSet::new();
        while let Some(ids) = self.publishers.join_next().await {
            acknowledged.extend(ids??);
        }
        Ok(acknowledged)
    }
}

async fn publish(
    api: ApiClient,
    path: String,
    client: usize,
    go_on: Arc<AtomicBool>,
) -> anyhow::Result<BTreeSet<String>> {
    let mut acknowledged = BTreeSet::new();
    let mut number = 0_u64;
    while go_on.load(Ordering::Relaxed) {
        number += 1;
        let payload = json!({"client": client, "number": number});
        let message = json!({"eventType": "load.tested", "payload": payload});
        match api.post(&path, &message).await {
            Ok(answer) if answer.status == StatusCode::ACCEPTED => {
                acknowledged.insert(string_at(&answer.json()?, "id")?);
            }
            // A server that is stopping may say so.
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
