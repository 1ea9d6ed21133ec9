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
use crate::page::{Order, Page, PageRequest, PageStart};
use crate::seal::{Place, facts};
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{Batch, all};
use crate::sqlite::failure::Failure;
use crate::sqlite::keyring::DataKeys;
use crate::sqlite::messages::{FilterValues, passes};
use crate::sqlite::rows::{Typed, rows_to_read};
use crate::sqlite::walk::{self, Walked};
use crate::statistics::{Counted, Precision};

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
            " AND a.id > ?3 AND a.id < ?4 ORDER BY a.id ",
            $order,
            " LIMIT ?5"
        ))
    };
}

/// Whether each is wanted, for a walk.
macro_rules! walk {
    ($scope:literal, $order:literal) => {
        concat!(
            "SELECT (?10 IS NULL OR a.ep = ?10) ",
            "AND (?11 IS NULL OR (a.outcome = 1) = ?11) ",
            "AND (?12 IS NULL OR ifnull(a.status_code / 100 * 100, 0) = ?12) ",
            "AND ((?6 IS NULL AND ?7 IS NULL AND ?8 IS NULL) OR EXISTS (SELECT 1 FROM message m ",
            "WHERE m.slice = a.slice AND m.app = a.app AND m.id = a.msg AND ",
            passes!(),
            ")), a.id, a.msg FROM attempt a WHERE a.slice = ?1 AND a.app = ?2 AND ",
            $scope,
            " AND a.id > ?3 AND a.id < ?4 AND ?5 = ?5 ORDER BY a.id ",
            $order
        )
    };
}

const ONE: &str = select!("a.msg = ?3 AND a.id = ?4");
const SET_FACTS: &str = "UPDATE attempt SET key_version = ?4, facts = ?5 \
    WHERE msg = ?1 AND id = ?2 AND slice = ?3";

/// The statements of one scope, each upwards and downwards.
struct Scope {
    /// All of its attempts.
    list: [&'static str; 2],
    /// The same, each with whether it is wanted.
    walk: [&'static str; 2],
}

const OF_ENDPOINT: Scope = Scope {
    list: [list!("a.ep = ?9", "ASC"), list!("a.ep = ?9", "DESC")],
    walk: [walk!("a.ep = ?9", "ASC"), walk!("a.ep = ?9", "DESC")],
};
/// By an index of those that were not accepted: failures are few, and what people look for.
const FAILED_OF_ENDPOINT: Scope = Scope {
    list: [
        list!("a.ep = ?9 AND a.outcome <> 1", "ASC"),
        list!("a.ep = ?9 AND a.outcome <> 1", "DESC"),
    ],
    walk: [
        walk!("a.ep = ?9 AND a.outcome <> 1", "ASC"),
        walk!("a.ep = ?9 AND a.outcome <> 1", "DESC"),
    ],
};
const OF_MESSAGE: Scope = Scope {
    list: [list!("a.msg = ?9", "ASC"), list!("a.msg = ?9", "DESC")],
    walk: [walk!("a.msg = ?9", "ASC"), walk!("a.msg = ?9", "DESC")],
};

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 14] = [
    ONE,
    SET_FACTS,
    OF_ENDPOINT.list[0],
    OF_ENDPOINT.list[1],
    OF_ENDPOINT.walk[0],
    OF_ENDPOINT.walk[1],
    FAILED_OF_ENDPOINT.list[0],
    FAILED_OF_ENDPOINT.list[1],
    FAILED_OF_ENDPOINT.walk[0],
    FAILED_OF_ENDPOINT.walk[1],
    OF_MESSAGE.list[0],
    OF_MESSAGE.list[1],
    OF_MESSAGE.walk[0],
    OF_MESSAGE.walk[1],
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
        let key = [message.raw(), attempt.raw()];
        self::find(connection, &keys, app, key, Content::With)
    };
    store.readers.ask(find).await
}

fn find(
    connection: &Connection,
    keys: &DataKeys,
    app: AppId,
    [message, attempt]: [i64; 2],
    content: Content,
) -> Result<Option<Attempt>, Failure> {
    let which = [Slice::of(app).as_i64(), app.raw(), message, attempt];
    let read = |row: &Row<'_>| read(row, keys, content);
    Ok(all(connection, ONE, which, read)?.pop())
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
        let content = filter.message.content;
        if is_narrow(scope, &filter) {
            // One moment for the walk and for what it finds.
            let tx = connection.unchecked_transaction()?;
            let walked = walked(&tx, app, scope, &filter, &page)?;
            let mut attempts = Vec::with_capacity(walked.found.len());
            for (message, attempt) in walked.found {
                attempts.extend(find(&tx, &keys, app, [message, attempt], content)?);
            }
            return Ok(page.page_of_part(attempts, walked.stopped_at));
        }
        let (low, high) = FilterValues::of(&filter.message).range(&page, AttemptId::raw);
        let (statements, whose) = statements(scope, &filter);
        let nothing = None::<i64>;
        let which = params![
            Slice::of(app).as_i64(),
            app.raw(),
            low,
            high,
            rows_to_read(&page),
            nothing,
            nothing,
            nothing,
            whose,
        ];
        let sql = directed(statements.list, &page);
        let read = |row: &Row<'_>| read(row, &keys, content);
        Ok(page.page_of(all(connection, sql, which, read)?))
    };
    store.readers.ask(list).await
}

/// How many attempts to an endpoint pass a filter, of the latest that a walk looks at.
pub(super) fn count(
    connection: &Connection,
    app: AppId,
    endpoint: EndpointId,
    filter: &AttemptFilter,
) -> Result<Counted, Failure> {
    let page = PageRequest {
        limit: walk::ROWS_MAX,
        from: PageStart::Beginning,
        order: Order::Descending,
    };
    let scope = AttemptScope::Endpoint(endpoint);
    let walked = walked(connection, app, scope, filter, &page)?;
    Ok(Counted {
        count: u64::try_from(walked.found.len()).unwrap_or(u64::MAX),
        precision: match walked.stopped_at {
            None => Precision::Exact,
            Some(_) => Precision::Approximate,
        },
    })
}

/// Message and attempt of those that are wanted.
fn walked(
    connection: &Connection,
    app: AppId,
    scope: AttemptScope,
    filter: &AttemptFilter,
    page: &PageRequest<AttemptId>,
) -> Result<Walked<(i64, i64)>, Failure> {
    let values = FilterValues::of(&filter.message);
    let (low, high) = values.range(page, AttemptId::raw);
    let (statements, whose) = statements(scope, filter);
    let which = params![
        Slice::of(app).as_i64(),
        app.raw(),
        low,
        high,
        0,
        values.channel,
        values.tag,
        values.event_types,
        whose,
        filter.endpoint.map(EndpointId::raw),
        filter.success,
        filter.status_code_class,
    ];
    let sql = directed(statements.walk, page);
    walk::walk(connection, sql, which, page, |row| {
        Ok((row.get(2)?, row.get(1)?))
    })
}

/// The statements that look at the fewest attempts, and whose they are.
fn statements(scope: AttemptScope, filter: &AttemptFilter) -> (Scope, i64) {
    match scope {
        AttemptScope::Endpoint(id) if asks_for_failed(filter) => (FAILED_OF_ENDPOINT, id.raw()),
        AttemptScope::Endpoint(id) => (OF_ENDPOINT, id.raw()),
        AttemptScope::Message(id) => (OF_MESSAGE, id.raw()),
    }
}

/// Only what has a status code from 200 to 299 is accepted.
fn asks_for_failed(filter: &AttemptFilter) -> bool {
    filter.success == Some(false) || filter.status_code_class.is_some_and(|class| class != 200)
}

/// Whether it asks for something that no index knows.
fn is_narrow(scope: AttemptScope, filter: &AttemptFilter) -> bool {
    let by_index = match scope {
        AttemptScope::Endpoint(_) => filter.success != Some(true),
        AttemptScope::Message(_) => filter.success.is_none(),
    };
    !by_index
        || filter.status_code_class.is_some()
        || filter.endpoint.is_some()
        || FilterValues::of(&filter.message).is_narrow()
}

fn directed(up_and_down: [&'static str; 2], page: &PageRequest<AttemptId>) -> &'static str {
    let [up, down] = up_and_down;
    if page.reads_ascending() { up } else { down }
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
