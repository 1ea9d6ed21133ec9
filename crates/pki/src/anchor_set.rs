//! Private roots that an organisation trusts: what may be saved as a set of them.
//!
//! **Invariant:** everything in a set is a CA's own certificate, valid when it was saved, and none
//! of it is public: a set is used whole or refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::UnixTime;
use rustls_pki_types::pem::{PemObject, SectionKind};

use crate::certificate::{Certificate, CertificateError, KeyAlgorithm, parse_x509};
use crate::public_root::PublicRoots;
use crate::rules::{self, Role};
use crate::verify::Seconds;

/// Longest set, in bytes.
pub const SET_BYTES_MAX: usize = 256 * 1024;
/// Most roots of a set.
pub const ANCHORS_MAX: usize = 32;
/// Characters of base64 in a line of PEM (RFC 7468 §2).
const PEM_LINE_CHARS: usize = 64;

/// A private root.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AnchorCertificate {
    facts: Certificate,
    der: Vec<u8>,
}

/// A set can't be saved. Entries are counted from 1.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AnchorSetError {
    /// Nothing in it.
    #[error("no certificate in it; it must hold PEM sections \"-----BEGIN CERTIFICATE-----\"")]
    Empty,
    /// Too long.
    #[error("it has {bytes} bytes, more than {SET_BYTES_MAX}")]
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// Too many roots.
    #[error("it has more than {ANCHORS_MAX} certificates")]
    TooMany,
    /// Not PEM.
    #[error("entry {entry} is not valid PEM: {what}")]
    Pem {
        /// Which entry.
        entry: usize,
        /// What is wrong.
        what: String,
    },
    /// A secret where only certificates belong.
    #[error(
        "entry {entry} is a private key, which must not be here: nothing was kept of it, but \
         consider it exposed"
    )]
    PrivateKey {
        /// Which entry.
        entry: usize,
    },
    /// PEM, but something else.
    #[error("entry {entry} is not a certificate")]
    NotCertificate {
        /// Which entry.
        entry: usize,
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
        "entry {entry} ({subject}) is not the certificate of a CA; give the root that issued it, \
         or pin its key"
    )]
    NotCa {
        /// Which entry.
        entry: usize,
        /// Whom it was issued to.
        subject: String,
    },
    /// Past its last second.
    #[error("entry {entry} ({subject}) expired on {not_after}")]
    Expired {
        /// Which entry.
        entry: usize,
        /// Whom it was issued to.
        subject: String,
        /// Its last second.
        not_after: Seconds,
    },
    /// Before its first second.
    #[error("entry {entry} ({subject}) is valid from {not_before} only")]
    NotYetValid {
        /// Which entry.
        entry: usize,
        /// Whom it was issued to.
        subject: String,
        /// Its first second.
        not_before: Seconds,
    },
    /// The same root again.
    #[error("entry {entry} ({subject}) is the same root as entry {first}")]
    Duplicate {
        /// Which entry.
        entry: usize,
        /// Which it repeats.
        first: usize,
        /// Whom it was issued to.
        subject: String,
    },
    /// A public root, or one below it.
    #[error(
        "entry {entry} ({subject}) is public: it is, or was issued by, {root}, which browsers \
         trust; whoever gets a certificate from there would be trusted too. Let the policy trust \
         public roots, and pin the receiver's key"
    )]
    Public {
        /// Which entry.
        entry: usize,
        /// Whom it was issued to.
        subject: String,
        /// The public root.
        root: String,
    },
    /// A rule for certificates is broken.
    #[error("entry {entry} ({subject}) breaks a rule: {rule}; its CA has to make it anew")]
    RuleBroken {
        /// Which entry.
        entry: usize,
        /// Whom it was issued to.
        subject: String,
        /// The rule, with its clause.
        rule: &'static str,
    },
    /// A key that is too weak, or of a kind that is not accepted.
    #[error(
        "the key of entry {entry} ({subject}) is not accepted ({key}); RSA needs 2048 to 8192 \
         bits, ECDSA P-256, P-384 or P-521"
    )]
    KeyNotAccepted {
        /// Which entry.
        entry: usize,
        /// Whom it was issued to.
        subject: String,
        /// What the key is.
        key: KeyAlgorithm,
    },
}

// === impl AnchorCertificate ===

impl AnchorCertificate {
    /// Reads a whole set of PEM certificates, to be saved at `now`.
    pub fn parse_set(pem: &[u8], now: UnixTime) -> Result<Vec<Self>, AnchorSetError> {
        if pem.len() > SET_BYTES_MAX {
            return Err(AnchorSetError::TooLong { bytes: pem.len() });
        }
        let mut set: Vec<Self> = Vec::new();
        let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem);
        for (entry, section) in (1..).zip(sections) {
            if entry > ANCHORS_MAX {
                return Err(AnchorSetError::TooMany);
            }
            let (kind, der) = section.map_err(|error| AnchorSetError::Pem {
                entry,
                what: error.to_string(),
            })?;
            let anchor = Self::parse(entry, kind, der, now)?;
            let same = (1..).zip(&set).find(|(_, other)| anchor.is_same(other));
            if let Some((first, _)) = same {
                return Err(AnchorSetError::Duplicate {
                    entry,
                    first,
                    subject: anchor.facts.subject().to_owned(),
                });
            }
            set.push(anchor);
        }
        if names_private_key(pem) {
            let entry = set.len().saturating_add(1);
            return Err(AnchorSetError::PrivateKey { entry });
        }
        if set.is_empty() {
            return Err(AnchorSetError::Empty);
        }
        Ok(set)
    }

    fn parse(
        entry: usize,
        kind: SectionKind,
        der: Vec<u8>,
        now: UnixTime,
    ) -> Result<Self, AnchorSetError> {
        match kind {
            SectionKind::Certificate => {}
            SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
                return Err(AnchorSetError::PrivateKey { entry });
            }
            _ => return Err(AnchorSetError::NotCertificate { entry }),
        }
        let unreadable = |source| AnchorSetError::Unreadable { entry, source };
        let facts = {
            let parsed = parse_x509(&der).map_err(unreadable)?;
            let facts = Certificate::of(&parsed);
            check(entry, &facts, Seconds::of(now))?;
            if let Some(rule) = rules::broken(&parsed, Role::Root) {
                let subject = facts.subject().to_owned();
                return Err(AnchorSetError::RuleBroken {
                    entry,
                    subject,
                    rule,
                });
            }
            facts
        };
        if webpki::anchor_from_trusted_cert(&der.as_slice().into()).is_err() {
            return Err(unreadable(CertificateError::Malformed));
        }
        Ok(Self { facts, der })
    }

    /// Its facts.
    pub fn facts(&self) -> &Certificate {
        &self.facts
    }

    /// The certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate in PEM.
    pub fn pem(&self) -> String {
        certificate_pem(&self.der)
    }

    fn is_same(&self, other: &Self) -> bool {
        let (one, two) = (&self.facts, &other.facts);
        let same_root = (one.spki_sha256(), one.subject()) == (two.spki_sha256(), two.subject());
        self.der == other.der || same_root
    }
}

/// A certificate in PEM (RFC 7468 §5).
pub fn certificate_pem(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for (at, character) in (1..).zip(encoded.chars()) {
        pem.push(character);
        if at % PEM_LINE_CHARS == 0 {
            pem.push('\n');
        }
    }
    if !pem.ends_with('\n') {
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

fn check(entry: usize, facts: &Certificate, now: Seconds) -> Result<(), AnchorSetError> {
    let subject = || facts.subject().to_owned();
    if !facts.is_ca() || !facts.may_issue() {
        let subject = subject();
        return Err(AnchorSetError::NotCa { entry, subject });
    }
    if let Some(root) = PublicRoots::mozilla().over(facts) {
        return Err(AnchorSetError::Public {
            entry,
            subject: subject(),
            root: root.subject().to_owned(),
        });
    }
    if !facts.key_algorithm().is_accepted() {
        return Err(AnchorSetError::KeyNotAccepted {
            entry,
            subject: subject(),
            key: facts.key_algorithm().clone(),
        });
    }
    if now.0 > facts.not_after_secs() {
        return Err(AnchorSetError::Expired {
            entry,
            subject: subject(),
            not_after: Seconds(facts.not_after_secs()),
        });
    }
    if now.0 < facts.not_before_secs() {
        return Err(AnchorSetError::NotYetValid {
            entry,
            subject: subject(),
            not_before: Seconds(facts.not_before_secs()),
        });
    }
    Ok(())
}

/// Encrypted keys and those of OpenSSH are sections that the PEM reader passes over.
fn names_private_key(pem: &[u8]) -> bool {
    const END_OF_LABEL: &[u8] = b"PRIVATE KEY-----";
    pem.windows(END_OF_LABEL.len())
        .any(|window| window == END_OF_LABEL)
}
