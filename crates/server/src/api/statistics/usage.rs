//! `/api/v1/stats/usage`: what all applications use, found out by background tasks. Counts nothing by
//! itself.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::access::Principal;
use hookseal_domain::id::{AppId, OrgId};
use hookseal_domain::task::{Span, TaskWork};
use hookseal_domain::time::Timestamp;
use hookseal_domain::uid::Uid;
use hookseal_domain::violation::Violation;
use hookseal_store::reference::AppRef;

use crate::api::access::{Authorized, Organisation};
use crate::api::background_task::{self, TaskOut};
use crate::api::check::{Fields, Items};
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::input::Input;
use crate::api::params::IdempotencyHeader;
use crate::api::respond::json;
use crate::api::wire::{At, text};
use crate::api::{Api, ApiContext};

/// Most applications that can be named: each is looked up. Who wants more wants all.
const APPLICATIONS_MAX: usize = 1000;
/// An id stands for itself here, so nothing is kept from being a uid.
const NO_PREFIX: &str = "/";

/// Whose attempts to count, and of which time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AppUsageStatsIn)]
struct UsageIn {
    /// Attempts from the hour of this,
    #[schema(value_type = At, required)]
    since: Option<String>,
    /// up to and with the hour of this.
    #[schema(value_type = At, required)]
    until: Option<String>,
    /// Only of these applications, by id or uid; of all if not given. One of them has to exist.
    #[schema(value_type = Option<std::collections::HashSet<text::Uid>>, max_items = 1000)]
    app_ids: Option<Vec<String>>,
}

/// What was asked, checked.
struct Usage {
    span: Span,
    named: Option<Vec<String>>,
}

/// The task, and whom it leaves out.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AppUsageStatsOut)]
struct UsageOut {
    #[serde(flatten)]
    task: TaskOut,
    /// Those of `appIds` that do not exist.
    #[schema(value_type = std::collections::HashSet<text::Uid>)]
    unresolved_app_ids: Vec<String>,
}

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(of_applications))
        .routes(routes!(of_event_types))
}

/// Counts the attempts made for each application, in a background task.
///
/// When it has finished, the background task has the counts as `data.appStats`.
#[utoipa::path(post, path = "/api/v1/stats/usage/app",
    operation_id = "v1.statistics.aggregate-app-stats", tag = "Statistics",
    params(IdempotencyHeader), request_body = UsageIn,
    responses((status = 202, description = "It is being done", body = UsageOut), ErrorResponses))]
async fn of_applications(
    Authorized(Organisation(org)): Authorized<Organisation>,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let usage = input.read::<UsageIn>()?.check()?;
    let (apps, unresolved_app_ids) = api.resolve(org, usage.named).await?;
    if apps.as_ref().is_some_and(Vec::is_empty) && !unresolved_app_ids.is_empty() {
        let violation = Violation::new("value_error.choice", "none of them exists");
        return Err(Violations::one(&["body", "appIds"], &violation).into());
    }
    let span = usage.span;
    let work = TaskWork::Usage { apps, span };
    let task = api.begin_usage(org, work, &input).await?;
    let out = UsageOut {
        task,
        unresolved_app_ids,
    };
    Ok(json(StatusCode::ACCEPTED, &out))
}

/// Looks up which event types the endpoints of each application subscribe to, in a background task.
///
/// When it has finished, the background task has the answer as `data.event_types`.
#[utoipa::path(put, path = "/api/v1/stats/usage/event-types",
    operation_id = "v1.statistics.aggregate-event-types", tag = "Statistics",
    responses((status = 202, description = "It is being done", body = TaskOut), ErrorResponses))]
async fn of_event_types(
    Authorized(Organisation(org)): Authorized<Organisation>,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let span = Span {
        since: Timestamp::from_millis(0),
        until: api.engine.now(),
    };
    let work = TaskWork::Subscriptions { span };
    let task = api.begin_usage(org, work, &input).await?;
    Ok(json(StatusCode::ACCEPTED, &task))
}

impl ApiContext {
    async fn begin_usage(
        &self,
        org: OrgId,
        work: TaskWork,
        input: &Input,
    ) -> Result<TaskOut, ApiError> {
        let (who, now) = (Principal::Organisation(org), self.engine.now());
        let operation = work.kind().as_str();
        let idempotency = input.idempotency(who, now, format_args!("{operation}"));
        let begun = self.engine.begin_task(org, work, idempotency).await;
        let task = begun.map_err(|error| ApiError::change(background_task::WHAT, error))?;
        Ok(TaskOut::of(task))
    }

    /// The applications of these names, and the names of none.
    async fn resolve(
        &self,
        org: OrgId,
        named: Option<Vec<String>>,
    ) -> Result<(Option<Vec<AppId>>, Vec<String>), ApiError> {
        let Some(named) = named else {
            return Ok((None, Vec::new()));
        };
        let (mut apps, mut unresolved) = (BTreeSet::new(), Vec::new());
        for name in named {
            let store = self.engine.store();
            match store.application(org, &AppRef::parse(&name)).await? {
                Some(application) => _ = apps.insert(application.id),
                None => unresolved.push(name),
            }
        }
        Ok((Some(apps.into_iter().collect()), unresolved))
    }
}

// === impl UsageIn ===

impl UsageIn {
    fn check(self) -> Result<Usage, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let [since, until] = [("since", self.since), ("until", self.until)].map(|(name, given)| {
            let given = fields.required(name, given);
            given.and_then(|text| fields.take(name, check_time(&text)))
        });
        if since.zip(until).is_some_and(|(since, until)| until < since) {
            let violation = Violation::new("value_error.datetime", "must not be before since");
            fields.add("until", &violation);
        }
        let items = Items {
            min: 0,
            max: APPLICATIONS_MAX,
        };
        let named = match &self.app_ids {
            Some(names) => {
                let check = |name: &str| Uid::parse(name, NO_PREFIX).map(|_| name.to_owned());
                fields.list("appIds", names, items, check).map(Some)
            }
            None => Some(None),
        };
        let checked = || {
            let (since, until) = (since?, until?);
            Some(Usage {
                span: Span { since, until },
                named: named?,
            })
        };
        let checked = checked();
        violations.finish(checked)
    }
}

fn check_time(text: &str) -> Result<Timestamp, Violation> {
    Timestamp::parse_rfc3339(text)
        .map_err(|error| Violation::new("value_error.datetime", error.to_string()))
}
