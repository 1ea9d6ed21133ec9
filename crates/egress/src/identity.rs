//! Our certificates for one transport, and which of them a connection presents.
//!
//! **Invariant:** a certificate that is not valid now is not presented; what was decided is
//! recorded with the handshake.

use std::fmt;
use std::sync::Arc;

use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::handshake::{ClientCertificate, HINTS_MAX, PresentDecision};
use hookseal_domain::transport::identity::ClientIdentity;
use hookseal_domain::transport::name::Name;
use hookseal_pki::certificate::{CertificateSha256, printable_name};
use http::HeaderValue;
use parking_lot::Mutex;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::time::Instant;

use crate::limits::FALLBACK_MEMORY;
use crate::operator_identity::WatchedIdentity;
use crate::presentable::{Presentable, PresentableError};

/// Our certificates for one transport.
pub(crate) struct ClientCertificates {
    name: Name,
    source: Source,
    fallback: Mutex<Option<Fallback>>,
}

/// Whose certificates they are; preferred first.
enum Source {
    /// The organisation's, as of one version.
    Own(Arc<[Arc<Presentable>]>),
    /// One of the operator's, which follows its files.
    Operator(Arc<WatchedIdentity>),
}

/// A receiver refused a certificate and took an older one.
struct Fallback {
    receiver: HeaderValue,
    certificate: CertificateSha256,
    until: Instant,
}

/// A certificate of an identity can't be used.
#[derive(Debug, thiserror::Error)]
#[error("certificate {number} of the client identity {name} can't be used: {source}")]
pub(crate) struct UnusableCertificate {
    name: Name,
    number: u32,
    source: PresentableError,
}

/// Decides for one connection what is presented, and records it.
pub(crate) struct Presenter {
    /// Valid now and not refused in this attempt, preferred first.
    candidates: Vec<Arc<Presentable>>,
    /// What is decided where there is no candidate.
    otherwise: PresentDecision,
    /// Whether the first candidate is there because a better one was refused.
    fell_back: bool,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    requested: bool,
    ca_hints: Vec<String>,
    decision: PresentDecision,
    presented: Option<Arc<Presentable>>,
}

// === impl ClientCertificates ===

impl ClientCertificates {
    /// Those of an identity that the organisation keeps.
    pub(crate) fn of(identity: &ClientIdentity) -> Result<Self, UnusableCertificate> {
        let mut certificates = Vec::new();
        for (certificate, issued) in identity.presentable() {
            let chain = issued.chain_der.iter().cloned().map(CertificateDer::from);
            let key = PrivatePkcs8KeyDer::from(certificate.key.expose().as_slice());
            let presentable = Presentable::with_der_key(
                identity.name.clone(),
                certificate.number,
                chain.collect(),
                &PrivateKeyDer::Pkcs8(key),
            );
            let presentable = presentable.map_err(|source| UnusableCertificate {
                name: identity.name.clone(),
                number: certificate.number,
                source,
            })?;
            certificates.push(Arc::new(presentable));
        }
        Ok(Self {
            name: identity.name.clone(),
            source: Source::Own(certificates.into()),
            fallback: Mutex::new(None),
        })
    }

    /// Those of an identity of the operator's, whatever they are when one is needed.
    pub(crate) fn of_operator(identity: &Arc<WatchedIdentity>) -> Self {
        Self {
            name: identity.name().clone(),
            source: Source::Operator(Arc::clone(identity)),
            fallback: Mutex::new(None),
        }
    }

    /// Changes with each change of the certificates, where they may change.
    pub(crate) fn epoch(&self) -> u64 {
        match &self.source {
            Source::Own(_) => 0,
            Source::Operator(identity) => identity.in_use().epoch,
        }
    }

    /// The identity's name.
    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// Whether there is a certificate besides these that may be presented now.
    pub(crate) fn has_others(&self, refused: &[CertificateSha256], now: Timestamp) -> bool {
        let certificates = self.certificates();
        certificates
            .iter()
            .any(|one| one.is_valid_at(now) && !refused.contains(&one.sha256()))
    }

    fn certificates(&self) -> Arc<[Arc<Presentable>]> {
        match &self.source {
            Source::Own(certificates) => Arc::clone(certificates),
            Source::Operator(identity) => Arc::clone(&identity.in_use().presentable),
        }
    }

    /// For a connection to `receiver`, which refused these certificates in the same attempt.
    pub(crate) fn presenter(
        &self,
        receiver: &HeaderValue,
        now: Timestamp,
        refused: &[CertificateSha256],
    ) -> Presenter {
        let usable =
            |one: &&Arc<Presentable>| one.is_valid_at(now) && !refused.contains(&one.sha256());
        let certificates = self.certificates();
        let mut candidates: Vec<_> = certificates.iter().filter(usable).cloned().collect();
        let known = self.known_to_work(receiver);
        let place = known.and_then(|known| candidates.iter().position(|c| c.sha256() == known));
        if let Some(place) = place
            && let Some(to_front) = candidates.get_mut(..=place)
        {
            to_front.rotate_right(1);
        }
        Presenter {
            candidates,
            otherwise: PresentDecision::NoneValid,
            fell_back: !refused.is_empty() || place.is_some_and(|place| place > 0),
            noted: Mutex::default(),
        }
    }

    /// Notes that a receiver took this one after it had refused others.
    pub(crate) fn remember(&self, receiver: &HeaderValue, certificate: CertificateSha256) {
        *self.fallback.lock() = Some(Fallback {
            receiver: receiver.clone(),
            certificate,
            until: Instant::now() + FALLBACK_MEMORY,
        });
    }

    /// What a receiver refused is not known to work.
    pub(crate) fn refused(&self, certificate: CertificateSha256) {
        let refused = |known: &mut Fallback| known.certificate == certificate;
        self.fallback.lock().take_if(refused);
    }

    fn known_to_work(&self, receiver: &HeaderValue) -> Option<CertificateSha256> {
        let mut fallback = self.fallback.lock();
        fallback.take_if(|known| known.until <= Instant::now());
        let known = fallback.as_ref()?;
        (known.receiver == *receiver).then_some(known.certificate)
    }
}

// === impl Presenter ===

impl Presenter {
    /// For a transport without an identity.
    pub(crate) fn nobody() -> Self {
        Self {
            candidates: Vec::new(),
            otherwise: PresentDecision::NoIdentity,
            fell_back: false,
            noted: Mutex::default(),
        }
    }

    /// Whether the server asked for a certificate.
    pub(crate) fn was_asked(&self) -> bool {
        self.noted.lock().requested
    }

    /// What was presented.
    pub(crate) fn presented(&self) -> Option<Arc<Presentable>> {
        self.noted.lock().presented.clone()
    }

    /// What happened, for the report.
    pub(crate) fn report(&self) -> ClientCertificate {
        let noted = self.noted.lock();
        ClientCertificate {
            requested: noted.requested,
            ca_hints: noted.ca_hints.clone(),
            decision: noted.decision,
            presented: noted.presented.as_ref().map(|one| one.presented()),
        }
    }

    fn decide(
        &self,
        hints: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> (PresentDecision, Option<Arc<Presentable>>) {
        let mut fitting = self
            .candidates
            .iter()
            .filter(|one| one.suits_schemes(schemes));
        let hinted = fitting.clone().find(|one| one.suits_hints(hints));
        let (decision, chosen) = match hinted.or_else(|| fitting.next()) {
            None if self.candidates.is_empty() => return (self.otherwise, None),
            None => return (PresentDecision::NoSchemeMatches, None),
            Some(chosen) if hinted.is_some() => (PresentDecision::Matched, chosen),
            Some(chosen) => (PresentDecision::NoHintMatches, chosen),
        };
        let chosen = Arc::clone(chosen);
        if self.fell_back {
            return (PresentDecision::FellBack, Some(chosen));
        }
        (decision, Some(chosen))
    }
}

impl ResolvesClientCert for Presenter {
    fn resolve(
        &self,
        root_hint_subjects: &[&[u8]],
        sigschemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let (decision, presented) = self.decide(root_hint_subjects, sigschemes);
        let unreadable = || "a name that can't be read".to_owned();
        let name = |hint: &&[u8]| printable_name(hint).unwrap_or_else(unreadable);
        let certified = presented.as_ref().map(|one| one.certified());
        *self.noted.lock() = Noted {
            requested: true,
            ca_hints: root_hint_subjects
                .iter()
                .take(HINTS_MAX)
                .map(name)
                .collect(),
            decision,
            presented,
        };
        certified
    }

    fn has_certs(&self) -> bool {
        !self.candidates.is_empty()
    }
}

impl fmt::Debug for Presenter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presenter").finish_non_exhaustive()
    }
}
