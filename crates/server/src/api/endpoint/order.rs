//! `…/endpoint/{endpoint_id}/order`: what stands first in an endpoint's order, and skipping it.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::delivery::{DeliveryKey, Pending};
use hookseal_domain::id::{AppId, EndpointId};
use hookseal_store::error::SkipError;
use hookseal_store::inspect::{DeliveryStatus, OrderHead};
use hookseal_store::reference::MessageRef;

use crate::api::access::{Authorized, EndpointPath, OwnApplication};
use crate::api::error::{ApiError, ErrorCode, ErrorResponses};
use crate::api::input::Input;
use crate::api::params::EndpointParams;
use crate::api::respond::ok;
use crate::api::wire::{At, next_attempt, text};
use crate::api::{Api, ApiContext};

/// Most heads that are shown: the stuck ones come first, and beyond these nobody looks at each.
const HEADS_MAX: usize = 50;

/// What stands first in an endpoint's order.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EndpointOrder)]
pub(crate) struct OrderOut {
    /// The first unfinished delivery of each order: one, or with `orderingKey` one of each value, up
    /// to 50. Those that are blocked or wait for their next attempt come first. Empty if nothing is
    /// unfinished.
    heads: Vec<OrderHeadOut>,
}

/// A delivery that others wait for.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EndpointOrderHead)]
struct OrderHeadOut {
    /// Its message.
    #[schema(value_type = text::MessageId)]
    msg_id: String,
    /// `sending`, `ready` (tried as soon as there is room), `waiting` (for its next attempt), `held`
    /// (the endpoint is disabled), or `blocked` (exhausted: until it is resent or skipped).
    state: &'static str,
    /// How often it was tried.
    attempts: u32,
    /// When it is tried next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt: Option<At>,
    /// How many wait behind it; 1,001 stands for more than 1,000.
    waiting: usize,
}

/// What to skip.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EndpointOrderSkip)]
struct SkipIn {
    /// The message, by its id or `eventId`.
    msg_id: String,
}

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(get))
        .routes(routes!(skip))
}

/// Shows what stands first in an endpoint's order, which everything behind it waits for.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/order",
    operation_id = "v1.endpoint.order.get", tag = "Endpoint", params(EndpointParams),
    responses((status = 200, description = "What stands first", body = OrderOut), ErrorResponses))]
async fn get(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?.id;
    Ok(ok(&api.order(own.id(), endpoint).await?))
}

/// Skips a delivery of an endpoint that has an order, so that those behind it go on.
///
/// It ends undelivered and can be resent later; then it comes last. An attempt that is under way is
/// not called back, but decides nothing any more. A delivery that was skipped already stays so.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/order/skip",
    operation_id = "v1.endpoint.order.skip", tag = "Endpoint", params(EndpointParams),
    request_body = SkipIn,
    responses((status = 200, description = "What stands first now", body = OrderOut), ErrorResponses))]
async fn skip(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?.id;
    let message = MessageRef::parse(&input.read::<SkipIn>()?.msg_id);
    let message = own.message(&api, &message).await?.id;
    let key = DeliveryKey { message, endpoint };
    api.engine.skip(own.id(), key).await?;
    Ok(ok(&api.order(own.id(), endpoint).await?))
}

impl ApiContext {
    async fn order(&self, app: AppId, endpoint: EndpointId) -> Result<OrderOut, ApiError> {
        let store = self.engine.store();
        let heads = store.order_heads(app, endpoint, HEADS_MAX).await?;
        let heads = heads.into_iter().map(OrderHeadOut::of).collect();
        Ok(OrderOut { heads })
    }
}

// === impl OrderHeadOut ===

impl OrderHeadOut {
    fn of(head: OrderHead) -> Self {
        Self {
            msg_id: head.message.to_string(),
            state: match head.state {
                Pending::Owned => "sending",
                Pending::Backlog => "ready",
                Pending::Waiting { .. } => "waiting",
                Pending::Held => "held",
                Pending::Blocked => "blocked",
            },
            attempts: head.attempts,
            next_attempt: next_attempt(DeliveryStatus::Pending(head.state)),
            waiting: head.behind,
        }
    }
}

impl From<SkipError> for ApiError {
    fn from(error: SkipError) -> Self {
        match error {
            SkipError::NotInOrder => Self::new(
                ErrorCode::Conflict,
                "the endpoint has no unfinished delivery of the message that has an order",
            ),
            SkipError::Store(error) => error.into(),
        }
    }
}
