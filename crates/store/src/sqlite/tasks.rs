//! Tasks: beginning, finding and ending them. Must never end one but in [`end`], nor move one on that
//! does not stand where its step says.

pub(super) mod ends;
pub(super) mod findings;
pub(super) mod params;
pub(super) mod replays;
pub(super) mod row;

use std::sync::Arc;

use rusqlite::params;

use hookseal_domain::id::{OrgId, TaskId};
use hookseal_domain::task::{Task, TaskFailure, TaskState, TaskWork};
use hookseal_domain::time::Timestamp;

use crate::codes::Code;
use crate::config::Created;
use crate::error::{ChangeError, StoreError};
use crate::page::{Page, PageRequest};
use crate::publish::Idempotency;
use crate::seal::{Place, Sealed};
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{Batch, all, count};
use crate::sqlite::failure::Failure;
use crate::sqlite::idempotency::{self, Earlier};
use crate::sqlite::keyring;
use crate::sqlite::operational;
use crate::sqlite::rows::{id_range, rows_to_read};
use crate::sqlite::tasks::row::{TaskRow, select};
use crate::tasks::{
    NewTask, RunningTask, StepReport, Stepped, TASKS_RUNNING_MAX, TaskClaim, TaskFilter, TaskStatus,
};

const ONE: &str = select!("id = ?1");
const NEXT: &str = "SELECT id FROM task WHERE state = 1 AND id > ?1 ORDER BY id LIMIT 1";
const TO_DO: &str = select!("id = ?1 AND state = 1");
/// Where a step says that its task stands.
const AT: &str = select!("id = ?1 AND state = 1 AND owner = ?2 AND epoch = ?3 AND cursor = ?4");
/// Of an application, or (without one) of the organisation itself.
const RUNNING: &str = "SELECT count(*) FROM task WHERE state = 1 AND org = ?1 AND app IS ?2";
const INSERT: &str = "INSERT INTO task (id, org, kind, app, ep, since, until, params, key_version, \
    payload, state, failure, cursor, looked_at, done, left_out, owner, epoch, updated_at) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 1, NULL, ?11, 0, 0, 0, NULL, NULL, ?12)";
const OWN: &str = "UPDATE task SET owner = ?2, epoch = ?3 WHERE id = ?1";
const ADVANCE: &str = "UPDATE task SET cursor = ?2, looked_at = looked_at + ?3, done = done + ?4, \
    left_out = left_out + ?5, updated_at = ?6 WHERE id = ?1";
const END: &str = "UPDATE task SET state = ?2, failure = ?3, updated_at = ?4, owner = NULL, \
    epoch = NULL, key_version = NULL, payload = NULL WHERE id = ?1";
const PAYLOAD: &str = "SELECT key_version, payload FROM task WHERE id = ?1";
const ENDED: &str = "SELECT id FROM task WHERE state <> 1 AND id < ?1 ORDER BY id LIMIT ?2";
const FORGET: &str = "DELETE FROM task WHERE id = ?1";

/// By the index that fits what is asked for; a kind that is not in the contract only by its name.
macro_rules! list {
    ($from:literal, $by:literal) => {
        [list!($from, $by, "ASC"), list!($from, $by, "DESC")]
    };
    ($from:literal, $by:literal, $order:literal) => {
        select!(
            $from,
            concat!(
                $by,
                " AND org = ?1 AND id > ?2 AND id < ?3 AND (?5 IS NULL OR state = ?5) ",
                "AND (kind = ?6 OR (?6 IS NULL AND kind <> 4)) AND (?7 IS NULL OR app = ?7) ",
                "ORDER BY id ",
                $order,
                " LIMIT ?4"
            )
        )
    };
}

const OF_ORG: [&str; 2] = list!("task INDEXED BY task_by_org", "org = ?1");
const OF_STATE: [&str; 2] = list!("task INDEXED BY task_by_state", "state = ?5");
const OF_KIND: [&str; 2] = list!("task INDEXED BY task_by_kind", "kind = ?6");
const OF_APP: [&str; 2] = list!("task INDEXED BY task_by_app", "app = ?7");

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 18] = [
    ONE,
    NEXT,
    TO_DO,
    AT,
    RUNNING,
    OWN,
    ADVANCE,
    END,
    PAYLOAD,
    ENDED,
    OF_ORG[0],
    OF_ORG[1],
    OF_STATE[0],
    OF_STATE[1],
    OF_KIND[0],
    OF_KIND[1],
    OF_APP[0],
    OF_APP[1],
];

/// How far a step brings a task.
pub(super) struct Advance {
    /// The last thing that it came by.
    pub(super) cursor: i64,
    /// How many things it came by.
    pub(super) looked_at: u64,
    /// What it did.
    pub(super) report: StepReport,
    /// The time now.
    pub(super) now: Timestamp,
}

/// Begins a task.
pub(super) async fn create(
    store: &SqliteStore,
    new: NewTask,
    request: Option<Idempotency>,
) -> Result<Created<Task>, ChangeError> {
    let sealed = seal(store, &new).await?;
    let create = move |batch: &mut Batch<'_>| {
        let slice = idempotency::slice_of_key(request.as_ref());
        match idempotency::earlier(batch, slice, request.as_ref(), new.now)? {
            Earlier::None => {}
            Earlier::Made(id) => {
                let made = find(batch, TaskId::from_raw(id), new.org)?;
                return Ok(made.map(Created::Existing).ok_or(ChangeError::NotFound));
            }
            Earlier::OtherBody => return Ok(Err(ChangeError::IdempotencyKeyReused)),
        }
        let begun = begin(batch, &new, sealed.as_ref())?;
        if begun.is_ok() {
            idempotency::remember(batch, slice, request.as_ref(), new.id.raw())?;
        }
        Ok(begun.map(Created::New))
    };
    store.writer.change(create).await
}

/// Begins one, if there is room for it.
pub(super) fn begin(
    batch: &Batch<'_>,
    new: &NewTask,
    sealed: Option<&Sealed>,
) -> Result<Result<Task, ChangeError>, Failure> {
    let app = new.work.app().map(|app| app.raw());
    let running = count(batch.connection, RUNNING, params![new.org.as_bytes(), app])?;
    let max = TASKS_RUNNING_MAX;
    if usize::try_from(running).map_or(true, |running| running >= max) {
        return Ok(Err(ChangeError::TooMany { max }));
    }
    insert(batch, new, sealed)?;
    let made = find(batch, new.id, new.org)?;
    Ok(made.ok_or(ChangeError::NotFound))
}

/// Seals what a broadcast delivers.
async fn seal(store: &SqliteStore, new: &NewTask) -> Result<Option<Sealed>, StoreError> {
    let TaskWork::Broadcast { message, .. } = &new.work else {
        return Ok(None);
    };
    let payload = message.payload.clone().unwrap_or_default();
    let keys = keyring::renewed(store, new.org, new.now).await?;
    let keys = keys.ok_or(StoreError::Unsealable { what: "data_key" })?;
    let task = new.id.raw();
    keys.seal(Place::TaskPayload { task }, &payload).map(Some)
}

fn insert(batch: &Batch<'_>, new: &NewTask, sealed: Option<&Sealed>) -> rusqlite::Result<usize> {
    let span = new.work.span();
    let row = params![
        new.id.raw(),
        new.org.as_bytes(),
        new.work.kind().code(),
        new.work.app().map(|app| app.raw()),
        new.work.endpoint().map(|endpoint| endpoint.raw()),
        span.since.as_millis(),
        span.until.as_millis(),
        params::encode(&new.work),
        sealed.map(|sealed| sealed.key_version),
        sealed.map(|sealed| &sealed.bytes),
        row::beginning(&new.work),
        new.now.as_millis(),
    ];
    batch.execute(INSERT, row)
}

pub(super) fn find(batch: &Batch<'_>, task: TaskId, org: OrgId) -> Result<Option<Task>, Failure> {
    let found = all(batch.connection, ONE, [task.raw()], row::read)?.pop();
    Ok(found.map(|row| row.task).filter(|task| task.org == org))
}

/// One task.
pub(super) async fn one(
    store: &SqliteStore,
    org: OrgId,
    task: TaskId,
) -> Result<Option<Task>, StoreError> {
    let find = move |connection: &rusqlite::Connection| {
        let found = all(connection, ONE, [task.raw()], row::read)?.pop();
        Ok(found.map(|row| row.task).filter(|task| task.org == org))
    };
    store.readers.ask(find).await
}

/// Tasks, in the order of the page.
pub(super) async fn list(
    store: &SqliteStore,
    org: OrgId,
    filter: TaskFilter,
    page: PageRequest<TaskId>,
) -> Result<Page<Task>, StoreError> {
    let list = move |connection: &rusqlite::Connection| {
        let [up, down] = match filter {
            TaskFilter { app: Some(_), .. } => OF_APP,
            TaskFilter { kind: Some(_), .. } => OF_KIND,
            TaskFilter {
                status: Some(_), ..
            } => OF_STATE,
            _ => OF_ORG,
        };
        let sql = if page.reads_ascending() { up } else { down };
        let (low, high) = id_range(&page, TaskId::raw);
        let which = params![
            org.as_bytes(),
            low,
            high,
            rows_to_read(&page),
            filter.status.map(Code::code),
            filter.kind.map(Code::code),
            filter.app.map(|app| app.raw()),
        ];
        let rows = all(connection, sql, which, row::read)?;
        Ok(page.page_of(rows.into_iter().map(|row| row.task).collect()))
    };
    store.readers.ask(list).await
}

/// Ends a task that somebody does not want any more.
pub(super) async fn cancel(
    store: &SqliteStore,
    org: OrgId,
    task: TaskId,
    now: Timestamp,
) -> Result<Task, ChangeError> {
    let cancel = move |batch: &mut Batch<'_>| {
        let Some(found) = find(batch, task, org)? else {
            return Ok(Err(ChangeError::NotFound));
        };
        if found.state != TaskState::Running {
            return Ok(Ok(found));
        }
        end(batch, task, TaskState::Failed(TaskFailure::Cancelled), now)?;
        let found = find(batch, task, org)?;
        Ok(found.ok_or(ChangeError::NotFound))
    };
    store.writer.change(cancel).await
}

/// The next running task. Its row is not read: it may be damaged, which must not keep the others from
/// being found.
pub(super) async fn next(
    store: &SqliteStore,
    after: Option<TaskId>,
) -> Result<Option<TaskId>, StoreError> {
    let next = move |connection: &rusqlite::Connection| {
        let after = after.map_or(i64::MIN, TaskId::raw);
        let found = all(connection, NEXT, [after], |row| Ok(row.get(0)?))?;
        Ok(found.first().copied().map(TaskId::from_raw))
    };
    store.readers.ask(next).await
}

/// A running task, which this node works off from now on.
pub(super) async fn take(
    store: &SqliteStore,
    task: TaskId,
) -> Result<Option<RunningTask>, StoreError> {
    let keyring = Arc::clone(&store.keyring);
    let take = move |batch: &mut Batch<'_>| {
        let Some(found) = all(batch.connection, TO_DO, [task.raw()], row::read)?.pop() else {
            return Ok(Ok(None));
        };
        let TaskRow { mut task, owner } = found;
        // Whoever worked it off before has ended: a file has one process.
        if owner != Some((batch.node, batch.epoch)) {
            batch.execute(OWN, [task.id.raw(), batch.node, batch.epoch])?;
        }
        if let TaskWork::Broadcast { message, .. } = &mut task.work {
            let sealed = batch.first(PAYLOAD, [task.id.raw()], |row| {
                Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?))
            })?;
            if let Some((key_version, sealed)) = sealed {
                let keys = keyring.within(batch, task.org, key_version)?;
                let place = Place::TaskPayload {
                    task: task.id.raw(),
                };
                message.payload = Some(keys.open(place, key_version, &sealed)?);
            }
        }
        let claim = TaskClaim {
            task: task.id,
            epoch: batch.epoch,
            cursor: task.progress.cursor,
        };
        Ok(Ok(Some(RunningTask { task, claim })))
    };
    store.writer.change::<_, _, StoreError>(take).await
}

/// A task, if it stands where a step of it was prepared.
pub(super) fn at(batch: &Batch<'_>, claim: TaskClaim) -> Result<Option<Task>, Failure> {
    if claim.epoch != batch.epoch {
        return Ok(None);
    }
    let which = [claim.task.raw(), batch.node, batch.epoch, claim.cursor];
    let found = all(batch.connection, AT, which, row::read)?.pop();
    Ok(found.map(|row| row.task))
}

/// Takes down what a step did. To be called in its transaction, after [`at`].
pub(super) fn advance(
    batch: &Batch<'_>,
    task: TaskId,
    advance: &Advance,
) -> Result<Stepped, Failure> {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let report = advance.report;
    let row = params![
        task.raw(),
        advance.cursor,
        count(advance.looked_at),
        count(report.done),
        count(report.left_out),
        advance.now.as_millis(),
    ];
    batch.execute(ADVANCE, row)?;
    if let Some(state) = report.ended {
        end(batch, task, state, advance.now)?;
    }
    Ok(Stepped::Made(report))
}

/// Ends a task, and tells it in the same transaction.
fn end(batch: &Batch<'_>, task: TaskId, state: TaskState, now: Timestamp) -> Result<(), Failure> {
    let (status, failure) = match state {
        TaskState::Running => (TaskStatus::Running, None),
        TaskState::Finished => (TaskStatus::Finished, None),
        TaskState::Failed(why) => (TaskStatus::Failed, Some(why)),
    };
    let row = params![
        task.raw(),
        status.code(),
        failure.map(Code::code),
        now.as_millis()
    ];
    batch.execute(END, row)?;
    match all(batch.connection, ONE, [task.raw()], row::read)?.pop() {
        Some(row) => operational::task_ended(batch, row.task, now),
        None => Ok(()),
    }
}

/// A step that only ends a task.
pub(super) async fn end_only(
    store: &SqliteStore,
    of: TaskClaim,
    state: TaskState,
    now: Timestamp,
) -> Result<Stepped, StoreError> {
    let work = move |batch: &mut Batch<'_>| {
        if at(batch, of)?.is_none() {
            return Ok(Ok(Stepped::Void));
        }
        end(batch, of.task, state, now)?;
        Ok(Ok(Stepped::Made(StepReport {
            ended: Some(state),
            ..StepReport::default()
        })))
    };
    store.writer.change::<_, _, StoreError>(work).await
}

/// Forgets tasks that have ended.
pub(super) async fn forget(
    store: &SqliteStore,
    before: Timestamp,
    limit: usize,
) -> Result<usize, StoreError> {
    let forget = move |batch: &mut Batch<'_>| {
        let low = hookseal_domain::id::RawId::floor_of(before).raw();
        let which = [low, i64::try_from(limit).unwrap_or(i64::MAX)];
        let ended: Vec<i64> = all(batch.connection, ENDED, which, |row| Ok(row.get(0)?))?;
        let (mut left, mut forgotten) = (limit, 0);
        for task in ended {
            left -= findings::forget(batch, task, left)?.min(left);
            if left == 0 {
                break;
            }
            batch.execute(FORGET, [task])?;
            left -= 1;
            forgotten += 1;
        }
        Ok(Ok(forgotten))
    };
    store.writer.change::<_, _, StoreError>(forget).await
}
