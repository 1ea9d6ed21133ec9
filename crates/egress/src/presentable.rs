//! A certificate of ours with its key, ready to be presented.
//!
//! **Invariant:** certificate and key match; the key is in no text.

use std::fmt;
use std::sync::Arc;

use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::handshake::Presented;
use hookseal_domain::transport::identity::IssuedCertificate;
use hookseal_domain::transport::name::Name;
use hookseal_pki::certificate::{Certificate, CertificateError, CertificateSha256};
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::limits::CLIENT_CHAIN_MAX;

/// A certificate of ours with its key.
pub(crate) struct Presentable {
    identity: Name,
    number: u32,
    /// Whether the receivers were not told of it yet.
    undistributed: bool,
    certificate: Certificate,
    /// Who issued the certificates of the chain, as servers hint at CAs.
    issuers: Vec<Vec<u8>>,
    certified: Arc<CertifiedKey>,
}

/// A certificate can't be presented.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum PresentableError {
    #[error("there is no certificate")]
    Empty,
    #[error("there are {certificates} certificates, more than {CLIENT_CHAIN_MAX}")]
    TooMany { certificates: usize },
    #[error("certificate {number} can't be used: {source}")]
    Certificate {
        /// Counts from 1.
        number: usize,
        source: CertificateError,
    },
    #[error("the key is of no kind that TLS signs with: ECDSA, RSA of 2048 to 8192 bits, Ed25519")]
    Key,
    #[error("certificate and key don't match: the certificate was issued for another key")]
    Mismatch,
}

// === impl Presentable ===

impl Presentable {
    /// With a key in DER: PKCS#8, PKCS#1 or SEC 1. `number` is the certificate's in its identity,
    /// 0 for the operator's own.
    pub(crate) fn with_der_key(
        identity: Name,
        number: u32,
        chain: Vec<CertificateDer<'static>>,
        key: &PrivateKeyDer<'_>,
    ) -> Result<Self, PresentableError> {
        let key = any_supported_type(key).map_err(|_| PresentableError::Key)?;
        Self::new(identity, number, chain, key)
    }

    /// With a key that may be anywhere. `chain` has our own certificate first.
    pub(crate) fn new(
        identity: Name,
        number: u32,
        chain: Vec<CertificateDer<'static>>,
        key: Arc<dyn SigningKey>,
    ) -> Result<Self, PresentableError> {
        if chain.len() > CLIENT_CHAIN_MAX {
            let certificates = chain.len();
            return Err(PresentableError::TooMany { certificates });
        }
        let mut certificates = Vec::with_capacity(chain.len());
        for (der, number) in chain.iter().zip(1..) {
            let certificate = Certificate::parse(der)
                .map_err(|source| PresentableError::Certificate { number, source })?;
            certificates.push(certificate);
        }
        let issuer = |certificate: &Certificate| certificate.issuer_der().to_vec();
        let issuers = certificates.iter().map(issuer).collect();
        let own = certificates.into_iter().next();
        let certificate = own.ok_or(PresentableError::Empty)?;
        let certified = CertifiedKey::new(chain, key);
        // A key that can't tell its public half proves nothing: that is no match either.
        if certified.keys_match().is_err() {
            return Err(PresentableError::Mismatch);
        }
        Ok(Self {
            identity,
            number,
            undistributed: false,
            certificate,
            issuers,
            certified: Arc::new(certified),
        })
    }

    /// One that the receivers were not told of yet.
    pub(crate) fn undistributed(self) -> Self {
        Self {
            undistributed: true,
            ..self
        }
    }

    /// Whether the receivers were not told of it yet.
    pub(crate) fn is_undistributed(&self) -> bool {
        self.undistributed
    }

    /// What is known of our own certificate.
    pub(crate) fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Names our own certificate.
    pub(crate) fn sha256(&self) -> CertificateSha256 {
        self.certificate.sha256()
    }

    /// The first second of its life.
    pub(crate) fn not_before(&self) -> Timestamp {
        from_secs(self.certificate.not_before_secs())
    }

    /// The last second of its life.
    pub(crate) fn not_after(&self) -> Timestamp {
        from_secs(self.certificate.not_after_secs())
    }

    /// Whether it is valid: both ends are inclusive, to the second (RFC 5280 §4.1.2.5).
    pub(crate) fn is_valid_at(&self, now: Timestamp) -> bool {
        let now = now.as_secs();
        self.certificate.not_before_secs() <= now && now <= self.certificate.not_after_secs()
    }

    /// Whether one of the CAs that a server hints at issued it, or one of its issuers. A server
    /// that hints at none takes any.
    pub(crate) fn suits_hints(&self, hints: &[&[u8]]) -> bool {
        hints.is_empty()
            || self
                .issuers
                .iter()
                .any(|issuer| hints.contains(&&issuer[..]))
    }

    /// Whether its key can sign in one of these ways.
    pub(crate) fn suits_schemes(&self, schemes: &[SignatureScheme]) -> bool {
        self.certified.key.choose_scheme(schemes).is_some()
    }

    /// As TLS presents it.
    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }

    /// As people are told of it.
    pub(crate) fn issued(&self) -> IssuedCertificate {
        IssuedCertificate {
            chain_der: self.certified.cert.iter().map(|der| der.to_vec()).collect(),
            sha256: *self.sha256().as_bytes(),
            subject: self.certificate.subject().to_owned(),
            issuer: self.certificate.issuer().to_owned(),
            not_before: self.not_before(),
            not_after: self.not_after(),
        }
    }

    /// As a report names it.
    pub(crate) fn presented(&self) -> Presented {
        Presented {
            identity: self.identity.clone(),
            number: self.number,
            sha256: *self.sha256().as_bytes(),
            not_after: self.not_after(),
        }
    }
}

fn from_secs(secs: i64) -> Timestamp {
    Timestamp::from_millis(secs.saturating_mul(1000))
}

impl fmt::Debug for Presentable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presentable")
            .field("identity", &self.identity)
            .field("number", &self.number)
            .field("sha256", &self.sha256())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::*;

    struct Made {
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        /// Name of the CA, in DER.
        ca: Vec<u8>,
    }

    fn make() -> Made {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&ca_key).unwrap();
        let ca = Certificate::parse(ca.der()).unwrap().issuer_der().to_vec();
        let issuer = Issuer::new(params, ca_key);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(["us.test".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        Made {
            chain: vec![leaf.der().clone()],
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            ca,
        }
    }

    fn name() -> Name {
        Name::parse("us").unwrap()
    }

    #[test]
    fn suits_what_a_server_asks_for() {
        let made = make();
        let one = Presentable::with_der_key(name(), 3, made.chain, &made.key).unwrap();
        assert!(one.suits_hints(&[]));
        assert!(one.suits_hints(&[b"other", &made.ca]));
        assert!(!one.suits_hints(&[b"other"]));
        assert!(one.suits_schemes(&[SignatureScheme::ECDSA_NISTP256_SHA256]));
        assert!(!one.suits_schemes(&[SignatureScheme::RSA_PSS_SHA256]));
        assert_eq!(one.presented().number, 3);
    }

    #[test]
    fn both_ends_of_its_life_count() {
        let made = make();
        let one = Presentable::with_der_key(name(), 1, made.chain, &made.key).unwrap();
        let (first, last) = (one.not_before().as_millis(), one.not_after().as_millis());
        let at = |millis| one.is_valid_at(Timestamp::from_millis(millis));
        assert!(!at(first - 1) && at(first));
        assert!(at(last + 999) && !at(last + 1000));
    }

    #[test]
    fn a_certificate_for_another_key() {
        let (made, other) = (make(), make());
        let error = Presentable::with_der_key(name(), 1, made.chain, &other.key).unwrap_err();
        assert_eq!(error, PresentableError::Mismatch);
    }

    #[test]
    fn what_is_no_chain() {
        let check = |chain: Vec<CertificateDer<'static>>, expect: &str| {
            let error = Presentable::with_der_key(name(), 1, chain, &make().key).unwrap_err();
            assert_eq!(error.to_string(), expect);
        };
        let leaf = make().chain.remove(0);
        check(vec![], "there is no certificate");
        check(
            vec![leaf.clone(), CertificateDer::from(vec![1])],
            "certificate 2 can't be used: it is not an X.509 certificate in DER",
        );
        check(
            vec![leaf; CLIENT_CHAIN_MAX + 1],
            "there are 9 certificates, more than 8",
        );
    }
}
