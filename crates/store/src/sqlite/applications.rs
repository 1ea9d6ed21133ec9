//! Applications, each with its first data key.

use rusqlite::{Connection, Row, params};

use hookseal_domain::application::{Application, ApplicationSpec};
use hookseal_domain::id::{AppId, OrgId};
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;
use hookseal_domain::uid::Uid;

use crate::config::Created;
use crate::error::{ChangeError, StoreError};
use crate::page::{Page, PageRequest};
use crate::publish::Idempotency;
use crate::reference::{AppRef, Reference};
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{Batch, all, first};
use crate::sqlite::failure::Failure;
use crate::sqlite::idempotency::{self, Earlier};
use crate::sqlite::rows::{Typed, id_range, json, rows_to_read};
use crate::sqlite::{endpoint_health, endpoint_transports, keyring, portal_tokens, verifications};

macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT id, org, uid, name, throttle_rate, metadata, version, updated_at ",
            "FROM application WHERE deleted_at IS NULL AND ",
            $which
        )
    };
}

const BY_ID: &str = select!("slice = ?1 AND id = ?2");
/// For whoever names it: the operational one is not for them.
const NAMED: &str = select!("slice = ?1 AND id = ?2 AND operational = 0");
const BY_UID: &str = select!("org = ?1 AND uid = ?2");
const LIST_UP: &str =
    select!("org = ?1 AND id > ?2 AND id < ?3 AND operational = 0 ORDER BY id LIMIT ?4");
const LIST_DOWN: &str =
    select!("org = ?1 AND id > ?2 AND id < ?3 AND operational = 0 ORDER BY id DESC LIMIT ?4");
const INSERT: &str = "INSERT INTO application \
    (slice, id, org, uid, name, throttle_rate, metadata, version, updated_at) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8)";
const UPDATE: &str = "UPDATE application SET uid = ?3, name = ?4, throttle_rate = ?5, \
    metadata = ?6, updated_at = ?7 WHERE slice = ?1 AND id = ?2";
const DELETE: &str = "UPDATE application SET uid = NULL, endpoints = 0, deleted_at = ?3 \
    WHERE slice = ?1 AND id = ?2 AND deleted_at IS NULL";
const DELETE_KEYS: &str = "DELETE FROM signing_key WHERE slice = ?1 \
    AND ep IN (SELECT id FROM endpoint WHERE slice = ?1 AND app = ?2)";
const DELETE_ENDPOINTS: &str = "UPDATE endpoint SET uid = NULL, headers = x'', deleted_at = ?3, \
    release_held = 1 WHERE slice = ?1 AND app = ?2 AND deleted_at IS NULL";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 9] = [
    BY_ID,
    NAMED,
    BY_UID,
    LIST_UP,
    LIST_DOWN,
    UPDATE,
    DELETE,
    DELETE_ENDPOINTS,
    DELETE_KEYS,
];

/// Makes an application.
pub(super) async fn create(
    store: &SqliteStore,
    new: Application,
    request: Option<Idempotency>,
) -> Result<Created<Application>, ChangeError> {
    let wrapped = store.keyring.make(new.id.into(), 1)?;
    let create = move |batch: &mut Batch<'_>| {
        let slice = idempotency::slice_of_key(request.as_ref());
        match idempotency::earlier(batch, slice, request.as_ref(), new.updated_at)? {
            Earlier::None => {}
            Earlier::Made(id) => {
                let made = live(batch.connection, AppId::from_raw(id))?;
                let made = made.filter(|(made, _)| made.org == new.org);
                return Ok(made.map_or(Err(ChangeError::NotFound), |(made, _)| {
                    Ok(Created::Existing(made))
                }));
            }
            Earlier::OtherBody => return Ok(Err(ChangeError::IdempotencyKeyReused)),
        }
        if is_taken(batch.connection, new.org, new.spec.uid.as_ref(), new.id)? {
            return Ok(Err(ChangeError::NameTaken));
        }
        insert(batch, &new)?;
        keyring::insert(batch, new.id.into(), 1, &wrapped, new.updated_at)?;
        idempotency::remember(batch, slice, request.as_ref(), new.id.raw())?;
        Ok(Ok(Created::New(new.clone())))
    };
    store.writer.change(create).await
}

fn insert(batch: &Batch<'_>, new: &Application) -> rusqlite::Result<usize> {
    let row = params![
        Slice::of(new.id).as_i64(),
        new.id.raw(),
        new.org.as_bytes(),
        new.spec.uid.as_ref().map(Uid::as_str),
        new.spec.name,
        new.spec.throttle_rate,
        json(&new.spec.metadata),
        new.updated_at.as_millis(),
    ];
    batch.execute(INSERT, row)
}

/// One application.
pub(super) async fn one(
    store: &SqliteStore,
    org: OrgId,
    app: &AppRef,
) -> Result<Option<Application>, StoreError> {
    let app = app.clone();
    let find = move |connection: &Connection| {
        Ok(find(connection, org, &app)?.map(|(application, _)| application))
    };
    store.readers.ask(find).await
}

/// Applications by id.
pub(super) async fn list(
    store: &SqliteStore,
    org: OrgId,
    page: PageRequest<AppId>,
) -> Result<Page<Application>, StoreError> {
    let list = move |connection: &Connection| {
        let (low, high) = id_range(&page, AppId::raw);
        let sql = if page.reads_ascending() {
            LIST_UP
        } else {
            LIST_DOWN
        };
        let which = params![org.as_bytes(), low, high, rows_to_read(&page)];
        let rows = all(connection, sql, which, |row| Ok(read(row)?.0))?;
        Ok(page.page_of(rows))
    };
    store.readers.ask(list).await
}

/// Replaces what the client says of an application.
pub(super) async fn update(
    store: &SqliteStore,
    app: AppId,
    spec: ApplicationSpec,
    now: Timestamp,
) -> Result<Application, ChangeError> {
    let update = move |batch: &mut Batch<'_>| {
        let Some((mut application, _)) = live(batch.connection, app)? else {
            return Ok(Err(ChangeError::NotFound));
        };
        if is_taken(batch.connection, application.org, spec.uid.as_ref(), app)? {
            return Ok(Err(ChangeError::NameTaken));
        }
        let row = params![
            Slice::of(app).as_i64(),
            app.raw(),
            spec.uid.as_ref().map(Uid::as_str),
            spec.name,
            spec.throttle_rate,
            json(&spec.metadata),
            now.as_millis(),
        ];
        batch.execute(UPDATE, row)?;
        batch.changed(app, 0)?;
        application.spec = spec.clone();
        application.updated_at = now;
        Ok(Ok(application))
    };
    store.writer.change(update).await
}

/// Deletes an application and its endpoints, and their secrets for good. Their rows stay for what is unfinished.
pub(super) async fn delete(
    store: &SqliteStore,
    app: AppId,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let delete = move |batch: &mut Batch<'_>| {
        let key = [Slice::of(app).as_i64(), app.raw(), now.as_millis()];
        if batch.execute(DELETE, key)? == 0 {
            return Ok(Err(ChangeError::NotFound));
        }
        let [slice, id, _] = key;
        batch.execute(DELETE_KEYS, [slice, id])?;
        batch.execute(DELETE_ENDPOINTS, key)?;
        endpoint_transports::forget(batch, app, None)?;
        endpoint_health::forget_all(batch, app)?;
        portal_tokens::forget(batch, app)?;
        verifications::forget(batch, app, None)?;
        batch.changed(app, 0)?;
        Ok(Ok(()))
    };
    store.writer.change(delete).await
}

/// A live application and its version.
pub(super) fn live(
    connection: &Connection,
    app: AppId,
) -> Result<Option<(Application, i64)>, Failure> {
    let key = [Slice::of(app).as_i64(), app.raw()];
    Ok(all(connection, BY_ID, key, read)?.pop())
}

/// A live application of an organisation and its version.
pub(super) fn find(
    connection: &Connection,
    org: OrgId,
    app: &AppRef,
) -> Result<Option<(Application, i64)>, Failure> {
    match app {
        Reference::Id(id) => {
            let key = [Slice::of(*id).as_i64(), id.raw()];
            let found = all(connection, NAMED, key, read)?.pop();
            Ok(found.filter(|(found, _)| found.org == org))
        }
        Reference::Uid(uid) => {
            let key = params![org.as_bytes(), uid];
            Ok(all(connection, BY_UID, key, read)?.pop())
        }
    }
}

fn is_taken(
    connection: &Connection,
    org: OrgId,
    uid: Option<&Uid>,
    app: AppId,
) -> Result<bool, Failure> {
    let Some(uid) = uid else { return Ok(false) };
    let key = params![org.as_bytes(), uid.as_str()];
    let holder: Option<i64> = first(connection, BY_UID, key, |row| row.get("id"))?;
    Ok(holder.is_some_and(|holder| holder != app.raw()))
}

fn read(row: &Row<'_>) -> Result<(Application, i64), Failure> {
    let id = AppId::from_raw(row.get("id")?);
    let row = Typed {
        row,
        table: "application",
        id,
    };
    let application = Application {
        id,
        org: row.org("org")?,
        spec: ApplicationSpec {
            name: row.plain("name")?,
            uid: row.plain::<Option<String>>("uid")?.map(Uid::from_stored),
            throttle_rate: row.plain("throttle_rate")?,
            metadata: row
                .json("metadata")?
                .ok_or_else(|| row.corrupt("metadata"))?,
        },
        updated_at: row.time("updated_at")?,
    };
    Ok((application, row.plain("version")?))
}
