//! Signing keys of Standard Webhooks: `whsec_` (HMAC-SHA256) and `whsk_` (ed25519).

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::secret::Secret;
use crate::violation::Violation;

/// Bytes of a generated HMAC secret: the output size of SHA-256.
pub const HMAC_BYTES: usize = 32;
/// Shortest HMAC secret that is taken (Standard Webhooks: 24 to 64 bytes).
const HMAC_BYTES_MIN: usize = 24;
/// Longest HMAC secret that is taken: the contract's 100 base64 characters.
const HMAC_BYTES_MAX: usize = 75;
/// Bytes of an ed25519 seed (RFC 8032 §5.1.5).
const SEED_BYTES: usize = 32;

/// A key that signs, ready for use.
pub struct SigningKey {
    secret: Secret<Vec<u8>>,
    signer: Signer,
}

/// Which scheme a key signs with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyKind {
    /// `v1`: HMAC-SHA256.
    HmacSha256,
    /// `v1a`: ed25519.
    Ed25519,
}

pub(super) enum Signer {
    HmacSha256(Box<hmac::Key>),
    Ed25519(Box<Ed25519KeyPair>),
}

// === impl SigningKey ===

impl SigningKey {
    /// Reads `whsec_…`, `whsk_…`, or bare base64, which is an HMAC secret.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        let (kind, encoded) = match text.split_once('_') {
            Some(("whsec", rest)) => (KeyKind::HmacSha256, rest),
            Some(("whsk", rest)) => (KeyKind::Ed25519, rest),
            None => (KeyKind::HmacSha256, text),
            Some(_) => return Err(shape_violation()),
        };
        let mut bytes = STANDARD.decode(encoded).map_err(|_| shape_violation())?;
        if kind == KeyKind::Ed25519 && bytes.len() == 2 * SEED_BYTES {
            let key = Self::from_bytes(kind, bytes.get(..SEED_BYTES).unwrap_or_default())?;
            let matches = bytes.get(SEED_BYTES..) == Some(key.public_bytes().as_slice());
            zeroize::Zeroize::zeroize(&mut bytes);
            return if matches {
                Ok(key)
            } else {
                Err(shape_violation())
            };
        }
        let key = Self::from_bytes(kind, &bytes);
        zeroize::Zeroize::zeroize(&mut bytes);
        key
    }

    /// From the raw secret: an HMAC secret of 24 to 75 bytes, or an ed25519 seed of 32.
    pub fn from_bytes(kind: KeyKind, bytes: &[u8]) -> Result<Self, Violation> {
        let signer = match kind {
            KeyKind::HmacSha256 if (HMAC_BYTES_MIN..=HMAC_BYTES_MAX).contains(&bytes.len()) => {
                Signer::HmacSha256(Box::new(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
            }
            KeyKind::Ed25519 => Signer::Ed25519(Box::new(
                Ed25519KeyPair::from_seed_unchecked(bytes).map_err(|_| shape_violation())?,
            )),
            KeyKind::HmacSha256 => return Err(shape_violation()),
        };
        Ok(Self {
            secret: Secret::new(bytes.to_vec()),
            signer,
        })
    }

    /// Which scheme it signs with.
    pub fn kind(&self) -> KeyKind {
        match self.signer {
            Signer::HmacSha256(_) => KeyKind::HmacSha256,
            Signer::Ed25519(_) => KeyKind::Ed25519,
        }
    }

    /// What the receiver needs to verify: the shared secret (`whsec_…`), or the public half
    /// (`whpk_…`) of an ed25519 key.
    pub fn receiver_text(&self) -> Secret<String> {
        Secret::new(match self.kind() {
            KeyKind::HmacSha256 => format!("whsec_{}", STANDARD.encode(self.secret.expose())),
            KeyKind::Ed25519 => format!("whpk_{}", STANDARD.encode(self.public_bytes())),
        })
    }

    /// The raw secret, for the store, which seals it.
    pub fn secret_bytes(&self) -> &Secret<Vec<u8>> {
        &self.secret
    }

    /// Whether it is the same key.
    pub fn matches(&self, other: &Self) -> bool {
        self.kind() == other.kind() && self.secret.matches(&other.secret)
    }

    pub(super) fn signer(&self) -> &Signer {
        &self.signer
    }

    fn public_bytes(&self) -> Vec<u8> {
        match &self.signer {
            Signer::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
            Signer::HmacSha256(_) => Vec::new(),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.kind())
    }
}

fn shape_violation() -> Violation {
    Violation::new(
        "value_error.secret",
        "must be whsec_ and the base64 of 24 to 75 bytes, or whsk_ and the base64 of an ed25519 key",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<KeyKind, &str>) {
        let got = SigningKey::parse(text).map(|key| key.kind());
        assert_eq!(got.map_err(|v| v.rule), expect, "{text}");
    }

    #[test]
    fn shapes() {
        let base64 = |n: usize| STANDARD.encode(vec![7; n]);
        check(&format!("whsec_{}", base64(24)), Ok(KeyKind::HmacSha256));
        check(&base64(32), Ok(KeyKind::HmacSha256));
        check(&format!("whsec_{}", base64(23)), Err("value_error.secret"));
        check(&format!("whsec_{}", base64(76)), Err("value_error.secret"));
        check(&format!("whsk_{}", base64(32)), Ok(KeyKind::Ed25519));
        check(&format!("whsk_{}", base64(64)), Err("value_error.secret"));
        check(&format!("whpk_{}", base64(32)), Err("value_error.secret"));
        check("whsec_not base64", Err("value_error.secret"));
    }

    #[test]
    fn receivers_get_the_public_half() {
        let seed = [9; 32];
        let key = SigningKey::from_bytes(KeyKind::Ed25519, &seed).unwrap();
        let public = key.receiver_text();
        assert!(public.expose().starts_with("whpk_"));
        let both = [seed.to_vec(), key.public_bytes()].concat();
        let parsed = SigningKey::parse(&format!("whsk_{}", STANDARD.encode(both))).unwrap();
        assert!(parsed.matches(&key));
        assert_eq!(format!("{key:?}"), "SigningKey(Ed25519)");
    }
}
