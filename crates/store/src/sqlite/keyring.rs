//! The data keys in memory, unwrapped once. Must never hand out another owner's key.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use rusqlite::{Connection, Row, params};

use hookseal_domain::secret::Secret;
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;

use crate::error::StoreError;
use crate::seal::{DataKey, KeyOwner, MasterKey, Place, Sealed};
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{Batch, all};
use crate::sqlite::failure::{Failure, unsealable};

/// Most applications and organisations whose keys are kept: a few megabytes.
const OWNERS_MAX: usize = 4096;

const OF_APPLICATION: &str =
    "SELECT version, wrapped, made_at FROM data_key WHERE slice = ?1 AND app = ?2 ORDER BY version";
const OF_ORGANISATION: &str =
    "SELECT version, wrapped, made_at FROM organisation_key WHERE org = ?1 ORDER BY version";
const INSERT_OF_APPLICATION: &str = "INSERT INTO data_key (slice, app, version, wrapped, made_at) \
    VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
const INSERT_OF_ORGANISATION: &str = "INSERT INTO organisation_key \
    (org, version, wrapped, made_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 2] = [OF_APPLICATION, OF_ORGANISATION];

/// A key that sealed more often than this is not forgotten while there are others: its uses would
/// be counted from the beginning. Small beside the uses that a key is good for.
const USES_FORGOTTEN_MAX: u64 = 1 << 20;

/// How long a key seals before the next takes over.
const LIFETIME: Duration = Duration::from_hours(30 * 24);

/// All data keys that are in use.
pub(super) struct Keyring {
    master: MasterKey,
    cache: RwLock<HashMap<KeyOwner, Arc<DataKeys>>>,
}

/// The data keys of one owner, the current one last.
#[derive(Debug)]
pub(super) struct DataKeys {
    keys: Vec<DataKey>,
    /// When the current one was made.
    made_at: Timestamp,
    /// Whether a version was asked for that is not there: look again.
    outdated: AtomicBool,
}

/// The keys, of which the current one is replaced first if it has sealed for long enough; `None`
/// if there is no such application. An organisation gets its first key here.
pub(super) async fn renewed(
    store: &SqliteStore,
    owner: impl Into<KeyOwner>,
    now: Timestamp,
) -> Result<Option<Arc<DataKeys>>, StoreError> {
    let owner = owner.into();
    let next = match (store.keys(owner).await?, owner) {
        (Some(keys), _) => match keys.version_to_replace(now) {
            Some(version) => version + 1,
            None => return Ok(Some(keys)),
        },
        (None, KeyOwner::Application(_)) => return Ok(None),
        (None, KeyOwner::Organisation(_)) => 1,
    };
    let wrapped = store.keyring.make(owner, next)?;
    // Where two do it at the same time, the first one's key counts.
    let insert = move |batch: &mut Batch<'_>| {
        insert(batch, owner, next, &wrapped, now)?;
        Ok(Ok(()))
    };
    store.writer.change::<_, _, StoreError>(insert).await?;
    let keyring = Arc::clone(&store.keyring);
    let reload = move |connection: &Connection| keyring.reload(connection, owner);
    store.readers.ask(reload).await
}

/// Writes a wrapped key.
pub(super) fn insert(
    batch: &Batch<'_>,
    owner: KeyOwner,
    version: i64,
    wrapped: &[u8],
    made_at: Timestamp,
) -> rusqlite::Result<usize> {
    let made_at = made_at.as_millis();
    match owner {
        KeyOwner::Application(app) => {
            let slice = Slice::of(app).as_i64();
            let row = params![slice, app.raw(), version, wrapped, made_at];
            batch.execute(INSERT_OF_APPLICATION, row)
        }
        KeyOwner::Organisation(org) => {
            let row = params![org.as_bytes(), version, wrapped, made_at];
            batch.execute(INSERT_OF_ORGANISATION, row)
        }
    }
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
    pub(super) fn make(&self, owner: KeyOwner, version: i64) -> Result<Vec<u8>, StoreError> {
        let made = self.master.new_data_key(owner, version);
        made.map_err(unsealable(wrapped(owner)))
    }

    /// The keys, if they were used lately.
    pub(super) fn cached(&self, owner: KeyOwner) -> Option<Arc<DataKeys>> {
        let keys = self.cache.read().get(&owner).cloned();
        keys.filter(|keys| !keys.outdated.load(Ordering::Relaxed))
    }

    /// The keys; `None` if there are none.
    pub(super) fn load(
        &self,
        connection: &Connection,
        owner: impl Into<KeyOwner>,
    ) -> Result<Option<Arc<DataKeys>>, Failure> {
        let owner = owner.into();
        match self.cached(owner) {
            Some(keys) => Ok(Some(keys)),
            None => self.reload(connection, owner),
        }
    }

    /// The keys as they stand in the database now. Those that know more are kept.
    fn reload(
        &self,
        connection: &Connection,
        owner: KeyOwner,
    ) -> Result<Option<Arc<DataKeys>>, Failure> {
        let keys = self.read(connection, owner)?;
        let mut cache = self.cache.write();
        if let Some(known) = cache.get(&owner)
            && known.keys.len() >= keys.keys.len()
        {
            known.outdated.store(false, Ordering::Relaxed);
            return Ok(Some(Arc::clone(known)));
        }
        if keys.keys.is_empty() {
            return Ok(None);
        }
        if cache.len() >= OWNERS_MAX {
            forget_one(&mut cache);
        }
        let keys = Arc::new(keys);
        cache.insert(owner, Arc::clone(&keys));
        Ok(Some(keys))
    }

    /// Keys that have this version, for a transaction that is open. What it sees is not kept: it may
    /// be rolled back.
    pub(super) fn within(
        &self,
        batch: &Batch<'_>,
        owner: impl Into<KeyOwner>,
        key_version: i64,
    ) -> Result<Arc<DataKeys>, Failure> {
        let owner = owner.into();
        let cached = self.cached(owner);
        match cached.filter(|keys| keys.version(key_version).is_some()) {
            Some(keys) => Ok(keys),
            None => Ok(Arc::new(self.read(batch.connection, owner)?)),
        }
    }

    /// Keys to seal with in a transaction that is open, of which the current one is replaced first if
    /// it has sealed for long enough. What it sees is not kept, as above.
    pub(super) fn to_seal(
        &self,
        batch: &Batch<'_>,
        owner: impl Into<KeyOwner>,
        now: Timestamp,
    ) -> Result<Arc<DataKeys>, Failure> {
        let owner = owner.into();
        let cached = self.cached(owner);
        if let Some(keys) = &cached
            && keys.version_to_replace(now).is_none()
        {
            return Ok(Arc::clone(keys));
        }
        let mut keys = self.read(batch.connection, owner)?;
        if let Some(version) = keys.version_to_replace(now) {
            let next = version + 1;
            insert(batch, owner, next, &self.make(owner, next)?, now)?;
            keys = self.read(batch.connection, owner)?;
        }
        if let Some(old) = cached {
            old.outdated.store(true, Ordering::Relaxed);
        }
        Ok(Arc::new(keys))
    }

    fn read(&self, connection: &Connection, owner: KeyOwner) -> Result<DataKeys, Failure> {
        let mut made_at = Timestamp::default();
        let unwrap = |row: &Row<'_>| {
            let (version, bytes): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            made_at = Timestamp::from_millis(row.get(2)?);
            let key = self.master.data_key(owner, version, &bytes);
            Ok(key.map_err(unsealable(wrapped(owner)))?)
        };
        let keys = match owner {
            KeyOwner::Application(app) => {
                let of = [Slice::of(app).as_i64(), app.raw()];
                all(connection, OF_APPLICATION, of, unwrap)?
            }
            KeyOwner::Organisation(org) => {
                all(connection, OF_ORGANISATION, [org.as_bytes()], unwrap)?
            }
        };
        Ok(DataKeys {
            keys,
            made_at,
            outdated: AtomicBool::new(false),
        })
    }

    /// The keys of an owner whose rows are being read.
    pub(super) fn of_rows(
        &self,
        connection: &Connection,
        owner: impl Into<KeyOwner>,
    ) -> Result<Arc<DataKeys>, Failure> {
        let keys = self.load(connection, owner)?;
        Ok(keys.ok_or(StoreError::Unsealable { what: "data_key" })?)
    }
}

// === impl DataKeys ===

impl DataKeys {
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
    pub(super) fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<Sealed, StoreError> {
        let key = self
            .keys
            .last()
            .ok_or(StoreError::Unsealable { what: "data_key" })?;
        key.seal(place, plain).map_err(unsealable(name(place)))
    }

    /// Opens with the key that sealed it.
    pub(super) fn open(
        &self,
        place: Place<'_>,
        key_version: i64,
        sealed: &[u8],
    ) -> Result<Bytes, StoreError> {
        self.open_bytes(place, key_version, sealed).map(Bytes::from)
    }

    /// The same for what must not stay in memory.
    pub(super) fn open_secret(
        &self,
        place: Place<'_>,
        key_version: i64,
        sealed: &[u8],
    ) -> Result<Secret<Vec<u8>>, StoreError> {
        self.open_bytes(place, key_version, sealed).map(Secret::new)
    }

    fn open_bytes(
        &self,
        place: Place<'_>,
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

fn forget_one(cache: &mut HashMap<KeyOwner, Arc<DataKeys>>) {
    let seldom = cache.iter().find(|(_, keys)| keys.is_seldom_used());
    let one = seldom
        .or_else(|| cache.iter().next())
        .map(|(owner, _)| *owner);
    if let Some(owner) = one {
        cache.remove(&owner);
    }
}

fn wrapped(owner: KeyOwner) -> &'static str {
    match owner {
        KeyOwner::Application(_) => "data_key.wrapped",
        KeyOwner::Organisation(_) => "organisation_key.wrapped",
    }
}

fn name(place: Place<'_>) -> &'static str {
    match place {
        Place::MessagePayload { .. } => "message.payload",
        Place::AttemptFacts { .. } => "attempt.facts",
        Place::EndpointHeaders { .. } => "endpoint.headers",
        Place::SigningKeySecret { .. } => "signing_key.secret",
        Place::EndpointTransport { .. } => "endpoint_transport.body",
        Place::GoodHandshake { .. } => "endpoint_handshake.good",
        Place::FailedHandshake { .. } => "endpoint_handshake.failed",
        Place::TransportItem { .. } => "transport_item.body",
        Place::TaskPayload { .. } => "task.payload",
        Place::CloudEvent { .. } => "message_cloud_event.context",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rusqlite::Connection;

    use hookseal_domain::id::{AppId, OrgId};
    use hookseal_domain::secret::Secret;
    use hookseal_domain::time::Timestamp;

    use super::{Keyring, LIFETIME, OWNERS_MAX, insert};
    use crate::ids::Ids;
    use crate::seal::{KeyOwner, MasterKey, Place};
    use crate::sqlite::batch::{Batch, Means};
    use crate::sqlite::migrate;

    const PLACE: Place<'_> = Place::MessagePayload { message: 1 };

    fn keyring() -> (Means, Connection) {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate::migrate(&mut connection).unwrap();
        let master = MasterKey::new(&Secret::new([7; 32])).unwrap();
        let means = Means {
            keyring: Arc::new(Keyring::new(master)),
            ids: Arc::new(Ids::new(0)),
            aftermath: Arc::default(),
        };
        (means, connection)
    }

    fn make(means: &Means, connection: &Connection, owner: KeyOwner, version: i64) {
        let wrapped = means.keyring.make(owner, version).unwrap();
        let batch = Batch::new(connection, means, 0, 1);
        insert(&batch, owner, version, &wrapped, Timestamp::default()).unwrap();
    }

    #[test]
    fn an_unknown_version_makes_the_keys_be_read_again() {
        check_reading_again(AppId::from_raw(1).into());
        check_reading_again(OrgId::from_stored([1; 20]).into());
    }

    fn check_reading_again(owner: KeyOwner) {
        let (means, connection) = keyring();
        let keyring = &means.keyring;
        assert!(keyring.load(&connection, owner).unwrap().is_none());
        make(&means, &connection, owner, 1);
        let old = keyring.load(&connection, owner).unwrap().unwrap();
        make(&means, &connection, owner, 2);
        let batch = Batch::new(&connection, &means, 0, 1);
        let sealed = keyring.within(&batch, owner, 2).unwrap();
        let sealed = sealed.seal(PLACE, b"it").unwrap();
        assert_eq!(sealed.key_version, 2);
        let cached = keyring.cached(owner).unwrap();
        assert_eq!(cached.keys.len(), 1, "an open transaction leaves no trace");

        assert!(old.open(PLACE, 2, &sealed.bytes).is_err());
        let new = keyring.load(&connection, owner).unwrap().unwrap();
        assert_eq!(new.open(PLACE, 2, &sealed.bytes).unwrap(), "it");
        assert!(new.open(PLACE, 3, &sealed.bytes).is_err());
        let same = keyring.load(&connection, owner).unwrap().unwrap();
        assert!(Arc::ptr_eq(&same, &new), "its uses are kept");
        assert!(keyring.cached(owner).is_some());
    }

    #[test]
    fn an_old_key_is_replaced_within_a_transaction() {
        let owner = KeyOwner::from(AppId::from_raw(1));
        let (means, connection) = keyring();
        let keyring = &means.keyring;
        make(&means, &connection, owner, 1);
        let first = keyring.load(&connection, owner).unwrap().unwrap();
        let batch = Batch::new(&connection, &means, 0, 1);
        let begin = Timestamp::default();
        let young = keyring.to_seal(&batch, owner, begin.plus(LIFETIME / 2));
        assert!(Arc::ptr_eq(&young.unwrap(), &first));
        for _ in 0..2 {
            let old = keyring
                .to_seal(&batch, owner, begin.plus(LIFETIME))
                .unwrap();
            assert_eq!(old.seal(PLACE, b"it").unwrap().key_version, 2);
        }
        let again = keyring.load(&connection, owner).unwrap().unwrap();
        assert_eq!(again.keys.len(), 2, "it is known from now on");
    }

    #[test]
    fn one_owner_too_many_is_forgotten_alone() {
        let (means, connection) = keyring();
        let keyring = &means.keyring;
        for number in 0..OWNERS_MAX + 3 {
            let owner = AppId::from_raw(i64::try_from(number).unwrap()).into();
            make(&means, &connection, owner, 1);
            keyring.load(&connection, owner).unwrap().unwrap();
            assert!(keyring.cached(owner).is_some());
        }
        assert_eq!(keyring.cache.read().len(), OWNERS_MAX);
    }
}
