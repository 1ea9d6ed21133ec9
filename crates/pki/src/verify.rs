//! Decides whether a chain proves that a server is who it should be.
//!
//! **Invariant:** a [`VerifiedChain`] is made here only, and only when path, dates, purpose, keys
//! and name all hold (RFC 5280 §6, RFC 9525).

mod candidates;
mod error;
mod explain;
mod verified_chain;

use rustls_pki_types::{ServerName, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::aws_lc_rs as algorithm;
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};
use webpki_roots::TLS_SERVER_ROOTS;

use self::candidates::Candidates;
pub use self::error::{MissingIssuer, Seconds, VerifyError, Which};
use self::explain::explain;
pub use self::verified_chain::{PathCertificate, VerifiedChain};
use crate::certificate::{Certificate, parse_x509};
use crate::chain::ObservedChain;
use crate::trust_anchor::TrustAnchors;

/// The signatures that a certificate may carry: no SHA-1, no RSA below 2048 bits, no DSA.
pub(crate) static ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
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
    verify_among(observed, anchors, TLS_SERVER_ROOTS, server_name, now)
}

/// `public_roots` are not trusted here: they only serve to tell why a chain is refused.
fn verify_among(
    observed: &ObservedChain<'_>,
    anchors: &TrustAnchors,
    public_roots: &[TrustAnchor<'static>],
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<VerifiedChain, VerifyError> {
    let parsed = parse_x509(observed.leaf())?;
    let leaf = Certificate::of(&parsed);
    let refused = |error| explain(error, observed, &leaf, anchors, server_name);
    let end_entity = EndEntityCert::try_from(observed.leaf()).map_err(refused)?;
    let candidates = Candidates::new(&leaf, &parsed, anchors, now);
    let judge = |path: &VerifiedPath<'_>| candidates.judge(path);
    let found = build_path(&end_entity, anchors.as_slice(), observed, now, Some(&judge));
    let refusal = match (found, candidates.verdict()) {
        (Ok(_), Some(Ok(chain))) => {
            end_entity
                .verify_is_valid_for_subject_name(server_name)
                .map_err(refused)?;
            return Ok(chain);
        }
        (_, Some(Err(refusal))) => refusal,
        (Err(error), _) => refused(error),
        (Ok(_), None) => VerifyError::Malformed("no path was looked at".to_owned()),
    };
    if !is_without_root(&refusal) || anchors.has_public_root() {
        return Err(refusal);
    }
    // Where no public root is trusted, a chain that leads to one deserves words of its own.
    match build_path(&end_entity, public_roots, observed, now, None) {
        Ok(root) => Err(VerifyError::PublicCaNotAllowed { root }),
        Err(_) => Err(refusal),
    }
}

/// Looks at each path that was found.
type Judge<'a> = &'a dyn Fn(&VerifiedPath<'_>) -> Result<(), webpki::Error>;

/// The subject of the root that a path leads to.
fn build_path(
    end_entity: &EndEntityCert<'_>,
    roots: &[TrustAnchor<'static>],
    observed: &ObservedChain<'_>,
    now: UnixTime,
    judge: Option<Judge<'_>>,
) -> Result<String, webpki::Error> {
    let usage = KeyUsage::server_auth();
    let sent = observed.intermediates();
    end_entity
        .verify_for_usage(ALGORITHMS, roots, sent, now, usage, None, judge)
        .map(|path| TrustAnchors::subject_of(path.anchor()))
}

fn is_without_root(refusal: &VerifyError) -> bool {
    matches!(
        refusal,
        VerifyError::UnknownIssuer { .. } | VerifyError::IntermediateMissing { .. }
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    use rustls_pki_types::CertificateDer;

    use super::*;

    const NAME: &str = "hooks.example.com";

    struct Root {
        der: CertificateDer<'static>,
        leaf: CertificateDer<'static>,
    }

    fn root(name: &str) -> Root {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        let leaf = CertificateParams::new([NAME.to_owned()]).unwrap();
        let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &issuer);
        let leaf = leaf.unwrap().der().clone();
        Root { der, leaf }
    }

    fn verdict(
        leaf: &CertificateDer<'_>,
        trusted: &Root,
        public: &Root,
    ) -> Result<(), VerifyError> {
        let anchors = TrustAnchors::none()
            .with_der([trusted.der.as_ref()])
            .unwrap();
        let public = webpki::anchor_from_trusted_cert(&public.der).unwrap();
        let name = ServerName::try_from(NAME).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_795_392_000));
        let observed = ObservedChain::new(leaf, &[]).unwrap();
        verify_among(&observed, &anchors, &[public.to_owned()], &name, now).map(|_| ())
    }

    #[test]
    fn a_public_ca_under_private_roots_only() {
        let (private, public, other) = (root("Private"), root("Public"), root("Other"));
        let root = "CN=Public".to_owned();
        assert_eq!(verdict(&private.leaf, &private, &public), Ok(()));
        assert_eq!(
            verdict(&public.leaf, &private, &public),
            Err(VerifyError::PublicCaNotAllowed { root })
        );
        let unknown = verdict(&other.leaf, &private, &public);
        let issuer = "CN=Other".to_owned();
        assert_eq!(unknown, Err(VerifyError::UnknownIssuer { issuer }));
    }
}
