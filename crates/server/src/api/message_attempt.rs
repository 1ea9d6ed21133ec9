//! Attempts and deliveries: what became of a message.

mod body;
mod deliveries;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::delivery::DeliveryKey;
use hookseal_domain::id::{AttemptId, EndpointId};
use hookseal_domain::violation::Violation;
use hookseal_store::inspect::{AttemptFilter, AttemptScope};
use hookseal_store::page::{Order, PageRequest};
use hookseal_store::reference::EndpointRef;

use crate::api::access::{
    AttemptPath, Authorized, EndpointPath, ManagedApplication, MessagePath, OwnApplication,
};
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::input::Input;
use crate::api::page::{ListResponse, PageParams};
use crate::api::params::{
    AttemptParams, DeliveryParams, EndpointParams, IdempotencyHeader, MessageFilterParams,
    MessageParams, StatusCodeParams, StatusParams, ToEndpointParams,
};
use crate::api::query::{FromQuery, Query, QueryReader};
use crate::api::respond::{json, ok};
use crate::api::wire::{Empty, StatusText};
use crate::api::{Api, ApiContext};

pub(crate) use crate::api::message_attempt::body::{AttemptOut, TlsOut};

/// What the errors call it.
const WHAT: &str = "the attempt";

/// The operations.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(by_endpoint))
        .routes(routes!(by_message))
        .routes(routes!(get))
        .routes(routes!(expunge))
        .routes(routes!(resend))
        .merge(deliveries::routes())
}

struct ListQuery {
    page: PageRequest<AttemptId>,
    filter: AttemptFilter,
    status: Option<StatusText>,
    to: Option<EndpointRef>,
}

impl FromQuery for ListQuery {
    fn from_query(query: &mut QueryReader<'_>) -> Self {
        let status = query.one("status", read_status);
        Self {
            page: query.page(Order::Descending),
            filter: AttemptFilter {
                success: status.map(|status| status == StatusText::Success),
                status_code_class: query.one("status_code_class", read_class),
                endpoint: None,
                message: query.message_filter(),
            },
            status,
            to: query.one("endpoint_id", |text| Ok(EndpointRef::parse(text))),
        }
    }
}

/// Lists the attempts to an endpoint, newest first.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}",
    operation_id = "v1.message-attempt.list-by-endpoint", tag = "Message Attempt",
    params(EndpointParams, PageParams, StatusParams, StatusCodeParams, MessageFilterParams),
    responses((status = 200, description = "A page", body = ListResponse<AttemptOut>), ErrorResponses))]
async fn by_endpoint(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?.id;
    api.attempts(&own, AttemptScope::Endpoint(endpoint), query)
        .await
}

/// Lists the attempts of a message, newest first.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/attempt/msg/{msg_id}",
    operation_id = "v1.message-attempt.list-by-msg", tag = "Message Attempt",
    params(MessageParams, PageParams, StatusParams, StatusCodeParams, ToEndpointParams, MessageFilterParams),
    responses((status = 200, description = "A page", body = ListResponse<AttemptOut>), ErrorResponses))]
async fn by_message(
    Authorized(own): Authorized<OwnApplication>,
    MessagePath(named): MessagePath,
    State(api): State<Api>,
    Query(mut query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let message = own.message(&api, &named).await?.id;
    query.filter.endpoint = match query.to.take() {
        Some(named) => Some(endpoint_id(&own, &api, &named).await?),
        None => None,
    };
    api.attempts(&own, AttemptScope::Message(message), query)
        .await
}

/// Shows an attempt.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}",
    operation_id = "v1.message-attempt.get", tag = "Message Attempt", params(AttemptParams),
    responses((status = 200, description = "The attempt", body = AttemptOut), ErrorResponses))]
async fn get(
    Authorized(own): Authorized<OwnApplication>,
    MessagePath(named): MessagePath,
    AttemptPath(attempt): AttemptPath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let message = own.message(&api, &named).await?.id;
    let found = api
        .engine
        .store()
        .attempt(own.id(), message, attempt)
        .await?;
    let found = found.ok_or_else(|| ApiError::not_found(WHAT))?;
    Ok(ok(&AttemptOut::of(found, Default::default())))
}

/// Forgets the response of an attempt.
#[utoipa::path(delete, path = "/api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/content",
    operation_id = "v1.message-attempt.expunge-content", tag = "Message Attempt", params(AttemptParams),
    responses((status = 204, description = "Forgotten"), ErrorResponses))]
async fn expunge(
    Authorized(ManagedApplication(own)): Authorized<ManagedApplication>,
    MessagePath(named): MessagePath,
    AttemptPath(attempt): AttemptPath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let message = own.message(&api, &named).await?.id;
    let store = api.engine.store();
    let expunged = store.expunge_attempt(own.id(), message, attempt).await;
    expunged.map_err(|error| ApiError::change(WHAT, error))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Sends a message to an endpoint again, with the whole retry schedule.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend",
    operation_id = "v1.message-attempt.resend", tag = "Message Attempt",
    params(DeliveryParams, IdempotencyHeader),
    responses((status = 202, description = "It will be sent", body = Empty), ErrorResponses))]
async fn resend(
    Authorized(own): Authorized<OwnApplication>,
    MessagePath(message): MessagePath,
    EndpointPath(endpoint): EndpointPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let key = DeliveryKey {
        message: own.message(&api, &message).await?.id,
        endpoint: own.endpoint(&api, &endpoint).await?.id,
    };
    let idempotency = input.idempotency(
        own.principal,
        api.engine.now(),
        format_args!("resend {} {}", key.message, key.endpoint),
    );
    api.engine.resend(own.id(), key, idempotency).await?;
    Ok(json(StatusCode::ACCEPTED, &Empty {}))
}

impl ApiContext {
    async fn attempts(
        &self,
        own: &OwnApplication,
        scope: AttemptScope,
        query: ListQuery,
    ) -> Result<Response, ApiError> {
        // An attempt is listed once it is over: none is pending.
        if matches!(
            query.status,
            Some(StatusText::Pending | StatusText::Sending | StatusText::Canceled)
        ) {
            return Ok(ok(&ListResponse::<AttemptOut>::empty()));
        }
        let content = query.filter.message.content;
        let store = self.engine.store();
        let page = store
            .attempts(own.id(), scope, query.filter, query.page)
            .await?;
        let list = ListResponse::of(page, |row| row.id, |row| Some(AttemptOut::of(row, content)));
        Ok(ok(&list))
    }
}

/// The id of an endpoint that may be deleted, if it is named by id.
async fn endpoint_id(
    own: &OwnApplication,
    api: &ApiContext,
    named: &EndpointRef,
) -> Result<EndpointId, ApiError> {
    match named {
        EndpointRef::Id(id) => Ok(*id),
        EndpointRef::Uid(_) => Ok(own.endpoint(api, named).await?.id),
    }
}

pub(crate) fn read_status(text: &str) -> Result<StatusText, Violation> {
    match text {
        "0" => Ok(StatusText::Success),
        "1" => Ok(StatusText::Pending),
        "2" => Ok(StatusText::Fail),
        "3" => Ok(StatusText::Sending),
        "4" => Ok(StatusText::Canceled),
        _ => Err(Violation::new(
            "value_error.choice",
            "must be 0, 1, 2, 3 or 4",
        )),
    }
}

pub(crate) fn read_class(text: &str) -> Result<u16, Violation> {
    match text.parse() {
        Ok(class @ (0 | 100 | 200 | 300 | 400 | 500)) => Ok(class),
        _ => Err(Violation::new(
            "value_error.choice",
            "must be 0, 100, 200, 300, 400 or 500",
        )),
    }
}
