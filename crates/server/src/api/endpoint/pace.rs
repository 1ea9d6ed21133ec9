//! `…/endpoint/{endpoint_id}/rate-limit-status`: how fast an endpoint's deliveries go, and what
//! holds them back.

use std::num::NonZeroU32;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::delivery::push_back::PushBack;
use hookseal_domain::endpoint::Endpoint;
use hookseal_engine::PaceStatus;

use crate::api::Api;
use crate::api::access::{Authorized, EndpointPath, OwnApplication};
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::params::EndpointParams;
use crate::api::respond::ok;
use crate::api::wire::At;

/// How fast an endpoint's deliveries go right now. All but `status` and `throttledSince` are
/// extensions of Hookseal.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EndpointThrottleRateStatusOut)]
struct PaceOut {
    /// `Ok`, or `RateLimited` while deliveries wait for a slot or the endpoint has pushed back.
    #[schema(value_type = String)]
    status: &'static str,
    /// Since when they wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    throttled_since: Option<At>,
    /// Most deliveries per second of the endpoint, as configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    throttle_rate: Option<u16>,
    /// Most requests per minute that the receiver granted in its verification. Of this and
    /// `throttleRate` the slower one holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 1)]
    granted_rate: Option<NonZeroU32>,
    /// Most deliveries per second of the whole application, as configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    app_throttle_rate: Option<u16>,
    /// When the next slot is of these rates.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_slot_at: Option<At>,
    /// Attempts under way.
    in_flight: usize,
    /// Most attempts under way that the endpoint gets now: what it earned by its answers, up to
    /// `maxInFlight` and the node's own limit. Absent while nothing of it is in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_flight_max: Option<usize>,
    /// Deliveries that wait in memory.
    waiting: usize,
    /// Whether more may wait in the database.
    has_backlog: bool,
    /// The pause that the endpoint asks for, while it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pushed_back: Option<PushBackOut>,
}

/// A pause that an endpoint asked for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EndpointPushBack)]
struct PushBackOut {
    /// When it began.
    since: At,
    /// When it ends.
    until: At,
    /// The status of the endpoint's answer: 429 or 503.
    status_code: u16,
    /// `too_many_requests_retry_after`, `too_many_requests`, `unavailable_retry_after` or
    /// `unavailable`: what it answered, and whether with `Retry-After`.
    #[schema(value_type = String)]
    reason: &'static str,
}

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get))
}

/// Shows how fast an endpoint's deliveries go, and what holds them back.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/rate-limit-status",
    operation_id = "v1.endpoint.get-throttling-status", tag = "Endpoint", params(EndpointParams),
    responses((status = 200, description = "As it is right now", body = PaceOut), ErrorResponses))]
async fn get(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?;
    let pace = api.engine.pace(endpoint.id);
    let app_rate = own.routing.application.spec.throttle_rate;
    Ok(ok(&PaceOut::of(&endpoint, app_rate, pace)))
}

// === impl PaceOut ===

impl PaceOut {
    fn of(endpoint: &Endpoint, app_rate: Option<u16>, pace: Option<PaceStatus>) -> Self {
        let grant = endpoint.verification.grant.as_ref();
        let in_flight_max = pace.map(|pace| pace.in_flight_max);
        let pace = pace.unwrap_or_default();
        let pushed_back = pace.push_back;
        let pushed_since = pushed_back.map(|pushed| pushed.since);
        let since = pace.throttled_since.into_iter().chain(pushed_since).min();
        Self {
            status: if since.is_some() { "RateLimited" } else { "Ok" },
            throttled_since: since.map(At),
            throttle_rate: endpoint.spec.throttle_rate,
            granted_rate: grant.and_then(|grant| grant.rate),
            app_throttle_rate: app_rate,
            next_slot_at: pace.next_slot_at.map(At),
            in_flight: pace.in_flight,
            in_flight_max,
            waiting: pace.waiting,
            has_backlog: pace.has_backlog,
            pushed_back: pushed_back.map(PushBackOut::of),
        }
    }
}

// === impl PushBackOut ===

impl PushBackOut {
    fn of(push_back: PushBack) -> Self {
        Self {
            since: At(push_back.since),
            until: At(push_back.until),
            status_code: push_back.reason.status,
            reason: push_back.reason.as_str(),
        }
    }
}
