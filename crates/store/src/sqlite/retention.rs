//! Forgetting: small batches in the order that things came in. Must never hold the writer for long.

use rusqlite::{Row, params};

use hookseal_domain::id::RawId;
use hookseal_domain::time::Timestamp;

use crate::error::StoreError;
use crate::retention::{Retained, RetentionPolicy};
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{Batch, all};
use crate::sqlite::counts::hour;
use crate::sqlite::failure::Failure;
use crate::sqlite::messages::BRING_UP;

/// Free pages are given back to the disk above one in this many: fewer are soon used again.
const FREE_SHARE: i64 = 4;
/// Pages given back in one batch: 2 MiB.
const PAGES_GIVEN_BACK: i64 = 256;

const OLDEST_KEYS: &str = "SELECT rowid, expires FROM idempotency ORDER BY rowid LIMIT ?1";
const FORGET_KEYS: &str = "DELETE FROM idempotency WHERE rowid <= ?1";
const EARLY: &str = "SELECT rowid, slice, id FROM message \
    WHERE expires_early IS NOT NULL AND expires_early <= ?1 ORDER BY expires_early LIMIT ?2";
const OLDEST: &str = "SELECT rowid, slice, id FROM message \
    ORDER BY rowid LIMIT 1";
const ATTEMPTS: &str = "SELECT id, ep FROM attempt WHERE msg = ?1 AND slice = ?2 LIMIT ?3";
const FORGET_ATTEMPT: &str = "DELETE FROM attempt WHERE msg = ?1 AND id = ?2 AND slice = ?3";
const FORGET_OUTCOME: &str = "DELETE FROM outcome WHERE slice = ?1 AND ep = ?2 AND msg = ?3";
const UNTRIED: &str = "SELECT ep FROM outcome \
    WHERE slice = ?2 AND msg = ?1 AND attempts = 0 LIMIT ?3";
const UNFINISHED: &str = "SELECT ep FROM pending WHERE msg = ?1 AND slice = ?2 LIMIT ?3";
const FORGET_PENDING: &str = "DELETE FROM pending WHERE msg = ?1 AND ep = ?2 AND slice = ?3";
const FORGET_OPTIONS: &str = "DELETE FROM message_option WHERE slice = ?1 AND msg = ?2 \
    AND app = (SELECT app FROM message WHERE rowid = ?3)";
const FORGET_EVENT: &str = "DELETE FROM message_cloud_event WHERE slice = ?1 AND msg = ?2 \
    AND app = (SELECT app FROM message WHERE rowid = ?3)";
const FORGET_MESSAGE: &str = "DELETE FROM message WHERE rowid = ?1";
const FORGET_PAYLOAD: &str =
    "UPDATE message SET payload = NULL, expires_early = NULL WHERE rowid = ?1";
/// From the beginning where rows are numbered from there again.
const WALK_FROM: &str = "SELECT CASE \
    WHEN payload_rowid <= (SELECT max(rowid) FROM message) THEN payload_rowid ELSE 0 END \
    FROM retention_walk WHERE only_row = 1";
const WALK: &str = "SELECT rowid, slice, id, payload_expires, \
    payload IS NOT NULL AND expires_early IS NULL FROM message \
    WHERE rowid > ?1 ORDER BY rowid LIMIT ?2";
const WALKED_TO: &str = "UPDATE retention_walk SET payload_rowid = ?1 WHERE only_row = 1";
const FORGET_ENDPOINT_HOURS: &str = "DELETE FROM endpoint_hour WHERE (slice, ep, hour) IN \
    (SELECT slice, ep, hour FROM endpoint_hour WHERE hour < ?1 ORDER BY hour LIMIT ?2)";
const FORGET_EVENT_TYPE_HOURS: &str = "DELETE FROM event_type_hour \
    WHERE (slice, app, hour, event_type) IN (SELECT slice, app, hour, event_type \
    FROM event_type_hour WHERE hour < ?1 ORDER BY hour LIMIT ?2)";
const PAGES: &str = "SELECT (SELECT freelist_count FROM pragma_freelist_count), \
    (SELECT page_count FROM pragma_page_count)";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 15] = [
    EARLY,
    ATTEMPTS,
    FORGET_ATTEMPT,
    FORGET_OUTCOME,
    UNTRIED,
    UNFINISHED,
    FORGET_PENDING,
    FORGET_OPTIONS,
    FORGET_EVENT,
    FORGET_MESSAGE,
    FORGET_PAYLOAD,
    WALK,
    FORGET_KEYS,
    FORGET_ENDPOINT_HOURS,
    FORGET_EVENT_TYPE_HOURS,
];

/// How many rows may still be written in this batch.
struct Budget(usize);

/// One small batch.
pub(super) async fn retain(
    store: &SqliteStore,
    now: Timestamp,
    policy: RetentionPolicy,
) -> Result<Retained, StoreError> {
    let retain = move |batch: &mut Batch<'_>| {
        let mut budget = Budget(policy.batch_rows.max(1));
        let mut retained = Retained {
            idempotency_records: keys(batch, now, &mut budget)?,
            payloads: early_payloads(batch, now, &mut budget)?,
            ..Retained::default()
        };
        retained.messages = messages(batch, now.minus(policy.history), &mut budget)?;
        retained.payloads += usual_payloads(batch, now, &mut budget)?;
        counters(batch, now.minus(policy.history), &mut budget)?;
        retained.more = budget.0 == 0;
        if !retained.more {
            retained.more = give_back_pages(batch)?;
        }
        Ok(Ok(retained))
    };
    store.writer.change::<_, _, StoreError>(retain).await
}

/// Idempotency records, whose rows come in the order of expiry.
fn keys(batch: &Batch<'_>, now: Timestamp, budget: &mut Budget) -> Result<u64, Failure> {
    let oldest: Vec<(i64, i64)> = all(batch.connection, OLDEST_KEYS, [budget.rows()], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let expired = oldest.iter().take_while(|(_, at)| *at <= now.as_millis());
    let Some((last, _)) = expired.clone().last() else {
        return Ok(0);
    };
    budget.spend(expired.count());
    Ok(u64::try_from(batch.execute(FORGET_KEYS, [last])?).unwrap_or(u64::MAX))
}

/// Payloads that are kept shorter than usual.
fn early_payloads(batch: &Batch<'_>, now: Timestamp, budget: &mut Budget) -> Result<u64, Failure> {
    let which = params![now.as_millis(), budget.rows()];
    let expired = all(batch.connection, EARLY, which, message_row)?;
    let mut forgotten = 0;
    for (rowid, slice, id) in expired {
        if budget.0 == 0 {
            break;
        }
        budget.spend(1 + forget_payload(batch, rowid, slice, id)?);
        forgotten += 1;
    }
    Ok(forgotten)
}

/// The other payloads: a walk over the messages in the order that they came in, as far as they
/// have expired.
fn usual_payloads(batch: &Batch<'_>, now: Timestamp, budget: &mut Budget) -> Result<u64, Failure> {
    let from: i64 = batch
        .first(WALK_FROM, [], |row| row.get(0))?
        .unwrap_or_default();
    let mut to = from;
    let mut forgotten = 0;
    let rows: Vec<_> = all(batch.connection, WALK, [from, budget.rows()], |row| {
        Ok((
            message_row(row)?,
            row.get::<_, i64>(3)?,
            row.get::<_, bool>(4)?,
        ))
    })?;
    for ((rowid, slice, id), expires, usual) in rows {
        if usual && expires > now.as_millis() || budget.0 == 0 {
            break;
        }
        budget.spend(1);
        if usual {
            budget.spend(forget_payload(batch, rowid, slice, id)?);
            forgotten += 1;
        }
        to = rowid;
    }
    if to != from {
        batch.execute(WALKED_TO, [to])?;
    }
    Ok(forgotten)
}

fn forget_payload(batch: &Batch<'_>, rowid: i64, slice: i64, id: i64) -> rusqlite::Result<usize> {
    batch.execute(FORGET_PAYLOAD, [rowid])?;
    batch.execute(BRING_UP, [id, slice])
}

/// Messages that are too old, with all that belongs to them. The message goes last, so that one
/// with very many deliveries is forgotten over several batches.
fn messages(
    batch: &Batch<'_>,
    made_before: Timestamp,
    budget: &mut Budget,
) -> Result<u64, Failure> {
    let floor = RawId::floor_of(made_before).raw();
    let mut forgotten = 0;
    while budget.0 > 0 {
        let Some((rowid, slice, id)) = all(batch.connection, OLDEST, [], message_row)?.pop() else {
            // Rows are numbered from the beginning again.
            batch.execute(WALKED_TO, [0])?;
            break;
        };
        if id >= floor {
            break;
        }
        forget_history(batch, slice, id, budget)?;
        if budget.0 == 0 {
            break;
        }
        budget.spend(1);
        batch.execute(FORGET_OPTIONS, [slice, id, rowid])?;
        batch.execute(FORGET_EVENT, [slice, id, rowid])?;
        batch.execute(FORGET_MESSAGE, [rowid])?;
        forgotten += 1;
    }
    Ok(forgotten)
}

fn forget_history(
    batch: &Batch<'_>,
    slice: i64,
    message: i64,
    budget: &mut Budget,
) -> Result<(), Failure> {
    // Each attempt may go with an outcome.
    let which = [message, slice, (budget.rows() + 1) / 2];
    let attempts: Vec<(i64, i64)> = all(batch.connection, ATTEMPTS, which, |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    for (attempt, endpoint) in attempts {
        batch.execute(FORGET_ATTEMPT, [message, attempt, slice])?;
        batch.execute(FORGET_OUTCOME, [slice, endpoint, message])?;
        budget.spend(2);
    }
    // What was skipped before it was tried.
    let which = [message, slice, budget.rows()];
    let untried: Vec<i64> = all(batch.connection, UNTRIED, which, |row| Ok(row.get(0)?))?;
    for endpoint in untried {
        batch.execute(FORGET_OUTCOME, [slice, endpoint, message])?;
        budget.spend(1);
    }
    let which = [message, slice, budget.rows()];
    let unfinished: Vec<i64> = all(batch.connection, UNFINISHED, which, |row| Ok(row.get(0)?))?;
    for endpoint in unfinished {
        batch.execute(FORGET_PENDING, [message, endpoint, slice])?;
        budget.spend(1);
    }
    Ok(())
}

/// Counters of hours of which nothing is left that was counted.
fn counters(batch: &Batch<'_>, made_before: Timestamp, budget: &mut Budget) -> Result<(), Failure> {
    for sql in [FORGET_ENDPOINT_HOURS, FORGET_EVENT_TYPE_HOURS] {
        let which = [hour(made_before), budget.rows()];
        budget.spend(batch.execute(sql, which)?);
    }
    Ok(())
}

/// Gives free pages back to the disk; says whether there are more.
fn give_back_pages(batch: &Batch<'_>) -> Result<bool, Failure> {
    let pages = batch.first(PAGES, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some((free, all)): Option<(i64, i64)> = pages else {
        return Ok(false);
    };
    if free <= PAGES_GIVEN_BACK || free < all / FREE_SHARE {
        return Ok(false);
    }
    let sql = format!("PRAGMA incremental_vacuum({PAGES_GIVEN_BACK})");
    batch.connection.execute_batch(&sql)?;
    Ok(true)
}

fn message_row(row: &Row<'_>) -> Result<(i64, i64, i64), Failure> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

// === impl Budget ===

impl Budget {
    fn rows(&self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    fn spend(&mut self, rows: usize) {
        self.0 = self.0.saturating_sub(rows);
    }
}
