//! What stands first in an endpoint's orders, for people: to look at, and to skip.

use std::collections::BTreeSet;

use rusqlite::{Connection, Row, params};

use hookseal_domain::delivery::{DeliveryKey, Ended};
use hookseal_domain::id::{AppId, EndpointId, MessageId};
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;

use crate::codes::{Code, PendingState};
use crate::error::{SkipError, StoreError};
use crate::inspect::OrderHead;
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{Batch, all, first};
use crate::sqlite::counts::{self, Before, End};
use crate::sqlite::deliveries::pending;
use crate::sqlite::failure::{Failure, corrupt};

/// Most that are counted behind a head.
const BEHIND_MAX: i64 = 1000;

macro_rules! head {
    ($which:literal) => {
        concat!(
            "SELECT msg, state, due, attempts, order_key, seq FROM pending ",
            "WHERE seq IS NOT NULL AND slice = ?1 AND ep = ?2 AND ",
            $which
        )
    };
}

/// Such rows are the first of their key.
const STUCK: &str = head!("owner IS NULL AND state = ?3 ORDER BY msg LIMIT ?4");
const FIRST: &str = head!("order_key >= ?3 ORDER BY order_key, seq LIMIT 1");
const BEHIND: &str = "SELECT 1 FROM pending WHERE seq IS NOT NULL \
    AND slice = ?1 AND ep = ?2 AND order_key = ?3 AND seq > ?4 LIMIT ?5";
const ORDERED: &str = "SELECT attempts FROM pending \
    WHERE msg = ?1 AND ep = ?2 AND slice = ?3 AND app = ?4 AND seq IS NOT NULL";
const SKIPPED: &str = "SELECT 1 FROM outcome \
    WHERE slice = ?1 AND ep = ?2 AND msg = ?3 AND ended = 7 \
    AND EXISTS (SELECT 1 FROM message WHERE slice = ?1 AND app = ?4 AND id = ?3) \
    AND NOT EXISTS (SELECT 1 FROM pending WHERE msg = ?3 AND ep = ?2 AND slice = ?1)";
const SKIP: &str = "DELETE FROM pending WHERE msg = ?1 AND ep = ?2 AND slice = ?3";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 6] = [STUCK, FIRST, BEHIND, ORDERED, SKIPPED, SKIP];

/// A head with its key.
struct Found {
    key: i64,
    seq: i64,
    head: OrderHead,
}

/// The first of each order of an endpoint, those first that nothing but a person or time moves on.
pub(super) async fn list(
    store: &SqliteStore,
    app: AppId,
    endpoint: EndpointId,
    limit: usize,
) -> Result<Vec<OrderHead>, StoreError> {
    let list = move |connection: &Connection| {
        let of = (Slice::of(app).as_i64(), endpoint.raw());
        let mut found = Vec::new();
        for state in [PendingState::Blocked, PendingState::Waiting] {
            let room = limit.saturating_sub(found.len());
            let room = i64::try_from(room).unwrap_or(i64::MAX);
            let which = params![of.0, of.1, state.code(), room];
            found.extend(all(connection, STUCK, which, read)?);
        }
        let seen: BTreeSet<i64> = found.iter().map(|one| one.key).collect();
        let mut from = Some(i64::MIN);
        // Those that were seen are come by once more.
        for _ in 0..limit.saturating_mul(2) {
            let Some(at) = from.filter(|_| found.len() < limit) else {
                break;
            };
            let next = all(connection, FIRST, [of.0, of.1, at], read)?.pop();
            from = next.as_ref().and_then(|next| next.key.checked_add(1));
            found.extend(next.filter(|next| !seen.contains(&next.key)));
        }
        for one in &mut found {
            let which = [of.0, of.1, one.key, one.seq, BEHIND_MAX + 1];
            one.head.behind = all(connection, BEHIND, which, |_| Ok(()))?.len();
        }
        Ok(found.into_iter().map(|one| one.head).collect())
    };
    store.readers.ask(list).await
}

fn read(row: &Row<'_>) -> Result<Found, Failure> {
    let message: i64 = row.get(0)?;
    let id = MessageId::from_raw(message);
    let attempts: i64 = row.get(3)?;
    Ok(Found {
        key: row.get(4)?,
        seq: row.get(5)?,
        head: OrderHead {
            message: id,
            state: pending(message, row.get(1)?, row.get(2)?)?,
            attempts: u32::try_from(attempts).map_err(|_| corrupt("pending", "attempts", id))?,
            behind: 0,
        },
    })
}

/// Ends an unfinished delivery that has an order. What an attempt under way brings is taken down,
/// but changes nothing any more. One that was skipped already stays so.
pub(super) async fn skip(
    store: &SqliteStore,
    app: AppId,
    key: DeliveryKey,
    now: Timestamp,
) -> Result<(), SkipError> {
    let (message, endpoint) = (key.message.raw(), key.endpoint.raw());
    let skip = move |batch: &mut Batch<'_>| {
        let slice = Slice::of(app).as_i64();
        let which = [message, endpoint, slice, app.raw()];
        let attempts: Option<i64> = first(batch.connection, ORDERED, which, |row| row.get(0))?;
        let Some(attempts) = attempts else {
            // A request that is repeated finds what it did.
            let which = [slice, endpoint, message, app.raw()];
            let skipped = first(batch.connection, SKIPPED, which, |_| Ok(()))?;
            return Ok(skipped.ok_or(SkipError::NotInOrder));
        };
        batch.execute(SKIP, [message, endpoint, slice])?;
        let end = End {
            slice,
            endpoint,
            message,
            ended: Ended::Skipped,
            attempts,
            at: now,
        };
        counts::end(batch, end, Before::Maybe)?;
        Ok(Ok(()))
    };
    store.writer.change(skip).await
}
