//! Signing keys, sealed. Exactly one of an endpoint has no end.

use rusqlite::{Connection, Row, params};

use hookseal_domain::endpoint::LiveKey;
use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::limits::SIGNING_KEYS_MAX;
use hookseal_domain::signature::key::{KeyKind, SigningKey};
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;

use crate::codes::Code;
use crate::config::{Created, NewSigningKey};
use crate::error::{ChangeError, StoreError};
use crate::publish::Idempotency;
use crate::seal::{Place, Sealed};
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{Batch, all};
use crate::sqlite::endpoints;
use crate::sqlite::failure::Failure;
use crate::sqlite::idempotency::{self, Earlier};
use crate::sqlite::keyring::DataKeys;
use crate::sqlite::rows::Typed;

const LIST: &str = "SELECT serial, kind, key_version, secret, expires_at FROM signing_key \
    WHERE slice = ?1 AND ep = ?2 ORDER BY serial DESC";
const LAST_SERIAL: &str = "SELECT serial FROM signing_key WHERE slice = ?1 AND ep = ?2 \
    ORDER BY serial DESC LIMIT 1";
const COUNT: &str = "SELECT count(*) FROM signing_key WHERE slice = ?1 AND ep = ?2 \
    AND ifnull(expires_at, ?4) > ?3";
const INSERT: &str = "INSERT INTO signing_key \
    (slice, ep, serial, app, kind, key_version, secret, expires_at) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL)";
const END: &str = "UPDATE signing_key SET expires_at = min(ifnull(expires_at, ?3), ?3) \
    WHERE slice = ?1 AND ep = ?2";
const FORGET: &str = "DELETE FROM signing_key WHERE slice = ?1 AND ep = ?2";
const FORGET_ENDED: &str =
    "DELETE FROM signing_key WHERE slice = ?1 AND ep = ?2 AND expires_at <= ?3";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 6] = [LIST, LAST_SERIAL, COUNT, END, FORGET_ENDED, FORGET];

/// A key that is sealed, with its kind.
pub(super) struct SealedKey {
    kind: KeyKind,
    sealed: Sealed,
}

/// Seals a key for its row.
pub(super) fn seal(
    keys: &DataKeys,
    endpoint: EndpointId,
    serial: i64,
    key: &SigningKey,
) -> Result<SealedKey, StoreError> {
    let endpoint = endpoint.raw();
    let place = Place::SigningKeySecret { endpoint, serial };
    Ok(SealedKey {
        kind: key.kind(),
        sealed: keys.seal(place, key.secret_bytes().expose())?,
    })
}

/// Writes a key without an end.
pub(super) fn insert(
    batch: &Batch<'_>,
    app: AppId,
    endpoint: EndpointId,
    serial: i64,
    key: &SealedKey,
) -> rusqlite::Result<usize> {
    let row = params![
        Slice::of(app).as_i64(),
        endpoint.raw(),
        serial,
        app.raw(),
        key.kind.code(),
        key.sealed.key_version,
        key.sealed.bytes,
    ];
    batch.execute(INSERT, row)
}

/// Deletes all keys of an endpoint.
pub(super) fn forget(
    batch: &Batch<'_>,
    app: AppId,
    endpoint: EndpointId,
) -> rusqlite::Result<usize> {
    batch.execute(FORGET, [Slice::of(app).as_i64(), endpoint.raw()])
}

/// The key that has no end.
pub(super) async fn current(
    store: &SqliteStore,
    app: AppId,
    endpoint: EndpointId,
) -> Result<Option<SigningKey>, StoreError> {
    let keyring = store.keyring.clone();
    let open = move |connection: &Connection| {
        if endpoints::live(connection, app, endpoint)?.is_none() {
            return Ok(None);
        }
        let keys = keyring.of_rows(connection, app)?;
        let all = list(connection, &keys, app, endpoint)?;
        Ok(all
            .into_iter()
            .find(|k| k.expires_at.is_none())
            .map(|k| k.key))
    };
    store.readers.ask(open).await
}

/// Makes a key the current one.
pub(super) async fn rotate(
    store: &SqliteStore,
    app: AppId,
    endpoint: EndpointId,
    new: NewSigningKey,
    request: Option<Idempotency>,
) -> Result<Created<()>, ChangeError> {
    let keys = store.keys(app).await?.ok_or(ChangeError::NotFound)?;
    let rotate = move |batch: &mut Batch<'_>| {
        let slice = Slice::of(app).as_i64();
        match idempotency::earlier(batch, slice, request.as_ref(), new.now)? {
            Earlier::None => {}
            Earlier::Made(_) => return Ok(Ok(Created::Existing(()))),
            Earlier::OtherBody => return Ok(Err(ChangeError::IdempotencyKeyReused)),
        }
        if endpoints::live(batch.connection, app, endpoint)?.is_none() {
            return Ok(Err(ChangeError::NotFound));
        }
        let (now, ends) = (new.now.as_millis(), new.old_ends_at.as_millis());
        let of = [slice, endpoint.raw()];
        let [of_slice, of_endpoint] = of;
        let live = [of_slice, of_endpoint, now, i64::MAX];
        let live: u32 = batch
            .first(COUNT, live, |row| row.get(0))?
            .unwrap_or_default();
        if ends > now && usize::try_from(live).is_ok_and(|live| live >= SIGNING_KEYS_MAX) {
            let max = SIGNING_KEYS_MAX;
            return Ok(Err(ChangeError::TooMany { max }));
        }
        let last: Option<i64> = batch.first(LAST_SERIAL, of, |row| row.get(0))?;
        let serial = last.unwrap_or_default() + 1;
        // The serial is part of what is sealed, and only known here. It is rare.
        let sealed = seal(&keys, endpoint, serial, &new.key)?;
        batch.execute(END, [slice, endpoint.raw(), ends])?;
        batch.execute(FORGET_ENDED, [slice, endpoint.raw(), now])?;
        insert(batch, app, endpoint, serial, &sealed)?;
        batch.changed(app, 0)?;
        idempotency::remember(batch, slice, request.as_ref(), endpoint.raw())?;
        Ok(Ok(Created::New(())))
    };
    store.writer.change(rotate).await
}

/// All keys of an endpoint, newest first.
pub(super) fn list(
    connection: &Connection,
    keys: &DataKeys,
    app: AppId,
    endpoint: EndpointId,
) -> Result<Vec<LiveKey>, Failure> {
    let of = [Slice::of(app).as_i64(), endpoint.raw()];
    all(connection, LIST, of, |row| read(row, keys, endpoint))
}

fn read(row: &Row<'_>, keys: &DataKeys, endpoint: EndpointId) -> Result<LiveKey, Failure> {
    let row = Typed {
        row,
        table: "signing_key",
        id: endpoint,
    };
    let place = Place::SigningKeySecret {
        endpoint: endpoint.raw(),
        serial: row.plain("serial")?,
    };
    let sealed: Vec<u8> = row.plain("secret")?;
    let secret = keys.open_secret(place, row.plain("key_version")?, &sealed)?;
    let kind: KeyKind = row.code("kind")?;
    let expires_at: Option<Timestamp> = row.time_or_null("expires_at")?;
    Ok(LiveKey {
        key: SigningKey::from_bytes(kind, secret.expose()).map_err(|_| row.corrupt("secret"))?,
        expires_at,
    })
}
