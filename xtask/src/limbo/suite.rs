//! The JSON format of the cases, as far as it matters here. Fields that are not known are passed over, as the format's
//! own description asks; must never guess a value that decides a case.

use serde::{Deserialize, Deserializer};

/// A file of cases.
#[derive(Debug, Deserialize)]
pub(crate) struct Suite {
    pub(crate) version: u32,
    pub(crate) testcases: Vec<Case>,
}

/// One case. Certificates are in PEM.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) id: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub(crate) features: Vec<String>,
    pub(crate) validation_kind: ValidationKind,
    pub(crate) trusted_certs: Vec<String>,
    pub(crate) untrusted_intermediates: Vec<String>,
    pub(crate) peer_certificate: String,
    /// RFC 3339.
    #[serde(default)]
    pub(crate) validation_time: Option<String>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(crate) signature_algorithms: Vec<String>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(crate) key_usage: Vec<String>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(crate) extended_key_usage: Vec<String>,
    pub(crate) expected_result: Expected,
    #[serde(default)]
    pub(crate) expected_peer_name: Option<PeerName>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(crate) crls: Vec<String>,
}

/// Whose certificate is judged.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum ValidationKind {
    Client,
    Server,
}

/// What the suite says of a case.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Expected {
    Success,
    Failure,
}

/// Whom the certificate has to be for.
#[derive(Debug, Deserialize)]
pub(crate) struct PeerName {
    pub(crate) value: String,
}

/// Older files say `null` for an empty list.
fn or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Option::<Vec<String>>::deserialize(deserializer).map(Option::unwrap_or_default)
}
