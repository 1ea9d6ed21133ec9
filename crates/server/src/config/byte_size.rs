//! Sizes as text: a whole number of bytes, alone or with `KiB`, `MiB` or `GiB`.

use crate::config::value::Scalar;

/// A number of bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ByteSize(usize);

/// The units with their bytes; the empty one last, since every text ends with it.
const UNITS: [(&str, usize); 4] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("", 1),
];

// === impl ByteSize ===

impl ByteSize {
    /// The number of bytes.
    pub fn bytes(self) -> usize {
        self.0
    }
}

impl Scalar for ByteSize {
    const FORM: &'static str = "a size such as 4096, 256KiB or 1MiB";

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = UNITS
            .iter()
            .find_map(|(name, bytes)| Some((text.strip_suffix(name)?, bytes)))?;
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        number.parse::<usize>().ok()?.checked_mul(*unit).map(Self)
    }

    fn rank(&self) -> Option<u128> {
        u128::try_from(self.0).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        let cases = [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("256KiB", Some(262_144)),
            ("1MiB", Some(1_048_576)),
            ("2GiB", Some(2_147_483_648)),
            ("", None),
            ("MiB", None),
            ("+1", None),
            ("1 MiB", None),
            ("1MB", None),
            ("18446744073709551615KiB", None),
        ];
        for (text, expect) in cases {
            assert_eq!(ByteSize::parse(text).map(ByteSize::bytes), expect, "{text}");
        }
    }
}
