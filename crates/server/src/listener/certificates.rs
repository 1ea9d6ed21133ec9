//! The listener's certificate and key, read again when their files change.
//!
//! **Invariant:** what can't be used never replaces what can: the old pair stays in use until the
//! new one is complete and its halves match.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{Context, Digest, SHA256};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};
use zeroize::Zeroizing;

use hookseal_domain::time::Timestamp;
use hookseal_pki::certificate::Certificate;

use crate::config::error::ConfigError;
use crate::config::file;

/// How often the files are looked at: renewing tools leave days, so seconds are soon enough.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Where the certificate chain and its private key are, in PEM form.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// `server.tls_cert`.
    pub chain: PathBuf,
    /// `server.tls_key`.
    pub key: PathBuf,
}

/// A certificate in use and the files it came from.
pub struct Certificates {
    files: CertificateFiles,
    /// Of the files as they were when last looked at, good or not.
    fingerprint: Vec<u8>,
    current: Arc<Current>,
    server_config: Arc<ServerConfig>,
}

/// What looking at the files came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Look {
    /// They are as they were.
    Same,
    /// The new certificate is in use.
    Renewed,
}

/// The pair that new handshakes use.
struct Current(ArcSwap<CertifiedKey>);

// === impl CertificateFiles ===

impl CertificateFiles {
    /// Reads both files, checks that they fit, and says until when the certificate is valid.
    pub fn check(&self) -> Result<Timestamp, ConfigError> {
        let certified_key = self.read()?.certified_key()?;
        let own = certified_key.end_entity_cert();
        let own = own.map_err(|error| ConfigError::unusable("server.tls_cert", error))?;
        let own = Certificate::parse(own)
            .map_err(|error| ConfigError::unusable("server.tls_cert", error))?;
        Ok(Timestamp::from_millis(
            own.not_after_secs().saturating_mul(1000),
        ))
    }

    fn read(&self) -> Result<PemTexts, ConfigError> {
        Ok(PemTexts {
            chain: file::read("server.tls_cert", &self.chain)?,
            key: Zeroizing::new(file::read("server.tls_key", &self.key)?),
        })
    }
}

// === impl Certificates ===

impl Certificates {
    /// Reads the files and prepares TLS 1.2 and 1.3 with HTTP/1.1 and 2.
    pub fn load(files: CertificateFiles) -> Result<Self, ConfigError> {
        let texts = files.read()?;
        let current = Arc::new(Current(ArcSwap::from_pointee(texts.certified_key()?)));
        let mut server_config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| ConfigError::unusable("server.tls_cert", error))?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        server_config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            files,
            fingerprint: texts.fingerprint().as_ref().to_vec(),
            current,
            server_config: Arc::new(server_config),
        })
    }

    /// For the acceptor; goes on showing the certificate in use.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server_config)
    }

    /// Looks at the files, and takes what they hold if it is new and can be used. What can't be
    /// used is told once.
    pub fn look(&mut self) -> Result<Look, ConfigError> {
        let texts = self.files.read()?;
        let fingerprint = texts.fingerprint();
        if self.fingerprint == fingerprint.as_ref() {
            return Ok(Look::Same);
        }
        self.fingerprint = fingerprint.as_ref().to_vec();
        self.current.0.store(Arc::new(texts.certified_key()?));
        Ok(Look::Renewed)
    }

    /// Looks at the files for as long as it is polled.
    pub async fn keep_fresh(self) {
        let mut ticks = interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut certificates = self;
        let mut unreadable = false;
        loop {
            ticks.tick().await;
            let look = move || {
                let look = certificates.look();
                (certificates, look)
            };
            // Ends only with the runtime: looking does not panic.
            let Ok((back, look)) = tokio::task::spawn_blocking(look).await else {
                return;
            };
            certificates = back;
            match look {
                Ok(Look::Same) => unreadable = false,
                Ok(Look::Renewed) => {
                    unreadable = false;
                    info!("Took the new certificate of server.tls_cert into use");
                }
                Err(error) if !unreadable => {
                    unreadable = true;
                    error!(error = %error, "Went on with the old certificate: {error}");
                }
                Err(_) => {}
            }
        }
    }
}

// === impl PemTexts ===

/// The contents of both files.
struct PemTexts {
    chain: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl PemTexts {
    fn fingerprint(&self) -> Digest {
        let mut context = Context::new(&SHA256);
        context.update(&self.chain);
        context.update(&self.key);
        context.finish()
    }

    fn certified_key(&self) -> Result<CertifiedKey, ConfigError> {
        let no_chain = |error| {
            let problem = format!("holds no PEM certificate: {error}");
            ConfigError::unusable("server.tls_cert", problem)
        };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.chain)
            .collect::<Result<_, _>>()
            .map_err(no_chain)?;
        if chain.is_empty() {
            return Err(no_chain(rustls_pki_types::pem::Error::NoItemsFound));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| ConfigError::unusable("server.tls_key", "holds no PEM private key"))?;
        CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| {
            let problem = format!("does not go with server.tls_cert: {error}");
            ConfigError::unusable("server.tls_key", problem)
        })
    }
}

// === impl Current ===

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}
