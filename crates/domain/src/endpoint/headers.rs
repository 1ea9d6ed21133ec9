//! Custom headers of an endpoint: what a consumer's gateway asks for.
//!
//! **Invariant:** a header that would forge our signature, break the framing or smuggle a second
//! request can't be made.

use std::collections::BTreeMap;
use std::fmt;

use crate::limits::{HEADER_NAME_BYTES_MAX, HEADER_VALUE_BYTES_MAX, HEADERS_MAX};
use crate::violation::Violation;

/// Valid header names (lower case) and values. Values are secrets: `Debug` shows the names.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct EndpointHeaders(BTreeMap<String, String>);

/// Names that we set ourselves or that steer the connection (RFC 9110 §7.6.1, RFC 9112 §6).
const RESERVED: [&str; 17] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
];

/// Prefixes of the signature headers.
const RESERVED_PREFIXES: [&str; 2] = ["webhook-", "svix-"];

// === impl EndpointHeaders ===

impl EndpointHeaders {
    /// Checks every pair; the error's field is the header's name.
    pub fn parse(
        pairs: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, (String, Violation)> {
        let mut headers = BTreeMap::new();
        for (name, value) in pairs {
            if let Err(violation) = check_header(&name, &value) {
                return Err((name, violation));
            }
            if headers.insert(name.to_ascii_lowercase(), value).is_some() {
                let violation = Violation::new("header.duplicate", "is given more than once");
                return Err((name, violation));
            }
        }
        if headers.len() > HEADERS_MAX {
            let message = format!("must be at most {HEADERS_MAX} headers");
            return Err((String::new(), Violation::new("header.count", message)));
        }
        Ok(Self(headers))
    }

    /// Headers read back from the store.
    pub fn from_stored(pairs: BTreeMap<String, String>) -> Self {
        Self(pairs)
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The pairs for the store, which seals them.
    pub fn pairs(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl fmt::Debug for EndpointHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn check_header(name: &str, value: &str) -> Result<(), Violation> {
    // RFC 9110 §5.6.2: token.
    let token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    if name.is_empty() || name.len() > HEADER_NAME_BYTES_MAX || !name.bytes().all(token) {
        return Err(Violation::new(
            "header.name",
            "is no valid header name (RFC 9110 §5.1)",
        ));
    }
    let lower = name.to_ascii_lowercase();
    if RESERVED.contains(&lower.as_str()) || RESERVED_PREFIXES.iter().any(|p| lower.starts_with(p))
    {
        return Err(Violation::new(
            "header.reserved",
            "is set by Hookseal and can't be changed",
        ));
    }
    // RFC 9110 §5.5: no control characters, so that no line can end here.
    let fit = |c: u8| c == b'\t' || (0x20..0x7f).contains(&c);
    if value.len() > HEADER_VALUE_BYTES_MAX || !value.bytes().all(fit) || value.trim() != value {
        return Err(Violation::new(
            "header.value",
            format!(
                "must have a value of at most {HEADER_VALUE_BYTES_MAX} visible ASCII characters, \
                 without spaces at its ends"
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str, expect: Result<(), &str>) {
        let got = EndpointHeaders::parse([(name.to_owned(), value.to_owned())]).map(|_| ());
        assert_eq!(got.map_err(|(_, v)| v.rule), expect, "{name}: {value}");
    }

    #[test]
    fn rules() {
        check("X-Api-Key", "hush hush", Ok(()));
        check("authorization", "Bearer x", Ok(()));
        check("", "x", Err("header.name"));
        check("a b", "x", Err("header.name"));
        check("Webhook-Signature", "x", Err("header.reserved"));
        check("svix-id", "x", Err("header.reserved"));
        check("Transfer-Encoding", "chunked", Err("header.reserved"));
        check("x-a", "1\r\nwebhook-id: forged", Err("header.value"));
        check("x-a", " 1", Err("header.value"));
        check("x-a", &"1".repeat(4097), Err("header.value"));
    }

    #[test]
    fn names_are_compared_without_case_and_values_hidden() {
        let twice = [
            ("X-A".to_owned(), "1".to_owned()),
            ("x-a".to_owned(), "2".to_owned()),
        ];
        assert_eq!(
            EndpointHeaders::parse(twice).unwrap_err().1.rule,
            "header.duplicate"
        );
        let one = EndpointHeaders::parse([("X-A".to_owned(), "hush".to_owned())]).unwrap();
        assert_eq!(format!("{one:?}"), r#"{"x-a"}"#);
    }
}
