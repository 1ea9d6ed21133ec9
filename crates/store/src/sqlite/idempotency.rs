//! Requests that were made before. A record stands in the transaction of what the request made, or
//! right after it.

use hookseal_domain::id::{AppId, MessageId};
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;

use crate::error::ChangeError;
use crate::publish::Idempotency;
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::Batch;
use crate::sqlite::failure::Failure;

const EARLIER: &str = "SELECT body_hash, made FROM idempotency \
    WHERE key_hash = ?1 AND slice = ?2 AND expires > ?3";
const REMEMBER: &str = "INSERT OR REPLACE INTO idempotency \
    (key_hash, slice, body_hash, made, expires) VALUES (?1, ?2, ?3, ?4, ?5)";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 1] = [EARLIER];

/// What is known of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Earlier {
    /// Nothing: it is to be carried out.
    None,
    /// It made this before.
    Made(i64),
    /// Another request had the same key.
    OtherBody,
}

/// What an earlier request with the same key made, where the change does not carry the key.
pub(super) async fn find(
    store: &SqliteStore,
    request: Idempotency,
    now: Timestamp,
) -> Result<Option<i64>, ChangeError> {
    let find = move |batch: &mut Batch<'_>| {
        let slice = slice_of_key(Some(&request));
        Ok(match earlier(batch, slice, Some(&request), now)? {
            Earlier::None => Ok(None),
            Earlier::Made(made) => Ok(Some(made)),
            Earlier::OtherBody => Err(ChangeError::IdempotencyKeyReused),
        })
    };
    store.writer.change(find).await
}

/// The message that an earlier request of this kind made.
pub(super) async fn find_message(
    store: &SqliteStore,
    app: AppId,
    request: Idempotency,
    now: Timestamp,
) -> Result<Option<MessageId>, ChangeError> {
    let find = move |batch: &mut Batch<'_>| {
        let slice = Slice::of(app).as_i64();
        Ok(match earlier(batch, slice, Some(&request), now)? {
            Earlier::None => Ok(None),
            Earlier::Made(made) => Ok(Some(MessageId::from_raw(made))),
            Earlier::OtherBody => Err(ChangeError::IdempotencyKeyReused),
        })
    };
    store.writer.change(find).await
}

/// Takes down what such a request made.
pub(super) async fn keep(
    store: &SqliteStore,
    request: Idempotency,
    made: i64,
) -> Result<(), ChangeError> {
    let keep = move |batch: &mut Batch<'_>| {
        let slice = slice_of_key(Some(&request));
        remember(batch, slice, Some(&request), made)?;
        Ok(Ok(()))
    };
    store.writer.change(keep).await
}

/// Looks for an earlier request with the same key.
pub(super) fn earlier(
    batch: &Batch<'_>,
    slice: i64,
    idempotency: Option<&Idempotency>,
    now: Timestamp,
) -> Result<Earlier, Failure> {
    let Some(idempotency) = idempotency else {
        return Ok(Earlier::None);
    };
    let key = (&idempotency.key_hash, slice, now.as_millis());
    let found = batch.first(EARLIER, key, |row| {
        Ok((row.get::<_, [u8; 32]>(0)?, row.get(1)?))
    })?;
    Ok(match found {
        None => Earlier::None,
        Some((body_hash, made)) if body_hash == idempotency.body_hash => Earlier::Made(made),
        Some(_) => Earlier::OtherBody,
    })
}

/// Takes down what a request made.
pub(super) fn remember(
    batch: &Batch<'_>,
    slice: i64,
    idempotency: Option<&Idempotency>,
    made: i64,
) -> Result<(), Failure> {
    if let Some(idempotency) = idempotency {
        let Idempotency {
            key_hash,
            body_hash,
            expires_at,
        } = idempotency;
        let row = (key_hash, slice, body_hash, made, expires_at.as_millis());
        batch.execute(REMEMBER, row)?;
    }
    Ok(())
}

/// The slice of a request that belongs to no application: by its key.
pub(super) fn slice_of_key(idempotency: Option<&Idempotency>) -> i64 {
    idempotency.map_or(0, |i| {
        let [first, ..] = i.key_hash;
        i64::from(first)
    })
}
