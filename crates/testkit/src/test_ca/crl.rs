//! Revocation lists.

use hookseal_domain::time::Timestamp;
use rcgen::{
    CertificateRevocationListParams, CrlDistributionPoint, CrlIssuingDistributionPoint,
    KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls_pki_types::CertificateRevocationListDer;

use crate::test_ca::{Leaf, TestCa, Validity};

/// What a revocation list says.
#[derive(Clone, Debug)]
pub struct CrlSpec<'a> {
    /// Whose certificates are revoked, by key compromise, since the list's first second.
    pub revoked: Vec<&'a Leaf>,
    /// From thisUpdate to nextUpdate.
    pub validity: Validity,
    /// Grows from list to list.
    pub number: u64,
    /// The distribution point that it is for (RFC 5280 §5.2.5); `None` for all.
    pub distribution_point: Option<String>,
}

// === impl CrlSpec ===

impl Default for CrlSpec<'_> {
    /// Nobody is revoked.
    fn default() -> Self {
        Self {
            revoked: Vec::new(),
            validity: Validity::Current,
            number: 1,
            distribution_point: None,
        }
    }
}

// === impl TestCa ===

impl TestCa {
    /// Signs a revocation list.
    pub fn crl(&self, spec: &CrlSpec<'_>) -> anyhow::Result<CertificateRevocationListDer<'static>> {
        let (from, to) = spec.validity.bounds();
        let at = |time: Timestamp| date_time_ymd(1970, 1, 1) + time.since(Timestamp::default());
        let mut revoked_certs = Vec::new();
        for leaf in &spec.revoked {
            revoked_certs.push(RevokedCertParams {
                serial_number: SerialNumber::from_slice(&leaf.serial()?),
                revocation_time: at(from),
                reason_code: Some(RevocationReason::KeyCompromise),
                invalidity_date: None,
            });
        }
        let point = |url: &String| CrlIssuingDistributionPoint {
            distribution_point: CrlDistributionPoint {
                uris: vec![url.clone()],
            },
            scope: None,
        };
        let params = CertificateRevocationListParams {
            this_update: at(from),
            next_update: at(to),
            crl_number: spec.number.into(),
            issuing_distribution_point: spec.distribution_point.as_ref().map(point),
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.issuer)?.into())
    }
}
