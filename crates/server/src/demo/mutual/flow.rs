//! Events to the bank, one after the other, for as long as the demo replaces keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::api_client::{Client, ClientError};
use crate::demo::mutual::setting::APP;
use crate::demo::stage::Stage;
use crate::demo::wire::Made;

/// Events on their way.
pub(super) struct Flow {
    enough: Arc<AtomicBool>,
    publishing: JoinHandle<Result<Vec<String>, ClientError>>,
}

// === impl Flow ===

impl Flow {
    /// Publishes until it is ended.
    pub(super) fn begin(stage: &Stage) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let publishing = publish(stage.client.clone(), Arc::clone(&enough));
        Self {
            enough,
            publishing: tokio::spawn(publishing),
        }
    }

    /// Ends it, and answers the ids of the messages.
    pub(super) async fn end(self) -> Result<Vec<String>, ClientError> {
        self.enough.store(true, Ordering::Relaxed);
        // It does not panic, and nobody aborts it.
        self.publishing.await.unwrap_or_else(|_| Ok(Vec::new()))
    }
}

async fn publish(client: Client, enough: Arc<AtomicBool>) -> Result<Vec<String>, ClientError> {
    let path = format!("/api/v1/app/{APP}/msg");
    let mut ids = Vec::new();
    while !enough.load(Ordering::Relaxed) {
        let message = json!({ "eventType": "ledger.entry", "payload": { "entry": ids.len() } });
        let made: Made = client
            .create(&path, Bytes::from(message.to_string()))
            .await?;
        ids.push(made.id);
    }
    Ok(ids)
}
