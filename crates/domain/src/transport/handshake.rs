//! What was seen of one handshake: kept for each endpoint as the last one, for people and for the
//! rules of rotation.
//!
//! **Invariant:** holds no secret; whatever a peer chose is bounded and printable.

use std::net::IpAddr;

use hookseal_pki::certificate::SpkiSha256;

use crate::delivery::attempt::TlsFacts;
use crate::time::Timestamp;
use crate::transport::failure::TlsFailure;
use crate::transport::name::Name;
use crate::transport::policy::Pinning;

/// Most CA names that a server hints at which are kept.
pub const HINTS_MAX: usize = 16;

/// What was seen of one handshake.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HandshakeReport {
    /// When it ended.
    pub at: Timestamp,
    /// How long it took, from the first byte to the end, in milliseconds.
    pub duration_ms: u32,
    /// Why it failed, if it did.
    pub failure: Option<Failed>,
    /// Where it went to.
    pub remote_ip: Option<IpAddr>,
    /// The proxy it went through.
    pub proxy: Option<Name>,
    /// What the session is made of, where one came about.
    pub tls: Option<TlsFacts>,
    /// The chain that was sent, the server's own certificate first; at most 16.
    pub observed: Vec<SeenCertificate>,
    /// The verified path, the server's own certificate first, the root last; empty if there is
    /// none.
    pub verified: Vec<SeenCertificate>,
    /// What pins came to.
    pub pins: PinVerdict,
    /// What was said of our own certificate.
    pub client: ClientCertificate,
    /// What is known of revocation.
    pub revocation: RevocationFinding,
}

/// Why a handshake failed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failed {
    /// What it means.
    pub failure: TlsFailure,
    /// In full, for people.
    pub reason: String,
}

/// One certificate of a peer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SeenCertificate {
    /// Whose it is.
    pub subject: String,
    /// Who issued it; empty where only the name and key of a root are known.
    pub issuer: String,
    /// Names its key.
    pub spki_sha256: SpkiSha256,
    /// Names the certificate, where it is known.
    pub sha256: Option<[u8; 32]>,
    /// Its first second, where known.
    pub not_before: Option<Timestamp>,
    /// Its last second, where known.
    pub not_after: Option<Timestamp>,
}

/// What pins came to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PinVerdict {
    /// What they were to do.
    pub pinning: Pinning,
    /// Those that matched a key of the verified path.
    pub matched: Vec<SpkiSha256>,
}

/// What was said of our own certificate.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClientCertificate {
    /// Whether the server asked for one.
    pub requested: bool,
    /// The names of the CAs that it hinted at: the first few.
    pub ca_hints: Vec<String>,
    /// What we decided.
    pub decision: PresentDecision,
    /// What we presented.
    pub presented: Option<Presented>,
    /// Whether the server accepted what was presented: it answered 2xx on the connection. A
    /// handshake that is well says nothing of it, since a server may look at our certificate only
    /// when it sees the request.
    pub accepted: bool,
}

/// What we decided when we were asked for a certificate.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum PresentDecision {
    /// We were not asked.
    #[default]
    NotAsked,
    /// The endpoint has no client identity.
    NoIdentity,
    /// The newest that its hints and schemes allow.
    Matched,
    /// No hint matches; the newest was presented all the same.
    NoHintMatches,
    /// No key of ours can sign in a way that the server accepts: nothing was presented.
    NoSchemeMatches,
    /// No certificate of the identity is valid now: nothing was presented.
    NoneValid,
    /// An older one, since the server refused a newer one before.
    FellBack,
}

/// A certificate of ours that was presented.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Presented {
    /// The identity's name.
    pub identity: Name,
    /// The certificate's number within it; 0 for the operator's own.
    pub number: u32,
    /// Names it.
    pub sha256: [u8; 32],
    /// Its last second.
    pub not_after: Timestamp,
}

/// What is known of revocation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RevocationFinding {
    /// In one word.
    pub status: RevocationWord,
    /// Where it is known from, or why it is not: for people.
    pub detail: Option<String>,
}

/// What is known of revocation, in one word.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum RevocationWord {
    /// Nobody asked.
    #[default]
    NotChecked,
    /// The certificates name no list and no responder, and none is configured.
    NotApplicable,
    /// None is revoked.
    Good,
    /// One is.
    Revoked,
    /// It could not be found out.
    Unknown,
}

// === impl HandshakeReport ===

impl HandshakeReport {
    /// The keys of the verified path.
    pub fn verified_keys(&self) -> Vec<SpkiSha256> {
        self.verified.iter().map(|seen| seen.spki_sha256).collect()
    }

    /// Whether both came to the same: in all but their time, the address that answered, and words
    /// for people, which may name either.
    pub fn came_to_the_same(&self, other: &Self) -> bool {
        let result = |report: &Self| report.failure.as_ref().map(|failed| failed.failure);
        result(self) == result(other)
            && self.proxy == other.proxy
            && self.tls == other.tls
            && self.observed == other.observed
            && self.verified == other.verified
            && self.pins == other.pins
            && self.client == other.client
            && self.revocation.status == other.revocation.status
    }

    /// Its result as a metric label.
    pub fn result(&self) -> &'static str {
        match &self.failure {
            None => "ok",
            Some(failed) => failed.failure.as_str(),
        }
    }
}

// === impl PresentDecision ===

impl PresentDecision {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::NotAsked,
        Self::NoIdentity,
        Self::Matched,
        Self::NoHintMatches,
        Self::NoSchemeMatches,
        Self::NoneValid,
        Self::FellBack,
    ];

    /// Its name in the API and the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAsked => "not_asked",
            Self::NoIdentity => "no_identity",
            Self::Matched => "matched",
            Self::NoHintMatches => "no_hint_matches",
            Self::NoSchemeMatches => "no_scheme_matches",
            Self::NoneValid => "none_valid",
            Self::FellBack => "fell_back",
        }
    }
}

// === impl RevocationWord ===

impl RevocationWord {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::NotChecked,
        Self::NotApplicable,
        Self::Good,
        Self::Revoked,
        Self::Unknown,
    ];

    /// Its name in the API and the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotChecked => "not_checked",
            Self::NotApplicable => "not_applicable",
            Self::Good => "good",
            Self::Revoked => "revoked",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> HandshakeReport {
        HandshakeReport {
            at: Timestamp::from_millis(1),
            duration_ms: 5,
            failure: Some(Failed {
                failure: TlsFailure::PeerExpired,
                reason: "expired 3 s ago".to_owned(),
            }),
            remote_ip: None,
            proxy: None,
            tls: None,
            observed: vec![],
            verified: vec![],
            pins: PinVerdict::default(),
            client: ClientCertificate::default(),
            revocation: RevocationFinding::default(),
        }
    }

    #[test]
    fn time_address_and_words_make_no_difference() {
        let later = HandshakeReport {
            at: Timestamp::from_millis(2),
            duration_ms: 7,
            failure: Some(Failed {
                failure: TlsFailure::PeerExpired,
                reason: "expired 4 s ago".to_owned(),
            }),
            remote_ip: Some([192, 0, 2, 1].into()),
            ..report()
        };
        assert!(report().came_to_the_same(&later));
        let mended = HandshakeReport {
            failure: None,
            ..report()
        };
        assert!(!report().came_to_the_same(&mended));
        let asked = HandshakeReport {
            client: ClientCertificate {
                requested: true,
                ..ClientCertificate::default()
            },
            ..report()
        };
        assert!(!report().came_to_the_same(&asked));
    }
}
