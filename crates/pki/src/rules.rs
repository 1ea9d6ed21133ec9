//! Rules for certificates that the library does not check, and that cost a certificate its trust.
//!
//! **Invariant:** each rule names its clause; who breaks one is refused. What is merely out of order
//! is found by [`inspection`](crate::inspection).

use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::X509Certificate;

/// What a certificate is in its chain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// The server's own.
    Server,
    /// A CA's, between the server's and the root.
    Intermediate,
    /// A CA's that is trusted.
    Root,
}

/// The extensions that may be critical: those that are checked, and those that bind the issuer only.
const KNOWN: &[&[u8]] = &[
    SUBJECT_KEY_ID,
    KEY_USAGE,
    SUBJECT_ALT_NAME,
    BASIC_CONSTRAINTS,
    NAME_CONSTRAINTS,
    CRL_DISTRIBUTION_POINTS,
    CERTIFICATE_POLICIES,
    AUTHORITY_KEY_ID,
    POLICY_CONSTRAINTS,
    EXTENDED_KEY_USAGE,
    INHIBIT_ANY_POLICY,
];

/// The contents of object identifiers below `id-ce` (2.5.29) and `id-pe` (1.3.6.1.5.5.7.1).
const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 14];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 17];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 30];
const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 31];
const CERTIFICATE_POLICIES: &[u8] = &[0x55, 0x1d, 32];
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 35];
const POLICY_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 36];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
const INHIBIT_ANY_POLICY: &[u8] = &[0x55, 0x1d, 54];
const AUTHORITY_INFO_ACCESS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 1];

/// The first rule that a certificate breaks.
pub(crate) fn broken(certificate: &X509Certificate<'_>, role: Role) -> Option<&'static str> {
    if has_extension_twice(certificate) {
        return Some("no extension occurs twice (RFC 5280 §4.2)");
    }
    if has_unreadable_extension(certificate) {
        return Some("extensions that decide something can be read (RFC 5280 §4.2)");
    }
    match role {
        Role::Server => of_server(certificate),
        Role::Intermediate => of_ca(certificate),
        // The library checks this of the others.
        Role::Root if has_unknown_critical_extension(certificate) => {
            Some("critical extensions are known (RFC 5280 §4.2)")
        }
        Role::Root => of_ca(certificate),
    }
}

fn of_server(certificate: &X509Certificate<'_>) -> Option<&'static str> {
    match name_constraints(certificate) {
        None => None,
        Some(_) => Some("name constraints stand in a CA's certificate only (RFC 5280 §4.2.1.10)"),
    }
}

fn of_ca(certificate: &X509Certificate<'_>) -> Option<&'static str> {
    if certificate.subject().iter_rdn().next().is_none() {
        return Some("a CA has a name (RFC 5280 §4.1.2.6)");
    }
    if let Ok(Some(usage)) = certificate.key_usage()
        && !usage.value.key_cert_sign()
    {
        return Some("a CA's key usage, if it has one, lists keyCertSign (RFC 5280 §6.1.4(n))");
    }
    match name_constraints(certificate) {
        Some(Constraints::None) => Some("name constraints are not empty (RFC 5280 §4.2.1.10)"),
        _ => None,
    }
}

/// Whether a name constraints extension says anything.
enum Constraints {
    None,
    Some,
}

fn name_constraints(certificate: &X509Certificate<'_>) -> Option<Constraints> {
    let found = certificate.extensions().iter();
    let mut found = found.filter(|extension| extension.oid.as_bytes() == NAME_CONSTRAINTS);
    match found.next()?.parsed_extension() {
        ParsedExtension::NameConstraints(constraints) => {
            let none = |subtrees: &Option<Vec<_>>| subtrees.as_ref().is_none_or(Vec::is_empty);
            let empty =
                none(&constraints.permitted_subtrees) && none(&constraints.excluded_subtrees);
            Some(if empty {
                Constraints::None
            } else {
                Constraints::Some
            })
        }
        _ => Some(Constraints::None),
    }
}

fn has_extension_twice(certificate: &X509Certificate<'_>) -> bool {
    let mut oids: Vec<&[u8]> = certificate
        .extensions()
        .iter()
        .map(|extension| extension.oid.as_bytes())
        .collect();
    oids.sort_unstable();
    !oids.is_sorted_by(|one, next| one < next)
}

fn has_unreadable_extension(certificate: &X509Certificate<'_>) -> bool {
    const DECISIVE: &[&[u8]] = &[
        KEY_USAGE,
        BASIC_CONSTRAINTS,
        NAME_CONSTRAINTS,
        EXTENDED_KEY_USAGE,
        AUTHORITY_INFO_ACCESS,
    ];
    certificate.extensions().iter().any(|extension| {
        DECISIVE.contains(&extension.oid.as_bytes())
            && matches!(
                extension.parsed_extension(),
                ParsedExtension::ParseError { .. }
            )
    })
}

fn has_unknown_critical_extension(certificate: &X509Certificate<'_>) -> bool {
    certificate
        .extensions()
        .iter()
        .any(|extension| extension.critical && !KNOWN.contains(&extension.oid.as_bytes()))
}
