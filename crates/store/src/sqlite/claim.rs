//! Taking deliveries into this node's ownership: retries that are due, backlog that has room, and
//! at the start whatever an earlier process left.

use std::sync::Arc;

use rusqlite::{Row, params};

use hookseal_domain::delivery::{DeliveryKey, Trigger};
use hookseal_domain::id::{AppId, EndpointId, MessageId};
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;

use crate::codes::Code;
use crate::error::StoreError;
use crate::seal::Place;
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::Batch;
use crate::sqlite::failure::{Failure, corrupt};
use crate::sqlite::keyring::Keyring;
use crate::work::{Claimed, DueBatch, NodeSession, PullLimit};

macro_rules! claim {
    ($which:literal) => {
        concat!(
            "SELECT p.msg, p.ep, p.slice, p.app, p.trigger, p.attempts, p.step, ",
            "m.payload_size, m.key_version, m.payload, p.claim FROM pending p LEFT JOIN message m ",
            "ON m.slice = p.slice AND m.app = p.app AND m.id = p.msg WHERE ",
            $which
        )
    };
}

const DUE: &str = claim!("p.due IS NOT NULL AND p.due <= ?1 ORDER BY p.due LIMIT ?2");
const BACKLOG: &str = claim!(
    "p.owner IS NULL AND p.state = 2 AND p.slice = ?1 AND p.ep = ?2 ORDER BY p.msg LIMIT ?3"
);
const NEXT_DUE: &str = "SELECT due FROM pending WHERE due IS NOT NULL ORDER BY due LIMIT 1";
const OWN: &str = "UPDATE pending SET state = 0, due = NULL, owner = ?4, epoch = ?5, \
    claim = ?6 WHERE msg = ?1 AND ep = ?2 AND slice = ?3";
/// Not for release: that would bring it up again at once.
const HOLD: &str = "UPDATE pending SET state = 3, due = NULL, owner = NULL, epoch = NULL \
    WHERE msg = ?1 AND ep = ?2 AND slice = ?3";
const BEGIN_EPOCH: &str = "INSERT INTO node (id, epoch, heartbeat) VALUES (?1, 1, ?2) \
    ON CONFLICT (id) DO UPDATE SET epoch = epoch + 1, heartbeat = ?2 RETURNING epoch";
const TAKE_BACK: &str = "UPDATE pending SET state = 2, owner = NULL, epoch = NULL WHERE owner = ?1";
/// Each subquery looks at the end of one index range.
const HIGHEST_ID: &str = "SELECT max(id) FROM ( \
    SELECT max(id) AS id FROM application \
    UNION ALL SELECT max(id) FROM endpoint \
    UNION ALL SELECT (SELECT max(id) FROM message m WHERE m.slice = a.slice AND m.app = a.id) \
        FROM application a \
    UNION ALL SELECT (SELECT max(id) FROM attempt t WHERE t.slice = e.slice AND t.ep = e.id) \
        FROM endpoint e)";
const HEALTH: &str = "UPDATE node SET heartbeat = heartbeat WHERE id = ?1";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 6] = [DUE, BACKLOG, NEXT_DUE, OWN, HOLD, TAKE_BACK];

/// How often to look for more where all that was read is held.
const LOOKS: usize = 4;

/// A row with its payload as it is stored.
struct Found {
    app: AppId,
    key: DeliveryKey,
    slice: i64,
    claim: i64,
    trigger: i64,
    attempts: i64,
    step: i64,
    payload: Option<(i64, Vec<u8>)>,
}

/// What was taken, and what was held instead.
#[derive(Default)]
struct Taken {
    claimed: Vec<Claimed>,
    held: Vec<(DeliveryKey, StoreError)>,
    /// Whether there may be more.
    more: bool,
}

/// Begins a new epoch.
pub(super) async fn begin_epoch(
    store: &SqliteStore,
    now: Timestamp,
) -> Result<NodeSession, StoreError> {
    let begin = move |batch: &mut Batch<'_>| {
        let node = batch.node;
        let mut statement = batch.connection.prepare_cached(BEGIN_EPOCH)?;
        let epoch = statement.query_row(params![node, now.as_millis()], |row| row.get(0))?;
        let taken_back = batch.execute(TAKE_BACK, [node])?;
        let highest_id = batch.first(HIGHEST_ID, [], |row| row.get(0))?.flatten();
        batch.epoch = epoch;
        Ok(Ok(NodeSession {
            node: u8::try_from(node).unwrap_or_default(),
            epoch,
            highest_id,
            taken_back: u64::try_from(taken_back).unwrap_or(u64::MAX),
        }))
    };
    store.writer.change::<_, _, StoreError>(begin).await
}

/// Writes a row, so that a full or broken disk is noticed.
pub(super) async fn health(store: &SqliteStore) -> Result<(), StoreError> {
    store.readers.ask(|_| Ok(())).await?;
    let write = |batch: &mut Batch<'_>| {
        batch.execute(HEALTH, [batch.node])?;
        Ok(Ok(()))
    };
    store.writer.change::<_, _, StoreError>(write).await
}

/// Takes what is due.
pub(super) async fn due(
    store: &SqliteStore,
    now: Timestamp,
    limit: PullLimit,
) -> Result<DueBatch, StoreError> {
    let keyring = Arc::clone(&store.keyring);
    let take = move |batch: &mut Batch<'_>| {
        let which = params![now.as_millis(), rows(limit)];
        let taken = take(batch, &keyring, DUE, which, limit)?;
        let next_due = batch.first(NEXT_DUE, [], |row| row.get(0))?;
        Ok(Ok((taken, next_due.map(Timestamp::from_millis))))
    };
    let (taken, next_due) = store.writer.change::<_, _, StoreError>(take).await?;
    taken.log_held();
    Ok(DueBatch {
        deliveries: taken.claimed,
        next_due,
    })
}

/// Takes an endpoint's backlog.
pub(super) async fn backlog(
    store: &SqliteStore,
    app: AppId,
    endpoint: EndpointId,
    limit: PullLimit,
) -> Result<Vec<Claimed>, StoreError> {
    let keyring = Arc::clone(&store.keyring);
    let take = move |batch: &mut Batch<'_>| {
        let which = params![Slice::of(app).as_i64(), endpoint.raw(), rows(limit)];
        Ok(Ok(take(batch, &keyring, BACKLOG, which, limit)?))
    };
    let mut taken = store.writer.change::<_, _, StoreError>(take).await?;
    taken.log_held();
    // Nothing would mean that there is no more.
    match taken.held.pop() {
        Some((_, error)) if taken.claimed.is_empty() && taken.more => Err(error),
        _ => Ok(taken.claimed),
    }
}

fn rows(limit: PullLimit) -> i64 {
    i64::try_from(limit.rows).unwrap_or(i64::MAX)
}

/// Takes what can be delivered, and holds what can't: it must not keep the others from being made,
/// nor be made again and again. Looks on where all that it read is held.
fn take(
    batch: &Batch<'_>,
    keyring: &Keyring,
    sql: &str,
    which: &[&dyn rusqlite::ToSql],
    limit: PullLimit,
) -> Result<Taken, Failure> {
    let mut taken = Taken::default();
    for _ in 0..LOOKS {
        let found = look(batch, sql, which, limit)?;
        taken.more = !found.is_empty();
        for one in found {
            let (key, slice) = (one.key, one.slice);
            let row = [key.message.raw(), key.endpoint.raw(), slice];
            match one.open(batch, keyring) {
                Ok(claimed) => {
                    let [message, endpoint, slice] = row;
                    let owned = [
                        message,
                        endpoint,
                        slice,
                        batch.node,
                        batch.epoch,
                        claimed.claim,
                    ];
                    batch.execute(OWN, owned)?;
                    taken.claimed.push(claimed);
                }
                Err(Failure::Store(error)) => {
                    batch.execute(HOLD, row)?;
                    taken.held.push((key, error));
                }
                Err(failure) => return Err(failure),
            }
        }
        if !taken.more || !taken.claimed.is_empty() {
            break;
        }
    }
    Ok(taken)
}

/// Reads up to the limit.
fn look(
    batch: &Batch<'_>,
    sql: &str,
    which: &[&dyn rusqlite::ToSql],
    limit: PullLimit,
) -> Result<Vec<Found>, Failure> {
    let mut found = Vec::new();
    let mut bytes = 0_usize;
    let mut statement = batch.connection.prepare_cached(sql)?;
    let mut rows = statement.query(which)?;
    while let Some(row) = rows.next()? {
        let size = row.get::<_, Option<i64>>(7)?.unwrap_or_default();
        bytes = bytes.saturating_add(usize::try_from(size).unwrap_or_default());
        if bytes > limit.bytes && !found.is_empty() {
            break;
        }
        found.push(read(row)?);
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Found> {
    let payload: Option<Vec<u8>> = row.get(9)?;
    let key_version: Option<i64> = row.get(8)?;
    Ok(Found {
        app: AppId::from_raw(row.get(3)?),
        key: DeliveryKey {
            message: MessageId::from_raw(row.get(0)?),
            endpoint: EndpointId::from_raw(row.get(1)?),
        },
        slice: row.get(2)?,
        claim: row.get(10)?,
        trigger: row.get(4)?,
        attempts: row.get(5)?,
        step: row.get(6)?,
        payload: key_version.zip(payload),
    })
}

// === impl Found ===

impl Found {
    /// Checks the row and opens the payload, within the transaction: what fails is held by the same.
    fn open(self, batch: &Batch<'_>, keyring: &Keyring) -> Result<Claimed, Failure> {
        let corrupt = |column| {
            let name = format!("{} {}", self.key.message, self.key.endpoint);
            corrupt("pending", column, name)
        };
        let trigger = Trigger::from_code(self.trigger).ok_or_else(|| corrupt("trigger"))?;
        let attempts = u32::try_from(self.attempts).map_err(|_| corrupt("attempts"))?;
        let step = u32::try_from(self.step).map_err(|_| corrupt("step"))?;
        let claim = self.claim.checked_add(1).filter(|claim| *claim > 0);
        let claim = claim.ok_or_else(|| corrupt("claim"))?;
        let payload = match self.payload {
            None => None,
            Some((key_version, sealed)) => {
                let keys = keyring.within(batch, self.app, key_version)?;
                let message = self.key.message.raw();
                Some(keys.open(Place::MessagePayload { message }, key_version, &sealed)?)
            }
        };
        Ok(Claimed {
            app: self.app,
            key: self.key,
            claim,
            trigger,
            attempts,
            step,
            payload,
        })
    }
}

// === impl Taken ===

impl Taken {
    fn log_held(&self) {
        for (key, error) in &self.held {
            tracing::error!(
                message.id = %key.message,
                endpoint.id = %key.endpoint,
                error = %error,
                "Held a delivery that can't be made"
            );
        }
    }
}
