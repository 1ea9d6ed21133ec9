//! Says what an error of the library means here: which certificate, and what is to be done.
//!
//! **Invariant:** decides nothing: the chain was refused already, and stays so.

use rustls_pki_types::ServerName;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::X509Certificate;

use super::error::{MissingIssuer, Seconds, Sent, VerifyError, Which};
use crate::certificate::{
    Certificate, KeyAlgorithm, SignatureAlgorithm, distinguished_name, parse_x509,
};
use crate::chain::ObservedChain;
use crate::trust_anchor::TrustAnchors;

/// Says why `observed` was refused.
pub(super) fn explain(
    error: webpki::Error,
    observed: &ObservedChain<'_>,
    leaf: &Certificate,
    anchors: &TrustAnchors,
    server_name: &ServerName<'_>,
) -> VerifyError {
    use webpki::Error as E;
    let subject = || leaf.subject().to_owned();
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
        E::UnknownIssuer => no_way_to_a_root(observed, anchors),
        E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => VerifyError::WrongPurpose,
        // Tools make a self-signed certificate a CA's unless told otherwise. Where its key is that
        // of a root, it is not trust that is missing.
        E::CaUsedAsEndEntity if leaf.is_self_issued() && !anchors.has_key(leaf.spki_sha256()) => {
            VerifyError::SelfSigned { subject: subject() }
        }
        E::CaUsedAsEndEntity => VerifyError::CaAsServer { subject: subject() },
        E::EndEntityUsedAsCa => VerifyError::IssuerNotCa,
        E::PathLenConstraintViolated => VerifyError::PathTooLong,
        E::NameConstraintViolation => VerifyError::NameConstraint,
        E::InvalidSignatureForPublicKey | E::SignatureAlgorithmMismatch => {
            weakness(observed, anchors).unwrap_or(VerifyError::BadSignature)
        }
        E::UnsupportedSignatureAlgorithmContext(_)
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            weakness(observed, anchors).unwrap_or(VerifyError::UnsupportedAlgorithm)
        }
        E::MaximumSignatureChecksExceeded
        | E::MaximumPathBuildCallsExceeded
        | E::MaximumPathDepthExceeded
        | E::MaximumNameConstraintComparisonsExceeded => VerifyError::TooComplex,
        E::CertDistrusted => VerifyError::Distrusted,
        other => VerifyError::Malformed(other.to_string()),
    }
}

/// Finds out where the chain ends, and what seems to be missing there.
fn no_way_to_a_root(observed: &ObservedChain<'_>, anchors: &TrustAnchors) -> VerifyError {
    let chain = by_issuer(observed);
    let Some(last) = chain.last() else {
        return VerifyError::Malformed("the server's certificate".to_owned());
    };
    let facts = Certificate::of(last);
    if facts.is_self_issued() && chain.len() == 1 {
        let subject = facts.subject().to_owned();
        return VerifyError::SelfSigned { subject };
    }
    // Without a sign of a certificate between, the root itself may have issued the last one, as
    // those of most private CAs do: then nothing is missing but trust.
    let has_issuers_url = !facts.ca_issuers_urls().is_empty();
    if facts.is_self_issued() || !(has_issuers_url || is_below_root_of(anchors, last)) {
        let issuer = facts.issuer().to_owned();
        return VerifyError::UnknownIssuer { issuer };
    }
    VerifyError::IntermediateMissing(Box::new(MissingIssuer {
        issuer: facts.issuer().to_owned(),
        subject: facts.subject().to_owned(),
        authority_key_id: facts.authority_key_id().map(str::to_owned),
        ca_issuers_url: facts.ca_issuers_urls().first().cloned(),
        sent: if observed.intermediates().is_empty() {
            Sent::OwnOnly
        } else {
            Sent::Others
        },
    }))
}

/// Whether `last` says that one of our roots issued its issuer's certificate, which it may do by
/// naming that certificate's issuer (RFC 5280 §4.2.1.1).
fn is_below_root_of(anchors: &TrustAnchors, last: &X509Certificate<'_>) -> bool {
    last.extensions()
        .iter()
        .filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => id.authority_cert_issuer.as_ref(),
            _ => None,
        })
        .flatten()
        .any(|name| matches!(name, GeneralName::DirectoryName(name) if anchors.has_name(name)))
}

/// The first thing on the way to a root that can be broken or forged.
fn weakness(observed: &ObservedChain<'_>, anchors: &TrustAnchors) -> Option<VerifyError> {
    let chain = by_issuer(observed);
    let below_root = chain
        .iter()
        .filter(|certificate| certificate.subject().as_raw() != certificate.issuer().as_raw());
    for certificate in below_root {
        let subject = distinguished_name(certificate.subject());
        let key = KeyAlgorithm::of(certificate.public_key());
        if key.is_weak() {
            return Some(VerifyError::WeakKey { subject, key });
        }
        let algorithm = SignatureAlgorithm::of(&certificate.signature_algorithm);
        if algorithm.is_weak() {
            return Some(VerifyError::WeakSignature { subject, algorithm });
        }
    }
    let issuers = chain.iter().map(|certificate| certificate.issuer());
    let (subject, key) = issuers
        .filter_map(|issuer| anchors.weak_key_of(issuer))
        .next()?;
    Some(VerifyError::WeakKey { subject, key })
}

/// What was sent, the server's own first, each followed by one whose subject is its issuer. Ends
/// where none is, or where a certificate names itself.
fn by_issuer<'a>(observed: &ObservedChain<'a>) -> Vec<X509Certificate<'a>> {
    let mut unused: Vec<_> = observed
        .intermediates()
        .iter()
        .filter_map(|der| parse_x509(der).ok())
        .collect();
    let mut chain: Vec<X509Certificate<'a>> = Vec::new();
    let mut next = parse_x509(observed.leaf()).ok();
    while let Some(certificate) = next {
        let issuer = certificate.issuer().as_raw();
        let named = |other: &X509Certificate<'_>| other.subject().as_raw() == issuer;
        next = match certificate.subject().as_raw() == issuer {
            true => None,
            false => unused.iter().position(named).map(|at| unused.remove(at)),
        };
        chain.push(certificate);
    }
    chain
}
