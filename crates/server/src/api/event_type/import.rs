//! `…/event-type/import`: event types out of documents that describe an API.

mod plan;

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_catalogue::document;
use hookseal_catalogue::import::{Fault, Imported, WrongDocument, asyncapi, openapi};
use hookseal_catalogue::json::steps;
use hookseal_domain::id::OrgId;
use hookseal_domain::violation::Violation;
use hookseal_store::Store;
use hookseal_store::catalogue::EventTypeImport;
use hookseal_store::page::PageStart;

use crate::api::access::{Authorized, Organisation};
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorCode, ErrorResponses};
use crate::api::event_type::import::plan::Plan;
use crate::api::input::Input;
use crate::api::params::IdempotencyHeader;
use crate::api::respond::ok;
use crate::api::wire::text;
use crate::api::{Api, ApiContext};

/// The rule that is broken by whatever is wrong with a document.
const WRONG: &str = "value_error.document";
/// Most event types that `replaceAll` archives: it is one transaction.
const ARCHIVED_MAX: usize = 10_000;
/// Most bytes of schemas that an import writes, with earlier versions: it is one transaction, which
/// all others wait for.
const SCHEMAS_BYTES_MAX: usize = 32 << 20;

/// A document to import.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EventTypeImportOpenApiIn)]
struct ImportIn<'a> {
    /// Only shows what would be changed.
    #[serde(default)]
    #[schema(default = false)]
    dry_run: bool,
    /// Archives the event types that are not in the document.
    #[serde(default)]
    #[schema(default = false)]
    replace_all: bool,
    /// The document.
    #[serde(borrow)]
    #[schema(value_type = Option<Object>)]
    spec: Option<&'a RawValue>,
    /// Or the document as a text, in JSON or YAML.
    spec_raw: Option<String>,
}

/// What came of an import.
#[derive(Serialize, ToSchema)]
#[schema(as = EventTypeImportOpenApiOut)]
pub(crate) struct ImportOut {
    /// What came of it.
    data: ImportData,
}

/// What came of an import.
#[derive(Serialize, ToSchema)]
#[schema(as = EventTypeImportOpenApiOutData)]
struct ImportData {
    /// What was made or changed. What stands already as in the document is not.
    #[schema(value_type = Vec<text::EventTypeName>)]
    modified: Vec<String>,
    /// With `dryRun`: what would be made or changed, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    to_modify: Option<Vec<ImportedOut>>,
    /// What was archived, or would be with `dryRun`. An extension of Hookseal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<text::EventTypeName>, required = false)]
    archived: Vec<String>,
    /// What of the document is not sent, and so no event type. An extension of Hookseal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    skipped: Vec<SkippedOut>,
}

/// An event type as it would be.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EventTypeFromOpenApi)]
struct ImportedOut {
    /// Its name.
    #[schema(value_type = text::EventTypeName)]
    name: String,
    /// For people.
    description: String,
    /// Offered with a warning.
    deprecated: bool,
    /// Offered only to applications with one of these flags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = std::collections::HashSet<text::FeatureFlag>, required = false)]
    feature_flags: Vec<String>,
    /// The group that it is shown in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<text::EventTypeName>)]
    group_name: Option<String>,
    /// JSON schemas by version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    schemas: Option<Box<RawValue>>,
}

/// Something of a document that is no event type.
#[derive(Serialize, ToSchema)]
struct SkippedOut {
    /// What it is called there.
    name: String,
    /// Where it stands there, as a JSON pointer.
    pointer: String,
    /// Why.
    reason: String,
}

/// Whether anything is changed.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Mode {
    Change,
    DryRun,
}

/// What reads a document of a kind.
type Kind = fn(&Value) -> Result<Imported, WrongDocument>;

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(import_openapi))
        .routes(routes!(import_asyncapi))
}

/// Imports event types from the `webhooks` or `x-webhooks` of an OpenAPI document.
///
/// All of them or, where something can't be used, none. To repeat it changes nothing more.
#[utoipa::path(post, path = "/api/v1/event-type/import/openapi",
    operation_id = "v1.event-type.import-openapi", tag = "Event Type",
    params(IdempotencyHeader), request_body = ImportIn<'_>,
    responses((status = 200, description = "What came of it", body = ImportOut), ErrorResponses))]
async fn import_openapi(
    Authorized(Organisation(org)): Authorized<Organisation>,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let given = input.read()?;
    Ok(ok(&api.import(org, given, openapi::import).await?))
}

/// Imports event types from the messages that an AsyncAPI document says are sent.
///
/// All of them or, where something can't be used, none. To repeat it changes nothing more. An
/// extension of Hookseal.
#[utoipa::path(post, path = "/api/v1/event-type/import/asyncapi",
    operation_id = "v1.event-type.import-asyncapi", tag = "Event Type",
    params(IdempotencyHeader), request_body = ImportIn<'_>,
    responses((status = 200, description = "What came of it", body = ImportOut), ErrorResponses))]
async fn import_asyncapi(
    Authorized(Organisation(org)): Authorized<Organisation>,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let given = input.read()?;
    Ok(ok(&api.import(org, given, asyncapi::import).await?))
}

impl ApiContext {
    async fn import(
        &self,
        org: OrgId,
        given: ImportIn<'_>,
        kind: Kind,
    ) -> Result<ImportOut, ApiError> {
        let (field, text) = given.text()?;
        let mode = given.mode();
        let read = beside(move || read(field, &text, kind)).await??;
        let _turn = self.turns.of(org).await;
        let mut plan = self.plan(org, read).await?;
        if !plan.faults.is_empty() {
            return Err(refused(field, &plan.faults).into());
        }
        if given.replace_all {
            self.archive_others(org, &mut plan).await?;
        }
        let out = ImportOut::of(&plan, mode);
        if mode == Mode::DryRun || plan.is_empty() {
            return Ok(out);
        }
        let now = self.engine.now();
        let import = EventTypeImport {
            put: plan.put,
            archive: plan.archive,
        };
        let change =
            async move |store: Arc<dyn Store>| store.import_event_types(org, import, now).await;
        self.change_catalogue(org, change).await?;
        Ok(out)
    }

    /// Compares what was read with what there is, one by one: a schema may be large.
    async fn plan(&self, org: OrgId, read: Imported) -> Result<Plan, ApiError> {
        let mut plan = Plan::of(read.skipped);
        for given in read.event_types {
            let before = self.engine.store().event_type(org, &given.name).await?;
            let before = before.map(|before| before.spec);
            plan = beside(move || plan.take(&given, before)).await?;
            if plan.schemas_bytes > SCHEMAS_BYTES_MAX {
                let detail = format!(
                    "the event types with all versions of their schemas would have more than \
                     {SCHEMAS_BYTES_MAX} bytes"
                );
                return Err(ApiError::new(ErrorCode::LimitReached, detail));
            }
        }
        Ok(plan)
    }

    /// Plans to archive what the document does not name.
    async fn archive_others(&self, org: OrgId, plan: &mut Plan) -> Result<(), ApiError> {
        let mut from = PageStart::Beginning;
        loop {
            let page = self.current_event_types(org, from).await?;
            let last = page.rows.last().map(|row| row.name.clone());
            plan.archive_others(page.rows.into_iter().map(|row| row.name));
            if plan.archive.len() > ARCHIVED_MAX {
                let detail =
                    format!("`replaceAll` would archive more than {ARCHIVED_MAX} event types");
                return Err(ApiError::new(ErrorCode::LimitReached, detail));
            }
            match last.filter(|_| !page.done) {
                Some(last) => from = PageStart::After(last),
                None => return Ok(()),
            }
        }
    }
}

// === impl ImportIn ===

impl ImportIn<'_> {
    fn mode(&self) -> Mode {
        if self.dry_run {
            Mode::DryRun
        } else {
            Mode::Change
        }
    }

    /// The document as a text, and the field it was given in.
    fn text(&self) -> Result<(&'static str, String), Violations> {
        match (self.spec, &self.spec_raw) {
            (Some(spec), None) => Ok(("spec", spec.get().to_owned())),
            (None, Some(text)) => Ok(("specRaw", text.clone())),
            _ => {
                let rule = "must be given, or `specRaw` instead, but not both";
                let violation = Violation::new("value_error.missing", rule);
                Err(Violations::one(&["body", "spec"], &violation))
            }
        }
    }
}

// === impl ImportOut ===

impl ImportOut {
    fn of(plan: &Plan, mode: Mode) -> Self {
        let names = || plan.put.iter().map(|(name, _)| name.to_string());
        let shown = plan.put.iter().map(|(name, spec)| ImportedOut {
            name: name.to_string(),
            description: spec.description.clone(),
            deprecated: spec.deprecated,
            feature_flags: spec.feature_flags.clone(),
            group_name: spec.group_name.clone(),
            schemas: spec
                .schemas
                .clone()
                .and_then(|text| RawValue::from_string(text).ok()),
        });
        let skipped = plan.skipped.iter().map(|one| SkippedOut {
            name: one.name.clone(),
            pointer: one.pointer.clone(),
            reason: one.reason.clone(),
        });
        Self {
            data: ImportData {
                modified: match mode {
                    Mode::DryRun => Vec::new(),
                    Mode::Change => names().collect(),
                },
                to_modify: (mode == Mode::DryRun).then(|| shown.collect()),
                archived: plan.archive.iter().map(ToString::to_string).collect(),
                skipped: skipped.collect(),
            },
        }
    }
}

/// Reads a document that was given in a field.
fn read(field: &'static str, text: &str, kind: Kind) -> Result<Imported, Violations> {
    let useless = |message: String| {
        let violation = Violation::new(WRONG, message);
        Violations::one(&["body", field], &violation)
    };
    let document = document::parse(text).map_err(|error| useless(error.to_string()))?;
    kind(&document).map_err(|error| match error {
        WrongDocument::Faults(faults) => refused(field, &faults),
        error => useless(error.to_string()),
    })
}

/// Each fault with its place in the document.
fn refused(field: &str, faults: &[Fault]) -> Violations {
    let mut violations = Violations::default();
    for fault in faults {
        let place: Vec<_> = steps(&fault.pointer).collect();
        let place = place.iter().map(String::as_str);
        let loc: Vec<_> = ["body", field].into_iter().chain(place).collect();
        violations.add(&loc, &Violation::new(WRONG, fault.to_string()));
    }
    violations
}

/// Does something that takes its time, beside the requests of others.
async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ApiError::internal(&error))
}
