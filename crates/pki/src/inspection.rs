//! What is out of order in certificates that we accept all the same: rules of issuing that decide
//! nothing about trust, but that stricter software refuses.
//!
//! **Invariant:** only finds; what costs trust is a rule of [`verify`](crate::verify).

use std::fmt;

use x509_parser::extensions::{GeneralName, ParsedExtension, X509Extension};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;

use crate::certificate::{Certificate, CertificateError, KeyAlgorithm, parse_x509};
pub use crate::rules::Role;

/// Longest serial number, in bytes (RFC 5280 §4.1.2.2).
const SERIAL_BYTES_MAX: usize = 20;

macro_rules! findings {
    ($($name:ident = $label:literal, $text:literal;)+) => {
        /// Something out of order.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[expect(missing_docs, reason = "each says what it is in words")]
        pub enum Finding {
            $($name,)+
        }

        impl Finding {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Stable name.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)+
                }
            }

            const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

findings! {
    SerialNotPositive = "serial_not_positive",
        "the serial number is not positive (RFC 5280 §4.1.2.2)";
    SerialTooLong = "serial_too_long",
        "the serial number has more than 20 bytes (RFC 5280 §4.1.2.2)";
    AuthorityKeyIdMissing = "authority_key_id_missing",
        "the authority key identifier is missing (RFC 5280 §4.2.1.1)";
    AuthorityKeyIdCritical = "authority_key_id_critical",
        "the authority key identifier is critical (RFC 5280 §4.2.1.1)";
    AuthorityKeyIdUnusual = "authority_key_id_unusual",
        "the root's authority key identifier is not that of its own key alone (CA/Browser Forum \
         BR 7.1.2.1.3)";
    SubjectKeyIdMissing = "subject_key_id_missing",
        "the CA's subject key identifier is missing (RFC 5280 §4.2.1.2)";
    SubjectKeyIdCritical = "subject_key_id_critical",
        "the subject key identifier is critical (RFC 5280 §4.2.1.2)";
    BasicConstraintsNotCritical = "basic_constraints_not_critical",
        "the CA's basic constraints are not critical (RFC 5280 §4.2.1.9)";
    ServerMayIssue = "server_may_issue",
        "the key usage lists keyCertSign, and it is not a CA's (RFC 5280 §4.2.1.3)";
    ServerMayNotSign = "server_may_not_sign",
        "the key usage lacks digitalSignature (RFC 9846 §4.4.2.2)";
    NamesNotCritical = "names_not_critical",
        "the subject is empty and the alternative names are not critical (RFC 5280 §4.2.1.6)";
    NamesCritical = "names_critical",
        "the subject is not empty and the alternative names are critical (RFC 5280 §4.2.1.6)";
    CommonNameElsewhere = "common_name_elsewhere",
        "the common name is not among the alternative names, which alone count (RFC 9525 §2; \
         CA/Browser Forum BR 7.1.4.3)";
    HostNameUnusual = "host_name_unusual",
        "a host name has other characters than letters, digits and hyphens (RFC 1034 §3.5)";
    NameConstraintUnusual = "name_constraint_unusual",
        "a name constraint begins with a period (RFC 5280 §4.2.1.10)";
    KeyLengthUnusual = "key_length_unusual",
        "the RSA key's length is not a multiple of 8 bits (CA/Browser Forum BR 6.1.5)";
    CrlNumberMissing = "crl_number_missing",
        "the revocation list has no number (RFC 5280 §5.2.3)";
    CrlNumberCritical = "crl_number_critical",
        "the revocation list's number is critical (RFC 5280 §5.2.3)";
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// What is out of order in a certificate.
pub fn inspect(der: &[u8], role: Role) -> Result<Vec<Finding>, CertificateError> {
    let parsed = parse_x509(der)?;
    let facts = Certificate::of(&parsed);
    let mut found = Vec::new();
    let mut add = |holds: bool, finding| {
        if holds {
            found.push(finding);
        }
    };
    let serial = parsed.raw_serial();
    let positive =
        serial.first().is_some_and(|first| *first < 0x80) && serial.iter().any(|byte| *byte != 0);
    add(!positive, Finding::SerialNotPositive);
    let digits = serial.iter().skip_while(|byte| **byte == 0).count();
    add(digits > SERIAL_BYTES_MAX, Finding::SerialTooLong);
    let odd = matches!(facts.key_algorithm(), KeyAlgorithm::Rsa { bits } if bits % 8 != 0);
    add(odd, Finding::KeyLengthUnusual);

    let own_word = role == Role::Root && facts.is_self_issued();
    let without = facts.authority_key_id().is_none();
    add(without && !own_word, Finding::AuthorityKeyIdMissing);
    add(
        own_word && has_unusual_authority_key_id(&parsed, &facts),
        Finding::AuthorityKeyIdUnusual,
    );
    match role {
        Role::Server => inspect_server(&parsed, &facts, &mut add),
        Role::Intermediate | Role::Root => {
            let without = facts.subject_key_id().is_none();
            add(without, Finding::SubjectKeyIdMissing);
        }
    }
    for extension in parsed.extensions() {
        inspect_extension(extension, &parsed, &mut add);
    }
    Ok(found)
}

fn inspect_server(
    parsed: &X509Certificate<'_>,
    facts: &Certificate,
    add: &mut impl FnMut(bool, Finding),
) {
    add(!facts.may_sign(), Finding::ServerMayNotSign);
    let usage = parsed.key_usage().ok().flatten();
    let may_issue = usage.is_some_and(|usage| usage.value.key_cert_sign());
    add(may_issue && !facts.is_ca(), Finding::ServerMayIssue);
    let names = facts.names();
    let is_listed =
        |name: &str| names.omitted() > 0 || names.listed().iter().any(|one| one == name);
    let elsewhere = parsed
        .subject()
        .iter_common_name()
        .any(|name| !name.as_str().is_ok_and(is_listed));
    add(elsewhere, Finding::CommonNameElsewhere);
}

fn inspect_extension(
    extension: &X509Extension<'_>,
    parsed: &X509Certificate<'_>,
    add: &mut impl FnMut(bool, Finding),
) {
    let critical = extension.critical;
    match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(_) => {
            add(critical, Finding::AuthorityKeyIdCritical);
        }
        ParsedExtension::SubjectKeyIdentifier(_) => add(critical, Finding::SubjectKeyIdCritical),
        ParsedExtension::BasicConstraints(constraints) => {
            add(
                constraints.ca && !critical,
                Finding::BasicConstraintsNotCritical,
            );
        }
        ParsedExtension::SubjectAlternativeName(names) => {
            let nameless = parsed.subject().iter_rdn().next().is_none();
            add(nameless && !critical, Finding::NamesNotCritical);
            add(!nameless && critical, Finding::NamesCritical);
            let unusual = names.general_names.iter().any(is_unusual_host);
            add(unusual, Finding::HostNameUnusual);
        }
        ParsedExtension::NameConstraints(constraints) => {
            let permitted = constraints.permitted_subtrees.iter().flatten();
            let excluded = constraints.excluded_subtrees.iter().flatten();
            let unusual = permitted.chain(excluded).any(
                |tree| matches!(tree.base, GeneralName::DNSName(name) if name.starts_with('.')),
            );
            add(unusual, Finding::NameConstraintUnusual);
        }
        _ => {}
    }
}

/// A wildcard may stand in front.
fn is_unusual_host(name: &GeneralName<'_>) -> bool {
    let GeneralName::DNSName(host) = name else {
        return false;
    };
    let host = host.strip_prefix("*.").unwrap_or(host);
    !host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

fn has_unusual_authority_key_id(parsed: &X509Certificate<'_>, facts: &Certificate) -> bool {
    parsed
        .extensions()
        .iter()
        .any(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                id.authority_cert_issuer.is_some()
                    || id.authority_cert_serial.is_some()
                    || facts.authority_key_id().is_none()
                    || facts.authority_key_id() != facts.subject_key_id()
            }
            _ => false,
        })
}

/// What is out of order in a revocation list; nothing in one that can't be read.
pub fn inspect_crl(der: &[u8]) -> Vec<Finding> {
    let Ok((_, list)) = CertificateRevocationList::from_der(der) else {
        return Vec::new();
    };
    let mut numbers = list
        .extensions()
        .iter()
        .filter(|extension| matches!(extension.parsed_extension(), ParsedExtension::CRLNumber(_)));
    match numbers.next() {
        None => vec![Finding::CrlNumberMissing],
        Some(number) if number.critical => vec![Finding::CrlNumberCritical],
        Some(_) => Vec::new(),
    }
}
