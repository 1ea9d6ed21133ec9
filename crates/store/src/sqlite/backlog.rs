//! Deliveries between memory and rows: given back, held, released, listed, made anew.

use rusqlite::{Connection, params};

use hookseal_domain::delivery::priority::Priority;
use hookseal_domain::delivery::{DeliveryKey, Trigger};
use hookseal_domain::endpoint::order::KeyHash;
use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;

use crate::codes::{Code, PendingState};
use crate::error::{ResendError, StoreError};
use crate::publish::Idempotency;
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{Batch, all, first};
use crate::sqlite::failure::Failure;
use crate::sqlite::idempotency::{self, Earlier};
use crate::sqlite::order;

/// Most endpoints looked at in one go.
const ENDPOINTS_PER_RELEASE: i64 = 100;

const GIVE_UP: &str = "UPDATE pending SET state = ?6, owner = NULL, epoch = NULL \
    WHERE msg = ?1 AND ep = ?2 AND slice = ?3 AND owner = ?4 AND epoch = ?5";
/// Where an endpoint was enabled or deleted before its deliveries were held.
const RELEASE_IF_LIVE: &str = "UPDATE endpoint SET release_held = 1 \
    WHERE slice = ?1 AND app = ?2 AND id = ?3 \
    AND (deleted_at IS NOT NULL OR (disabled = 0 AND switched_off IS NULL AND withheld = 0))";
/// The next endpoint with a backlog, in the order of the index.
const NEXT_BACKLOGGED: &str = "SELECT slice, ep, app FROM pending \
    WHERE owner IS NULL AND state = 2 AND (slice, ep) > (?1, ?2) ORDER BY slice, ep LIMIT 1";
const RELEASING: &str = "SELECT slice, app, id, deleted_at IS NOT NULL FROM endpoint \
    WHERE release_held = 1 ORDER BY slice, app, id LIMIT ?1";
const UNOWNED: &str = "SELECT msg FROM pending \
    WHERE owner IS NULL AND state = ?3 AND slice = ?1 AND ep = ?2 ORDER BY msg LIMIT ?4";
const TO_BACKLOG: &str = "UPDATE pending SET state = 2, due = NULL \
    WHERE msg = ?1 AND ep = ?2 AND slice = ?3";
const RELEASED: &str =
    "UPDATE endpoint SET release_held = 0 WHERE slice = ?1 AND app = ?2 AND id = ?3";
const RESENDABLE: &str = "SELECT m.payload IS NOT NULL, e.disabled = 1 OR e.switched_off IS NOT NULL, \
    o.class, o.expires_at FROM message m CROSS JOIN endpoint e LEFT JOIN message_option o \
    ON o.slice = m.slice AND o.app = m.app AND o.msg = m.id WHERE m.slice = ?1 AND m.app = ?2 AND m.id = ?3 \
    AND e.slice = ?1 AND e.app = ?2 AND e.id = ?4 AND e.deleted_at IS NULL";
const RESEND: &str = "INSERT INTO pending \
    (msg, ep, slice, app, state, trigger, attempts, step, due, owner, epoch, claim, seq, \
    order_key, class, expires) \
    VALUES (?1, ?2, ?3, ?4, ?11, ?5, 0, 0, ?12, NULL, NULL, ?6, ?7, ?8, ?9, ?10) \
    ON CONFLICT (msg, ep, slice) DO UPDATE SET state = 2, trigger = ?5, attempts = 0, step = 0, \
    due = NULL, owner = NULL, epoch = NULL, claim = claim + 1";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 8] = [
    GIVE_UP,
    RELEASE_IF_LIVE,
    NEXT_BACKLOGGED,
    RELEASING,
    UNOWNED,
    TO_BACKLOG,
    RELEASED,
    RESENDABLE,
];

/// Gives deliveries back as backlog.
pub(super) async fn give_back(
    store: &SqliteStore,
    keys: Vec<(AppId, DeliveryKey)>,
) -> Result<(), StoreError> {
    let give = move |batch: &mut Batch<'_>| {
        give_up(batch, &keys, PendingState::Backlog)?;
        Ok(Ok(()))
    };
    store.writer.change::<_, _, StoreError>(give).await
}

/// Holds deliveries. Where their endpoint was enabled or deleted meanwhile, they are released
/// again.
pub(super) async fn hold(
    store: &SqliteStore,
    keys: Vec<(AppId, DeliveryKey)>,
) -> Result<(), StoreError> {
    let hold = move |batch: &mut Batch<'_>| {
        give_up(batch, &keys, PendingState::Held)?;
        for (app, key) in &keys {
            let endpoint = params![Slice::of(*app).as_i64(), app.raw(), key.endpoint.raw()];
            batch.execute(RELEASE_IF_LIVE, endpoint)?;
        }
        Ok(Ok(()))
    };
    store.writer.change::<_, _, StoreError>(hold).await
}

fn give_up(
    batch: &Batch<'_>,
    keys: &[(AppId, DeliveryKey)],
    state: PendingState,
) -> rusqlite::Result<()> {
    for (app, key) in keys {
        let row = params![
            key.message.raw(),
            key.endpoint.raw(),
            Slice::of(*app).as_i64(),
            batch.node,
            batch.epoch,
            state.code()
        ];
        batch.execute(GIVE_UP, row)?;
    }
    Ok(())
}

/// Lists endpoints that have a backlog, by slice and id.
pub(super) async fn backlogged(
    store: &SqliteStore,
    after: Option<(AppId, EndpointId)>,
    limit: usize,
) -> Result<Vec<(AppId, EndpointId)>, StoreError> {
    let list = move |connection: &Connection| {
        let mut found = Vec::new();
        let mut last = after.map_or((-1, 0), |(app, endpoint)| {
            (Slice::of(app).as_i64(), endpoint.raw())
        });
        while found.len() < limit {
            let next = first(connection, NEXT_BACKLOGGED, last, |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
            let Some((slice, endpoint, app)) = next else {
                break;
            };
            last = (slice, endpoint);
            found.push((AppId::from_raw(app), EndpointId::from_raw(endpoint)));
        }
        Ok(found)
    };
    store.readers.ask(list).await
}

/// Moves held deliveries of endpoints that were enabled, and all that wait for endpoints that were
/// deleted, into the backlog.
pub(super) async fn release(
    store: &SqliteStore,
    limit: usize,
) -> Result<Vec<(AppId, EndpointId)>, StoreError> {
    let release = move |batch: &mut Batch<'_>| {
        let mut room = limit;
        let mut released = Vec::new();
        while room > 0 && released.is_empty() {
            let endpoints = all(
                batch.connection,
                RELEASING,
                [ENDPOINTS_PER_RELEASE],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )?;
            if endpoints.is_empty() {
                break;
            }
            for (slice, app, endpoint, deleted) in endpoints {
                let moved = release_endpoint(batch, slice, endpoint, deleted, room)?;
                if moved > 0 {
                    released.push((AppId::from_raw(app), EndpointId::from_raw(endpoint)));
                }
                room = room.saturating_sub(moved);
                if room == 0 {
                    break;
                }
                batch.execute(RELEASED, [slice, app, endpoint])?;
            }
        }
        Ok(Ok(released))
    };
    store.writer.change::<_, _, StoreError>(release).await
}

fn release_endpoint(
    batch: &Batch<'_>,
    slice: i64,
    endpoint: i64,
    deleted: bool,
    room: usize,
) -> Result<usize, Failure> {
    let mut moved = 0;
    let mut states = vec![PendingState::Held];
    if deleted {
        states.extend([PendingState::Waiting, PendingState::Blocked]);
    }
    for state in states {
        let room = i64::try_from(room.saturating_sub(moved)).unwrap_or(i64::MAX);
        let which = params![slice, endpoint, state.code(), room];
        let messages: Vec<i64> = all(batch.connection, UNOWNED, which, |row| Ok(row.get(0)?))?;
        for message in &messages {
            batch.execute(TO_BACKLOG, [*message, endpoint, slice])?;
        }
        moved += messages.len();
    }
    Ok(moved)
}

/// What a message says of a delivery that is made again.
pub(super) struct Again {
    /// Its class; `None` for the usual one.
    pub(super) class: Option<i64>,
    /// When it ends undelivered.
    pub(super) expires: Option<i64>,
    /// When it begins, where that is still to come.
    pub(super) due: Option<i64>,
}

/// Makes a new delivery of an old message, or begins an unfinished one anew, at its old place.
pub(super) fn make_again(
    batch: &Batch<'_>,
    app: AppId,
    key: DeliveryKey,
    order: Option<KeyHash>,
    again: &Again,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let (message, endpoint) = (key.message.raw(), key.endpoint.raw());
    let slice = Slice::of(app).as_i64();
    let seq = order
        .map(|_| order::draw(batch, slice, endpoint))
        .transpose()?;
    let state = match again.due {
        Some(_) => PendingState::Waiting,
        None => PendingState::Backlog,
    };
    let row = params![
        message,
        endpoint,
        slice,
        app.raw(),
        Trigger::Resend.code(),
        // Of a row that is gone nobody knows the claims, but there were fewer than milliseconds.
        now.as_millis().max(0),
        seq,
        order.map(KeyHash::raw),
        again.class.unwrap_or(Priority::default().code()),
        again.expires,
        state.code(),
        again.due,
    ];
    batch.execute(RESEND, row)?;
    Ok(())
}

/// Makes a new delivery of an old message. What is in memory of an unfinished one is fenced off.
pub(super) async fn resend(
    store: &SqliteStore,
    app: AppId,
    key: DeliveryKey,
    order: Option<KeyHash>,
    now: Timestamp,
    request: Option<Idempotency>,
) -> Result<(), ResendError> {
    let (message, endpoint) = (key.message.raw(), key.endpoint.raw());
    let resend = move |batch: &mut Batch<'_>| {
        let slice = Slice::of(app).as_i64();
        match idempotency::earlier(batch, slice, request.as_ref(), now)? {
            Earlier::None => {}
            Earlier::Made(_) => return Ok(Ok(())),
            Earlier::OtherBody => return Ok(Err(ResendError::IdempotencyKeyReused)),
        }
        let found = batch.first(RESENDABLE, [slice, app.raw(), message, endpoint], |row| {
            Ok((
                (row.get(0)?, row.get(1)?),
                row.get::<_, Option<i64>>(2)?,
                row.get::<_, Option<i64>>(3)?,
            ))
        })?;
        let (class, expires) = match found {
            None => return Ok(Err(ResendError::NotFound)),
            Some(((false, _), ..)) => return Ok(Err(ResendError::PayloadGone)),
            Some((_, _, Some(at))) if at <= now.as_millis() => {
                return Ok(Err(ResendError::MessageExpired));
            }
            Some(((true, true), ..)) => return Ok(Err(ResendError::EndpointDisabled)),
            Some(((true, false), class, expires)) => (class, expires),
        };
        let again = Again {
            class,
            expires,
            due: None,
        };
        // One that is unfinished keeps its place, or has none; then this one stays unused.
        make_again(batch, app, key, order, &again, now)?;
        idempotency::remember(batch, slice, request.as_ref(), message)?;
        Ok(Ok(()))
    };
    store.writer.change(resend).await
}
