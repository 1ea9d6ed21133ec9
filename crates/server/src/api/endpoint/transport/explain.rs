//! `…/transport/explain`: the policy in force, what the last handshakes showed, and what to do.

use axum::extract::State;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::endpoint::Endpoint;

use crate::api::access::{Authorized, EndpointPath, OwnApplication};
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::params::EndpointParams;
use crate::api::respond::ok;
use crate::api::transport::explanation::{ExplanationOut, Facts};
use crate::api::{Api, ApiContext};

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(explain))
}

/// Explains an endpoint's transport security: the policy in force, what the last handshakes showed,
/// why they passed or failed, and what to do.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/transport/explain",
    operation_id = "v1.endpoint.transport.explain", tag = "Transport", params(EndpointParams),
    responses((status = 200, description = "The explanation", body = ExplanationOut), ErrorResponses))]
async fn explain(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?;
    Ok(ok(&api.explanation(&own, &endpoint).await?))
}

impl ApiContext {
    /// All that is known of an endpoint's transport security.
    pub(crate) async fn explanation(
        &self,
        own: &OwnApplication,
        endpoint: &Endpoint,
    ) -> Result<ExplanationOut, ApiError> {
        let facts = Facts {
            app: own.id(),
            endpoint: endpoint.id,
            around: self.around(own, endpoint).await?,
            seen: self
                .engine
                .store()
                .handshakes(own.id(), endpoint.id)
                .await?,
            breaker: self.engine.breaker(endpoint.id),
        };
        Ok(ExplanationOut::of(facts))
    }
}
