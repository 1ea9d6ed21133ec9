//! Sums of counters. What no counter is kept for is counted one by one, up to a bound.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params};

use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::{AppId, EndpointId, OrgId, RawId};
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;

use crate::codes::{Code, PendingState};
use crate::error::StoreError;
use crate::inspect::AttemptFilter;
use crate::sqlite::SqliteStore;
use crate::sqlite::attempts;
use crate::sqlite::batch::{all, first};
use crate::sqlite::counts::hour;
use crate::sqlite::failure::Failure;
use crate::statistics::{AttemptCounts, Counted, DeliveryCounts, EndpointCounts, Hours, Precision};

/// Most unfinished deliveries that are counted. Beyond, "many" is what there is to know.
const UNFINISHED_MAX: i64 = 100_000;

const SUM: &str = "SELECT ifnull(sum(delivered), 0), ifnull(sum(failed), 0), \
    ifnull(sum(skipped), 0), ifnull(sum(accepted), 0), ifnull(sum(failed_0), 0), \
    ifnull(sum(failed_100), 0), ifnull(sum(failed_200), 0), ifnull(sum(failed_300), 0), \
    ifnull(sum(failed_400), 0), ifnull(sum(failed_500), 0) \
    FROM endpoint_hour WHERE slice = ?1 AND ep = ?2 AND hour >= ?3 AND hour <= ?4";
const UNOWNED: &str = "SELECT 1 FROM pending WHERE state = ?5 AND owner IS NULL \
    AND slice = ?1 AND ep = ?2 AND msg >= ?3 AND msg < ?4 LIMIT ?6";
const OWNED: &str = "SELECT 1 FROM pending WHERE owner = ?5 \
    AND slice = ?1 AND ep = ?2 AND msg >= ?3 AND msg < ?4 LIMIT ?6";
const NODES: &str = "SELECT id FROM node";
const BY_EVENT_TYPE: &str = "SELECT event_type, accepted, failed FROM event_type_hour \
    WHERE slice = ?1 AND app = ?2 AND hour >= ?3 AND hour <= ?4";
const ENDPOINTS: &str = "SELECT active, disabled FROM endpoint_count WHERE org = ?1";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 5] = [SUM, UNOWNED, OWNED, BY_EVENT_TYPE, ENDPOINTS];

/// What the counters of some hours come to.
struct Sum {
    delivered: u64,
    failed: u64,
    skipped: u64,
    accepted: u64,
    /// Attempts that failed, by class from 0 to 500.
    by_class: [u64; 6],
}

/// An endpoint's deliveries.
pub(super) async fn deliveries(
    store: &SqliteStore,
    app: AppId,
    endpoint: EndpointId,
    hours: Hours,
) -> Result<DeliveryCounts, StoreError> {
    let read = move |connection: &Connection| {
        // One moment for all of them: what ends meanwhile is in one of the counts.
        let tx = connection.unchecked_transaction()?;
        let key = [Slice::of(app).as_i64(), endpoint.raw()];
        let sum = sum(&tx, key, hours)?;
        let unowned = |state: PendingState| unfinished(&tx, UNOWNED, key, hours, state.code());
        let mut pending = 0;
        for state in [
            PendingState::Waiting,
            PendingState::Backlog,
            PendingState::Held,
        ] {
            pending += unowned(state)?;
        }
        let mut sending = 0;
        for node in all(&tx, NODES, [], |row| Ok(row.get::<_, i64>(0)?))? {
            sending += unfinished(&tx, OWNED, key, hours, node)?;
        }
        let blocked = unowned(PendingState::Blocked)?;
        let bound = UNFINISHED_MAX.unsigned_abs();
        let all_counted = [pending, sending, blocked].iter().all(|n| *n < bound);
        Ok(DeliveryCounts {
            delivered: sum.delivered,
            failed: sum.failed + blocked,
            skipped: sum.skipped,
            pending,
            sending,
            precision: if all_counted {
                Precision::Exact
            } else {
                Precision::Approximate
            },
        })
    };
    store.readers.ask(read).await
}

/// An endpoint's attempts.
pub(super) async fn attempts(
    store: &SqliteStore,
    app: AppId,
    endpoint: EndpointId,
    filter: AttemptFilter,
) -> Result<Counted, StoreError> {
    if is_counted(&filter) {
        let read = move |connection: &Connection| {
            let key = [Slice::of(app).as_i64(), endpoint.raw()];
            let (since, until) = (filter.message.after, filter.message.before);
            let sum = sum(connection, key, Hours { since, until })?;
            let whole = since.is_none() && until.is_none();
            Ok(Counted {
                count: sum.attempts(&filter),
                precision: if whole {
                    Precision::Exact
                } else {
                    Precision::Approximate
                },
            })
        };
        return store.readers.ask(read).await;
    }
    let read = move |connection: &Connection| attempts::count(connection, app, endpoint, &filter);
    store.readers.ask(read).await
}

/// Whether counters answer it.
fn is_counted(filter: &AttemptFilter) -> bool {
    let message = &filter.message;
    message.channel.is_none() && message.tag.is_none() && message.event_types.is_none()
}

/// An application's attempts by event type.
pub(super) async fn by_event_type(
    store: &SqliteStore,
    app: AppId,
    hours: Hours,
) -> Result<BTreeMap<EventTypeName, AttemptCounts>, StoreError> {
    let read = move |connection: &Connection| {
        let (from, to) = range(hours);
        let which = [Slice::of(app).as_i64(), app.raw(), from, to];
        let mut statement = connection.prepare_cached(BY_EVENT_TYPE)?;
        let mut rows = statement.query(which)?;
        let mut found = BTreeMap::<EventTypeName, AttemptCounts>::new();
        while let Some(row) = rows.next()? {
            let name = EventTypeName::from_stored(row.get(0)?);
            let counts = found.entry(name).or_default();
            counts.accepted += unsigned(row, 1)?;
            counts.failed += unsigned(row, 2)?;
        }
        Ok(found)
    };
    store.readers.ask(read).await
}

/// An organisation's endpoints.
pub(super) async fn endpoints(
    store: &SqliteStore,
    org: OrgId,
) -> Result<EndpointCounts, StoreError> {
    let read = move |connection: &Connection| {
        let counts = first(connection, ENDPOINTS, [org.as_bytes()], |row| {
            Ok(EndpointCounts {
                active: unsigned(row, 0)?,
                disabled: unsigned(row, 1)?,
            })
        })?;
        Ok(counts.unwrap_or_default())
    };
    store.readers.ask(read).await
}

fn sum(connection: &Connection, key: [i64; 2], hours: Hours) -> Result<Sum, Failure> {
    let (from, to) = range(hours);
    let [slice, endpoint] = key;
    let found = first(connection, SUM, [slice, endpoint, from, to], |row| {
        let mut by_class = [0; 6];
        for (class, at) in by_class.iter_mut().zip(4..) {
            *class = unsigned(row, at)?;
        }
        Ok(Sum {
            delivered: unsigned(row, 0)?,
            failed: unsigned(row, 1)?,
            skipped: unsigned(row, 2)?,
            accepted: unsigned(row, 3)?,
            by_class,
        })
    })?;
    Ok(found.unwrap_or(Sum {
        delivered: 0,
        failed: 0,
        skipped: 0,
        accepted: 0,
        by_class: [0; 6],
    }))
}

/// The first and the last hour.
fn range(hours: Hours) -> (i64, i64) {
    let before = |until: Timestamp| until.minus(std::time::Duration::from_millis(1));
    let since = hours.since.map_or(i64::MIN, hour);
    let until = hours.until.map_or(i64::MAX, |until| hour(before(until)));
    (since, until)
}

fn unfinished(
    connection: &Connection,
    sql: &'static str,
    [slice, endpoint]: [i64; 2],
    hours: Hours,
    of: i64,
) -> Result<u64, Failure> {
    let floor = |at: Timestamp| RawId::floor_of(at).raw();
    let since = hours.since.map_or(i64::MIN, floor);
    let until = hours.until.map_or(i64::MAX, floor);
    let which = params![slice, endpoint, since, until, of, UNFINISHED_MAX];
    let found = all(connection, sql, which, |_| Ok(()))?.len();
    Ok(u64::try_from(found).unwrap_or(u64::MAX))
}

fn unsigned(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    // A resend that ends in another hour takes from where it ended before; never below what is there.
    let count: i64 = row.get(at)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

// === impl Sum ===

impl Sum {
    /// Those attempts that a filter of counters lets through.
    fn attempts(&self, filter: &AttemptFilter) -> u64 {
        let class = filter.status_code_class;
        let accepted = match (filter.success, class) {
            (Some(false), _) | (_, Some(0 | 100 | 300 | 400 | 500)) => 0,
            _ => self.accepted,
        };
        let failed = self.by_class.iter().zip([0_u16, 100, 200, 300, 400, 500]);
        let failed = failed.filter(|(_, of)| class.is_none_or(|class| class == *of));
        let failed: u64 = failed.map(|(count, _)| *count).sum();
        match filter.success {
            Some(true) => accepted,
            Some(false) | None => accepted + failed,
        }
    }
}
