//! The Online Certificate Status Protocol (RFC 6960): asks, and judges answers.
//!
//! **Invariant:** an answer counts only if it is about the very certificate and issuer, is signed
//! by that issuer or by a responder that this issuer named, and is current. `unknown` is not
//! `good`.

mod cert_id;
mod responder;
mod response;

use rustls_pki_types::UnixTime;

use self::cert_id::CertId;
pub use self::responder::ResponderError;
use self::response::{BasicResponse, Single, Status};
use super::link::Link;
use super::{CLOCK_TOLERANCE_SECS, Revoked, Standing};
use crate::der::{self, BadDer, Reader};
use crate::verify::Seconds;

/// Longest answer, in bytes: real ones have 500 to 5,000.
pub const RESPONSE_BYTES_MAX: usize = 64 * 1024;
/// The media type of a request (RFC 6960 appendix A.1).
pub const REQUEST_MEDIA_TYPE: &str = "application/ocsp-request";

/// How long an answer without nextUpdate counts, in seconds. RFC 5019 §4 wants nextUpdate; without
/// it the responder means that newer answers are always at hand (RFC 6960 §2.4).
const AGE_SECS_MAX: i64 = 24 * 60 * 60;

/// A believable answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Answer {
    /// What it says.
    pub standing: Standing,
    /// When it was true.
    pub this_update: Seconds,
    /// The second in which it stops to count.
    pub until: Seconds,
}

/// An answer is not believed, or says nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OcspError {
    /// Too long to be looked at.
    #[error("it has {bytes} bytes, more than {RESPONSE_BYTES_MAX}")]
    TooLong {
        /// How many bytes it has.
        bytes: usize,
    },
    /// Not an answer, or of a kind that is not known.
    #[error("it is not a basic OCSP response (RFC 6960 §4.2.1)")]
    Malformed,
    /// The responder gives no answer.
    #[error("the responder did not answer: {status} (RFC 6960 §4.2.1)")]
    Unsuccessful {
        /// What it says instead.
        status: &'static str,
    },
    /// It demands something that we don't know.
    #[error("it has a critical extension that is not known here (RFC 6960 §4.4)")]
    CriticalExtension,
    /// About others.
    #[error("it is not about this certificate")]
    OtherCertificate,
    /// Not signed by the issuer or one of its responders.
    #[error("{0}")]
    Responder(#[from] ResponderError),
    /// Made later than now.
    #[error("it was made on {this_update}, it is {now} now")]
    FromFuture {
        /// When it was made.
        this_update: Seconds,
        /// When we looked.
        now: Seconds,
    },
    /// Too old.
    #[error("it is stale: it counted until {until}, it is {now} now")]
    Stale {
        /// When it stopped to count.
        until: Seconds,
        /// When we looked.
        now: Seconds,
    },
    /// The responder does not know the certificate.
    #[error("the responder does not know the certificate (status unknown)")]
    Unknown,
}

/// Asks about one certificate. Names it by SHA-1, which all responders know (RFC 5019 §2.1.1):
/// nothing depends on the strength of these hashes. Without a nonce, so that responders may
/// answer from a cache.
pub fn request(link: &Link) -> Result<Vec<u8>, OcspError> {
    let id = CertId::write(link).ok_or(OcspError::Malformed)?;
    let one = der::write(der::SEQUENCE, &[&id]);
    let list = der::write(der::SEQUENCE, &[&one]);
    let tbs = der::write(der::SEQUENCE, &[&list]);
    Ok(der::write(der::SEQUENCE, &[&tbs]))
}

/// Judges an answer about one certificate (RFC 6960 §3.2).
pub fn verify(response: &[u8], link: &Link, now: UnixTime) -> Result<Answer, OcspError> {
    if response.len() > RESPONSE_BYTES_MAX {
        let bytes = response.len();
        return Err(OcspError::TooLong { bytes });
    }
    let basic = BasicResponse::read(response)?;
    let about_it: Vec<_> = basic
        .singles
        .iter()
        .filter(|single| single.id.names(link))
        .collect();
    // Whichever way it names the certificate: a revocation among them counts.
    let single = about_it
        .iter()
        .find(|single| matches!(single.status, Status::Revoked(_)))
        .or(about_it.first())
        .ok_or(OcspError::OtherCertificate)?;
    responder::check(&basic, &link.issuer, now)?;
    judge(single, Seconds::of(now))
}

fn judge(single: &Single<'_>, now: Seconds) -> Result<Answer, OcspError> {
    let this_update = Seconds(single.this_update);
    if this_update.0 > now.0.saturating_add(CLOCK_TOLERANCE_SECS) {
        return Err(OcspError::FromFuture { this_update, now });
    }
    let aged = this_update.0.saturating_add(AGE_SECS_MAX);
    let until = Seconds(single.next_update.unwrap_or(aged));
    if until.0 <= now.0 {
        return Err(OcspError::Stale { until, now });
    }
    let standing = match single.status {
        Status::Good => Standing::Good,
        Status::Revoked(revoked) => Standing::Revoked(revoked),
        Status::Unknown => return Err(OcspError::Unknown),
    };
    Ok(Answer {
        standing,
        this_update,
        until,
    })
}

impl From<BadDer> for OcspError {
    fn from(_: BadDer) -> Self {
        Self::Malformed
    }
}

#[cfg(test)]
mod tests;
