//! The data keys in memory, unwrapped once. Must never hand out a key for another application.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use rusqlite::Connection;

use hookseal_domain::id::AppId;
use hookseal_domain::slice::Slice;

use crate::error::StoreError;
use crate::seal::{DataKey, MasterKey, Place, Sealed};
use crate::sqlite::batch::all;
use crate::sqlite::failure::{Failure, unsealable};

/// Most applications whose keys are kept: a few megabytes.
const APPLICATIONS_MAX: usize = 4096;

pub(super) const KEYS: &str =
    "SELECT version, wrapped FROM data_key WHERE slice = ?1 AND app = ?2 ORDER BY version";

/// All data keys that are in use.
pub(super) struct Keyring {
    master: MasterKey,
    cache: RwLock<HashMap<AppId, Arc<AppKeys>>>,
}

/// The data keys of one application, the current one last.
#[derive(Debug)]
pub(super) struct AppKeys(Vec<DataKey>);

// === impl Keyring ===

impl Keyring {
    pub(super) fn new(master: MasterKey) -> Self {
        Self {
            master,
            cache: RwLock::default(),
        }
    }

    /// The first key of a new application, and the same wrapped, for the database.
    pub(super) fn make(&self, app: AppId) -> Result<(DataKey, Vec<u8>), StoreError> {
        let made = self.master.new_data_key(app, 1);
        made.map_err(unsealable("data_key.wrapped"))
    }

    /// The keys, if they were used lately.
    pub(super) fn cached(&self, app: AppId) -> Option<Arc<AppKeys>> {
        self.cache.read().get(&app).cloned()
    }

    /// The keys; `None` if there is no such application.
    pub(super) fn load(
        &self,
        connection: &Connection,
        app: AppId,
    ) -> Result<Option<Arc<AppKeys>>, Failure> {
        if let Some(keys) = self.cached(app) {
            return Ok(Some(keys));
        }
        let of = [Slice::of(app).as_i64(), app.raw()];
        let keys = all(connection, KEYS, of, |row| {
            let (version, wrapped): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let key = self.master.data_key(app, version, &wrapped);
            Ok(key.map_err(unsealable("data_key.wrapped"))?)
        })?;
        if keys.is_empty() {
            return Ok(None);
        }
        let keys = Arc::new(AppKeys(keys));
        let mut cache = self.cache.write();
        if cache.len() >= APPLICATIONS_MAX {
            cache.clear();
        }
        cache.insert(app, Arc::clone(&keys));
        Ok(Some(keys))
    }

    /// The keys of an application whose rows are being read.
    pub(super) fn of_rows(
        &self,
        connection: &Connection,
        app: AppId,
    ) -> Result<Arc<AppKeys>, Failure> {
        let keys = self.load(connection, app)?;
        Ok(keys.ok_or(StoreError::Unsealable { what: "data_key" })?)
    }
}

// === impl AppKeys ===

impl AppKeys {
    /// Seals with the current key.
    pub(super) fn seal(&self, place: Place, plain: &[u8]) -> Result<Sealed, StoreError> {
        let key = self
            .0
            .last()
            .ok_or(StoreError::Unsealable { what: "data_key" })?;
        key.seal(place, plain).map_err(unsealable(name(place)))
    }

    /// Opens with the key that sealed it.
    pub(super) fn open(
        &self,
        place: Place,
        key_version: i64,
        sealed: &[u8],
    ) -> Result<Bytes, StoreError> {
        let what = name(place);
        let key = self.0.iter().find(|key| key.version() == key_version);
        let key = key.ok_or(StoreError::Unsealable { what })?;
        key.open(place, sealed).map_err(unsealable(what))
    }
}

fn name(place: Place) -> &'static str {
    match place {
        Place::MessagePayload { .. } => "message.payload",
        Place::AttemptFacts { .. } => "attempt.facts",
        Place::EndpointHeaders { .. } => "endpoint.headers",
        Place::SigningKeySecret { .. } => "signing_key.secret",
    }
}
