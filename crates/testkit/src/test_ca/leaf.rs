//! A certificate with its key and what is sent along, and the TLS servers that show it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{KeyPair, PublicKeyData};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::test_ca::{LeafSpec, TestCa};

/// A certificate with its key.
#[derive(Debug)]
pub struct Leaf {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    spki_der: Vec<u8>,
}

/// Where a leaf was written to.
#[derive(Clone, Debug)]
pub struct LeafFiles {
    /// The certificate and what is sent along, as PEM.
    pub chain: PathBuf,
    /// The key, as PEM.
    pub key: PathBuf,
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

// === impl Leaf ===

impl Leaf {
    pub(super) fn new(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Self {
        Self {
            chain,
            spki_der: key.subject_public_key_info(),
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        }
    }

    /// Issued by itself.
    pub fn self_signed(spec: &LeafSpec) -> anyhow::Result<Self> {
        let key = spec.key.generate()?;
        let mut params = spec.params()?;
        params.use_authority_key_identifier_extension = false;
        let certificate = params.self_signed(&key)?;
        Ok(Self::new(vec![certificate.der().clone()], &key))
    }

    /// A TLS server that presents it.
    pub fn acceptor(&self, speaks: Speaks) -> anyhow::Result<TlsAcceptor> {
        self.acceptor_stapling(speaks, Vec::new())
    }

    /// A TLS server that presents it with this OCSP answer.
    pub fn acceptor_stapling(
        &self,
        speaks: Speaks,
        ocsp_answer: Vec<u8>,
    ) -> anyhow::Result<TlsAcceptor> {
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[speaks.version()])?
            .with_no_client_auth()
            .with_single_cert_with_ocsp(self.chain.clone(), self.key.clone_key(), ocsp_answer)?;
        Ok(speaks.acceptor(config))
    }

    /// A TLS server that presents it and demands a client certificate of the root of `clients`.
    pub fn acceptor_demanding(
        &self,
        speaks: Speaks,
        clients: &TestCa,
    ) -> anyhow::Result<TlsAcceptor> {
        let provider = Arc::new(default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(clients.root_der())?;
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[speaks.version()])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        Ok(speaks.acceptor(config))
    }

    /// The same with nothing sent along: as a server that forgets its intermediate certificates.
    pub fn alone(&self) -> Self {
        self.sending_along([])
    }

    /// The same with `others` sent along instead, whether they belong to it or not.
    pub fn sending_along(&self, others: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        let own = self.chain.iter().take(1).cloned();
        Self {
            chain: own.chain(others).collect(),
            key: self.key.clone_key(),
            spki_der: self.spki_der.clone(),
        }
    }

    /// The certificate and what is sent along, as DER.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The certificate, as DER.
    pub fn certificate(&self) -> &[u8] {
        self.chain.first().map_or(&[], |own| own.as_ref())
    }

    /// The key, as PKCS#8 DER.
    pub fn key(&self) -> &PrivateKeyDer<'static> {
        &self.key
    }

    /// The certificate and what is sent along, as PEM.
    pub fn chain_pem(&self) -> String {
        let certificates = self.chain.iter();
        certificates
            .map(|certificate| pem("CERTIFICATE", certificate))
            .collect()
    }

    /// The key, as PEM of PKCS#8.
    pub fn key_pem(&self) -> String {
        pem("PRIVATE KEY", self.key.secret_der())
    }

    /// Writes `<name>.pem` and `<name>.key` into a folder.
    pub fn write(&self, folder: &Path, name: &str) -> anyhow::Result<LeafFiles> {
        let files = LeafFiles {
            chain: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
        };
        std::fs::write(&files.chain, self.chain_pem())?;
        std::fs::write(&files.key, self.key_pem())?;
        Ok(files)
    }

    /// The SHA-256 of its SubjectPublicKeyInfo in the text form of RFC 7469: `sha256/…`.
    pub fn spki_sha256(&self) -> String {
        let hash = digest::digest(&digest::SHA256, &self.spki_der);
        format!("sha256/{}", STANDARD.encode(hash))
    }

    /// The content of the certificate's serial number.
    pub fn serial(&self) -> anyhow::Result<Vec<u8>> {
        let (_, parsed) = X509Certificate::from_der(self.certificate())?;
        Ok(parsed.raw_serial().to_vec())
    }

    pub(super) fn key_pair(&self) -> anyhow::Result<KeyPair> {
        Ok(KeyPair::try_from(&self.key)?)
    }
}

// === impl Speaks ===

impl Speaks {
    fn version(self) -> &'static rustls::SupportedProtocolVersion {
        match self {
            Self::Http2 | Self::Http1 => &rustls::version::TLS13,
            Self::OldTls => &rustls::version::TLS12,
        }
    }

    fn acceptor(self, mut config: ServerConfig) -> TlsAcceptor {
        let alpn: &[&[u8]] = match self {
            Self::Http2 => &[b"h2", b"http/1.1"],
            Self::Http1 | Self::OldTls => &[b"http/1.1"],
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// RFC 7468.
fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut lines = String::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, later) = rest.split_at(rest.len().min(64));
        lines.push_str(line);
        lines.push('\n');
        rest = later;
    }
    format!("-----BEGIN {label}-----\n{lines}-----END {label}-----\n")
}
