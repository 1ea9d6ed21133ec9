//! Brings endpoints back that were disabled. Must never decide whether one is: the store says.

use hookseal_domain::id::{AppId, EndpointId, OrgId};
use hookseal_domain::task::{Replayed, Span, TaskWork};
use hookseal_store::endpoint_health::Reenabled;
use hookseal_store::error::{ChangeError, StoreError};
use hookseal_store::publish::Idempotency;
use hookseal_store::tasks::NewTask;

use crate::Engine;

impl Engine {
    /// Enables an endpoint, whoever disabled it, and sends it again what failed in a span of time, where
    /// one is given: both are durable together. What was held goes out, and a pause of the endpoint
    /// ends. Goes on to its end even when the caller stops waiting.
    pub async fn enable_endpoint(
        &self,
        org: OrgId,
        (app, endpoint): (AppId, EndpointId),
        recover: Option<Span>,
        idempotency: Option<Idempotency>,
    ) -> Result<Reenabled, ChangeError> {
        let engine = self.clone();
        let work = async move {
            let now = engine.now();
            let recovery = recover.map(|span| NewTask {
                id: engine.next_id(),
                org,
                work: TaskWork::Replay {
                    app,
                    endpoint,
                    span,
                    which: Replayed::Failed,
                },
                now,
            });
            let store = engine.store();
            let enabled = store.enable_endpoint(app, endpoint, recovery, now, idempotency);
            let enabled = enabled.await?;
            engine.application_changed(app);
            engine.backlog_changed(app, endpoint);
            if enabled.task.is_some() {
                engine.shared.task_hint.began();
            }
            Ok(enabled)
        };
        match tokio::spawn(work).await {
            Ok(enabled) => enabled,
            Err(_) => Err(StoreError::Overloaded.into()),
        }
    }
}
