//! `…/transport/probe`: a handshake made to look, not to send.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::endpoint::Endpoint;
use hookseal_domain::transport::handshake::HandshakeReport;
use hookseal_engine::ProbeError;

use crate::api::access::{Authorized, EndpointPath, ManagedApplication, OwnApplication};
use crate::api::endpoint::WHAT;
use crate::api::error::{ApiError, ErrorCode, ErrorResponses};
use crate::api::params::{EndpointParams, IdempotencyHeader};
use crate::api::respond::ok;
use crate::api::transport::handshake::HandshakeOut;
use crate::api::{Api, ApiContext};

/// How long a probe may take: people wait for it.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(probe))
}

/// Makes a handshake with the receiver now, and shows what was seen. Nothing is sent on it.
///
/// It is made as a delivery's would be, but that pins only report. It makes nothing, so that an
/// `idempotency-key` has no effect.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/transport/probe",
    operation_id = "v1.endpoint.transport.probe", tag = "Transport",
    params(EndpointParams, IdempotencyHeader),
    responses((status = 200, description = "What was seen", body = HandshakeOut), ErrorResponses))]
async fn probe(
    Authorized(ManagedApplication(own)): Authorized<ManagedApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?;
    let report = api.look(&own, &endpoint).await?;
    Ok(ok(&HandshakeOut::of(report)))
}

impl ApiContext {
    /// What the receiver shows now.
    pub(crate) async fn look(
        &self,
        own: &OwnApplication,
        endpoint: &Endpoint,
    ) -> Result<HandshakeReport, ApiError> {
        let report = self
            .engine
            .probe(own.id(), endpoint.id, PROBE_TIMEOUT)
            .await;
        report.map_err(|error| match error {
            ProbeError::UnknownEndpoint => ApiError::not_found(WHAT),
            ProbeError::PlainHttp => ApiError::new(ErrorCode::NoTls, error.to_string()),
            ProbeError::Busy => ApiError::overloaded(),
            ProbeError::Store(error) => error.into(),
            ProbeError::Unreadable => ApiError::internal(&error),
        })
    }
}
