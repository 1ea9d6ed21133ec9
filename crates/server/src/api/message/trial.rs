//! `…/endpoint/{endpoint_id}/msg/test-attempt`: one attempt whose result is the answer.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::endpoint::verification::Standing;
use hookseal_engine::TrialError;
use hookseal_engine::publish::PublishHeaders;
use hookseal_store::inspect::Content;
use hookseal_store::reference::AppRef;

use crate::api::Api;
use crate::api::access::{Authorized, EndpointPath, ManagedApplication};
use crate::api::endpoint::is_disabled;
use crate::api::error::{ApiError, ErrorCode, ErrorResponses};
use crate::api::input::Input;
use crate::api::message::body::MessageIn;
use crate::api::message::refused;
use crate::api::message_attempt::AttemptOut;
use crate::api::params::{EndpointParams, IdempotencyHeader};
use crate::api::respond::json;

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(test_attempt))
}

/// Makes one attempt to deliver a message to an endpoint, and shows what came of it.
///
/// The message goes to this endpoint only, whatever it subscribes to, signed and over the same way as
/// every other; also where the endpoint is paused, or slow by its rate. It is not tried again. One that
/// fails stands as `canceled`, so that no recovery sends it again, and changes nothing of the endpoint.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/msg/test-attempt",
    operation_id = "v1.message.test-attempt", tag = "Message",
    params(EndpointParams, IdempotencyHeader), request_body = MessageIn<'_>,
    responses((status = 201, description = "The attempt", body = AttemptOut), ErrorResponses))]
async fn test_attempt(
    Authorized(ManagedApplication(own)): Authorized<ManagedApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    mut input: Input,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?;
    let headers = PublishHeaders::new(input.take_headers());
    let (now, limit) = (api.engine.now(), api.config.payload_bytes_max);
    let body: MessageIn<'_> = input.read()?;
    let message = body.check(input.bytes(), limit, now, api.engine.deliverable())?;
    message.check_trial()?;
    if is_disabled(&endpoint) {
        let detail = "the endpoint is disabled";
        return Err(ApiError::new(ErrorCode::EndpointDisabled, detail));
    }
    if endpoint.verification.standing == Standing::Withheld {
        let detail = "the endpoint is not verified, which the server demands; verify it first";
        return Err(ApiError::new(ErrorCode::EndpointDisabled, detail));
    }
    let operation = format!("test-attempt {}", endpoint.id);
    let idempotency = input.idempotency(own.principal, now, format_args!("{operation}"));
    let (org, app) = (own.principal.org(), AppRef::Id(own.id()));
    let publish = message.publish(org, app, headers, idempotency);
    let tried = api.engine.trial(publish, endpoint.id).await;
    let attempt = tried.map_err(|error| match error {
        TrialError::Publish(error) => refused(error),
        TrialError::Busy => ApiError::overloaded(),
        TrialError::Store(error) => error.into(),
    })?;
    Ok(json(
        StatusCode::CREATED,
        &AttemptOut::of(attempt, Content::With),
    ))
}
