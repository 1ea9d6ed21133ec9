//! What we need to know of one certificate, read from its DER bytes.
//!
//! **Invariant:** reading a certificate does not mean trusting it: nothing here verifies.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

/// Longest certificate that is read, in bytes: a TLS handshake message can't hold more than this
/// in all.
pub const CERTIFICATE_BYTES_MAX: usize = 64 * 1024;
/// Most names that are kept of a certificate: enough for a message to a person.
const NAMES_MAX: usize = 8;
/// Longest name that is kept, in characters: the longest DNS name.
const NAME_CHARS_MAX: usize = 255;

/// One certificate's facts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificate {
    spki_sha256: SpkiSha256,
    not_before_secs: i64,
    not_after_secs: i64,
    subject: String,
    issuer: String,
    names: Names,
    is_ca: bool,
    self_issued: bool,
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

/// SHA-256 of a SubjectPublicKeyInfo in DER (RFC 7469 §2.4): names a key, whatever certificate it
/// stands in. Prints as `sha256/` and base64.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SpkiSha256([u8; 32]);

/// The names a certificate was issued for: the first few, and how many more there are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Names {
    listed: Vec<String>,
    omitted: usize,
}

// === impl Certificate ===

impl Certificate {
    /// Reads a certificate.
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(CertificateError::TooLong { bytes: der.len() });
        }
        let (rest, parsed) =
            X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
        if !rest.is_empty() {
            return Err(CertificateError::Malformed);
        }
        Ok(Self {
            spki_sha256: SpkiSha256::of_spki(parsed.public_key().raw),
            not_before_secs: parsed.validity().not_before.timestamp(),
            not_after_secs: parsed.validity().not_after.timestamp(),
            subject: distinguished_name(parsed.subject()),
            issuer: distinguished_name(parsed.issuer()),
            names: Names::of(&parsed),
            is_ca: parsed.is_ca(),
            self_issued: parsed.subject().as_raw() == parsed.issuer().as_raw(),
        })
    }

    /// Names its key.
    pub fn spki_sha256(&self) -> SpkiSha256 {
        self.spki_sha256
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
}

// === impl SpkiSha256 ===

impl SpkiSha256 {
    /// Names the key of a SubjectPublicKeyInfo in DER.
    pub fn of_spki(der: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.iter_mut()
            .zip(digest::digest(&digest::SHA256, der).as_ref())
            .for_each(|(to, from)| *to = *from);
        Self(hash)
    }

    /// The hash itself.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for SpkiSha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256/{}", STANDARD.encode(self.0))
    }
}

// === impl Names ===

impl Names {
    fn of(certificate: &X509Certificate<'_>) -> Self {
        let Ok(Some(extension)) = certificate.subject_alternative_name() else {
            return Self::default();
        };
        let all = &extension.value.general_names;
        Self {
            listed: all
                .iter()
                .take(NAMES_MAX)
                .map(|name| printable(&general_name(name)))
                .collect(),
            omitted: all.len().saturating_sub(NAMES_MAX),
        }
    }

    /// The first few.
    pub fn listed(&self) -> &[String] {
        &self.listed
    }

    /// How many more there are.
    pub fn omitted(&self) -> usize {
        self.omitted
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.listed.is_empty() {
            return f.write_str("no name at all");
        }
        f.write_str(&self.listed.join(", "))?;
        match self.omitted {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

fn general_name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(bytes) => match ip_address(bytes) {
            Some(ip) => ip.to_string(),
            None => "an invalid address".to_owned(),
        },
        GeneralName::URI(uri) => format!("URI {uri}"),
        GeneralName::RFC822Name(mailbox) => format!("mailbox {mailbox}"),
        _ => "a name of another kind".to_owned(),
    }
}

fn ip_address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|octets| Ipv4Addr::from(octets).into());
    let v6 = <[u8; 16]>::try_from(bytes).map(|octets| Ipv6Addr::from(octets).into());
    v4.or(v6).ok()
}

fn distinguished_name(name: &X509Name<'_>) -> String {
    printable(&name.to_string())
}

/// Strangers choose these names: no control characters (terminals, logs) and a bounded length.
fn printable(text: &str) -> String {
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().take(NAME_CHARS_MAX).map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_printable() {
        let long = "a".repeat(1000);
        assert_eq!(printable(&long).len(), NAME_CHARS_MAX);
        assert_eq!(
            printable("evil\n\u{1b}[2Jname\0"),
            "evil\u{fffd}\u{fffd}[2Jname\u{fffd}"
        );
    }

    /// The key of RFC 7469's own example is not published as DER; this checks the form against
    /// the SHA-256 of nothing.
    #[test]
    fn spki_hash_form() {
        assert_eq!(
            SpkiSha256::of_spki(b"").to_string(),
            "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
        );
    }

    #[test]
    fn addresses_have_4_or_16_bytes() {
        assert_eq!(
            ip_address(&[127, 0, 0, 1]).unwrap().to_string(),
            "127.0.0.1"
        );
        assert_eq!(ip_address(&[0; 16]).unwrap().to_string(), "::");
        assert_eq!(ip_address(&[0; 5]), None);
    }
}
