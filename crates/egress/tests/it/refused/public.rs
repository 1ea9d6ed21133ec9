//! A server that shows a public CA's chain. We don't have its key; a client judges the chain before it looks at what
//! the server signed with its key (RFC 9846 §4.4), so it never finds out.

use std::sync::Arc;

use hookseal_testkit::test_ca::Leaf;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio_rustls::TlsAcceptor;

/// When the chain was valid.
pub(crate) const THEN: &str = "2023-06-01T00:00:00Z";
const CHAIN_PEM: &str = include_str!("public-chain.pem");

/// Signs with the key of `leaf`.
pub(crate) fn acceptor(leaf: &Leaf) -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(CHAIN_PEM.as_bytes());
    let chain = chain.map(|der| der.unwrap()).collect();
    let key = any_supported_type(leaf.key()).unwrap();
    let shown = SingleCertAndKey::from(CertifiedKey::new(chain, key));
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    TlsAcceptor::from(Arc::new(config))
}
