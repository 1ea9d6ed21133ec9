//! `…/event-type/export`: the catalogue as documents that others' tools read.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_catalogue::export::{Exported, asyncapi, openapi};
use hookseal_catalogue::schema_set::SchemaSet;
use hookseal_domain::access::Principal;
use hookseal_domain::event_type::{EventType, EventTypeName};
use hookseal_domain::id::OrgId;
use hookseal_domain::task::{Span, TaskWork};
use hookseal_domain::time::Timestamp;
use hookseal_store::config::EventTypeListing;
use hookseal_store::page::{Order, Page, PageRequest, PageStart};

use crate::api::access::{Authorized, Organisation};
use crate::api::background_task::{self, TaskOut};
use crate::api::error::{ApiError, ErrorCode, ErrorResponses};
use crate::api::input::Input;
use crate::api::params::IdempotencyHeader;
use crate::api::respond::{json, ok};
use crate::api::{Api, ApiContext};

/// Most bytes of schemas and descriptions that are exported at once: they stand in memory several
/// times meanwhile.
const BYTES_MAX: usize = 16 << 20;
/// What each event type counts of that besides its texts.
const BYTES_PER_TYPE: usize = 512;
/// Event types that are read at once: each may have schemas of a MiB.
const PAGE_ROWS: usize = 16;

/// Who writes one: a catalogue takes many times its bytes while that is done.
static WRITERS: Semaphore = Semaphore::const_new(1);

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(export_openapi, export_in_background))
        .routes(routes!(export_asyncapi))
}

/// Exports the event types, without archived ones, as an OpenAPI 3.1 document.
///
/// An extension of Hookseal.
#[utoipa::path(get, path = "/api/v1/event-type/export/openapi",
    operation_id = "v1.event-type.export-openapi-document", tag = "Event Type",
    responses((status = 200, description = "The document", body = Object), ErrorResponses))]
async fn export_openapi(
    Authorized(Organisation(org)): Authorized<Organisation>,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    Ok(ok(&api.export_openapi(org).await?))
}

/// Exports the event types in a background task.
///
/// Once that has finished, it has the document as `data.openapi`, with the event types as they are when
/// it is read. `GET` answers the same at once.
#[utoipa::path(post, path = "/api/v1/event-type/export/openapi",
    operation_id = "v1.event-type.export-openapi", tag = "Event Type", params(IdempotencyHeader),
    responses((status = 202, description = "It is being done", body = TaskOut), ErrorResponses))]
async fn export_in_background(
    Authorized(Organisation(org)): Authorized<Organisation>,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let (who, now) = (Principal::Organisation(org), api.engine.now());
    let span = Span {
        since: Timestamp::from_millis(0),
        until: now,
    };
    let idempotency = input.idempotency(who, now, format_args!("export openapi"));
    let work = TaskWork::Export { span };
    let begun = api.engine.begin_task(org, work, idempotency).await;
    let task = begun.map_err(|error| ApiError::change(background_task::WHAT, error))?;
    Ok(json(StatusCode::ACCEPTED, &TaskOut::of(task)))
}

/// Exports the event types, without archived ones, as an AsyncAPI 3.0 document.
///
/// An extension of Hookseal.
#[utoipa::path(get, path = "/api/v1/event-type/export/asyncapi",
    operation_id = "v1.event-type.export-asyncapi-document", tag = "Event Type",
    responses((status = 200, description = "The document", body = Object), ErrorResponses))]
async fn export_asyncapi(
    Authorized(Organisation(org)): Authorized<Organisation>,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    Ok(ok(&api.export(org, asyncapi).await?))
}

impl ApiContext {
    /// The event types as an OpenAPI 3.1 document.
    pub(crate) async fn export_openapi(&self, org: OrgId) -> Result<Value, ApiError> {
        self.export(org, openapi).await
    }

    async fn export(&self, org: OrgId, write: fn(&[Exported]) -> Value) -> Result<Value, ApiError> {
        let turn = WRITERS.acquire().await;
        let _turn = turn.map_err(|error| ApiError::internal(&error))?;
        let mut event_types = Vec::new();
        let mut bytes = 0_usize;
        let mut from = PageStart::Beginning;
        loop {
            let page = self.current_event_types(org, from).await?;
            let last = page.rows.last().map(|row| row.name.clone());
            for row in &page.rows {
                let schemas = row.spec.schemas.as_ref().map_or(0, String::len);
                let texts = schemas + row.spec.description.len();
                bytes = bytes.saturating_add(texts + BYTES_PER_TYPE);
            }
            if bytes > BYTES_MAX {
                let detail = format!("the event types have more than {BYTES_MAX} bytes");
                return Err(ApiError::new(ErrorCode::LimitReached, detail));
            }
            event_types.extend(page.rows);
            match last.filter(|_| !page.done) {
                Some(last) => from = PageStart::After(last),
                None => break,
            }
        }
        let written = tokio::task::spawn_blocking(move || {
            let exported: Vec<_> = event_types.into_iter().map(exported).collect();
            write(&exported)
        });
        written.await.map_err(|error| ApiError::internal(&error))
    }

    /// Some event types that are not archived, in the order of their names.
    pub(super) async fn current_event_types(
        &self,
        org: OrgId,
        from: PageStart<EventTypeName>,
    ) -> Result<Page<EventType>, ApiError> {
        let page = PageRequest {
            limit: PAGE_ROWS,
            from,
            order: Order::Ascending,
        };
        let store = self.engine.store();
        let found = store.event_types(org, EventTypeListing::Current, page);
        Ok(found.await?)
    }
}

fn exported(event_type: EventType) -> Exported {
    let spec = event_type.spec;
    let schemas = spec.schemas.as_deref().map(SchemaSet::parse);
    Exported {
        name: event_type.name.to_string(),
        description: spec.description,
        deprecated: spec.deprecated,
        feature_flags: spec.feature_flags,
        group_name: spec.group_name,
        validation: spec.validation,
        schemas: schemas.and_then(Result::ok).unwrap_or_default(),
    }
}
