//! The URL under which clients reach the API. Never with a path that has a query or fragment, which
//! are added.

use std::fmt;
use std::net::SocketAddr;

use hookseal_domain::endpoint::verification::Origin;
use url::Url;

use crate::config::value::Scalar;

/// Where clients reach the API, without a slash at its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicUrl(String);

// === impl PublicUrl ===

impl PublicUrl {
    /// Where a listener is, for clients of the same machine.
    pub fn of_listener(scheme: &str, address: SocketAddr) -> Self {
        Self(format!("{scheme}://{address}"))
    }

    /// The name of its host, if it has one.
    pub fn name(&self) -> Option<Origin> {
        let url = Url::parse(&self.0).ok()?;
        Origin::parse(url.host_str()?).ok()
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for PublicUrl {
    const FORM: &'static str = "an https:// or http:// URL without user, query and fragment";

    fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let known = matches!(url.scheme(), "http" | "https") && url.has_host();
        (plain && known).then(|| Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_place_and_nothing_more() {
        let check = |text: &str, expect: Option<&str>| {
            let parsed = PublicUrl::parse(text).map(|url| url.to_string());
            assert_eq!(parsed.as_deref(), expect, "{text}");
        };
        check(
            "https://hooks.example.com",
            Some("https://hooks.example.com"),
        );
        check("http://h:8071/base/", Some("http://h:8071/base"));
        for wrong in [
            "",
            "hooks.example.com",
            "ftp://h",
            "https://u@h",
            "https://h?a",
            "https://h#a",
        ] {
            check(wrong, None);
        }
    }
}
