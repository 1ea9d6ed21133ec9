//! A certificate authority made on the spot. **Invariant:** reads no clock: validity is fixed.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PublicKeyData,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// An authority with a self-signed root that issues leaves directly.
pub struct TestCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What a leaf says.
#[derive(Clone, Debug)]
pub struct LeafSpec {
    /// DNS names.
    pub names: Vec<String>,
    /// IP addresses.
    pub ips: Vec<IpAddr>,
    /// From when to when.
    pub validity: Validity,
}

/// From when to when a leaf is valid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Validity {
    /// From 2020 to 2049.
    Current,
    /// January 2020.
    Past,
    /// 2048.
    Future,
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Leaf {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    spki_der: Vec<u8>,
}

/// Which protocols a TLS server offers, and down to which version.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Speaks {
    /// TLS 1.3, HTTP/2 and HTTP/1.1.
    #[default]
    Http2,
    /// TLS 1.3, HTTP/1.1 only.
    Http1,
    /// TLS 1.2 only, HTTP/1.1 only.
    OldTls,
}

// === impl TestCa ===

impl TestCa {
    /// Makes a root with this common name.
    pub fn new(common_name: &str) -> anyhow::Result<Self> {
        let mut params = params(Vec::new(), Validity::Current)?;
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self { issuer })
    }

    /// The root, as PEM.
    pub fn root_pem(&self) -> String {
        self.issuer.pem()
    }

    /// The root, as DER.
    pub fn root_der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// Issues a leaf with a key of its own.
    pub fn issue(&self, spec: &LeafSpec) -> anyhow::Result<Leaf> {
        let names = spec.names.iter().cloned();
        let ips = spec.ips.iter().map(ToString::to_string);
        let mut params = params(names.chain(ips).collect(), spec.validity)?;
        params
            .distinguished_name
            .push(DnType::CommonName, "Test receiver");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Leaf {
            chain: vec![certificate.der().clone()],
            spki_der: key.subject_public_key_info(),
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        })
    }
}

// === impl LeafSpec ===

impl Default for LeafSpec {
    /// For a receiver on this machine, called by name or address.
    fn default() -> Self {
        Self {
            names: vec!["localhost".to_owned()],
            ips: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            validity: Validity::Current,
        }
    }
}

// === impl Leaf ===

impl Leaf {
    /// A TLS server that presents it.
    pub fn acceptor(&self, speaks: Speaks) -> anyhow::Result<TlsAcceptor> {
        let (version, alpn): (_, &[&[u8]]) = match speaks {
            Speaks::Http2 => (&rustls::version::TLS13, &[b"h2", b"http/1.1"]),
            Speaks::Http1 => (&rustls::version::TLS13, &[b"http/1.1"]),
            Speaks::OldTls => (&rustls::version::TLS12, &[b"http/1.1"]),
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// The SHA-256 of its SubjectPublicKeyInfo in the text form of RFC 7469: `sha256/…`.
    pub fn spki_sha256(&self) -> String {
        let hash = digest::digest(&digest::SHA256, &self.spki_der);
        format!("sha256/{}", STANDARD.encode(hash))
    }
}

fn params(names: Vec<String>, validity: Validity) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(names)?;
    let (from, to) = match validity {
        Validity::Current => ((2020, 1, 1), (2049, 12, 31)),
        Validity::Past => ((2020, 1, 1), (2020, 1, 31)),
        Validity::Future => ((2048, 1, 1), (2048, 12, 31)),
    };
    params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
    params.not_after = rcgen::date_time_ymd(to.0, to.1, to.2);
    Ok(params)
}
