//! Deliveries that come one after the other: their places, and taking those whose turn it is.
//!
//! **Invariant:** of each key the first row is taken, with those right behind it, and only out of
//! the backlog: while anything of the key is under way, waits, is held or blocked, so does the rest.

use rusqlite::params;

use crate::codes::{Code, PendingState};
use crate::sqlite::batch::Batch;
use crate::sqlite::claim::{self, Taken, claim};
use crate::sqlite::failure::Failure;
use crate::sqlite::keyring::Keyring;
use crate::work::PullLimit;

/// Most deliveries of one key that are taken at once: all go back when the first of them fails, and
/// one key must not fill the window of its lane.
const RUN_MAX: usize = 64;
/// Most keys looked at in one transaction, so that many stuck ones hold up no other writer.
const KEYS_PER_LOOK: usize = 256;

const DRAW: &str = "INSERT INTO endpoint_order (slice, ep, next_seq) VALUES (?1, ?2, 2) \
    ON CONFLICT (slice, ep) DO UPDATE SET next_seq = next_seq + 1 RETURNING next_seq - 1";
/// Of those only that have something in the backlog: the first of them may still be elsewhere.
const NEXT_KEY: &str = "SELECT order_key FROM pending WHERE state = 2 AND seq IS NOT NULL \
    AND slice = ?1 AND ep = ?2 AND order_key >= ?3 ORDER BY order_key LIMIT 1";
const OF_KEY: &str = claim!(
    "p.seq IS NOT NULL AND p.slice = ?1 AND p.ep = ?2 AND p.order_key = ?3 \
     ORDER BY p.seq LIMIT ?4"
);

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 2] = [NEXT_KEY, OF_KEY];

/// A walk over the keys of an endpoint that have a backlog, once around from a place that is another each time, so that
/// no key is always the last.
#[derive(Clone, Copy)]
pub(super) struct Walk {
    start: i64,
    at: Option<i64>,
    is_around: bool,
}

/// Draws the next place in an endpoint's order.
pub(super) fn draw(batch: &Batch<'_>, slice: i64, endpoint: i64) -> rusqlite::Result<i64> {
    let mut statement = batch.connection.prepare_cached(DRAW)?;
    statement.query_row([slice, endpoint], |row| row.get(0))
}

/// Goes on with a walk and takes what it comes by. Stops with the first that fill half of the
/// limit, so that room is left for what has no order.
pub(super) fn take(
    batch: &Batch<'_>,
    keyring: &Keyring,
    walk: &mut Walk,
    (slice, endpoint): (i64, i64),
    limit: PullLimit,
) -> Result<Taken, Failure> {
    let mut taken = Taken::default();
    let half = PullLimit {
        rows: limit.rows.div_ceil(2),
        bytes: limit.bytes.div_ceil(2),
    };
    for _ in 0..KEYS_PER_LOOK {
        let rest = taken.rest(half);
        let Some(at) = walk.at.filter(|_| rest.rows > 0) else {
            break;
        };
        let next = batch.first(NEXT_KEY, [slice, endpoint, at], |row| row.get(0))?;
        if let Some(key) = walk.came_to(next) {
            take_run(batch, keyring, &mut taken, (slice, endpoint, key), rest)?;
        }
    }
    taken.more = !taken.claimed.is_empty();
    Ok(taken)
}

/// Takes the first deliveries of a key, if the first of all is in the backlog.
fn take_run(
    batch: &Batch<'_>,
    keyring: &Keyring,
    taken: &mut Taken,
    (slice, endpoint, key): (i64, i64, i64),
    limit: PullLimit,
) -> Result<(), Failure> {
    let mut run = Vec::new();
    {
        let rows = i64::try_from(limit.rows.min(RUN_MAX)).unwrap_or(i64::MAX);
        let mut statement = batch.connection.prepare_cached(OF_KEY)?;
        let mut rows = statement.query(params![slice, endpoint, key, rows])?;
        let mut bytes = 0_usize;
        while let Some(row) = rows.next()? {
            let size = row.get::<_, Option<i64>>(7)?.unwrap_or_default();
            bytes = bytes.saturating_add(usize::try_from(size).unwrap_or_default());
            let is_first = run.is_empty() && taken.claimed.is_empty();
            let ready = row.get::<_, i64>(13)? == PendingState::Backlog.code();
            if !ready || (bytes > limit.bytes && !is_first) {
                break;
            }
            run.push(claim::read(row)?);
        }
    }
    for one in run {
        // What can't be made is held, and those behind it wait.
        if !taken.own(batch, keyring, one)? {
            break;
        }
    }
    Ok(())
}

// === impl Walk ===

impl Walk {
    pub(super) fn begin() -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static BEGUN: AtomicU64 = AtomicU64::new(0);
        // Steps of the golden ratio: they spread evenly, however many there are.
        let start = BEGUN
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let start = i64::from_ne_bytes(start.to_ne_bytes());
        Self {
            start,
            at: Some(start),
            is_around: false,
        }
    }

    /// Whether every key was come by.
    pub(super) fn is_over(&self) -> bool {
        self.at.is_none()
    }

    /// Steps on behind the key that was found; gives it back if it was not come by before.
    fn came_to(&mut self, found: Option<i64>) -> Option<i64> {
        let new = found.filter(|key| !self.is_around || *key < self.start);
        self.at = match new.map(|key| key.checked_add(1)) {
            Some(Some(after)) => Some(after),
            _ if self.is_around => None,
            _ => {
                self.is_around = true;
                Some(i64::MIN)
            }
        };
        new
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_walk_comes_by_each_key_once() {
        let all: BTreeSet<i64> = [i64::MIN, -5, 0, 1, 7, i64::MAX].into();
        for start in [i64::MIN, -6, -5, 0, 3, 7, 8, i64::MAX] {
            let mut walk = Walk {
                start,
                at: Some(start),
                is_around: false,
            };
            let mut met = Vec::new();
            while let Some(at) = walk.at {
                let found = all.range(at..).next().copied();
                met.extend(walk.came_to(found));
            }
            assert_eq!(met.len(), all.len(), "from {start}: {met:?}");
            assert_eq!(BTreeSet::from_iter(met), all);
        }
    }
}
