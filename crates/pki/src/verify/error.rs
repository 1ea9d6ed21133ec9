//! Why a chain proves nothing, in words that lead to the fix.

use std::fmt;

use jiff::Timestamp;
use rustls_pki_types::UnixTime;

use crate::certificate::{CertificateError, KeyAlgorithm, Names, SignatureAlgorithm};
use crate::chain::ChainError;

/// Why a chain proves nothing. `Display` is for the person who has to mend it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum VerifyError {
    /// More was sent than we look at.
    #[error("the server's certificate chain is too big: {0}")]
    TooBig(#[from] ChainError),
    /// The server's own certificate can't be read.
    #[error("the server's certificate can't be read: {0}")]
    Unreadable(#[from] CertificateError),
    /// Past its last second.
    #[error("{which} expired on {not_after}, it is {now} now; the server needs a current one")]
    Expired {
        /// Which of the chain.
        which: Which,
        /// Its last second.
        not_after: Seconds,
        /// When we looked.
        now: Seconds,
    },
    /// Before its first second.
    #[error(
        "{which} is valid from {not_before} only, it is {now} now; if that is wrong, a clock is"
    )]
    NotYetValid {
        /// Which of the chain.
        which: Which,
        /// Its first second.
        not_before: Seconds,
        /// When we looked.
        now: Seconds,
    },
    /// The root that we trust is past its last second.
    #[error(
        "the trusted root {root} expired on {not_after}, it is {now} now; replace it in the trust \
         anchors"
    )]
    RootExpired {
        /// Whose root it is.
        root: String,
        /// Its last second.
        not_after: Seconds,
        /// When we looked.
        now: Seconds,
    },
    /// The root that we trust is before its first second.
    #[error("the trusted root {root} is valid from {not_before} only, it is {now} now")]
    RootNotYetValid {
        /// Whose root it is.
        root: String,
        /// Its first second.
        not_before: Seconds,
        /// When we looked.
        now: Seconds,
    },
    /// Issued for others.
    #[error(
        "the server's certificate is not valid for {expected}, only for {presented}; it needs a \
         certificate with this name, or the URL or the policy's server name is wrong"
    )]
    WrongName {
        /// Whom we wanted to reach.
        expected: String,
        /// Whom it was issued for.
        presented: Names,
    },
    /// Issued by itself.
    #[error(
        "the server's certificate is self-signed ({subject}); it needs one that a CA issued to it, \
         and a private CA can be trusted with a trust anchor set, or by an operator with \
         egress.extra_roots"
    )]
    SelfSigned {
        /// Whom it was issued to, and by.
        subject: String,
    },
    /// No way to a root, and what was sent tells that a certificate between was not.
    #[error("{0}")]
    IntermediateMissing(Box<MissingIssuer>),
    /// No way to a root: whether trust is missing or a certificate can't be told.
    #[error(
        "the server's certificate chain leads to no trusted root: whoever issued its last \
         certificate is not trusted here (issuer: {issuer}); either that is a private CA, which \
         has to be trusted with a trust anchor set, or by an operator with egress.extra_roots, or \
         it is an intermediate CA, whose certificate the server has to send too"
    )]
    UnknownIssuer {
        /// Who issued the last certificate, as far as the chain goes.
        issuer: String,
    },
    /// A public CA's certificate where only private roots are trusted.
    #[error(
        "the server's certificate was issued under the public root {root}, and only private roots \
         are trusted here; the server has to show its certificate of the private CA, or the policy \
         has to trust public roots too"
    )]
    PublicCaNotAllowed {
        /// Whose root it is.
        root: String,
    },
    /// Issued for something else than servers.
    #[error(
        "a certificate of the chain is not meant for servers: its extended key usage lacks \
         serverAuth (RFC 5280 §4.2.1.12); its CA has to issue it anew"
    )]
    WrongPurpose,
    /// A CA's own certificate used for a server: another CA's, or one that is trusted itself.
    #[error(
        "the server shows the certificate of a CA ({subject}) as its own; it needs one that was \
         issued to it"
    )]
    CaAsServer {
        /// Whom it was issued to.
        subject: String,
    },
    /// A certificate that may not issue others did.
    #[error(
        "a certificate of the chain was issued by one that is not a CA's (RFC 5280 §4.2.1.9); the \
         server has to install the chain of its CA"
    )]
    IssuerNotCa,
    /// The chain is longer than a CA allows.
    #[error("the chain is longer than one of its CAs allows (RFC 5280 §4.2.1.9)")]
    PathTooLong,
    /// A CA is not allowed to issue for these names.
    #[error("a CA of the chain is not allowed to issue for these names (RFC 5280 §4.2.1.10)")]
    NameConstraint,
    /// A rule for certificates is broken.
    #[error("the certificate of {subject} breaks a rule: {rule}; its CA has to issue it anew")]
    RuleBroken {
        /// Whom it was issued to.
        subject: String,
        /// The rule, with its clause.
        rule: &'static str,
    },
    /// A signature does not match.
    #[error(
        "a signature in the server's certificate chain is wrong: the chain is forged, or put \
         together from certificates that don't belong together"
    )]
    BadSignature,
    /// A key that can be broken.
    #[error(
        "the key of {subject} is too weak ({key}); RSA needs 2048 bits or more, ECDSA a curve of \
         256 bits or more"
    )]
    WeakKey {
        /// Whose key it is.
        subject: String,
        /// What it is.
        key: KeyAlgorithm,
    },
    /// A signature that can be forged.
    #[error(
        "the certificate of {subject} is signed with {algorithm}, for which forgeries exist; its \
         CA has to sign with SHA-256 or better"
    )]
    WeakSignature {
        /// Whose certificate it is.
        subject: String,
        /// What it was signed with.
        algorithm: SignatureAlgorithm,
    },
    /// A key or a signature that we don't accept.
    #[error(
        "the server's certificate chain holds a key or a signature of a kind that is not accepted; \
         ECDSA (P-256, P-384, P-521), Ed25519 and RSA (2048 to 8192 bits) with SHA-256, SHA-384 or \
         SHA-512 are"
    )]
    UnsupportedAlgorithm,
    /// Too costly to look at.
    #[error("the server's certificate chain is too complex to be checked")]
    TooComplex,
    /// Known to be in wrong hands.
    #[error(
        "a key of the server's certificate chain is known to be compromised; the server needs a \
         certificate with a new key"
    )]
    Distrusted,
    /// Broken in another way.
    #[error("the server's certificate chain is not well-formed ({0})")]
    Malformed(String),
}

/// The certificate that a chain lacks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MissingIssuer {
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) authority_key_id: Option<String>,
    pub(super) ca_issuers_url: Option<String>,
    pub(super) sent: Sent,
}

/// Whether a server sent anything besides its own certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sent {
    /// Nothing.
    OwnOnly,
    /// At least one.
    Others,
}

/// Which certificate of a chain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Which {
    /// The server's own.
    Server,
    /// One of those between it and the root.
    Intermediate,
}

/// A time in seconds since the Unix epoch. Prints as RFC 3339.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seconds(pub i64);

// === impl MissingIssuer ===

impl MissingIssuer {
    /// Whom the missing certificate was issued to, for messages.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whose certificate names it as its issuer.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Names the key of the missing certificate, in hex digits.
    pub fn authority_key_id(&self) -> Option<&str> {
        self.authority_key_id.as_deref()
    }

    /// Where it can be fetched, as the certificate says that names it.
    pub fn ca_issuers_url(&self) -> Option<&str> {
        self.ca_issuers_url.as_deref()
    }
}

impl fmt::Display for MissingIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no trusted root issued the certificate of ")?;
        write!(f, "{} (issuer: {}", self.subject, self.issuer)?;
        if let Some(id) = &self.authority_key_id {
            write!(f, ", key identifier {id}")?;
        }
        f.write_str(match self.sent {
            Sent::OwnOnly => "), and the server sent no intermediate certificate: ",
            Sent::Others => "), and the server did not send the certificate of that issuer: ",
        })?;
        f.write_str("either it is missing in the server's configuration")?;
        if let Some(url) = &self.ca_issuers_url {
            write!(
                f,
                " (it can be fetched from {url}; install it in the server's chain)"
            )?;
        }
        f.write_str(
            ", or the CA is private and has to be trusted with a trust anchor set, or by an \
             operator with egress.extra_roots",
        )
    }
}

// === impl Which ===

impl Which {
    pub(crate) fn by(is_leaf: bool) -> Self {
        if is_leaf {
            Self::Server
        } else {
            Self::Intermediate
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "the server's certificate",
            Self::Intermediate => "an intermediate certificate of the server",
        })
    }
}

// === impl Seconds ===

impl Seconds {
    pub(crate) fn of(time: UnixTime) -> Self {
        Self(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_second(self.0) {
            Ok(time) => time.fmt(f),
            Err(_) => write!(f, "{} seconds after 1970", self.0),
        }
    }
}
