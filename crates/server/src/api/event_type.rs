//! `/api/v1/event-type`: the catalogue of what happens.

mod body;
mod export;
mod import;
mod retry_schedule;
mod schemas;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::access::Principal;
use hookseal_domain::event_type::{EventType, EventTypeName, EventTypeSpec};
use hookseal_domain::id::OrgId;
use hookseal_store::Store;
use hookseal_store::config::{Created, EventTypeListing};
use hookseal_store::error::ChangeError;
use hookseal_store::inspect::Content;
use hookseal_store::page::PageRequest;

use crate::api::access::{Authorized, Catalogue, EventTypePath, Organisation};
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::event_type::body::{EventTypePatch, EventTypeUpdate};
use crate::api::input::Input;
use crate::api::page::{ListResponse, OrderedPageParams};
use crate::api::params::{EventTypeParams, IdempotencyHeader};
use crate::api::query::{FromQuery, Query, QueryReader};
use crate::api::respond::{json, ok, upserted};
use crate::api::{Api, ApiContext};

pub(crate) use crate::api::event_type::body::{EventTypeIn, EventTypeOut};
pub(crate) use crate::api::event_type::retry_schedule::{Delay, delays, schedule};
pub(crate) use crate::api::event_type::schemas::faults as schema_faults;

/// What the errors call it.
const WHAT: &str = "the event type";

/// The operations.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, put, patch, delete))
        .merge(retry_schedule::routes())
        .merge(import::routes())
        .merge(export::routes())
}

/// Which event types.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a query in the OpenAPI document")]
struct ListParams {
    /// Archived ones too.
    #[param(default = false)]
    include_archived: Option<bool>,
    /// With their schemas.
    #[param(default = false)]
    with_content: Option<bool>,
}

struct ListQuery {
    page: PageRequest<EventTypeName>,
    listing: EventTypeListing,
    content: Content,
}

/// Whether a deletion is final.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct DeleteParams {
    /// Remove it altogether, instead of archiving it.
    #[param(value_type = Option<bool>, default = false)]
    expunge: bool,
}

impl FromQuery for ListQuery {
    fn from_query(query: &mut QueryReader<'_>) -> Self {
        Self {
            page: query.ordered_page(),
            listing: match query.flag("include_archived") {
                Some(true) => EventTypeListing::WithArchived,
                Some(false) | None => EventTypeListing::Current,
            },
            content: query.content(Content::Without),
        }
    }
}

impl FromQuery for DeleteParams {
    fn from_query(query: &mut QueryReader<'_>) -> Self {
        Self {
            expunge: query.flag("expunge").unwrap_or(false),
        }
    }
}

/// Lists the event types by name.
#[utoipa::path(get, path = "/api/v1/event-type", operation_id = "v1.event-type.list", tag = "Event Type",
    params(OrderedPageParams, ListParams),
    responses((status = 200, description = "A page", body = ListResponse<EventTypeOut>), ErrorResponses))]
async fn list(
    Authorized(Catalogue(who)): Authorized<Catalogue>,
    State(api): State<Api>,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let store = api.engine.store();
    let page = store
        .event_types(who.org(), query.listing, query.page)
        .await?;
    let list = ListResponse::of(
        page,
        |row| row.name.clone(),
        |row| {
            who.is_offered(&row.spec.feature_flags)
                .then(|| EventTypeOut::of(row, query.content))
        },
    );
    Ok(ok(&list))
}

/// Makes an event type, or brings an archived one back.
#[utoipa::path(post, path = "/api/v1/event-type", operation_id = "v1.event-type.create", tag = "Event Type",
    params(IdempotencyHeader), request_body = EventTypeIn<'_>,
    responses((status = 201, description = "Made", body = EventTypeOut), ErrorResponses))]
async fn create(
    Authorized(Organisation(org)): Authorized<Organisation>,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let (name, spec) = input.read::<EventTypeIn<'_>>()?.check()?;
    schemas::check(&spec).await?;
    let now = api.engine.now();
    let new = EventType {
        org,
        name,
        spec,
        retry_schedule: None,
        created_at: now,
        updated_at: now,
    };
    let idempotency = input.idempotency(
        Principal::Organisation(org),
        now,
        format_args!("event-type"),
    );
    let create = async move |store: Arc<dyn Store>| store.create_event_type(new, idempotency).await;
    let made = api.change_catalogue(org, create).await?.into_inner();
    Ok(json(
        StatusCode::CREATED,
        &EventTypeOut::of(made, Content::With),
    ))
}

/// Shows an event type.
#[utoipa::path(get, path = "/api/v1/event-type/{event_type_name}", operation_id = "v1.event-type.get", tag = "Event Type",
    params(EventTypeParams),
    responses((status = 200, description = "The event type", body = EventTypeOut), ErrorResponses))]
async fn get(
    Authorized(Catalogue(who)): Authorized<Catalogue>,
    EventTypePath(name): EventTypePath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let found = api.event_type(who.org(), &name).await?;
    if !who.is_offered(&found.spec.feature_flags) {
        return Err(ApiError::not_found(WHAT));
    }
    Ok(ok(&EventTypeOut::of(found, Content::With)))
}

/// Replaces an event type, or makes it.
#[utoipa::path(put, path = "/api/v1/event-type/{event_type_name}", operation_id = "v1.event-type.update", tag = "Event Type",
    params(EventTypeParams), request_body = EventTypeUpdate<'_>,
    responses((status = 200, description = "Replaced", body = EventTypeOut),
        (status = 201, description = "Made", body = EventTypeOut), ErrorResponses))]
async fn put(
    Authorized(Organisation(org)): Authorized<Organisation>,
    EventTypePath(name): EventTypePath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let update: EventTypeUpdate<'_> = input.read()?;
    let _turn = api.turns.of(org).await;
    let before = api.engine.store().event_type(org, &name).await?;
    let validation = before.map(|before| before.spec.validation);
    let spec = update.check(validation.unwrap_or_default())?;
    schemas::check(&spec).await?;
    let put = api.put_event_type(org, name, spec).await?;
    Ok(upserted(put, |row| EventTypeOut::of(row, Content::With)))
}

/// Changes parts of an event type.
#[utoipa::path(patch, path = "/api/v1/event-type/{event_type_name}", operation_id = "patch_event_type", tag = "Event Type",
    params(EventTypeParams), request_body = EventTypePatch<'_>,
    responses((status = 200, description = "Changed", body = EventTypeOut), ErrorResponses))]
async fn patch(
    Authorized(Organisation(org)): Authorized<Organisation>,
    EventTypePath(name): EventTypePath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let patch: EventTypePatch<'_> = input.read()?;
    let _turn = api.turns.of(org).await;
    let before = api.event_type(org, &name).await?;
    let spec = patch.apply(before.spec)?;
    schemas::check(&spec).await?;
    let after = api.put_event_type(org, name, spec).await?;
    Ok(ok(&EventTypeOut::of(after.into_inner(), Content::With)))
}

/// Archives an event type, or removes it altogether.
#[utoipa::path(delete, path = "/api/v1/event-type/{event_type_name}", operation_id = "v1.event-type.delete", tag = "Event Type",
    params(EventTypeParams, DeleteParams),
    responses((status = 204, description = "Archived or removed"), ErrorResponses))]
async fn delete(
    Authorized(Organisation(org)): Authorized<Organisation>,
    EventTypePath(name): EventTypePath,
    State(api): State<Api>,
    Query(params): Query<DeleteParams>,
) -> Result<Response, ApiError> {
    if params.expunge {
        let delete = async move |store: Arc<dyn Store>| store.delete_event_type(org, &name).await;
        api.change_catalogue(org, delete).await?;
    } else {
        let _turn = api.turns.of(org).await;
        let before = api.event_type(org, &name).await?;
        let archived = EventTypeSpec {
            archived: true,
            ..before.spec
        };
        api.put_event_type(org, name, archived).await?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl ApiContext {
    /// One of an organisation's event types.
    pub(crate) async fn event_type(
        &self,
        org: OrgId,
        name: &EventTypeName,
    ) -> Result<EventType, ApiError> {
        let found = self.engine.store().event_type(org, name).await?;
        found.ok_or_else(|| ApiError::not_found(WHAT))
    }

    async fn put_event_type(
        &self,
        org: OrgId,
        name: EventTypeName,
        spec: EventTypeSpec,
    ) -> Result<Created<EventType>, ApiError> {
        let now = self.engine.now();
        let put =
            async move |store: Arc<dyn Store>| store.put_event_type(org, name, spec, now).await;
        self.change_catalogue(org, put).await
    }

    /// Changes event types and makes it known. Goes on to its end even when the client stops
    /// waiting, so that nothing changes unknown.
    pub(crate) async fn change_catalogue<T, F, Change>(
        &self,
        org: OrgId,
        change: F,
    ) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(Arc<dyn Store>) -> Change + Send + 'static,
        Change: Future<Output = Result<T, ChangeError>> + Send,
    {
        let engine = self.engine.clone();
        let changing = tokio::spawn(async move {
            let changed = change(Arc::clone(engine.store())).await;
            engine.catalogue_changed(org);
            changed
        });
        let changed = changing.await.map_err(|error| ApiError::internal(&error))?;
        changed.map_err(|error| ApiError::change(WHAT, error))
    }
}
