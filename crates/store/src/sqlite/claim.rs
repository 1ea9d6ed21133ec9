//! Taking deliveries into this node's ownership: retries that are due, backlog that has room, and
//! at the start whatever an earlier process left.

use bytes::Bytes;
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
pub(super) const STATEMENTS: [&str; 5] = [DUE, BACKLOG, NEXT_DUE, OWN, TAKE_BACK];

/// A delivery whose payload is not open yet.
struct Taken {
    app: AppId,
    key: DeliveryKey,
    slice: i64,
    claim: i64,
    trigger: Trigger,
    attempts: u32,
    step: u32,
    payload: Option<(i64, Vec<u8>)>,
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
    let take = move |batch: &mut Batch<'_>| {
        let which = params![now.as_millis(), rows(limit)];
        let taken = own(batch, DUE, which, limit)?;
        let next_due = batch.first(NEXT_DUE, [], |row| row.get(0))?;
        Ok(Ok((taken, next_due.map(Timestamp::from_millis))))
    };
    let (taken, next_due) = store.writer.change::<_, _, StoreError>(take).await?;
    Ok(DueBatch {
        deliveries: open_all(store, taken).await?,
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
    let take = move |batch: &mut Batch<'_>| {
        let which = params![Slice::of(app).as_i64(), endpoint.raw(), rows(limit)];
        Ok(Ok(own(batch, BACKLOG, which, limit)?))
    };
    let taken = store.writer.change::<_, _, StoreError>(take).await?;
    open_all(store, taken).await
}

fn rows(limit: PullLimit) -> i64 {
    i64::try_from(limit.rows).unwrap_or(i64::MAX)
}

/// Reads up to the limit and takes what was read.
fn own(
    batch: &Batch<'_>,
    sql: &str,
    which: &[&dyn rusqlite::ToSql],
    limit: PullLimit,
) -> Result<Vec<Taken>, Failure> {
    let mut taken = Vec::new();
    let mut bytes = 0_usize;
    {
        let mut statement = batch.connection.prepare_cached(sql)?;
        let mut rows = statement.query(which)?;
        while let Some(row) = rows.next()? {
            let size = row.get::<_, Option<i64>>(7)?.unwrap_or_default();
            bytes = bytes.saturating_add(usize::try_from(size).unwrap_or_default());
            if bytes > limit.bytes && !taken.is_empty() {
                break;
            }
            taken.push(read(row)?);
        }
    }
    let mut statement = batch.connection.prepare_cached(OWN)?;
    for one in &taken {
        let (message, endpoint) = (one.key.message.raw(), one.key.endpoint.raw());
        statement.execute(params![
            message,
            endpoint,
            one.slice,
            batch.node,
            batch.epoch,
            one.claim
        ])?;
    }
    Ok(taken)
}

fn read(row: &Row<'_>) -> Result<Taken, Failure> {
    let key = DeliveryKey {
        message: MessageId::from_raw(row.get(0)?),
        endpoint: EndpointId::from_raw(row.get(1)?),
    };
    let payload: Option<Vec<u8>> = row.get(9)?;
    let key_version: Option<i64> = row.get(8)?;
    let name = || format!("{} {}", key.message, key.endpoint);
    Ok(Taken {
        app: AppId::from_raw(row.get(3)?),
        key,
        slice: row.get(2)?,
        // The one that begins now.
        claim: row.get::<_, i64>(10)?.saturating_add(1),
        trigger: Trigger::from_code(row.get(4)?)
            .ok_or_else(|| corrupt("pending", "trigger", name()))?,
        attempts: row.get(5)?,
        step: row.get(6)?,
        payload: key_version.zip(payload),
    })
}

/// Opens the payloads. A delivery whose payload does not open must not keep the others from being
/// made, nor be made again and again: it is held, for an operator to see to.
async fn open_all(store: &SqliteStore, taken: Vec<Taken>) -> Result<Vec<Claimed>, StoreError> {
    let mut claimed = Vec::with_capacity(taken.len());
    let mut unopened = Vec::new();
    for one in taken {
        match open(store, one.app, one.key.message, one.payload).await {
            Ok(payload) => claimed.push(Claimed {
                app: one.app,
                key: one.key,
                claim: one.claim,
                trigger: one.trigger,
                attempts: one.attempts,
                step: one.step,
                payload,
            }),
            Err(error) => {
                tracing::error!(
                    message.id = %one.key.message,
                    endpoint.id = %one.key.endpoint,
                    error = %error,
                    "Held a delivery whose payload can't be opened"
                );
                unopened.push((one.app, one.key));
            }
        }
    }
    if !unopened.is_empty() {
        crate::sqlite::backlog::hold(store, unopened).await?;
    }
    Ok(claimed)
}

async fn open(
    store: &SqliteStore,
    app: AppId,
    message: MessageId,
    sealed: Option<(i64, Vec<u8>)>,
) -> Result<Option<Bytes>, StoreError> {
    let Some((key_version, sealed)) = sealed else {
        return Ok(None);
    };
    let keys = store.keys(app).await?;
    let keys = keys.ok_or(StoreError::Unsealable { what: "data_key" })?;
    let place = Place::MessagePayload {
        message: message.raw(),
    };
    keys.open(place, key_version, &sealed).map(Some)
}
