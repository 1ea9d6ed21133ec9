//! Makes keys of a password, and checks with one that a file is whole (RFC 7292 §5 and appendix B).
//!
//! **Invariant:** all derivations of a file share one budget, so that many cheap ones can't cost
//! what one dear one may not.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use zeroize::Zeroizing;

use super::Pkcs12Error;
use crate::der::{INTEGER, OCTET_STRING, OID, Reader, SEQUENCE};

/// How often a password may be hashed for one file: exporters ask for 2,000 to 600,000 in all, and
/// this many take about two seconds.
const HASHES_MAX: u32 = 5_000_000;
/// Longest password, in bytes.
const PASSWORD_BYTES_MAX: usize = 1024;
/// Longest salt, in bytes: exporters use 8 to 32.
const SALT_BYTES_MAX: usize = 1024;

/// The contents of object identifiers: the hash functions (RFC 8017 appendix A.2.4).
const SHA1: &[u8] = &[0x2b, 0x0e, 3, 2, 26];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
const SHA384: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2];
const SHA512: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3];

/// What is still to be spent on a file.
pub(super) struct Budget(u32);

/// A password in the two forms that the format wants.
pub(super) struct Password {
    utf8: Zeroizing<String>,
    /// UTF-16, big-endian, with two zero bytes at its end (RFC 7292 §B.1).
    bmp: Zeroizing<Vec<u8>>,
}

/// A function that PBKDF2 is made of.
#[derive(Clone, Copy)]
pub(super) struct Prf {
    pub(super) algorithm: pbkdf2::Algorithm,
    /// What it makes at once.
    pub(super) bytes: usize,
}

/// What a derived key is for (RFC 7292 §B.3).
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Encryption,
    Iv,
    Mac,
}

// === impl Budget ===

impl Budget {
    pub(super) fn new() -> Self {
        Self(HASHES_MAX)
    }

    fn spend(&mut self, iterations: NonZeroU32, blocks: usize) -> Result<(), Pkcs12Error> {
        let blocks = u32::try_from(blocks).unwrap_or(u32::MAX);
        let cost = iterations.get().checked_mul(blocks);
        let left = cost.and_then(|cost| self.0.checked_sub(cost));
        self.0 = left.ok_or(Pkcs12Error::TooCostly)?;
        Ok(())
    }
}

// === impl Password ===

impl Password {
    pub(super) fn new(text: &str) -> Result<Self, Pkcs12Error> {
        if text.len() > PASSWORD_BYTES_MAX {
            return Err(Pkcs12Error::PasswordTooLong);
        }
        let units = text.encode_utf16().chain([0]);
        Ok(Self {
            utf8: Zeroizing::new(text.to_owned()),
            bmp: Zeroizing::new(units.flat_map(u16::to_be_bytes).collect()),
        })
    }

    /// Some exporters take no password for nothing at all, without the zero bytes.
    fn nothing() -> Self {
        Self {
            utf8: Zeroizing::new(String::new()),
            bmp: Zeroizing::new(Vec::new()),
        }
    }

    /// RFC 8018 §5.2.
    pub(super) fn pbkdf2(
        &self,
        prf: Prf,
        salt: &[u8],
        iterations: NonZeroU32,
        key: &mut [u8],
        budget: &mut Budget,
    ) -> Result<(), Pkcs12Error> {
        // An HMAC is two hashes.
        let blocks = key.len().div_ceil(prf.bytes).saturating_mul(2);
        budget.spend(iterations, blocks)?;
        check_salt(salt)?;
        pbkdf2::derive(prf.algorithm, iterations, salt, self.utf8.as_bytes(), key);
        Ok(())
    }

    /// RFC 7292 §B.2.
    pub(super) fn pkcs12(
        &self,
        algorithm: &'static digest::Algorithm,
        purpose: Purpose,
        salt: &[u8],
        iterations: NonZeroU32,
        key: &mut [u8],
        budget: &mut Budget,
    ) -> Result<(), Pkcs12Error> {
        check_salt(salt)?;
        let block = algorithm.block_len();
        let diversifier = vec![purpose.id(); block];
        let mut input = Zeroizing::new(repeated(salt, block));
        input.extend_from_slice(&Zeroizing::new(repeated(&self.bmp, block)));
        for part in key.chunks_mut(algorithm.output_len()) {
            budget.spend(iterations, 1)?;
            let mut first = digest::Context::new(algorithm);
            first.update(&diversifier);
            first.update(&input);
            let mut hash = first.finish();
            for _ in 1..iterations.get() {
                hash = digest::digest(algorithm, hash.as_ref());
            }
            part.iter_mut()
                .zip(hash.as_ref())
                .for_each(|(to, from)| *to = *from);
            input
                .chunks_mut(block)
                .for_each(|number| add_with_one(number, hash.as_ref()));
        }
        Ok(())
    }
}

// === impl Purpose ===

impl Purpose {
    fn id(self) -> u8 {
        match self {
            Self::Encryption => 1,
            Self::Iv => 2,
            Self::Mac => 3,
        }
    }
}

/// MacData (RFC 7292 §4): gives the password with which the file is whole.
pub(super) fn check_mac(
    reader: &mut Reader<'_>,
    safe: &[u8],
    password: &str,
    budget: &mut Budget,
) -> Result<Password, Pkcs12Error> {
    let mut mac = reader.enter(SEQUENCE)?;
    let mut digest_info = mac.enter(SEQUENCE)?;
    let algorithm = digest_info.enter(SEQUENCE)?.take(OID)?;
    let expect = digest_info.take(OCTET_STRING)?;
    let salt = mac.take(OCTET_STRING)?;
    let iterations = match mac.take_optional(INTEGER)? {
        Some(number) => iterations(number)?,
        None => NonZeroU32::MIN,
    };
    let (hash, keyed) = match algorithm {
        SHA1 => (
            &digest::SHA1_FOR_LEGACY_USE_ONLY,
            hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        ),
        SHA256 => (&digest::SHA256, hmac::HMAC_SHA256),
        SHA384 => (&digest::SHA384, hmac::HMAC_SHA384),
        SHA512 => (&digest::SHA512, hmac::HMAC_SHA512),
        _ => return Err(Pkcs12Error::Unsupported),
    };
    let given = Password::new(password)?;
    let none = password.is_empty().then(Password::nothing);
    for candidate in std::iter::once(given).chain(none) {
        let mut key = Zeroizing::new(vec![0; hash.output_len()]);
        candidate.pkcs12(hash, Purpose::Mac, salt, iterations, &mut key, budget)?;
        let key = hmac::Key::new(keyed, &key);
        if hmac::verify(&key, safe, expect).is_ok() {
            return Ok(candidate);
        }
    }
    Err(Pkcs12Error::WrongPassword)
}

/// The contents of an INTEGER that says how often to hash.
pub(super) fn iterations(number: &[u8]) -> Result<NonZeroU32, Pkcs12Error> {
    let significant = match number {
        [0, rest @ ..] => rest,
        [0x80..=0xff, ..] => return Err(Pkcs12Error::Malformed),
        all => all,
    };
    if significant.len() > 4 {
        return Err(Pkcs12Error::TooCostly);
    }
    let value = significant
        .iter()
        .fold(0, |value, byte| (value << 8) | u32::from(*byte));
    NonZeroU32::new(value).ok_or(Pkcs12Error::Malformed)
}

fn check_salt(salt: &[u8]) -> Result<(), Pkcs12Error> {
    if salt.len() > SALT_BYTES_MAX {
        return Err(Pkcs12Error::TooCostly);
    }
    Ok(())
}

/// As often as it takes to fill whole blocks; nothing stays nothing.
fn repeated(bytes: &[u8], block: usize) -> Vec<u8> {
    let length = bytes.len().div_ceil(block).saturating_mul(block);
    bytes.iter().copied().cycle().take(length).collect()
}

/// Adds a number, repeated to the length of `number`, and one; big-endian, without what is carried
/// over the front.
fn add_with_one(number: &mut [u8], added: &[u8]) {
    let repeated: Vec<u8> = added.iter().copied().cycle().take(number.len()).collect();
    let mut carry = 1_u16;
    for (digit, add) in number.iter_mut().rev().zip(repeated.iter().rev()) {
        let sum = u16::from(*digit) + u16::from(*add) + carry;
        let [high, low] = sum.to_be_bytes();
        *digit = low;
        carry = u16::from(high);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_wrap() {
        let check = |mut number: Vec<u8>, added: &[u8], expect: &[u8]| {
            add_with_one(&mut number, added);
            assert_eq!(number, expect);
        };
        check(vec![0, 0], &[0], &[0, 1]);
        check(vec![0, 0xff], &[0, 0], &[1, 0]);
        check(vec![0xff, 0xff], &[0, 0], &[0, 0]);
        check(vec![0, 0, 0, 0], &[1, 2, 3], &[1, 2, 3, 2]);
    }

    #[test]
    fn iterations_are_positive_and_bounded() {
        let check = |number: &[u8], expect: Result<u32, Pkcs12Error>| {
            assert_eq!(iterations(number).map(NonZeroU32::get), expect);
        };
        check(&[8, 0], Ok(2048));
        check(&[0, 0xff], Ok(255));
        check(&[0], Err(Pkcs12Error::Malformed));
        check(&[], Err(Pkcs12Error::Malformed));
        check(&[0xff], Err(Pkcs12Error::Malformed));
        check(&[1, 0, 0, 0, 0], Err(Pkcs12Error::TooCostly));
    }

    #[test]
    fn the_budget_is_one_for_all() {
        let mut budget = Budget::new();
        let half = NonZeroU32::new(HASHES_MAX / 2).unwrap();
        budget.spend(half, 1).unwrap();
        assert_eq!(budget.spend(half, 2), Err(Pkcs12Error::TooCostly));
        budget.spend(half, 1).unwrap();
        let one = NonZeroU32::MIN;
        assert_eq!(budget.spend(one, 1), Err(Pkcs12Error::TooCostly));
        let all = NonZeroU32::MAX;
        assert_eq!(budget.spend(all, 2), Err(Pkcs12Error::TooCostly));
    }
}
