//! `…/msg/precheck/active` and `…/msg/{msg_id}/raw`: questions before and after publishing.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::channel::Channel;
use hookseal_domain::event_type::EventTypeName;

use crate::api::Api;
use crate::api::access::{Authorized, MessagePath, OwnApplication};
use crate::api::check::Fields;
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorCode, ErrorResponses};
use crate::api::input::Input;
use crate::api::message::body::check_channels;
use crate::api::params::{ApplicationPath, IdempotencyHeader, MessageParams};
use crate::api::respond::ok;
use crate::api::wire::text;

/// A message that may be published.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MessagePrecheckIn)]
struct PrecheckIn {
    /// What happened.
    #[schema(value_type = text::EventTypeName, required)]
    event_type: Option<String>,
    /// Which channels it goes to.
    #[schema(value_type = Option<std::collections::HashSet<text::Channel>>, min_items = 1, max_items = 10)]
    channels: Option<Vec<String>>,
}

/// Whether anybody would get it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MessagePrecheckOut)]
struct PrecheckOut {
    /// Whether an endpoint that is not disabled wants it.
    active: bool,
}

/// A payload as text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MessageRawPayloadOut)]
struct RawPayloadOut {
    /// The exact bytes that are delivered.
    payload: String,
}

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(precheck))
        .routes(routes!(raw))
}

/// Tells whether any endpoint would get a message, so that it need not be made if not.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/msg/precheck/active",
    operation_id = "v1.message.precheck", tag = "Message",
    params(ApplicationPath, IdempotencyHeader), request_body = PrecheckIn,
    responses((status = 200, description = "Whether anybody would get it", body = PrecheckOut), ErrorResponses))]
async fn precheck(
    Authorized(own): Authorized<OwnApplication>,
    input: Input,
) -> Result<Response, ApiError> {
    let (event_type, channels) = input.read::<PrecheckIn>()?.check()?;
    let mut endpoints = own.routing.destinations.iter();
    let active = endpoints.any(|to| !to.disabled && to.subscription.wants(&event_type, &channels));
    Ok(ok(&PrecheckOut { active }))
}

/// Shows the payload of a message exactly as it is delivered, as text.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/msg/{msg_id}/raw",
    operation_id = "v1.message.get-raw-payload", tag = "Message", params(MessageParams),
    responses((status = 200, description = "The payload", body = RawPayloadOut), ErrorResponses))]
async fn raw(
    Authorized(own): Authorized<OwnApplication>,
    MessagePath(named): MessagePath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let payload = own.message(&api, &named).await?.payload;
    let payload = payload.ok_or_else(|| {
        let detail = "the message's payload was expunged or its retention is over";
        ApiError::new(ErrorCode::PayloadGone, detail)
    })?;
    let payload = String::from_utf8_lossy(&payload).into_owned();
    Ok(ok(&RawPayloadOut { payload }))
}

// === impl PrecheckIn ===

impl PrecheckIn {
    fn check(self) -> Result<(EventTypeName, Vec<Channel>), Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let event_type = fields.required("eventType", self.event_type);
        let event_type =
            event_type.and_then(|text| fields.take("eventType", EventTypeName::parse(&text)));
        let channels = check_channels(&mut fields, self.channels.as_deref());
        let checked = event_type.zip(channels);
        violations.finish(checked)
    }
}
