//! `…/endpoint/{endpoint_id}/transport`: what an endpoint demands of its connections.
//!
//! **Invariant:** what can't be applied whole is not kept.

mod body;
pub(crate) mod edit;
mod explain;
mod probe;

use axum::extract::State;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::transport::pin::Force;
use hookseal_domain::transport::policy::EndpointTransport;

use crate::api::access::{Authorized, EndpointPath, ManagedApplication, OwnApplication};
use crate::api::endpoint::transport::body::{TransportIn, TransportOut, TransportPatch};
use crate::api::endpoint::transport::edit::{Around, checked};
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::input::Input;
use crate::api::params::EndpointParams;
use crate::api::query::Query;
use crate::api::respond::ok;
use crate::api::transport::ForceParams;
use crate::api::{Api, ApiContext};

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(get, put, patch))
        .merge(explain::routes())
        .merge(probe::routes())
}

/// Shows what an endpoint demands of its connections, and which layer says so.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/transport",
    operation_id = "v1.endpoint.transport.get", tag = "Transport", params(EndpointParams),
    responses((status = 200, description = "What holds", body = TransportOut), ErrorResponses))]
async fn get(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?;
    let around = api.around(&own, &endpoint).await?;
    Ok(ok(&TransportOut::of(&around)))
}

/// Replaces what an endpoint says itself of transport security. Its pins stay.
///
/// The change holds for the next connection; open ones are not used again.
#[utoipa::path(put, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/transport",
    operation_id = "v1.endpoint.transport.put", tag = "Transport", params(EndpointParams, ForceParams),
    request_body = TransportIn,
    responses((status = 200, description = "What holds", body = TransportOut), ErrorResponses))]
async fn put(
    Authorized(ManagedApplication(own)): Authorized<ManagedApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    Query(force): Query<Force>,
    input: Input,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?;
    let given: TransportIn = input.read()?;
    let _turn = api.turns.of(own.principal.org()).await;
    let edit = |around: &Around| {
        let pins = around.transport.pins.clone();
        let (policy, own) = given.clone().check()?;
        checked(around, EndpointTransport { policy, own, pins }, force)
    };
    api.edit_transport(&own, &endpoint, None, edit).await?;
    api.transport(&own, &endpoint).await
}

/// Changes parts of what an endpoint says itself; `null` leaves a setting to the layer below.
#[utoipa::path(patch, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/transport",
    operation_id = "v1.endpoint.transport.patch", tag = "Transport", params(EndpointParams, ForceParams),
    request_body = TransportPatch,
    responses((status = 200, description = "What holds", body = TransportOut), ErrorResponses))]
async fn patch(
    Authorized(ManagedApplication(own)): Authorized<ManagedApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    Query(force): Query<Force>,
    input: Input,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?;
    let given: TransportPatch = input.read()?;
    let _turn = api.turns.of(own.principal.org()).await;
    let edit = |around: &Around| {
        let after = given.clone().apply(around.transport.clone())?;
        checked(around, after, force)
    };
    api.edit_transport(&own, &endpoint, None, edit).await?;
    api.transport(&own, &endpoint).await
}

impl ApiContext {
    /// What an endpoint demands now.
    async fn transport(
        &self,
        own: &OwnApplication,
        endpoint: &hookseal_domain::endpoint::Endpoint,
    ) -> Result<Response, ApiError> {
        let around = self.around(own, endpoint).await?;
        Ok(ok(&TransportOut::of(&around)))
    }
}
