//! Endpoints with their sealed headers. A deleted one stays as a row, so that what is unfinished
//! can still end with that reason.

use rusqlite::{Connection, Row, params};

use hookseal_domain::endpoint::url::EndpointUrl;
use hookseal_domain::endpoint::{Endpoint, EndpointSpec, ParkOn, SwitchedOff};
use hookseal_domain::filter::Filter;
use hookseal_domain::id::{AppId, EndpointId, OrgId};
use hookseal_domain::operational::{Enabled, EndpointChange};
use hookseal_domain::slice::Slice;
use hookseal_domain::subscription::Subscription;
use hookseal_domain::time::Timestamp;
use hookseal_domain::uid::Uid;

use crate::config::{Created, NewEndpoint};
use crate::error::{ChangeError, StoreError};
use crate::page::{Page, PageRequest};
use crate::publish::Idempotency;
use crate::reference::{EndpointRef, Reference};
use crate::seal::Sealed;
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{Batch, all, first};
use crate::sqlite::failure::Failure;
use crate::sqlite::idempotency::{self, Earlier};
use crate::sqlite::rows::{Typed, id_range, json, rows_to_read};
use crate::sqlite::{
    endpoint_discipline, endpoint_headers, endpoint_health, endpoint_room, endpoint_transports,
    operational, signing_keys, verifications,
};

macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT id, uid, url, description, disabled, switched_off_at, ",
            "switched_off_failing_since, (SELECT h.failing_since FROM endpoint_health h ",
            "WHERE h.slice = endpoint.slice AND h.app = endpoint.app AND h.ep = endpoint.id) ",
            "AS failing_since, event_types, channels, filter, ",
            "throttle_rate, park_on, discipline, metadata, key_version, headers, generation, ",
            "updated_at, verification, withheld ",
            "FROM endpoint WHERE deleted_at IS NULL AND slice = ?1 AND app = ?2 AND ",
            $which
        )
    };
}

const BY_ID: &str = select!("id = ?3");
const BY_UID: &str = select!("uid = ?3");
const LIST_UP: &str = select!("id > ?3 AND id < ?4 ORDER BY id LIMIT ?5");
const LIST_DOWN: &str = select!("id > ?3 AND id < ?4 ORDER BY id DESC LIMIT ?5");
const INSERT: &str = "INSERT INTO endpoint (slice, app, id, uid, url, description, disabled, \
    event_types, channels, throttle_rate, park_on, discipline, metadata, key_version, headers, \
    generation, updated_at, filter) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, 1, ?16, ?17)";
/// A disabled endpoint's held deliveries stay; an enabled one's are released, unless they wait for its
/// verification as well.
const UPDATE: &str = "UPDATE endpoint SET generation = generation + (url <> ?5), uid = ?4, \
    url = ?5, description = ?6, disabled = ?7, event_types = ?8, channels = ?9, \
    throttle_rate = ?10, park_on = ?11, discipline = ?12, metadata = ?13, updated_at = ?14, \
    filter = ?15, release_held = CASE WHEN ?7 THEN 0 \
        WHEN withheld = 0 AND (disabled = 1 OR switched_off IS NOT NULL) THEN 1 \
        ELSE release_held END, \
    switched_off = CASE WHEN ?7 THEN switched_off END, \
    switched_off_at = CASE WHEN ?7 THEN switched_off_at END, \
    switched_off_failing_since = CASE WHEN ?7 THEN switched_off_failing_since END \
    WHERE slice = ?1 AND app = ?2 AND id = ?3";
const DELETE: &str = "UPDATE endpoint SET uid = NULL, headers = x'', deleted_at = ?4, \
    release_held = 1 \
    WHERE slice = ?1 AND app = ?2 AND id = ?3 AND deleted_at IS NULL";
const ORGANISATION: &str = "SELECT a.org FROM endpoint e \
    JOIN application a ON a.slice = e.slice AND a.id = e.app \
    WHERE e.slice = ?1 AND e.app = ?2 AND e.id = ?3 \
    AND e.deleted_at IS NULL AND a.deleted_at IS NULL";
const APPLICATION: &str = "SELECT e.app FROM endpoint e \
    JOIN application a ON a.slice = e.slice AND a.id = e.app \
    WHERE e.id = ?1 AND e.deleted_at IS NULL AND a.org = ?2 AND a.deleted_at IS NULL";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 8] = [
    BY_ID,
    BY_UID,
    LIST_UP,
    LIST_DOWN,
    UPDATE,
    DELETE,
    ORGANISATION,
    APPLICATION,
];

/// An endpoint as it stands in its row.
pub(super) struct EndpointRow {
    pub(super) endpoint: Endpoint,
    pub(super) generation: u64,
    pub(super) key_version: i64,
    pub(super) headers: Vec<u8>,
}

/// Makes an endpoint with its first signing key.
pub(super) async fn create(
    store: &SqliteStore,
    new: NewEndpoint,
    request: Option<Idempotency>,
) -> Result<Created<Endpoint>, ChangeError> {
    let keys = store.keys(new.app).await?.ok_or(ChangeError::NotFound)?;
    let headers = endpoint_headers::seal(&keys, new.id, &new.headers)?;
    let first_key = signing_keys::seal(&keys, new.id, 1, &new.signing_key)?;
    let create = move |batch: &mut Batch<'_>| {
        let slice = Slice::of(new.app).as_i64();
        match idempotency::earlier(batch, slice, request.as_ref(), new.now)? {
            Earlier::None => {}
            Earlier::Made(id) => {
                let made = live(batch.connection, new.app, EndpointId::from_raw(id))?;
                return Ok(made.map_or(Err(ChangeError::NotFound), |made| {
                    Ok(Created::Existing(made.endpoint))
                }));
            }
            Earlier::OtherBody => return Ok(Err(ChangeError::IdempotencyKeyReused)),
        }
        if let Err(refused) = endpoint_room::for_one(batch, new.app)? {
            return Ok(Err(refused));
        }
        if is_taken(batch.connection, new.app, new.spec.uid.as_ref(), new.id)? {
            return Ok(Err(ChangeError::NameTaken));
        }
        insert(batch, slice, &new, &headers)?;
        verifications::begin_anew(batch, new.app, new.id)?;
        signing_keys::insert(batch, new.app, new.id, 1, &first_key)?;
        batch.changed(new.app, 1)?;
        let named = (new.id, new.spec.uid.as_ref());
        let changes = [EndpointChange::Created];
        operational::endpoint_changed(batch, new.app, named, new.now, &changes)?;
        idempotency::remember(batch, slice, request.as_ref(), new.id.raw())?;
        let made = live(batch.connection, new.app, new.id)?;
        Ok(made.map_or(Err(ChangeError::NotFound), |made| {
            Ok(Created::New(made.endpoint))
        }))
    };
    store.writer.change(create).await
}

fn insert(
    batch: &Batch<'_>,
    slice: i64,
    new: &NewEndpoint,
    headers: &Sealed,
) -> rusqlite::Result<usize> {
    let spec = &new.spec;
    let row = params![
        slice,
        new.app.raw(),
        new.id.raw(),
        spec.uid.as_ref().map(Uid::as_str),
        spec.url.as_str(),
        spec.description,
        spec.disabled,
        event_types(&spec.subscription),
        channels(&spec.subscription),
        spec.throttle_rate,
        park_on(&spec.park_on),
        endpoint_discipline::written(&spec.discipline),
        json(&spec.metadata),
        headers.key_version,
        headers.bytes,
        new.now.as_millis(),
        filter(&spec.subscription),
    ];
    batch.execute(INSERT, row)
}

/// One endpoint.
pub(super) async fn one(
    store: &SqliteStore,
    app: AppId,
    endpoint: &EndpointRef,
) -> Result<Option<Endpoint>, StoreError> {
    let endpoint = endpoint.clone();
    let find = move |connection: &Connection| {
        let row = match &endpoint {
            Reference::Id(id) => live(connection, app, *id)?,
            Reference::Uid(uid) => {
                let key = params![Slice::of(app).as_i64(), app.raw(), uid];
                all(connection, BY_UID, key, read)?.pop()
            }
        };
        Ok(row.map(|row| row.endpoint))
    };
    store.readers.ask(find).await
}

/// Endpoints by id.
pub(super) async fn list(
    store: &SqliteStore,
    app: AppId,
    page: PageRequest<EndpointId>,
) -> Result<Page<Endpoint>, StoreError> {
    let list = move |connection: &Connection| {
        let rows = read_page(connection, app, &page)?;
        Ok(page.page_of(rows.into_iter().map(|row| row.endpoint).collect()))
    };
    store.readers.ask(list).await
}

/// Up to one row more than the page has.
pub(super) fn read_page(
    connection: &Connection,
    app: AppId,
    page: &PageRequest<EndpointId>,
) -> Result<Vec<EndpointRow>, Failure> {
    let (low, high) = id_range(page, EndpointId::raw);
    let sql = if page.reads_ascending() {
        LIST_UP
    } else {
        LIST_DOWN
    };
    let slice = Slice::of(app).as_i64();
    let which = [slice, app.raw(), low, high, rows_to_read(page)];
    all(connection, sql, which, read)
}

/// Replaces what the client says of an endpoint.
pub(super) async fn update(
    store: &SqliteStore,
    app: AppId,
    endpoint: EndpointId,
    spec: EndpointSpec,
    now: Timestamp,
) -> Result<Endpoint, ChangeError> {
    let update = move |batch: &mut Batch<'_>| {
        let Some(before) = live(batch.connection, app, endpoint)? else {
            return Ok(Err(ChangeError::NotFound));
        };
        if is_taken(batch.connection, app, spec.uid.as_ref(), endpoint)? {
            return Ok(Err(ChangeError::NameTaken));
        }
        let row = params![
            Slice::of(app).as_i64(),
            app.raw(),
            endpoint.raw(),
            spec.uid.as_ref().map(Uid::as_str),
            spec.url.as_str(),
            spec.description,
            spec.disabled,
            event_types(&spec.subscription),
            channels(&spec.subscription),
            spec.throttle_rate,
            park_on(&spec.park_on),
            endpoint_discipline::written(&spec.discipline),
            json(&spec.metadata),
            now.as_millis(),
            filter(&spec.subscription),
        ];
        batch.execute(UPDATE, row)?;
        if before.endpoint.spec.url != spec.url {
            verifications::begin_anew(batch, app, endpoint)?;
        }
        batch.changed(app, 0)?;
        let switched_on = before.endpoint.enabled() == Enabled::No && !spec.disabled;
        if switched_on || before.endpoint.spec.url != spec.url {
            endpoint_health::forget(batch, app, endpoint)?;
        }
        let Some(updated) = live(batch.connection, app, endpoint)? else {
            return Ok(Err(ChangeError::NotFound));
        };
        operational::endpoint_updated(batch, app, &before.endpoint, &updated.endpoint)?;
        Ok(Ok(updated.endpoint))
    };
    store.writer.change(update).await
}

/// Deletes an endpoint, and its secrets for good.
pub(super) async fn delete(
    store: &SqliteStore,
    app: AppId,
    endpoint: EndpointId,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let delete = move |batch: &mut Batch<'_>| {
        let Some(before) = live(batch.connection, app, endpoint)? else {
            return Ok(Err(ChangeError::NotFound));
        };
        let slice = Slice::of(app).as_i64();
        let key = [slice, app.raw(), endpoint.raw(), now.as_millis()];
        if batch.execute(DELETE, key)? == 0 {
            return Ok(Err(ChangeError::NotFound));
        }
        signing_keys::forget(batch, app, endpoint)?;
        endpoint_health::forget(batch, app, endpoint)?;
        endpoint_transports::forget(batch, app, Some(endpoint))?;
        verifications::forget(batch, app, Some(endpoint))?;
        batch.changed(app, -1)?;
        let named = (endpoint, before.endpoint.spec.uid.as_ref());
        let changes = [EndpointChange::Deleted];
        operational::endpoint_changed(batch, app, named, now, &changes)?;
        Ok(Ok(()))
    };
    store.writer.change(delete).await
}

/// A live endpoint.
pub(super) fn live(
    connection: &Connection,
    app: AppId,
    endpoint: EndpointId,
) -> Result<Option<EndpointRow>, Failure> {
    let key = [Slice::of(app).as_i64(), app.raw(), endpoint.raw()];
    Ok(all(connection, BY_ID, key, read)?.pop())
}

/// The organisation of a live endpoint.
pub(super) fn organisation(
    connection: &Connection,
    app: AppId,
    endpoint: EndpointId,
) -> Result<Option<OrgId>, Failure> {
    let key = [Slice::of(app).as_i64(), app.raw(), endpoint.raw()];
    let org = first(connection, ORGANISATION, key, |row| row.get(0))?;
    Ok(org.map(OrgId::from_stored))
}

/// The application of an organisation's live endpoint.
pub(super) async fn application_of(
    store: &SqliteStore,
    org: OrgId,
    endpoint: EndpointId,
) -> Result<Option<AppId>, StoreError> {
    let find = move |connection: &Connection| {
        let key = params![endpoint.raw(), org.as_bytes()];
        let app = first(connection, APPLICATION, key, |row| row.get(0))?;
        Ok(app.map(AppId::from_raw))
    };
    store.readers.ask(find).await
}

fn is_taken(
    connection: &Connection,
    app: AppId,
    uid: Option<&Uid>,
    endpoint: EndpointId,
) -> Result<bool, Failure> {
    let Some(uid) = uid else { return Ok(false) };
    let key = params![Slice::of(app).as_i64(), app.raw(), uid.as_str()];
    let holder: Option<i64> = first(connection, BY_UID, key, |row| row.get("id"))?;
    Ok(holder.is_some_and(|holder| holder != endpoint.raw()))
}

fn event_types(subscription: &Subscription) -> Option<String> {
    let names = subscription.event_types.as_ref()?;
    Some(json(&names.iter().map(|n| n.as_str()).collect::<Vec<_>>()))
}

fn channels(subscription: &Subscription) -> Option<String> {
    let names = subscription.channels.as_ref()?;
    Some(json(&names.iter().map(|n| n.as_str()).collect::<Vec<_>>()))
}

fn filter(subscription: &Subscription) -> Option<&str> {
    subscription.filter.as_ref().map(Filter::as_str)
}

fn park_on(park_on: &ParkOn) -> Option<String> {
    let codes = park_on.codes();
    (!codes.is_empty()).then(|| json(codes))
}

/// Reads a row of any of the statements above.
pub(super) fn read(row: &Row<'_>) -> Result<EndpointRow, Failure> {
    let id = EndpointId::from_raw(row.get("id")?);
    let row = Typed {
        row,
        table: "endpoint",
        id,
    };
    let url: String = row.plain("url")?;
    let codes: Vec<u16> = row.json("park_on")?.unwrap_or_default();
    let since = row.time_or_null("switched_off_failing_since")?;
    let switched_off = match (row.time_or_null("switched_off_at")?, since) {
        (Some(at), Some(since)) => Some(SwitchedOff::Failing { at, since }),
        (Some(at), None) => Some(SwitchedOff::Gone { at }),
        (None, Some(_)) => return Err(row.corrupt("switched_off_failing_since")),
        (None, None) => None,
    };
    let filter: Option<String> = row.plain("filter")?;
    let filter = filter.map(|text| Filter::parse(&text));
    let spec = EndpointSpec {
        url: EndpointUrl::parse(&url).map_err(|_| row.corrupt("url"))?,
        uid: row.plain::<Option<String>>("uid")?.map(Uid::from_stored),
        description: row.plain("description")?,
        disabled: row.plain("disabled")?,
        subscription: Subscription {
            event_types: row.event_types("event_types")?,
            channels: row.channels("channels")?,
            filter: filter.transpose().map_err(|_| row.corrupt("filter"))?,
        },
        throttle_rate: row.plain("throttle_rate")?,
        park_on: ParkOn::parse(&codes).map_err(|_| row.corrupt("park_on"))?,
        discipline: endpoint_discipline::read(&row)?,
        metadata: row
            .json("metadata")?
            .ok_or_else(|| row.corrupt("metadata"))?,
    };
    Ok(EndpointRow {
        endpoint: Endpoint {
            id,
            spec,
            switched_off,
            failing_since: row.time_or_null("failing_since")?,
            verification: verifications::read(&row)?,
            updated_at: row.time("updated_at")?,
        },
        generation: u64::from(row.plain::<u32>("generation")?),
        key_version: row.plain("key_version")?,
        headers: row.plain("headers")?,
    })
}
