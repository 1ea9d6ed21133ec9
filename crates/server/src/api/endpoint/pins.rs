//! `…/endpoint/{endpoint_id}/pins`: keys of which one has to be in the receiver's verified path.

mod body;
mod learn;
mod pin;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::endpoint::Endpoint;
use hookseal_domain::transport::pin::{Pin, PinError};
use hookseal_domain::transport::policy::EndpointTransport;
use hookseal_pki::certificate::SpkiSha256;
use hookseal_store::publish::Idempotency;

use crate::api::access::{Authorized, EndpointPath, ManagedApplication, OwnApplication};
use crate::api::endpoint::pins::body::{PinIn, PinsOut};
use crate::api::endpoint::transport::edit::Around;
use crate::api::error::{ApiError, ErrorCode, ErrorResponses};
use crate::api::input::Input;
use crate::api::params::{EndpointParams, IdempotencyHeader};
use crate::api::respond::{json, ok};
use crate::api::{Api, ApiContext};

pub(crate) use crate::api::endpoint::pins::body::{PinOut, WarningOut};

/// What the errors call it.
const PIN: &str = "the pin";

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .merge(learn::routes())
        .merge(pin::routes())
}

/// Lists the pins of an endpoint, in the order in which they were added.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/pins",
    operation_id = "v1.endpoint.pins.list", tag = "Transport", params(EndpointParams),
    responses((status = 200, description = "The pins", body = PinsOut), ErrorResponses))]
async fn list(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?;
    let around = api.around(&own, &endpoint).await?;
    Ok(ok(&PinsOut::of(&around)))
}

/// Adds a pin: of a key, or of a certificate that is still to come, by its request or public key.
///
/// A pin does something only where the endpoint's `pinning` is `report` or `enforce`.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/pins",
    operation_id = "v1.endpoint.pins.add", tag = "Transport", params(EndpointParams, IdempotencyHeader),
    request_body = PinIn,
    responses((status = 201, description = "Added", body = PinOut), ErrorResponses))]
async fn add(
    Authorized(ManagedApplication(own)): Authorized<ManagedApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?;
    let now = api.engine.now();
    let pin = input.read::<PinIn>()?.check(now)?;
    let request = input.idempotency(
        own.principal,
        now,
        format_args!("pins {} {}", own.id(), endpoint.id),
    );
    let _turn = api.turns.of(own.principal.org()).await;
    api.add_pin(&own, &endpoint, request, pin).await
}

/// A change of pins that was refused.
fn refused(error: PinError) -> ApiError {
    let code = match error {
        PinError::Unknown => return ApiError::not_found(PIN),
        PinError::Duplicate => ErrorCode::Conflict,
        PinError::TooMany => ErrorCode::LimitReached,
        PinError::LastMatching | PinError::NoBackup | PinError::NotSeen => {
            ErrorCode::WouldInterrupt
        }
    };
    ApiError::new(code, error.to_string())
}

impl ApiContext {
    /// Adds a pin, unless an earlier request with the same key did.
    async fn add_pin(
        &self,
        own: &OwnApplication,
        endpoint: &Endpoint,
        request: Option<Idempotency>,
        pin: Pin,
    ) -> Result<Response, ApiError> {
        if self.earlier(request).await?.is_none() {
            let edit = |around: &Around| {
                let mut after = around.transport.clone();
                after.pins.add(pin.clone()).map_err(refused)?;
                Ok::<EndpointTransport, ApiError>(after)
            };
            self.edit_transport(own, endpoint, request, edit).await?;
        }
        self.pin(own, endpoint, pin.key, StatusCode::CREATED).await
    }

    /// A pin as it stands now.
    async fn pin(
        &self,
        own: &OwnApplication,
        endpoint: &Endpoint,
        key: SpkiSha256,
        status: StatusCode,
    ) -> Result<Response, ApiError> {
        let around = self.around(own, endpoint).await?;
        let mut pins = around.transport.pins.pins().iter();
        let pin = pins.find(|pin| pin.key == key);
        let pin = pin.ok_or_else(|| ApiError::not_found(PIN))?;
        Ok(json(status, &PinOut::of(pin, &around.live)))
    }
}
