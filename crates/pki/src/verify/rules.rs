//! Rules for certificates that the library does not check.
//!
//! **Invariant:** each rule names its clause; a certificate that breaks one is refused.

use x509_parser::prelude::X509Certificate;

/// What a certificate is in its chain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    /// The server's own.
    Server,
    /// Between it and the root.
    Intermediate,
}

/// The first rule that it breaks.
pub(super) fn broken(certificate: &X509Certificate<'_>, role: Role) -> Option<&'static str> {
    if role == Role::Intermediate && certificate.subject().iter_rdn().next().is_none() {
        return Some("a CA has a name (RFC 5280 §4.1.2.6)");
    }
    if has_extension_twice(certificate) {
        return Some("no extension occurs twice (RFC 5280 §4.2)");
    }
    None
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
