//! Reads the files of an identity, and makes something presentable of them.
//!
//! **Invariant:** what stands in a key file is in no text and is wiped after use.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use hookseal_domain::secret::Secret;
use hookseal_domain::time::Timestamp;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroize;

use super::{OperatorIdentity, OperatorKey};
use crate::limits::IDENTITY_FILE_BYTES_MAX;
use crate::pkcs11::{Token, TokenError, TokenKey};
use crate::presentable::{Presentable, PresentableError};

/// Tells whether files have changed. What stands in them can't be found out from it: a key has
/// more than anybody can guess.
pub(super) type Fingerprint = [u8; 32];

/// What is wrong with an identity.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{}: is not in PEM", .0.display())]
    NotPem(PathBuf),
    #[error("{}: has no certificate", .0.display())]
    NoCertificate(PathBuf),
    #[error("{}: has no private key", .0.display())]
    NoKey(PathBuf),
    #[error(
        "{}: has a key with a passphrase; store it without one, readable by the server alone, or \
         in a PKCS#11 token", .0.display()
    )]
    EncryptedKey(PathBuf),
    #[error("{}: {source}", path.display())]
    Unusable {
        path: PathBuf,
        source: PresentableError,
    },
    #[error(
        "{}: the certificate is not for clients: its key usage lacks digitalSignature, or its \
         extended key usage lacks clientAuth", .0.display()
    )]
    NotForClients(PathBuf),
    #[error("{}: the certificate is valid from {not_before} only", path.display())]
    NotYetValid {
        path: PathBuf,
        not_before: Timestamp,
    },
    #[error("{}: the certificate ended at {not_after}", path.display())]
    Expired { path: PathBuf, not_after: Timestamp },
    #[error("its key is in a PKCS#11 token, but egress.pkcs11_module is not set")]
    NoToken,
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// What the files held when they were read.
pub(super) struct IdentityFiles {
    certificate: Result<Secret<Vec<u8>>, io::Error>,
    /// `None` where the key is in a token.
    key: Option<Result<Secret<Vec<u8>>, io::Error>>,
}

// === impl IdentityFiles ===

impl IdentityFiles {
    pub(super) fn read(source: &OperatorIdentity) -> Self {
        Self {
            certificate: read(&source.certificate),
            key: match &source.key {
                OperatorKey::File(path) => Some(read(path)),
                OperatorKey::Token(_) => None,
            },
        }
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut context = Context::new(&SHA256);
        for file in [Some(&self.certificate), self.key.as_ref()]
            .into_iter()
            .flatten()
        {
            let (kind, content) = match file {
                Ok(content) => (None, content.expose().as_slice()),
                Err(error) => (Some(format!("{:?}", error.kind())), &b""[..]),
            };
            let head = format!("{kind:?} {}\n", content.len());
            context.update(head.as_bytes());
            context.update(content);
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.finish().as_ref());
        fingerprint
    }

    /// Checks that certificate and key can be presented together, now.
    pub(super) fn into_presentable(
        self,
        source: &OperatorIdentity,
        token: Option<&Arc<Token>>,
        now: Timestamp,
    ) -> Result<Presentable, Problem> {
        let path = &source.certificate;
        let chain = chain(path, opened(path, self.certificate)?.expose())?;
        let name = source.name.clone();
        let unusable = |error| Problem::Unusable {
            path: path.clone(),
            source: error,
        };
        let presentable = match (&source.key, self.key) {
            (OperatorKey::File(key_path), Some(key)) => {
                let mut key = private_key(key_path, opened(key_path, key)?.expose())?;
                let made = Presentable::with_der_key(name, 0, chain, &key);
                key.zeroize();
                made.map_err(unusable)?
            }
            (OperatorKey::Token(label), _) => {
                let token = token.ok_or(Problem::NoToken)?;
                let leaf = chain
                    .first()
                    .ok_or(PresentableError::Empty)
                    .map_err(unusable)?;
                let key = TokenKey::find(token, label, leaf)?;
                Presentable::new(name, 0, chain, Arc::new(key)).map_err(unusable)?
            }
            (OperatorKey::File(key_path), None) => return Err(Problem::NoKey(key_path.clone())),
        };
        is_for_clients_now(path, &presentable, now)?;
        Ok(presentable)
    }
}

fn is_for_clients_now(
    path: &Path,
    presentable: &Presentable,
    now: Timestamp,
) -> Result<(), Problem> {
    let certificate = presentable.certificate();
    let path = path.to_path_buf();
    if !certificate.may_sign() || !certificate.purpose().allows_client() {
        return Err(Problem::NotForClients(path));
    }
    let (not_before, not_after) = (presentable.not_before(), presentable.not_after());
    if presentable.is_valid_at(now) {
        Ok(())
    } else if now < not_before {
        Err(Problem::NotYetValid { path, not_before })
    } else {
        Err(Problem::Expired { path, not_after })
    }
}

/// All of a file, in memory that is wiped afterwards.
fn read(path: &Path) -> Result<Secret<Vec<u8>>, io::Error> {
    let limit = IDENTITY_FILE_BYTES_MAX;
    // With room for all of it: a vector that grows leaves its old memory behind unwiped.
    let mut content = Vec::with_capacity(limit + 1);
    let mut file = File::open(path)?.take(u64::try_from(limit + 1).unwrap_or(u64::MAX));
    let read = file.read_to_end(&mut content);
    let content = Secret::new(content);
    if read? > limit {
        let problem = format!("is larger than {} KiB", limit / 1024);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(content)
}

fn opened(
    path: &Path,
    read: Result<Secret<Vec<u8>>, io::Error>,
) -> Result<Secret<Vec<u8>>, Problem> {
    let path = path.to_path_buf();
    read.map_err(|source| Problem::Unreadable { path, source })
}

fn chain(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|_| Problem::NotPem(path.to_path_buf()))?;
    if chain.is_empty() {
        return Err(Problem::NoCertificate(path.to_path_buf()));
    }
    Ok(chain)
}

fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, Problem> {
    const ENCRYPTED: [&[u8]; 2] = [b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];
    let has = |text: &[u8]| pem.windows(text.len()).any(|window| window == text);
    match PrivateKeyDer::from_pem_slice(pem) {
        _ if ENCRYPTED.into_iter().any(has) => Err(Problem::EncryptedKey(path.to_path_buf())),
        Ok(key) => Ok(key),
        Err(rustls_pki_types::pem::Error::NoItemsFound) => Err(Problem::NoKey(path.to_path_buf())),
        Err(_) => Err(Problem::NotPem(path.to_path_buf())),
    }
}
