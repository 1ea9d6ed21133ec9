//! Lets `pki::verify` judge the certificates of one TLS handshake.
//!
//! **Invariant:** one verifier serves one connection, and leaves its verdict where that connection
//! has to fetch it: without a [`VerifiedChain`] there nothing is sent. rustls does not ask a
//! verifier again when it resumes a session, so resumption is off and no verdict is older than its
//! connection.

use std::fmt;
use std::sync::Arc;

use hookseal_pki::chain::ObservedChain;
use hookseal_pki::trust_anchor::TrustAnchors;
use hookseal_pki::verify::{self, VerifiedChain, VerifyError};
use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// Judges one handshake.
pub(crate) struct Verifier {
    anchors: Arc<TrustAnchors>,
    provider: Arc<CryptoProvider>,
    verdict: Mutex<Option<Result<VerifiedChain, VerifyError>>>,
}

// === impl Verifier ===

impl Verifier {
    pub(crate) fn new(anchors: Arc<TrustAnchors>, provider: Arc<CryptoProvider>) -> Self {
        Self {
            anchors,
            provider,
            verdict: Mutex::new(None),
        }
    }

    /// The verdict; `None` if there was no certificate to judge.
    pub(crate) fn take_verdict(&self) -> Option<Result<VerifiedChain, VerifyError>> {
        self.verdict.lock().take()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = ObservedChain::new(end_entity, intermediates)
            .map_err(VerifyError::from)
            .and_then(|observed| verify::verify(&observed, &self.anchors, server_name, now));
        let answer = match &verdict {
            Ok(_) => Ok(ServerCertVerified::assertion()),
            Err(error) => Err(rustls::Error::InvalidCertificate(told_to_peer(error))),
        };
        *self.verdict.lock() = Some(verdict);
        answer
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
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
fn told_to_peer(error: &VerifyError) -> CertificateError {
    match error {
        VerifyError::Expired { .. } => CertificateError::Expired,
        VerifyError::NotYetValid { .. } => CertificateError::NotValidYet,
        VerifyError::WrongName { .. } => CertificateError::NotValidForName,
        VerifyError::SelfSigned { .. }
        | VerifyError::IntermediateMissing { .. }
        | VerifyError::UnknownIssuer { .. } => CertificateError::UnknownIssuer,
        VerifyError::WrongPurpose => CertificateError::InvalidPurpose,
        VerifyError::BadSignature => CertificateError::BadSignature,
        VerifyError::Unreadable(_) | VerifyError::Malformed(_) => CertificateError::BadEncoding,
        other => CertificateError::Other(OtherError(Arc::new(other.clone()))),
    }
}
