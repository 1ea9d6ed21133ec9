//! What we prove ourselves with to receivers: our certificate, those that lead towards its root, and
//! the private key.
//!
//! **Invariant:** an [`IdentityChain`] is in order, hangs together by signatures, is valid at the
//! time it was read and may be shown by a client; an [`Identity`] has the key of its certificate.

use rustls_pki_types::pem::{PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use crate::certificate::{Certificate, CertificateError, KeyAlgorithm, SpkiSha256, parse_x509};
use crate::pkcs12::{self, Pkcs12Error};
use crate::private_key::{PrivateKey, PrivateKeyError};
use crate::verify::{ALGORITHMS, Seconds};

/// Longest chain file, in bytes.
const CHAIN_BYTES_MAX: usize = 128 * 1024;
/// Most certificates of a chain: our own and those of its CAs.
pub const CERTIFICATES_MAX: usize = 8;

/// Our certificate and those that lead towards its root, which is not among them: receivers have it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdentityChain {
    own: Certificate,
    chain: Vec<CertificateDer<'static>>,
}

/// A certificate of ours with its key.
#[derive(Debug)]
pub struct Identity {
    /// The certificate and those of its CAs.
    pub chain: IdentityChain,
    /// Its key.
    pub key: PrivateKey,
}

/// A chain can't be shown to receivers. Entries are counted from 1.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IdentityChainError {
    /// Nothing in it.
    #[error("no certificate in it; it must hold PEM sections \"-----BEGIN CERTIFICATE-----\"")]
    Empty,
    /// Too long.
    #[error("it has {bytes} bytes, more than {CHAIN_BYTES_MAX}")]
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// Too many certificates.
    #[error("it has more than {CERTIFICATES_MAX} certificates; give our own and those of its CAs")]
    TooMany,
    /// Not PEM.
    #[error("entry {entry} is not valid PEM: {what}")]
    Pem {
        /// Which entry.
        entry: usize,
        /// What is wrong.
        what: String,
    },
    /// No readable certificate.
    #[error("entry {entry} can't be read: {source}")]
    Unreadable {
        /// Which entry.
        entry: usize,
        /// Why.
        source: CertificateError,
    },
    /// Only CAs'.
    #[error("it holds certificates of CAs only; our own certificate is missing")]
    OwnMissing,
    /// More than one that is not a CA's.
    #[error(
        "it holds more than one certificate that is not a CA's ({first} and {second}); give our \
         own and those of its CAs"
    )]
    SeveralOwn {
        /// Whom the first was issued to.
        first: String,
        /// Whom the second was issued to.
        second: String,
    },
    /// One that has nothing to do with ours.
    #[error("the certificate of {subject} does not belong to the chain of our own; leave it out")]
    Unrelated {
        /// Whom it was issued to.
        subject: String,
    },
    /// Past its last second.
    #[error("the certificate of {subject} expired on {not_after}")]
    Expired {
        /// Whom it was issued to.
        subject: String,
        /// Its last second.
        not_after: Seconds,
    },
    /// Before its first second.
    #[error("the certificate of {subject} is valid from {not_before} only")]
    NotYetValid {
        /// Whom it was issued to.
        subject: String,
        /// Its first second.
        not_before: Seconds,
    },
    /// Not for clients.
    #[error(
        "the certificate of {subject} is not meant for clients: its extended key usage lacks \
         clientAuth (RFC 5280 §4.2.1.12); public CAs do not issue such certificates any more, a \
         private CA does"
    )]
    WrongPurpose {
        /// Whom it was issued to.
        subject: String,
    },
    /// Not for signing handshakes.
    #[error(
        "the certificate of {subject} may not sign: its key usage lacks digitalSignature (RFC 5280 \
         §4.2.1.3)"
    )]
    MayNotSign {
        /// Whom it was issued to.
        subject: String,
    },
    /// A key that no receiver should accept.
    #[error("the key of {subject} is not accepted ({key})")]
    KeyNotAccepted {
        /// Whose key it is.
        subject: String,
        /// What it is.
        key: KeyAlgorithm,
    },
    /// Certificates that don't prove each other.
    #[error("the certificates do not form a chain: {0}")]
    Broken(String),
}

/// A certificate of ours and its key can't be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IdentityError {
    /// The certificates.
    #[error("the certificate: {0}")]
    Chain(#[from] IdentityChainError),
    /// The key.
    #[error(transparent)]
    Key(#[from] PrivateKeyError),
    /// Two that don't belong together.
    #[error("the private key ({key}) is not that of the certificate of {subject} ({certificate})")]
    Mismatch {
        /// Whom the certificate was issued to.
        subject: String,
        /// Names the certificate's key.
        certificate: SpkiSha256,
        /// Names the key that was given.
        key: SpkiSha256,
    },
    /// The file of both.
    #[error("the PKCS#12 file: {0}")]
    Pkcs12(#[from] Pkcs12Error),
}

// === impl IdentityChain ===

impl IdentityChain {
    /// Reads certificates in PEM, in any order; keys in the same file are passed over. A root among
    /// them is left out.
    pub fn parse(pem: &[u8], now: UnixTime) -> Result<Self, IdentityChainError> {
        if pem.len() > CHAIN_BYTES_MAX {
            let bytes = pem.len();
            return Err(IdentityChainError::TooLong { bytes });
        }
        let mut ders = Vec::new();
        let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem);
        for (entry, section) in (1..).zip(sections) {
            let (kind, der) = section.map_err(|error| IdentityChainError::Pem {
                entry,
                what: error.to_string(),
            })?;
            if kind == SectionKind::Certificate {
                ders.push(CertificateDer::from(der));
            }
        }
        Self::from_ders(ders, now)
    }

    /// The same of certificates in DER.
    pub fn from_ders(
        ders: Vec<CertificateDer<'static>>,
        now: UnixTime,
    ) -> Result<Self, IdentityChainError> {
        let mut all: Vec<(Certificate, CertificateDer<'static>)> = Vec::new();
        for (entry, der) in (1..).zip(ders) {
            if entry > CERTIFICATES_MAX {
                return Err(IdentityChainError::TooMany);
            }
            let unreadable = |source| IdentityChainError::Unreadable { entry, source };
            let facts = Certificate::parse(&der).map_err(unreadable)?;
            // The same one twice says nothing new: concatenated files often begin so.
            if !all
                .iter()
                .any(|(known, _)| known.sha256() == facts.sha256())
            {
                all.push((facts, der));
            }
        }
        if all.is_empty() {
            return Err(IdentityChainError::Empty);
        }
        let chain = in_order(all)?;
        for (facts, _) in &chain {
            check_dates(facts, Seconds::of(now))?;
        }
        let (own, _) = chain.first().ok_or(IdentityChainError::Empty)?;
        check_own(own)?;
        let own = own.clone();
        let chain = chain.into_iter().map(|(_, der)| der).collect();
        check_signatures(&chain, now)?;
        Ok(Self { own, chain })
    }

    /// Our certificate.
    pub fn own(&self) -> &Certificate {
        &self.own
    }

    /// All that a receiver is shown, our own first, without the root.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// Whether this is the key of our certificate.
    pub fn matches(&self, key: SpkiSha256) -> bool {
        self.own.spki_sha256() == key
    }
}

/// Our own first, then each one's issuer, as far as they are there; without a root.
fn in_order(
    mut all: Vec<(Certificate, CertificateDer<'static>)>,
) -> Result<Vec<(Certificate, CertificateDer<'static>)>, IdentityChainError> {
    let mut own = (0..).zip(&all).filter(|(_, (facts, _))| !facts.is_ca());
    let Some((at, (first, _))) = own.next() else {
        return Err(IdentityChainError::OwnMissing);
    };
    if let Some((_, (second, _))) = own.next() {
        return Err(IdentityChainError::SeveralOwn {
            first: first.subject().to_owned(),
            second: second.subject().to_owned(),
        });
    }
    let mut chain = vec![all.remove(at)];
    while let Some((facts, der)) = chain.last() {
        if facts.is_self_issued() {
            break;
        }
        match all.iter().position(|(_, issuer)| is_issuer(issuer, der)) {
            Some(at) => chain.push(all.remove(at)),
            None => break,
        }
    }
    if let Some((facts, _)) = all.first() {
        let subject = facts.subject().to_owned();
        return Err(IdentityChainError::Unrelated { subject });
    }
    if chain.len() > 1
        && chain
            .last()
            .is_some_and(|(facts, _)| facts.is_self_issued())
    {
        chain.pop();
    }
    Ok(chain)
}

fn is_issuer(issuer: &CertificateDer<'_>, of: &CertificateDer<'_>) -> bool {
    match (parse_x509(issuer), parse_x509(of)) {
        (Ok(issuer), Ok(of)) => issuer.subject().as_raw() == of.issuer().as_raw(),
        _ => false,
    }
}

fn check_dates(facts: &Certificate, now: Seconds) -> Result<(), IdentityChainError> {
    let subject = || facts.subject().to_owned();
    if now.0 > facts.not_after_secs() {
        return Err(IdentityChainError::Expired {
            subject: subject(),
            not_after: Seconds(facts.not_after_secs()),
        });
    }
    if now.0 < facts.not_before_secs() {
        return Err(IdentityChainError::NotYetValid {
            subject: subject(),
            not_before: Seconds(facts.not_before_secs()),
        });
    }
    Ok(())
}

fn check_own(own: &Certificate) -> Result<(), IdentityChainError> {
    let subject = || own.subject().to_owned();
    if !own.purpose().allows_client() {
        return Err(IdentityChainError::WrongPurpose { subject: subject() });
    }
    if !own.may_sign() {
        return Err(IdentityChainError::MayNotSign { subject: subject() });
    }
    if !own.key_algorithm().is_accepted() {
        return Err(IdentityChainError::KeyNotAccepted {
            subject: subject(),
            key: own.key_algorithm().clone(),
        });
    }
    Ok(())
}

/// Whether each certificate was signed by the next one, as a receiver would find out.
fn check_signatures(
    chain: &Vec<CertificateDer<'static>>,
    now: UnixTime,
) -> Result<(), IdentityChainError> {
    let broken = |error: webpki::Error| IdentityChainError::Broken(error.to_string());
    let Some(([own, between @ ..], last)) = chain.split_last().map(|(last, rest)| (rest, last))
    else {
        // Ours alone: its issuer is the root, or is not here to be asked.
        return Ok(());
    };
    let top = webpki::anchor_from_trusted_cert(last).map_err(broken)?;
    EndEntityCert::try_from(own)
        .map_err(broken)?
        .verify_for_usage(
            ALGORITHMS,
            &[top],
            between,
            now,
            KeyUsage::client_auth(),
            None,
            None,
        )
        .map(|_| ())
        .map_err(broken)
}

// === impl Identity ===

impl Identity {
    /// Reads certificates and key of one PEM text, in any order.
    pub fn from_pem(pem: &[u8], now: UnixTime) -> Result<Self, IdentityError> {
        Self::from_parts(pem, pem, now)
    }

    /// Reads certificates of one PEM text and the key of another.
    pub fn from_parts(
        chain_pem: &[u8],
        key_pem: &[u8],
        now: UnixTime,
    ) -> Result<Self, IdentityError> {
        let chain = IdentityChain::parse(chain_pem, now)?;
        Self::of(chain, PrivateKey::from_pem(key_pem)?)
    }

    /// Reads a PKCS#12 file (`.p12`, `.pfx`).
    pub fn from_pkcs12(file: &[u8], password: &str, now: UnixTime) -> Result<Self, IdentityError> {
        let (ders, key) = pkcs12::open(file, password)?;
        Self::of(IdentityChain::from_ders(ders, now)?, key)
    }

    fn of(chain: IdentityChain, key: PrivateKey) -> Result<Self, IdentityError> {
        if !chain.matches(key.spki_sha256()) {
            return Err(IdentityError::Mismatch {
                subject: chain.own().subject().to_owned(),
                certificate: chain.own().spki_sha256(),
                key: key.spki_sha256(),
            });
        }
        Ok(Self { chain, key })
    }
}
