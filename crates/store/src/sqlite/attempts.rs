//! Attempts as people look for them.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, Row, params};

use hookseal_domain::delivery::DeliveryKey;
use hookseal_domain::delivery::attempt::Attempt;
use hookseal_domain::id::{AppId, AttemptId, EndpointId, MessageId};
use hookseal_domain::slice::Slice;

use crate::error::{ChangeError, StoreError};
use crate::inspect::{AttemptFilter, AttemptScope, Content};
use crate::page::{Page, PageRequest};
use crate::seal::{Place, facts};
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{Batch, all};
use crate::sqlite::failure::Failure;
use crate::sqlite::keyring::DataKeys;
use crate::sqlite::messages::{FilterValues, passes};
use crate::sqlite::rows::{Typed, rows_to_read};

macro_rules! select {
    ($which:expr) => {
        concat!(
            "SELECT a.msg, a.id, a.ep, a.number, a.trigger, a.outcome, a.status_code, ",
            "a.duration_ms, a.ended, a.key_version, a.facts FROM attempt a ",
            "WHERE a.slice = ?1 AND a.app = ?2 AND ",
            $which
        )
    };
}

macro_rules! list {
    ($scope:literal, $order:literal) => {
        select!(concat!(
            $scope,
            " AND a.id > ?3 AND a.id < ?4 ",
            "AND (?10 IS NULL OR a.ep = ?10) ",
            "AND (?11 IS NULL OR (a.outcome = 1) = ?11) ",
            "AND (?12 IS NULL OR ifnull(a.status_code / 100 * 100, 0) = ?12) ",
            "AND ((?6 IS NULL AND ?7 IS NULL AND ?8 IS NULL) OR EXISTS (SELECT 1 FROM message m ",
            "WHERE m.slice = a.slice AND m.app = a.app AND m.id = a.msg AND ",
            passes!(),
            ")) ORDER BY a.id ",
            $order,
            " LIMIT ?5"
        ))
    };
}

const ONE: &str = select!("a.msg = ?3 AND a.id = ?4");
const OF_ENDPOINT_UP: &str = list!("a.ep = ?9", "ASC");
const OF_ENDPOINT_DOWN: &str = list!("a.ep = ?9", "DESC");
const OF_MESSAGE_UP: &str = list!("a.msg = ?9", "ASC");
const OF_MESSAGE_DOWN: &str = list!("a.msg = ?9", "DESC");
const SET_FACTS: &str = "UPDATE attempt SET key_version = ?4, facts = ?5 \
    WHERE msg = ?1 AND id = ?2 AND slice = ?3";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 6] = [
    ONE,
    OF_ENDPOINT_UP,
    OF_ENDPOINT_DOWN,
    OF_MESSAGE_UP,
    OF_MESSAGE_DOWN,
    SET_FACTS,
];

/// One attempt.
pub(super) async fn one(
    store: &SqliteStore,
    app: AppId,
    message: MessageId,
    attempt: AttemptId,
) -> Result<Option<Attempt>, StoreError> {
    let keyring = Arc::clone(&store.keyring);
    let find = move |connection: &Connection| {
        let Some(keys) = keyring.load(connection, app)? else {
            return Ok(None);
        };
        let slice = Slice::of(app).as_i64();
        let which = [slice, app.raw(), message.raw(), attempt.raw()];
        let read = |row: &Row<'_>| read(row, &keys, Content::With);
        Ok(all(connection, ONE, which, read)?.pop())
    };
    store.readers.ask(find).await
}

/// Attempts, in the order of the page.
pub(super) async fn list(
    store: &SqliteStore,
    app: AppId,
    scope: AttemptScope,
    filter: AttemptFilter,
    page: PageRequest<AttemptId>,
) -> Result<Page<Attempt>, StoreError> {
    let keyring = Arc::clone(&store.keyring);
    let list = move |connection: &Connection| {
        let Some(keys) = keyring.load(connection, app)? else {
            return Ok(page.page_of(Vec::new()));
        };
        let values = FilterValues::of(&filter.message);
        let (low, high) = values.range(&page, AttemptId::raw);
        let (whose, up, down) = match scope {
            AttemptScope::Endpoint(id) => (id.raw(), OF_ENDPOINT_UP, OF_ENDPOINT_DOWN),
            AttemptScope::Message(id) => (id.raw(), OF_MESSAGE_UP, OF_MESSAGE_DOWN),
        };
        let which = params![
            Slice::of(app).as_i64(),
            app.raw(),
            low,
            high,
            rows_to_read(&page),
            values.channel,
            values.tag,
            values.event_types,
            whose,
            filter.endpoint.map(EndpointId::raw),
            filter.success,
            filter.status_code_class,
        ];
        let sql = if page.reads_ascending() { up } else { down };
        let read = |row: &Row<'_>| read(row, &keys, filter.message.content);
        Ok(page.page_of(all(connection, sql, which, read)?))
    };
    store.readers.ask(list).await
}

/// Forgets an attempt's response.
pub(super) async fn expunge(
    store: &SqliteStore,
    app: AppId,
    message: MessageId,
    attempt: AttemptId,
) -> Result<(), ChangeError> {
    let found = one(store, app, message, attempt).await?;
    let mut found = found.ok_or(ChangeError::NotFound)?;
    found.facts.response_body = None;
    let keys = store.keys(app).await?.ok_or(ChangeError::NotFound)?;
    let sealed = keys.seal(place(message, attempt), &facts::encode(&found.facts))?;
    let set = move |batch: &mut Batch<'_>| {
        let row = params![
            message.raw(),
            attempt.raw(),
            Slice::of(app).as_i64(),
            sealed.key_version,
            sealed.bytes,
        ];
        Ok(if batch.execute(SET_FACTS, row)? == 0 {
            Err(ChangeError::NotFound)
        } else {
            Ok(())
        })
    };
    store.writer.change(set).await
}

fn place(message: MessageId, attempt: AttemptId) -> Place<'static> {
    Place::AttemptFacts {
        message: message.raw(),
        attempt: attempt.raw(),
    }
}

fn read(row: &Row<'_>, keys: &DataKeys, content: Content) -> Result<Attempt, Failure> {
    let id = AttemptId::from_raw(row.get("id")?);
    let row = Typed {
        row,
        table: "attempt",
        id,
    };
    let message = MessageId::from_raw(row.plain("msg")?);
    let sealed: Vec<u8> = row.plain("facts")?;
    let opened: Bytes = keys.open(place(message, id), row.plain("key_version")?, &sealed)?;
    let mut facts = facts::decode(&opened).ok_or_else(|| row.corrupt("facts"))?;
    if content == Content::Without {
        facts.response_body = None;
    }
    Ok(Attempt {
        id,
        key: DeliveryKey {
            message,
            endpoint: EndpointId::from_raw(row.plain("ep")?),
        },
        trigger: row.code("trigger")?,
        number: row.plain("number")?,
        outcome: row.code("outcome")?,
        status_code: row.plain("status_code")?,
        duration_ms: row.plain("duration_ms")?,
        ended: row.code_or_null("ended")?,
        facts,
    })
}
