//! What a certificate's extensions say of its use and of where more can be fetched.
//!
//! **Invariant:** addresses in here were chosen by a stranger: whoever fetches them screens them
//! first.

use x509_parser::der_parser::asn1_rs::FromDer;
use x509_parser::extensions::{
    DistributionPointName, ExtendedKeyUsage, GeneralName, ParsedExtension,
};
use x509_parser::prelude::X509Certificate;

use super::algorithm::oid_text;
use super::fingerprint::hex;

/// Most addresses that are kept of each kind: real certificates have one or two.
const URLS_MAX: usize = 4;
/// Longest address that is kept, in bytes.
const URL_BYTES_MAX: usize = 1024;
/// Longest key identifier that is kept, in bytes: twice a SHA-256.
const KEY_ID_BYTES_MAX: usize = 64;

/// `id-pe-tlsfeature` (RFC 7633 §4).
const TLS_FEATURE: &str = "1.3.6.1.5.5.7.1.24";
/// `status_request` (RFC 6066 §8).
const STATUS_REQUEST: u16 = 5;
/// `id-ad-ocsp` and `id-ad-caIssuers` (RFC 5280 §4.2.2.1).
const OCSP: &str = "1.3.6.1.5.5.7.48.1";
const CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";

/// What a certificate may be used for (RFC 5280 §4.2.1.12).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// It names no purpose: any will do.
    Any,
    /// It names purposes.
    Only {
        /// Whether servers are among them.
        server_auth: bool,
        /// Whether clients are among them.
        client_auth: bool,
    },
}

/// Whether a certificate demands that its status is stapled (RFC 7633).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stapling {
    /// It says nothing of it.
    Optional,
    /// A handshake without a stapled status must fail.
    Must,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Extensions {
    pub(super) purpose: Purpose,
    pub(super) stapling: Stapling,
    pub(super) ca_issuers_urls: Vec<String>,
    pub(super) ocsp_urls: Vec<String>,
    pub(super) crl_urls: Vec<String>,
    pub(super) authority_key_id: Option<String>,
    pub(super) subject_key_id: Option<String>,
}

// === impl Purpose ===

impl Purpose {
    /// Whether a client may show it.
    pub fn allows_client(self) -> bool {
        match self {
            Self::Any => true,
            Self::Only { client_auth, .. } => client_auth,
        }
    }

    /// Whether a server may show it.
    pub fn allows_server(self) -> bool {
        match self {
            Self::Any => true,
            Self::Only { server_auth, .. } => server_auth,
        }
    }

    fn of(usage: &ExtendedKeyUsage<'_>) -> Self {
        Self::Only {
            server_auth: usage.server_auth,
            client_auth: usage.client_auth,
        }
    }
}

// === impl Extensions ===

impl Extensions {
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        let mut all = Self {
            purpose: Purpose::Any,
            stapling: Stapling::Optional,
            ca_issuers_urls: Vec::new(),
            ocsp_urls: Vec::new(),
            crl_urls: Vec::new(),
            authority_key_id: None,
            subject_key_id: None,
        };
        for extension in certificate.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::ExtendedKeyUsage(usage) => all.purpose = Purpose::of(usage),
                ParsedExtension::AuthorityInfoAccess(access) => {
                    for description in access.iter() {
                        let kind = oid_text(&description.access_method);
                        let urls = match kind.as_str() {
                            OCSP => &mut all.ocsp_urls,
                            CA_ISSUERS => &mut all.ca_issuers_urls,
                            _ => continue,
                        };
                        keep_url(urls, &description.access_location);
                    }
                }
                ParsedExtension::CRLDistributionPoints(points) => {
                    for point in &points.points {
                        if let Some(DistributionPointName::FullName(names)) =
                            &point.distribution_point
                        {
                            names
                                .iter()
                                .for_each(|name| keep_url(&mut all.crl_urls, name));
                        }
                    }
                }
                ParsedExtension::AuthorityKeyIdentifier(authority) => {
                    all.authority_key_id = authority
                        .key_identifier
                        .as_ref()
                        .and_then(|id| key_id(id.0));
                }
                ParsedExtension::SubjectKeyIdentifier(id) => all.subject_key_id = key_id(id.0),
                _ if oid_text(&extension.oid) == TLS_FEATURE => {
                    all.stapling = stapling(extension.value);
                }
                _ => {}
            }
        }
        all
    }
}

fn keep_url(urls: &mut Vec<String>, name: &GeneralName<'_>) {
    let GeneralName::URI(url) = name else {
        return;
    };
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    if plain && url.len() <= URL_BYTES_MAX && urls.len() < URLS_MAX {
        urls.push((*url).to_owned());
    }
}

fn key_id(bytes: &[u8]) -> Option<String> {
    (!bytes.is_empty() && bytes.len() <= KEY_ID_BYTES_MAX).then(|| hex(bytes))
}

/// A list that can't be read demands everything: it fails closed.
fn stapling(value: &[u8]) -> Stapling {
    match Vec::<u16>::from_der(value) {
        Ok((_, features)) if !features.contains(&STATUS_REQUEST) => Stapling::Optional,
        _ => Stapling::Must,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7633 §4.1: a sequence of integers.
    #[test]
    fn must_staple() {
        assert_eq!(stapling(&[0x30, 3, 2, 1, 5]), Stapling::Must);
        assert_eq!(stapling(&[0x30, 6, 2, 1, 17, 2, 1, 5]), Stapling::Must);
        assert_eq!(stapling(&[0x30, 3, 2, 1, 17]), Stapling::Optional);
        assert_eq!(stapling(&[0x30, 0]), Stapling::Optional);
        assert_eq!(stapling(&[0x30, 9, 2]), Stapling::Must);
    }

    #[test]
    fn urls_are_bounded_and_plain() {
        let mut urls = Vec::new();
        let long = format!("http://{}", "a".repeat(1100));
        for url in ["http://a/\n", "http://a b/", &long, "ldap://ok"] {
            keep_url(&mut urls, &GeneralName::URI(url));
        }
        assert_eq!(urls, ["ldap://ok"]);
        for _ in 0..9 {
            keep_url(&mut urls, &GeneralName::URI("http://a/"));
        }
        assert_eq!(urls.len(), URLS_MAX);
    }
}
