//! `…/endpoint/{endpoint_id}/filter`: an endpoint's payload filter, and what it could not decide.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_engine::FilterTrouble;

use crate::api::Api;
use crate::api::access::{Authorized, EndpointPath, OwnApplication};
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::params::EndpointParams;
use crate::api::respond::ok;
use crate::api::wire::At;

/// An endpoint's payload filter.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EndpointFilter)]
struct FilterOut {
    /// The expression; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    /// Messages that it could not decide on, and that were delivered for that reason: since the
    /// server started or the filter was changed.
    undecided: u64,
    /// The last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_undecided: Option<UndecidedOut>,
}

/// Why a filter could not decide.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EndpointFilterUndecided)]
struct UndecidedOut {
    /// When.
    at: At,
    /// `no_such_field`, `wrong_type`, `out_of_range`, `not_bool`, `too_costly`, `payload_too_large` or
    /// `not_json`.
    #[schema(value_type = String)]
    reason: &'static str,
    /// The same for a person.
    explanation: String,
}

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get))
}

/// Shows an endpoint's payload filter, and what it could not decide.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/filter",
    operation_id = "v1.endpoint.filter.get", tag = "Endpoint", params(EndpointParams),
    responses((status = 200, description = "As it is right now", body = FilterOut), ErrorResponses))]
async fn get(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?;
    let filter = endpoint.spec.subscription.filter;
    let trouble = filter
        .as_ref()
        .and_then(|filter| api.engine.filter_trouble(endpoint.id, filter));
    Ok(ok(&FilterOut {
        filter: filter.map(|filter| filter.as_str().to_owned()),
        undecided: trouble.map_or(0, |trouble| trouble.count),
        last_undecided: trouble.map(UndecidedOut::of),
    }))
}

// === impl UndecidedOut ===

impl UndecidedOut {
    fn of(trouble: FilterTrouble) -> Self {
        Self {
            at: At(trouble.last_at),
            reason: trouble.last.as_str(),
            explanation: trouble.last.to_string(),
        }
    }
}
