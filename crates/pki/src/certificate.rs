//! What we need to know of one certificate, read from its DER bytes.
//!
//! **Invariant:** reading a certificate does not mean trusting it: nothing here verifies.

mod algorithm;
mod extensions;
mod fingerprint;
mod names;
mod spki;

use x509_parser::prelude::{FromDer, X509Certificate};

pub use self::algorithm::{KeyAlgorithm, RSA_BITS_MAX, RSA_BITS_MIN, SignatureAlgorithm};
pub use self::extensions::{Purpose, Stapling};
pub use self::fingerprint::CertificateSha256;
pub(crate) use self::names::distinguished_name;
pub use self::names::{Names, printable_name};
pub use self::spki::{SpkiSha256, SpkiSha256Error};

/// Longest certificate that is read, in bytes: a TLS handshake message can't hold more than this
/// in all.
pub const CERTIFICATE_BYTES_MAX: usize = 64 * 1024;
/// Longest serial number that is kept, in bytes (RFC 5280 §4.1.2.2 allows 20).
const SERIAL_BYTES_MAX: usize = 32;

/// One certificate's facts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificate {
    sha256: CertificateSha256,
    spki_sha256: SpkiSha256,
    key_algorithm: KeyAlgorithm,
    signature_algorithm: SignatureAlgorithm,
    serial: String,
    not_before_secs: i64,
    not_after_secs: i64,
    subject: String,
    issuer: String,
    issuer_der: Vec<u8>,
    names: Names,
    is_ca: bool,
    self_issued: bool,
    may_sign: bool,
    may_issue: bool,
    extensions: extensions::Extensions,
}

/// The bytes are no certificate that we read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CertificateError {
    /// Too long to be looked at.
    #[error("it has {bytes} bytes, more than {CERTIFICATE_BYTES_MAX}")]
    TooLong {
        /// How many bytes it has.
        bytes: usize,
    },
    /// Not X.509 in DER.
    #[error("it is not an X.509 certificate in DER")]
    Malformed,
}

// === impl Certificate ===

impl Certificate {
    /// Reads a certificate.
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        parse_x509(der).map(|parsed| Self::of(&parsed))
    }

    pub(crate) fn of(parsed: &X509Certificate<'_>) -> Self {
        let usage = parsed.key_usage().ok().flatten();
        let serial = parsed.raw_serial();
        Self {
            sha256: CertificateSha256::of_der(parsed.as_raw()),
            spki_sha256: SpkiSha256::of_spki(parsed.public_key().raw),
            key_algorithm: KeyAlgorithm::of(parsed.public_key()),
            signature_algorithm: SignatureAlgorithm::of(&parsed.signature_algorithm),
            serial: fingerprint::hex(serial.get(..SERIAL_BYTES_MAX).unwrap_or(serial)),
            not_before_secs: parsed.validity().not_before.timestamp(),
            not_after_secs: parsed.validity().not_after.timestamp(),
            subject: distinguished_name(parsed.subject()),
            issuer: distinguished_name(parsed.issuer()),
            issuer_der: parsed.issuer().as_raw().to_vec(),
            names: Names::of(parsed),
            is_ca: parsed.is_ca(),
            self_issued: parsed.subject().as_raw() == parsed.issuer().as_raw(),
            may_sign: usage
                .as_ref()
                .is_none_or(|usage| usage.value.digital_signature()),
            may_issue: usage.is_none_or(|usage| usage.value.key_cert_sign()),
            extensions: extensions::Extensions::of(parsed),
        }
    }

    /// Names this one certificate.
    pub fn sha256(&self) -> CertificateSha256 {
        self.sha256
    }

    /// Names its key.
    pub fn spki_sha256(&self) -> SpkiSha256 {
        self.spki_sha256
    }

    /// What its key is.
    pub fn key_algorithm(&self) -> &KeyAlgorithm {
        &self.key_algorithm
    }

    /// What its issuer signed it with.
    pub fn signature_algorithm(&self) -> &SignatureAlgorithm {
        &self.signature_algorithm
    }

    /// Its number at its issuer, in lower-case hex digits.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// The first second in which it is valid, since the Unix epoch.
    pub fn not_before_secs(&self) -> i64 {
        self.not_before_secs
    }

    /// The last second in which it is valid, since the Unix epoch.
    pub fn not_after_secs(&self) -> i64 {
        self.not_after_secs
    }

    /// Whom it was issued to, for messages.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Who issued it, for messages.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Who issued it, as it stands there: a `Name` in DER. Servers hint at client certificates' CAs
    /// in this form.
    pub fn issuer_der(&self) -> &[u8] {
        &self.issuer_der
    }

    /// The names and addresses it was issued for.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Whether it may issue others (RFC 5280 §4.2.1.9).
    pub fn is_ca(&self) -> bool {
        self.is_ca
    }

    /// Whether subject and issuer are the same (RFC 5280 §3.2), as in every self-signed one.
    pub fn is_self_issued(&self) -> bool {
        self.self_issued
    }

    /// Whether its key may sign handshakes (RFC 5280 §4.2.1.3).
    pub fn may_sign(&self) -> bool {
        self.may_sign
    }

    /// Whether its key may sign certificates (RFC 5280 §4.2.1.3); no server's does.
    pub fn may_issue(&self) -> bool {
        self.may_issue
    }

    /// What it may be used for.
    pub fn purpose(&self) -> Purpose {
        self.extensions.purpose
    }

    /// Whether its status has to be stapled.
    pub fn stapling(&self) -> Stapling {
        self.extensions.stapling
    }

    /// Where its issuer's certificate can be fetched.
    pub fn ca_issuers_urls(&self) -> &[String] {
        &self.extensions.ca_issuers_urls
    }

    /// Who can be asked for its status.
    pub fn ocsp_urls(&self) -> &[String] {
        &self.extensions.ocsp_urls
    }

    /// Where the revocation lists are that may name it.
    pub fn crl_urls(&self) -> &[String] {
        &self.extensions.crl_urls
    }

    /// Names the key that signed it, in hex digits; issuers choose how they make these.
    pub fn authority_key_id(&self) -> Option<&str> {
        self.extensions.authority_key_id.as_deref()
    }

    /// Names its own key in the same way.
    pub fn subject_key_id(&self) -> Option<&str> {
        self.extensions.subject_key_id.as_deref()
    }
}

/// Reads the whole of `der`, and not more than a certificate may have.
pub(crate) fn parse_x509(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    if der.len() > CERTIFICATE_BYTES_MAX {
        return Err(CertificateError::TooLong { bytes: der.len() });
    }
    match X509Certificate::from_der(der) {
        Ok(([], parsed)) => Ok(parsed),
        _ => Err(CertificateError::Malformed),
    }
}
