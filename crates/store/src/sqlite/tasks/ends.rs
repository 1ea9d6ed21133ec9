//! Steps that end things: unfinished deliveries that are cancelled, and payloads that are forgotten.

use rusqlite::params;

use hookseal_domain::delivery::{DeliveryKey, Ended};
use hookseal_domain::id::{AppId, MessageId};
use hookseal_domain::slice::Slice;
use hookseal_domain::task::{TaskState, TaskWork};
use hookseal_domain::time::Timestamp;

use crate::codes::{Code, PendingState};
use crate::error::StoreError;
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{Batch, all};
use crate::sqlite::counts::{self, Before, End};
use crate::sqlite::failure::Failure;
use crate::sqlite::messages::{BRING_UP, EXPUNGE};
use crate::sqlite::tasks::row::range;
use crate::sqlite::tasks::{Advance, advance, at};
use crate::tasks::{StepReport, Stepped, TaskClaim};

const OWNERS: &str = "SELECT id FROM node";
const OWNED: &str = "SELECT msg, attempts FROM pending \
    WHERE owner = ?5 AND slice = ?1 AND ep = ?2 AND msg < ?3 ORDER BY msg LIMIT ?4";
const UNOWNED: &str = "SELECT msg, attempts FROM pending \
    WHERE owner IS NULL AND state = ?5 AND slice = ?1 AND ep = ?2 AND msg < ?3 \
    ORDER BY msg LIMIT ?4";
const CANCEL: &str = "DELETE FROM pending WHERE msg = ?1 AND ep = ?2 AND slice = ?3";
const CONTENTS: &str = "SELECT id, payload IS NOT NULL FROM message \
    WHERE slice = ?1 AND app = ?2 AND id > ?3 AND id < ?4 ORDER BY id LIMIT ?5";

#[cfg(test)]
pub(in crate::sqlite) const STATEMENTS: [&str; 4] = [OWNED, UNOWNED, CANCEL, CONTENTS];

/// Ends unfinished deliveries, wherever they are. What is cancelled is looked for from the beginning
/// each time: it is gone then.
pub(in crate::sqlite) async fn cancel(
    store: &SqliteStore,
    of: TaskClaim,
    limit: usize,
    now: Timestamp,
) -> Result<(Stepped, Vec<DeliveryKey>), StoreError> {
    let work = move |batch: &mut Batch<'_>| {
        let Some(task) = at(batch, of)? else {
            return Ok(Ok((Stepped::Void, Vec::new())));
        };
        let TaskWork::Cancel {
            app,
            endpoint,
            span,
        } = task.work
        else {
            return Ok(Ok((Stepped::Void, Vec::new())));
        };
        let slice = Slice::of(app).as_i64();
        let found = unfinished(batch, slice, endpoint.raw(), range(span).1, limit)?;
        for (message, attempts) in &found {
            batch.execute(CANCEL, [*message, endpoint.raw(), slice])?;
            let end = End {
                slice,
                endpoint: endpoint.raw(),
                message: *message,
                ended: Ended::Skipped,
                attempts: *attempts,
                at: now,
            };
            counts::end(batch, end, Before::Maybe)?;
        }
        let done = u64::try_from(found.len()).unwrap_or(u64::MAX);
        let far = Advance {
            cursor: of.cursor,
            looked_at: done,
            report: StepReport {
                done,
                ended: (found.len() < limit).then_some(TaskState::Finished),
                ..StepReport::default()
            },
            now,
        };
        let stepped = advance(batch, task.id, &far)?;
        let keys = found.into_iter().map(|(message, _)| DeliveryKey {
            message: MessageId::from_raw(message),
            endpoint,
        });
        Ok(Ok((stepped, keys.collect())))
    };
    store.writer.change::<_, _, StoreError>(work).await
}

/// Unfinished deliveries, with how often they were tried.
fn unfinished(
    batch: &Batch<'_>,
    slice: i64,
    endpoint: i64,
    before: i64,
    limit: usize,
) -> Result<Vec<(i64, i64)>, Failure> {
    let owners: Vec<i64> = all(batch.connection, OWNERS, [], |row| Ok(row.get(0)?))?;
    let states = [
        PendingState::Waiting,
        PendingState::Backlog,
        PendingState::Held,
        PendingState::Blocked,
    ];
    let owned = owners.into_iter().map(|owner| (OWNED, owner));
    let unowned = states.map(|state| (UNOWNED, state.code()));
    let mut found = Vec::new();
    for (sql, of) in owned.chain(unowned) {
        let room = limit.saturating_sub(found.len());
        let room = i64::try_from(room).unwrap_or(i64::MAX);
        let which = params![slice, endpoint, before, room, of];
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        found.extend(all(batch.connection, sql, which, read)?);
    }
    Ok(found)
}

/// Forgets payloads.
pub(in crate::sqlite) async fn expunge(
    store: &SqliteStore,
    of: TaskClaim,
    limit: usize,
    now: Timestamp,
) -> Result<Stepped, StoreError> {
    let work = move |batch: &mut Batch<'_>| {
        let Some(task) = at(batch, of)? else {
            return Ok(Ok(Stepped::Void));
        };
        let TaskWork::Expunge { app, span } = task.work else {
            return Ok(Ok(Stepped::Void));
        };
        let slice = Slice::of(app).as_i64();
        let rows = i64::try_from(limit).unwrap_or(i64::MAX);
        let which = [slice, app.raw(), of.cursor, range(span).1, rows];
        let found: Vec<(i64, bool)> = all(batch.connection, CONTENTS, which, |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        let mut report = StepReport::default();
        for (message, _) in found.iter().filter(|(_, is_there)| *is_there) {
            batch.execute(EXPUNGE, [slice, app.raw(), *message])?;
            let brought_up = batch.execute(BRING_UP, [*message, slice])?;
            report.brought_up += u64::try_from(brought_up).unwrap_or(u64::MAX);
            report.done += 1;
        }
        report.ended = (found.len() < limit).then_some(TaskState::Finished);
        let far = Advance {
            cursor: found.last().map_or(of.cursor, |(message, _)| *message),
            looked_at: u64::try_from(found.len()).unwrap_or(u64::MAX),
            report,
            now,
        };
        Ok(Ok(advance(batch, task.id, &far)?))
    };
    store.writer.change::<_, _, StoreError>(work).await
}

/// Steps past an application that a broadcast can't publish to.
pub(in crate::sqlite) async fn pass(
    store: &SqliteStore,
    of: TaskClaim,
    app: AppId,
    now: Timestamp,
) -> Result<Stepped, StoreError> {
    let work = move |batch: &mut Batch<'_>| {
        let Some(task) = at(batch, of)? else {
            return Ok(Ok(Stepped::Void));
        };
        let far = Advance {
            cursor: app.raw(),
            looked_at: 1,
            report: StepReport {
                left_out: 1,
                ..StepReport::default()
            },
            now,
        };
        Ok(Ok(advance(batch, task.id, &far)?))
    };
    store.writer.change::<_, _, StoreError>(work).await
}
