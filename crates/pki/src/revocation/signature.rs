//! Checks signatures over revocation lists and OCSP answers, with the algorithms that count for
//! certificates too.

use rustls_pki_types::SubjectPublicKeyInfoDer;
use webpki::{Error, RawPublicKeyEntity};

use crate::der::{BadDer, Reader, SEQUENCE};
use crate::verify::ALGORITHMS;

/// Something signed, as X.509 lays it out: contents, algorithm, signature (RFC 5280 §4.1, §5.1;
/// RFC 6960 §4.2.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed<'a> {
    /// What is signed, tag and length included.
    message: &'a [u8],
    /// The contents of the AlgorithmIdentifier.
    algorithm: &'a [u8],
    signature: &'a [u8],
}

/// A signature does not prove anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SignatureError {
    /// Not made by this key.
    #[error("its signature is not that of the issuing CA's key")]
    Wrong,
    /// Made in a way that we don't accept.
    #[error(
        "it is signed by an algorithm that is not accepted; ECDSA, Ed25519 and RSA (2048 bits or \
         more) with SHA-256, SHA-384 or SHA-512 are"
    )]
    UnsupportedAlgorithm,
}

// === impl Signed ===

impl<'a> Signed<'a> {
    /// Reads the three parts; also gives the contents of the first.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<(Self, &'a [u8]), BadDer> {
        let (message, contents) = reader.take_whole(SEQUENCE)?;
        let signed = Self {
            message,
            algorithm: reader.take(SEQUENCE)?,
            signature: reader.take_bit_string()?,
        };
        Ok((signed, contents))
    }

    /// Whether the owner of this key signed it.
    pub(super) fn verify(&self, key: &SubjectPublicKeyInfoDer<'_>) -> Result<(), SignatureError> {
        let entity = RawPublicKeyEntity::try_from(key).map_err(|_| SignatureError::Wrong)?;
        // One identifier may stand for several algorithms: ECDSA with SHA-256, for each curve.
        let mut outcome = Err(SignatureError::UnsupportedAlgorithm);
        for algorithm in ALGORITHMS
            .iter()
            .filter(|algorithm| algorithm.signature_alg_id().as_ref() == self.algorithm)
        {
            match entity.verify_signature(*algorithm, self.message, self.signature) {
                Ok(()) => return Ok(()),
                Err(Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) => {}
                Err(_) => outcome = Err(SignatureError::Wrong),
            }
        }
        outcome
    }
}
