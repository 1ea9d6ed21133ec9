//! Lets `pki::verify` judge the certificates of one TLS handshake, and keeps what they were.
//!
//! **Invariant:** one verifier serves one connection, and leaves its verdict where that connection
//! has to fetch it: without a [`VerifiedChain`] there nothing is sent. Pins are compared with the
//! keys of the verified path, not with what was sent. rustls does not ask a verifier again when it
//! resumes a session, so resumption is off and no verdict is older than its connection.

use std::fmt;
use std::sync::Arc;

use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::handshake::{PinVerdict, SeenCertificate};
use hookseal_domain::transport::policy::Pinning;
use hookseal_pki::certificate::{Certificate, SpkiSha256};
use hookseal_pki::chain::{CHAIN_CERTIFICATES_MAX, ObservedChain};
use hookseal_pki::verify::{PathCertificate, VerifiedChain, VerifyError};
use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::transport::Transport;

/// Judges one handshake.
pub(crate) struct Verifier {
    transport: Arc<Transport>,
    conduct: Conduct,
    seen: Mutex<Option<Arc<Seen>>>,
}

/// What a verifier does about a refusal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Conduct {
    /// Ends the handshake.
    Enforce,
    /// Lets it go on, for somebody who only looks and sends nothing.
    Record,
}

/// What a server showed, and what it proved.
pub(crate) struct Seen {
    /// In the order in which it was sent.
    pub(crate) observed: Vec<SeenCertificate>,
    /// The stapled OCSP answer, if there was one.
    pub(crate) staple: Vec<u8>,
    pub(crate) chain: Result<VerifiedChain, VerifyError>,
    pub(crate) pins: PinVerdict,
}

/// Why a server is not trusted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Distrust {
    #[error(transparent)]
    Chain(VerifyError),
    #[error(
        "no pinned key is in the server's verified path; its keys, the server's own first, are {}",
        keys(.0)
    )]
    Pins(Vec<SpkiSha256>),
}

/// Trusts nobody: stands in until a connection brings its own.
#[derive(Debug)]
pub(crate) struct NoVerifier;

// === impl Verifier ===

impl Verifier {
    pub(crate) fn new(transport: Arc<Transport>, conduct: Conduct) -> Self {
        Self {
            transport,
            conduct,
            seen: Mutex::new(None),
        }
    }

    /// What was shown; `None` if there was no certificate to judge.
    pub(crate) fn seen(&self) -> Option<Arc<Seen>> {
        self.seen.lock().clone()
    }

    /// Whether the handshake may go on.
    pub(crate) fn lets_pass(&self, seen: &Seen) -> bool {
        self.conduct == Conduct::Record || seen.distrust().is_none()
    }

    /// Whether there was a certificate to judge.
    pub(crate) fn saw_certificates(&self) -> bool {
        self.seen.lock().is_some()
    }

    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<VerifiedChain, VerifyError> {
        let observed = ObservedChain::new(end_entity, intermediates)?;
        self.transport.roots.verify(&observed, server_name, now)
    }

    fn compare_pins(&self, chain: &VerifiedChain) -> PinVerdict {
        let mut matched = Vec::new();
        if self.transport.pinning != Pinning::Off {
            let pins = self.transport.pins.iter().copied();
            matched = pins.filter(|pin| chain.contains_key(*pin)).collect();
        }
        PinVerdict {
            pinning: self.transport.pinning,
            matched,
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = self.judge(end_entity, intermediates, server_name, now);
        let pins = match &chain {
            Ok(chain) => self.compare_pins(chain),
            Err(_) => PinVerdict {
                pinning: self.transport.pinning,
                matched: Vec::new(),
            },
        };
        let sent = std::iter::once(end_entity).chain(intermediates);
        let seen = Seen {
            observed: sent.take(CHAIN_CERTIFICATES_MAX).map(seen).collect(),
            staple: ocsp_response.to_vec(),
            chain,
            pins,
        };
        let answer = match seen.distrust() {
            Some(distrust) if self.conduct == Conduct::Enforce => {
                Err(rustls::Error::InvalidCertificate(told_to_peer(&distrust)))
            }
            _ => Ok(ServerCertVerified::assertion()),
        };
        *self.seen.lock() = Some(Arc::new(seen));
        answer
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.transport.provider().signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.transport.provider().signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.transport
            .provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

/// Chooses the alert, so that the receiver's own log names the cause too.
fn told_to_peer(distrust: &Distrust) -> CertificateError {
    let error = match distrust {
        Distrust::Chain(error) => error,
        Distrust::Pins(_) => return CertificateError::ApplicationVerificationFailure,
    };
    match error {
        VerifyError::Expired { .. } => CertificateError::Expired,
        VerifyError::NotYetValid { .. } => CertificateError::NotValidYet,
        VerifyError::WrongName { .. } => CertificateError::NotValidForName,
        VerifyError::SelfSigned { .. }
        | VerifyError::IntermediateMissing { .. }
        | VerifyError::PublicCaNotAllowed { .. }
        | VerifyError::UnknownIssuer { .. } => CertificateError::UnknownIssuer,
        VerifyError::WrongPurpose => CertificateError::InvalidPurpose,
        VerifyError::BadSignature => CertificateError::BadSignature,
        VerifyError::Unreadable(_) | VerifyError::Malformed(_) => CertificateError::BadEncoding,
        other => CertificateError::Other(OtherError(Arc::new(other.clone()))),
    }
}

fn seen(der: &CertificateDer<'_>) -> SeenCertificate {
    match Certificate::parse(der) {
        Ok(certificate) => SeenCertificate {
            subject: certificate.subject().to_owned(),
            issuer: certificate.issuer().to_owned(),
            spki_sha256: certificate.spki_sha256(),
            sha256: Some(*certificate.sha256().as_bytes()),
            not_before: Some(from_secs(certificate.not_before_secs())),
            not_after: Some(from_secs(certificate.not_after_secs())),
        },
        Err(error) => SeenCertificate {
            subject: format!("unreadable: {error}"),
            issuer: String::new(),
            // No key has this name.
            spki_sha256: SpkiSha256::of_spki(&[]),
            sha256: None,
            not_before: None,
            not_after: None,
        },
    }
}

pub(crate) fn from_secs(secs: i64) -> Timestamp {
    Timestamp::from_millis(secs.saturating_mul(1000))
}

fn keys(keys: &[SpkiSha256]) -> String {
    let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
    keys.join(", ")
}

// === impl Seen ===

impl Seen {
    /// Why nothing may be sent, if so.
    pub(crate) fn distrust(&self) -> Option<Distrust> {
        let chain = match &self.chain {
            Ok(chain) => chain,
            Err(error) => return Some(Distrust::Chain(error.clone())),
        };
        if self.pins.pinning == Pinning::Enforce && self.pins.matched.is_empty() {
            let path = chain.path().iter();
            return Some(Distrust::Pins(
                path.map(PathCertificate::spki_sha256).collect(),
            ));
        }
        None
    }

    /// The verified path, with what is known of each certificate from what was sent.
    pub(crate) fn verified(&self) -> Vec<SeenCertificate> {
        let Ok(chain) = &self.chain else {
            return Vec::new();
        };
        chain.path().iter().map(|one| self.on_path(one)).collect()
    }

    fn on_path(&self, one: &PathCertificate) -> SeenCertificate {
        let sha256 = one.sha256().map(|sha256| *sha256.as_bytes());
        let sent = |seen: &&SeenCertificate| sha256.is_some() && seen.sha256 == sha256;
        match self.observed.iter().find(sent) {
            Some(seen) => seen.clone(),
            None => SeenCertificate {
                subject: one.subject().to_owned(),
                issuer: String::new(),
                spki_sha256: one.spki_sha256(),
                sha256,
                not_before: None,
                not_after: one.not_after_secs().map(from_secs),
            },
        }
    }
}

// === impl NoVerifier ===

impl ServerCertVerifier for NoVerifier {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Err(unjudged())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(unjudged())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(unjudged())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Vec::new()
    }
}

fn unjudged() -> rustls::Error {
    rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
}
