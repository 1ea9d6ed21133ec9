//! Replays: reading ahead, and making deliveries again. Must never make a second delivery of a message
//! to an endpoint beside one that is unfinished.

use std::sync::Arc;

use rusqlite::{Connection, params};

use hookseal_domain::delivery::{DeliveryKey, Ended};
use hookseal_domain::endpoint::order::KeyHash;
use hookseal_domain::id::{AppId, EndpointId, MessageId};
use hookseal_domain::slice::Slice;
use hookseal_domain::task::replay::{ReplayFilter, Standing, Wanted};
use hookseal_domain::task::{Replayed, TaskFailure, TaskState, TaskWork};
use hookseal_domain::time::Timestamp;

use crate::codes::{Code, PendingState};
use crate::error::StoreError;
use crate::inspect::MessageFilter;
use crate::sqlite::SqliteStore;
use crate::sqlite::backlog::{Again, make_again};
use crate::sqlite::batch::{Batch, all, first};
use crate::sqlite::failure::{Failure, corrupt};
use crate::sqlite::keyring::{DataKeys, Keyring};
use crate::sqlite::messages::{self, FilterValues};
use crate::sqlite::tasks::row::range;
use crate::sqlite::tasks::{Advance, advance, at};
use crate::tasks::{Ahead, AheadLimit, AheadRows, ReplayStep, RunningTask, StepReport, Stepped};

/// Those that failed are few among all: an index of their own.
const FAILED: &str = "SELECT msg FROM outcome INDEXED BY outcome_failed \
    WHERE slice = ?1 AND ep = ?2 AND msg > ?3 AND msg < ?4 AND ended <> 1 ORDER BY msg LIMIT ?5";
const ENDED: &str = "SELECT msg FROM outcome \
    WHERE slice = ?1 AND ep = ?2 AND msg > ?3 AND msg < ?4 ORDER BY msg LIMIT ?5";
const BLOCKED: &str = "SELECT msg FROM pending WHERE owner IS NULL AND state = 4 \
    AND slice = ?1 AND ep = ?2 AND msg > ?3 AND msg < ?4 ORDER BY msg LIMIT ?5";
const PUBLISHED: &str = "SELECT id FROM message \
    WHERE slice = ?1 AND app = ?2 AND id > ?3 AND id < ?4 ORDER BY id LIMIT ?5";
const STANDING: &str = "SELECT \
    (SELECT state FROM pending WHERE msg = ?3 AND ep = ?2 AND slice = ?1), \
    (SELECT ended FROM outcome WHERE slice = ?1 AND ep = ?2 AND msg = ?3)";
const LAST_STATUS: &str = "SELECT status_code FROM attempt \
    WHERE msg = ?1 AND slice = ?2 AND ep = ?3 ORDER BY id DESC LIMIT 1";
/// Whether the backlog has more than so many.
const BACKLOG: &str = "SELECT 1 FROM pending WHERE owner IS NULL AND state = 2 \
    AND slice = ?1 AND ep = ?2 LIMIT 1 OFFSET ?3";
const TARGET: &str = "SELECT disabled = 1 OR switched_off IS NOT NULL FROM endpoint \
    WHERE slice = ?1 AND app = ?2 AND id = ?3 AND deleted_at IS NULL";
const DELIVERABLE: &str = "SELECT m.payload IS NOT NULL, o.class, o.expires_at, o.deliver_at \
    FROM message m LEFT JOIN message_option o \
    ON o.slice = m.slice AND o.app = m.app AND o.msg = m.id \
    WHERE m.slice = ?1 AND m.app = ?2 AND m.id = ?3";

#[cfg(test)]
pub(in crate::sqlite) const STATEMENTS: [&str; 9] = [
    FAILED,
    ENDED,
    BLOCKED,
    PUBLISHED,
    STANDING,
    LAST_STATUS,
    BACKLOG,
    TARGET,
    DELIVERABLE,
];

/// What a replay is about.
struct Replay<'t> {
    app: AppId,
    slice: i64,
    endpoint: EndpointId,
    which: &'t Replayed,
}

/// Reads what comes next; changes nothing.
pub(in crate::sqlite) async fn look_ahead(
    store: &SqliteStore,
    task: &RunningTask,
    limit: AheadLimit,
) -> Result<Ahead, StoreError> {
    let task = task.clone();
    let keyring = Arc::clone(&store.keyring);
    let look = move |connection: &Connection| {
        let Some(replay) = Replay::of(&task.task.work) else {
            return Ok(Ahead::Some(nothing(&task)));
        };
        // One moment for all the statements.
        let tx = connection.unchecked_transaction()?;
        let backlog = i64::try_from(limit.backlog).unwrap_or(i64::MAX);
        let which = [replay.slice, replay.endpoint.raw(), backlog];
        if first(&tx, BACKLOG, which, |_| Ok(()))?.is_some() {
            return Ok(Ahead::Full);
        }
        replay.read(&tx, &keyring, &task, limit).map(Ahead::Some)
    };
    store.readers.ask(look).await
}

fn nothing(task: &RunningTask) -> AheadRows {
    AheadRows {
        cursor: task.claim.cursor,
        last: true,
        ..AheadRows::default()
    }
}

/// Makes deliveries again.
pub(in crate::sqlite) async fn step(
    store: &SqliteStore,
    step: ReplayStep,
) -> Result<Stepped, StoreError> {
    let work = move |batch: &mut Batch<'_>| {
        let Some(task) = at(batch, step.of)? else {
            return Ok(Ok(Stepped::Void));
        };
        let Some(replay) = Replay::of(&task.work) else {
            return Ok(Ok(Stepped::Void));
        };
        let failure = replay.target_failure(batch)?;
        let mut report = StepReport::default();
        let (cursor, looked_at) = if let Some(failure) = failure {
            report.ended = Some(TaskState::Failed(failure));
            (step.of.cursor, 0)
        } else {
            for (message, order) in &step.messages {
                replay.make(batch, *message, *order, step.now, &mut report)?;
            }
            report.ended = step.last.then_some(TaskState::Finished);
            (step.cursor, step.looked_at)
        };
        let now = step.now;
        let far = Advance {
            cursor,
            looked_at,
            report,
            now,
        };
        Ok(Ok(advance(batch, task.id, &far)?))
    };
    store.writer.change::<_, _, StoreError>(work).await
}

// === impl Replay ===

impl<'t> Replay<'t> {
    fn of(work: &'t TaskWork) -> Option<Self> {
        match work {
            TaskWork::Replay {
                app,
                endpoint,
                which,
                ..
            } => Some(Self {
                app: *app,
                slice: Slice::of(*app).as_i64(),
                endpoint: *endpoint,
                which,
            }),
            _ => None,
        }
    }

    fn read(
        &self,
        connection: &Connection,
        keyring: &Keyring,
        task: &RunningTask,
        limit: AheadLimit,
    ) -> Result<AheadRows, Failure> {
        let Some(keys) = keyring.load(connection, self.app)? else {
            return Ok(nothing(task));
        };
        let high = range(task.task.work.span()).1;
        let found = self.walk(connection, (task.claim.cursor, high), limit.rows)?;
        let mut ahead = AheadRows {
            last: found.len() < limit.rows,
            ..nothing(task)
        };
        ahead.last = found.len() < limit.rows;
        let mut bytes = 0_usize;
        for message in found {
            if bytes > limit.bytes {
                ahead.last = false;
                break;
            }
            ahead.looked_at += 1;
            ahead.cursor = message;
            if !self.chooses(connection, message)? {
                continue;
            }
            let found = self.message(connection, &keys, message, limit)?;
            bytes += found
                .as_ref()
                .and_then(|found| found.payload.as_ref())
                .map_or(0, bytes::Bytes::len);
            ahead.messages.extend(found);
        }
        Ok(ahead)
    }

    /// The messages that it comes by next, in order.
    fn walk(
        &self,
        connection: &Connection,
        (low, high): (i64, i64),
        rows: usize,
    ) -> Result<Vec<i64>, Failure> {
        let limit = i64::try_from(rows).unwrap_or(i64::MAX);
        let read = |sql, of| {
            all(connection, sql, [self.slice, of, low, high, limit], |row| {
                Ok(row.get(0)?)
            })
        };
        let endpoint = self.endpoint.raw();
        let mut found: Vec<i64> = match self.which.wanted() {
            Wanted::Missing => return read(PUBLISHED, self.app.raw()),
            Wanted::Failed | Wanted::Cancelled => read(FAILED, endpoint)?,
            Wanted::Ended | Wanted::Delivered => read(ENDED, endpoint)?,
        };
        found.extend(read(BLOCKED, endpoint)?);
        found.sort_unstable();
        found.dedup();
        found.truncate(rows);
        Ok(found)
    }

    /// Whether a delivery stands as it is wanted.
    fn chooses(&self, connection: &Connection, message: i64) -> Result<bool, Failure> {
        if !self
            .which
            .wanted()
            .includes(self.standing(connection, message)?)
        {
            return Ok(false);
        }
        let Replayed::Chosen(ReplayFilter {
            status_code_class: Some(class),
            ..
        }) = self.which
        else {
            return Ok(true);
        };
        let which = [message, self.slice, self.endpoint.raw()];
        let status = first(connection, LAST_STATUS, which, |row| {
            row.get::<_, Option<u16>>(0)
        })?;
        Ok(status.is_some_and(|status| status.map_or(0, |code| code / 100 * 100) == *class))
    }

    fn standing(&self, connection: &Connection, message: i64) -> Result<Standing, Failure> {
        let which = [self.slice, self.endpoint.raw(), message];
        let found = first(connection, STANDING, which, |row| {
            Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?))
        })?;
        let message = MessageId::from_raw(message);
        Ok(match found.unwrap_or_default() {
            (Some(state), _) if state == PendingState::Blocked.code() => Standing::Blocked,
            (Some(_), _) => Standing::Unfinished,
            (None, Some(ended)) => {
                let ended = Ended::from_code(ended);
                Standing::Ended(ended.ok_or_else(|| corrupt("outcome", "ended", message))?)
            }
            (None, None) => Standing::Missing,
        })
    }

    /// A message, if it is still there and passes the filter.
    fn message(
        &self,
        connection: &Connection,
        keys: &DataKeys,
        message: i64,
        limit: AheadLimit,
    ) -> Result<Option<hookseal_domain::message::Message>, Failure> {
        let filter = match self.which {
            Replayed::Failed | Replayed::Missing => MessageFilter::default(),
            Replayed::Chosen(filter) => MessageFilter {
                channel: filter.channel.clone(),
                tag: filter.tag.clone(),
                event_types: filter.event_types.clone(),
                ..MessageFilter::default()
            },
        };
        let values = FilterValues::of(&filter);
        let message = MessageId::from_raw(message);
        messages::by_id(connection, keys, self.app, message, &values, limit.content)
    }

    /// Why nothing can be sent there any more.
    fn target_failure(&self, batch: &mut Batch<'_>) -> Result<Option<TaskFailure>, Failure> {
        if batch.version(self.app)?.is_none() {
            return Ok(Some(TaskFailure::ApplicationDeleted));
        }
        let which = [self.slice, self.app.raw(), self.endpoint.raw()];
        Ok(match batch.first(TARGET, which, |row| row.get(0))? {
            None => Some(TaskFailure::EndpointDeleted),
            Some(true) => Some(TaskFailure::EndpointDisabled),
            Some(false) => None,
        })
    }

    /// Makes one delivery again, if it still stands as it is wanted and can be made.
    fn make(
        &self,
        batch: &Batch<'_>,
        message: MessageId,
        order: Option<KeyHash>,
        now: Timestamp,
        report: &mut StepReport,
    ) -> Result<(), Failure> {
        let standing = self.standing(batch.connection, message.raw())?;
        if !self.which.wanted().includes(standing) {
            report.left_out += 1;
            return Ok(());
        }
        let which = params![self.slice, self.app.raw(), message.raw()];
        let found = batch.first(DELIVERABLE, which, |row| {
            let says = (row.get(1)?, row.get::<_, Option<i64>>(2)?);
            Ok((row.get::<_, bool>(0)?, says, row.get::<_, Option<i64>>(3)?))
        })?;
        let is_over = |at: Option<i64>| at.is_some_and(|at| at <= now.as_millis());
        let Some((true, (class, expires), deliver_at)) =
            found.filter(|(_, (_, expires), _)| !is_over(*expires))
        else {
            report.left_out += 1;
            return Ok(());
        };
        let again = Again {
            class,
            expires,
            due: deliver_at.filter(|at| *at > now.as_millis()),
        };
        // One that blocks its order keeps its place; what was put off has none.
        let order = order.filter(|_| standing != Standing::Blocked && again.due.is_none());
        let key = DeliveryKey {
            message,
            endpoint: self.endpoint,
        };
        make_again(batch, self.app, key, order, &again, now)?;
        report.done += 1;
        Ok(())
    }
}
