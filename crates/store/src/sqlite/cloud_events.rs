//! The contexts of messages that were published as CloudEvents, sealed.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, params};

use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::{AppId, MessageId};
use hookseal_domain::slice::Slice;

use crate::cloud_event::{CloudEventStore, PublishedEvent};
use crate::error::StoreError;
use crate::publish::NewMessage;
use crate::seal::{Place, Sealed};
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{Batch, all};
use crate::sqlite::failure::Failure;
use crate::sqlite::keyring::DataKeys;
use crate::sqlite::rows::{Typed, json};

const INSERT: &str = "INSERT INTO message_cloud_event (slice, app, msg, key_version, context) \
    VALUES (?1, ?2, ?3, ?4, ?5)";
const READ: &str = "SELECT m.event_type AS event_type, c.key_version AS key_version, \
    c.context AS context FROM message m LEFT JOIN message_cloud_event c \
    ON c.slice = m.slice AND c.app = m.app AND c.msg = m.id \
    WHERE m.slice = ?1 AND m.app = ?2 AND m.id = ?3";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 1] = [READ];

#[async_trait]
impl CloudEventStore for SqliteStore {
    async fn published_event(
        &self,
        app: AppId,
        message: MessageId,
    ) -> Result<Option<PublishedEvent>, StoreError> {
        let keyring = Arc::clone(&self.keyring);
        let read = move |connection: &Connection| {
            let Some(keys) = keyring.load(connection, app)? else {
                return Ok(None);
            };
            let which = [Slice::of(app).as_i64(), app.raw(), message.raw()];
            let found = all(connection, READ, which, |row| {
                let row = Typed {
                    row,
                    table: "message_cloud_event",
                    id: message,
                };
                let event_type = EventTypeName::from_stored(row.plain("event_type")?);
                let sealed: Option<Vec<u8>> = row.plain("context")?;
                let cloud_event = match sealed {
                    None => None,
                    Some(sealed) => {
                        let place = place_of(message);
                        let opened = keys.open(place, row.plain("key_version")?, &sealed)?;
                        let read = serde_json::from_slice(&opened);
                        Some(read.map_err(|_| row.corrupt("context"))?)
                    }
                };
                Ok(PublishedEvent {
                    event_type,
                    cloud_event,
                })
            });
            Ok(found?.pop())
        };
        self.readers.ask(read).await
    }
}

/// The context of a message, ready to be stored; `None` if it has none.
pub(super) fn seal(keys: &DataKeys, message: &NewMessage) -> Result<Option<Sealed>, StoreError> {
    let context = message.cloud_event.as_ref().map(json);
    let sealed = context.map(|context| keys.seal(place_of(message.id), context.as_bytes()));
    sealed.transpose()
}

/// Stores it.
pub(super) fn insert(
    batch: &Batch<'_>,
    slice: i64,
    message: &NewMessage,
    sealed: &Sealed,
) -> Result<(), Failure> {
    let row = params![
        slice,
        message.app.raw(),
        message.id.raw(),
        sealed.key_version,
        sealed.bytes,
    ];
    batch.execute(INSERT, row)?;
    Ok(())
}

fn place_of(message: MessageId) -> Place<'static> {
    Place::CloudEvent {
        message: message.raw(),
    }
}
