//! `/api/v1/health`: whether this server can take messages.

use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::Api;
use crate::api::error::{ApiError, ErrorResponses};

/// The operations.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(get, head))
        .routes(routes!(ping, ping_head))
}

/// Says whether the store can be read and written.
#[utoipa::path(get, path = "/api/v1/health", operation_id = "v1.health.get", tag = "Health", security(()),
    responses((status = 204, description = "It can"), ErrorResponses))]
async fn get(State(api): State<Api>) -> Result<StatusCode, ApiError> {
    api.engine.store().health().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says whether the store can be read and written.
#[utoipa::path(head, path = "/api/v1/health", operation_id = "v1.health.head", tag = "Health", security(()),
    responses((status = 204, description = "It can"), ErrorResponses))]
async fn head(state: State<Api>) -> Result<StatusCode, ApiError> {
    get(state).await
}

/// Says that the server runs.
#[utoipa::path(get, path = "/api/v1/health/ping", operation_id = "v1.health.ping", tag = "Health", security(()),
    responses((status = 204, description = "It runs")))]
async fn ping() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Says that the server runs.
#[utoipa::path(head, path = "/api/v1/health/ping", operation_id = "v1.health.ping-head", tag = "Health", security(()),
    responses((status = 204, description = "It runs")))]
async fn ping_head() -> StatusCode {
    StatusCode::NO_CONTENT
}
