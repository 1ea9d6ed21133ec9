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
#[error("{}: {fault}", path.display())]
pub(super) struct Problem {
    path: PathBuf,
    #[source]
    fault: Fault,
}

/// What is wrong with a file, or with what belongs to it.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("cannot be read")]
    Unreadable(#[source] io::Error),
    #[error("is not in PEM")]
    NotPem,
    #[error("has no certificate")]
    NoCertificate,
    #[error("has no private key")]
    NoKey,
    #[error(
        "has a key with a passphrase; store it without one, readable by the server alone, or in a \
         PKCS#11 token"
    )]
    EncryptedKey,
    #[error(transparent)]
    Unusable(#[from] PresentableError),
    #[error(
        "the certificate is not for clients: its key usage lacks digitalSignature, or its extended \
         key usage lacks clientAuth"
    )]
    NotForClients,
    #[error("the certificate is valid from {0} only")]
    NotYetValid(Timestamp),
    #[error("the certificate ended at {0}")]
    Expired(Timestamp),
    #[error("its key is in a PKCS#11 token, but egress.pkcs11_module is not set")]
    NoToken,
    #[error("its key in the PKCS#11 token can't be used")]
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
        let of_certificate = |fault| Problem::new(path, fault);
        let chain = self.certificate.map_err(Fault::Unreadable);
        let chain = chain.and_then(|pem| chain_of(pem.expose()));
        let chain = chain.map_err(of_certificate)?;
        let made = match (&source.key, self.key) {
            (OperatorKey::File(key_path), Some(key)) => {
                let key = key.map_err(Fault::Unreadable);
                let key = key.and_then(|pem| private_key(pem.expose()));
                let mut key = key.map_err(|fault| Problem::new(key_path, fault))?;
                let made = Presentable::with_der_key(source.name.clone(), 0, chain, &key);
                key.zeroize();
                made.map_err(Fault::from)
            }
            (OperatorKey::Token(label), _) => in_token(source, chain, token, label),
            (OperatorKey::File(key_path), None) => Err(Problem::new(key_path, Fault::NoKey))?,
        };
        let presentable = made.map_err(of_certificate)?;
        check_for_clients_now(path, &presentable, now)?;
        Ok(presentable)
    }
}

// === impl Problem ===

impl Problem {
    fn new(path: &Path, fault: Fault) -> Self {
        let path = path.to_path_buf();
        Self { path, fault }
    }

    /// For whoever reads attempts: what folders and tokens the operator has is not told.
    pub(super) fn in_short(&self) -> String {
        match self.path.file_name() {
            Some(name) => format!("{}: {}", Path::new(name).display(), self.fault),
            None => self.fault.to_string(),
        }
    }
}

fn in_token(
    source: &OperatorIdentity,
    chain: Vec<CertificateDer<'static>>,
    token: Option<&Arc<Token>>,
    label: &str,
) -> Result<Presentable, Fault> {
    let token = token.ok_or(Fault::NoToken)?;
    let leaf = chain.first().ok_or(Fault::NoCertificate)?;
    let key = TokenKey::find(token, label, leaf)?;
    let made = Presentable::new(source.name.clone(), 0, chain, Arc::new(key))?;
    Ok(made)
}

/// Whether a certificate is one for clients, and valid.
pub(super) fn check_for_clients_now(
    path: &Path,
    presentable: &Presentable,
    now: Timestamp,
) -> Result<(), Problem> {
    let certificate = presentable.certificate();
    let fault = if !certificate.may_sign() || !certificate.purpose().allows_client() {
        Fault::NotForClients
    } else if presentable.is_valid_at(now) {
        return Ok(());
    } else if now < presentable.not_before() {
        Fault::NotYetValid(presentable.not_before())
    } else {
        Fault::Expired(presentable.not_after())
    };
    Err(Problem::new(path, fault))
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

fn chain_of(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|_| Fault::NotPem)?;
    if chain.is_empty() {
        return Err(Fault::NoCertificate);
    }
    Ok(chain)
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Fault> {
    const ENCRYPTED: [&[u8]; 2] = [b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];
    let has = |text: &[u8]| pem.windows(text.len()).any(|window| window == text);
    match PrivateKeyDer::from_pem_slice(pem) {
        _ if ENCRYPTED.into_iter().any(has) => Err(Fault::EncryptedKey),
        Ok(key) => Ok(key),
        Err(rustls_pki_types::pem::Error::NoItemsFound) => Err(Fault::NoKey),
        Err(_) => Err(Fault::NotPem),
    }
}
