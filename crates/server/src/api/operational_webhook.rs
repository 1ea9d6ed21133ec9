//! `/api/v1/operational-webhook/endpoint`: endpoints of the organisation itself, which are told what
//! happens to its endpoints and deliveries.

mod out;
mod scope;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::id::EndpointId;
use hookseal_store::config::Created;
use hookseal_store::page::{Page, PageRequest};
use hookseal_store::reference::EndpointRef;

use crate::api::Api;
use crate::api::access::{Authorized, EndpointPath};
use crate::api::endpoint::WHAT;
use crate::api::endpoint::body::{
    CheckedEndpoint, EndpointIn, EndpointUpdate, OperationalWebhookEndpointIn,
    OperationalWebhookEndpointUpsertIn, check_told,
};
use crate::api::endpoint::headers::{EndpointHeadersIn, EndpointHeadersOut};
use crate::api::endpoint::secret::{EndpointSecretOut, EndpointSecretRotateIn};
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::input::Input;
use crate::api::operational_webhook::out::OperationalWebhookEndpointOut;
use crate::api::operational_webhook::scope::OperationalWebhooks;
use crate::api::page::{ListResponse, OrderedPageParams};
use crate::api::params::{IdempotencyHeader, OperationalEndpointParams};
use crate::api::query::Query;
use crate::api::respond::{json, ok, upserted};

/// The operations.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, put, delete))
        .routes(routes!(headers, set_headers))
        .routes(routes!(secret))
        .routes(routes!(rotate))
}

/// Lists the endpoints that are told what happens.
#[utoipa::path(get, path = "/api/v1/operational-webhook/endpoint",
    operation_id = "v1.operational-webhook.endpoint.list", tag = "Operational Webhook",
    params(OrderedPageParams),
    responses((status = 200, description = "A page", body = ListResponse<OperationalWebhookEndpointOut>), ErrorResponses))]
async fn list(
    Authorized(webhooks): Authorized<OperationalWebhooks>,
    State(api): State<Api>,
    Query(page): Query<PageRequest<EndpointId>>,
) -> Result<Response, ApiError> {
    let page = match webhooks.application(&api).await? {
        Some(own) => api.engine.store().endpoints(own.id(), page).await?,
        None => Page {
            rows: Vec::new(),
            done: true,
            stopped: None,
        },
    };
    let shown = |row| Some(OperationalWebhookEndpointOut::of(row));
    Ok(ok(&ListResponse::of(page, |row| row.id, shown)))
}

/// Makes an endpoint that is told what happens.
///
/// It gets the events of the organisation from now on: see the guide on operational events.
#[utoipa::path(post, path = "/api/v1/operational-webhook/endpoint",
    operation_id = "v1.operational-webhook.endpoint.create", tag = "Operational Webhook",
    params(IdempotencyHeader), request_body = OperationalWebhookEndpointIn,
    responses((status = 201, description = "Made", body = OperationalWebhookEndpointOut), ErrorResponses))]
async fn create(
    Authorized(webhooks): Authorized<OperationalWebhooks>,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let body = EndpointIn::from(input.read::<OperationalWebhookEndpointIn>()?);
    let checked = body.check(&api.config.address_policy)?;
    check_told(&checked.spec)?;
    let own = webhooks.application_made(&api).await?;
    let idempotency = input.idempotency(
        own.principal,
        api.engine.now(),
        format_args!("operational endpoint"),
    );
    api.check_plain_http(&own, None, &checked.spec.url).await?;
    let made = api.create_endpoint(own.id(), checked, idempotency).await?;
    let made = OperationalWebhookEndpointOut::of(made.into_inner());
    Ok(json(StatusCode::CREATED, &made))
}

/// Shows an endpoint that is told what happens.
#[utoipa::path(get, path = "/api/v1/operational-webhook/endpoint/{endpoint_id}",
    operation_id = "v1.operational-webhook.endpoint.get", tag = "Operational Webhook",
    params(OperationalEndpointParams),
    responses((status = 200, description = "The endpoint", body = OperationalWebhookEndpointOut), ErrorResponses))]
async fn get(
    Authorized(webhooks): Authorized<OperationalWebhooks>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let (_, endpoint) = webhooks.endpoint(&api, &named).await?;
    Ok(ok(&OperationalWebhookEndpointOut::of(endpoint)))
}

/// Replaces an endpoint that is told what happens, or makes it.
///
/// Headers and signing key stay. Where the body has no `uid`, the uid in the path stays.
#[utoipa::path(put, path = "/api/v1/operational-webhook/endpoint/{endpoint_id}",
    operation_id = "v1.operational-webhook.endpoint.upsert", tag = "Operational Webhook",
    params(OperationalEndpointParams), request_body = OperationalWebhookEndpointUpsertIn,
    responses((status = 200, description = "Replaced", body = OperationalWebhookEndpointOut),
        (status = 201, description = "Made", body = OperationalWebhookEndpointOut), ErrorResponses))]
async fn put(
    Authorized(webhooks): Authorized<OperationalWebhooks>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let mut body = EndpointUpdate::from(input.read::<OperationalWebhookEndpointUpsertIn>()?);
    if let EndpointRef::Uid(uid) = &named {
        body = body.named(uid);
    }
    let spec = body.check(&api.config.address_policy)?;
    check_told(&spec)?;
    let own = webhooks.application_made(&api).await?;
    let found = api.engine.store().endpoint(own.id(), &named).await?;
    api.check_plain_http(&own, found.as_ref(), &spec.url)
        .await?;
    let put = match (found, named) {
        (Some(before), _) => Created::Existing(api.replace_endpoint(own.id(), before, spec).await?),
        (None, EndpointRef::Id(_)) => return Err(ApiError::not_found(WHAT)),
        (None, EndpointRef::Uid(_)) => {
            let made = api.create_endpoint(own.id(), CheckedEndpoint::plain(spec), None);
            Created::New(made.await?.into_inner())
        }
    };
    Ok(upserted(put, OperationalWebhookEndpointOut::of))
}

/// Deletes an endpoint that is told what happens.
#[utoipa::path(delete, path = "/api/v1/operational-webhook/endpoint/{endpoint_id}",
    operation_id = "v1.operational-webhook.endpoint.delete", tag = "Operational Webhook",
    params(OperationalEndpointParams),
    responses((status = 204, description = "Deleted"), ErrorResponses))]
async fn delete(
    Authorized(webhooks): Authorized<OperationalWebhooks>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let (own, endpoint) = webhooks.endpoint(&api, &named).await?;
    api.delete_endpoint(&own, endpoint.id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Shows the headers that are sent with each operational event.
#[utoipa::path(get, path = "/api/v1/operational-webhook/endpoint/{endpoint_id}/headers",
    operation_id = "v1.operational-webhook.endpoint.get-headers", tag = "Operational Webhook",
    params(OperationalEndpointParams),
    responses((status = 200, description = "The headers", body = EndpointHeadersOut), ErrorResponses))]
async fn headers(
    Authorized(webhooks): Authorized<OperationalWebhooks>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let (own, endpoint) = webhooks.endpoint(&api, &named).await?;
    let headers = api.endpoint_headers(own.id(), endpoint.id).await?;
    Ok(ok(&EndpointHeadersOut::of(&headers)))
}

/// Replaces the headers that are sent with each operational event.
#[utoipa::path(put, path = "/api/v1/operational-webhook/endpoint/{endpoint_id}/headers",
    operation_id = "v1.operational-webhook.endpoint.set-headers", tag = "Operational Webhook",
    params(OperationalEndpointParams), request_body = EndpointHeadersIn,
    responses((status = 204, description = "Replaced"), ErrorResponses))]
async fn set_headers(
    Authorized(webhooks): Authorized<OperationalWebhooks>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let headers = input.read::<EndpointHeadersIn>()?.check()?;
    let (own, endpoint) = webhooks.endpoint(&api, &named).await?;
    api.set_headers(own.id(), endpoint.id, headers).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Shows what the receiver of operational events verifies with.
#[utoipa::path(get, path = "/api/v1/operational-webhook/endpoint/{endpoint_id}/secret",
    operation_id = "v1.operational-webhook.endpoint.get-secret", tag = "Operational Webhook",
    params(OperationalEndpointParams),
    responses((status = 200, description = "The key", body = EndpointSecretOut), ErrorResponses))]
async fn secret(
    Authorized(webhooks): Authorized<OperationalWebhooks>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let (own, endpoint) = webhooks.endpoint(&api, &named).await?;
    api.current_key(own.id(), endpoint.id).await
}

/// Makes another signing key the current one.
///
/// Until the grace period ends, operational events are signed with both.
#[utoipa::path(post, path = "/api/v1/operational-webhook/endpoint/{endpoint_id}/secret/rotate",
    operation_id = "v1.operational-webhook.endpoint.rotate-secret", tag = "Operational Webhook",
    params(OperationalEndpointParams, IdempotencyHeader), request_body = EndpointSecretRotateIn,
    responses((status = 204, description = "Rotated"), ErrorResponses))]
async fn rotate(
    Authorized(webhooks): Authorized<OperationalWebhooks>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let rotation = input.read::<EndpointSecretRotateIn>()?.check()?;
    let (own, endpoint) = webhooks.endpoint(&api, &named).await?;
    api.rotate_key(&own, endpoint.id, rotation, &input).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
