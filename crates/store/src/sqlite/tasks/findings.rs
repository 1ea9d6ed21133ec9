//! What tasks find out about applications: looking, keeping and showing it. Must never keep anything
//! that is not a step of its task.

use std::collections::BTreeSet;

use rusqlite::{Connection, Row, params};

use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::{AppId, OrgId, TaskId};
use hookseal_domain::slice::Slice;
use hookseal_domain::task::{Finding, Found, Span, TaskState, TaskWork};
use hookseal_domain::uid::Uid;

use crate::error::StoreError;
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{Batch, all, first};
use crate::sqlite::counts::hour;
use crate::sqlite::failure::Failure;
use crate::sqlite::rows::{Typed, json};
use crate::sqlite::tasks::row::range;
use crate::sqlite::tasks::{Advance, advance, at};
use crate::tasks::{FindingPage, FindingStep, Findings, RunningTask, StepReport, Stepped};

/// Most applications of one step.
const STEP_APPLICATIONS: usize = 200;
/// Most counters that a step sums up, but for those of its last application: a reader is busy with
/// them for some milliseconds.
const STEP_COUNTERS: u64 = 20_000;
/// Most bytes of what a step finds, but for those of its last application: they are written at once.
const STEP_BYTES: usize = 4 << 20;
/// Most event types that are told of one application, and most bytes of lists that are read for it:
/// its endpoints could name more than anybody reads.
const NAMED_MAX: usize = 5000;
const LISTS_BYTES_MAX: usize = 32 << 20;
/// Most findings, and most bytes of their lists, in one answer.
const ANSWER_ROWS: usize = 10_000;
const ANSWER_BYTES: usize = 8 << 20;

const APPLICATIONS: &str = "SELECT id FROM application WHERE deleted_at IS NULL \
    AND org = ?1 AND id > ?2 AND id < ?3 AND operational = 0 ORDER BY id LIMIT ?4";
const UID: &str = "SELECT uid FROM application WHERE slice = ?1 AND id = ?2 AND org = ?3 \
    AND deleted_at IS NULL AND operational = 0";
const USAGE: &str = "SELECT ifnull(sum(accepted + failed), 0), count(*) FROM event_type_hour \
    WHERE slice = ?1 AND app = ?2 AND hour >= ?3 AND hour <= ?4";
const NAMED: &str = "SELECT event_types FROM endpoint \
    WHERE slice = ?1 AND app = ?2 AND deleted_at IS NULL";
const KEEP: &str = "INSERT INTO task_finding \
    (task, app, uid, attempts, named, truncated, catch_all) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const KEPT: &str = "SELECT app, uid, attempts, named, truncated, catch_all FROM task_finding \
    WHERE task = ?1 AND app > ?2 ORDER BY app LIMIT ?3";
const FORGET: &str = "DELETE FROM task_finding WHERE task = ?1 AND app IN \
    (SELECT app FROM task_finding WHERE task = ?1 ORDER BY app LIMIT ?2)";

#[cfg(test)]
pub(in crate::sqlite) const STATEMENTS: [&str; 6] = [APPLICATIONS, UID, USAGE, NAMED, KEPT, FORGET];

/// Looks at the applications that come next; changes nothing.
pub(in crate::sqlite) async fn find_out(
    store: &SqliteStore,
    running: &RunningTask,
) -> Result<Findings, StoreError> {
    let running = running.clone();
    let look = move |connection: &Connection| {
        // One moment for all the statements.
        let tx = connection.unchecked_transaction()?;
        look(&tx, &running)
    };
    store.readers.ask(look).await
}

fn look(connection: &Connection, running: &RunningTask) -> Result<Findings, Failure> {
    let (work, org) = (&running.task.work, running.task.org);
    let mut findings = Findings {
        cursor: running.claim.cursor,
        ..Findings::default()
    };
    let ahead = ahead(connection, work, org, findings.cursor)?;
    let (mut counters, mut bytes) = (0, 0);
    for app in &ahead {
        if counters >= STEP_COUNTERS || bytes >= STEP_BYTES {
            return Ok(findings);
        }
        findings.cursor = app.raw();
        findings.looked_at += 1;
        let key = params![Slice::of(*app).as_i64(), app.raw(), org.as_bytes()];
        let uid = first(connection, UID, key, |row| row.get::<_, Option<String>>(0))?;
        // Else it was deleted meanwhile.
        let Some(uid) = uid else { continue };
        let found = if let TaskWork::Usage { span, .. } = work {
            let (attempts, read) = usage(connection, *app, *span)?;
            counters += read;
            Found::Usage { attempts }
        } else {
            subscriptions(connection, *app)?
        };
        let finding = Finding {
            app: *app,
            uid: uid.map(Uid::from_stored),
            found,
        };
        bytes += finding.bytes();
        findings.found.push(finding);
    }
    findings.last = ahead.len() < STEP_APPLICATIONS;
    Ok(findings)
}

/// The applications after one that the task is about.
fn ahead(
    connection: &Connection,
    work: &TaskWork,
    org: OrgId,
    after: i64,
) -> Result<Vec<AppId>, Failure> {
    let until = match work {
        TaskWork::Usage {
            apps: Some(apps), ..
        } => {
            let left = apps.iter().filter(|app| app.raw() > after);
            return Ok(left.take(STEP_APPLICATIONS).copied().collect());
        }
        TaskWork::Usage { apps: None, .. } => i64::MAX,
        other => range(other.span()).1,
    };
    let limit = i64::try_from(STEP_APPLICATIONS).unwrap_or(i64::MAX);
    let which = params![org.as_bytes(), after, until, limit];
    all(connection, APPLICATIONS, which, |row| {
        Ok(AppId::from_raw(row.get(0)?))
    })
}

/// An application's attempts, and how many counters said so.
fn usage(connection: &Connection, app: AppId, span: Span) -> Result<(u64, u64), Failure> {
    let hours = (hour(span.since), hour(span.until));
    let which = [Slice::of(app).as_i64(), app.raw(), hours.0, hours.1];
    let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let (attempts, counters) = first(connection, USAGE, which, read)?.unwrap_or_default();
    Ok((attempts.unsigned_abs(), counters.unsigned_abs()))
}

/// What an application's endpoints name.
fn subscriptions(connection: &Connection, app: AppId) -> Result<Found, Failure> {
    let mut named = BTreeSet::new();
    let (mut truncated, mut catch_all) = (false, false);
    let mut bytes = 0;
    let mut statement = connection.prepare_cached(NAMED)?;
    let mut rows = statement.query([Slice::of(app).as_i64(), app.raw()])?;
    while let Some(row) = rows.next()? {
        let row = Typed {
            row,
            table: "endpoint",
            id: app,
        };
        let Some(names) = row.event_types("event_types")? else {
            catch_all = true;
            continue;
        };
        if truncated {
            // Whether another gets everything is still of interest.
            continue;
        }
        bytes += names.iter().map(|name| name.as_str().len()).sum::<usize>();
        named.extend(names);
        truncated = named.len() > NAMED_MAX || bytes > LISTS_BYTES_MAX;
    }
    Ok(Found::Subscriptions {
        named: named.into_iter().take(NAMED_MAX).collect(),
        truncated,
        catch_all,
    })
}

/// Keeps what was found out, as a step.
pub(in crate::sqlite) async fn keep(
    store: &SqliteStore,
    step: FindingStep,
) -> Result<Stepped, StoreError> {
    let keep = move |batch: &mut Batch<'_>| {
        let Some(task) = at(batch, step.of)? else {
            return Ok(Ok(Stepped::Void));
        };
        for finding in &step.findings.found {
            keep_one(batch, task.id, finding)?;
        }
        let done = u64::try_from(step.findings.found.len()).unwrap_or(u64::MAX);
        let far = Advance {
            cursor: step.findings.cursor,
            looked_at: step.findings.looked_at,
            report: StepReport {
                done,
                left_out: step.findings.looked_at.saturating_sub(done),
                ended: step.findings.last.then_some(TaskState::Finished),
                ..StepReport::default()
            },
            now: step.now,
        };
        Ok(Ok(advance(batch, task.id, &far)?))
    };
    store.writer.change::<_, _, StoreError>(keep).await
}

fn keep_one(batch: &Batch<'_>, task: TaskId, finding: &Finding) -> rusqlite::Result<usize> {
    let (app, uid) = (finding.app.raw(), finding.uid.as_ref());
    let uid = uid.map(Uid::as_str);
    match &finding.found {
        Found::Usage { attempts } => {
            let attempts = i64::try_from(*attempts).unwrap_or(i64::MAX);
            let none: Option<i64> = None;
            let row = params![task.raw(), app, uid, attempts, none, none, none];
            batch.execute(KEEP, row)
        }
        Found::Subscriptions {
            named,
            truncated,
            catch_all,
        } => {
            let none: Option<i64> = None;
            let named: Vec<_> = named.iter().map(EventTypeName::as_str).collect();
            let named = json(&named);
            let row = params![task.raw(), app, uid, none, named, truncated, catch_all];
            batch.execute(KEEP, row)
        }
    }
}

/// What a task found out about the applications after one.
pub(in crate::sqlite) async fn kept(
    store: &SqliteStore,
    task: TaskId,
    after: Option<AppId>,
) -> Result<FindingPage, StoreError> {
    let read = move |connection: &Connection| {
        let limit = i64::try_from(ANSWER_ROWS + 1).unwrap_or(i64::MAX);
        let after = after.map_or(i64::MIN, AppId::raw);
        let mut page = FindingPage::default();
        let mut bytes = 0;
        let mut statement = connection.prepare_cached(KEPT)?;
        let mut rows = statement.query(params![task.raw(), after, limit])?;
        while let Some(row) = rows.next()? {
            if page.rows.len() == ANSWER_ROWS || bytes > ANSWER_BYTES {
                page.more = true;
                break;
            }
            let finding = finding(row)?;
            bytes += finding.bytes();
            page.rows.push(finding);
        }
        Ok(page)
    };
    store.readers.ask(read).await
}

fn finding(row: &Row<'_>) -> Result<Finding, Failure> {
    let app = AppId::from_raw(row.get("app")?);
    let row = Typed {
        row,
        table: "task_finding",
        id: app,
    };
    let attempts: Option<i64> = row.plain("attempts")?;
    let found = match attempts {
        Some(attempts) => Found::Usage {
            attempts: u64::try_from(attempts).map_err(|_| row.corrupt("attempts"))?,
        },
        None => Found::Subscriptions {
            named: row
                .event_types("named")?
                .ok_or_else(|| row.corrupt("named"))?,
            truncated: row.plain("truncated")?,
            catch_all: row.plain("catch_all")?,
        },
    };
    let uid: Option<String> = row.plain("uid")?;
    Ok(Finding {
        app,
        uid: uid.map(Uid::from_stored),
        found,
    })
}

/// Forgets up to so many of a task's findings; tells how many.
pub(super) fn forget(batch: &Batch<'_>, task: i64, limit: usize) -> rusqlite::Result<usize> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    batch.execute(FORGET, [task, limit])
}
