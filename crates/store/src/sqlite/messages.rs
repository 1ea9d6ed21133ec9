//! Messages as people look for them.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, Row, ToSql, params};

use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::{AppId, MessageId, RawId};
use hookseal_domain::message::Message;
use hookseal_domain::message::options::MessageOptions;
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;
use hookseal_domain::uid::Uid;

use crate::error::{ChangeError, StoreError};
use crate::inspect::{Content, MessageFilter};
use crate::page::{Page, PageRequest};
use crate::reference::{MessageRef, Reference};
use crate::seal::Place;
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{Batch, all};
use crate::sqlite::failure::Failure;
use crate::sqlite::keyring::DataKeys;
use crate::sqlite::rows::{Typed, id_range, json, rows_to_read};
use crate::sqlite::walk;

/// Whether a message `m` passes the filter, whose values are the parameters 6 to 8.
macro_rules! passes {
    () => {
        "(?6 IS NULL OR EXISTS (SELECT 1 FROM json_each(m.channels) WHERE value = ?6)) \
         AND (?7 IS NULL OR EXISTS (SELECT 1 FROM json_each(m.tags) WHERE value = ?7)) \
         AND (?8 IS NULL OR m.event_type IN (SELECT value FROM json_each(?8)))"
    };
}
pub(super) use passes;

/// The payload is only read where parameter 9 says so.
macro_rules! select {
    ($which:expr) => {
        concat!(
            "SELECT m.id AS id, m.event_type AS event_type, m.event_id AS event_id, ",
            "m.channels AS channels, m.tags AS tags, m.key_version AS key_version, ",
            "m.payload_expires AS payload_expires, iif(?9, m.payload, NULL) AS payload, ",
            "o.class AS class, o.deliver_at AS deliver_at, o.expires_at AS expires_at ",
            "FROM message m LEFT JOIN message_option o ",
            "ON o.slice = m.slice AND o.app = m.app AND o.msg = m.id WHERE m.slice = ?1 AND m.app = ?2 AND ",
            $which
        )
    };
}

const BY_ID: &str = select!(concat!(
    "m.id > ?3 AND m.id < ?4 AND m.id = ?5 AND ",
    passes!()
));
const BY_EVENT_ID: &str = select!("m.event_id = ?3");
const LIST_UP: &str = select!("m.id > ?3 AND m.id < ?4 ORDER BY m.id LIMIT ?5");
const LIST_DOWN: &str = select!("m.id > ?3 AND m.id < ?4 ORDER BY m.id DESC LIMIT ?5");

/// Whether each passes, for a walk. The payload is the last column, and is not touched.
macro_rules! walk {
    ($order:literal) => {
        concat!(
            "SELECT ",
            passes!(),
            ", m.id FROM message m WHERE m.slice = ?1 AND m.app = ?2 ",
            "AND m.id > ?3 AND m.id < ?4 AND ?5 = ?5 ORDER BY m.id ",
            $order
        )
    };
}

const WALK_UP: &str = walk!("ASC");
const WALK_DOWN: &str = walk!("DESC");
pub(super) const EXPUNGE: &str = "UPDATE message SET payload = NULL, expires_early = NULL \
    WHERE slice = ?1 AND app = ?2 AND id = ?3";
/// What waits, is held or is blocked comes up now, and ends since there is nothing to deliver.
pub(super) const BRING_UP: &str = "UPDATE pending SET state = 2, due = NULL \
    WHERE msg = ?1 AND slice = ?2 AND state IN (1, 3, 4)";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 8] = [
    BY_ID,
    BY_EVENT_ID,
    LIST_UP,
    LIST_DOWN,
    WALK_UP,
    WALK_DOWN,
    EXPUNGE,
    BRING_UP,
];

/// A filter as the statements want it.
pub(super) struct FilterValues {
    pub(super) channel: Option<String>,
    pub(super) tag: Option<String>,
    pub(super) event_types: Option<String>,
    /// Ids of the time asked for lie between these.
    low: i64,
    high: i64,
}

// === impl FilterValues ===

impl FilterValues {
    pub(super) fn of(filter: &MessageFilter) -> Self {
        let names = filter.event_types.as_ref().map(|names| {
            let names: Vec<_> = names.iter().map(EventTypeName::as_str).collect();
            json(&names)
        });
        let millisecond = std::time::Duration::from_millis(1);
        let first_after = |at: Timestamp| RawId::floor_of(at.plus(millisecond)).raw() - 1;
        Self {
            channel: filter.channel.as_ref().map(ToString::to_string),
            tag: filter.tag.clone(),
            event_types: names,
            low: filter.after.map_or(i64::MIN, first_after),
            high: filter
                .before
                .map_or(i64::MAX, |at| RawId::floor_of(at).raw()),
        }
    }

    /// Whether it asks for something that no index knows.
    pub(super) fn is_narrow(&self) -> bool {
        self.channel.is_some() || self.tag.is_some() || self.event_types.is_some()
    }

    /// The range of ids that lie in the page and the time asked for.
    pub(super) fn range<Key: Copy>(
        &self,
        page: &PageRequest<Key>,
        raw: fn(Key) -> i64,
    ) -> (i64, i64) {
        let (low, high) = id_range(page, raw);
        (low.max(self.low), high.min(self.high))
    }
}

/// One message.
pub(super) async fn one(
    store: &SqliteStore,
    app: AppId,
    message: &MessageRef,
) -> Result<Option<Message>, StoreError> {
    let message = message.clone();
    let keyring = Arc::clone(&store.keyring);
    let find = move |connection: &Connection| {
        let Some(keys) = keyring.load(connection, app)? else {
            return Ok(None);
        };
        match &message {
            Reference::Id(id) => {
                let filter = FilterValues::of(&MessageFilter::default());
                by_id(connection, &keys, app, *id, &filter, Content::With)
            }
            Reference::Uid(event_id) => {
                // The parameters between are those of the filter, which this statement has not.
                let nothing = None::<i64>;
                let which = params![
                    Slice::of(app).as_i64(),
                    app.raw(),
                    event_id,
                    nothing,
                    nothing,
                    nothing,
                    nothing,
                    nothing,
                    true
                ];
                Ok(all(connection, BY_EVENT_ID, which, |row| read(row, &keys))?.pop())
            }
        }
    };
    store.readers.ask(find).await
}

/// A message, if it passes the filter.
pub(super) fn by_id(
    connection: &Connection,
    keys: &DataKeys,
    app: AppId,
    message: MessageId,
    filter: &FilterValues,
    content: Content,
) -> Result<Option<Message>, Failure> {
    let which: [&dyn ToSql; 9] = [
        &Slice::of(app).as_i64(),
        &app.raw(),
        &filter.low,
        &filter.high,
        &message.raw(),
        &filter.channel,
        &filter.tag,
        &filter.event_types,
        &(content == Content::With),
    ];
    Ok(all(connection, BY_ID, &which[..], |row| read(row, keys))?.pop())
}

/// Messages, in the order of the page.
pub(super) async fn list(
    store: &SqliteStore,
    app: AppId,
    filter: MessageFilter,
    page: PageRequest<MessageId>,
) -> Result<Page<Message>, StoreError> {
    let keyring = Arc::clone(&store.keyring);
    let list = move |connection: &Connection| {
        let Some(keys) = keyring.load(connection, app)? else {
            return Ok(page.page_of(Vec::new()));
        };
        let values = FilterValues::of(&filter);
        let (low, high) = values.range(&page, MessageId::raw);
        if values.is_narrow() {
            return walk_page(connection, &keys, app, &values, &page, filter.content);
        }
        let sql = if page.reads_ascending() {
            LIST_UP
        } else {
            LIST_DOWN
        };
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
            filter.content == Content::With,
        ];
        let rows = all(connection, sql, which, |row| read(row, &keys))?;
        Ok(page.page_of(rows))
    };
    store.readers.ask(list).await
}

/// A page of those that pass a filter for which there is no index.
fn walk_page(
    connection: &Connection,
    keys: &DataKeys,
    app: AppId,
    values: &FilterValues,
    page: &PageRequest<MessageId>,
    content: Content,
) -> Result<Page<Message>, Failure> {
    // One moment for the walk and for what it finds.
    let tx = connection.unchecked_transaction()?;
    let (low, high) = values.range(page, MessageId::raw);
    let sql = if page.reads_ascending() {
        WALK_UP
    } else {
        WALK_DOWN
    };
    let which = params![
        Slice::of(app).as_i64(),
        app.raw(),
        low,
        high,
        0,
        values.channel,
        values.tag,
        values.event_types,
    ];
    let walked = walk::walk(&tx, sql, which, page, |row| row.get(1))?;
    let everything = FilterValues::of(&MessageFilter::default());
    let mut messages = Vec::with_capacity(walked.found.len());
    for id in walked.found {
        let id = MessageId::from_raw(id);
        messages.extend(by_id(&tx, keys, app, id, &everything, content)?);
    }
    Ok(page.page_of_part(messages, walked.stopped_at))
}

/// Forgets a message's payload.
pub(super) async fn expunge(
    store: &SqliteStore,
    app: AppId,
    message: MessageId,
) -> Result<(), ChangeError> {
    let expunge = move |batch: &mut Batch<'_>| {
        let slice = Slice::of(app).as_i64();
        if batch.execute(EXPUNGE, [slice, app.raw(), message.raw()])? == 0 {
            return Ok(Err(ChangeError::NotFound));
        }
        batch.execute(BRING_UP, [message.raw(), slice])?;
        Ok(Ok(()))
    };
    store.writer.change(expunge).await
}

fn read(row: &Row<'_>, keys: &DataKeys) -> Result<Message, Failure> {
    let id = MessageId::from_raw(row.get("id")?);
    let row = Typed {
        row,
        table: "message",
        id,
    };
    let sealed: Option<Vec<u8>> = row.plain("payload")?;
    let key_version: i64 = row.plain("key_version")?;
    let place = Place::MessagePayload { message: id.raw() };
    let payload: Option<Bytes> = sealed
        .map(|sealed| keys.open(place, key_version, &sealed))
        .transpose()?;
    Ok(Message {
        id,
        event_id: row
            .plain::<Option<String>>("event_id")?
            .map(Uid::from_stored),
        event_type: EventTypeName::from_stored(row.plain("event_type")?),
        channels: row.channels("channels")?.unwrap_or_default(),
        tags: row.json("tags")?.unwrap_or_default(),
        payload,
        payload_expires_at: row.time("payload_expires")?,
        options: MessageOptions {
            deliver_at: row.time_or_null("deliver_at")?,
            expires_at: row.time_or_null("expires_at")?,
            priority: row.code_or_null("class")?.unwrap_or_default(),
        },
    })
}
