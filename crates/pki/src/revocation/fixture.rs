//! Certificates, lists and answers for the tests of revocation.

use std::time::Duration;

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CrlIssuingDistributionPoint, CrlScope, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SanType,
    SigningKey, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::EndEntityCert;

use super::link::{Link, key_bits, links};
use crate::chain::ObservedChain;
use crate::der;
use crate::trust_anchor::TrustAnchors;
use crate::verify::verify;

/// 2026-11-23T00:00:00Z.
pub(crate) const NOW_SECS: i64 = 1_795_392_000;
pub(crate) const DAY_SECS: i64 = 24 * 60 * 60;

pub(crate) fn at(secs: i64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(secs.try_into().unwrap()))
}

pub(crate) fn now() -> UnixTime {
    at(NOW_SECS)
}

/// A CA with its certificate.
pub(crate) struct Ca {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) pem: String,
    pub(crate) issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub(crate) fn root(name: &str) -> Self {
        let (params, key) = (Self::params(name), KeyPair::generate().unwrap());
        let certificate = params.self_signed(&key).unwrap();
        let (der, pem) = (certificate.der().clone(), certificate.pem());
        let issuer = Issuer::new(params, key);
        Self { der, pem, issuer }
    }

    pub(crate) fn params(name: &str) -> CertificateParams {
        let mut params = dated();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    pub(crate) fn intermediate(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (der, pem) = (certificate.der().clone(), certificate.pem());
        let issuer = Issuer::new(params, key);
        Self { der, pem, issuer }
    }

    pub(crate) fn issue(&self, params: &CertificateParams) -> CertificateDer<'static> {
        self.issue_for(params, &KeyPair::generate().unwrap())
    }

    pub(crate) fn issue_for(
        &self,
        params: &CertificateParams,
        key: &KeyPair,
    ) -> CertificateDer<'static> {
        params.signed_by(key, &self.issuer).unwrap().der().clone()
    }

    pub(crate) fn anchors(&self) -> TrustAnchors {
        TrustAnchors::none().with_pem(self.pem.as_bytes()).unwrap()
    }

    /// The links of the path that leads from the first certificate to this root.
    pub(crate) fn links(&self, chain: &[CertificateDer<'static>]) -> Vec<Link> {
        let (leaf, intermediates) = chain.split_first().unwrap();
        let observed = ObservedChain::new(leaf, intermediates).unwrap();
        let (anchors, name) = (self.anchors(), ServerName::try_from("a.example").unwrap());
        let verified = verify(&observed, &anchors, &name, now()).unwrap();
        links(&observed, &verified, &anchors).unwrap()
    }

    /// A list of a day before and a week after now.
    pub(crate) fn list(&self, list: &List<'_>) -> Vec<u8> {
        let time =
            |secs: i64| date_time_ymd(1970, 1, 1) + Duration::from_secs(secs.try_into().unwrap());
        let revoked = |(serial, reason_code): &(u64, Option<RevocationReason>)| RevokedCertParams {
            serial_number: (*serial).into(),
            revocation_time: time(NOW_SECS - 2 * DAY_SECS),
            reason_code: *reason_code,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: time(list.this_update),
            next_update: time(list.next_update),
            crl_number: 0x1234.into(),
            issuing_distribution_point: list.point.map(|(uri, scope)| {
                let uris = vec![uri.to_owned()];
                let distribution_point = CrlDistributionPoint { uris };
                CrlIssuingDistributionPoint {
                    distribution_point,
                    scope,
                }
            }),
            revoked_certs: list.revoked.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().der().to_vec()
    }
}

/// What a list says.
pub(crate) struct List<'a> {
    pub(crate) revoked: &'a [(u64, Option<RevocationReason>)],
    pub(crate) this_update: i64,
    pub(crate) next_update: i64,
    pub(crate) point: Option<(&'a str, Option<CrlScope>)>,
}

impl Default for List<'_> {
    fn default() -> Self {
        Self {
            revoked: &[],
            this_update: NOW_SECS - DAY_SECS,
            next_update: NOW_SECS + 7 * DAY_SECS,
            point: None,
        }
    }
}

fn dated() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params
}

/// A server's certificate with this serial number.
pub(crate) fn server(serial: u64) -> CertificateParams {
    let mut params = dated();
    params.subject_alt_names = vec![SanType::DnsName("a.example".try_into().unwrap())];
    params.distinguished_name.push(DnType::CommonName, "server");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.serial_number = Some(serial.into());
    params
}

/// The same, which names its list.
pub(crate) fn server_with_point(serial: u64, uri: &str) -> CertificateParams {
    let mut params = server(serial);
    let uris = vec![uri.to_owned()];
    params.crl_distribution_points = vec![CrlDistributionPoint { uris }];
    params
}

/// A responder's certificate.
pub(crate) fn responder() -> CertificateParams {
    let mut params = dated();
    params
        .distinguished_name
        .push(DnType::CommonName, "responder");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
    params
}

/// How an answer names the certificate.
#[derive(Clone, Copy)]
pub(crate) enum Hash {
    Sha1,
    Sha256,
    Md5,
}

/// How an answer names its responder.
#[derive(Clone, Copy)]
pub(crate) enum By {
    Name,
    Key,
}

/// An OCSP answer in the making.
pub(crate) struct Reply<'a> {
    /// The serial number of the certificate.
    pub(crate) about: u64,
    pub(crate) issuer: &'a CertificateDer<'static>,
    pub(crate) hash: Hash,
    pub(crate) status: Vec<u8>,
    pub(crate) this_update: i64,
    pub(crate) next_update: Option<i64>,
    pub(crate) by: By,
    pub(crate) signer: (&'a CertificateDer<'static>, &'a KeyPair),
    pub(crate) sent_along: Vec<&'a CertificateDer<'static>>,
    pub(crate) extensions: Vec<u8>,
}

impl<'a> Reply<'a> {
    /// The issuer says that the certificate with this serial number is good.
    pub(crate) fn good(ca: &'a Ca, serial: u64) -> Self {
        Self {
            about: serial,
            issuer: &ca.der,
            hash: Hash::Sha1,
            status: der::write(der::context(0), &[]),
            this_update: NOW_SECS - 3600,
            next_update: Some(NOW_SECS + DAY_SECS),
            by: By::Key,
            signer: (&ca.der, ca.issuer.key()),
            sent_along: Vec::new(),
            extensions: Vec::new(),
        }
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        let list = der::write(der::SEQUENCE, &[&self.single()]);
        let data = der::write(
            der::SEQUENCE,
            &[
                &self.responder_id(),
                &time(self.this_update),
                &list,
                &self.extensions,
            ],
        );
        let signature = self.signer.1.sign(&data).unwrap();
        let ecdsa_with_sha256 = [0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
        let certificates: Vec<&[u8]> = self.sent_along.iter().map(|der| der.as_ref()).collect();
        let certificates = match certificates.is_empty() {
            true => Vec::new(),
            false => explicit(0, &der::write(der::SEQUENCE, &certificates)),
        };
        let basic = der::write(
            der::SEQUENCE,
            &[
                &data,
                &ecdsa_with_sha256,
                &der::write(der::BIT_STRING, &[&[0], &signature]),
                &certificates,
            ],
        );
        let basic_oid = [0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
        let bytes = der::write(
            der::SEQUENCE,
            &[
                &der::write(der::OID, &[&basic_oid]),
                &der::write(der::OCTET_STRING, &[&basic]),
            ],
        );
        der::write(
            der::SEQUENCE,
            &[&der::write(der::ENUMERATED, &[&[0]]), &explicit(0, &bytes)],
        )
    }

    fn single(&self) -> Vec<u8> {
        let next_update = match self.next_update {
            Some(secs) => explicit(0, &time(secs)),
            None => Vec::new(),
        };
        der::write(
            der::SEQUENCE,
            &[
                &self.cert_id(),
                &self.status,
                &time(self.this_update),
                &next_update,
            ],
        )
    }

    fn cert_id(&self) -> Vec<u8> {
        let (oid, hash): (&[u8], &'static Algorithm) = match self.hash {
            Hash::Sha1 => (&[0x2b, 14, 3, 2, 26], &SHA1_FOR_LEGACY_USE_ONLY),
            Hash::Sha256 => (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1], &SHA256),
            Hash::Md5 => (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 2, 5], &SHA256),
        };
        let issuer = EndEntityCert::try_from(self.issuer).unwrap();
        let name = der::write(der::SEQUENCE, &[issuer.subject()]);
        let key = issuer.subject_public_key_info();
        let hashed = |bytes: &[u8]| der::write(der::OCTET_STRING, &[digest(hash, bytes).as_ref()]);
        let serial = self.about.to_be_bytes();
        let significant: Vec<u8> = serial
            .iter()
            .copied()
            .skip_while(|byte| *byte == 0)
            .collect();
        der::write(
            der::SEQUENCE,
            &[
                &der::write(der::SEQUENCE, &[&der::write(der::OID, &[oid])]),
                &hashed(&name),
                &hashed(key_bits(&key).unwrap()),
                &der::write(der::INTEGER, &[&significant]),
            ],
        )
    }

    fn responder_id(&self) -> Vec<u8> {
        let signer = EndEntityCert::try_from(self.signer.0).unwrap();
        match self.by {
            By::Name => explicit(1, &der::write(der::SEQUENCE, &[signer.subject()])),
            By::Key => {
                let key = signer.subject_public_key_info();
                let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, key_bits(&key).unwrap());
                explicit(2, &der::write(der::OCTET_STRING, &[hash.as_ref()]))
            }
        }
    }
}

/// RevokedInfo.
pub(crate) fn revoked(secs: i64, reason: Option<u8>) -> Vec<u8> {
    let reason = match reason {
        Some(code) => explicit(0, &der::write(der::ENUMERATED, &[&[code]])),
        None => Vec::new(),
    };
    der::write(der::context_constructed(1), &[&time(secs), &reason])
}

pub(crate) fn unknown() -> Vec<u8> {
    der::write(der::context(2), &[])
}

pub(crate) fn explicit(number: u8, value: &[u8]) -> Vec<u8> {
    der::write(der::context_constructed(number), &[value])
}

fn time(secs: i64) -> Vec<u8> {
    let text = jiff::Timestamp::from_second(secs).unwrap().to_string();
    let digits: String = text
        .chars()
        .filter(char::is_ascii_digit)
        .chain(['Z'])
        .collect();
    der::write(der::GENERALIZED_TIME, &[digits.as_bytes()])
}
