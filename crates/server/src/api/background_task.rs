//! `/api/v1/background-task`: work that goes on after its request was answered.

mod body;
mod scope;

use axum::extract::State;
use axum::response::Response;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::id::{AppId, TaskId};
use hookseal_domain::task::{TaskKind, TaskState};
use hookseal_domain::violation::Violation;
use hookseal_store::page::PageRequest;
use hookseal_store::tasks::{TaskFilter, TaskStatus};

use crate::api::Api;
use crate::api::access::Authorized;
use crate::api::background_task::scope::{OwnTask, OwnTasks};
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::page::{ListResponse, OrderedPageParams};
use crate::api::params::TaskParams;
use crate::api::query::{FromQuery, Query, QueryReader};
use crate::api::respond::ok;
use crate::api::wire::text;

pub(crate) use crate::api::background_task::body::TaskOut;

/// What the errors call it.
pub(crate) const WHAT: &str = "the background task";

/// The operations.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(cancel))
}

/// Which tasks.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a query in the OpenAPI document")]
struct ListParams {
    /// Only those that stand so: `running`, `finished` or `failed`.
    status: Option<String>,
    /// Only of this kind. Without it: all but `endpoint.cancel-msgs` and
    /// `event-type.export-openapi`, which official clients don't know.
    task: Option<String>,
}

/// Which part of what it found out.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a query in the OpenAPI document")]
struct PartParams {
    /// The part after this: `data.iterator` of the part before. An extension of Hookseal.
    #[param(value_type = Option<text::ApplicationId>)]
    iterator: Option<String>,
}

struct PartQuery {
    after: Option<AppId>,
}

struct ListQuery {
    page: PageRequest<TaskId>,
    filter: TaskFilter,
}

impl FromQuery for ListQuery {
    fn from_query(query: &mut QueryReader<'_>) -> Self {
        Self {
            page: query.ordered_page(),
            filter: TaskFilter {
                status: query.one("status", read_status),
                kind: query.one("task", read_kind),
                app: None,
            },
        }
    }
}

impl FromQuery for PartQuery {
    fn from_query(query: &mut QueryReader<'_>) -> Self {
        Self {
            after: query.one("iterator", |text| {
                let rule = "value_error.iterator";
                let wrong =
                    || Violation::new(rule, "must be the `data.iterator` of the part before");
                AppId::parse(text).ok_or_else(wrong)
            }),
        }
    }
}

/// Lists background tasks. An application's token sees those of its application.
#[utoipa::path(get, path = "/api/v1/background-task", operation_id = "v1.background-task.list", tag = "Background Task",
    params(OrderedPageParams, ListParams),
    responses((status = 200, description = "A page", body = ListResponse<TaskOut>), ErrorResponses))]
async fn list(
    Authorized(own): Authorized<OwnTasks>,
    State(api): State<Api>,
    Query(mut query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    query.filter.app = own.app;
    let store = api.engine.store();
    let page = store.tasks(own.org, query.filter, query.page).await?;
    let list = ListResponse::of(page, |row| row.id, |row| Some(TaskOut::of(row)));
    Ok(ok(&list))
}

/// Shows a background task and how far it has come.
///
/// Once it has ended, with what it found out: `data.appStats` of `application.stats`,
/// `data.event_types` of `event-type.aggregate`, `data.openapi` of `event-type.export-openapi`.
#[utoipa::path(get, path = "/api/v1/background-task/{task_id}", operation_id = "v1.background-task.get", tag = "Background Task",
    params(TaskParams, PartParams),
    responses((status = 200, description = "The task", body = TaskOut), ErrorResponses))]
async fn get(
    Authorized(OwnTask(task)): Authorized<OwnTask>,
    State(api): State<Api>,
    Query(part): Query<PartQuery>,
) -> Result<Response, ApiError> {
    if task.work.kind() == TaskKind::Export && task.state == TaskState::Finished {
        let document = api.export_openapi(task.org).await?;
        return Ok(ok(&TaskOut::of(task).with_document(document)));
    }
    let finds_out = matches!(task.work.kind(), TaskKind::Usage | TaskKind::Subscriptions);
    if !finds_out || task.state == TaskState::Running {
        return Ok(ok(&TaskOut::of(task)));
    }
    let findings = api.engine.store().findings(task.id, part.after).await?;
    Ok(ok(&TaskOut::of(task).with(findings)))
}

/// Ends a background task before all is done.
///
/// What it did stands: deliveries that it made go on. Its status is `failed`, with the reason
/// `cancelled`. A task that has ended already stays as it is.
#[utoipa::path(post, path = "/api/v1/background-task/{task_id}/cancel", operation_id = "v1.background-task.cancel", tag = "Background Task",
    params(TaskParams),
    responses((status = 200, description = "The task", body = TaskOut), ErrorResponses))]
async fn cancel(
    Authorized(OwnTask(task)): Authorized<OwnTask>,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let cancelled = api.engine.cancel_task(task.org, task.id).await;
    let task = cancelled.map_err(|error| ApiError::change(WHAT, error))?;
    Ok(ok(&TaskOut::of(task)))
}

fn read_status(text: &str) -> Result<TaskStatus, Violation> {
    match text {
        "running" => Ok(TaskStatus::Running),
        "finished" => Ok(TaskStatus::Finished),
        "failed" => Ok(TaskStatus::Failed),
        _ => Err(Violation::new(
            "value_error.choice",
            "must be running, finished or failed",
        )),
    }
}

fn read_kind(text: &str) -> Result<TaskKind, Violation> {
    let found = TaskKind::ALL.into_iter().find(|kind| kind.as_str() == text);
    found.ok_or_else(|| {
        let names = TaskKind::ALL.map(TaskKind::as_str).join(", ");
        Violation::new("value_error.choice", format!("must be one of {names}"))
    })
}
