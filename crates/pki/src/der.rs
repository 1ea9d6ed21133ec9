//! Reads and writes the few forms of DER that we read ourselves (X.690 §8 and §10).
//!
//! **Invariant:** never reads past what it was given and never recurses: nesting is the caller's.

use std::iter;

use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OID: u8 = 0x06;
pub(crate) const ENUMERATED: u8 = 0x0a;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
/// `[n]`, primitive and constructed.
pub(crate) const fn context(number: u8) -> u8 {
    0x80 | number
}
pub(crate) const fn context_constructed(number: u8) -> u8 {
    0xa0 | number
}

/// The bytes are not what they should be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it is not well-formed DER")]
pub(crate) struct BadDer;

/// What is still to be read of one value's contents.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next value's tag, if there is one more.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The contents of the next value, which must have this tag.
    pub(crate) fn take(&mut self, tag: u8) -> Result<&'a [u8], BadDer> {
        self.take_whole(tag).map(|(_, contents)| contents)
    }

    /// The next value as it stands there, and its contents.
    pub(crate) fn take_whole(&mut self, tag: u8) -> Result<(&'a [u8], &'a [u8]), BadDer> {
        if self.peek() != Some(tag) {
            return Err(BadDer);
        }
        let (header, length) = self.header()?;
        let end = header.checked_add(length).ok_or(BadDer)?;
        let (whole, rest) = self.0.split_at_checked(end).ok_or(BadDer)?;
        let contents = whole.get(header..).ok_or(BadDer)?;
        self.0 = rest;
        Ok((whole, contents))
    }

    /// The contents of the next value if it has this tag.
    pub(crate) fn take_optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, BadDer> {
        if self.peek() == Some(tag) {
            self.take(tag).map(Some)
        } else {
            Ok(None)
        }
    }

    /// A reader of the contents of the next value, which must have this tag.
    pub(crate) fn enter(&mut self, tag: u8) -> Result<Self, BadDer> {
        self.take(tag).map(Self)
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), BadDer> {
        if self.is_empty() { Ok(()) } else { Err(BadDer) }
    }

    /// A BIT STRING of whole bytes, as all keys and signatures are.
    pub(crate) fn take_bit_string(&mut self) -> Result<&'a [u8], BadDer> {
        match self.take(BIT_STRING)?.split_first() {
            Some((0, bytes)) => Ok(bytes),
            _ => Err(BadDer),
        }
    }

    /// A time in seconds since the Unix epoch, in either of its two forms.
    pub(crate) fn take_time(&mut self) -> Result<i64, BadDer> {
        let tag = self
            .peek()
            .filter(|tag| [UTC_TIME, GENERALIZED_TIME].contains(tag));
        let (whole, _) = self.take_whole(tag.ok_or(BadDer)?)?;
        let (_, time) = ASN1Time::from_der(whole).map_err(|_| BadDer)?;
        Ok(time.timestamp())
    }

    /// How long the next value's header is, and its contents. Tags are of one byte, lengths in
    /// their shortest form (X.690 §10.1).
    fn header(&self) -> Result<(usize, usize), BadDer> {
        let byte = |at: usize| self.0.get(at).copied().map(usize::from).ok_or(BadDer);
        let first = byte(1)?;
        let (bytes, shortest) = match first {
            ..=0x7f => return Ok((2, first)),
            0x81 => (1, 0x80),
            0x82 => (2, 0x100),
            0x83 => (3, 0x1_0000),
            _ => return Err(BadDer),
        };
        let mut length = 0;
        for at in 2..2 + bytes {
            length = (length << 8) | byte(at)?;
        }
        if length < shortest {
            return Err(BadDer);
        }
        Ok((2 + bytes, length))
    }
}

/// Writes one value made of these parts. For what we make ourselves, which is short.
pub(crate) fn write(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let bytes = length.to_be_bytes();
    let significant = bytes.iter().skip_while(|byte| **byte == 0);
    let header: Vec<u8> = match u8::try_from(length) {
        Ok(short @ ..=0x7f) => vec![tag, short],
        _ => {
            let count = significant.clone().count();
            let count = u8::try_from(count).unwrap_or(u8::MAX) | 0x80;
            [tag, count]
                .into_iter()
                .chain(significant.copied())
                .collect()
        }
    };
    iter::once(header.as_slice())
        .chain(parts.iter().copied())
        .flatten()
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_are_in_their_shortest_form() {
        let check = |bytes: &[u8], expect: Result<usize, BadDer>| {
            let read = Reader::new(bytes).take(OCTET_STRING).map(<[u8]>::len);
            assert_eq!(read, expect, "{bytes:02x?}");
        };
        check(&[4, 0], Ok(0));
        check(&[4, 1, 9], Ok(1));
        check(&[4, 1], Err(BadDer));
        check(&[4], Err(BadDer));
        check(&[], Err(BadDer));
        check(&[4, 0x80], Err(BadDer));
        check(&[4, 0x81, 1, 9], Err(BadDer));
        check(&[4, 0x82, 0, 1, 9], Err(BadDer));
        check(&[4, 0x84, 0, 0, 0, 1, 9], Err(BadDer));
        check(&[4, 0xff, 0xff, 0xff], Err(BadDer));
        check(&[5, 0], Err(BadDer));
    }

    #[test]
    fn times() {
        let read = |text: &str, tag| Reader::new(&write(tag, &[text.as_bytes()])).take_time();
        assert_eq!(read("19700101000001Z", GENERALIZED_TIME), Ok(1));
        assert_eq!(read("700101000001Z", UTC_TIME), Ok(1));
        assert_eq!(read("soon", GENERALIZED_TIME), Err(BadDer));
        assert_eq!(read("19700101000001Z", INTEGER), Err(BadDer));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(length in 0_usize..70_000, byte in any::<u8>()) {
            let bytes = vec![byte; length];
            let (head, tail) = bytes.split_at(bytes.len() / 2);
            let written = write(OCTET_STRING, &[head, tail]);
            let mut reader = Reader::new(&written);
            prop_assert_eq!(reader.take(OCTET_STRING), Ok(bytes.as_slice()));
            prop_assert_eq!(reader.end(), Ok(()));
        }

        #[test]
        fn noise_is_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader::new(&bytes);
            while reader.peek().is_some_and(|tag| reader.take(tag).is_ok()) {}
            let _time = Reader::new(&bytes).take_time();
            let _bits = Reader::new(&bytes).take_bit_string();
        }
    }
}
