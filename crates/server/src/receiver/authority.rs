//! A certificate authority made on the spot, for receivers on this machine.
//!
//! **Invariant:** its private key is never written anywhere and is gone with the process.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData,
};
use rustls::crypto::aws_lc_rs;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use hookseal_domain::time::Timestamp;
use hookseal_pki::certificate::SpkiSha256;

/// How long before now the certificates begin: clocks differ.
const BACKDATED: Duration = Duration::from_secs(24 * 60 * 60);
/// How long they last: longer than any session of a developer, shorter than one forgets them.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// An authority for this process only.
pub struct LocalAuthority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    now: Timestamp,
}

/// A server's certificate with its key.
pub struct ServerIdentity {
    pem: String,
    der: CertificateDer<'static>,
    key: KeyPair,
}

/// Which clients a server lets in.
pub enum Clients<'a> {
    /// Every one; none is asked for a certificate.
    Anybody,
    /// Those with a certificate of this authority.
    Of(&'a LocalAuthority),
}

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The time lies outside of what certificates can say.
    #[error("the clock says {0}, for which no certificate can be made")]
    Clock(Timestamp),
    /// The certificate library refuses.
    #[error("no certificate could be made")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library refuses the certificate.
    #[error("the certificate can't be used")]
    Tls(#[from] rustls::Error),
    /// The TLS library refuses the root for clients.
    #[error("the root can't be used for clients")]
    Clients(#[from] VerifierBuilderError),
}

// === impl LocalAuthority ===

impl LocalAuthority {
    /// Makes a root called `name`, valid around `now`, with an ECDSA P-256 key.
    pub fn make(name: &str, now: Timestamp) -> Result<Self, AuthorityError> {
        let mut params = params(name, Vec::new(), now)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let issuer = CertifiedIssuer::self_signed(params, key)?;
        Ok(Self { issuer, now })
    }

    /// The root's certificate, for whoever shall trust it.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for a server called by any of `names` (DNS names or addresses), with a new
    /// key.
    pub fn server(&self, names: Vec<String>) -> Result<ServerIdentity, AuthorityError> {
        self.issue(names, KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
    }

    /// Another certificate for the key of `server`, which may be another authority's.
    pub fn reissue(
        &self,
        server: &ServerIdentity,
        names: Vec<String>,
    ) -> Result<ServerIdentity, AuthorityError> {
        self.issue(names, KeyPair::try_from(server.key.serialize_der())?)
    }

    fn issue(&self, names: Vec<String>, key: KeyPair) -> Result<ServerIdentity, AuthorityError> {
        let mut params = params("Hookseal receiver", names, self.now)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&key, &self.issuer)?;
        Ok(ServerIdentity {
            pem: leaf.pem(),
            der: leaf.der().clone(),
            key,
        })
    }

    /// Answers a client's certificate request (PKCS#10 in PEM) with a certificate, in PEM.
    pub fn sign_client(&self, request_pem: &str) -> Result<String, AuthorityError> {
        let request = CertificateSigningRequestParams::from_pem(request_pem)?;
        let mut params = params("Hookseal client", Vec::new(), self.now)?;
        params.distinguished_name = request.params.distinguished_name;
        params.subject_alt_names = request.params.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&request.public_key, &self.issuer)?;
        Ok(leaf.pem())
    }

    /// Demands certificates of this authority from clients.
    fn client_verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, AuthorityError> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone())?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        Ok(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?)
    }
}

// === impl ServerIdentity ===

impl ServerIdentity {
    /// The certificate, for whoever shall pin it.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The pin of its key.
    pub fn pin(&self) -> SpkiSha256 {
        SpkiSha256::of_spki(&self.key.subject_public_key_info())
    }

    /// What a TLS 1.3 server with this certificate needs.
    pub fn config(&self, clients: Clients<'_>) -> Result<Arc<ServerConfig>, AuthorityError> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?;
        let builder = match clients {
            Clients::Anybody => builder.with_no_client_auth(),
            Clients::Of(authority) => {
                builder.with_client_cert_verifier(authority.client_verifier()?)
            }
        };
        let mut config = builder.with_single_cert(vec![self.der.clone()], key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn params(
    name: &str,
    names: Vec<String>,
    now: Timestamp,
) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, name);
    let midnight = |at: Timestamp| {
        let at = jiff::Timestamp::from_millisecond(at.as_millis());
        let date = at.ok()?.to_zoned(jiff::tz::TimeZone::UTC).date();
        let month = u8::try_from(date.month()).ok()?;
        let day = u8::try_from(date.day()).ok()?;
        Some(rcgen::date_time_ymd(i32::from(date.year()), month, day))
    };
    let clock = AuthorityError::Clock(now);
    params.not_before = midnight(now.minus(BACKDATED)).ok_or(clock)?;
    let clock = AuthorityError::Clock(now);
    params.not_after = midnight(now.plus(LIFETIME)).ok_or(clock)?;
    Ok(params)
}
