//! Reads certificates and private key of a PKCS#12 file (RFC 7292).
//!
//! **Invariant:** the file's author decides neither how much memory nor how much time it takes to
//! open it, and nothing that was decrypted outlives the reading but what is returned.

mod decrypt;
mod derive;

use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use self::decrypt::decrypt;
use self::derive::{Budget, Password};
use crate::der::{
    BadDer, INTEGER, OCTET_STRING, OID, Reader, SEQUENCE, context, context_constructed,
};
use crate::private_key::{PrivateKey, PrivateKeyError};

/// Longest file, in bytes: a key and a chain have less than ten thousand.
pub const FILE_BYTES_MAX: usize = 64 * 1024;
/// Most certificates that are taken of a file.
const CERTIFICATES_MAX: usize = 32;
/// The version of the format that is in use.
const VERSION: &[u8] = &[3];

/// The contents of object identifiers: `id-data` and `id-encryptedData` (RFC 5652), the bags of
/// RFC 7292 §4.2, and `x509Certificate` (§4.2.3).
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
const ENCRYPTED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 6];
const KEY_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1, 1];
const SHROUDED_KEY_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1, 2];
const CERTIFICATE_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1, 3];
const X509_CERTIFICATE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 22, 1];

/// There is no key with its certificates in a file.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Pkcs12Error {
    /// Too long to be opened.
    #[error("it has {bytes} bytes, more than {FILE_BYTES_MAX}")]
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// The password is no such thing.
    #[error("the password is too long")]
    PasswordTooLong,
    /// Not the password, or damaged.
    #[error("the password is wrong, or the file is damaged")]
    WrongPassword,
    /// Encrypted in a way that we don't read.
    #[error(
        "it is protected in a way that is not supported; export it with AES-256 and SHA-256 \
         (openssl pkcs12 -export does)"
    )]
    Unsupported,
    /// It asks for too much work.
    #[error("it demands that the password be hashed too often; export it with fewer iterations")]
    TooCostly,
    /// No such file.
    #[error("it is not a PKCS#12 file")]
    Malformed,
    /// No private key.
    #[error("it holds no private key")]
    NoKey,
    /// Several private keys.
    #[error("it holds more than one private key; export the one that belongs to the certificate")]
    SeveralKeys,
    /// More certificates than a chain has.
    #[error("it holds more than {CERTIFICATES_MAX} certificates")]
    TooManyCertificates,
    /// A key that we can't use.
    #[error(transparent)]
    Key(#[from] PrivateKeyError),
}

/// What was found so far.
#[derive(Default)]
struct Found {
    certificates: Vec<CertificateDer<'static>>,
    key: Option<Zeroizing<Vec<u8>>>,
}

/// The certificates, in the file's order, and the private key.
pub fn open(
    file: &[u8],
    password: &str,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKey), Pkcs12Error> {
    if file.len() > FILE_BYTES_MAX {
        return Err(Pkcs12Error::TooLong { bytes: file.len() });
    }
    let mut budget = Budget::new();
    let mut file = Reader::new(file);
    let mut parts = file.enter(SEQUENCE)?;
    file.end()?;
    if parts.take(INTEGER)? != VERSION {
        return Err(Pkcs12Error::Malformed);
    }
    let (kind, mut content) = content_info(&mut parts)?;
    if kind != DATA {
        return Err(Pkcs12Error::Unsupported);
    }
    let safe = content.take(OCTET_STRING)?;
    let password = match parts.is_empty() {
        true => Password::new(password)?,
        false => derive::check_mac(&mut parts, safe, password, &mut budget)?,
    };
    let mut found = Found::default();
    let mut infos = Reader::new(safe).enter(SEQUENCE)?;
    while !infos.is_empty() {
        let (kind, mut content) = content_info(&mut infos)?;
        match kind {
            DATA => found.read_bags(content.take(OCTET_STRING)?, &password, &mut budget)?,
            ENCRYPTED_DATA => {
                let bags = encrypted_data(&mut content, &password, &mut budget)?;
                found.read_bags(&bags, &password, &mut budget)?;
            }
            _ => return Err(Pkcs12Error::Unsupported),
        }
    }
    let key = found.key.ok_or(Pkcs12Error::NoKey)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.as_slice()));
    Ok((found.certificates, PrivateKey::from_der(&key)?))
}

/// ContentInfo (RFC 5652 §3): its kind, and a reader of its content.
fn content_info<'a>(reader: &mut Reader<'a>) -> Result<(&'a [u8], Reader<'a>), BadDer> {
    let mut info = reader.enter(SEQUENCE)?;
    let kind = info.take(OID)?;
    let content = info.enter(context_constructed(0))?;
    info.end()?;
    Ok((kind, content))
}

/// EncryptedData (RFC 5652 §8), decrypted.
fn encrypted_data(
    content: &mut Reader<'_>,
    password: &Password,
    budget: &mut Budget,
) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    let mut data = content.enter(SEQUENCE)?;
    data.take(INTEGER)?;
    let mut info = data.enter(SEQUENCE)?;
    if info.take(OID)? != DATA {
        return Err(Pkcs12Error::Unsupported);
    }
    let algorithm = info.enter(SEQUENCE)?;
    let encrypted = info.take(context(0))?;
    decrypt(algorithm, encrypted, password, budget)
}

// === impl Found ===

impl Found {
    /// SafeContents (RFC 7292 §4.2). Bags of other kinds are passed over.
    fn read_bags(
        &mut self,
        contents: &[u8],
        password: &Password,
        budget: &mut Budget,
    ) -> Result<(), Pkcs12Error> {
        let mut bags = Reader::new(contents).enter(SEQUENCE)?;
        while !bags.is_empty() {
            let mut bag = bags.enter(SEQUENCE)?;
            let kind = bag.take(OID)?;
            let mut value = bag.enter(context_constructed(0))?;
            match kind {
                CERTIFICATE_BAG => self.add_certificate(&mut value)?,
                KEY_BAG => {
                    let (key, _) = value.take_whole(SEQUENCE)?;
                    self.add_key(Zeroizing::new(key.to_vec()))?;
                }
                SHROUDED_KEY_BAG => {
                    let mut shrouded = value.enter(SEQUENCE)?;
                    let algorithm = shrouded.enter(SEQUENCE)?;
                    let encrypted = shrouded.take(OCTET_STRING)?;
                    self.add_key(decrypt(algorithm, encrypted, password, budget)?)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn add_certificate(&mut self, value: &mut Reader<'_>) -> Result<(), Pkcs12Error> {
        let mut bag = value.enter(SEQUENCE)?;
        if bag.take(OID)? != X509_CERTIFICATE {
            return Err(Pkcs12Error::Unsupported);
        }
        let der = bag.enter(context_constructed(0))?.take(OCTET_STRING)?;
        if self.certificates.len() == CERTIFICATES_MAX {
            return Err(Pkcs12Error::TooManyCertificates);
        }
        self.certificates.push(CertificateDer::from(der.to_vec()));
        Ok(())
    }

    fn add_key(&mut self, pkcs8: Zeroizing<Vec<u8>>) -> Result<(), Pkcs12Error> {
        match self.key.replace(pkcs8) {
            None => Ok(()),
            Some(_) => Err(Pkcs12Error::SeveralKeys),
        }
    }
}

impl From<BadDer> for Pkcs12Error {
    fn from(_: BadDer) -> Self {
        Self::Malformed
    }
}
