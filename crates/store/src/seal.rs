//! Seals what must not be read off the disk: AES-256-GCM under data keys of applications and
//! organisations, each wrapped by the master key. Must never seal under a key without saying what
//! and where: the associated data binds a ciphertext to its place, so that it can't be moved.

pub(crate) mod anchor_set;
mod document;
pub(crate) mod facts;
pub(crate) mod handshake;
pub(crate) mod identity;
pub(crate) mod policy;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use zeroize::Zeroize;

use hookseal_domain::id::{AppId, OrgId};
use hookseal_domain::secret::Secret;
use hookseal_domain::slice::Slice;
use hookseal_domain::transport::name::Name;

use crate::codes::{Code, ItemKind};

/// Bytes of a master key or data key.
pub const KEY_BYTES: usize = 32;
/// A quarter of the uses that random nonces are good for (NIST SP 800-38D §8.3: 2^32), since a
/// key's uses are counted by process, and it lives through restarts.
const USES_MAX: u64 = 1 << 30;
/// What the key check seals.
const CHECK_TEXT: &[u8] = b"hookseal";
const CHECK_PLACE: [u8; 48] = [0; 48];

/// The key that wraps all others. Not stored in the database.
pub struct MasterKey(RandomizedNonceKey);

/// Sealing or opening failed: a wrong key or altered data; or, when sealing, no randomness.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("sealing or opening failed")]
pub struct SealError;

/// Whose a data key is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum KeyOwner {
    Application(AppId),
    Organisation(OrgId),
}

/// The key of one application or organisation.
pub(crate) struct DataKey {
    owner: KeyOwner,
    version: i64,
    key: RandomizedNonceKey,
    /// How often it sealed in this process.
    uses: AtomicU64,
}

/// A sealed value and the version of the key that sealed it.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) key_version: i64,
    pub(crate) bytes: Vec<u8>,
}

/// Which value of which row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'n> {
    MessagePayload {
        message: i64,
    },
    AttemptFacts {
        message: i64,
        attempt: i64,
    },
    EndpointHeaders {
        endpoint: i64,
    },
    SigningKeySecret {
        endpoint: i64,
        serial: i64,
    },
    EndpointTransport {
        endpoint: i64,
    },
    GoodHandshake {
        endpoint: i64,
    },
    FailedHandshake {
        endpoint: i64,
    },
    TransportItem {
        kind: ItemKind,
        name: &'n Name,
        version: i64,
    },
    TaskPayload {
        task: i64,
    },
    CloudEvent {
        message: i64,
    },
}

// === impl MasterKey ===

impl MasterKey {
    /// From the bytes of the key file.
    pub fn new(bytes: &Secret<[u8; KEY_BYTES]>) -> Result<Self, SealError> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes.expose()).map_err(|_| SealError)?;
        Ok(Self(key))
    }

    /// A value that only this key opens.
    pub(crate) fn check_value(&self) -> Result<Vec<u8>, SealError> {
        seal(&self.0, &CHECK_PLACE, CHECK_TEXT)
    }

    /// Whether this key made the check value.
    pub(crate) fn made(&self, check_value: &[u8]) -> bool {
        open(&self.0, &CHECK_PLACE, check_value).is_ok_and(|opened| opened == CHECK_TEXT)
    }

    /// Makes a data key, wrapped.
    pub(crate) fn new_data_key(&self, owner: KeyOwner, version: i64) -> Result<Vec<u8>, SealError> {
        let mut bytes = [0; KEY_BYTES];
        fill_random(&mut bytes)?;
        let secret = Secret::new(bytes);
        bytes.zeroize();
        seal(&self.0, &wrapping_data(owner, version), secret.expose())
    }

    /// Unwraps a data key.
    pub(crate) fn data_key(
        &self,
        owner: KeyOwner,
        version: i64,
        wrapped: &[u8],
    ) -> Result<DataKey, SealError> {
        let bytes = Secret::new(open(&self.0, &wrapping_data(owner, version), wrapped)?);
        DataKey::new(owner, version, bytes.expose())
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a key's bytes must come from the operating system, whatever the caller's runtime"
)]
fn fill_random(bytes: &mut [u8]) -> Result<(), SealError> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| SealError)
}

// === impl KeyOwner ===

impl From<AppId> for KeyOwner {
    fn from(app: AppId) -> Self {
        Self::Application(app)
    }
}

impl From<OrgId> for KeyOwner {
    fn from(org: OrgId) -> Self {
        Self::Organisation(org)
    }
}

// === impl DataKey ===

impl DataKey {
    fn new(owner: KeyOwner, version: i64, bytes: &[u8]) -> Result<Self, SealError> {
        Ok(Self {
            owner,
            version,
            key: RandomizedNonceKey::new(&AES_256_GCM, bytes).map_err(|_| SealError)?,
            uses: AtomicU64::new(0),
        })
    }

    /// Whether another is to take over, since it sealed very often in this process.
    pub(crate) fn is_worn_out(&self) -> bool {
        self.uses() >= USES_MAX
    }

    /// How often it sealed in this process.
    pub(crate) fn uses(&self) -> u64 {
        self.uses.load(Ordering::Relaxed)
    }

    /// Its version.
    pub(crate) fn version(&self) -> i64 {
        self.version
    }

    /// Seals a value for its place.
    pub(crate) fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<Sealed, SealError> {
        self.uses.fetch_add(1, Ordering::Relaxed);
        Ok(Sealed {
            key_version: self.version,
            bytes: seal(&self.key, &self.place_data(place), plain)?,
        })
    }

    /// Opens a value of its place.
    pub(crate) fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        open(&self.key, &self.place_data(place), sealed)
    }

    fn place_data(&self, place: Place<'_>) -> Vec<u8> {
        let (field, first, second, name) = match place {
            Place::MessagePayload { message } => (1, message, 0, ""),
            Place::AttemptFacts { message, attempt } => (2, message, attempt, ""),
            Place::EndpointHeaders { endpoint } => (3, endpoint, 0, ""),
            Place::SigningKeySecret { endpoint, serial } => (4, endpoint, serial, ""),
            Place::EndpointTransport { endpoint } => (6, endpoint, 0, ""),
            Place::GoodHandshake { endpoint } => (7, endpoint, 0, ""),
            Place::FailedHandshake { endpoint } => (8, endpoint, 0, ""),
            Place::TransportItem {
                kind,
                name,
                version,
            } => (9, kind.code(), version, name.as_str()),
            Place::TaskPayload { task } => (11, task, 0, ""),
            Place::CloudEvent { message } => (12, message, 0, ""),
        };
        associated_data(field, self.owner, [first, second], self.version, name)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({:?}, {})", self.owner, self.version)
    }
}

fn wrapping_data(owner: KeyOwner, version: i64) -> Vec<u8> {
    let field = match owner {
        KeyOwner::Application(_) => 5,
        KeyOwner::Organisation(_) => 10,
    };
    associated_data(field, owner, [0, 0], version, "")
}

/// Table and field, owner, row (two numbers), key version, and the row's name if it has one. A
/// field has one kind of owner, so that all before the name has a fixed length.
fn associated_data(
    field: i64,
    owner: KeyOwner,
    row: [i64; 2],
    version: i64,
    name: &str,
) -> Vec<u8> {
    let mut data = Vec::with_capacity(CHECK_PLACE.len() + name.len());
    data.extend_from_slice(&field.to_be_bytes());
    match owner {
        KeyOwner::Application(app) => {
            data.extend_from_slice(&Slice::of(app).as_i64().to_be_bytes());
            data.extend_from_slice(&app.raw().to_be_bytes());
        }
        KeyOwner::Organisation(org) => data.extend_from_slice(org.as_bytes()),
    }
    let [first, second] = row;
    for number in [first, second, version] {
        data.extend_from_slice(&number.to_be_bytes());
    }
    data.extend_from_slice(name.as_bytes());
    data
}

/// Ciphertext, tag and nonce.
fn seal(key: &RandomizedNonceKey, associated: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut sealed = Vec::with_capacity(plain.len() + AES_256_GCM.tag_len() + NONCE_LEN);
    sealed.extend_from_slice(plain);
    let nonce = key
        .seal_in_place_append_tag(Aad::from(associated), &mut sealed)
        .map_err(|_| SealError)?;
    sealed.extend_from_slice(nonce.as_ref());
    Ok(sealed)
}

fn open(key: &RandomizedNonceKey, associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    let (ciphertext, nonce) = sealed.split_last_chunk::<NONCE_LEN>().ok_or(SealError)?;
    let mut opened = ciphertext.to_vec();
    let nonce = Nonce::from(nonce);
    let length = key
        .open_in_place(nonce, Aad::from(associated), &mut opened)
        .map_err(|_| SealError)?
        .len();
    opened.truncate(length);
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master(byte: u8) -> MasterKey {
        MasterKey::new(&Secret::new([byte; KEY_BYTES])).unwrap()
    }

    fn new_key(byte: u8, version: i64) -> DataKey {
        let app = AppId::from_raw(7).into();
        let wrapped = master(byte).new_data_key(app, version).unwrap();
        master(byte).data_key(app, version, &wrapped).unwrap()
    }

    #[test]
    fn opens_only_in_its_place() {
        let app = AppId::from_raw(7).into();
        let wrapped = master(1).new_data_key(app, 1).unwrap();
        let key = master(1).data_key(app, 1, &wrapped).unwrap();
        let place = Place::AttemptFacts {
            message: 1,
            attempt: 2,
        };
        let sealed = key.seal(place, b"hush").unwrap();
        assert_eq!(sealed.key_version, 1);
        assert_eq!(key.open(place, &sealed.bytes).unwrap(), b"hush");
        for wrong in [
            Place::AttemptFacts {
                message: 1,
                attempt: 3,
            },
            Place::AttemptFacts {
                message: 2,
                attempt: 2,
            },
            Place::SigningKeySecret {
                endpoint: 1,
                serial: 2,
            },
        ] {
            assert_eq!(key.open(wrong, &sealed.bytes), Err(SealError), "{wrong:?}");
        }
        let again = master(1).data_key(app, 1, &wrapped).unwrap();
        assert_eq!(again.open(place, &sealed.bytes).unwrap(), b"hush");
        assert!(master(2).data_key(app, 1, &wrapped).is_err(), "another key");
        assert!(master(1).data_key(app, 2, &wrapped).is_err(), "version");
        let other = AppId::from_raw(8).into();
        assert!(master(1).data_key(other, 1, &wrapped).is_err(), "another's");
    }

    #[test]
    fn an_organisations_values_open_only_in_their_place() {
        let owner = |byte| KeyOwner::from(OrgId::from_stored([byte; 20]));
        let wrapped = master(1).new_data_key(owner(1), 1).unwrap();
        let key = master(1).data_key(owner(1), 1, &wrapped).unwrap();
        assert!(master(1).data_key(owner(2), 1, &wrapped).is_err());
        assert!(master(1).data_key(owner(1), 2, &wrapped).is_err());
        assert!(master(2).data_key(owner(1), 1, &wrapped).is_err());
        let (name, longer) = (Name::parse("a").unwrap(), Name::parse("ab").unwrap());
        let place = |kind, name, version| Place::TransportItem {
            kind,
            name,
            version,
        };
        let sealed = key
            .seal(place(ItemKind::Policy, &name, 1), b"hush")
            .unwrap();
        for (kind, name, version, opens) in [
            (ItemKind::Policy, &name, 1, true),
            (ItemKind::AnchorSet, &name, 1, false),
            (ItemKind::Policy, &longer, 1, false),
            (ItemKind::Policy, &name, 2, false),
        ] {
            let opened = key.open(place(kind, name, version), &sealed.bytes);
            assert_eq!(opened.is_ok(), opens, "{kind:?} {name} {version}");
        }
    }

    #[test]
    fn what_was_sealed_by_earlier_versions_opens() {
        // Field, slice, application, message, attempt, key version.
        let app = AppId::from_raw(7);
        let slice = Slice::of(app).as_i64();
        let place = Place::AttemptFacts {
            message: 8,
            attempt: 9,
        };
        let bytes = |numbers: [i64; 6]| numbers.map(i64::to_be_bytes).as_flattened().to_vec();
        assert_eq!(
            new_key(1, 3).place_data(place),
            bytes([2, slice, 7, 8, 9, 3])
        );
        assert_eq!(wrapping_data(app.into(), 3), bytes([5, slice, 7, 0, 0, 3]));
    }

    #[test]
    fn altered_or_short_values_do_not_open() {
        let key = new_key(1, 1);
        let place = Place::MessagePayload { message: 1 };
        let sealed = key.seal(place, b"hush").unwrap().bytes;
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(key.open(place, &altered), Err(SealError), "byte {at}");
            assert_eq!(
                key.open(place, &sealed[..at]),
                Err(SealError),
                "cut at {at}"
            );
        }
    }

    #[test]
    fn a_check_value_tells_keys_apart() {
        let check = master(1).check_value().unwrap();
        assert!(master(1).made(&check));
        assert!(!master(2).made(&check));
        assert!(!master(1).made(b""));
    }

    #[test]
    fn keys_are_not_printed() {
        let key = new_key(0x41, 3);
        assert_eq!(format!("{:?}", master(0x41)), "MasterKey(..)");
        assert!(format!("{key:?}").starts_with("DataKey(Application(app_"));
    }
}
