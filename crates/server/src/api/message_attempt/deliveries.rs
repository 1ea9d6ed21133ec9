//! Deliveries as one endpoint or one message has them.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::id::{EndpointId, MessageId};
use hookseal_domain::time::Timestamp;
use hookseal_store::inspect::{
    Content, DeliveredMessage, Destined, MessageFilter, MessageStatusFilter,
};
use hookseal_store::page::{Order, PageRequest};

use crate::api::Api;
use crate::api::access::{Authorized, EndpointPath, MessagePath, OwnApplication};
use crate::api::endpoint::{EndpointOut, texts};
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::message::Payload;
use crate::api::message_attempt::read_status;
use crate::api::page::{ListResponse, PageParams};
use crate::api::params::{EndpointParams, MessageFilterParams, MessageParams, StatusParams};
use crate::api::query::{FromQuery, Query, QueryReader};
use crate::api::respond::ok;
use crate::api::wire::{At, StatusText, next_attempt, numbers, text};

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(messages))
        .routes(routes!(destinations))
}

/// A message as one endpoint has it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointMessageOut {
    /// Its id.
    #[schema(value_type = text::MessageId)]
    id: String,
    /// Your own name of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<text::Uid>)]
    event_id: Option<String>,
    /// What happened.
    #[schema(value_type = text::EventTypeName)]
    event_type: String,
    /// Which channels it goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::HashSet<text::Channel>>)]
    channels: Option<Vec<String>>,
    /// Your labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = std::collections::HashSet<text::Tag>, required = false)]
    tags: Vec<String>,
    /// What is delivered; `{}` where it was not asked for, `{"expired": true}` once it is forgotten.
    #[schema(value_type = Object)]
    payload: Payload<'static>,
    /// When it was published.
    timestamp: At,
    /// How far its delivery to the endpoint has come.
    #[schema(value_type = numbers::MessageStatus)]
    status: u8,
    /// The same in a word.
    status_text: StatusText,
    /// When it is tried next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt: Option<At>,
}

/// An endpoint as one message has it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessageEndpointOut {
    /// The endpoint.
    #[serde(flatten)]
    endpoint: EndpointOut,
    /// How far the delivery to it has come.
    #[schema(value_type = numbers::MessageStatus)]
    status: u8,
    /// The same in a word.
    status_text: StatusText,
    /// When it is tried next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt: Option<At>,
}

struct MessagesQuery {
    page: PageRequest<MessageId>,
    filter: MessageFilter,
    status: Option<MessageStatusFilter>,
}

impl FromQuery for MessagesQuery {
    fn from_query(query: &mut QueryReader<'_>) -> Self {
        let status = query.one("status", read_status).map(|status| match status {
            StatusText::Success => MessageStatusFilter::Success,
            StatusText::Pending => MessageStatusFilter::Pending,
            StatusText::Fail => MessageStatusFilter::Fail,
            StatusText::Sending => MessageStatusFilter::Sending,
            StatusText::Canceled => MessageStatusFilter::Cancelled,
        });
        Self {
            page: query.page(Order::Descending),
            filter: query.message_filter(),
            status,
        }
    }
}

struct DestinationsQuery(PageRequest<EndpointId>);

impl FromQuery for DestinationsQuery {
    fn from_query(query: &mut QueryReader<'_>) -> Self {
        Self(query.page(Order::Ascending))
    }
}

/// Lists the messages for an endpoint with the state of their deliveries, newest first.
///
/// `status=2` lists what failed for good: dead letters, parked and refused messages, each of which
/// can be sent again.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/msg",
    operation_id = "v1.message-attempt.list-attempted-messages", tag = "Message Attempt",
    params(EndpointParams, PageParams, StatusParams, MessageFilterParams),
    responses((status = 200, description = "A page", body = ListResponse<EndpointMessageOut>), ErrorResponses))]
async fn messages(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    Query(query): Query<MessagesQuery>,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?.id;
    let content = query.filter.content;
    let store = api.engine.store();
    let page = store
        .endpoint_messages(own.id(), endpoint, query.filter, query.status, query.page)
        .await?;
    let list = ListResponse::of(
        page,
        |row| row.message.id,
        |row| Some(EndpointMessageOut::of(row, content)),
    );
    Ok(ok(&list))
}

/// Lists the endpoints that a message was or is to be delivered to.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/msg/{msg_id}/endpoint",
    operation_id = "v1.message-attempt.list-attempted-destinations", tag = "Message Attempt",
    params(MessageParams, PageParams),
    responses((status = 200, description = "A page", body = ListResponse<MessageEndpointOut>), ErrorResponses))]
async fn destinations(
    Authorized(own): Authorized<OwnApplication>,
    MessagePath(named): MessagePath,
    State(api): State<Api>,
    Query(DestinationsQuery(page)): Query<DestinationsQuery>,
) -> Result<Response, ApiError> {
    let now = api.engine.now();
    let message = own.message(&api, &named).await?.id;
    let page = api
        .engine
        .store()
        .destinations(own.id(), message, page)
        .await?;
    let list = ListResponse::of(
        page,
        |row| row.endpoint.id,
        |row| Some(MessageEndpointOut::of(row, now)),
    );
    Ok(ok(&list))
}

// === impl EndpointMessageOut ===

impl EndpointMessageOut {
    fn of(row: DeliveredMessage, content: Content) -> Self {
        let (message, status) = (row.message, StatusText::of_delivery(row.status));
        let channels = (!message.channels.is_empty()).then_some(message.channels);
        Self {
            id: message.id.to_string(),
            event_id: message.event_id.map(|uid| uid.to_string()),
            event_type: message.event_type.to_string(),
            channels: texts(channels),
            tags: message.tags,
            payload: Payload::of(message.payload, content),
            timestamp: At(message.id.created_at()),
            status: status.number(),
            status_text: status,
            next_attempt: next_attempt(row.status),
        }
    }
}

// === impl MessageEndpointOut ===

impl MessageEndpointOut {
    fn of(row: Destined, now: Timestamp) -> Self {
        let status = StatusText::of_delivery(row.status);
        Self {
            endpoint: EndpointOut::of(row.endpoint, now),
            status: status.number(),
            status_text: status,
            next_attempt: next_attempt(row.status),
        }
    }
}
