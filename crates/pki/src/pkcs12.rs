//! Reads certificates and private key of a PKCS#12 file (RFC 7292).
//!
//! **Invariant:** the file, and the work that its author can ask of us to open it, are bounded.

use p12_keystore::Pkcs12Archive;
use p12_keystore::error::Error;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::private_key::{PrivateKey, PrivateKeyError};

/// Longest file, in bytes: a key and a chain have less than ten thousand.
pub const FILE_BYTES_MAX: usize = 64 * 1024;
/// Longest password, in bytes.
const PASSWORD_BYTES_MAX: usize = 1024;

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
    #[error("the password is longer than {PASSWORD_BYTES_MAX} bytes")]
    PasswordTooLong,
    /// Not the password, or damaged.
    #[error("the password is wrong, or the file is damaged")]
    WrongPassword,
    /// Encrypted in a way that we don't read.
    #[error(
        "it is encrypted in a way that is not supported; export it with AES-256 (openssl pkcs12 \
         -export does)"
    )]
    Unsupported,
    /// No such file.
    #[error("it is not a PKCS#12 file")]
    Malformed,
    /// No private key.
    #[error("it holds no private key")]
    NoKey,
    /// Several private keys.
    #[error("it holds {keys} private keys; export the one that belongs to the certificate")]
    SeveralKeys {
        /// How many it has.
        keys: usize,
    },
    /// A key that we can't use.
    #[error(transparent)]
    Key(#[from] PrivateKeyError),
}

/// The certificates, in the file's order, and the private key.
pub fn open(
    file: &[u8],
    password: &str,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKey), Pkcs12Error> {
    if file.len() > FILE_BYTES_MAX {
        return Err(Pkcs12Error::TooLong { bytes: file.len() });
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(Pkcs12Error::PasswordTooLong);
    }
    let archive = Pkcs12Archive::from_pkcs12(file, password).map_err(reason)?;
    let key = match archive.keys.as_slice() {
        [] => return Err(Pkcs12Error::NoKey),
        [only] => PrivatePkcs8KeyDer::from(only.key.as_der()),
        several => {
            let keys = several.len();
            return Err(Pkcs12Error::SeveralKeys { keys });
        }
    };
    let key = PrivateKey::from_der(&PrivateKeyDer::Pkcs8(key))?;
    let certificates = archive.certs.iter();
    let certificates = certificates.map(|bag| CertificateDer::from(bag.cert.as_der().to_vec()));
    Ok((certificates.collect(), key))
}

fn reason(error: Error) -> Pkcs12Error {
    match error {
        Error::MacError(_) | Error::Pkcs5Error(_) | Error::UnpadError => Pkcs12Error::WrongPassword,
        Error::UnsupportedEncryptionScheme
        | Error::UnsupportedMacAlgorithm
        | Error::InvalidParameters => Pkcs12Error::Unsupported,
        _ => Pkcs12Error::Malformed,
    }
}
