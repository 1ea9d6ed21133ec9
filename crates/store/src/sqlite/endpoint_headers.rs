//! The custom headers of endpoints, sealed: their values are secrets of the receivers.

use std::sync::Arc;

use rusqlite::{Connection, params};

use hookseal_domain::endpoint::headers::EndpointHeaders;
use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::operational::EndpointChange;
use hookseal_domain::secret::Secret;
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;

use crate::error::{ChangeError, StoreError};
use crate::seal::{Place, Sealed};
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::Batch;
use crate::sqlite::endpoints::{self, EndpointRow};
use crate::sqlite::failure::{Failure, corrupt};
use crate::sqlite::keyring::DataKeys;
use crate::sqlite::operational;
use crate::sqlite::rows::json;

const SET: &str = "UPDATE endpoint SET key_version = ?4, headers = ?5, updated_at = ?6 \
    WHERE slice = ?1 AND app = ?2 AND id = ?3 AND deleted_at IS NULL";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 1] = [SET];

/// The custom headers.
pub(super) async fn one(
    store: &SqliteStore,
    app: AppId,
    endpoint: EndpointId,
) -> Result<Option<EndpointHeaders>, StoreError> {
    let keyring = Arc::clone(&store.keyring);
    let find = move |connection: &Connection| {
        let Some(row) = endpoints::live(connection, app, endpoint)? else {
            return Ok(None);
        };
        let keys = keyring.of_rows(connection, app)?;
        open(&row, &keys).map(Some)
    };
    store.readers.ask(find).await
}

/// Replaces the custom headers.
pub(super) async fn set(
    store: &SqliteStore,
    app: AppId,
    endpoint: EndpointId,
    headers: EndpointHeaders,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let keys = store.keys(app).await?.ok_or(ChangeError::NotFound)?;
    let sealed = seal(&keys, endpoint, &headers)?;
    let set = move |batch: &mut Batch<'_>| {
        let row = params![
            Slice::of(app).as_i64(),
            app.raw(),
            endpoint.raw(),
            sealed.key_version,
            sealed.bytes,
            now.as_millis(),
        ];
        if batch.execute(SET, row)? == 0 {
            return Ok(Err(ChangeError::NotFound));
        }
        batch.changed(app, 0)?;
        let after = endpoints::live(batch.connection, app, endpoint)?;
        let uid = after.and_then(|after| after.endpoint.spec.uid);
        let (named, changes) = ((endpoint, uid.as_ref()), [EndpointChange::Updated]);
        operational::endpoint_changed(batch, app, named, now, &changes)?;
        Ok(Ok(()))
    };
    store.writer.change(set).await
}

/// Seals headers for their endpoint.
pub(super) fn seal(
    keys: &DataKeys,
    endpoint: EndpointId,
    headers: &EndpointHeaders,
) -> Result<Sealed, StoreError> {
    let endpoint = endpoint.raw();
    let plain = Secret::new(json(headers.pairs()));
    keys.seal(
        Place::EndpointHeaders { endpoint },
        plain.expose().as_bytes(),
    )
}

/// Opens the headers of a row.
pub(super) fn open(row: &EndpointRow, keys: &DataKeys) -> Result<EndpointHeaders, Failure> {
    let id = row.endpoint.id;
    let place = Place::EndpointHeaders { endpoint: id.raw() };
    let plain = keys.open_secret(place, row.key_version, &row.headers)?;
    let pairs =
        serde_json::from_slice(plain.expose()).map_err(|_| corrupt("endpoint", "headers", id))?;
    Ok(EndpointHeaders::from_stored(pairs))
}
