//! Writes the little DER (X.690) that the certificate library does not.

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
/// A uniformResourceIdentifier of GeneralName (RFC 5280 §4.2.1.6).
pub(super) const URI: u8 = 0x86;

/// The content of the OID id-ad-ocsp.
pub(super) const AD_OCSP: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 1];
/// The content of the OID id-ad-caIssuers.
pub(super) const AD_CA_ISSUERS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 2];

/// `[number]` around other values.
pub(super) fn explicit(number: u8, content: &[u8]) -> Vec<u8> {
    value(0xa0 | number, content)
}

/// A SEQUENCE of values.
pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    value(SEQUENCE, &parts.concat())
}

/// A value with its tag and length.
pub(super) fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut written = vec![tag];
    let length = content.len().to_be_bytes();
    let digits: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    match digits.as_slice() {
        [] => written.push(0),
        [short @ 0..0x80] => written.push(*short),
        long => {
            // Never more digits than a usize has.
            written.push(0x80 | u8::try_from(long.len()).unwrap_or_default());
            written.extend(long);
        }
    }
    written.extend(content);
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_many_bytes_as_they_need() {
        let check = |length: usize, expect: &[u8]| {
            let written = value(OCTET_STRING, &vec![7; length]);
            assert_eq!(written.get(1..=expect.len()), Some(expect));
            assert_eq!(written.len(), 1 + expect.len() + length);
        };
        check(0, &[0]);
        check(127, &[127]);
        check(128, &[0x81, 128]);
        check(256, &[0x82, 1, 0]);
    }
}
