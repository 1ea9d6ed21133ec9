//! Revocation lists (RFC 5280 §5): read to a bound, and asked about one certificate at a time.
//!
//! What a list may look like is decided by rustls-webpki, which also reads its entries. Asking is
//! done here, as webpki asks only for whole paths and by lists alone, while a path may be covered
//! by a list here and an OCSP answer there, and people want to know which certificate is meant.
//! A test holds the two to the same verdicts.
//!
//! **Invariant:** nothing of a list is believed before its signature was checked with the key that
//! issued the certificate in question.

mod scope;

use std::sync::OnceLock;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateRevocationListDer, UnixTime};
use webpki::{BorrowedCertRevocationList, CertRevocationList, Error, RevocationReason};

use self::scope::{OutOfScope, Scope};
use super::link::{Link, name_text};
use super::signature::{SignatureError, Signed};
use super::{CLOCK_TOLERANCE_SECS, Reason, Revoked, Standing};
use crate::certificate::SpkiSha256;
use crate::der::{self, BadDer, Reader};
use crate::verify::Seconds;

/// Longest list, in bytes. Public CAs split theirs to stay below it (about 280,000 entries), and
/// those of private CAs are short; a longer one would cost each node that memory and time.
pub const CRL_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Longest list in PEM: base64 takes four bytes for three, and a line break for 64.
pub const CRL_PEM_BYTES_MAX: usize = CRL_BYTES_MAX / 2 * 3;

/// A revocation list. Whether to believe it depends on whose certificate it is asked about.
#[derive(Debug)]
pub struct Crl {
    der: Box<[u8]>,
    facts: CrlFacts,
    scope: Scope,
    /// The last eight bytes of each serial number, sorted: whatever is not among them is not
    /// listed. Keeps a long list searchable at a tenth of the cost of a table of its entries.
    tails: Box<[u64]>,
    /// The key whose signature was found to be right: a long list takes long to hash.
    signed_by: OnceLock<SpkiSha256>,
}

/// What a list says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CrlFacts {
    /// Whose list it is, for messages.
    pub issuer: String,
    /// When it was made.
    pub this_update: Seconds,
    /// When the next one is due at the latest.
    pub next_update: Seconds,
    /// Its number, in hex digits, where it has one.
    pub number: Option<String>,
    /// How many certificates it lists.
    pub entries: usize,
}

/// The bytes are no list that we use.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CrlError {
    /// Too long to be looked at.
    #[error("it has {bytes} bytes, more than {CRL_BYTES_MAX}")]
    TooLong {
        /// How many bytes it has.
        bytes: usize,
    },
    /// Neither DER nor PEM, or not of a list.
    #[error("it is not an X.509 revocation list in DER or PEM")]
    Malformed,
    /// Without the extensions that every list must have.
    #[error(
        "it is not of version 2 or has no extensions; RFC 5280 §5.2 demands cRLNumber and \
         authorityKeyIdentifier (openssl writes them with crl_extensions)"
    )]
    NoExtensions,
    /// Without an end.
    #[error("it has no nextUpdate (RFC 5280 §5.1.2.5), so that nobody knows when it is stale")]
    NoNextUpdate,
    /// Tells changes only.
    #[error("it is a delta list (RFC 5280 §5.2.4); give the complete one")]
    Delta,
    /// Lists certificates of several CAs.
    #[error("it is an indirect list (RFC 5280 §5.2.5); give the list of the CA itself")]
    Indirect,
    /// Covers some reasons only.
    #[error("it covers some reasons of revocation only (RFC 5280 §5.2.5); give the complete one")]
    SomeReasons,
    /// Names where it belongs in a way that can't be compared.
    #[error(
        "its issuing distribution point (RFC 5280 §5.2.5) has no full name, so that it can't be \
         told which certificates it covers"
    )]
    NoFullName,
    /// Broken or special in another way.
    #[error("it can't be used: {0}")]
    Unusable(String),
}

/// A list says nothing of a certificate.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CrlRefused {
    /// Another CA's.
    #[error("it is the list of {issuer}, who did not issue the certificate")]
    OtherIssuer {
        /// Whose it is.
        issuer: String,
    },
    /// The right CA's, but of others of its certificates.
    #[error("it does not cover the certificate: {0}")]
    OutOfScope(#[from] OutOfScope),
    /// Its issuer may not sign lists.
    #[error("the CA's certificate does not allow it to sign lists (cRLSign, RFC 5280 §4.2.1.3)")]
    IssuerMayNotSign,
    /// Not signed by the CA.
    #[error("{0}")]
    Signature(#[from] SignatureError),
    /// Made later than now.
    #[error("it was made on {this_update}, it is {now} now")]
    FromFuture {
        /// When it was made.
        this_update: Seconds,
        /// When we looked.
        now: Seconds,
    },
    /// Too old.
    #[error("it expired: the next one was due on {next_update}, it is {now} now")]
    Expired {
        /// When the next one was due.
        next_update: Seconds,
        /// When we looked.
        now: Seconds,
    },
    /// An entry that can't be read.
    #[error("one of its entries can't be read")]
    BadEntry,
}

// === impl Crl ===

impl Crl {
    /// Reads a list in DER or PEM.
    pub fn parse(bytes: &[u8]) -> Result<Self, CrlError> {
        if bytes.first() == Some(&der::SEQUENCE) {
            return Self::parse_der(bytes);
        }
        if bytes.len() > CRL_PEM_BYTES_MAX {
            return Err(CrlError::TooLong { bytes: bytes.len() });
        }
        let der = CertificateRevocationListDer::from_pem_slice(bytes);
        Self::parse_der(&der.map_err(|_| CrlError::Malformed)?)
    }

    fn parse_der(der: &[u8]) -> Result<Self, CrlError> {
        if der.len() > CRL_BYTES_MAX {
            return Err(CrlError::TooLong { bytes: der.len() });
        }
        let outline = Outline::read(der).map_err(|BadDer| CrlError::Malformed)?;
        let Some(extensions) = outline.extensions else {
            return Err(CrlError::NoExtensions);
        };
        let Some(next_update) = outline.next_update else {
            return Err(CrlError::NoNextUpdate);
        };
        let list = BorrowedCertRevocationList::from_der(der).map_err(CrlError::of)?;
        let mut tails = Vec::new();
        for entry in &list {
            tails.push(tail(entry.map_err(CrlError::of)?.serial_number));
        }
        let facts = CrlFacts {
            issuer: name_text(outline.issuer),
            this_update: Seconds(outline.this_update),
            next_update: Seconds(next_update),
            number: number(extensions),
            entries: tails.len(),
        };
        tails.sort_unstable();
        tails.dedup();
        let list = CertRevocationList::from(list);
        let scope = match list.issuing_distribution_point() {
            Some(extension) => Scope::read(extension).map_err(|BadDer| CrlError::Malformed)?,
            None => Scope::everything(),
        };
        Ok(Self {
            der: der.into(),
            facts,
            scope,
            tails: tails.into_boxed_slice(),
            signed_by: OnceLock::new(),
        })
    }

    /// What it says of itself. Not checked.
    pub fn facts(&self) -> &CrlFacts {
        &self.facts
    }

    /// How much memory it takes, in bytes.
    pub fn bytes(&self) -> usize {
        self.der.len().saturating_add(size_of_val(&*self.tails))
    }

    /// Whether it is a list of the CA that issued this certificate, by its own word.
    pub fn is_of_issuer(&self, link: &Link) -> bool {
        self.list()
            .is_ok_and(|list| list.issuer() == link.issuer.name)
    }

    /// What it says of a certificate (RFC 5280 §6.3.3).
    pub fn check(&self, link: &Link, now: UnixTime) -> Result<Standing, CrlRefused> {
        let list = self.list().map_err(|_| CrlRefused::BadEntry)?;
        if list.issuer() != link.issuer.name {
            let issuer = self.facts.issuer.clone();
            return Err(CrlRefused::OtherIssuer { issuer });
        }
        if !link.issuer.may_sign_lists {
            return Err(CrlRefused::IssuerMayNotSign);
        }
        self.check_signature(link)?;
        self.check_dates(Seconds::of(now))?;
        // What it covers is believed only of a list that the CA signed, and that holds now.
        self.scope.covers(link)?;
        self.find(&list, &link.serial)
    }

    fn list(&self) -> Result<CertRevocationList<'_>, Error> {
        BorrowedCertRevocationList::from_der(&self.der).map(CertRevocationList::from)
    }

    fn check_signature(&self, link: &Link) -> Result<(), SignatureError> {
        if self.signed_by.get() == Some(&link.issuer.key_sha256) {
            return Ok(());
        }
        let signed = Reader::new(&self.der)
            .enter(der::SEQUENCE)
            .and_then(|mut parts| Signed::read(&mut parts));
        let (signed, _) = signed.map_err(|BadDer| SignatureError::Wrong)?;
        signed.verify(&link.issuer.key)?;
        // Where two keys of one name made the same signature, the first stays: nobody minds.
        let _first = self.signed_by.set(link.issuer.key_sha256);
        Ok(())
    }

    fn check_dates(&self, now: Seconds) -> Result<(), CrlRefused> {
        let (this_update, next_update) = (self.facts.this_update, self.facts.next_update);
        if this_update.0 > now.0.saturating_add(CLOCK_TOLERANCE_SECS) {
            return Err(CrlRefused::FromFuture { this_update, now });
        }
        if next_update.0 <= now.0 {
            return Err(CrlRefused::Expired { next_update, now });
        }
        Ok(())
    }

    fn find(&self, list: &CertRevocationList<'_>, serial: &[u8]) -> Result<Standing, CrlRefused> {
        if self.tails.binary_search(&tail(serial)).is_err() {
            return Ok(Standing::Good);
        }
        match list.find_serial(serial) {
            Ok(None) => Ok(Standing::Good),
            Ok(Some(entry)) => Ok(Standing::Revoked(Revoked {
                at: Seconds::of(entry.revocation_date),
                reason: entry.reason_code.map(Reason::from),
            })),
            Err(_) => Err(CrlRefused::BadEntry),
        }
    }
}

/// The last eight bytes of a serial number.
fn tail(serial: &[u8]) -> u64 {
    let last = serial.iter().rev().take(8).rev();
    last.fold(0, |tail, byte| (tail << 8) | u64::from(*byte))
}

/// The value of cRLNumber (RFC 5280 §5.2.3), which people compare lists by.
fn number(extensions: &[u8]) -> Option<String> {
    /// 2.5.29.20
    const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 20];
    let mut all = Reader::new(extensions).enter(der::SEQUENCE).ok()?;
    while let Ok(mut extension) = all.enter(der::SEQUENCE) {
        if extension.take(der::OID).ok()? == CRL_NUMBER {
            extension.take_optional(der::BOOLEAN).ok()?;
            let value = extension.take(der::OCTET_STRING).ok()?;
            let number = Reader::new(value).take(der::INTEGER).ok()?;
            return Some(number.iter().map(|byte| format!("{byte:02x}")).collect());
        }
    }
    None
}

/// The parts of a list that the library does not hand out.
struct Outline<'a> {
    issuer: &'a [u8],
    this_update: i64,
    next_update: Option<i64>,
    extensions: Option<&'a [u8]>,
}

impl<'a> Outline<'a> {
    fn read(der: &'a [u8]) -> Result<Self, BadDer> {
        let mut whole = Reader::new(der);
        let mut parts = whole.enter(der::SEQUENCE)?;
        whole.end()?;
        let (_, contents) = Signed::read(&mut parts)?;
        parts.end()?;
        let mut list = Reader::new(contents);
        list.take_optional(der::INTEGER)?;
        list.take(der::SEQUENCE)?;
        let issuer = list.take(der::SEQUENCE)?;
        let this_update = list.take_time()?;
        let next_update = match list.peek() {
            Some(der::UTC_TIME | der::GENERALIZED_TIME) => Some(list.take_time()?),
            _ => None,
        };
        list.take_optional(der::SEQUENCE)?;
        let extensions = list.take_optional(der::context_constructed(0))?;
        list.end()?;
        Ok(Self {
            issuer,
            this_update,
            next_update,
            extensions,
        })
    }
}

// === impl CrlRefused ===

impl CrlRefused {
    /// Whether the list is sound: signed by the CA and current, but of others of its certificates.
    pub fn is_out_of_scope(&self) -> bool {
        matches!(self, Self::OutOfScope(_))
    }
}

// === impl CrlError ===

impl CrlError {
    fn of(error: Error) -> Self {
        match error {
            Error::UnsupportedCrlVersion => Self::NoExtensions,
            Error::UnsupportedDeltaCrl => Self::Delta,
            Error::UnsupportedIndirectCrl => Self::Indirect,
            Error::UnsupportedRevocationReasonsPartitioning => Self::SomeReasons,
            Error::UnsupportedCrlIssuingDistributionPoint => Self::NoFullName,
            Error::BadDer | Error::TrailingData(_) => Self::Malformed,
            other => Self::Unusable(other.to_string()),
        }
    }
}

impl From<RevocationReason> for Reason {
    fn from(reason: RevocationReason) -> Self {
        match reason {
            RevocationReason::Unspecified => Self::Unspecified,
            RevocationReason::KeyCompromise => Self::KeyCompromise,
            RevocationReason::CaCompromise => Self::CaCompromise,
            RevocationReason::AffiliationChanged => Self::AffiliationChanged,
            RevocationReason::Superseded => Self::Superseded,
            RevocationReason::CessationOfOperation => Self::CessationOfOperation,
            RevocationReason::CertificateHold => Self::CertificateHold,
            RevocationReason::RemoveFromCrl => Self::RemoveFromCrl,
            RevocationReason::PrivilegeWithdrawn => Self::PrivilegeWithdrawn,
            RevocationReason::AaCompromise => Self::AaCompromise,
        }
    }
}

#[cfg(test)]
mod tests;
