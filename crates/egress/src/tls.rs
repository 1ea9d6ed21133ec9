//! Makes TLS sessions whose server was verified, and says what they are made of.
//!
//! **Invariant:** no session without a `VerifiedChain` of its own; no resumption, no early data, no
//! key log.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hookseal_domain::delivery::attempt::TlsFacts;
use hookseal_domain::time::Timestamp;
use hookseal_pki::trust_anchor::TrustAnchors;
use hookseal_pki::verify::VerifiedChain;
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription, CipherSuite, ClientConfig, ClientConnection, NamedGroup, PeerIncompatible,
    ProtocolVersion,
};
use rustls_pki_types::{ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::Clock;
use crate::config::{EgressConfig, EgressConfigError, PublicRoots, TlsMinVersion};
use crate::error::find_cause;
use crate::verifier::Verifier;

/// What ALPN calls HTTP/2.
pub(crate) const ALPN_HTTP2: &[u8] = b"h2";
const ALPN_HTTP1: &[u8] = b"http/1.1";

/// Makes verified sessions.
pub(crate) struct TlsClient {
    /// Complete but for the verifier, which each connection brings.
    base: ClientConfig,
    anchors: Arc<TrustAnchors>,
    provider: Arc<CryptoProvider>,
    min_version: TlsMinVersion,
}

/// There is no session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error(transparent)]
    NotTrusted(hookseal_pki::verify::VerifyError),
    #[error(
        "the server does not speak {min}, the lowest TLS version that is allowed \
         (egress.tls_min_version)"
    )]
    VersionTooLow { min: TlsMinVersion },
    #[error("the server refused the TLS handshake: it sent the alert {}", .0.as_str().unwrap_or("?"))]
    Alert(AlertDescription),
    #[error("the TLS handshake failed")]
    Handshake(#[source] rustls::Error),
    #[error("the connection broke during the TLS handshake")]
    Broken(#[source] io::Error),
    #[error("TLS made a session without a verified certificate; nothing was sent")]
    Unverified,
}

/// The clock, as rustls asks for it.
struct ClockTime(Clock);

// === impl TlsClient ===

impl TlsClient {
    pub(crate) fn new(config: &EgressConfig, clock: Clock) -> Result<Self, EgressConfigError> {
        let anchors = Arc::new(trust_anchors(config)?);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions: &[_] = match config.tls_min_version {
            TlsMinVersion::Tls12 => &[&TLS13, &TLS12],
            TlsMinVersion::Tls13 => &[&TLS13],
        };
        // No connection is made with this verifier: it trusts nothing.
        let nobody = Verifier::new(Arc::new(TrustAnchors::none()), Arc::clone(&provider));
        let time = Arc::new(ClockTime(clock));
        let mut base = ClientConfig::builder_with_details(Arc::clone(&provider), time)
            .with_protocol_versions(versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(nobody))
            .with_no_client_auth();
        base.resumption = Resumption::disabled();
        base.enable_early_data = false;
        base.alpn_protocols = vec![ALPN_HTTP2.to_vec(), ALPN_HTTP1.to_vec()];
        Ok(Self {
            base,
            anchors,
            provider,
            min_version: config.tls_min_version,
        })
    }

    /// Makes a session with the server that is called `server_name`.
    pub(crate) async fn handshake(
        &self,
        tcp: TcpStream,
        server_name: ServerName<'static>,
    ) -> Result<(TlsStream<TcpStream>, VerifiedChain), TlsError> {
        let verifier = Arc::new(Verifier::new(
            Arc::clone(&self.anchors),
            Arc::clone(&self.provider),
        ));
        let mut config = self.base.clone();
        let judge: Arc<dyn ServerCertVerifier> = Arc::<Verifier>::clone(&verifier);
        config.dangerous().set_certificate_verifier(judge);
        let connector = TlsConnector::from(Arc::new(config));
        let shaken = connector.connect(server_name, tcp).await;
        match (shaken, verifier.take_verdict()) {
            (Ok(stream), Some(Ok(chain))) => Ok((stream, chain)),
            (Ok(_), None) => Err(TlsError::Unverified),
            (_, Some(Err(refusal))) => Err(TlsError::NotTrusted(refusal)),
            (Err(error), _) => Err(self.explain(error)),
        }
    }

    fn explain(&self, error: io::Error) -> TlsError {
        use AlertDescription as Alert;
        use PeerIncompatible as Peer;
        let min = self.min_version;
        match find_cause::<rustls::Error>(&error) {
            Some(
                rustls::Error::AlertReceived(Alert::ProtocolVersion)
                | rustls::Error::PeerIncompatible(
                    Peer::ServerDoesNotSupportTls12Or13
                    | Peer::ServerTlsVersionIsDisabledByOurConfig,
                ),
            ) => TlsError::VersionTooLow { min },
            Some(rustls::Error::AlertReceived(alert)) => TlsError::Alert(*alert),
            Some(other) => TlsError::Handshake(other.clone()),
            None => TlsError::Broken(error),
        }
    }
}

fn trust_anchors(config: &EgressConfig) -> Result<TrustAnchors, EgressConfigError> {
    let public = match config.public_roots {
        PublicRoots::Mozilla => TrustAnchors::from_known(webpki_roots::TLS_SERVER_ROOTS),
        PublicRoots::None => TrustAnchors::none(),
    };
    let all = match &config.extra_roots_pem {
        Some(pem) => public
            .with_pem(pem)
            .map_err(EgressConfigError::ExtraRoots)?,
        None => public,
    };
    if all.is_empty() {
        return Err(EgressConfigError::NoRoots);
    }
    Ok(all)
}

/// When the server's certificate ends.
pub(crate) fn expires_at(chain: &VerifiedChain) -> Timestamp {
    Timestamp::from_millis(chain.leaf_not_after_secs().saturating_mul(1000))
}

/// What a session is made of.
pub(crate) fn facts(session: &ClientConnection, chain: &VerifiedChain) -> TlsFacts {
    let group = session.negotiated_key_exchange_group();
    TlsFacts {
        version: session.protocol_version().map_or_else(String::new, version),
        cipher_suite: session
            .negotiated_cipher_suite()
            .map_or_else(String::new, |suite| cipher_suite(suite.suite())),
        key_exchange_group: group.map_or_else(String::new, |group| named_group(group.name())),
        peer_spki_sha256: chain.leaf_spki_sha256().to_string(),
        certificate_expires_at: expires_at(chain),
    }
}

fn version(version: ProtocolVersion) -> String {
    match version {
        ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
        ProtocolVersion::TLSv1_3 => "TLSv1.3".to_owned(),
        other => format!("0x{:04x}", u16::from(other)),
    }
}

/// IANA's name. The library's own differs for TLS 1.3 only.
fn cipher_suite(suite: CipherSuite) -> String {
    match suite.as_str() {
        Some(name) => match name.strip_prefix("TLS13_") {
            Some(rest) => format!("TLS_{rest}"),
            None => name.to_owned(),
        },
        None => format!("0x{:04x}", u16::from(suite)),
    }
}

/// IANA's name. The library's own differs for a few.
fn named_group(group: NamedGroup) -> String {
    match group {
        NamedGroup::X25519 => "x25519".to_owned(),
        NamedGroup::X448 => "x448".to_owned(),
        NamedGroup::secp256r1MLKEM768 => "SecP256r1MLKEM768".to_owned(),
        other => match other.as_str() {
            Some(name) => name.to_owned(),
            None => format!("0x{:04x}", u16::from(other)),
        },
    }
}

// === impl ClockTime ===

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        let secs = u64::try_from((self.0)().as_secs()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(secs)))
    }
}

impl fmt::Debug for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClockTime")
    }
}
