//! Counters of attempts and of ended deliveries: gathered while a transaction runs, and written once
//! for each endpoint and event type before it commits. Must never count what is rolled back.

use std::collections::HashMap;

use rusqlite::params;

use hookseal_domain::delivery::Ended;
use hookseal_domain::delivery::outcome::Outcome;
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;

use crate::codes::Code;
use crate::sqlite::batch::{Batch, first};
use crate::sqlite::failure::{Failure, corrupt};
use crate::sqlite::record::PUT_OUTCOME;
use crate::work::FinishedAttempt;

/// What one counter is about.
const HOUR_MILLIS: i64 = 3_600_000;
/// Counters of an endpoint's hour.
const COLUMNS: usize = 10;

const ADD_ENDPOINT: &str = "INSERT INTO endpoint_hour (slice, ep, hour, delivered, failed, skipped, \
    accepted, failed_0, failed_100, failed_200, failed_300, failed_400, failed_500) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) \
    ON CONFLICT (slice, ep, hour) DO UPDATE SET delivered = delivered + ?4, \
    failed = failed + ?5, skipped = skipped + ?6, accepted = accepted + ?7, \
    failed_0 = failed_0 + ?8, failed_100 = failed_100 + ?9, failed_200 = failed_200 + ?10, \
    failed_300 = failed_300 + ?11, failed_400 = failed_400 + ?12, failed_500 = failed_500 + ?13";
const ADD_EVENT_TYPE: &str = "INSERT INTO event_type_hour \
    (slice, app, hour, event_type, accepted, failed) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
    ON CONFLICT (slice, app, hour, event_type) DO UPDATE SET accepted = accepted + ?5, \
    failed = failed + ?6";
const EVENT_TYPE: &str = "SELECT event_type FROM message WHERE slice = ?1 AND app = ?2 AND id = ?3";
const ENDED_BEFORE: &str =
    "SELECT ended, at FROM outcome WHERE slice = ?1 AND ep = ?2 AND msg = ?3";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 2] = [EVENT_TYPE, ENDED_BEFORE];

/// A counter of an endpoint's hour.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Column {
    Ended(Ended),
    Accepted,
    Failed(Option<u16>),
}

/// What a transaction is to add.
#[derive(Default)]
pub(super) struct Counts {
    /// By slice, endpoint and hour.
    endpoints: HashMap<(i64, i64, i64), [i64; COLUMNS]>,
    /// By application, hour and event type: accepted and failed.
    event_types: HashMap<(i64, i64, i64, String), [i64; 2]>,
    /// Of messages whose attempts were counted: those of one message often come together.
    known: HashMap<(i64, i64), Option<String>>,
}

/// A delivery that ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) slice: i64,
    pub(super) endpoint: i64,
    pub(super) message: i64,
    pub(super) ended: Ended,
    pub(super) attempts: i64,
    pub(super) at: Timestamp,
}

/// Whether a delivery may have ended before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Before {
    Never,
    Maybe,
}

/// The hour of a time.
pub(super) fn hour(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(HOUR_MILLIS)
}

/// Takes down how a delivery ended, and counts it. What it ended as before counts no more.
pub(super) fn end(batch: &mut Batch<'_>, end: End, before: Before) -> Result<(), Failure> {
    let key = [end.slice, end.endpoint, end.message];
    if before == Before::Maybe {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get(1)?));
        if let Some((code, at)) = batch.first(ENDED_BEFORE, key, read)? {
            let ended = Ended::from_code(code);
            let ended = ended.ok_or_else(|| corrupt("outcome", "ended", end.message))?;
            let hour = hour(Timestamp::from_millis(at));
            batch
                .counts
                .add((end.slice, end.endpoint, hour), Column::Ended(ended), -1);
        }
    }
    let (ended, at) = (end.ended.code(), end.at.as_millis());
    let [slice, endpoint, message] = key;
    batch.execute(
        PUT_OUTCOME,
        [slice, endpoint, message, ended, end.attempts, at],
    )?;
    let of = (slice, endpoint, hour(end.at));
    batch.counts.add(of, Column::Ended(end.ended), 1);
    Ok(())
}

/// Counts an attempt in the hour in which it began.
pub(super) fn attempt(batch: &mut Batch<'_>, finished: &FinishedAttempt) -> Result<(), Failure> {
    let attempt = &finished.attempt;
    let slice = Slice::of(finished.app).as_i64();
    let hour = hour(attempt.id.created_at());
    let accepted = attempt.outcome == Outcome::Accepted;
    let column = if accepted {
        Column::Accepted
    } else {
        Column::Failed(attempt.status_code)
    };
    let of = (slice, attempt.key.endpoint.raw(), hour);
    batch.counts.add(of, column, 1);
    let (app, message) = (finished.app.raw(), attempt.key.message.raw());
    let connection = batch.connection;
    let event_type = match batch.counts.known.get(&(app, message)) {
        Some(known) => known.clone(),
        None => {
            let found = first(connection, EVENT_TYPE, [slice, app, message], |row| {
                row.get(0)
            })?;
            batch.counts.known.insert((app, message), found.clone());
            found
        }
    };
    if let Some(event_type) = event_type {
        let key = (slice, app, hour, event_type);
        let [yes, no] = batch.counts.event_types.entry(key).or_default();
        *if accepted { yes } else { no } += 1;
    }
    Ok(())
}

/// Writes what was gathered.
pub(super) fn write(batch: &mut Batch<'_>) -> rusqlite::Result<()> {
    let counts = std::mem::take(&mut batch.counts);
    for ((slice, endpoint, hour), counted) in counts.endpoints {
        let [
            delivered,
            failed,
            skipped,
            accepted,
            none,
            c1,
            c2,
            c3,
            c4,
            c5,
        ] = counted;
        let row = params![
            slice, endpoint, hour, delivered, failed, skipped, accepted, none, c1, c2, c3, c4, c5
        ];
        batch.execute(ADD_ENDPOINT, row)?;
    }
    for ((slice, app, hour, event_type), [accepted, failed]) in counts.event_types {
        let row = params![slice, app, hour, event_type, accepted, failed];
        batch.execute(ADD_EVENT_TYPE, row)?;
    }
    Ok(())
}

// === impl Counts ===

impl Counts {
    fn add(&mut self, of: (i64, i64, i64), column: Column, more: i64) {
        let counted = self.endpoints.entry(of).or_default();
        if let Some(count) = counted.get_mut(column.place()) {
            *count += more;
        }
    }
}

// === impl Column ===

impl Column {
    /// Where it stands among them.
    const fn place(self) -> usize {
        match self {
            Self::Ended(Ended::Delivered) => 0,
            Self::Ended(Ended::Skipped) => 2,
            Self::Ended(_) => 1,
            Self::Accepted => 3,
            Self::Failed(Some(100..=199)) => 5,
            Self::Failed(Some(200..=299)) => 6,
            Self::Failed(Some(300..=399)) => 7,
            Self::Failed(Some(400..=499)) => 8,
            Self::Failed(Some(500..=599)) => 9,
            Self::Failed(_) => 4,
        }
    }
}
