//! Seals what must not be read off the disk: AES-256-GCM under one data key per application, each
//! wrapped by the master key. Must never seal under a key without saying what and where: the
//! associated data binds a ciphertext to its place, so that it can't be moved.

pub(crate) mod facts;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use zeroize::Zeroize;

use hookseal_domain::id::AppId;
use hookseal_domain::secret::Secret;
use hookseal_domain::slice::Slice;

/// Bytes of a master key or data key.
pub const KEY_BYTES: usize = 32;
/// A quarter of the uses that random nonces are good for (NIST SP 800-38D §8.3: 2^32), since a
/// key's uses are counted by process, and it lives through restarts.
const USES_MAX: u64 = 1 << 30;
/// What the key check seals.
const CHECK_TEXT: &[u8] = b"hookseal";

/// The key that wraps all others. Not stored in the database.
pub struct MasterKey(RandomizedNonceKey);

/// Sealing or opening failed: a wrong key or altered data; or, when sealing, no randomness.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("sealing or opening failed")]
pub struct SealError;

/// The key of one application.
pub(crate) struct DataKey {
    slice: Slice,
    app: AppId,
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
pub(crate) enum Place {
    MessagePayload { message: i64 },
    AttemptFacts { message: i64, attempt: i64 },
    EndpointHeaders { endpoint: i64 },
    SigningKeySecret { endpoint: i64, serial: i64 },
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
        seal(&self.0, &[[0; 8]; 6], CHECK_TEXT)
    }

    /// Whether this key made the check value.
    pub(crate) fn made(&self, check_value: &[u8]) -> bool {
        open(&self.0, &[[0; 8]; 6], check_value).is_ok_and(|opened| opened == CHECK_TEXT)
    }

    /// Makes a data key, wrapped.
    pub(crate) fn new_data_key(&self, app: AppId, version: i64) -> Result<Vec<u8>, SealError> {
        let mut bytes = [0; KEY_BYTES];
        fill_random(&mut bytes)?;
        let secret = Secret::new(bytes);
        bytes.zeroize();
        seal(&self.0, &wrapping_data(app, version), secret.expose())
    }

    /// Unwraps a data key.
    pub(crate) fn data_key(
        &self,
        app: AppId,
        version: i64,
        wrapped: &[u8],
    ) -> Result<DataKey, SealError> {
        let bytes = Secret::new(open(&self.0, &wrapping_data(app, version), wrapped)?);
        DataKey::new(app, version, bytes.expose())
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

// === impl DataKey ===

impl DataKey {
    fn new(app: AppId, version: i64, bytes: &[u8]) -> Result<Self, SealError> {
        Ok(Self {
            slice: Slice::of(app),
            app,
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
    pub(crate) fn seal(&self, place: Place, plain: &[u8]) -> Result<Sealed, SealError> {
        self.uses.fetch_add(1, Ordering::Relaxed);
        Ok(Sealed {
            key_version: self.version,
            bytes: seal(&self.key, &self.place_data(place), plain)?,
        })
    }

    /// Opens a value of its place.
    pub(crate) fn open(&self, place: Place, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        open(&self.key, &self.place_data(place), sealed)
    }

    /// Table and field, slice, application, row (two numbers) and key version.
    fn place_data(&self, place: Place) -> [[u8; 8]; 6] {
        let (field, first, second) = match place {
            Place::MessagePayload { message } => (1, message, 0),
            Place::AttemptFacts { message, attempt } => (2, message, attempt),
            Place::EndpointHeaders { endpoint } => (3, endpoint, 0),
            Place::SigningKeySecret { endpoint, serial } => (4, endpoint, serial),
        };
        associated_data(field, self.slice, self.app, [first, second], self.version)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({:?}, {})", self.app, self.version)
    }
}

fn wrapping_data(app: AppId, version: i64) -> [[u8; 8]; 6] {
    associated_data(5, Slice::of(app), app, [0, 0], version)
}

fn associated_data(
    field: i64,
    slice: Slice,
    app: AppId,
    [first, second]: [i64; 2],
    version: i64,
) -> [[u8; 8]; 6] {
    [field, slice.as_i64(), app.raw(), first, second, version].map(i64::to_be_bytes)
}

/// Ciphertext, tag and nonce.
fn seal(
    key: &RandomizedNonceKey,
    associated: &[[u8; 8]; 6],
    plain: &[u8],
) -> Result<Vec<u8>, SealError> {
    let mut sealed = Vec::with_capacity(plain.len() + AES_256_GCM.tag_len() + NONCE_LEN);
    sealed.extend_from_slice(plain);
    let nonce = key
        .seal_in_place_append_tag(Aad::from(associated.as_flattened()), &mut sealed)
        .map_err(|_| SealError)?;
    sealed.extend_from_slice(nonce.as_ref());
    Ok(sealed)
}

fn open(
    key: &RandomizedNonceKey,
    associated: &[[u8; 8]; 6],
    sealed: &[u8],
) -> Result<Vec<u8>, SealError> {
    let (ciphertext, nonce) = sealed.split_last_chunk::<NONCE_LEN>().ok_or(SealError)?;
    let mut opened = ciphertext.to_vec();
    let nonce = Nonce::from(nonce);
    let length = key
        .open_in_place(nonce, Aad::from(associated.as_flattened()), &mut opened)
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
        let app = AppId::from_raw(7);
        let wrapped = master(byte).new_data_key(app, version).unwrap();
        master(byte).data_key(app, version, &wrapped).unwrap()
    }

    #[test]
    fn opens_only_in_its_place() {
        let app = AppId::from_raw(7);
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
        assert!(
            master(1).data_key(AppId::from_raw(8), 1, &wrapped).is_err(),
            "another application"
        );
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
        assert!(format!("{key:?}").starts_with("DataKey(app_"));
    }
}
