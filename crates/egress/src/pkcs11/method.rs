//! How tokens sign what TLS wants signed (PKCS#11 v3.1 §6).
//!
//! Messages are hashed here: every token can sign a hash, few hash by themselves.

use aws_lc_rs::digest::{self, Digest, SHA256, SHA384, SHA512};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{KeyType, ObjectHandle};
use cryptoki::session::Session;
use hookseal_pki::certificate::{KeyAlgorithm, RSA_BITS_MAX, RSA_BITS_MIN};
use rustls::{SignatureAlgorithm, SignatureScheme};

use super::TokenError;

/// What a key is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum KeyKind {
    EcdsaP256,
    EcdsaP384,
    Rsa,
    Ed25519,
}

/// One way to sign.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Method {
    EcdsaP256,
    EcdsaP384,
    Pss(Hash),
    Pkcs1(Hash),
    Ed25519,
}

/// What a message is hashed with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// `DigestInfo` up to the hash itself (RFC 8017 §9.2, note 1).
const DIGEST_INFO_LENGTH: usize = 19;

// === impl KeyKind ===

impl KeyKind {
    pub(super) fn of(algorithm: &KeyAlgorithm) -> Result<Self, TokenError> {
        match algorithm {
            KeyAlgorithm::EcdsaP256 => Ok(Self::EcdsaP256),
            KeyAlgorithm::EcdsaP384 => Ok(Self::EcdsaP384),
            KeyAlgorithm::Rsa { bits } if (RSA_BITS_MIN..=RSA_BITS_MAX).contains(bits) => {
                Ok(Self::Rsa)
            }
            KeyAlgorithm::Ed25519 => Ok(Self::Ed25519),
            other => Err(TokenError::Kind(other.to_string())),
        }
    }

    /// Preferred first.
    pub(super) fn methods(self) -> &'static [Method] {
        match self {
            Self::EcdsaP256 => &[Method::EcdsaP256],
            Self::EcdsaP384 => &[Method::EcdsaP384],
            Self::Rsa => &[
                Method::Pss(Hash::Sha256),
                Method::Pss(Hash::Sha384),
                Method::Pss(Hash::Sha512),
                Method::Pkcs1(Hash::Sha256),
                Method::Pkcs1(Hash::Sha384),
                Method::Pkcs1(Hash::Sha512),
            ],
            Self::Ed25519 => &[Method::Ed25519],
        }
    }

    pub(super) fn key_type(self) -> KeyType {
        match self {
            Self::EcdsaP256 | Self::EcdsaP384 => KeyType::EC,
            Self::Rsa => KeyType::RSA,
            Self::Ed25519 => KeyType::EC_EDWARDS,
        }
    }

    pub(super) fn algorithm(self) -> SignatureAlgorithm {
        match self {
            Self::EcdsaP256 | Self::EcdsaP384 => SignatureAlgorithm::ECDSA,
            Self::Rsa => SignatureAlgorithm::RSA,
            Self::Ed25519 => SignatureAlgorithm::ED25519,
        }
    }
}

// === impl Method ===

impl Method {
    pub(super) fn scheme(self) -> SignatureScheme {
        use SignatureScheme as Scheme;
        match self {
            Self::EcdsaP256 => Scheme::ECDSA_NISTP256_SHA256,
            Self::EcdsaP384 => Scheme::ECDSA_NISTP384_SHA384,
            Self::Pss(Hash::Sha256) => Scheme::RSA_PSS_SHA256,
            Self::Pss(Hash::Sha384) => Scheme::RSA_PSS_SHA384,
            Self::Pss(Hash::Sha512) => Scheme::RSA_PSS_SHA512,
            Self::Pkcs1(Hash::Sha256) => Scheme::RSA_PKCS1_SHA256,
            Self::Pkcs1(Hash::Sha384) => Scheme::RSA_PKCS1_SHA384,
            Self::Pkcs1(Hash::Sha512) => Scheme::RSA_PKCS1_SHA512,
            Self::Ed25519 => Scheme::ED25519,
        }
    }

    pub(super) fn mechanism_type(self) -> MechanismType {
        match self {
            Self::EcdsaP256 | Self::EcdsaP384 => MechanismType::ECDSA,
            Self::Pss(_) => MechanismType::RSA_PKCS_PSS,
            Self::Pkcs1(_) => MechanismType::RSA_PKCS,
            Self::Ed25519 => MechanismType::EDDSA,
        }
    }

    /// Signs as TLS expects it.
    pub(super) fn sign(
        self,
        session: &Session,
        key: ObjectHandle,
        message: &[u8],
    ) -> Result<Vec<u8>, TokenError> {
        let (mechanism, input) = match self {
            Self::EcdsaP256 => (Mechanism::Ecdsa, Hash::Sha256.of(message).as_ref().to_vec()),
            Self::EcdsaP384 => (Mechanism::Ecdsa, Hash::Sha384.of(message).as_ref().to_vec()),
            Self::Pss(hash) => {
                let mechanism = Mechanism::RsaPkcsPss(hash.pss_params());
                (mechanism, hash.of(message).as_ref().to_vec())
            }
            Self::Pkcs1(hash) => (Mechanism::RsaPkcs, hash.digest_info(message)),
            Self::Ed25519 => {
                let params = EddsaParams::new(EddsaSignatureScheme::Pure);
                (Mechanism::Eddsa(params), message.to_vec())
            }
        };
        let signature = session.sign(&mechanism, key, &input)?;
        match self {
            Self::EcdsaP256 | Self::EcdsaP384 => ecdsa_der(&signature).ok_or(TokenError::Signature),
            _ => Ok(signature),
        }
    }

    /// Whether a signature is of the owner of `public_key`, a SubjectPublicKeyInfo.
    pub(super) fn verify(self, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match self {
            Self::EcdsaP256 => &ECDSA_P256_SHA256_ASN1,
            Self::EcdsaP384 => &ECDSA_P384_SHA384_ASN1,
            Self::Pss(Hash::Sha256) => &RSA_PSS_2048_8192_SHA256,
            Self::Pss(Hash::Sha384) => &RSA_PSS_2048_8192_SHA384,
            Self::Pss(Hash::Sha512) => &RSA_PSS_2048_8192_SHA512,
            Self::Pkcs1(Hash::Sha256) => &RSA_PKCS1_2048_8192_SHA256,
            Self::Pkcs1(Hash::Sha384) => &RSA_PKCS1_2048_8192_SHA384,
            Self::Pkcs1(Hash::Sha512) => &RSA_PKCS1_2048_8192_SHA512,
            Self::Ed25519 => &ED25519,
        };
        let key = UnparsedPublicKey::new(algorithm, public_key);
        key.verify(message, signature).is_ok()
    }
}

// === impl Hash ===

impl Hash {
    fn of(self, message: &[u8]) -> Digest {
        let algorithm = match self {
            Self::Sha256 => &SHA256,
            Self::Sha384 => &SHA384,
            Self::Sha512 => &SHA512,
        };
        digest::digest(algorithm, message)
    }

    /// The salt is as long as the hash (RFC 9846 §4.3.3).
    fn pss_params(self) -> PkcsPssParams {
        let (hash_alg, mgf, salt_bytes) = match self {
            Self::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32),
            Self::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48),
            Self::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64),
        };
        PkcsPssParams {
            hash_alg,
            mgf,
            s_len: salt_bytes.into(),
        }
    }

    fn digest_info(self, message: &[u8]) -> Vec<u8> {
        let (last_of_oid, bytes) = match self {
            Self::Sha256 => (1, 32),
            Self::Sha384 => (2, 48),
            Self::Sha512 => (3, 64),
        };
        let head: [u8; DIGEST_INFO_LENGTH] = [
            0x30,
            17 + bytes,
            0x30,
            13,
            0x06,
            9,
            0x60,
            0x86,
            0x48,
            0x01,
            0x65,
            3,
            4,
            2,
            last_of_oid,
            0x05,
            0,
            0x04,
            bytes,
        ];
        let mut info = head.to_vec();
        info.extend_from_slice(self.of(message).as_ref());
        info
    }
}

/// Tokens give two numbers of the same length, TLS wants them as a DER sequence (RFC 3279 §2.2.3).
fn ecdsa_der(signature: &[u8]) -> Option<Vec<u8>> {
    if signature.is_empty() || !signature.len().is_multiple_of(2) {
        return None;
    }
    let (r, s) = signature.split_at(signature.len() / 2);
    let mut numbers = der_integer(r)?;
    numbers.extend(der_integer(s)?);
    let mut sequence = vec![0x30, short_length(numbers.len())?];
    sequence.extend(numbers);
    Some(sequence)
}

fn der_integer(number: &[u8]) -> Option<Vec<u8>> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let number = number.get(zeros..)?;
    let first = number.first()?;
    // A number whose first bit is set would be negative.
    let padding: &[u8] = if first & 0x80 == 0 { &[] } else { &[0] };
    let mut integer = vec![0x02, short_length(padding.len() + number.len())?];
    integer.extend_from_slice(padding);
    integer.extend_from_slice(number);
    Some(integer)
}

/// Up to P-384 no length needs a second byte.
fn short_length(length: usize) -> Option<u8> {
    u8::try_from(length).ok().filter(|length| *length < 0x80)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

    use super::*;

    #[test]
    fn numbers_as_der_has_them() {
        assert_eq!(
            ecdsa_der(&[0, 1, 0, 0x80]),
            Some(vec![0x30, 7, 2, 1, 1, 2, 2, 0, 0x80])
        );
        assert_eq!(ecdsa_der(&[0, 0, 0, 1]), None);
        assert_eq!(ecdsa_der(&[1, 2, 3]), None);
        assert_eq!(ecdsa_der(&[]), None);
        assert_eq!(ecdsa_der(&[0xff; 400]), None);
    }

    #[test]
    fn signatures_of_two_numbers_verify_as_der() {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        for message in 0..32_u8 {
            let signature = key.sign(&random, &[message]).unwrap();
            let signature = ecdsa_der(signature.as_ref()).unwrap();
            let public_key = key.public_key().as_ref();
            assert!(Method::EcdsaP384.verify(public_key, &[message], &signature));
            assert!(!Method::EcdsaP384.verify(public_key, b"other", &signature));
        }
    }

    #[test]
    fn digest_info_names_the_hash() {
        let info = Hash::Sha384.digest_info(b"");
        let expect = [
            48, 65, 48, 13, 6, 9, 96, 134, 72, 1, 101, 3, 4, 2, 2, 5, 0, 4, 48,
        ];
        assert!(info.starts_with(&expect));
        assert_eq!(info.len(), 19 + 48);
    }
}
