//! A background task as it goes out.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use hookseal_domain::task::{Finding, Found, Task, TaskKind, TaskState, TaskWork};
use hookseal_store::tasks::FindingPage;

use crate::api::wire::{At, text};

/// A background task.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BackgroundTaskOut)]
pub(crate) struct TaskOut {
    /// Its id.
    #[schema(value_type = text::TaskId)]
    id: String,
    /// `running`, `finished` (all is done), or `failed` (it ended before; `data.reason` says why).
    status: &'static str,
    /// What it does: `endpoint.recover`, `endpoint.replay`, `endpoint.bulk-replay`,
    /// `endpoint.cancel-msgs`, `application.purge_content`, `message.broadcast`, `application.stats`,
    /// `event-type.aggregate` or `event-type.export-openapi`.
    task: &'static str,
    /// When it came as far as this says.
    updated_at: At,
    /// What it is about, and how far it has come.
    data: TaskData,
}

/// What a task is about, and how far it has come. The counts are exact at any time.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BackgroundTaskData)]
struct TaskData {
    /// The application.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<text::ApplicationId>)]
    app_id: Option<String>,
    /// The endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<text::EndpointId>)]
    endpoint_id: Option<String>,
    /// What is broadcast.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<text::EventTypeName>)]
    event_type: Option<String>,
    /// It is about what was published from then,
    since: At,
    /// up to then.
    until: At,
    /// When it began.
    created_at: At,
    /// How many messages, deliveries or applications it came by.
    looked_at: u64,
    /// What it did: deliveries made or cancelled, payloads forgotten, messages published, applications
    /// looked at.
    done: u64,
    /// What it was asked for and could not do: the payload is gone, the message has expired, or it is
    /// being delivered already.
    left_out: u64,
    /// Why it ended before all was done: `cancelled`, `application_deleted`, `endpoint_deleted` or
    /// `endpoint_disabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// What `application.stats` counted. Here and below: once the task has ended, where it is asked
    /// for alone, up to 10,000 applications.
    #[serde(skip_serializing_if = "Option::is_none")]
    app_stats: Option<Vec<AppUsage>>,
    /// What `event-type.aggregate` found.
    #[serde(rename = "event_types", skip_serializing_if = "Option::is_none")]
    subscriptions: Option<Vec<AppSubscriptions>>,
    /// The document of `event-type.export-openapi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    openapi: Option<Value>,
    /// Where there is more of it than in this answer: what to give as `iterator` for the next part. An
    /// extension of Hookseal.
    #[serde(skip_serializing_if = "Option::is_none")]
    iterator: Option<String>,
}

/// An application's attempts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AppUsage {
    /// The application.
    #[schema(value_type = text::ApplicationId)]
    app_id: String,
    /// Your own name of it.
    #[schema(value_type = Option<text::Uid>, required)]
    app_uid: Option<String>,
    /// How many attempts were made.
    message_destinations: u64,
}

/// What an application's endpoints subscribe to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AppSubscriptions {
    /// The application.
    #[schema(value_type = text::ApplicationId)]
    app_id: String,
    /// Your own name of it. An extension of Hookseal.
    #[schema(value_type = Option<text::Uid>, required)]
    app_uid: Option<String>,
    /// What its endpoints name, whether it is in the catalogue or not; up to 5000.
    #[schema(value_type = Vec<text::EventTypeName>)]
    explicitly_subscribed_event_types: Vec<String>,
    /// Whether they name more than that. An extension of Hookseal.
    truncated: bool,
    /// Whether an endpoint names none, so that it gets everything.
    has_catch_all_endpoint: bool,
}

// === impl TaskOut ===

impl TaskOut {
    /// As it goes out.
    pub(crate) fn of(task: Task) -> Self {
        let (status, reason) = match task.state {
            TaskState::Running => ("running", None),
            TaskState::Finished => ("finished", None),
            TaskState::Failed(why) => ("failed", Some(why.as_str())),
        };
        let event_type = match &task.work {
            TaskWork::Broadcast { message, .. } => Some(message.event_type.to_string()),
            _ => None,
        };
        let (span, progress) = (task.work.span(), task.progress);
        Self {
            id: task.id.to_string(),
            status,
            task: task.work.kind().as_str(),
            updated_at: At(task.updated_at),
            data: TaskData {
                app_id: task.work.app().map(|app| app.to_string()),
                endpoint_id: task.work.endpoint().map(|endpoint| endpoint.to_string()),
                event_type,
                since: At(span.since),
                until: At(span.until),
                created_at: At(task.id.created_at()),
                looked_at: progress.looked_at,
                done: progress.done,
                left_out: progress.left_out,
                reason,
                app_stats: None,
                subscriptions: None,
                openapi: None,
                iterator: None,
            },
        }
    }

    /// With the document that it is about.
    pub(super) fn with_document(mut self, document: Value) -> Self {
        self.data.openapi = Some(document);
        self
    }

    /// With what it found out.
    pub(super) fn with(mut self, findings: FindingPage) -> Self {
        if findings.more {
            let last = findings.rows.last();
            self.data.iterator = last.map(|last| last.app.to_string());
        }
        let (mut usage, mut subscriptions) = (Vec::new(), Vec::new());
        for Finding { app, uid, found } in findings.rows {
            let (app_id, app_uid) = (app.to_string(), uid.map(|uid| uid.to_string()));
            match found {
                Found::Usage { attempts } => usage.push(AppUsage {
                    app_id,
                    app_uid,
                    message_destinations: attempts,
                }),
                Found::Subscriptions {
                    named,
                    truncated,
                    catch_all,
                } => subscriptions.push(AppSubscriptions {
                    app_id,
                    app_uid,
                    explicitly_subscribed_event_types: named
                        .iter()
                        .map(ToString::to_string)
                        .collect(),
                    truncated,
                    has_catch_all_endpoint: catch_all,
                }),
            }
        }
        if self.task == TaskKind::Usage.as_str() {
            self.data.app_stats = Some(usage);
        } else {
            self.data.subscriptions = Some(subscriptions);
        }
        self
    }
}
