//! The admin listener's pages: metrics and health, for monitoring only. Must never show what
//! belongs to a tenant.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;
use tracing::warn;

use hookseal_store::Store;
use hookseal_store::error::StoreError;

use crate::telemetry::metrics;

/// How long the store may take to say that it is well: probes commonly wait a few seconds.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// What the pages are made from.
#[derive(Clone)]
pub(crate) struct AdminContext {
    /// What is counted.
    pub(crate) registry: Arc<Registry>,
    /// What has to work for the server to be of use.
    pub(crate) store: Arc<dyn Store>,
}

/// The pages.
pub(crate) fn router(context: AdminContext) -> Router {
    Router::new()
        .route("/metrics", get(show_metrics))
        .route("/health/live", get(StatusCode::NO_CONTENT))
        .route("/health/ready", get(ready))
        .with_state(context)
}

async fn show_metrics(State(context): State<AdminContext>) -> Response {
    match metrics::text(&context.registry) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn ready(State(context): State<AdminContext>) -> StatusCode {
    match tokio::time::timeout(READY_TIMEOUT, context.store.health()).await {
        // Whoever supervises it must not take away what still can be read, and who publishes is told
        // better by the API.
        Ok(Ok(()) | Err(StoreError::Overloaded | StoreError::DiskFull)) => StatusCode::NO_CONTENT,
        Ok(Err(error)) => {
            warn!(error = %error, "Not ready: {error}");
            StatusCode::SERVICE_UNAVAILABLE
        }
        Err(_) => {
            warn!("Not ready: the store does not answer");
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}
