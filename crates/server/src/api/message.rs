//! `/api/v1/app/{app_id}/msg`: messages.

mod body;
mod broadcast;
mod bulk;
mod cloud_events;
mod look;
mod options;
mod payload;
mod shown;
mod trial;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_catalogue::json::steps;
use hookseal_catalogue::schema::Mismatch;
use hookseal_domain::access::Principal;
use hookseal_domain::application::ApplicationSpec;
use hookseal_domain::id::{MessageId, OrgId};
use hookseal_domain::uid::Uid;
use hookseal_domain::violation::Violation;
use hookseal_engine::publish::{PublishError, PublishHeaders};
use hookseal_store::error::ChangeError;
use hookseal_store::inspect::{Content, MessageFilter};
use hookseal_store::page::{Order, PageRequest};
use hookseal_store::reference::AppRef;

use crate::api::access::{
    AppPath, Authorized, ManagedApplication, MessagePath, Organisation, OwnApplication,
};
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorCode, ErrorResponses};
use crate::api::input::Input;
use crate::api::message::body::MessageIn;
use crate::api::page::{ListResponse, PageParams};
use crate::api::params::{
    ApplicationPath, ContentParams, IdempotencyHeader, MessageFilterParams, MessageParams,
};
use crate::api::query::{FromQuery, Query, QueryReader};
use crate::api::respond::{json, ok};
use crate::api::{Api, ApiContext};

pub(crate) use crate::api::message::body::MessageOut;
pub(crate) use crate::api::message::shown::Payload;

/// Where messages are published one by one, as routes say it.
pub(crate) const PUBLISH_PATHS: [&str; 2] = [
    "/api/v1/app/{app_id}/msg",
    "/api/v1/app/{app_id}/cloudevents",
];

/// What the errors call it.
pub(super) const WHAT: &str = "the message";

/// The operations.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get))
        .routes(routes!(expunge))
        .merge(bulk::routes())
        .merge(broadcast::routes())
        .merge(look::routes())
        .merge(cloud_events::routes())
        .merge(trial::routes())
}

struct ListQuery {
    page: PageRequest<MessageId>,
    filter: MessageFilter,
}

impl FromQuery for ListQuery {
    fn from_query(query: &mut QueryReader<'_>) -> Self {
        Self {
            page: query.page(Order::Descending),
            filter: query.message_filter(),
        }
    }
}

/// Lists the messages of an application, newest first.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/msg", operation_id = "v1.message.list", tag = "Message",
    params(ApplicationPath, PageParams, MessageFilterParams),
    responses((status = 200, description = "A page", body = ListResponse<MessageOut<'_>>), ErrorResponses))]
async fn list(
    Authorized(own): Authorized<OwnApplication>,
    State(api): State<Api>,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let content = query.filter.content;
    let store = api.engine.store();
    let page = store.messages(own.id(), query.filter, query.page).await?;
    let list = ListResponse::of(page, |row| row.id, |row| Some(MessageOut::of(row, content)));
    Ok(ok(&list))
}

/// Publishes a message.
///
/// The answer comes when message and deliveries are durable. The payload is delivered exactly as it
/// stands in the body, byte for byte. `application` makes the application in the path if it does not
/// exist.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/msg", operation_id = "v1.message.create", tag = "Message",
    params(ApplicationPath, ContentParams, IdempotencyHeader), request_body = MessageIn<'_>,
    responses((status = 202, description = "Accepted", body = MessageOut<'_>), ErrorResponses))]
async fn create(
    Authorized(Organisation(org)): Authorized<Organisation>,
    AppPath(app): AppPath,
    State(api): State<Api>,
    Query(content): Query<Content>,
    mut input: Input,
) -> Result<Response, ApiError> {
    let headers = PublishHeaders::new(input.take_headers());
    let body: MessageIn<'_> = input.read()?;
    let mut message = body.check(
        input.bytes(),
        api.config.payload_bytes_max,
        api.engine.now(),
        api.engine.deliverable(),
    )?;
    if let Some(spec) = message.application.take() {
        // Boxed, since it is seldom: every request would be as large as it.
        Box::pin(api.ensure_application(org, &app, spec)).await?;
    }
    let idempotency = match api.engine.routing(org, &app).await? {
        Some(routing) => input.idempotency(
            Principal::Organisation(org),
            api.engine.now(),
            format_args!("msg {}", routing.application.id),
        ),
        None => return Err(ApiError::not_found("the application")),
    };
    let publish = message.publish(org, app, headers, idempotency);
    let published = api.engine.publish(publish).await.map_err(refused)?;
    let out = message.accepted(published.id, content);
    Ok(json(StatusCode::ACCEPTED, &out))
}

/// Shows a message.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/msg/{msg_id}", operation_id = "v1.message.get", tag = "Message",
    params(MessageParams, ContentParams),
    responses((status = 200, description = "The message", body = MessageOut<'_>), ErrorResponses))]
async fn get(
    Authorized(own): Authorized<OwnApplication>,
    MessagePath(named): MessagePath,
    State(api): State<Api>,
    Query(content): Query<Content>,
) -> Result<Response, ApiError> {
    let message = own.message(&api, &named).await?;
    Ok(ok(&MessageOut::of(message, content)))
}

/// Forgets the payload of a message; its unfinished deliveries end.
#[utoipa::path(delete, path = "/api/v1/app/{app_id}/msg/{msg_id}/content", operation_id = "v1.message.expunge-content", tag = "Message",
    params(MessageParams), responses((status = 204, description = "Forgotten"), ErrorResponses))]
async fn expunge(
    Authorized(ManagedApplication(own)): Authorized<ManagedApplication>,
    MessagePath(named): MessagePath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let message = own.message(&api, &named).await?.id;
    let expunged = api.engine.expunge_message(own.id(), message).await;
    expunged.map_err(|error| ApiError::change(WHAT, error))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl ApiContext {
    /// Makes the application that a request names, if it does not exist.
    pub(crate) async fn ensure_application(
        &self,
        org: OrgId,
        named: &AppRef,
        mut spec: ApplicationSpec,
    ) -> Result<(), ApiError> {
        if self.engine.routing(org, named).await?.is_some() {
            return Ok(());
        }
        let AppRef::Uid(uid) = named else {
            return Err(ApiError::not_found("the application"));
        };
        let same = spec.uid.as_ref().is_none_or(|given| given.as_str() == uid);
        if !same {
            let violation = Violation::new("value_error.choice", "must be the uid in the path");
            return Err(Violations::one(&["body", "application", "uid"], &violation).into());
        }
        let parsed = Uid::parse(uid, hookseal_domain::id::AppId::PREFIX);
        spec.uid =
            Some(parsed.map_err(|violation| Violations::one(&["path", "app_id"], &violation))?);
        match self.create_application(org, spec, None).await {
            // Somebody else was faster: then it exists, which is what was asked for.
            Ok(_) | Err(ChangeError::NameTaken) => Ok(()),
            Err(error) => Err(ApiError::change("the application", error)),
        }
    }
}

/// A payload, which stands `at` some place, that does not match its event type's schema: where, and by
/// which keyword.
fn unfit(at: &[&str], mismatch: &Mismatch) -> Violations {
    let Mismatch {
        version,
        pointer,
        keyword,
        message,
        ..
    } = mismatch;
    let inside: Vec<_> = steps(pointer).collect();
    let mut loc = at.to_vec();
    loc.extend(inside.iter().map(String::as_str));
    let message = format!(
        "does not match schema version `{version}` of the event type: `{keyword}` at `{pointer}`: \
         {message}"
    );
    Violations::one(&loc, &Violation::new("value_error.payload.schema", message))
}

pub(crate) fn refused(error: PublishError) -> ApiError {
    refused_at(&["body", "payload"], error)
}

/// The error where the payload stands at another place.
fn refused_at(at: &[&str], error: PublishError) -> ApiError {
    match error {
        PublishError::UnknownApplication => ApiError::not_found("the application"),
        PublishError::EventIdTaken => ApiError::new(
            ErrorCode::Conflict,
            "the application has another message with this eventId",
        ),
        PublishError::IdempotencyKeyReused => ApiError::idempotency_key_reused(),
        // A request is no step of a broadcast.
        PublishError::Overloaded | PublishError::StepVoid => ApiError::overloaded(),
        PublishError::Mismatch(mismatch) => unfit(at, &mismatch).into(),
        PublishError::DiskFull => ApiError::storage_full(),
        PublishError::Store(error) => error.into(),
    }
}
