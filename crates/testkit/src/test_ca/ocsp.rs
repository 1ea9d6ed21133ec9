//! OCSP answers (RFC 6960), as a server staples them or a responder sends them.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use hookseal_domain::time::Timestamp;
use rcgen::{KeyPair, SigningKey};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::test_ca::{Leaf, TestCa, Validity, der};

/// `AlgorithmIdentifier` of ecdsa-with-SHA256.
const ECDSA_WITH_SHA256: &[u8] = &[0x30, 0x0a, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
/// `AlgorithmIdentifier` of SHA-1: RFC 5019 §2.1.1 wants it in a CertID.
const SHA1: &[u8] = &[0x30, 9, 0x06, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0];
/// The content of the OID id-pkix-ocsp-basic.
const OCSP_BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 1, 1];

/// What an OCSP answer says.
#[derive(Clone, Debug)]
pub struct OcspSpec<'a> {
    /// About which certificate.
    pub about: &'a Leaf,
    /// What about it.
    pub status: OcspStatus,
    /// From thisUpdate to nextUpdate.
    pub validity: Validity,
    /// Who says so.
    pub signer: OcspSigner<'a>,
}

/// What an OCSP answer says about a certificate.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OcspStatus {
    /// It is not revoked.
    #[default]
    Good,
    /// It is revoked, since the answer's first second.
    Revoked,
    /// The responder does not know it.
    Unknown,
}

/// Who signs an OCSP answer.
#[derive(Clone, Copy, Debug, Default)]
pub enum OcspSigner<'a> {
    /// The authority that issued the certificate.
    #[default]
    Issuer,
    /// The holder of this certificate, which is sent along.
    Delegate(&'a Leaf),
}

// === impl OcspSpec ===

impl<'a> OcspSpec<'a> {
    /// The issuer says now that `about` is not revoked.
    pub fn good(about: &'a Leaf) -> Self {
        Self {
            about,
            status: OcspStatus::Good,
            validity: Validity::Current,
            signer: OcspSigner::Issuer,
        }
    }

    /// The issuer says now that `about` is revoked.
    pub fn revoked(about: &'a Leaf) -> Self {
        Self {
            status: OcspStatus::Revoked,
            ..Self::good(about)
        }
    }
}

// === impl TestCa ===

impl TestCa {
    /// Makes an OCSP answer of this authority, in DER.
    pub fn ocsp_answer(&self, spec: &OcspSpec<'_>) -> anyhow::Result<Vec<u8>> {
        let own = self.der();
        match spec.signer {
            OcspSigner::Issuer => self.answer(spec, &own, self.issuer.key(), &[]),
            OcspSigner::Delegate(leaf) => {
                let sent_along = der::explicit(0, &der::sequence(&[leaf.certificate()]));
                self.answer(spec, leaf.certificate(), &leaf.key_pair()?, &sent_along)
            }
        }
    }

    fn answer(
        &self,
        spec: &OcspSpec<'_>,
        signer: &[u8],
        key: &KeyPair,
        sent_along: &[u8],
    ) -> anyhow::Result<Vec<u8>> {
        let (this_update, next_update) = spec.validity.bounds();
        let (this_update, next_update) = (time(this_update), time(next_update));
        let single = der::sequence(&[
            &self.cert_id(spec.about)?,
            &status(spec.status, &this_update),
            &this_update,
            &der::explicit(0, &next_update),
        ]);
        let signer_key_hash = sha1(&key_bits(signer)?);
        let responder = der::explicit(2, &der::value(der::OCTET_STRING, &signer_key_hash));
        let data = der::sequence(&[&responder, &this_update, &der::sequence(&[&single])]);
        let mut signature = vec![0];
        signature.extend(key.sign(&data)?);
        let signature = der::value(der::BIT_STRING, &signature);
        let basic = der::sequence(&[&data, ECDSA_WITH_SHA256, &signature, sent_along]);
        let bytes = der::sequence(&[
            &der::value(der::OID, OCSP_BASIC),
            &der::value(der::OCTET_STRING, &basic),
        ]);
        let successful = der::value(der::ENUMERATED, &[0]);
        Ok(der::sequence(&[&successful, &der::explicit(0, &bytes)]))
    }

    fn cert_id(&self, about: &Leaf) -> anyhow::Result<Vec<u8>> {
        let own = self.der();
        let (_, parsed) = X509Certificate::from_der(&own)?;
        Ok(der::sequence(&[
            SHA1,
            &der::value(der::OCTET_STRING, &sha1(parsed.subject().as_raw())),
            &der::value(der::OCTET_STRING, &sha1(&key_bits(&own)?)),
            &der::value(der::INTEGER, &about.serial()?),
        ]))
    }
}

fn status(status: OcspStatus, since: &[u8]) -> Vec<u8> {
    match status {
        OcspStatus::Good => der::value(0x80, &[]),
        OcspStatus::Revoked => der::explicit(1, since),
        OcspStatus::Unknown => der::value(0x82, &[]),
    }
}

fn time(at: Timestamp) -> Vec<u8> {
    // 2026-11-23T08:30:00.000Z without the fraction and what separates.
    let text = at.to_string();
    let digits = text.chars().filter(char::is_ascii_digit).take(14);
    let text: String = digits.chain(['Z']).collect();
    der::value(der::GENERALIZED_TIME, text.as_bytes())
}

/// The content of a certificate's subjectPublicKey.
fn key_bits(certificate: &[u8]) -> anyhow::Result<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(certificate)?;
    Ok(parsed.public_key().subject_public_key.data.to_vec())
}

fn sha1(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec()
}
