//! A certificate authority made on the spot, for receivers on this machine.
//!
//! **Invariant:** its private key is never written anywhere and is gone with the process.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use hookseal_domain::time::Timestamp;

/// How long before now the certificates begin: clocks differ.
const BACKDATED: Duration = Duration::from_secs(24 * 60 * 60);
/// How long they last: longer than any session of a developer, shorter than one forgets them.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// An authority for this process only.
pub struct LocalAuthority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    now: Timestamp,
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

    /// What a TLS 1.3 server called by any of `names` (DNS names or addresses) needs.
    pub fn server_config(&self, names: Vec<String>) -> Result<Arc<ServerConfig>, AuthorityError> {
        let mut params = params("Hookseal receiver", names, self.now)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let leaf = params.signed_by(&key, &self.issuer)?;

        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)?;
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
