//! The data keys in memory, unwrapped once. Must never hand out a key for another application.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use rusqlite::{Connection, params};

use hookseal_domain::id::AppId;
use hookseal_domain::secret::Secret;
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;

use crate::error::StoreError;
use crate::seal::{DataKey, MasterKey, Place, Sealed};
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{Batch, all};
use crate::sqlite::failure::{Failure, unsealable};

/// Most applications whose keys are kept: a few megabytes.
const APPLICATIONS_MAX: usize = 4096;

pub(super) const KEYS: &str =
    "SELECT version, wrapped, made_at FROM data_key WHERE slice = ?1 AND app = ?2 ORDER BY version";

const INSERT: &str = "INSERT INTO data_key (slice, app, version, wrapped, made_at) \
    VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";

/// A key that sealed more often than this is not forgotten while there are others: its uses would
/// be counted from the beginning. Small beside the uses that a key is good for.
const USES_FORGOTTEN_MAX: u64 = 1 << 20;

/// How long a key seals before the next takes over.
const LIFETIME: Duration = Duration::from_hours(30 * 24);

/// All data keys that are in use.
pub(super) struct Keyring {
    master: MasterKey,
    cache: RwLock<HashMap<AppId, Arc<AppKeys>>>,
}

/// The data keys of one application, the current one last.
#[derive(Debug)]
pub(super) struct AppKeys {
    keys: Vec<DataKey>,
    /// When the current one was made.
    made_at: Timestamp,
    /// Whether a version was asked for that is not there: look again.
    outdated: AtomicBool,
}

/// The keys, of which the current one is replaced first if it has sealed for long enough; `None`
/// if there is no such application.
pub(super) async fn renewed(
    store: &SqliteStore,
    app: AppId,
    now: Timestamp,
) -> Result<Option<Arc<AppKeys>>, StoreError> {
    let Some(keys) = store.keys(app).await? else {
        return Ok(None);
    };
    let Some(version) = keys.version_to_replace(now) else {
        return Ok(Some(keys));
    };
    let next = version + 1;
    let wrapped = store.keyring.make(app, next)?;
    // Where two do it at the same time, the first one's key counts.
    let insert = move |batch: &mut Batch<'_>| {
        insert(batch, app, next, &wrapped, now)?;
        Ok(Ok(()))
    };
    store.writer.change::<_, _, StoreError>(insert).await?;
    let keyring = Arc::clone(&store.keyring);
    let reload = move |connection: &Connection| keyring.reload(connection, app);
    store.readers.ask(reload).await
}

/// Writes a wrapped key.
pub(super) fn insert(
    batch: &Batch<'_>,
    app: AppId,
    version: i64,
    wrapped: &[u8],
    made_at: Timestamp,
) -> rusqlite::Result<usize> {
    let slice = Slice::of(app).as_i64();
    let row = params![slice, app.raw(), version, wrapped, made_at.as_millis()];
    batch.execute(INSERT, row)
}

// === impl Keyring ===

impl Keyring {
    pub(super) fn new(master: MasterKey) -> Self {
        Self {
            master,
            cache: RwLock::default(),
        }
    }

    /// A new key, wrapped for the database.
    pub(super) fn make(&self, app: AppId, version: i64) -> Result<Vec<u8>, StoreError> {
        let made = self.master.new_data_key(app, version);
        made.map_err(unsealable("data_key.wrapped"))
    }

    /// The keys, if they were used lately.
    pub(super) fn cached(&self, app: AppId) -> Option<Arc<AppKeys>> {
        let keys = self.cache.read().get(&app).cloned();
        keys.filter(|keys| !keys.outdated.load(Ordering::Relaxed))
    }

    /// The keys; `None` if there is no such application.
    pub(super) fn load(
        &self,
        connection: &Connection,
        app: AppId,
    ) -> Result<Option<Arc<AppKeys>>, Failure> {
        match self.cached(app) {
            Some(keys) => Ok(Some(keys)),
            None => self.reload(connection, app),
        }
    }

    /// The keys as they stand in the database now. Those that know more are kept.
    fn reload(&self, connection: &Connection, app: AppId) -> Result<Option<Arc<AppKeys>>, Failure> {
        let keys = self.read(connection, app)?;
        let mut cache = self.cache.write();
        if let Some(known) = cache.get(&app)
            && known.keys.len() >= keys.keys.len()
        {
            known.outdated.store(false, Ordering::Relaxed);
            return Ok(Some(Arc::clone(known)));
        }
        if keys.keys.is_empty() {
            return Ok(None);
        }
        if cache.len() >= APPLICATIONS_MAX {
            forget_one(&mut cache);
        }
        let keys = Arc::new(keys);
        cache.insert(app, Arc::clone(&keys));
        Ok(Some(keys))
    }

    /// Keys that have this version, for a transaction that is open. What it sees is not kept: it may
    /// be rolled back.
    pub(super) fn within(
        &self,
        batch: &Batch<'_>,
        app: AppId,
        key_version: i64,
    ) -> Result<Arc<AppKeys>, Failure> {
        let cached = self.cached(app);
        match cached.filter(|keys| keys.version(key_version).is_some()) {
            Some(keys) => Ok(keys),
            None => Ok(Arc::new(self.read(batch.connection, app)?)),
        }
    }

    fn read(&self, connection: &Connection, app: AppId) -> Result<AppKeys, Failure> {
        let mut made_at = Timestamp::default();
        let of = [Slice::of(app).as_i64(), app.raw()];
        let keys = all(connection, KEYS, of, |row| {
            let (version, wrapped): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            made_at = Timestamp::from_millis(row.get(2)?);
            let key = self.master.data_key(app, version, &wrapped);
            Ok(key.map_err(unsealable("data_key.wrapped"))?)
        })?;
        Ok(AppKeys {
            keys,
            made_at,
            outdated: AtomicBool::new(false),
        })
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
    /// The version of the current key if another is to take over.
    fn version_to_replace(&self, now: Timestamp) -> Option<i64> {
        let current = self.keys.last()?;
        let old = now.since(self.made_at) >= LIFETIME;
        (old || current.is_worn_out()).then(|| current.version())
    }

    fn version(&self, version: i64) -> Option<&DataKey> {
        self.keys.iter().find(|key| key.version() == version)
    }

    fn is_seldom_used(&self) -> bool {
        let current = self.keys.last();
        current.is_none_or(|key| key.uses() <= USES_FORGOTTEN_MAX)
    }

    /// Seals with the current key.
    pub(super) fn seal(&self, place: Place, plain: &[u8]) -> Result<Sealed, StoreError> {
        let key = self
            .keys
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
        self.open_bytes(place, key_version, sealed).map(Bytes::from)
    }

    /// The same for what must not stay in memory.
    pub(super) fn open_secret(
        &self,
        place: Place,
        key_version: i64,
        sealed: &[u8],
    ) -> Result<Secret<Vec<u8>>, StoreError> {
        self.open_bytes(place, key_version, sealed).map(Secret::new)
    }

    fn open_bytes(
        &self,
        place: Place,
        key_version: i64,
        sealed: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let what = name(place);
        let Some(key) = self.version(key_version) else {
            self.outdated.store(true, Ordering::Relaxed);
            return Err(StoreError::Unsealable { what });
        };
        key.open(place, sealed).map_err(unsealable(what))
    }
}

fn forget_one(cache: &mut HashMap<AppId, Arc<AppKeys>>) {
    let seldom = cache.iter().find(|(_, keys)| keys.is_seldom_used());
    let one = seldom.or_else(|| cache.iter().next()).map(|(app, _)| *app);
    if let Some(app) = one {
        cache.remove(&app);
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

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use hookseal_domain::id::AppId;
    use hookseal_domain::secret::Secret;
    use hookseal_domain::time::Timestamp;

    use super::{APPLICATIONS_MAX, Keyring, insert};
    use crate::seal::{MasterKey, Place};
    use crate::sqlite::batch::Batch;
    use crate::sqlite::migrate;

    const PLACE: Place = Place::MessagePayload { message: 1 };

    fn keyring() -> (Keyring, Connection) {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate::migrate(&mut connection).unwrap();
        let master = MasterKey::new(&Secret::new([7; 32])).unwrap();
        (Keyring::new(master), connection)
    }

    fn make(keyring: &Keyring, connection: &Connection, app: AppId, version: i64) {
        let wrapped = keyring.make(app, version).unwrap();
        let batch = Batch::new(connection, 0, 1);
        insert(&batch, app, version, &wrapped, Timestamp::default()).unwrap();
    }

    #[test]
    fn an_unknown_version_makes_the_keys_be_read_again() {
        let (keyring, connection) = keyring();
        let app = AppId::from_raw(1);
        assert!(keyring.load(&connection, app).unwrap().is_none());
        make(&keyring, &connection, app, 1);
        let old = keyring.load(&connection, app).unwrap().unwrap();
        make(&keyring, &connection, app, 2);
        let batch = Batch::new(&connection, 0, 1);
        let sealed = keyring.within(&batch, app, 2).unwrap();
        let sealed = sealed.seal(PLACE, b"it").unwrap();
        assert_eq!(sealed.key_version, 2);
        let cached = keyring.cached(app).unwrap();
        assert_eq!(cached.keys.len(), 1, "an open transaction leaves no trace");

        assert!(old.open(PLACE, 2, &sealed.bytes).is_err());
        let new = keyring.load(&connection, app).unwrap().unwrap();
        assert_eq!(new.open(PLACE, 2, &sealed.bytes).unwrap(), "it");
        assert!(new.open(PLACE, 3, &sealed.bytes).is_err());
        let same = keyring.load(&connection, app).unwrap().unwrap();
        assert!(std::sync::Arc::ptr_eq(&same, &new), "its uses are kept");
        assert!(keyring.cached(app).is_some());
    }

    #[test]
    fn one_application_too_many_is_forgotten_alone() {
        let (keyring, connection) = keyring();
        for number in 0..APPLICATIONS_MAX + 3 {
            let app = AppId::from_raw(i64::try_from(number).unwrap());
            make(&keyring, &connection, app, 1);
            keyring.load(&connection, app).unwrap().unwrap();
            assert!(keyring.cached(app).is_some());
        }
        assert_eq!(keyring.cache.read().len(), APPLICATIONS_MAX);
    }
}
