//! A certificate authority for tests.

use std::net::IpAddr;
use std::time::Duration;

use hookseal_pki::certificate::Certificate;
use hookseal_pki::chain::ObservedChain;
use hookseal_pki::trust_anchor::TrustAnchors;
use hookseal_pki::verify::{VerifiedChain, VerifyError, verify};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, SanType, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// 2026-11-23T00:00:00Z, within the years in which what is made here is valid.
pub(crate) const NOW_SECS: u64 = 1_795_392_000;

/// A CA, a root or an intermediate.
pub(crate) struct Authority {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) pem: String,
    pub(crate) issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn root(name: &str) -> Self {
        Self::of(Self::params(name))
    }

    /// A root with these parameters.
    pub(crate) fn of(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            der: certificate.der().clone(),
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn intermediate(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self {
            der: certificate.der().clone(),
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A CA's parameters.
    pub(crate) fn params(name: &str) -> CertificateParams {
        let mut params = dated(CertificateParams::default());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    pub(crate) fn issue(&self, params: &CertificateParams) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, &self.issuer).unwrap().der().clone()
    }

    pub(crate) fn anchors(&self) -> TrustAnchors {
        TrustAnchors::none().with_pem(self.pem.as_bytes()).unwrap()
    }
}

/// A server's parameters.
pub(crate) fn server(names: &[&str]) -> CertificateParams {
    let mut params = dated(CertificateParams::default());
    params.subject_alt_names = names.iter().map(|name| san(name)).collect();
    params.distinguished_name.push(DnType::CommonName, "server");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// Where the issuer's certificate can be fetched (RFC 5280 §4.2.2.1).
pub(crate) fn ca_issuers(url: &str) -> CustomExtension {
    const OID: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
    const CA_ISSUERS: &[u8] = &[0x06, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 2];
    let url_len = u8::try_from(url.len()).unwrap();
    let description_len = url_len + 12;
    let mut der = vec![0x30, description_len + 2, 0x30, description_len];
    der.extend_from_slice(CA_ISSUERS);
    der.extend_from_slice(&[0x86, url_len]);
    der.extend_from_slice(url.as_bytes());
    CustomExtension::from_oid_content(OID, der)
}

/// Who issued the certificate of the issuer, which is `issuer` (RFC 5280 §4.2.1.1), without a key
/// identifier.
pub(crate) fn issuers_issuer(issuer: &[u8]) -> CustomExtension {
    const OID: &[u64] = &[2, 5, 29, 35];
    let tlv = |tag: u8, content: &[u8]| {
        let mut der = vec![tag, u8::try_from(content.len()).unwrap()];
        der.extend_from_slice(content);
        der
    };
    let facts = Certificate::parse(issuer).unwrap();
    let names = tlv(0xa1, &tlv(0xa4, facts.issuer_der()));
    let serial = tlv(0x82, &[1]);
    CustomExtension::from_oid_content(OID, tlv(0x30, &[names, serial].concat()))
}

fn san(name: &str) -> SanType {
    match name.parse::<IpAddr>() {
        Ok(ip) => SanType::IpAddress(ip),
        Err(_) => SanType::DnsName(name.try_into().unwrap()),
    }
}

fn dated(mut params: CertificateParams) -> CertificateParams {
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params
}

/// What `verify` says of a chain at [`NOW_SECS`].
pub(crate) fn verdict(
    leaf: &CertificateDer<'static>,
    intermediates: &[CertificateDer<'static>],
    anchors: &TrustAnchors,
    name: &str,
) -> Result<VerifiedChain, VerifyError> {
    let observed = ObservedChain::new(leaf, intermediates)?;
    let name = ServerName::try_from(name).unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW_SECS));
    verify(&observed, anchors, &name, now)
}
