//! Judges one case as a delivery would: with the code that judges receivers, and nothing besides.

use std::collections::BTreeSet;
use std::iter;
use std::time::Duration;

use hookseal_pki::certificate::Certificate;
use hookseal_pki::chain::ObservedChain;
use hookseal_pki::inspection::{Finding, Role, inspect, inspect_crl};
use hookseal_pki::revocation::crl::Crl;
use hookseal_pki::revocation::{Standing, links};
use hookseal_pki::trust_anchor::TrustAnchors;
use hookseal_pki::verify::{VerifiedChain, verify};
use jiff::Timestamp;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};

use crate::limbo::suite::{Case, ValidationKind};

/// Features of cases that are not run, each with the reason.
const SKIPPED_FEATURES: &[(&str, &str)] = &[
    (
        "max-chain-depth",
        "the depth of a path is not configurable: 6 certificates below the root",
    ),
    (
        "has-policy-constraints",
        "certificate policies decide nothing here (RFC 5280 §6.1.1(c): any policy will do)",
    ),
    (
        "has-cert-policies",
        "certificate policies decide nothing here (RFC 5280 §6.1.1(c): any policy will do)",
    ),
    (
        "pedantic-public-suffix-wildcard",
        "there is no list of public suffixes here, and no private CA knows it",
    ),
    (
        "pedantic-webpki-eku",
        "rules of the CA/Browser Forum for public CAs: RFC 5280 §4.2.1.12 allows certificates without purpose",
    ),
    (
        "rfc5280-incompatible-with-webpki",
        "the suite has the opposite case for the web, and we follow that one",
    ),
];

/// What we say of a case.
#[derive(Debug)]
pub(crate) enum Judgement {
    /// It proves the server's identity; what inspection finds out of order all the same.
    Accepted(Vec<Finding>),
    /// It does not, and why.
    Refused(String),
    /// Not run, and why.
    Skipped(&'static str),
}

/// What we say of a case; `now` is for cases without a time of their own.
pub(crate) fn judge(case: &Case, now: UnixTime) -> Judgement {
    if let Some(reason) = skip_reason(case) {
        return Judgement::Skipped(reason);
    }
    match accept(case, now) {
        Ok(()) => Judgement::Accepted(findings(case)),
        Err(error) => Judgement::Refused(format!("{error:#}")),
    }
}

fn skip_reason(case: &Case) -> Option<&'static str> {
    let of_feature = SKIPPED_FEATURES
        .iter()
        .find(|(feature, _)| case.features.iter().any(|one| one == feature));
    if let Some((_, reason)) = of_feature {
        return Some(reason);
    }
    if case.validation_kind == ValidationKind::Client {
        return Some("we verify servers; clients are not our business");
    }
    if case.expected_peer_name.is_none() {
        return Some("without a name there is no server to verify");
    }
    if !case.signature_algorithms.is_empty() {
        return Some("the signature algorithms are not configurable");
    }
    if case
        .key_usage
        .iter()
        .any(|usage| usage != "digitalSignature")
    {
        return Some("no key usage but digitalSignature can be asked for");
    }
    let server_only = case
        .extended_key_usage
        .iter()
        .all(|usage| usage == "serverAuth");
    (!server_only).then_some("the purpose is serverAuth and not configurable")
}

fn accept(case: &Case, now: UnixTime) -> anyhow::Result<()> {
    let leaf = certificate(&case.peer_certificate)?;
    let sent = case
        .untrusted_intermediates
        .iter()
        .map(|pem| certificate(pem))
        .collect::<Result<Vec<_>, _>>()?;
    // A root that can't be used is not trusted; the others are.
    let anchors = case
        .trusted_certs
        .iter()
        .fold(TrustAnchors::none(), |anchors, pem| {
            anchors.clone().with_pem(pem.as_bytes()).unwrap_or(anchors)
        });
    let name = case
        .expected_peer_name
        .as_ref()
        .map_or("", |name| name.value.as_str());
    let name = ServerName::try_from(name)?;
    let now = match &case.validation_time {
        Some(text) => at(text)?,
        None => now,
    };
    if !case.key_usage.is_empty() && !Certificate::parse(&leaf)?.may_sign() {
        anyhow::bail!("the key usage lacks digitalSignature");
    }
    let observed = ObservedChain::new(&leaf, &sent)?;
    let verified = verify(&observed, &anchors, &name, now)?;
    check_crls(case, &observed, &verified, &anchors, now)
}

/// Fractions of a second are cut off: dates in certificates have none.
fn at(text: &str) -> anyhow::Result<UnixTime> {
    let secs = text.parse::<Timestamp>()?.as_second();
    Ok(UnixTime::since_unix_epoch(Duration::from_secs(
        secs.try_into()?,
    )))
}

fn certificate(pem: &str) -> anyhow::Result<CertificateDer<'static>> {
    Ok(CertificateDer::from_pem_slice(pem.as_bytes())?)
}

/// What inspection finds in a chain and its lists, each thing once.
fn findings(case: &Case) -> Vec<Finding> {
    let certificates = iter::once((&case.peer_certificate, Role::Server))
        .chain(
            case.untrusted_intermediates
                .iter()
                .map(|pem| (pem, Role::Intermediate)),
        )
        .chain(case.trusted_certs.iter().map(|pem| (pem, Role::Root)));
    let of_certificates = certificates
        .filter_map(|(pem, role)| inspect(&certificate(pem).ok()?, role).ok())
        .flatten();
    let of_lists = case
        .crls
        .iter()
        .filter_map(|pem| CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).ok())
        .flat_map(|der| inspect_crl(&der));
    BTreeSet::from_iter(of_certificates.chain(of_lists))
        .into_iter()
        .collect()
}

/// A list that can't be read, or that its CA may not issue, is no list; one that is another CA's says nothing.
fn check_crls(
    case: &Case,
    observed: &ObservedChain<'_>,
    verified: &VerifiedChain,
    anchors: &TrustAnchors,
    now: UnixTime,
) -> anyhow::Result<()> {
    for pem in &case.crls {
        let list = Crl::parse(pem.as_bytes())?;
        for link in links(observed, verified, anchors)? {
            if !list.is_of_issuer(&link) {
                continue;
            }
            if let Standing::Revoked(revoked) = list.check(&link, now)? {
                anyhow::bail!("revoked {revoked}");
            }
        }
    }
    Ok(())
}
