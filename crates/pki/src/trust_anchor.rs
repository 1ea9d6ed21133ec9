//! Which roots a chain may end in (RFC 5280 §6.1.1(d)).
//!
//! **Invariant:** everything in a bundle is used or the whole bundle is refused; nothing is
//! skipped silently.

use rustls_pki_types::pem::{PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, TrustAnchor};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::{RelativeDistinguishedName, SubjectPublicKeyInfo, X509Name};

use crate::certificate::{
    Certificate, CertificateError, KeyAlgorithm, SpkiSha256, distinguished_name, parse_x509,
};
use crate::public_root::PublicRoots;
use crate::rules::{self, Role};
use crate::verify::PathCertificate;

/// Longest bundle, in bytes: ten times the size of any system's whole list.
const BUNDLE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A set of roots.
#[derive(Clone, Debug, Default)]
pub struct TrustAnchors {
    /// As the path is built from them.
    anchors: Vec<TrustAnchor<'static>>,
    /// What else is known of each, in the same order.
    facts: Vec<AnchorFacts>,
}

/// What a path says of the root it ends in.
#[derive(Clone, Debug)]
pub(crate) struct AnchorFacts {
    pub(crate) on_path: PathCertificate,
    /// Its first and its last second, since the Unix epoch; `None` where nothing but name and key
    /// is known.
    pub(crate) validity_secs: Option<(i64, i64)>,
    /// Whether its key may sign revocation lists (RFC 5280 §4.2.1.3).
    pub(crate) may_sign_lists: bool,
    /// How many certificates of CAs may stand below it (RFC 5280 §4.2.1.9).
    pub(crate) path_len: Option<usize>,
    /// A rule that its certificate breaks: then no path may end in it.
    pub(crate) rule_broken: Option<&'static str>,
    /// Whether browsers trust its key.
    public: bool,
}

/// A bundle of roots can't be used. Entries are counted from 1.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TrustAnchorError {
    /// Nothing in it.
    #[error("no certificate in it; it must hold PEM sections \"-----BEGIN CERTIFICATE-----\"")]
    Empty,
    /// Too long.
    #[error("it has {bytes} bytes, more than {BUNDLE_BYTES_MAX}")]
    TooLong {
        /// How many bytes it has.
        bytes: usize,
    },
    /// Not PEM.
    #[error("entry {entry} is not valid PEM: {what}")]
    Pem {
        /// Which entry.
        entry: usize,
        /// What is wrong.
        what: String,
    },
    /// PEM, but something else than a certificate.
    #[error("entry {entry} is not a certificate but a {kind}")]
    NotCertificate {
        /// Which entry.
        entry: usize,
        /// What it is.
        kind: &'static str,
    },
    /// No readable certificate.
    #[error("entry {entry} can't be read: {source}")]
    Unreadable {
        /// Which entry.
        entry: usize,
        /// Why.
        source: CertificateError,
    },
    /// A certificate that may not issue others.
    #[error(
        "entry {entry} ({subject}) is not the certificate of a CA; give the root that issued it"
    )]
    NotCa {
        /// Which entry.
        entry: usize,
        /// Whom it was issued to.
        subject: String,
    },
}

// === impl TrustAnchors ===

impl TrustAnchors {
    /// No root: nothing is trusted.
    pub fn none() -> Self {
        Self::default()
    }

    /// Roots that were checked by whoever built the list. Of those that are public, the
    /// certificate is known too.
    pub fn from_known(anchors: &[TrustAnchor<'static>]) -> Self {
        let facts = anchors.iter().map(AnchorFacts::of_known).collect();
        Self {
            anchors: anchors.to_vec(),
            facts,
        }
    }

    /// These roots and those of a PEM bundle.
    pub fn with_pem(mut self, bundle: &[u8]) -> Result<Self, TrustAnchorError> {
        if bundle.len() > BUNDLE_BYTES_MAX {
            let bytes = bundle.len();
            return Err(TrustAnchorError::TooLong { bytes });
        }
        let before = self.anchors.len();
        let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(bundle);
        for (entry, section) in (1..).zip(sections) {
            let (kind, der) = section.map_err(|error| TrustAnchorError::Pem {
                entry,
                what: error.to_string(),
            })?;
            let (anchor, facts) = anchor(entry, kind, der)?;
            self.anchors.push(anchor);
            self.facts.push(facts);
        }
        if self.anchors.len() == before {
            return Err(TrustAnchorError::Empty);
        }
        Ok(self)
    }

    /// These roots and those whose certificates these are.
    pub fn with_der<'a>(
        mut self,
        certificates: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, TrustAnchorError> {
        for (entry, der) in (1..).zip(certificates) {
            let (anchor, facts) = anchor(entry, SectionKind::Certificate, der.to_vec())?;
            self.anchors.push(anchor);
            self.facts.push(facts);
        }
        Ok(self)
    }

    /// Whether nothing is trusted.
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Whether browsers trust one of them, too.
    pub fn has_public_root(&self) -> bool {
        self.facts.iter().any(|facts| facts.public)
    }

    /// Whether one of them has this name.
    pub(crate) fn has_name(&self, name: &X509Name<'_>) -> bool {
        self.anchors
            .iter()
            .any(|anchor| subject(anchor).iter_rdn().eq(name.iter_rdn()))
    }

    /// Whether one of them has this key.
    pub(crate) fn has_key(&self, key: SpkiSha256) -> bool {
        self.facts
            .iter()
            .any(|facts| facts.on_path.spki_sha256() == key)
    }

    /// The root of this name whose key is too weak to sign anything, if there is one.
    pub(crate) fn weak_key_of(&self, issuer: &X509Name<'_>) -> Option<(String, KeyAlgorithm)> {
        self.anchors.iter().find_map(|anchor| {
            let named = subject(anchor).iter_rdn().eq(issuer.iter_rdn());
            let spki = webpki::spki_for_anchor(anchor);
            let (_, spki) = SubjectPublicKeyInfo::from_der(&spki).ok()?;
            let key = KeyAlgorithm::of(&spki);
            (named && key.is_weak()).then(|| (distinguished_name(issuer), key))
        })
    }

    /// Whose root it is, for messages.
    pub(crate) fn subject_of(anchor: &TrustAnchor<'_>) -> String {
        distinguished_name(&subject(anchor))
    }

    /// What is known of one of [`as_slice`](Self::as_slice).
    pub(crate) fn facts(&self, anchor: &TrustAnchor<'_>) -> Option<&AnchorFacts> {
        let same = |known: &TrustAnchor<'_>| std::ptr::eq(known, anchor);
        let at = self.anchors.iter().position(same)?;
        self.facts.get(at)
    }

    pub(crate) fn as_slice(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }
}

// === impl AnchorFacts ===

impl AnchorFacts {
    fn of(certificate: &Certificate) -> Self {
        let key = certificate.spki_sha256();
        Self {
            on_path: PathCertificate::of(certificate),
            validity_secs: Some((certificate.not_before_secs(), certificate.not_after_secs())),
            may_sign_lists: true,
            path_len: None,
            rule_broken: None,
            public: PublicRoots::mozilla().with_key(key).is_some(),
        }
    }

    /// Of a root that nobody checked before us.
    fn of_parsed(certificate: &Certificate, parsed: &X509Certificate<'_>) -> Self {
        let usage = parsed.key_usage().ok().flatten();
        let constraints = parsed.basic_constraints().ok().flatten();
        let path_len = constraints.and_then(|found| found.value.path_len_constraint);
        Self {
            may_sign_lists: usage.is_none_or(|usage| usage.value.crl_sign()),
            path_len: path_len.map(|len| usize::try_from(len).unwrap_or(usize::MAX)),
            rule_broken: rules::broken(parsed, Role::Root),
            ..Self::of(certificate)
        }
    }

    fn of_known(anchor: &TrustAnchor<'_>) -> Self {
        let spki = SpkiSha256::of_spki(&webpki::spki_for_anchor(anchor));
        let subject = distinguished_name(&subject(anchor));
        match PublicRoots::mozilla().with_key(spki) {
            Some(root) if root.subject() == subject => Self::of(root),
            known => Self {
                on_path: PathCertificate::key_only(spki, subject),
                validity_secs: None,
                may_sign_lists: true,
                path_len: None,
                rule_broken: None,
                public: known.is_some(),
            },
        }
    }
}

/// An anchor's name is what stands in its sequence, without the header.
fn subject<'a>(anchor: &'a TrustAnchor<'_>) -> X509Name<'a> {
    let raw = anchor.subject.as_ref();
    let (mut rest, mut parts) = (raw, Vec::new());
    while let Ok((behind, part)) = RelativeDistinguishedName::from_der(rest) {
        parts.push(part);
        rest = behind;
    }
    X509Name::new(parts, raw)
}

fn anchor(
    entry: usize,
    kind: SectionKind,
    der: Vec<u8>,
) -> Result<(TrustAnchor<'static>, AnchorFacts), TrustAnchorError> {
    if kind != SectionKind::Certificate {
        let kind = kind_name(kind);
        return Err(TrustAnchorError::NotCertificate { entry, kind });
    }
    let unreadable = |source| TrustAnchorError::Unreadable { entry, source };
    let der = CertificateDer::from(der);
    let parsed = parse_x509(&der).map_err(unreadable)?;
    let certificate = Certificate::of(&parsed);
    if !certificate.is_ca() {
        return Err(TrustAnchorError::NotCa {
            entry,
            subject: certificate.subject().to_owned(),
        });
    }
    let facts = AnchorFacts::of_parsed(&certificate, &parsed);
    webpki::anchor_from_trusted_cert(&der)
        .map(|anchor| (anchor.to_owned(), facts))
        .map_err(|_| unreadable(CertificateError::Malformed))
}

fn kind_name(kind: SectionKind) -> &'static str {
    match kind {
        SectionKind::PublicKey => "public key",
        SectionKind::RsaPrivateKey | SectionKind::PrivateKey | SectionKind::EcPrivateKey => {
            "private key, which must not be here"
        }
        SectionKind::Crl => "revocation list",
        SectionKind::Csr => "certificate request",
        _ => "PEM section of another kind",
    }
}
