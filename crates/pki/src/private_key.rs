//! A private key of ours, with the name of its public half.
//!
//! **Invariant:** the key is wiped when it is dropped, and never printed. Making a key draws
//! randomness from the cryptographic library itself, the one thing in this crate that is not an
//! argument.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;
use zeroize::Zeroizing;

use crate::certificate::{KeyAlgorithm, SpkiSha256};

/// Longest key file, in bytes: RSA with 8192 bits has about 6,500 in PEM.
const KEY_BYTES_MAX: usize = 32 * 1024;

static CURVES: &[&EcdsaSigningAlgorithm] = &[
    &ECDSA_P256_SHA256_ASN1_SIGNING,
    &ECDSA_P384_SHA384_ASN1_SIGNING,
    &ECDSA_P521_SHA512_ASN1_SIGNING,
];

/// A private key.
pub struct PrivateKey {
    pkcs8: Zeroizing<Vec<u8>>,
    spki_sha256: SpkiSha256,
    algorithm: KeyAlgorithm,
}

/// Which key to make.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NewKey {
    /// ECDSA on P-256: what every TLS library takes.
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
    /// RSA with 3072 bits, for receivers that know nothing else.
    Rsa3072,
}

/// There is no usable private key. Says nothing of the key itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PrivateKeyError {
    /// None in it.
    #[error("no private key in it; it must hold a PEM section \"-----BEGIN PRIVATE KEY-----\"")]
    Missing,
    /// More than one.
    #[error("it holds more than one private key; give the one that belongs to the certificate")]
    Several,
    /// Too long to be looked at.
    #[error("it has {bytes} bytes, more than {KEY_BYTES_MAX}")]
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// Under a password.
    #[error(
        "the private key is encrypted; give it without a password (openssl pkey -in FILE), or \
         give certificate and key as a PKCS#12 file with its password"
    )]
    Encrypted,
    /// Broken PEM.
    #[error("the private key is not valid PEM")]
    Pem,
    /// Not a key that we can use.
    #[error(
        "the private key can't be used; RSA with 2048 to 8192 bits, ECDSA (P-256, P-384, P-521) \
         and Ed25519 can, as PKCS#8, PKCS#1 or SEC1"
    )]
    Unusable,
}

/// No key could be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the cryptographic library made no key")]
pub struct NewKeyError;

// === impl PrivateKey ===

impl PrivateKey {
    /// Reads the one private key of a PEM file; other sections in it are passed over.
    pub fn from_pem(pem: &[u8]) -> Result<Self, PrivateKeyError> {
        if pem.len() > KEY_BYTES_MAX {
            let bytes = pem.len();
            return Err(PrivateKeyError::TooLong { bytes });
        }
        if is_encrypted(pem) {
            return Err(PrivateKeyError::Encrypted);
        }
        let mut keys = PrivateKeyDer::pem_slice_iter(pem);
        let first = keys.next().ok_or(PrivateKeyError::Missing)?;
        if keys.next().is_some() {
            return Err(PrivateKeyError::Several);
        }
        Self::from_der(&first.map_err(|_| PrivateKeyError::Pem)?)
    }

    /// Reads a key in any of the usual forms.
    pub fn from_der(der: &PrivateKeyDer<'_>) -> Result<Self, PrivateKeyError> {
        match der {
            PrivateKeyDer::Pkcs8(key) => Self::from_pkcs8(key),
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der())
                .ok()
                .and_then(|key| of_rsa(&key)),
            PrivateKeyDer::Sec1(key) => {
                of_curve(|curve| EcdsaKeyPair::from_private_key_der(curve, key.secret_sec1_der()))
            }
            _ => None,
        }
        .ok_or(PrivateKeyError::Unusable)
    }

    fn from_pkcs8(key: &PrivatePkcs8KeyDer<'_>) -> Option<Self> {
        let der = key.secret_pkcs8_der();
        of_curve(|curve| EcdsaKeyPair::from_pkcs8(curve, der))
            .or_else(|| {
                RsaKeyPair::from_pkcs8(der)
                    .ok()
                    .and_then(|key| of_rsa(&key))
            })
            .or_else(|| {
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
                    .ok()
                    .and_then(|key| of_ed25519(&key))
            })
    }

    /// Makes a key.
    pub fn generate(new: NewKey) -> Result<Self, NewKeyError> {
        let made = match new {
            NewKey::EcdsaP256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
                .ok()
                .and_then(|key| of_ecdsa(&key)),
            NewKey::EcdsaP384 => EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING)
                .ok()
                .and_then(|key| of_ecdsa(&key)),
            NewKey::Rsa3072 => RsaKeyPair::generate(KeySize::Rsa3072)
                .ok()
                .and_then(|key| of_rsa(&key)),
        };
        made.ok_or(NewKeyError)
    }

    fn new(pkcs8: &[u8], spki: &[u8]) -> Option<Self> {
        let (_, parsed) = SubjectPublicKeyInfo::from_der(spki).ok()?;
        let algorithm = KeyAlgorithm::of(&parsed);
        algorithm.is_accepted().then(|| Self {
            pkcs8: Zeroizing::new(pkcs8.to_vec()),
            spki_sha256: SpkiSha256::of_spki(spki),
            algorithm,
        })
    }

    /// The key as PKCS#8 in DER.
    pub fn pkcs8(&self) -> &Zeroizing<Vec<u8>> {
        &self.pkcs8
    }

    /// Names the public half.
    pub fn spki_sha256(&self) -> SpkiSha256 {
        self.spki_sha256
    }

    /// What it is.
    pub fn algorithm(&self) -> &KeyAlgorithm {
        &self.algorithm
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey")
            .field("spki_sha256", &self.spki_sha256)
            .finish_non_exhaustive()
    }
}

fn of_curve<E>(
    read: impl Fn(&'static EcdsaSigningAlgorithm) -> Result<EcdsaKeyPair, E>,
) -> Option<PrivateKey> {
    let key = CURVES.iter().find_map(|curve| read(curve).ok())?;
    of_ecdsa(&key)
}

fn of_ecdsa(key: &EcdsaKeyPair) -> Option<PrivateKey> {
    let pkcs8 = key.to_pkcs8v1().ok()?;
    let spki: PublicKeyX509Der<'_> = key.public_key().as_der().ok()?;
    PrivateKey::new(pkcs8.as_ref(), spki.as_ref())
}

fn of_rsa(key: &RsaKeyPair) -> Option<PrivateKey> {
    let pkcs8: Pkcs8V1Der<'_> = key.as_der().ok()?;
    let spki: PublicKeyX509Der<'_> = key.public_key().as_der().ok()?;
    PrivateKey::new(pkcs8.as_ref(), spki.as_ref())
}

fn of_ed25519(key: &Ed25519KeyPair) -> Option<PrivateKey> {
    let pkcs8 = key.to_pkcs8v1().ok()?;
    let spki: PublicKeyX509Der<'_> = key.public_key().as_der().ok()?;
    PrivateKey::new(pkcs8.as_ref(), spki.as_ref())
}

/// PKCS#8 says so in its label, the older forms in a header (RFC 1421 §4.6.1.1).
fn is_encrypted(pem: &[u8]) -> bool {
    let holds = |mark: &[u8]| pem.windows(mark.len()).any(|window| window == mark);
    holds(b"BEGIN ENCRYPTED PRIVATE KEY") || holds(b"Proc-Type: 4,ENCRYPTED")
}
