//! A background task as it goes out.

use serde::Serialize;
use utoipa::ToSchema;

use hookseal_domain::task::{Task, TaskState, TaskWork};

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
    /// `endpoint.cancel-msgs`, `application.purge_content` or `message.broadcast`.
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
    /// What it did: deliveries made or cancelled, payloads forgotten, messages published.
    done: u64,
    /// What it was asked for and could not do: the payload is gone, the message has expired, or it is
    /// being delivered already.
    left_out: u64,
    /// Why it ended before all was done: `cancelled`, `application_deleted`, `endpoint_deleted` or
    /// `endpoint_disabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
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
            TaskWork::Replay { .. } | TaskWork::Cancel { .. } | TaskWork::Expunge { .. } => None,
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
            },
        }
    }
}
