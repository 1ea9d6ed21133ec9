//! The name of a key: SHA-256 of its SubjectPublicKeyInfo, as pins write it (RFC 7469 §2.4).

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const HASH_BYTES: usize = 32;
/// Longest text that is looked at: `pin-sha256=`, quotes and the hash have 57 characters.
const TEXT_BYTES_MAX: usize = 128;

/// SHA-256 of a SubjectPublicKeyInfo in DER (RFC 7469 §2.4): names a key, whatever certificate it
/// stands in. Prints as `sha256/` and base64.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SpkiSha256([u8; HASH_BYTES]);

/// A text names no key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SpkiSha256Error {
    /// Nothing in it.
    #[error("it is empty; write sha256/ and the base64 of the key's SHA-256")]
    Empty,
    /// Longer than any pin.
    #[error("it has {bytes} bytes, more than a pin has; write sha256/ and 44 characters of base64")]
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// Of another hash function.
    #[error("its hash is {0}; only sha256 is used for pins (RFC 7469 §2.1)")]
    OtherHash(String),
    /// Hex digits, as fingerprints of certificates are written.
    #[error(
        "it is hexadecimal, like the fingerprint of a whole certificate; a pin names the key, in \
         base64: sha256/ and 44 characters"
    )]
    Hexadecimal,
    /// No base64.
    #[error("it is not base64; write sha256/ and the 44 characters of the hash")]
    NotBase64,
    /// Base64 of something else.
    #[error("its base64 has {bytes} bytes; a SHA-256 has 32 bytes")]
    WrongLength {
        /// How many it has.
        bytes: usize,
    },
}

// === impl SpkiSha256 ===

impl SpkiSha256 {
    /// Names the key of a SubjectPublicKeyInfo in DER.
    pub fn of_spki(der: &[u8]) -> Self {
        Self(sha256(der))
    }

    /// A hash that was made before.
    pub fn from_bytes(hash: [u8; HASH_BYTES]) -> Self {
        Self(hash)
    }

    /// Reads `sha256/<base64>`, `pin-sha256="<base64>"` (RFC 7469 §2.1), or the base64 alone.
    pub fn parse(text: &str) -> Result<Self, SpkiSha256Error> {
        let text = text.trim();
        if text.is_empty() {
            return Err(SpkiSha256Error::Empty);
        }
        if text.len() > TEXT_BYTES_MAX {
            let bytes = text.len();
            return Err(SpkiSha256Error::TooLong { bytes });
        }
        let encoded = base64_part(text)?;
        if is_hexadecimal(encoded) {
            return Err(SpkiSha256Error::Hexadecimal);
        }
        let bytes = STANDARD
            .decode(encoded)
            .map_err(|_| SpkiSha256Error::NotBase64)?;
        <[u8; HASH_BYTES]>::try_from(bytes.as_slice())
            .map(Self)
            .map_err(|_| SpkiSha256Error::WrongLength { bytes: bytes.len() })
    }

    /// The hash itself.
    pub fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }
}

impl fmt::Display for SpkiSha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256/{}", STANDARD.encode(self.0))
    }
}

/// What stands behind the hash function's name, if there is one.
fn base64_part(text: &str) -> Result<&str, SpkiSha256Error> {
    if let Some(rest) = text.strip_prefix("sha256/") {
        return Ok(rest);
    }
    if let Some(rest) = text.strip_prefix("pin-") {
        let (hash, value) = rest.split_once('=').ok_or(SpkiSha256Error::NotBase64)?;
        if hash != "sha256" {
            return Err(SpkiSha256Error::OtherHash(printable_hash(hash)));
        }
        let quoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
        return Ok(quoted.unwrap_or(value));
    }
    match text.split_once('/') {
        Some((hash, _)) if hash.starts_with("sha") && hash.len() <= 8 => {
            Err(SpkiSha256Error::OtherHash(printable_hash(hash)))
        }
        _ => Ok(text),
    }
}

fn printable_hash(name: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    name.chars().filter(plain).take(16).collect()
}

/// 64 hex digits, with or without colons.
fn is_hexadecimal(text: &str) -> bool {
    let digits = text.chars().filter(|c| *c != ':');
    digits.clone().count() == 2 * HASH_BYTES && digits.clone().all(|c| c.is_ascii_hexdigit())
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; HASH_BYTES] {
    let mut hash = [0; HASH_BYTES];
    hash.iter_mut()
        .zip(digest::digest(&digest::SHA256, bytes).as_ref())
        .for_each(|(to, from)| *to = *from);
    hash
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// SHA-256 of nothing.
    const EMPTY: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    #[test]
    fn prints_the_form_of_a_pin() {
        let printed = SpkiSha256::of_spki(b"").to_string();
        assert_eq!(printed, format!("sha256/{EMPTY}"));
    }

    #[test]
    fn reads_every_form() {
        let key = SpkiSha256::of_spki(b"");
        for text in [
            EMPTY.to_owned(),
            format!("sha256/{EMPTY}"),
            format!(" sha256/{EMPTY}\n"),
            format!("pin-sha256=\"{EMPTY}\""),
            format!("pin-sha256={EMPTY}"),
        ] {
            assert_eq!(SpkiSha256::parse(&text), Ok(key), "{text}");
        }
        assert_eq!(SpkiSha256::from_bytes(*key.as_bytes()), key);
    }

    #[test]
    fn says_what_is_wrong() {
        use SpkiSha256Error as E;
        let check = |text: &str, expect: E| assert_eq!(SpkiSha256::parse(text), Err(expect));
        check("", E::Empty);
        check(" \n", E::Empty);
        check(&"a".repeat(129), E::TooLong { bytes: 129 });
        check("sha1/AAAA", E::OtherHash("sha1".to_owned()));
        check("pin-sha512=\"AAAA\"", E::OtherHash("sha512".to_owned()));
        check(&"ab".repeat(32), E::Hexadecimal);
        check(&format!("{}AB", "AB:".repeat(31)), E::Hexadecimal);
        check("sha256/not base64", E::NotBase64);
        check("pin-", E::NotBase64);
        check("sha256/AAAA", E::WrongLength { bytes: 3 });
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_printed_is_read_again(hash in any::<[u8; 32]>()) {
            let key = SpkiSha256::from_bytes(hash);
            prop_assert_eq!(SpkiSha256::parse(&key.to_string()), Ok(key));
            let bare = STANDARD.encode(hash);
            // Base64 alone may begin with letters and a slash.
            if !bare.starts_with("sha") {
                prop_assert_eq!(SpkiSha256::parse(&bare), Ok(key));
            }
        }

        #[test]
        fn any_text(text in "\\PC{0,140}") {
            let _key = SpkiSha256::parse(&text);
        }
    }
}
