//! `…/msg/bulk-expunge`, `…/msg/expunge-all-contents`: forgetting the payloads of many messages.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::id::AppId;
use hookseal_domain::task::{Span, TaskWork};
use hookseal_domain::time::Timestamp;
use hookseal_domain::uid::Uid;
use hookseal_store::error::ChangeError;
use hookseal_store::reference::MessageRef;

use crate::api::access::{Authorized, ManagedApplication};
use crate::api::background_task::TaskOut;
use crate::api::check::{Fields, Items};
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::input::Input;
use crate::api::message::WHAT;
use crate::api::params::{ApplicationPath, IdempotencyHeader};
use crate::api::respond::{json, ok};
use crate::api::wire::text;
use crate::api::{Api, ApiContext};

/// Most messages of one request: each is a transaction, and the client waits for all of them.
const IDS: Items = Items { min: 0, max: 250 };
/// No uid can begin with this: ids are taken too.
const NO_PREFIX: &str = "/";

/// Whose payloads to forget.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = BulkExpungeContentsIn)]
struct BulkExpungeIn {
    /// Messages, by id or `eventId`; at most 250.
    #[serde(default)]
    #[schema(value_type = std::collections::HashSet<text::Uid>, required = false, max_items = 250)]
    ids: Vec<String>,
}

/// What became of each.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BulkExpungeContentsOut)]
struct BulkExpungeOut {
    /// By what the request named it by: `expunged` or `not-found`.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    results: BTreeMap<String, &'static str>,
}

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(bulk_expunge))
        .routes(routes!(expunge_all))
}

/// Forgets the payloads of messages; their unfinished deliveries end.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/msg/bulk-expunge",
    operation_id = "v1.message.bulk-expunge-content", tag = "Message",
    params(ApplicationPath, IdempotencyHeader), request_body = BulkExpungeIn,
    responses((status = 200, description = "What became of each", body = BulkExpungeOut), ErrorResponses))]
async fn bulk_expunge(
    Authorized(ManagedApplication(own)): Authorized<ManagedApplication>,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    // To forget twice is to forget once: a repeated request finds the same.
    let named = input.read::<BulkExpungeIn>()?.check()?;
    let mut results = BTreeMap::new();
    for name in named {
        let result = api.expunge(own.id(), &name).await?;
        results.insert(name.to_string(), result);
    }
    Ok(ok(&BulkExpungeOut { results }))
}

/// Forgets the payloads of all messages that an application has by now, in a background task; their
/// unfinished deliveries end.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/msg/expunge-all-contents",
    operation_id = "v1.message.expunge-all-contents", tag = "Message",
    params(ApplicationPath, IdempotencyHeader),
    responses((status = 202, description = "It is being done", body = TaskOut), ErrorResponses))]
async fn expunge_all(
    Authorized(ManagedApplication(own)): Authorized<ManagedApplication>,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let work = TaskWork::Expunge {
        app: own.id(),
        span: Span {
            since: Timestamp::from_millis(0),
            until: api.engine.now(),
        },
    };
    let operation = format!("expunge-all-contents {}", own.id());
    let task = api.begin_task(&own, work, &input, &operation).await?;
    Ok(json(StatusCode::ACCEPTED, &TaskOut::of(task)))
}

impl ApiContext {
    async fn expunge(&self, app: AppId, named: &Uid) -> Result<&'static str, ApiError> {
        const NOT_FOUND: &str = "not-found";
        let reference = MessageRef::parse(named.as_str());
        let found = self.engine.store().message(app, &reference).await?;
        let Some(message) = found else {
            return Ok(NOT_FOUND);
        };
        match self.engine.expunge_message(app, message.id).await {
            Ok(()) => Ok("expunged"),
            Err(ChangeError::NotFound) => Ok(NOT_FOUND),
            Err(error) => Err(ApiError::change(WHAT, error)),
        }
    }
}

// === impl BulkExpungeIn ===

impl BulkExpungeIn {
    fn check(self) -> Result<Vec<Uid>, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let ids = fields.list("ids", &self.ids, IDS, |text| Uid::parse(text, NO_PREFIX));
        violations.finish(ids)
    }
}
