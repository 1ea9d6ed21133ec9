//! What endpoints say themselves of transport security. No row means nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, params};

use hookseal_domain::id::{AppId, EndpointId, OrgId};
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::pin::PinSet;
use hookseal_domain::transport::policy::EndpointTransport;

use crate::error::{ChangeError, StoreError};
use crate::seal::{Place, Sealed, policy};
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{Batch, all};
use crate::sqlite::failure::{Failure, corrupt};
use crate::sqlite::keyring::{DataKeys, Keyring};
use crate::sqlite::rows::endpoint_range;
use crate::sqlite::transport_items::{self, named_anchors, named_identity};
use crate::sqlite::{endpoint_pins, endpoints, handshakes};

const LIST: &str = "SELECT ep, key_version, body FROM endpoint_transport \
    WHERE slice = ?1 AND app = ?2 AND ep >= ?3 AND ep <= ?4";
const INSERT: &str = "INSERT INTO endpoint_transport (slice, app, ep, org, policy, \
    trust_anchors, client_identity, key_version, body) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const FORGET: &str =
    "DELETE FROM endpoint_transport WHERE slice = ?1 AND app = ?2 AND ep >= ?3 AND ep <= ?4";
const NEW_GENERATION: &str = "UPDATE endpoint SET generation = generation + 1, updated_at = ?4 \
    WHERE slice = ?1 AND app = ?2 AND id = ?3";
const ORGANISATION: &str = "SELECT org FROM application WHERE slice = ?1 AND id = ?2";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 4] = [LIST, FORGET, NEW_GENERATION, ORGANISATION];

/// A row whose body is sealed.
struct SealedRow {
    endpoint: EndpointId,
    key_version: i64,
    body: Vec<u8>,
}

/// What an endpoint says itself.
pub(super) async fn one(
    store: &SqliteStore,
    app: AppId,
    endpoint: EndpointId,
) -> Result<Option<EndpointTransport>, StoreError> {
    let keyring = Arc::clone(&store.keyring);
    let find = move |connection: &Connection| {
        // One read transaction, so that the pins belong to the rest.
        let tx = connection.unchecked_transaction()?;
        if endpoints::organisation(&tx, app, endpoint)?.is_none() {
            return Ok(None);
        }
        let keys = keyring.of_rows(&tx, app)?;
        let mut found = list(&tx, &keys, app, Some(endpoint))?;
        Ok(Some(found.remove(&endpoint).unwrap_or_default()))
    };
    store.readers.ask(find).await
}

/// What one endpoint or all of an application say themselves, by endpoint. Those that say nothing
/// are left out.
pub(super) fn list(
    connection: &Connection,
    keys: &DataKeys,
    app: AppId,
    endpoint: Option<EndpointId>,
) -> Result<BTreeMap<EndpointId, EndpointTransport>, Failure> {
    let mut pins = endpoint_pins::list(connection, app, endpoint)?;
    let rows = sealed_rows(connection, app, endpoint)?.into_iter();
    let opened = rows.map(|row| {
        let pins = pins.remove(&row.endpoint).unwrap_or_default();
        Ok((row.endpoint, row.open(keys, pins)?))
    });
    opened.collect()
}

/// Replaces what an endpoint says itself.
pub(super) async fn set(
    store: &SqliteStore,
    app: AppId,
    endpoint: EndpointId,
    transport: EndpointTransport,
    before: &EndpointTransport,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let keys = store.keys(app).await?.ok_or(ChangeError::NotFound)?;
    let plain = policy::encode_of_endpoint(transport.policy.as_ref(), &transport.own);
    let sealed = keys.seal(place(endpoint), &plain)?;
    let (before, keyring) = (before.clone(), Arc::clone(&store.keyring));
    let set = move |batch: &mut Batch<'_>| {
        let Some(org) = endpoints::organisation(batch.connection, app, endpoint)? else {
            return Ok(Err(ChangeError::NotFound));
        };
        let current = current(batch, &keyring, app, endpoint)?;
        if !current.stands_as(&before) {
            return Ok(Err(ChangeError::Stale));
        }
        let mut transport = transport.clone();
        transport.pins.keep_seen(&current.pins);
        batch.execute(FORGET, endpoint_range(app, Some(endpoint)))?;
        endpoint_pins::forget(batch, app, Some(endpoint))?;
        if transport != EndpointTransport::default() {
            insert(batch, (org, app, endpoint), &transport, &sealed)?;
            endpoint_pins::insert(batch, app, endpoint, &transport.pins)?;
        }
        let slice = Slice::of(app).as_i64();
        let row = [slice, app.raw(), endpoint.raw(), now.as_millis()];
        batch.execute(NEW_GENERATION, row)?;
        batch.changed(app, 0)?;
        Ok(Ok(()))
    };
    store.writer.change(set).await
}

/// Forgets all of transport security of an endpoint that is deleted, or of all of an application
/// that is, with what was made for them alone.
pub(super) fn forget(
    batch: &Batch<'_>,
    app: AppId,
    endpoint: Option<EndpointId>,
) -> Result<(), Failure> {
    batch.execute(FORGET, endpoint_range(app, endpoint))?;
    endpoint_pins::forget(batch, app, endpoint)?;
    handshakes::forget(batch, app, endpoint)?;
    let key = [Slice::of(app).as_i64(), app.raw()];
    if let Some(org) = batch.first(ORGANISATION, key, |row| row.get(0))? {
        let org = OrgId::from_stored(org);
        transport_items::forget_of_endpoints(batch, org, app, endpoint)?;
    }
    Ok(())
}

/// As it stands in the open transaction.
fn current(
    batch: &Batch<'_>,
    keyring: &Keyring,
    app: AppId,
    endpoint: EndpointId,
) -> Result<EndpointTransport, Failure> {
    let Some(row) = sealed_rows(batch.connection, app, Some(endpoint))?.pop() else {
        return Ok(EndpointTransport::default());
    };
    let keys = keyring.within(batch, app, row.key_version)?;
    let mut pins = endpoint_pins::list(batch.connection, app, Some(endpoint))?;
    row.open(&keys, pins.remove(&endpoint).unwrap_or_default())
}

fn insert(
    batch: &Batch<'_>,
    (org, app, endpoint): (OrgId, AppId, EndpointId),
    transport: &EndpointTransport,
    sealed: &Sealed,
) -> rusqlite::Result<usize> {
    let row = params![
        Slice::of(app).as_i64(),
        app.raw(),
        endpoint.raw(),
        org.as_bytes(),
        transport.policy.as_ref().map(Name::as_str),
        named_anchors(&transport.own),
        named_identity(&transport.own),
        sealed.key_version,
        sealed.bytes,
    ];
    batch.execute(INSERT, row)
}

fn sealed_rows(
    connection: &Connection,
    app: AppId,
    endpoint: Option<EndpointId>,
) -> Result<Vec<SealedRow>, Failure> {
    all(connection, LIST, endpoint_range(app, endpoint), |row| {
        Ok(SealedRow {
            endpoint: EndpointId::from_raw(row.get(0)?),
            key_version: row.get(1)?,
            body: row.get(2)?,
        })
    })
}

fn place(endpoint: EndpointId) -> Place<'static> {
    let endpoint = endpoint.raw();
    Place::EndpointTransport { endpoint }
}

// === impl SealedRow ===

impl SealedRow {
    fn open(self, keys: &DataKeys, pins: PinSet) -> Result<EndpointTransport, Failure> {
        let plain = keys.open(place(self.endpoint), self.key_version, &self.body)?;
        let (policy, own) = policy::decode_of_endpoint(&plain)
            .ok_or_else(|| corrupt("endpoint_transport", "body", self.endpoint))?;
        Ok(EndpointTransport { policy, own, pins })
    }
}
