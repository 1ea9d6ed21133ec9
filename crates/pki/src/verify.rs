//! Decides whether a chain proves that a server is who it should be.
//!
//! **Invariant:** a [`VerifiedChain`] is made here only, and only when path, dates, purpose and
//! name all hold (RFC 5280 §6, RFC 9525).

mod verified_chain;

use std::fmt;

use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime};
use webpki::aws_lc_rs as algorithm;
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

pub use self::verified_chain::{PathCertificate, VerifiedChain};
use crate::certificate::{Certificate, CertificateError, Names};
use crate::chain::{ChainError, ObservedChain};
use crate::trust_anchor::TrustAnchors;

/// The signatures that a certificate may carry: no SHA-1, no RSA below 2048 bits, no DSA.
static ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithm::ECDSA_P256_SHA256,
    algorithm::ECDSA_P256_SHA384,
    algorithm::ECDSA_P384_SHA256,
    algorithm::ECDSA_P384_SHA384,
    algorithm::ECDSA_P521_SHA256,
    algorithm::ECDSA_P521_SHA384,
    algorithm::ECDSA_P521_SHA512,
    algorithm::ED25519,
    algorithm::RSA_PKCS1_2048_8192_SHA256,
    algorithm::RSA_PKCS1_2048_8192_SHA384,
    algorithm::RSA_PKCS1_2048_8192_SHA512,
    algorithm::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    algorithm::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    algorithm::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

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
    #[error("{which} expired on {not_after}, it is {now} now")]
    Expired {
        /// Which of the chain.
        which: Which,
        /// Its last second.
        not_after: Seconds,
        /// When we looked.
        now: Seconds,
    },
    /// Before its first second.
    #[error("{which} is valid from {not_before} only, it is {now} now")]
    NotYetValid {
        /// Which of the chain.
        which: Which,
        /// Its first second.
        not_before: Seconds,
        /// When we looked.
        now: Seconds,
    },
    /// Issued for others.
    #[error("the server's certificate is not valid for {expected}, only for {presented}")]
    WrongName {
        /// Whom we wanted to reach.
        expected: String,
        /// Whom it was issued for.
        presented: Names,
    },
    /// Issued by itself.
    #[error(
        "the server's certificate is self-signed ({subject}); an operator can trust the CA of a \
         private certificate with egress.extra_roots"
    )]
    SelfSigned {
        /// Whom it was issued to, and by.
        subject: String,
    },
    /// No way to a root, and the server sent nothing but its own certificate.
    #[error(
        "no trusted root issued the server's certificate (issuer: {issuer}), and the server sent \
         no intermediate certificate: either one is missing in its configuration, or its CA is \
         private and an operator has to trust it with egress.extra_roots"
    )]
    IntermediateMissing {
        /// Who issued it.
        issuer: String,
    },
    /// No way to a root.
    #[error(
        "the server's certificate chain leads to no trusted root (issuer: {issuer}); either its \
         CA is not trusted here or an intermediate certificate is missing"
    )]
    UnknownIssuer {
        /// Who issued the server's own certificate.
        issuer: String,
    },
    /// Issued for something else than servers.
    #[error(
        "a certificate of the chain is not meant for servers: its extended key usage lacks \
         serverAuth (RFC 5280 §4.2.1.12)"
    )]
    WrongPurpose,
    /// A CA's own certificate used for a server.
    #[error("the server shows the certificate of a CA ({subject}) as its own")]
    CaAsServer {
        /// Whom it was issued to.
        subject: String,
    },
    /// A certificate that may not issue others did.
    #[error("a certificate of the chain was issued by one that is not a CA's")]
    IssuerNotCa,
    /// The chain is longer than a CA allows.
    #[error("the chain is longer than one of its CAs allows (RFC 5280 §4.2.1.9)")]
    PathTooLong,
    /// A CA is not allowed to issue for these names.
    #[error("a CA of the chain is not allowed to issue for these names (RFC 5280 §4.2.1.10)")]
    NameConstraint,
    /// A signature does not match.
    #[error("a signature in the server's certificate chain is wrong")]
    BadSignature,
    /// A signature that we don't accept.
    #[error(
        "the server's certificate chain is signed by an algorithm that is not accepted; ECDSA, \
         Ed25519 and RSA (2048 bits or more) with SHA-256, SHA-384 or SHA-512 are"
    )]
    UnsupportedAlgorithm,
    /// Too costly to look at.
    #[error("the server's certificate chain is too complex to be checked")]
    TooComplex,
    /// Known to be in wrong hands.
    #[error("a key of the server's certificate chain is known to be compromised")]
    Distrusted,
    /// Broken in another way.
    #[error("the server's certificate chain is not well-formed ({0})")]
    Malformed(String),
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

/// Verifies that `observed` proves the identity of `server_name` at `now`.
///
/// A certificate without extended key usage may be used for servers (RFC 5280 §4.2.1.12); one that
/// has it must list serverAuth. Names are those of the subjectAltName only (RFC 9525 §6.3), and an
/// address matches an iPAddress only.
pub fn verify(
    observed: &ObservedChain<'_>,
    anchors: &TrustAnchors,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<VerifiedChain, VerifyError> {
    let leaf = Certificate::parse(observed.leaf())?;
    let refused = |error| explain(error, observed, &leaf, server_name);
    let end_entity = end_entity(observed.leaf()).map_err(refused)?;
    let path = end_entity
        .verify_for_usage(
            ALGORITHMS,
            anchors.as_slice(),
            observed.intermediates(),
            now,
            KeyUsage::server_auth(),
            None,
            None,
        )
        .map_err(refused)?;
    end_entity
        .verify_is_valid_for_subject_name(server_name)
        .map_err(refused)?;
    proof(&leaf, &path, anchors)
}

fn proof(
    leaf: &Certificate,
    path: &VerifiedPath<'_>,
    anchors: &TrustAnchors,
) -> Result<VerifiedChain, VerifyError> {
    let intermediates = path
        .intermediate_certificates()
        .map(|intermediate| Certificate::parse(&intermediate.der()))
        .collect::<Result<Vec<_>, _>>()?;
    let Some(root) = anchors.facts(path.anchor()) else {
        return Err(VerifyError::Malformed("the root is not ours".to_owned()));
    };
    Ok(VerifiedChain::new(leaf, &intermediates, &root.on_path))
}

fn end_entity<'a>(leaf: &'a CertificateDer<'a>) -> Result<EndEntityCert<'a>, webpki::Error> {
    EndEntityCert::try_from(leaf)
}

/// Says what an error of the library means here.
fn explain(
    error: webpki::Error,
    observed: &ObservedChain<'_>,
    leaf: &Certificate,
    server_name: &ServerName<'_>,
) -> VerifyError {
    use webpki::Error as E;
    let subject = || leaf.subject().to_owned();
    let issuer = || leaf.issuer().to_owned();
    match error {
        E::CertExpired { time, not_after } => VerifyError::Expired {
            which: Which::by(Seconds::of(not_after).0 == leaf.not_after_secs()),
            not_after: Seconds::of(not_after),
            now: Seconds::of(time),
        },
        E::CertNotValidYet { time, not_before } => VerifyError::NotYetValid {
            which: Which::by(Seconds::of(not_before).0 == leaf.not_before_secs()),
            not_before: Seconds::of(not_before),
            now: Seconds::of(time),
        },
        E::CertNotValidForName(_) => VerifyError::WrongName {
            expected: server_name.to_str().into_owned(),
            presented: leaf.names().clone(),
        },
        E::UnknownIssuer if leaf.is_self_issued() => VerifyError::SelfSigned { subject: subject() },
        E::UnknownIssuer if observed.intermediates().is_empty() => {
            VerifyError::IntermediateMissing { issuer: issuer() }
        }
        E::UnknownIssuer => VerifyError::UnknownIssuer { issuer: issuer() },
        E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => VerifyError::WrongPurpose,
        E::CaUsedAsEndEntity => VerifyError::CaAsServer { subject: subject() },
        E::EndEntityUsedAsCa => VerifyError::IssuerNotCa,
        E::PathLenConstraintViolated => VerifyError::PathTooLong,
        E::NameConstraintViolation => VerifyError::NameConstraint,
        E::InvalidSignatureForPublicKey | E::SignatureAlgorithmMismatch => {
            VerifyError::BadSignature
        }
        E::UnsupportedSignatureAlgorithmContext(_)
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            VerifyError::UnsupportedAlgorithm
        }
        E::MaximumSignatureChecksExceeded
        | E::MaximumPathBuildCallsExceeded
        | E::MaximumPathDepthExceeded
        | E::MaximumNameConstraintComparisonsExceeded => VerifyError::TooComplex,
        E::CertDistrusted => VerifyError::Distrusted,
        other => VerifyError::Malformed(other.to_string()),
    }
}

// === impl Which ===

impl Which {
    fn by(is_leaf: bool) -> Self {
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
    fn of(time: UnixTime) -> Self {
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
