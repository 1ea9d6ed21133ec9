//! Taking deliveries into this node's ownership: retries that are due, backlog that has room, and
//! at the start whatever an earlier process left.

use std::sync::Arc;

use rusqlite::{Row, params};

use hookseal_domain::delivery::priority::Priority;
use hookseal_domain::delivery::{DeliveryKey, Trigger};
use hookseal_domain::endpoint::order::{KeyHash, Rank};
use hookseal_domain::event_type::EventTypeName;
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
use crate::sqlite::order::{self, Walk};
use crate::work::{Claimed, DueBatch, NodeSession, PullLimit};

/// What is read of a delivery that is taken.
macro_rules! claim {
    ($which:literal) => {
        concat!(
            "SELECT p.msg, p.ep, p.slice, p.app, p.trigger, p.attempts, p.step, ",
            "m.payload_size, m.key_version, m.payload, p.claim, p.order_key, p.seq, p.state, ",
            "p.class, p.expires, m.event_type FROM pending p LEFT JOIN message m ",
            "ON m.slice = p.slice AND m.app = p.app AND m.id = p.msg WHERE ",
            $which
        )
    };
}
pub(super) use claim;

const DUE: &str = claim!("p.due IS NOT NULL AND p.due <= ?1 ORDER BY p.due LIMIT ?2");
const BACKLOG: &str = claim!(
    "p.state = 2 AND p.seq IS NULL AND p.slice = ?1 AND p.ep = ?2 AND p.class = ?3 \
     ORDER BY p.msg LIMIT ?4"
);
/// Wherever they wait; what is in memory is looked at there.
const EXPIRED: &str = "SELECT p.msg, p.ep, p.slice, p.app, p.trigger, p.attempts, p.step, \
    NULL, NULL, NULL, p.claim, p.order_key, p.seq, p.state, p.class, p.expires, \
    NULL FROM pending p WHERE p.expires IS NOT NULL AND p.expires <= ?1 AND p.owner IS NULL \
    ORDER BY p.expires LIMIT ?2";
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
    UNION ALL SELECT max(id) FROM task \
    UNION ALL SELECT (SELECT max(id) FROM message m WHERE m.slice = a.slice AND m.app = a.id) \
        FROM application a \
    UNION ALL SELECT (SELECT max(id) FROM attempt t WHERE t.slice = e.slice AND t.ep = e.id) \
        FROM endpoint e)";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 7] = [DUE, BACKLOG, NEXT_DUE, OWN, HOLD, TAKE_BACK, EXPIRED];

/// How often to look for more where all that was read is held.
const LOOKS: usize = 4;

/// A row with its payload as it is stored.
pub(super) struct Found {
    app: AppId,
    key: DeliveryKey,
    slice: i64,
    claim: i64,
    trigger: i64,
    attempts: i64,
    step: i64,
    rank: Option<Rank>,
    class: i64,
    expires: Option<i64>,
    event_type: Option<String>,
    payload: Option<(i64, Vec<u8>)>,
}

/// What was taken, and what was held instead.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) claimed: Vec<Claimed>,
    held: Vec<(DeliveryKey, StoreError)>,
    /// Whether there may be more.
    pub(super) more: bool,
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
        batch.means.ids.raise(highest_id);
        Ok(Ok(NodeSession {
            node: u8::try_from(node).unwrap_or_default(),
            epoch,
            ids: Arc::clone(&batch.means.ids),
            highest_id,
            taken_back: u64::try_from(taken_back).unwrap_or(u64::MAX),
        }))
    };
    store.writer.change::<_, _, StoreError>(begin).await
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
    let mut walk = Walk::begin();
    let mut taken = loop {
        let keyring = Arc::clone(&store.keyring);
        let take = move |batch: &mut Batch<'_>| {
            let slice = Slice::of(app).as_i64();
            let mut walk = walk;
            let of = (slice, endpoint.raw());
            let mut taken = order::take(batch, &keyring, &mut walk, of, limit)?;
            let rest = taken.rest(limit);
            if rest.rows > 0 {
                taken.join(by_class(batch, &keyring, of, rest)?);
            }
            Ok(Ok((taken, walk)))
        };
        let (taken, walked) = store.writer.change::<_, _, StoreError>(take).await?;
        taken.log_held();
        walk = walked;
        if !taken.claimed.is_empty() || walk.is_over() {
            break taken;
        }
    };
    // Nothing would mean that there is no more.
    match taken.held.pop() {
        Some((_, error)) if taken.claimed.is_empty() && taken.more => Err(error),
        _ => Ok(taken.claimed),
    }
}

/// Takes what is to be ended, since its message has expired.
pub(super) async fn expired(
    store: &SqliteStore,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Claimed>, StoreError> {
    let keyring = Arc::clone(&store.keyring);
    let take = move |batch: &mut Batch<'_>| {
        let limit = PullLimit {
            rows: limit,
            bytes: usize::MAX,
        };
        let which = params![now.as_millis(), rows(limit)];
        Ok(Ok(take(batch, &keyring, EXPIRED, which, limit)?))
    };
    let taken = store.writer.change::<_, _, StoreError>(take).await?;
    taken.log_held();
    Ok(taken.claimed)
}

/// Takes from the backlog of an endpoint: first each class up to its share of the limit, then
/// whatever there is up to the whole.
fn by_class(
    batch: &Batch<'_>,
    keyring: &Keyring,
    (slice, endpoint): (i64, i64),
    limit: PullLimit,
) -> Result<Taken, Failure> {
    let mut taken = Taken::default();
    let shares = Priority::ALL.map(|class| (class, class.share_of(limit.rows)));
    let wholes = Priority::ALL.map(|class| (class, limit.rows));
    for (class, rows_max) in shares.into_iter().chain(wholes) {
        let mut limit = taken.rest(limit);
        limit.rows = limit.rows.min(rows_max);
        if limit.rows == 0 {
            continue;
        }
        let which = params![slice, endpoint, class.code(), rows(limit)];
        taken.join(take(batch, keyring, BACKLOG, which, limit)?);
    }
    Ok(taken)
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
            taken.own(batch, keyring, one)?;
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

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Found> {
    let payload: Option<Vec<u8>> = row.get(9)?;
    let key_version: Option<i64> = row.get(8)?;
    let (key, seq): (Option<i64>, Option<i64>) = (row.get(11)?, row.get(12)?);
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
        rank: key.zip(seq).map(|(key, seq)| Rank {
            key: KeyHash::from_raw(key),
            seq,
        }),
        class: row.get(14)?,
        expires: row.get(15)?,
        event_type: row.get(16)?,
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
        let class = Priority::from_code(self.class).ok_or_else(|| corrupt("class"))?;
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
            rank: self.rank,
            class,
            expires_at: self.expires.map(Timestamp::from_millis),
            event_type: self.event_type.map(EventTypeName::from_stored),
            payload,
        })
    }
}

// === impl Taken ===

impl Taken {
    /// Takes a delivery, or holds it if it can't be made; tells whether it was taken.
    pub(super) fn own(
        &mut self,
        batch: &Batch<'_>,
        keyring: &Keyring,
        one: Found,
    ) -> Result<bool, Failure> {
        let key = one.key;
        let [message, endpoint, slice] = [key.message.raw(), key.endpoint.raw(), one.slice];
        match one.open(batch, keyring) {
            Ok(claimed) => {
                let (node, epoch) = (batch.node, batch.epoch);
                let owned = [message, endpoint, slice, node, epoch, claimed.claim];
                batch.execute(OWN, owned)?;
                self.claimed.push(claimed);
                Ok(true)
            }
            Err(Failure::Store(error)) => {
                batch.execute(HOLD, [message, endpoint, slice])?;
                self.held.push((key, error));
                Ok(false)
            }
            Err(failure) => Err(failure),
        }
    }

    /// What is left of a limit.
    pub(super) fn rest(&self, limit: PullLimit) -> PullLimit {
        let bytes = self.claimed.iter().map(|one| one.payload.as_ref());
        let bytes: usize = bytes.flatten().map(bytes::Bytes::len).sum();
        let full = !self.claimed.is_empty() && bytes >= limit.bytes;
        let rows = limit.rows.saturating_sub(self.claimed.len());
        PullLimit {
            rows: if full { 0 } else { rows },
            bytes: limit.bytes.saturating_sub(bytes),
        }
    }

    fn join(&mut self, other: Self) {
        self.claimed.extend(other.claimed);
        self.held.extend(other.held);
        self.more |= other.more;
    }

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
