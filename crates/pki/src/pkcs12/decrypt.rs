//! Decrypts what a PKCS#12 file holds: with PBES2 and AES (RFC 8018 §6.2), which is what is exported
//! today, and with the two ciphers of RFC 7292 appendix C that were in use before.
//!
//! **Invariant:** triple DES and RC2 are for reading old files only; nothing is encrypted with them.

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptionContext, PaddedBlockDecryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::{digest, iv::FixedLength, pbkdf2};
use des::TdesEde3;
use des::cipher::{Array, BlockCipherDecrypt, KeyInit, consts::U8};
use rc2::Rc2;
use zeroize::Zeroizing;

use super::Pkcs12Error;
use super::derive::{Budget, Password, Prf, Purpose, iterations};
use crate::der::{INTEGER, OCTET_STRING, OID, Reader, SEQUENCE};

/// The contents of object identifiers (RFC 8018 appendix C, RFC 7292 appendix C).
const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13];
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12];
const HMAC_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 7];
const HMAC_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 9];
const HMAC_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 10];
const HMAC_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 11];
const AES_128_CBC: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 2];
const AES_192_CBC: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 22];
const AES_256_CBC: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 42];
const SHA1_TRIPLE_DES: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1, 3];
const SHA1_RC2_40: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1, 6];

const TRIPLE_DES_KEY_BYTES: usize = 24;
const RC2_40_KEY_BYTES: usize = 5;
const OLD_BLOCK_BYTES: usize = 8;

/// Decrypts with the algorithm that an AlgorithmIdentifier names.
pub(super) fn decrypt(
    mut algorithm: Reader<'_>,
    encrypted: &[u8],
    password: &Password,
    budget: &mut Budget,
) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    let kind = algorithm.take(OID)?;
    let mut parameters = algorithm.enter(SEQUENCE)?;
    match kind {
        PBES2 => pbes2(&mut parameters, encrypted, password, budget),
        SHA1_TRIPLE_DES => {
            let mut key = Zeroizing::new([0; TRIPLE_DES_KEY_BYTES]);
            let iv = old_keys(&mut parameters, password, &mut *key, budget)?;
            let cipher = TdesEde3::new_from_slice(&*key).map_err(|_| Pkcs12Error::Unsupported)?;
            cbc(&cipher, iv, encrypted)
        }
        SHA1_RC2_40 => {
            let mut key = Zeroizing::new([0; RC2_40_KEY_BYTES]);
            let iv = old_keys(&mut parameters, password, &mut *key, budget)?;
            cbc(&Rc2::new_with_eff_key_len(&*key, 40), iv, encrypted)
        }
        _ => Err(Pkcs12Error::Unsupported),
    }
}

fn pbes2(
    parameters: &mut Reader<'_>,
    encrypted: &[u8],
    password: &Password,
    budget: &mut Budget,
) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    let mut derivation = parameters.enter(SEQUENCE)?;
    let mut scheme = parameters.enter(SEQUENCE)?;
    let (cipher, key_bytes): (&'static Algorithm, _) = match scheme.take(OID)? {
        AES_128_CBC => (&AES_128, 16),
        AES_192_CBC => (&AES_192, 24),
        AES_256_CBC => (&AES_256, 32),
        _ => return Err(Pkcs12Error::Unsupported),
    };
    let iv = <[u8; 16]>::try_from(scheme.take(OCTET_STRING)?);
    let iv = FixedLength::from(iv.map_err(|_| Pkcs12Error::Malformed)?);
    if derivation.take(OID)? != PBKDF2 {
        return Err(Pkcs12Error::Unsupported);
    }
    let mut derivation = derivation.enter(SEQUENCE)?;
    let salt = derivation.take(OCTET_STRING)?;
    let count = iterations(derivation.take(INTEGER)?)?;
    derivation.take_optional(INTEGER)?;
    let function = match derivation.take_optional(SEQUENCE)? {
        None => HMAC_SHA1,
        Some(function) => Reader::new(function).take(OID)?,
    };
    let (algorithm, bytes) = match function {
        HMAC_SHA1 => (pbkdf2::PBKDF2_HMAC_SHA1, 20),
        HMAC_SHA256 => (pbkdf2::PBKDF2_HMAC_SHA256, 32),
        HMAC_SHA384 => (pbkdf2::PBKDF2_HMAC_SHA384, 48),
        HMAC_SHA512 => (pbkdf2::PBKDF2_HMAC_SHA512, 64),
        _ => return Err(Pkcs12Error::Unsupported),
    };
    let prf = Prf { algorithm, bytes };
    let mut key = Zeroizing::new(vec![0; key_bytes]);
    password.pbkdf2(prf, salt, count, &mut key, budget)?;

    let mut clear = Zeroizing::new(encrypted.to_vec());
    let key = UnboundCipherKey::new(cipher, &key)
        .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
        .map_err(|_| Pkcs12Error::Unsupported)?;
    let length = key
        .decrypt(&mut clear, DecryptionContext::Iv128(iv))
        .map_err(|_| Pkcs12Error::WrongPassword)?
        .len();
    clear.truncate(length);
    Ok(clear)
}

/// Key and initialisation vector (RFC 7292 appendix C).
fn old_keys(
    parameters: &mut Reader<'_>,
    password: &Password,
    key: &mut [u8],
    budget: &mut Budget,
) -> Result<[u8; OLD_BLOCK_BYTES], Pkcs12Error> {
    let salt = parameters.take(OCTET_STRING)?;
    let count = iterations(parameters.take(INTEGER)?)?;
    let hash = &digest::SHA1_FOR_LEGACY_USE_ONLY;
    password.pkcs12(hash, Purpose::Encryption, salt, count, key, budget)?;
    let mut iv = [0; OLD_BLOCK_BYTES];
    password.pkcs12(hash, Purpose::Iv, salt, count, &mut iv, budget)?;
    Ok(iv)
}

/// Cipher block chaining of a cipher with blocks of 8 bytes, and its padding (RFC 8018 §6.1.2).
fn cbc(
    cipher: &impl BlockCipherDecrypt<BlockSize = U8>,
    iv: [u8; OLD_BLOCK_BYTES],
    encrypted: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    let mut clear = Zeroizing::new(Vec::with_capacity(encrypted.len()));
    let mut previous = iv;
    let (blocks, rest) = encrypted.as_chunks::<OLD_BLOCK_BYTES>();
    if !rest.is_empty() {
        return Err(Pkcs12Error::Malformed);
    }
    for block in blocks {
        let mut decrypted = Array::from(*block);
        cipher.decrypt_block(&mut decrypted);
        clear.extend(decrypted.iter().zip(previous).map(|(one, two)| one ^ two));
        previous = *block;
    }
    let padding = clear.last().copied().unwrap_or_default();
    let kept = clear.len().checked_sub(usize::from(padding));
    let valid = (1..=8).contains(&padding)
        && clear
            .iter()
            .rev()
            .take(usize::from(padding))
            .all(|byte| *byte == padding);
    match kept {
        Some(kept) if valid => {
            clear.truncate(kept);
            Ok(clear)
        }
        _ => Err(Pkcs12Error::WrongPassword),
    }
}
