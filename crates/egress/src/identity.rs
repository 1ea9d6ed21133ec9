//! Our certificates for one transport, and which of them a connection presents.
//!
//! **Invariant:** a certificate that is not valid now is not presented, nor one that the receivers
//! were not told of while there is one that they were; what was decided is recorded with the
//! handshake.

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
            certificates.push(Arc::new(match certificate.stage.is_known() {
                true => presentable,
                false => presentable.undistributed(),
            }));
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

    /// Why an identity that follows its files can't be used as they are now.
    pub(crate) fn trouble(&self) -> Option<String> {
        match &self.source {
            Source::Own(_) => None,
            Source::Operator(identity) => identity.trouble(),
        }
    }

    /// The identity's name.
    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// Whether there is a certificate besides these that may be presented now.
    pub(crate) fn has_others(&self, refused: &[CertificateSha256], now: Timestamp) -> bool {
        !self.candidates(refused, now).is_empty()
    }

    /// Those that may be presented now besides these, preferred first. Whoever refuses all that it
    /// was told of is not shown what it was not.
    fn candidates(&self, refused: &[CertificateSha256], now: Timestamp) -> Vec<Arc<Presentable>> {
        let certificates = self.certificates();
        let valid = certificates.iter().filter(|one| one.is_valid_at(now));
        let any_known = valid.clone().any(|one| !one.is_undistributed());
        valid
            .filter(|one| !any_known || !one.is_undistributed())
            .filter(|one| !refused.contains(&one.sha256()))
            .cloned()
            .collect()
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
        let mut candidates = self.candidates(refused, now);
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
            accepted: false,
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

#[cfg(test)]
mod tests {
    use hookseal_testkit::test_ca::{KeyKind, Leaf, LeafSpec, TestCa, Validity};
    use tokio::time::advance;

    use super::*;

    const P256: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;
    const P384: SignatureScheme = SignatureScheme::ECDSA_NISTP384_SHA384;

    fn presentable(number: u32, leaf: &Leaf) -> Arc<Presentable> {
        let name = Name::parse("us").unwrap();
        let chain = leaf.chain().to_vec();
        Arc::new(Presentable::with_der_key(name, number, chain, leaf.key()).unwrap())
    }

    fn certificates(leaves: &[&Leaf]) -> ClientCertificates {
        let by_number = (1..).zip(leaves);
        let mut all: Vec<_> = by_number
            .map(|(number, leaf)| presentable(number, leaf))
            .collect();
        all.reverse();
        ClientCertificates {
            name: Name::parse("us").unwrap(),
            source: Source::Own(all.into()),
            fallback: Mutex::new(None),
        }
    }

    fn issue(ca: &TestCa, key: KeyKind) -> Leaf {
        let spec = LeafSpec {
            key,
            ..LeafSpec::client("us")
        };
        ca.issue(&spec).unwrap()
    }

    /// 2026.
    fn now() -> Timestamp {
        Timestamp::from_millis(1_795_392_000_000)
    }

    fn receiver() -> HeaderValue {
        HeaderValue::from_static("hooks.test")
    }

    /// What is presented to a server with these hints and schemes.
    fn decision(
        presenter: &Presenter,
        hints: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> (PresentDecision, Option<u32>) {
        presenter.resolve(hints, schemes);
        let report = presenter.report();
        assert!(report.requested);
        (report.decision, report.presented.map(|one| one.number))
    }

    #[test]
    fn hints_and_schemes_choose() {
        let (one, two) = (TestCa::new("One").unwrap(), TestCa::new("Two").unwrap());
        let (old, new) = (issue(&one, KeyKind::P256), issue(&two, KeyKind::P384));
        let ours = certificates(&[&old, &new]);
        let names = [&old, &new].map(|leaf| {
            let certificate = hookseal_pki::certificate::Certificate::parse(leaf.certificate());
            certificate.unwrap().issuer_der().to_vec()
        });
        let [of_old, of_new] = names.each_ref().map(Vec::as_slice);
        let check = |hints: &[&[u8]], schemes, expect| {
            let presenter = ours.presenter(&receiver(), now(), &[]);
            assert_eq!(decision(&presenter, hints, schemes), expect);
        };
        use PresentDecision::{Matched, NoHintMatches, NoSchemeMatches};
        check(&[], &[P256, P384], (Matched, Some(2)));
        check(&[of_new], &[P256, P384], (Matched, Some(2)));
        check(&[of_old], &[P256, P384], (Matched, Some(1)));
        check(&[of_old, of_new], &[P256, P384], (Matched, Some(2)));
        check(&[b"other"], &[P256, P384], (NoHintMatches, Some(2)));
        check(&[of_new], &[P256], (NoHintMatches, Some(1)));
        check(&[], &[P256], (Matched, Some(1)));
        check(&[], &[SignatureScheme::ED25519], (NoSchemeMatches, None));
    }

    #[test]
    fn only_what_is_valid_now() {
        let ca = TestCa::new("CA").unwrap();
        let with = |validity| {
            let spec = LeafSpec {
                validity,
                ..LeafSpec::client("us")
            };
            ca.issue(&spec).unwrap()
        };
        let (past, current, future) = (
            with(Validity::Past),
            with(Validity::Current),
            with(Validity::Future),
        );
        let ours = certificates(&[&past, &current, &future]);
        let presenter = ours.presenter(&receiver(), now(), &[]);
        let expect = (PresentDecision::Matched, Some(2));
        assert_eq!(decision(&presenter, &[], &[P256]), expect);
        let ours = certificates(&[&past, &future]);
        assert!(!ours.has_others(&[], now()));
        let presenter = ours.presenter(&receiver(), now(), &[]);
        assert!(!presenter.has_certs());
        let expect = (PresentDecision::NoneValid, None);
        assert_eq!(decision(&presenter, &[], &[P256]), expect);
    }

    #[test]
    fn what_receivers_were_not_told_of_comes_last() {
        let ca = TestCa::new("CA").unwrap();
        let with = |validity| {
            let spec = LeafSpec {
                validity,
                ..LeafSpec::client("us")
            };
            ca.issue(&spec).unwrap()
        };
        let (past, current) = (with(Validity::Past), with(Validity::Current));
        let new = presentable(9, &with(Validity::Current));
        let new = Arc::new(Arc::into_inner(new).unwrap().undistributed());
        let ours = |told: &Leaf| ClientCertificates {
            name: Name::parse("us").unwrap(),
            source: Source::Own([presentable(1, told), Arc::clone(&new)].into()),
            fallback: Mutex::new(None),
        };
        let check = |ours: &ClientCertificates, expect| {
            let presenter = ours.presenter(&receiver(), now(), &[]);
            assert_eq!(decision(&presenter, &[], &[P256]), expect);
        };
        check(&ours(&current), (PresentDecision::Matched, Some(1)));
        check(&ours(&past), (PresentDecision::Matched, Some(9)));
        let refused = [presentable(1, &current).sha256()];
        assert!(!ours(&current).has_others(&refused, now()));
        assert!(!ours(&past).has_others(&[new.sha256()], now()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_worked_is_remembered_for_a_while() {
        let ca = TestCa::new("CA").unwrap();
        let [one, two, three] = [(); 3].map(|()| issue(&ca, KeyKind::P256));
        let ours = certificates(&[&one, &two, &three]);
        let presented = |to: &HeaderValue, refused: &[CertificateSha256]| {
            let presenter = ours.presenter(to, now(), refused);
            decision(&presenter, &[], &[P256])
        };
        use PresentDecision::{FellBack, Matched};
        let names = [1, 2, 3].map(|number| {
            let all = ours.certificates();
            let found = all.iter().find(|one| one.presented().number == number);
            found.unwrap().sha256()
        });
        let [oldest, middle, newest] = names;
        let to = receiver();
        assert_eq!(presented(&to, &[]), (Matched, Some(3)));
        assert_eq!(presented(&to, &[newest]), (FellBack, Some(2)));
        assert_eq!(presented(&to, &[newest, middle]), (FellBack, Some(1)));
        ours.remember(&to, oldest);
        assert_eq!(presented(&to, &[]), (FellBack, Some(1)));
        let other = HeaderValue::from_static("other.test");
        assert_eq!(presented(&other, &[]), (Matched, Some(3)));
        // Refused itself, it is the others' turn.
        ours.refused(oldest);
        assert_eq!(presented(&to, &[oldest]), (FellBack, Some(3)));
        ours.remember(&to, middle);
        advance(FALLBACK_MEMORY - std::time::Duration::from_secs(1)).await;
        assert_eq!(presented(&to, &[]), (FellBack, Some(2)));
        advance(std::time::Duration::from_secs(1)).await;
        assert_eq!(presented(&to, &[]), (Matched, Some(3)));
    }
}
