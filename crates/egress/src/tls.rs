//! Makes TLS sessions whose server was verified.
//!
//! **Invariant:** no session without a `VerifiedChain` of its own; no resumption, no early data, no
//! key log.

use std::io;
use std::sync::Arc;

use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::handshake::HandshakeReport;
use hookseal_domain::transport::policy::TlsVersion;
use rustls::client::danger::ServerCertVerifier;
use rustls::{AlertDescription, PeerIncompatible};
use rustls_pki_types::ServerName;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::find_cause;
use crate::facts::facts;
use crate::identity::Presenter;
use crate::taxonomy::{alert_name, of_alert, of_distrust, of_library};
use crate::transport::Transport;
use crate::verifier::{Conduct, Distrust, Seen, Verifier, from_secs};
use crate::wire::Wire;

/// What ALPN calls HTTP/2.
pub(crate) const ALPN_HTTP2: &[u8] = b"h2";
pub(crate) const ALPN_HTTP1: &[u8] = b"http/1.1";

/// One handshake, and what is seen of it.
pub(crate) struct Handshake {
    transport: Arc<Transport>,
    verifier: Arc<Verifier>,
    presenter: Arc<Presenter>,
    began: Instant,
}

/// A session, and what its handshake showed.
pub(crate) struct Shaken {
    pub(crate) stream: Box<TlsStream<Wire>>,
    pub(crate) seen: Arc<Seen>,
}

/// There is no session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error(transparent)]
    NotTrusted(Distrust),
    #[error(
        "the server does not speak {min}, the lowest TLS version that the transport policy allows"
    )]
    VersionTooLow { min: TlsVersion },
    #[error(
        "the server refused the TLS handshake before it showed itself: it sent the alert {}",
        alert_name(*.0)
    )]
    NothingInCommon(AlertDescription),
    #[error("the server refused the TLS handshake: it sent the alert {}", alert_name(*.0))]
    Alert(AlertDescription),
    #[error(
        "the server asked for a client certificate, got none, and refused the TLS handshake: it \
         sent the alert {}",
        alert_name(*.0)
    )]
    CertificateRequired(AlertDescription),
    #[error("what the server sent is not TLS")]
    NotTls(#[source] rustls::Error),
    #[error("the TLS handshake failed")]
    Handshake(#[source] rustls::Error),
    #[error(
        "the server asked for a client certificate and closed the connection during the TLS \
         handshake"
    )]
    ClosedWithoutAlert(#[source] io::Error),
    #[error("the connection broke during the TLS handshake")]
    Broken(#[source] io::Error),
    #[error("TLS made a session without a verified certificate; nothing was sent")]
    Unverified,
}

// === impl Handshake ===

impl Handshake {
    pub(crate) fn new(transport: &Arc<Transport>, conduct: Conduct, presenter: Presenter) -> Self {
        Self {
            transport: Arc::clone(transport),
            verifier: Arc::new(Verifier::new(Arc::clone(transport), conduct)),
            presenter: Arc::new(presenter),
            began: Instant::now(),
        }
    }

    /// Makes a session with the server that is called `host`, or as the policy says.
    pub(crate) async fn perform(
        &self,
        wire: Wire,
        host: &ServerName<'static>,
    ) -> Result<Shaken, TlsError> {
        let mut config = self.transport.tls.clone();
        let judge: Arc<dyn ServerCertVerifier> = Arc::<Verifier>::clone(&self.verifier);
        config.dangerous().set_certificate_verifier(judge);
        config.client_auth_cert_resolver = Arc::<Presenter>::clone(&self.presenter);
        let name = self.transport.server_name.as_ref().unwrap_or(host);
        let connector = TlsConnector::from(Arc::new(config));
        match connector.connect(name.clone(), wire).await {
            Ok(stream) => match self.verifier.seen() {
                Some(seen) if self.verifier.lets_pass(&seen) => Ok(Shaken {
                    stream: Box::new(stream),
                    seen,
                }),
                _ => Err(TlsError::Unverified),
            },
            Err(error) => Err(self.explain(error)),
        }
    }

    fn explain(&self, error: io::Error) -> TlsError {
        use AlertDescription as Alert;
        use PeerIncompatible as Peer;
        use rustls::Error as E;
        if let Some(distrust) = self.verifier.seen().and_then(|seen| seen.distrust()) {
            return TlsError::NotTrusted(distrust);
        }
        let showed_itself = self.verifier.saw_certificates();
        let asked = self.presenter.was_asked();
        let min = self.transport.min_version;
        match find_cause::<E>(&error) {
            Some(
                E::AlertReceived(Alert::ProtocolVersion)
                | E::PeerIncompatible(
                    Peer::ServerDoesNotSupportTls12Or13
                    | Peer::ServerTlsVersionIsDisabledByOurConfig,
                ),
            ) => TlsError::VersionTooLow { min },
            // Before the server chose anything, its certificate and ours have no part in it.
            Some(E::AlertReceived(
                alert @ (Alert::HandshakeFailure | Alert::InsufficientSecurity),
            )) if !showed_itself => TlsError::NothingInCommon(*alert),
            // RFC 5246 §7.4.6: how TLS 1.2 says that a certificate is required. GnuTLS has another
            // word for it.
            Some(E::AlertReceived(alert @ (Alert::HandshakeFailure | Alert::DecodeError)))
                if asked && self.presenter.presented().is_none() =>
            {
                TlsError::CertificateRequired(*alert)
            }
            Some(E::AlertReceived(alert)) => TlsError::Alert(*alert),
            Some(error @ (E::InvalidMessage(_) | E::PeerSentOversizedRecord)) if !showed_itself => {
                TlsError::NotTls(error.clone())
            }
            Some(other) => TlsError::Handshake(other.clone()),
            None if asked => TlsError::ClosedWithoutAlert(error),
            None => TlsError::Broken(error),
        }
    }

    pub(crate) fn presenter(&self) -> &Arc<Presenter> {
        &self.presenter
    }

    /// What was seen so far. Says nothing of a failure.
    pub(crate) fn report(&self, at: Timestamp, shaken: Option<&Shaken>) -> HandshakeReport {
        let seen = self.verifier.seen();
        let seen = seen.as_deref();
        let took = self.began.elapsed().as_millis();
        HandshakeReport {
            at,
            duration_ms: u32::try_from(took).unwrap_or(u32::MAX),
            failure: None,
            remote_ip: None,
            proxy: self.transport.proxy_name(),
            tls: shaken.and_then(|shaken| {
                let own = shaken.seen.observed.first()?;
                Some(facts(shaken.stream.get_ref().1, own))
            }),
            verified: seen.map_or_else(Vec::new, Seen::verified),
            pins: seen.map_or_else(Default::default, |seen| seen.pins.clone()),
            observed: seen.map_or_else(Vec::new, |seen| seen.observed.clone()),
            client: self.presenter.report(),
            revocation: Default::default(),
        }
    }
}

// === impl Shaken ===

impl Shaken {
    /// Why the server's certificates prove nothing, if so.
    pub(crate) fn distrust_of_chain(&self) -> Option<TlsError> {
        let refusal = self.seen.chain.as_ref().err()?;
        Some(TlsError::NotTrusted(Distrust::Chain(refusal.clone())))
    }

    /// When what the certificates proved ends.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        let chain = self.seen.chain.as_ref().ok()?;
        Some(from_secs(chain.earliest_not_after_secs()))
    }
}

// === impl TlsError ===

impl TlsError {
    pub(crate) fn failure(&self) -> Option<TlsFailure> {
        Some(match self {
            Self::NotTrusted(distrust) => of_distrust(distrust),
            Self::VersionTooLow { .. } => TlsFailure::VersionTooLow,
            Self::NothingInCommon(_) => TlsFailure::NothingInCommon,
            Self::Alert(alert) => of_alert(*alert),
            Self::CertificateRequired(_) => TlsFailure::CertificateRequired,
            Self::NotTls(_) => TlsFailure::NotTls,
            Self::Handshake(error) => of_library(error),
            Self::ClosedWithoutAlert(_) => TlsFailure::ClosedWithoutAlert,
            Self::Broken(_) | Self::Unverified => return None,
        })
    }
}
