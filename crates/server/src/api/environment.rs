//! `/api/v1/environment`: the event types of an organisation as one document, to take elsewhere. Must
//! never delete anything.

mod plan;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::event_type::EventType;
use hookseal_domain::id::OrgId;
use hookseal_store::Store;
use hookseal_store::config::EventTypeListing;
use hookseal_store::inspect::Content;
use hookseal_store::page::{Order, PageRequest, PageStart};

use crate::api::access::{Authorized, Organisation};
use crate::api::environment::plan::plan;
use crate::api::error::{ApiError, ErrorCode, ErrorResponses};
use crate::api::event_type::{Delay, EventTypeIn, EventTypeOut, delays};
use crate::api::input::Input;
use crate::api::params::IdempotencyHeader;
use crate::api::respond::ok;
use crate::api::wire::At;
use crate::api::{Api, ApiContext};

/// Where a document is imported, as routes say it: its body may be larger than others.
pub(crate) const IMPORT_PATH: &str = "/api/v1/environment/import";
/// Most bytes of a document: it stands in memory several times while it is read or written.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 8 << 20;
/// Most event types of a document: they are written in one transaction.
const EVENT_TYPES_MAX: usize = 5000;
/// What each event type counts of the bytes besides its texts.
const BYTES_PER_TYPE: usize = 512;
/// Event types that are read at once: each may have schemas of a MiB.
const PAGE_ROWS: usize = 16;
/// The form that documents have.
const VERSION: u32 = 1;

/// What is to be there after.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EnvironmentIn)]
struct EnvironmentIn<'a> {
    /// Event types to make or replace, as an export has them; each with a `retrySchedule`, where it is to
    /// have one. What is not named stays.
    #[serde(borrow)]
    #[schema(value_type = Option<Vec<EventTypeIn<'a>>>, max_items = 5000)]
    event_types: Option<Vec<&'a RawValue>>,
    /// This server has none: only `null` or `{}`.
    #[serde(borrow)]
    #[schema(value_type = Option<Object>)]
    settings: Option<&'a RawValue>,
    /// This server has none: only `null` or `[]`.
    #[serde(borrow)]
    #[schema(value_type = Option<Vec<Object>>)]
    connectors: Option<Vec<&'a RawValue>>,
}

/// What is there.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EnvironmentOut {
    /// The form of this document.
    version: u32,
    /// When it was made.
    created_at: At,
    /// All event types by name, archived ones too.
    event_types: Vec<ExportedTypeOut>,
    /// Always `null`: there are none.
    #[schema(value_type = Option<Object>, required)]
    settings: Option<()>,
    /// Always empty: there are none.
    #[schema(value_type = Vec<Object>)]
    connectors: [(); 0],
}

/// An event type with everything that is said of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ExportedTypeOut {
    #[serde(flatten)]
    event_type: EventTypeOut,
    /// When its deliveries are tried again, if not by the server's schedule. An extension of Hookseal.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_schedule: Option<Vec<Delay>>,
}

/// The operations.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(export))
        .routes(routes!(import))
}

/// Exports all event types with their schemas, rules and retry schedules as one document.
#[utoipa::path(post, path = "/api/v1/environment/export",
    operation_id = "v1.environment.export", tag = "Environment", params(IdempotencyHeader),
    responses((status = 200, description = "The document", body = EnvironmentOut), ErrorResponses))]
async fn export(
    Authorized(Organisation(org)): Authorized<Organisation>,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    Ok(ok(&EnvironmentOut {
        version: VERSION,
        created_at: At(api.engine.now()),
        event_types: api.exported(org).await?,
        settings: None,
        connectors: [],
    }))
}

/// Makes and replaces event types as a document says; deletes none.
///
/// All of it or, where anything is wrong, nothing. To repeat it changes nothing more.
#[utoipa::path(post, path = "/api/v1/environment/import",
    operation_id = "v1.environment.import", tag = "Environment", params(IdempotencyHeader),
    request_body = EnvironmentIn<'_>,
    responses((status = 204, description = "Imported"), ErrorResponses))]
async fn import(
    Authorized(Organisation(org)): Authorized<Organisation>,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let given: EnvironmentIn<'_> = input.read()?;
    let _turn = api.turns.of(org).await;
    let import = plan(&api, org, given).await?;
    let now = api.engine.now();
    let change =
        async move |store: Arc<dyn Store>| store.import_environment(org, import, now).await;
    api.change_catalogue(org, change).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl ApiContext {
    async fn exported(&self, org: OrgId) -> Result<Vec<ExportedTypeOut>, ApiError> {
        let (mut exported, mut bytes) = (Vec::new(), 0_usize);
        let mut from = PageStart::Beginning;
        loop {
            let page = PageRequest {
                limit: PAGE_ROWS,
                from,
                order: Order::Ascending,
            };
            let store = self.engine.store();
            let page = store.event_types(org, EventTypeListing::WithArchived, page);
            let page = page.await?;
            let last = page.rows.last().map(|row| row.name.clone());
            for row in page.rows {
                let schemas = row.spec.schemas.as_ref().map_or(0, String::len);
                bytes += schemas + row.spec.description.len() + BYTES_PER_TYPE;
                exported.push(ExportedTypeOut::of(row));
            }
            if bytes > DOCUMENT_BYTES_MAX || exported.len() > EVENT_TYPES_MAX {
                let detail = format!(
                    "there are more than {EVENT_TYPES_MAX} event types, or they have more than \
                     {DOCUMENT_BYTES_MAX} bytes; list them instead"
                );
                return Err(ApiError::new(ErrorCode::LimitReached, detail));
            }
            match last.filter(|_| !page.done) {
                Some(last) => from = PageStart::After(last),
                None => return Ok(exported),
            }
        }
    }
}

// === impl ExportedTypeOut ===

impl ExportedTypeOut {
    fn of(row: EventType) -> Self {
        Self {
            retry_schedule: row.retry_schedule.as_ref().map(delays),
            event_type: EventTypeOut::of(row, Content::With),
        }
    }
}
