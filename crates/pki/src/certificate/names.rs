//! The names of a certificate, for messages.
//!
//! **Invariant:** strangers choose them: they are bounded and printable, and decide nothing.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

/// Most names that are kept of a certificate: enough for a message to a person.
const NAMES_MAX: usize = 8;
/// Longest name that is kept, in characters: the longest DNS name.
const NAME_CHARS_MAX: usize = 255;

/// The names a certificate was issued for: the first few, and how many more there are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Names {
    listed: Vec<String>,
    omitted: usize,
}

// === impl Names ===

impl Names {
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        let Ok(Some(extension)) = certificate.subject_alternative_name() else {
            return Self::default();
        };
        let all = &extension.value.general_names;
        Self {
            listed: all
                .iter()
                .take(NAMES_MAX)
                .map(|name| printable(&general_name(name)))
                .collect(),
            omitted: all.len().saturating_sub(NAMES_MAX),
        }
    }

    /// The first few.
    pub fn listed(&self) -> &[String] {
        &self.listed
    }

    /// How many more there are.
    pub fn omitted(&self) -> usize {
        self.omitted
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.listed.is_empty() {
            return f.write_str("no name at all");
        }
        f.write_str(&self.listed.join(", "))?;
        match self.omitted {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

fn general_name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(bytes) => match ip_address(bytes) {
            Some(ip) => ip.to_string(),
            None => "an invalid address".to_owned(),
        },
        GeneralName::URI(uri) => format!("URI {uri}"),
        GeneralName::RFC822Name(mailbox) => format!("mailbox {mailbox}"),
        _ => "a name of another kind".to_owned(),
    }
}

fn ip_address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|octets| Ipv4Addr::from(octets).into());
    let v6 = <[u8; 16]>::try_from(bytes).map(|octets| Ipv6Addr::from(octets).into());
    v4.or(v6).ok()
}

/// A `Name` in DER, as servers hint at the CAs of client certificates, for people.
pub fn printable_name(der: &[u8]) -> Option<String> {
    match X509Name::from_der(der) {
        Ok(([], name)) => Some(distinguished_name(&name)),
        _ => None,
    }
}

pub(crate) fn distinguished_name(name: &X509Name<'_>) -> String {
    printable(&name.to_string())
}

/// Strangers choose these names: no control characters (terminals, logs) and a bounded length.
fn printable(text: &str) -> String {
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().take(NAME_CHARS_MAX).map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_printable() {
        let long = "a".repeat(1000);
        assert_eq!(printable(&long).len(), NAME_CHARS_MAX);
        assert_eq!(
            printable("evil\n\u{1b}[2Jname\0"),
            "evil\u{fffd}\u{fffd}[2Jname\u{fffd}"
        );
    }

    #[test]
    fn addresses_have_4_or_16_bytes() {
        assert_eq!(
            ip_address(&[127, 0, 0, 1]).unwrap().to_string(),
            "127.0.0.1"
        );
        assert_eq!(ip_address(&[0; 16]).unwrap().to_string(), "::");
        assert_eq!(ip_address(&[0; 5]), None);
    }
}
