//! `/api/v1/msg/broadcast`: one message for every application.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::access::Principal;
use hookseal_domain::task::{Span, TaskWork};
use hookseal_domain::time::Timestamp;

use crate::api::Api;
use crate::api::access::{Authorized, Organisation};
use crate::api::background_task::{self, TaskOut};
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::input::Input;
use crate::api::message::body::MessageIn;
use crate::api::message::refused;
use crate::api::params::IdempotencyHeader;
use crate::api::respond::json;
use crate::api::wire::text;

/// A message for every application.
#[derive(ToSchema)]
#[schema(as = MessageBroadcastIn, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes a body; it is read as a message")]
struct BroadcastIn {
    /// What happened.
    #[schema(value_type = text::EventTypeName)]
    event_type: String,
    /// What is delivered: these bytes exactly, of at most 100 levels.
    #[schema(value_type = Object)]
    payload: Box<RawValue>,
    /// Your own name of it. An application that has a message of this name is left out.
    #[schema(value_type = Option<text::Uid>)]
    event_id: Option<String>,
    /// Which channels it goes to.
    #[schema(value_type = Option<std::collections::HashSet<text::Channel>>, min_items = 1, max_items = 10)]
    channels: Option<Vec<String>>,
    /// Days that the payload is kept.
    #[schema(minimum = 1, maximum = 90, default = 90)]
    payload_retention_period: Option<i64>,
    /// Hours that the payload is kept; counts before the days.
    #[schema(minimum = 1, maximum = 2160)]
    payload_retention_hours: Option<i64>,
}

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(broadcast))
}

/// Publishes a message to every application that exists by now, in a background task.
#[utoipa::path(post, path = "/api/v1/msg/broadcast", operation_id = "v1.message.broadcast", tag = "Message",
    params(IdempotencyHeader), request_body = BroadcastIn,
    responses((status = 202, description = "It is being done", body = TaskOut), ErrorResponses))]
async fn broadcast(
    Authorized(Organisation(org)): Authorized<Organisation>,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let now = api.engine.now();
    let body: MessageIn<'_> = input.read()?;
    let deliverable = api.engine.deliverable();
    let limit = api.config.payload_bytes_max;
    let message = body.check(input.bytes(), limit, now, deliverable)?;
    let message = message.broadcast()?;
    if let Some(payload) = &message.payload {
        let checked = api.engine.check_payload(org, &message.event_type, payload);
        checked.await.map_err(refused)?;
    }
    let work = TaskWork::Broadcast {
        message,
        span: Span {
            since: Timestamp::from_millis(0),
            until: now,
        },
    };
    let who = Principal::Organisation(org);
    let idempotency = input.idempotency(who, now, format_args!("broadcast"));
    let begun = api.engine.begin_task(org, work, idempotency).await;
    let task = begun.map_err(|error| ApiError::change(background_task::WHAT, error))?;
    Ok(json(StatusCode::ACCEPTED, &TaskOut::of(task)))
}
