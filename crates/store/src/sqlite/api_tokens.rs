//! Tokens that the API made, found by the hash of their text.

use std::time::Duration;

use rusqlite::{Connection, Row, params};

use hookseal_domain::access::api_token::{ApiToken, TokenHash};
use hookseal_domain::access::scopes::Scopes;
use hookseal_domain::id::{ApiTokenId, OrgId};
use hookseal_domain::limits::API_TOKENS_MAX;
use hookseal_domain::time::Timestamp;

use crate::error::{ChangeError, StoreError};
use crate::page::{Page, PageRequest};
use crate::publish::Idempotency;
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{Batch, all, count};
use crate::sqlite::failure::Failure;
use crate::sqlite::idempotency::{self, Earlier};
use crate::sqlite::rows::{Typed, id_range, rows_to_read};
use crate::tokens::{ApiTokenChange, NewApiToken};

/// How long a token is listed that has ended: whoever looks into what it did looks soon.
const SHOWN_EXPIRED: Duration = Duration::from_hours(90 * 24);

macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT org, id, ending, name, scopes, expires_at, used_at FROM api_token WHERE ",
            $which
        )
    };
}

const ONE: &str = select!("org = ?1 AND id = ?2");
const OF_HASH: &str = select!("hash = ?1");
const LIST_UP: &str = select!("org = ?1 AND id > ?2 AND id < ?3 ORDER BY id LIMIT ?4");
const LIST_DOWN: &str = select!("org = ?1 AND id > ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4");
const COUNT: &str = "SELECT count(*) FROM api_token WHERE org = ?1";
const FORGET: &str = "DELETE FROM api_token WHERE org = ?1 AND expires_at <= ?2";
const INSERT: &str = "INSERT INTO api_token (org, id, hash, ending, name, scopes, expires_at) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const REPLACE_TEXT: &str = "UPDATE api_token SET hash = ?3, ending = ?4 WHERE org = ?1 AND id = ?2";
const CHANGE: &str = "UPDATE api_token SET name = ifnull(?3, name), scopes = ifnull(?4, scopes) \
    WHERE org = ?1 AND id = ?2";
const EXPIRE: &str = "UPDATE api_token SET expires_at = min(ifnull(expires_at, ?3), ?3) \
    WHERE org = ?1 AND id = ?2";
const USED: &str = "UPDATE api_token SET used_at = max(ifnull(used_at, ?3), ?3) \
    WHERE org = ?1 AND id = ?2";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 10] = [
    ONE,
    OF_HASH,
    LIST_UP,
    LIST_DOWN,
    COUNT,
    FORGET,
    REPLACE_TEXT,
    CHANGE,
    EXPIRE,
    USED,
];

/// Makes a token, or gives the one that this request made a new text.
pub(super) async fn create(
    store: &SqliteStore,
    new: NewApiToken,
    request: Option<Idempotency>,
) -> Result<ApiToken, ChangeError> {
    let create = move |batch: &mut Batch<'_>| {
        let token = &new.token;
        let slice = idempotency::slice_of_key(request.as_ref());
        match idempotency::earlier(batch, slice, request.as_ref(), new.now)? {
            Earlier::None => {}
            Earlier::Made(id) => return replace_text(batch, ApiTokenId::from_raw(id), &new),
            Earlier::OtherBody => return Ok(Err(ChangeError::IdempotencyKeyReused)),
        }
        let long_ago = new.now.minus(SHOWN_EXPIRED).as_millis();
        batch.execute(FORGET, params![token.org.as_bytes(), long_ago])?;
        let made = count(batch.connection, COUNT, [token.org.as_bytes()])?;
        if usize::try_from(made).is_ok_and(|made| made >= API_TOKENS_MAX) {
            let max = API_TOKENS_MAX;
            return Ok(Err(ChangeError::TooMany { max }));
        }
        let row = params![
            token.org.as_bytes(),
            token.id.raw(),
            new.hash.0,
            token.ending,
            token.name,
            token.scopes.bits(),
            token.expires_at.map(Timestamp::as_millis),
        ];
        batch.execute(INSERT, row)?;
        idempotency::remember(batch, slice, request.as_ref(), token.id.raw())?;
        Ok(Ok(token.clone()))
    };
    store.writer.change(create).await
}

fn replace_text(
    batch: &Batch<'_>,
    made: ApiTokenId,
    new: &NewApiToken,
) -> Result<Result<ApiToken, ChangeError>, Failure> {
    let org = new.token.org;
    let row = params![org.as_bytes(), made.raw(), new.hash.0, new.token.ending];
    batch.execute(REPLACE_TEXT, row)?;
    Ok(find(batch.connection, org, made)?.ok_or(ChangeError::NotFound))
}

/// One token.
pub(super) async fn one(
    store: &SqliteStore,
    org: OrgId,
    id: ApiTokenId,
) -> Result<Option<ApiToken>, StoreError> {
    let find = move |connection: &Connection| find(connection, org, id);
    store.readers.ask(find).await
}

/// The token with this text.
pub(super) async fn of_hash(
    store: &SqliteStore,
    hash: TokenHash,
) -> Result<Option<ApiToken>, StoreError> {
    let find = move |connection: &Connection| Ok(all(connection, OF_HASH, [hash.0], read)?.pop());
    store.readers.ask(find).await
}

/// Tokens by id.
pub(super) async fn list(
    store: &SqliteStore,
    org: OrgId,
    page: PageRequest<ApiTokenId>,
) -> Result<Page<ApiToken>, StoreError> {
    let list = move |connection: &Connection| {
        let (low, high) = id_range(&page, ApiTokenId::raw);
        let sql = if page.reads_ascending() {
            LIST_UP
        } else {
            LIST_DOWN
        };
        let which = params![org.as_bytes(), low, high, rows_to_read(&page)];
        Ok(page.page_of(all(connection, sql, which, read)?))
    };
    store.readers.ask(list).await
}

/// Changes a token.
pub(super) async fn change(
    store: &SqliteStore,
    org: OrgId,
    id: ApiTokenId,
    change: ApiTokenChange,
) -> Result<ApiToken, ChangeError> {
    let change = move |batch: &mut Batch<'_>| {
        let scopes = change.scopes.map(Scopes::bits);
        let row = params![org.as_bytes(), id.raw(), change.name, scopes];
        batch.execute(CHANGE, row)?;
        Ok(find(batch.connection, org, id)?.ok_or(ChangeError::NotFound))
    };
    store.writer.change(change).await
}

/// Lets a token end.
pub(super) async fn expire(
    store: &SqliteStore,
    org: OrgId,
    id: ApiTokenId,
    at: Timestamp,
) -> Result<(), ChangeError> {
    let expire = move |batch: &mut Batch<'_>| {
        let row = params![org.as_bytes(), id.raw(), at.as_millis()];
        Ok(match batch.execute(EXPIRE, row)? {
            0 => Err(ChangeError::NotFound),
            _ => Ok(()),
        })
    };
    store.writer.change(expire).await
}

/// Takes down that a token was used.
pub(super) async fn used(
    store: &SqliteStore,
    org: OrgId,
    id: ApiTokenId,
    at: Timestamp,
) -> Result<(), StoreError> {
    let used = move |batch: &mut Batch<'_>| {
        let row = params![org.as_bytes(), id.raw(), at.as_millis()];
        batch.execute(USED, row)?;
        Ok(Ok(()))
    };
    store.writer.change(used).await
}

fn find(connection: &Connection, org: OrgId, id: ApiTokenId) -> Result<Option<ApiToken>, Failure> {
    Ok(all(connection, ONE, params![org.as_bytes(), id.raw()], read)?.pop())
}

fn read(row: &Row<'_>) -> Result<ApiToken, Failure> {
    let id = ApiTokenId::from_raw(row.get("id")?);
    let row = Typed {
        row,
        table: "api_token",
        id,
    };
    let scopes = Scopes::from_bits(row.plain("scopes")?);
    Ok(ApiToken {
        id,
        org: row.org("org")?,
        name: row.plain("name")?,
        scopes: scopes.ok_or_else(|| row.corrupt("scopes"))?,
        ending: row.plain("ending")?,
        expires_at: row.time_or_null("expires_at")?,
        used_at: row.time_or_null("used_at")?,
    })
}
