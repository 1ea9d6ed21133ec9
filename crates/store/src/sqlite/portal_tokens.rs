//! Tokens of applications: those that ended before their time, and those that are handed out once.

use rusqlite::{Connection, Row, params};

use hookseal_domain::access::api_token::TokenHash;
use hookseal_domain::access::cutoffs::{Cutoff, Cutoffs};
use hookseal_domain::access::portal::PortalGrant;
use hookseal_domain::access::scopes::Scopes;
use hookseal_domain::id::AppId;
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;

use crate::error::{ChangeError, StoreError};
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{Batch, all, first};
use crate::sqlite::failure::{Failure, corrupt};
use crate::sqlite::rows::{Typed, json};

/// Expired rows that are forgotten with each new one: twice as fast as they come, and in no time.
const FORGOTTEN_AT_ONCE: i64 = 2;

const CUTOFFS: &str = "SELECT cutoffs FROM token_cutoff WHERE slice = ?1 AND app = ?2";
const PUT_CUTOFFS: &str =
    "INSERT OR REPLACE INTO token_cutoff (slice, app, cutoffs) VALUES (?1, ?2, ?3)";
const END: &str = "INSERT OR IGNORE INTO ended_token (hash, forget_at) VALUES (?1, ?2)";
const ENDED: &str = "SELECT 1 FROM ended_token WHERE hash = ?1";
const FORGET_ENDED: &str = "DELETE FROM ended_token WHERE hash IN (SELECT hash FROM ended_token \
    WHERE forget_at IS NOT NULL AND forget_at <= ?1 ORDER BY forget_at LIMIT ?2)";
const KEEP: &str = "INSERT INTO one_time_token \
    (hash, org, app, scopes, feature_flags, lasts_secs, expires_at, issued_at) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const FORGET_UNUSED: &str = "DELETE FROM one_time_token WHERE hash IN (SELECT hash \
    FROM one_time_token WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";
const KEPT: &str = "SELECT hash, org, app, scopes, feature_flags, lasts_secs, issued_at \
    FROM one_time_token \
    WHERE hash = ?1 AND expires_at > ?2";
const TAKE: &str = "DELETE FROM one_time_token WHERE hash = ?1";
const SHORTEN: &str = "UPDATE one_time_token SET expires_at = min(expires_at, ?2) WHERE app = ?1";
const FORGET_ALL: &str = "DELETE FROM one_time_token WHERE app = ?1";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 8] = [
    CUTOFFS,
    ENDED,
    FORGET_ENDED,
    FORGET_UNUSED,
    KEPT,
    TAKE,
    SHORTEN,
    FORGET_ALL,
];

/// Up to when tokens of an application were issued that hold no more.
pub(super) fn cutoffs(connection: &Connection, app: AppId) -> Result<Cutoffs, Failure> {
    let key = [Slice::of(app).as_i64(), app.raw()];
    let Some(text): Option<String> = first(connection, CUTOFFS, key, |row| row.get(0))? else {
        return Ok(Cutoffs::default());
    };
    let pairs: Vec<(i64, i64)> =
        serde_json::from_str(&text).map_err(|_| corrupt("token_cutoff", "cutoffs", app))?;
    let cutoff = |(issued_until, at)| Cutoff {
        issued_until: Timestamp::from_millis(issued_until),
        at: Timestamp::from_millis(at),
    };
    Ok(Cutoffs::from_stored(
        pairs.into_iter().map(cutoff).collect(),
    ))
}

/// Ends tokens of an application by when they were issued, and what would become tokens.
pub(super) async fn cut_off(
    store: &SqliteStore,
    app: AppId,
    cutoff: Cutoff,
) -> Result<(), ChangeError> {
    let cut_off = move |batch: &mut Batch<'_>| {
        if batch.version(app)?.is_none() {
            return Ok(Err(ChangeError::NotFound));
        }
        let cutoffs = cutoffs(batch.connection, app)?.with(cutoff);
        let pair = |cutoff: &Cutoff| (cutoff.issued_until.as_millis(), cutoff.at.as_millis());
        let pairs: Vec<_> = cutoffs.as_slice().iter().map(pair).collect();
        let row = params![Slice::of(app).as_i64(), app.raw(), json(&pairs)];
        batch.execute(PUT_CUTOFFS, row)?;
        batch.execute(SHORTEN, [app.raw(), cutoff.at.as_millis()])?;
        batch.changed(app, 0)?;
        Ok(Ok(()))
    };
    store.writer.change(cut_off).await
}

/// Forgets what would become tokens of an application that is deleted.
pub(super) fn forget(batch: &mut Batch<'_>, app: AppId) -> Result<(), Failure> {
    batch.execute(FORGET_ALL, [app.raw()])?;
    Ok(())
}

/// Ends one token.
pub(super) async fn end(
    store: &SqliteStore,
    hash: TokenHash,
    ends_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let end = move |batch: &mut Batch<'_>| {
        batch.execute(FORGET_ENDED, [now.as_millis(), FORGOTTEN_AT_ONCE])?;
        batch.execute(END, params![hash.0, ends_at.map(Timestamp::as_millis)])?;
        Ok(Ok(()))
    };
    store.writer.change(end).await
}

/// Whether a token was ended by itself.
pub(super) async fn is_ended(store: &SqliteStore, hash: TokenHash) -> Result<bool, StoreError> {
    let find = move |connection: &Connection| {
        Ok(first(connection, ENDED, [hash.0], |_| Ok(()))?.is_some())
    };
    store.readers.ask(find).await
}

/// Keeps what may be taken once, unless its application was deleted meanwhile.
pub(super) async fn keep(
    store: &SqliteStore,
    hash: TokenHash,
    grant: PortalGrant,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let keep = move |batch: &mut Batch<'_>| {
        if batch.version(grant.app)?.is_none() {
            return Ok(Err(ChangeError::NotFound));
        }
        batch.execute(FORGET_UNUSED, [now.as_millis(), FORGOTTEN_AT_ONCE])?;
        let row = params![
            hash.0,
            grant.org.as_bytes(),
            grant.app.raw(),
            grant.scopes.bits(),
            json(&grant.feature_flags),
            grant.lasts_secs,
            expires_at.as_millis(),
            grant.issued_at.as_millis(),
        ];
        batch.execute(KEEP, row)?;
        Ok(Ok(()))
    };
    store.writer.change(keep).await
}

/// Takes what may be taken once. Whoever guesses does not reach the writer.
pub(super) async fn take(
    store: &SqliteStore,
    hash: TokenHash,
    now: Timestamp,
) -> Result<Option<PortalGrant>, StoreError> {
    let find = move |connection: &Connection| find(connection, hash, now);
    let Some(grant) = store.readers.ask(find).await? else {
        return Ok(None);
    };
    let take = move |batch: &mut Batch<'_>| Ok(Ok(batch.execute(TAKE, [hash.0])?));
    let taken = store.writer.change::<_, _, StoreError>(take).await?;
    Ok((taken == 1).then_some(grant))
}

fn find(
    connection: &Connection,
    hash: TokenHash,
    now: Timestamp,
) -> Result<Option<PortalGrant>, Failure> {
    let which = params![hash.0, now.as_millis()];
    Ok(all(connection, KEPT, which, read)?.pop())
}

fn read(row: &Row<'_>) -> Result<PortalGrant, Failure> {
    let app = AppId::from_raw(row.get("app")?);
    let row = Typed {
        row,
        table: "one_time_token",
        id: app,
    };
    let scopes = Scopes::from_bits(row.plain("scopes")?);
    let flags = row.json("feature_flags")?;
    Ok(PortalGrant {
        org: row.org("org")?,
        app,
        scopes: scopes.ok_or_else(|| row.corrupt("scopes"))?,
        feature_flags: flags.ok_or_else(|| row.corrupt("feature_flags"))?,
        lasts_secs: row.plain("lasts_secs")?,
        issued_at: Timestamp::from_millis(row.plain("issued_at")?),
    })
}
