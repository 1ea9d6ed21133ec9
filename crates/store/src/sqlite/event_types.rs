//! Event types, by organisation and name.

use std::collections::HashMap;

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, Row, params};

use hookseal_domain::event_type::validation::ValidationMode;
use hookseal_domain::event_type::{EventType, EventTypeName, EventTypeSpec};
use hookseal_domain::id::OrgId;
use hookseal_domain::time::Timestamp;

use crate::catalogue::{EnvironmentImport, EventTypeImport};
use crate::codes::Code;
use crate::config::{Created, EventTypeListing};
use crate::error::{ChangeError, StoreError};
use crate::page::{Page, PageRequest, PageStart};
use crate::publish::Idempotency;
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{Batch, all};
use crate::sqlite::event_type_rules::{self, check_room};
use crate::sqlite::failure::Failure;
use crate::sqlite::idempotency::{self, Earlier};
use crate::sqlite::rows::{Typed, json, rows_to_read};

macro_rules! select {
    ($from:literal, $which:expr) => {
        concat!(
            "SELECT org, name, description, archived, deprecated, feature_flags, group_name, ",
            "schemas, validation, retry_schedule, created_at, updated_at FROM ",
            $from,
            " WHERE org = ?1 AND ",
            $which
        )
    };
}

/// Up and down.
macro_rules! list {
    ($from:literal, $which:literal) => {
        [list!($from, $which, "ASC"), list!($from, $which, "DESC")]
    };
    ($from:literal, $which:literal, $order:literal) => {
        select!(
            $from,
            concat!(
                "name > ?2 AND name < ?3",
                $which,
                " ORDER BY name ",
                $order,
                " LIMIT ?4"
            )
        )
    };
}

const ONE: &str = select!("event_type", "name = ?2");
const ALL: [&str; 2] = list!("event_type", "");
/// By an index without archived ones: there may be any number of them.
const CURRENT: [&str; 2] = list!(
    "event_type INDEXED BY event_type_current",
    " AND archived = 0"
);
const PUT: &str = "INSERT INTO event_type (org, name, description, archived, deprecated, \
    feature_flags, group_name, schemas, validation, retry_schedule, created_at, updated_at) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (org, name) DO UPDATE SET \
    description = ?3, archived = ?4, deprecated = ?5, feature_flags = ?6, group_name = ?7, \
    schemas = ?8, validation = ?9, retry_schedule = ?10, updated_at = ?12";
const ARCHIVE: &str = "UPDATE event_type SET archived = 1, updated_at = ?3 \
    WHERE org = ?1 AND name = ?2 AND archived = 0";
const DELETE: &str = "DELETE FROM event_type WHERE org = ?1 AND name = ?2";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 7] =
    [ONE, ALL[0], ALL[1], CURRENT[0], CURRENT[1], ARCHIVE, DELETE];

/// Makes an event type, or brings an archived one back.
pub(super) async fn create(
    store: &SqliteStore,
    new: EventType,
    request: Option<Idempotency>,
) -> Result<Created<EventType>, ChangeError> {
    let create = move |batch: &mut Batch<'_>| {
        let slice = idempotency::slice_of_key(request.as_ref());
        let existing = find(batch.connection, new.org, &new.name)?;
        match idempotency::earlier(batch, slice, request.as_ref(), new.updated_at)? {
            Earlier::None => {}
            Earlier::Made(_) => {
                return Ok(existing.map(Created::Existing).ok_or(ChangeError::NotFound));
            }
            Earlier::OtherBody => return Ok(Err(ChangeError::IdempotencyKeyReused)),
        }
        let mut made = new.clone();
        if let Some(existing) = &existing {
            if !existing.spec.archived {
                return Ok(Err(ChangeError::NameTaken));
            }
            made.created_at = existing.created_at;
            made.retry_schedule.clone_from(&existing.retry_schedule);
        }
        let more = usize::from(begins_rules(existing.as_ref(), &made));
        if let Err(full) = check_room(batch, new.org, more)? {
            return Ok(Err(full));
        }
        put_row(batch, &made)?;
        idempotency::remember(batch, slice, request.as_ref(), 0)?;
        Ok(Ok(Created::New(made)))
    };
    store.writer.change(create).await
}

/// Replaces what the client says of an event type, or makes it.
pub(super) async fn put(
    store: &SqliteStore,
    org: OrgId,
    name: EventTypeName,
    spec: EventTypeSpec,
    now: Timestamp,
) -> Result<Created<EventType>, ChangeError> {
    let put = move |batch: &mut Batch<'_>| {
        let existing = find(batch.connection, org, &name)?;
        let event_type = replaced(org, &name, &spec, existing.as_ref(), now);
        let more = usize::from(begins_rules(existing.as_ref(), &event_type));
        if let Err(full) = check_room(batch, org, more)? {
            return Ok(Err(full));
        }
        put_row(batch, &event_type)?;
        Ok(Ok(match existing {
            Some(_) => Created::Existing(event_type),
            None => Created::New(event_type),
        }))
    };
    store.writer.change(put).await
}

/// Makes, replaces and archives many.
pub(super) async fn import(
    store: &SqliteStore,
    org: OrgId,
    import: EventTypeImport,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let import = move |batch: &mut Batch<'_>| {
        let mut rows = Vec::with_capacity(import.put.len());
        let mut more = 0;
        for (name, spec) in &import.put {
            let existing = find(batch.connection, org, name)?;
            let row = replaced(org, name, spec, existing.as_ref(), now);
            more += usize::from(begins_rules(existing.as_ref(), &row));
            rows.push(row);
        }
        if let Err(full) = check_room(batch, org, more)? {
            return Ok(Err(full));
        }
        for row in &rows {
            put_row(batch, row)?;
        }
        for name in &import.archive {
            let key = params![org.as_bytes(), name.as_str(), now.as_millis()];
            batch.execute(ARCHIVE, key)?;
        }
        Ok(Ok(()))
    };
    store.writer.change(import).await
}

/// Makes and replaces many, with their retry schedules.
pub(super) async fn import_all(
    store: &SqliteStore,
    org: OrgId,
    import: EnvironmentImport,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let schedules: HashMap<_, _> = import.retry_schedules.into_iter().collect();
    let import = move |batch: &mut Batch<'_>| {
        let mut rows = Vec::new();
        let mut more = 0;
        for (name, spec) in &import.event_types {
            let existing = find(batch.connection, org, name)?;
            let mut row = replaced(org, name, spec, existing.as_ref(), now);
            if let Some(schedule) = schedules.get(name) {
                row.retry_schedule = Some(schedule.clone());
            }
            more += usize::from(begins_rules(existing.as_ref(), &row));
            let says_the_same = |existing: &EventType| {
                (&existing.spec, &existing.retry_schedule) == (&row.spec, &row.retry_schedule)
            };
            if !existing.as_ref().is_some_and(says_the_same) {
                rows.push(row);
            }
        }
        if let Err(full) = check_room(batch, org, more)? {
            return Ok(Err(full));
        }
        for row in &rows {
            put_row(batch, row)?;
        }
        Ok(Ok(()))
    };
    store.writer.change(import).await
}

/// Removes an event type.
pub(super) async fn delete(
    store: &SqliteStore,
    org: OrgId,
    name: &EventTypeName,
) -> Result<(), ChangeError> {
    let name = name.clone();
    let delete = move |batch: &mut Batch<'_>| {
        let deleted = batch.execute(DELETE, params![org.as_bytes(), name.as_str()])?;
        Ok(if deleted == 0 {
            Err(ChangeError::NotFound)
        } else {
            Ok(())
        })
    };
    store.writer.change(delete).await
}

/// One event type.
pub(super) async fn one(
    store: &SqliteStore,
    org: OrgId,
    name: &EventTypeName,
) -> Result<Option<EventType>, StoreError> {
    let name = name.clone();
    let find = move |connection: &Connection| find(connection, org, &name);
    store.readers.ask(find).await
}

/// Event types by name.
pub(super) async fn list(
    store: &SqliteStore,
    org: OrgId,
    listing: EventTypeListing,
    page: PageRequest<EventTypeName>,
) -> Result<Page<EventType>, StoreError> {
    let list = move |connection: &Connection| {
        let key = match &page.from {
            PageStart::Beginning => None,
            PageStart::After(name) | PageStart::Before(name) => Some(name.as_str()),
        };
        let up = page.reads_ascending();
        // Every blob is above every text.
        let top = ToSqlOutput::from(&[][..]);
        let low = key.filter(|_| up).unwrap_or_default();
        let high = key.filter(|_| !up).map_or(top, ToSqlOutput::from);
        let which = params![org.as_bytes(), low, high, rows_to_read(&page)];
        let [ascending, descending] = match listing {
            EventTypeListing::Current => CURRENT,
            EventTypeListing::WithArchived => ALL,
        };
        let sql = if up { ascending } else { descending };
        Ok(page.page_of(all(connection, sql, which, read)?))
    };
    store.readers.ask(list).await
}

/// An event type as it is after what a client said of it.
fn replaced(
    org: OrgId,
    name: &EventTypeName,
    spec: &EventTypeSpec,
    existing: Option<&EventType>,
    now: Timestamp,
) -> EventType {
    EventType {
        org,
        name: name.clone(),
        spec: spec.clone(),
        retry_schedule: existing.and_then(|existing| existing.retry_schedule.clone()),
        created_at: existing.map_or(now, |existing| existing.created_at),
        updated_at: now,
    }
}

/// Whether it says anything of validation or retries.
pub(super) fn has_rules(event_type: &EventType) -> bool {
    event_type.spec.validation != ValidationMode::Off || event_type.retry_schedule.is_some()
}

fn begins_rules(before: Option<&EventType>, after: &EventType) -> bool {
    has_rules(after) && !before.is_some_and(has_rules)
}

pub(super) fn find(
    connection: &Connection,
    org: OrgId,
    name: &EventTypeName,
) -> Result<Option<EventType>, Failure> {
    let key = params![org.as_bytes(), name.as_str()];
    Ok(all(connection, ONE, key, read)?.pop())
}

fn put_row(batch: &Batch<'_>, event_type: &EventType) -> rusqlite::Result<usize> {
    let spec = &event_type.spec;
    let flags = &spec.feature_flags;
    let row = params![
        event_type.org.as_bytes(),
        event_type.name.as_str(),
        spec.description,
        spec.archived,
        spec.deprecated,
        (!flags.is_empty()).then(|| json(flags)),
        spec.group_name,
        spec.schemas,
        spec.validation.code(),
        event_type
            .retry_schedule
            .as_ref()
            .map(event_type_rules::column),
        event_type.created_at.as_millis(),
        event_type.updated_at.as_millis(),
    ];
    batch.execute(PUT, row)
}

fn read(row: &Row<'_>) -> Result<EventType, Failure> {
    let name = EventTypeName::from_stored(row.get("name")?);
    let row = Typed {
        row,
        table: "event_type",
        id: &name,
    };
    let spec = EventTypeSpec {
        description: row.plain("description")?,
        archived: row.plain("archived")?,
        deprecated: row.plain("deprecated")?,
        feature_flags: row.json("feature_flags")?.unwrap_or_default(),
        group_name: row.plain("group_name")?,
        schemas: row.plain("schemas")?,
        validation: row.code("validation")?,
    };
    Ok(EventType {
        org: row.org("org")?,
        spec,
        retry_schedule: event_type_rules::schedule(&row)?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        name: name.clone(),
    })
}
