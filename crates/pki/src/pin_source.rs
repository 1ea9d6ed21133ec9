//! What a pin can be made from: a certificate, the request for one that is still to come, or a bare
//! public key.
//!
//! **Invariant:** a private key is refused, whatever it is wrapped in, and nothing of it is kept.

use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::{PemObject, SectionKind};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::certificate::{KeyAlgorithm, SpkiSha256, distinguished_name, parse_x509};

/// Longest input, in bytes: a certificate with very many names has less.
const SOURCE_BYTES_MAX: usize = 64 * 1024;

/// A key that can be pinned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PinSource {
    kind: PinSourceKind,
    spki_sha256: SpkiSha256,
    key_algorithm: KeyAlgorithm,
    subject: Option<String>,
}

/// What the key stood in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PinSourceKind {
    /// A certificate.
    Certificate,
    /// A request for one (PKCS #10).
    CertificateRequest,
    /// A public key (SubjectPublicKeyInfo).
    PublicKey,
}

/// There is no key to pin.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PinSourceError {
    /// Nothing in it.
    #[error("it is empty; give a certificate, a certificate request or a public key")]
    Empty,
    /// Too long to be looked at.
    #[error("it has {bytes} bytes, more than {SOURCE_BYTES_MAX}")]
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// A secret where a public key is needed.
    #[error(
        "it is a private key, which must not be here: nothing was kept of it, but consider it \
         exposed; give the certificate, the certificate request or the public key"
    )]
    PrivateKey,
    /// Broken PEM.
    #[error("it is not valid PEM: {0}")]
    Pem(String),
    /// More than one thing.
    #[error("it holds more than one PEM section; give the one whose key is meant")]
    Several,
    /// Something else.
    #[error("it is neither a certificate nor a certificate request nor a public key")]
    Unreadable,
    /// A key that no chain may hold.
    #[error("its key ({0}) is not accepted in any certificate, so that no server can show it")]
    KeyNotAccepted(KeyAlgorithm),
}

// === impl PinSource ===

impl PinSource {
    /// Reads PEM or DER.
    pub fn parse(source: &[u8]) -> Result<Self, PinSourceError> {
        if source.len() > SOURCE_BYTES_MAX {
            let bytes = source.len();
            return Err(PinSourceError::TooLong { bytes });
        }
        if source.iter().all(u8::is_ascii_whitespace) {
            return Err(PinSourceError::Empty);
        }
        let found = match pem_section(source)? {
            Some((kind, der)) => Self::of_section(kind, &der)?,
            None => Self::of_der(source)?,
        };
        if !found.key_algorithm.is_accepted() {
            return Err(PinSourceError::KeyNotAccepted(found.key_algorithm));
        }
        Ok(found)
    }

    fn of_section(kind: SectionKind, der: &[u8]) -> Result<Self, PinSourceError> {
        let found = match kind {
            SectionKind::Certificate => of_certificate(der),
            SectionKind::Csr => of_request(der),
            SectionKind::PublicKey => of_public_key(der),
            SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
                return Err(PinSourceError::PrivateKey);
            }
            _ => None,
        };
        found.ok_or(PinSourceError::Unreadable)
    }

    fn of_der(der: &[u8]) -> Result<Self, PinSourceError> {
        if PrivateKeyDer::try_from(der).is_ok() {
            return Err(PinSourceError::PrivateKey);
        }
        of_certificate(der)
            .or_else(|| of_request(der))
            .or_else(|| of_public_key(der))
            .ok_or(PinSourceError::Unreadable)
    }

    fn new(kind: PinSourceKind, key: &SubjectPublicKeyInfo<'_>, subject: Option<String>) -> Self {
        Self {
            kind,
            spki_sha256: SpkiSha256::of_spki(key.raw),
            key_algorithm: KeyAlgorithm::of(key),
            subject,
        }
    }

    /// What the key stood in.
    pub fn kind(&self) -> PinSourceKind {
        self.kind
    }

    /// Names the key.
    pub fn spki_sha256(&self) -> SpkiSha256 {
        self.spki_sha256
    }

    /// What the key is.
    pub fn key_algorithm(&self) -> &KeyAlgorithm {
        &self.key_algorithm
    }

    /// Whom the certificate was issued to, or shall be; a bare key belongs to nobody.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }
}

/// The only section, if it is PEM.
fn pem_section(source: &[u8]) -> Result<Option<(SectionKind, Vec<u8>)>, PinSourceError> {
    if names_private_key(source) {
        return Err(PinSourceError::PrivateKey);
    }
    let mut sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(source);
    let first = match sections.next() {
        None => return Ok(None),
        Some(section) => section.map_err(|error| PinSourceError::Pem(error.to_string()))?,
    };
    match sections.next() {
        None => Ok(Some(first)),
        Some(_) => Err(PinSourceError::Several),
    }
}

/// Encrypted keys and those of OpenSSH are sections that the PEM reader passes over.
fn names_private_key(source: &[u8]) -> bool {
    const END_OF_LABEL: &[u8] = b"PRIVATE KEY-----";
    source
        .windows(END_OF_LABEL.len())
        .any(|window| window == END_OF_LABEL)
}

fn of_certificate(der: &[u8]) -> Option<PinSource> {
    let parsed = parse_x509(der).ok()?;
    let subject = Some(distinguished_name(parsed.subject()));
    let kind = PinSourceKind::Certificate;
    Some(PinSource::new(kind, parsed.public_key(), subject))
}

fn of_request(der: &[u8]) -> Option<PinSource> {
    let (rest, parsed) = X509CertificationRequest::from_der(der).ok()?;
    let info = &parsed.certification_request_info;
    let subject = Some(distinguished_name(&info.subject));
    let kind = PinSourceKind::CertificateRequest;
    rest.is_empty()
        .then(|| PinSource::new(kind, &info.subject_pki, subject))
}

fn of_public_key(der: &[u8]) -> Option<PinSource> {
    let (rest, key) = SubjectPublicKeyInfo::from_der(der).ok()?;
    rest.is_empty()
        .then(|| PinSource::new(PinSourceKind::PublicKey, &key, None))
}
