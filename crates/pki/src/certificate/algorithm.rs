//! What a certificate's key and signature are made with, and whether that is strong enough.

use std::fmt;

use x509_parser::der_parser::asn1_rs::Oid;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

/// Fewest bits of an RSA key (NIST SP 800-57: 112 bits of security).
pub const RSA_BITS_MIN: usize = 2048;
/// Most bits of an RSA key: above it a signature check costs more than a peer may make us spend.
pub const RSA_BITS_MAX: usize = 8192;
/// Longest object identifier that is printed, in bytes: the longest that means something here has 9,
/// and the time to print one grows faster than its length.
const OID_BYTES_MAX: usize = 24;

const EC_P192: &str = "1.2.840.10045.3.1.1";
const EC_P224: &str = "1.3.132.0.33";
const EC_P256: &str = "1.2.840.10045.3.1.7";
const EC_P384: &str = "1.3.132.0.34";
const EC_P521: &str = "1.3.132.0.35";
const ED25519: &str = "1.3.101.112";

/// What a key is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeyAlgorithm {
    /// RSA, with the length of its modulus.
    Rsa {
        /// How many bits the modulus has.
        bits: usize,
    },
    /// ECDSA on NIST P-256.
    EcdsaP256,
    /// ECDSA on NIST P-384.
    EcdsaP384,
    /// ECDSA on NIST P-521.
    EcdsaP521,
    /// Ed25519.
    Ed25519,
    /// DSA, ECDSA on a curve that is too small: never accepted.
    Weak(&'static str),
    /// Something that is not accepted here, by its object identifier.
    Other(String),
}

/// What a certificate is signed with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignatureAlgorithm {
    name: String,
    weak: bool,
}

// === impl KeyAlgorithm ===

impl KeyAlgorithm {
    pub(crate) fn of(spki: &SubjectPublicKeyInfo<'_>) -> Self {
        match spki.parsed() {
            Ok(PublicKey::RSA(key)) => Self::Rsa {
                bits: bits(key.modulus),
            },
            Ok(PublicKey::EC(_)) => Self::of_curve(&spki.algorithm),
            Ok(PublicKey::DSA(_)) => Self::Weak("DSA"),
            _ => match oid_text(spki.algorithm.oid()).as_str() {
                ED25519 => Self::Ed25519,
                other => Self::Other(other.to_owned()),
            },
        }
    }

    fn of_curve(algorithm: &AlgorithmIdentifier<'_>) -> Self {
        let curve = algorithm.parameters().and_then(|any| any.as_oid().ok());
        let curve = curve.as_ref().map(oid_text).unwrap_or_default();
        match curve.as_str() {
            EC_P256 => Self::EcdsaP256,
            EC_P384 => Self::EcdsaP384,
            EC_P521 => Self::EcdsaP521,
            EC_P192 => Self::Weak("ECDSA P-192"),
            EC_P224 => Self::Weak("ECDSA P-224"),
            "" => Self::Other("an elliptic curve without a name".to_owned()),
            other => Self::Other(format!("elliptic curve {other}")),
        }
    }

    /// Whether it can be broken with known means.
    pub fn is_weak(&self) -> bool {
        match self {
            Self::Rsa { bits } => *bits < RSA_BITS_MIN,
            Self::Weak(_) => true,
            _ => false,
        }
    }

    /// Whether it may stand in a chain that we trust.
    pub fn is_accepted(&self) -> bool {
        match self {
            Self::Rsa { bits } => (RSA_BITS_MIN..=RSA_BITS_MAX).contains(bits),
            Self::EcdsaP256 | Self::EcdsaP384 | Self::EcdsaP521 | Self::Ed25519 => true,
            Self::Weak(_) | Self::Other(_) => false,
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "RSA {bits} bits"),
            Self::EcdsaP256 => f.write_str("ECDSA P-256"),
            Self::EcdsaP384 => f.write_str("ECDSA P-384"),
            Self::EcdsaP521 => f.write_str("ECDSA P-521"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Weak(name) => f.write_str(name),
            Self::Other(oid) => f.write_str(oid),
        }
    }
}

// === impl SignatureAlgorithm ===

impl SignatureAlgorithm {
    pub(crate) fn of(algorithm: &AlgorithmIdentifier<'_>) -> Self {
        let oid = oid_text(algorithm.oid());
        let (name, weak) = match oid.as_str() {
            "1.2.840.113549.1.1.2" => ("RSA with MD2", true),
            "1.2.840.113549.1.1.4" => ("RSA with MD5", true),
            "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" => ("RSA with SHA-1", true),
            "1.2.840.10040.4.3" => ("DSA with SHA-1", true),
            "1.2.840.10045.4.1" => ("ECDSA with SHA-1", true),
            "1.2.840.113549.1.1.10" => ("RSA-PSS", false),
            "1.2.840.113549.1.1.11" => ("RSA with SHA-256", false),
            "1.2.840.113549.1.1.12" => ("RSA with SHA-384", false),
            "1.2.840.113549.1.1.13" => ("RSA with SHA-512", false),
            "1.2.840.10045.4.3.2" => ("ECDSA with SHA-256", false),
            "1.2.840.10045.4.3.3" => ("ECDSA with SHA-384", false),
            "1.2.840.10045.4.3.4" => ("ECDSA with SHA-512", false),
            ED25519 => ("Ed25519", false),
            other => (other, false),
        };
        Self {
            name: name.to_owned(),
            weak,
        }
    }

    /// Whether its hash function is one for which forgeries were shown (MD2, MD5, SHA-1).
    pub fn is_weak(&self) -> bool {
        self.weak
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Length of a big-endian number without its leading zeros.
fn bits(number: &[u8]) -> usize {
    let mut digits = number.iter().skip_while(|byte| **byte == 0);
    let Some(first) = digits.next() else {
        return 0;
    };
    let first_bits = 8_u32.saturating_sub(first.leading_zeros());
    digits
        .count()
        .saturating_mul(8)
        .saturating_add(usize::try_from(first_bits).unwrap_or(8))
}

pub(super) fn oid_text(oid: &Oid<'_>) -> String {
    if oid.as_bytes().len() > OID_BYTES_MAX {
        return "a very long object identifier".to_owned();
    }
    oid.to_id_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_counted_from_the_first_one() {
        assert_eq!(bits(&[]), 0);
        assert_eq!(bits(&[0, 0]), 0);
        assert_eq!(bits(&[1]), 1);
        assert_eq!(bits(&[0, 0x80, 0]), 16);
        assert_eq!(bits(&[0x7f; 256]), 2047);
    }

    #[test]
    fn what_is_accepted() {
        let rsa = |bits| KeyAlgorithm::Rsa { bits };
        let check = |key: KeyAlgorithm, weak: bool, accepted: bool| {
            assert_eq!(
                (key.is_weak(), key.is_accepted()),
                (weak, accepted),
                "{key}"
            );
        };
        check(rsa(1024), true, false);
        check(rsa(2047), true, false);
        check(rsa(2048), false, true);
        check(rsa(8192), false, true);
        check(rsa(8193), false, false);
        check(KeyAlgorithm::EcdsaP521, false, true);
        check(KeyAlgorithm::Weak("DSA"), true, false);
        check(KeyAlgorithm::Other("1.2.3".to_owned()), false, false);
        assert_eq!(rsa(1024).to_string(), "RSA 1024 bits");
    }
}
