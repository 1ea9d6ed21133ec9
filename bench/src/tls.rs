//! TLS of the benchmark: an authority made on the spot, the receiver's side and the sender's.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Both sides speak HTTP/1.1 only, so that every contender is measured over the same protocol.
const ALPN: &[u8] = b"http/1.1";

/// Where the receiver's process leaves what a sender needs, for the others to read.
#[derive(Clone, Debug)]
pub(crate) struct Files(PathBuf);

/// Whether a server demands a client certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ClientAuth {
    /// It does.
    Demanded,
    /// It does not ask.
    None,
}

/// Makes a certificate for 127.0.0.1 and writes the root it chains to; where a client certificate
/// is demanded, also one with its key, and the certificate of the server to be pinned.
pub(crate) fn acceptor(files: &Files, client_auth: ClientAuth) -> anyhow::Result<TlsAcceptor> {
    let authority = authority()?;
    write(&files.roots(), &authority.pem())?;

    let key = KeyPair::generate()?;
    let mut params = params(vec!["127.0.0.1".to_owned()])?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Benchmark receiver");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, &authority)?;

    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?;
    let builder = match client_auth {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::Demanded => {
            write(&files.identity(), &identity(&authority)?)?;
            write(&files.server(), &certificate.pem())?;
            let mut roots = RootCertStore::empty();
            roots.add(authority.der().clone())?;
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(vec![certificate.der().clone()], key)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Trusts the roots in the file `roots` and nothing else.
pub(crate) fn connector(roots: &Path) -> anyhow::Result<TlsConnector> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(roots)? {
        store.add(certificate?)?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

// === impl Files ===

impl Files {
    /// In this directory.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// The root that the server's certificate chains to.
    pub(crate) fn roots(&self) -> PathBuf {
        self.0.join("roots.pem")
    }

    /// A client certificate that the server accepts, with its key.
    pub(crate) fn identity(&self) -> PathBuf {
        self.0.join("client.pem")
    }

    /// The server's own certificate.
    pub(crate) fn server(&self) -> PathBuf {
        self.0.join("server.pem")
    }
}

fn write(path: &Path, pem: &str) -> anyhow::Result<()> {
    std::fs::write(path, pem).with_context(|| format!("cannot write {}", path.display()))
}

/// A client certificate and its key, as one PEM text.
fn identity(authority: &CertifiedIssuer<'static, KeyPair>) -> anyhow::Result<String> {
    let key = KeyPair::generate()?;
    let mut params = params(Vec::new())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Benchmark sender");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, authority)?;
    Ok(certificate.pem() + &key.serialize_pem())
}

fn authority() -> anyhow::Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = params(Vec::new())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Benchmark root");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn params(names: Vec<String>) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(names)?;
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2049, 12, 31);
    Ok(params)
}
