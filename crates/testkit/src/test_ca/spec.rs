//! What a leaf says, and from when to when.

use std::net::{IpAddr, Ipv4Addr};

use hookseal_domain::time::Timestamp;
use rcgen::{
    CertificateParams, CrlDistributionPoint, CustomExtension, DnType, ExtendedKeyUsagePurpose,
    KeyPair, KeyUsagePurpose, RsaKeySize, SanType, date_time_ymd,
};

use crate::test_ca::der;

/// RFC 5280 §4.2.2.1.
const AUTHORITY_INFO_ACCESS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
/// RFC 7633 §6.
const TLS_FEATURE: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 24];
/// `SEQUENCE { INTEGER 5 }`: the feature is status_request.
const STATUS_REQUEST: &[u8] = &[0x30, 3, 2, 1, 5];

/// What a leaf says.
#[derive(Clone, Debug)]
pub struct LeafSpec {
    /// The subject's common name, which proves nothing.
    pub common_name: String,
    /// DNS names.
    pub names: Vec<String>,
    /// IP addresses.
    pub ips: Vec<IpAddr>,
    /// URIs, such as SPIFFE ids.
    pub uris: Vec<String>,
    /// From when to when.
    pub validity: Validity,
    /// What it may be used for.
    pub purpose: Purpose,
    /// What its key is.
    pub key: KeyKind,
    /// Where the revocation list is.
    pub crl_urls: Vec<String>,
    /// Where the issuer answers OCSP requests.
    pub ocsp_urls: Vec<String>,
    /// Where the issuer's certificate is.
    pub issuer_urls: Vec<String>,
    /// Whether the server has to staple an OCSP answer.
    pub stapling: Stapling,
}

/// From when to when something is valid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Validity {
    /// From 2020 to 2049.
    Current,
    /// January 2020.
    Past,
    /// 2048.
    Future,
    /// From the first second to the last.
    Between(Timestamp, Timestamp),
}

/// What a leaf may be used for: its extended key usage.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Purpose {
    /// Servers: serverAuth.
    #[default]
    Server,
    /// Clients: clientAuth.
    Client,
    /// Servers and clients.
    Both,
    /// Code: neither servers nor clients.
    Code,
    /// OCSP answers.
    Ocsp,
    /// It does not say.
    Unsaid,
}

/// What a key is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum KeyKind {
    /// ECDSA on P-256.
    #[default]
    P256,
    /// ECDSA on P-384.
    P384,
    /// Ed25519.
    Ed25519,
    /// RSA of 2048 bits.
    Rsa2048,
}

/// Whether a server has to staple an OCSP answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Stapling {
    /// It may.
    #[default]
    Optional,
    /// It must (RFC 7633).
    Demanded,
}

// === impl LeafSpec ===

impl Default for LeafSpec {
    /// For a receiver on this machine, called by name or address.
    fn default() -> Self {
        Self {
            common_name: "Test receiver".to_owned(),
            names: vec!["localhost".to_owned()],
            ips: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            uris: Vec::new(),
            validity: Validity::Current,
            purpose: Purpose::Server,
            key: KeyKind::P256,
            crl_urls: Vec::new(),
            ocsp_urls: Vec::new(),
            issuer_urls: Vec::new(),
            stapling: Stapling::Optional,
        }
    }
}

impl LeafSpec {
    /// For a server of this name.
    pub fn server(name: &str) -> Self {
        Self {
            names: vec![name.to_owned()],
            ips: Vec::new(),
            ..Self::default()
        }
    }

    /// For a client that shows itself.
    pub fn client(common_name: &str) -> Self {
        Self {
            common_name: common_name.to_owned(),
            names: Vec::new(),
            ips: Vec::new(),
            purpose: Purpose::Client,
            ..Self::default()
        }
    }

    pub(super) fn params(&self) -> anyhow::Result<CertificateParams> {
        let names = self.names.iter().cloned();
        let ips = self.ips.iter().map(ToString::to_string);
        let mut params = CertificateParams::new(names.chain(ips).collect::<Vec<_>>())?;
        for uri in &self.uris {
            let uri = SanType::URI(uri.as_str().try_into()?);
            params.subject_alt_names.push(uri);
        }
        params
            .distinguished_name
            .push(DnType::CommonName, self.common_name.as_str());
        self.validity.set(&mut params);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = self.purpose.extended_key_usages();
        params.use_authority_key_identifier_extension = true;
        params.crl_distribution_points = self.crl_distribution_points();
        params.custom_extensions = self.custom_extensions();
        Ok(params)
    }

    fn crl_distribution_points(&self) -> Vec<CrlDistributionPoint> {
        let points = self.crl_urls.iter();
        let point = |url: &String| CrlDistributionPoint {
            uris: vec![url.clone()],
        };
        points.map(point).collect()
    }

    fn custom_extensions(&self) -> Vec<CustomExtension> {
        let mut extensions = Vec::new();
        let ocsp = self.ocsp_urls.iter().map(|url| (der::AD_OCSP, url));
        let issuers = self.issuer_urls.iter().map(|url| (der::AD_CA_ISSUERS, url));
        let descriptions: Vec<u8> = ocsp
            .chain(issuers)
            .flat_map(|(method, url)| {
                let location = der::value(der::URI, url.as_bytes());
                der::sequence(&[&der::value(der::OID, method), &location])
            })
            .collect();
        if !descriptions.is_empty() {
            let content = der::value(der::SEQUENCE, &descriptions);
            let access = CustomExtension::from_oid_content(AUTHORITY_INFO_ACCESS, content);
            extensions.push(access);
        }
        if self.stapling == Stapling::Demanded {
            let content = STATUS_REQUEST.to_vec();
            extensions.push(CustomExtension::from_oid_content(TLS_FEATURE, content));
        }
        extensions
    }
}

// === impl Validity ===

impl Validity {
    /// The first second and the last.
    pub(super) fn bounds(self) -> (Timestamp, Timestamp) {
        // 2020-01-01, 2020-01-31, 2048-01-01, 2048-12-31 and 2049-12-31, at midnight.
        let (from_secs, to_secs) = match self {
            Self::Current => (1_577_836_800, 2_524_521_600),
            Self::Past => (1_577_836_800, 1_580_428_800),
            Self::Future => (2_461_449_600, 2_492_985_600),
            Self::Between(from, to) => return (from, to),
        };
        let at = |secs: i64| Timestamp::from_millis(secs * 1000);
        (at(from_secs), at(to_secs))
    }

    /// Writes it into a certificate.
    pub(super) fn set(self, params: &mut CertificateParams) {
        let (from, to) = self.bounds();
        let at = |time: Timestamp| date_time_ymd(1970, 1, 1) + time.since(Timestamp::default());
        (params.not_before, params.not_after) = (at(from), at(to));
    }
}

// === impl Purpose ===

impl Purpose {
    fn extended_key_usages(self) -> Vec<ExtendedKeyUsagePurpose> {
        use ExtendedKeyUsagePurpose as Usage;
        match self {
            Self::Server => vec![Usage::ServerAuth],
            Self::Client => vec![Usage::ClientAuth],
            Self::Both => vec![Usage::ServerAuth, Usage::ClientAuth],
            Self::Code => vec![Usage::CodeSigning],
            Self::Ocsp => vec![Usage::OcspSigning],
            Self::Unsaid => Vec::new(),
        }
    }
}

// === impl KeyKind ===

impl KeyKind {
    pub(super) fn generate(self) -> Result<KeyPair, rcgen::Error> {
        match self {
            Self::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Self::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            Self::Ed25519 => KeyPair::generate_for(&rcgen::PKCS_ED25519),
            Self::Rsa2048 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
        }
    }
}
