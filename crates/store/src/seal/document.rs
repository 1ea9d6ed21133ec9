//! The form of what is sealed: a format byte, the length of a JSON object, the object, and behind
//! it whatever is no text, one after the other. Must read every format that was ever written, and
//! refuse all others.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// The format and the length of the object.
const PREFIX_BYTES: usize = 5;
/// Room for most objects.
const OBJECT_BYTES_USUAL: usize = 512;

/// What stands behind the object.
pub(crate) struct Tail<'b>(&'b [u8]);

/// A SHA-256, as base64.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Sha256(pub(crate) [u8; 32]);

/// The bytes to seal. Secrets belong into the tail, which is copied only once.
pub(crate) fn encode(format: u8, object: &impl Serialize, tail: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(OBJECT_BYTES_USUAL);
    bytes.push(format);
    bytes.extend_from_slice(&[0; 4]);
    // Writing text and numbers to a vector can't fail; if it did, the row would read as corrupt.
    let written = serde_json::to_writer(&mut bytes, object);
    debug_assert!(written.is_ok());
    let length = u32::try_from(bytes.len().saturating_sub(PREFIX_BYTES)).unwrap_or(u32::MAX);
    if let Some(slot) = bytes.get_mut(1..PREFIX_BYTES) {
        slot.copy_from_slice(&length.to_be_bytes());
    }
    bytes.reserve_exact(tail.iter().map(|part| part.len()).sum());
    tail.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// The object and what stands behind it; `None` for bytes of another format.
pub(crate) fn decode<'b, T: Deserialize<'b>>(format: u8, bytes: &'b [u8]) -> Option<(T, Tail<'b>)> {
    let rest = bytes.strip_prefix(&[format])?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (object, tail) = rest.split_at_checked(length)?;
    Some((serde_json::from_slice(object).ok()?, Tail(tail)))
}

/// The length of a part of the tail, for the object.
pub(crate) fn length(part: &[u8]) -> u32 {
    // Longer than 4 GiB is nothing here; if it were, the row would read as corrupt.
    u32::try_from(part.len()).unwrap_or(u32::MAX)
}

// === impl Tail ===

impl<'b> Tail<'b> {
    /// The next part.
    pub(crate) fn part(&mut self, length: u32) -> Option<&'b [u8]> {
        let (part, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(part)
    }

    /// All that is left.
    pub(crate) fn rest(self) -> &'b [u8] {
        self.0
    }

    /// `None` if anything is left.
    pub(crate) fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

// === impl Sha256 ===

impl From<Sha256> for String {
    fn from(hash: Sha256) -> Self {
        STANDARD.encode(hash.0)
    }
}

impl TryFrom<String> for Sha256 {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = STANDARD.decode(text).map_err(|_| "no base64")?;
        let hash = bytes.try_into().map_err(|_| "no SHA-256")?;
        Ok(Self(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        let object = vec![Sha256([1; 32]), Sha256([2; 32])];
        let bytes = encode(7, &object, &[b"ab", b"", b"c"]);
        let (read, mut tail): (Vec<Sha256>, _) = decode(7, &bytes).unwrap();
        assert_eq!(
            read.iter().map(|hash| hash.0[0]).collect::<Vec<_>>(),
            [1, 2]
        );
        assert_eq!(tail.part(2), Some(b"ab".as_slice()));
        assert_eq!(tail.part(2), None);
        assert_eq!(tail.part(1), Some(b"c".as_slice()));
        assert_eq!(tail.end(), Some(()));
    }

    #[test]
    fn other_formats_are_not_guessed() {
        let check = |bytes: &[u8]| assert!(decode::<Vec<Sha256>>(1, bytes).is_none(), "{bytes:?}");
        check(b"");
        check(b"\x02\0\0\0\x02[]");
        check(b"\x01\xff\xff\xff\xff[]");
        check(b"\x01\0\0\0\x06[\"AA\"]");
        check(b"\x01\0\0\0\x01[]");
    }
}
