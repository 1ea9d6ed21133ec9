//! Whether the certificates of a verified path were revoked: by lists (RFC 5280 §5) and by OCSP
//! answers (RFC 6960), whoever brings them.
//!
//! **Invariant:** no IO and no clock. What is not known is never taken for good, and nothing is
//! believed that the CA in question has not signed, itself or by a responder that it named.

pub mod crl;
#[cfg(test)]
mod fixture;
mod inquiry;
mod link;
pub mod ocsp;
mod signature;

use std::fmt;

pub use self::inquiry::{Inquiry, RevocationStatus};
pub use self::link::{Link, LinkError, links};
pub use self::signature::SignatureError;
use crate::verify::Seconds;

/// How far a CA's clock may be ahead of ours, in seconds: what CAs backdate for the same reason.
const CLOCK_TOLERANCE_SECS: i64 = 300;

/// What one list or answer says of one certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It is not revoked.
    Good,
    /// It is.
    Revoked(Revoked),
}

/// A revocation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Revoked {
    /// Since when.
    pub at: Seconds,
    /// Why, if its CA says so.
    pub reason: Option<Reason>,
}

/// Why a certificate was revoked (RFC 5280 §5.3.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the standard's words")]
pub enum Reason {
    Unspecified,
    KeyCompromise,
    CaCompromise,
    AffiliationChanged,
    Superseded,
    CessationOfOperation,
    CertificateHold,
    RemoveFromCrl,
    PrivilegeWithdrawn,
    AaCompromise,
}

/// Who said it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// The answer that the server stapled.
    Staple,
    /// The list at this URL.
    Crl(String),
    /// The responder at this URL.
    Ocsp(String),
}

// === impl Reason ===

impl Reason {
    /// Its name in the standard.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "cACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::CertificateHold => "certificateHold",
            Self::RemoveFromCrl => "removeFromCRL",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
            Self::AaCompromise => "aACompromise",
        }
    }

    /// Reads a CRLReason; 7 is not used.
    fn of_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Unspecified,
            1 => Self::KeyCompromise,
            2 => Self::CaCompromise,
            3 => Self::AffiliationChanged,
            4 => Self::Superseded,
            5 => Self::CessationOfOperation,
            6 => Self::CertificateHold,
            8 => Self::RemoveFromCrl,
            9 => Self::PrivilegeWithdrawn,
            10 => Self::AaCompromise,
            _ => return None,
        })
    }
}

/// `on 2026-11-23T08:30:00Z (keyCompromise)`.
impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "on {}", self.at)?;
        match self.reason {
            Some(reason) => write!(f, " ({})", reason.as_str()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Staple => f.write_str("the stapled OCSP answer"),
            Self::Crl(url) => write!(f, "the revocation list {url}"),
            Self::Ocsp(url) => write!(f, "the OCSP responder {url}"),
        }
    }
}
