//! `…/endpoint/{endpoint_id}/breaker`: whether attempts are made to an endpoint, and the end of a
//! pause.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::delivery::breaker::BreakerState;

use crate::api::Api;
use crate::api::access::{Authorized, EndpointPath, OwnApplication};
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::params::EndpointParams;
use crate::api::respond::ok;
use crate::api::wire::At;

/// Whether attempts are made to an endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EndpointBreaker)]
pub(crate) struct BreakerOut {
    /// `delivering`, `paused` (no attempt is made), or `probing` (a single one tries).
    state: &'static str,
    /// Since when it is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<At>,
    /// When a single attempt tries again.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<At>,
    /// What it is paused for: `tls_failure` (three times the same certain failure),
    /// `failures_in_a_row`, `failure_rate`, or `push_back` (it only ever asks for less).
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// What to do, where it is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    todo: Option<&'static str>,
    /// What failed last, where nothing was answered since.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<LastFailureOut>,
}

/// What failed last.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EndpointLastFailure)]
struct LastFailureOut {
    /// `unreachable`, `timed_out`, `server_error`, `pushed_back`, or the code of a failure of TLS.
    code: &'static str,
    /// The status of the answer, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
    /// When.
    at: At,
}

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(get))
        .routes(routes!(reset))
}

/// Shows whether attempts are made to an endpoint, and if not, why and until when.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/breaker",
    operation_id = "v1.endpoint.breaker.get", tag = "Endpoint", params(EndpointParams),
    responses((status = 200, description = "Where it stands", body = BreakerOut), ErrorResponses))]
async fn get(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?.id;
    Ok(ok(&BreakerOut::of(api.engine.breaker(endpoint))))
}

/// Ends an endpoint's pause at once, and forgets what failed.
///
/// Its deliveries go on where they were, few at a time at first. If it fails again, it is paused
/// again. An endpoint that is not paused stays as it is.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/breaker/reset",
    operation_id = "v1.endpoint.breaker.reset", tag = "Endpoint", params(EndpointParams),
    responses((status = 200, description = "Where it stands now", body = BreakerOut), ErrorResponses))]
async fn reset(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?.id;
    api.engine.reset_breaker(endpoint);
    Ok(ok(&BreakerOut::of(None)))
}

// === impl BreakerOut ===

impl BreakerOut {
    /// Of what is known in memory; where nothing is, nothing speaks against attempts.
    pub(crate) fn of(state: Option<BreakerState>) -> Self {
        let state = state.unwrap_or_default();
        let pause = state.pause();
        let until = match state {
            BreakerState::Paused { until, .. } => Some(until),
            BreakerState::Delivering { .. } | BreakerState::Probing { .. } => None,
        };
        Self {
            state: state.as_str(),
            since: pause.map(|pause| At(pause.since)),
            until: until.map(At),
            reason: pause.map(|pause| pause.reason.as_str()),
            todo: pause.map(|pause| pause.failure.advice()),
            last_failure: state.last_failure().map(|(failure, at)| LastFailureOut {
                code: failure.as_str(),
                status_code: failure.status(),
                at: At(at),
            }),
        }
    }
}
