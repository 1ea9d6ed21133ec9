//! The name of one certificate: SHA-256 of its DER.

use std::fmt;

use super::spki::sha256;

/// SHA-256 of a certificate's DER: names this one certificate, not its key. Prints as 64 lower-case
/// hex digits.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CertificateSha256([u8; 32]);

// === impl CertificateSha256 ===

impl CertificateSha256 {
    /// Names a certificate.
    pub fn of_der(der: &[u8]) -> Self {
        Self(sha256(der))
    }

    /// A hash that was made before.
    pub fn from_bytes(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// The hash itself.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for CertificateSha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// Lower-case hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        text.push_str(&format!("{byte:02x}"));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_hex() {
        assert_eq!(
            CertificateSha256::of_der(b"").to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(hex(&[0, 0x0a, 0xff]), "000aff");
    }
}
