//! A row of a task, and the ids of the time that it is about.

use std::time::Duration;

use rusqlite::Row;

use hookseal_domain::id::{AppId, EndpointId, RawId, TaskId};
use hookseal_domain::task::{Progress, Span, Task, TaskKind, TaskState, TaskWork};

use crate::sqlite::failure::Failure;
use crate::sqlite::rows::Typed;
use crate::sqlite::tasks::params;
use crate::tasks::TaskStatus;

/// Everything but the payload.
macro_rules! select {
    ($which:expr) => {
        $crate::sqlite::tasks::row::select!("task", $which)
    };
    ($from:literal, $which:expr) => {
        concat!(
            "SELECT id, org, kind, app, ep, since, until, params, state, failure, cursor, ",
            "looked_at, done, left_out, owner, epoch, updated_at FROM ",
            $from,
            " WHERE ",
            $which
        )
    };
}
pub(super) use select;

/// A task, and who works it off: node and epoch.
pub(super) struct TaskRow {
    pub(super) task: Task,
    pub(super) owner: Option<(i64, i64)>,
}

/// The ids that things made in a span can have lie between these.
pub(super) fn range(span: Span) -> (i64, i64) {
    let low = RawId::floor_of(span.since).raw() - 1;
    let high = RawId::floor_of(span.until.plus(Duration::from_millis(1))).raw();
    (low, high)
}

/// Where a task begins: what was made before is none of it.
pub(super) fn beginning(work: &TaskWork) -> i64 {
    match work {
        // Applications, however old; the span is of what is counted.
        TaskWork::Usage { .. } => i64::MIN,
        other => range(other.span()).0,
    }
}

pub(super) fn read(row: &Row<'_>) -> Result<TaskRow, Failure> {
    let id = TaskId::from_raw(row.get("id")?);
    let row = Typed {
        row,
        table: "task",
        id,
    };
    let state = match row.code("state")? {
        TaskStatus::Running => TaskState::Running,
        TaskStatus::Finished => TaskState::Finished,
        TaskStatus::Failed => TaskState::Failed(row.code("failure")?),
    };
    let count = |column| -> Result<u64, Failure> {
        u64::try_from(row.plain::<i64>(column)?).map_err(|_| row.corrupt(column))
    };
    let owner: Option<i64> = row.plain("owner")?;
    Ok(TaskRow {
        task: Task {
            id,
            org: row.org("org")?,
            work: work(&row)?,
            state,
            progress: Progress {
                cursor: row.plain("cursor")?,
                looked_at: count("looked_at")?,
                done: count("done")?,
                left_out: count("left_out")?,
            },
            updated_at: row.time("updated_at")?,
        },
        owner: owner.zip(row.plain("epoch")?),
    })
}

fn work(row: &Typed<'_, TaskId>) -> Result<TaskWork, Failure> {
    let span = Span {
        since: row.time("since")?,
        until: row.time("until")?,
    };
    let app = || -> Result<AppId, Failure> {
        let app: Option<i64> = row.plain("app")?;
        Ok(AppId::from_raw(app.ok_or_else(|| row.corrupt("app"))?))
    };
    let endpoint = || -> Result<EndpointId, Failure> {
        let endpoint: Option<i64> = row.plain("ep")?;
        Ok(EndpointId::from_raw(
            endpoint.ok_or_else(|| row.corrupt("ep"))?,
        ))
    };
    Ok(match row.code("kind")? {
        kind @ (TaskKind::Recover | TaskKind::ReplayMissing | TaskKind::BulkReplay) => {
            TaskWork::Replay {
                app: app()?,
                endpoint: endpoint()?,
                span,
                which: params::replayed(row, kind)?,
            }
        }
        TaskKind::Cancel => TaskWork::Cancel {
            app: app()?,
            endpoint: endpoint()?,
            span,
        },
        TaskKind::Expunge => TaskWork::Expunge { app: app()?, span },
        TaskKind::Broadcast => TaskWork::Broadcast {
            message: params::broadcast(row)?,
            span,
        },
        TaskKind::Usage => TaskWork::Usage {
            apps: params::applications(row)?,
            span,
        },
        TaskKind::Subscriptions => TaskWork::Subscriptions { span },
        TaskKind::Export => TaskWork::Export { span },
    })
}
