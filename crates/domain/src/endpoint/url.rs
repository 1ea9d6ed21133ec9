//! The URL of an endpoint, parsed once at the edge.

use std::fmt;

use url::{Host, Url};

use crate::limits::URL_BYTES_MAX;
use crate::violation::Violation;

/// An absolute `https` or `http` URL with a host, without user info and fragment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EndpointUrl(Url);

/// Whether TLS protects the connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Scheme {
    /// `http`: allowed only where the operator allows it.
    Plain,
    /// `https`.
    Tls,
}

// === impl EndpointUrl ===

impl EndpointUrl {
    /// Parses what a client gave.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        if text.len() > URL_BYTES_MAX {
            return Err(Violation::new(
                "value_error.url",
                format!("must be at most {URL_BYTES_MAX} bytes"),
            ));
        }
        let url = Url::parse(text).map_err(|error| {
            Violation::new(
                "value_error.url",
                format!("must be an absolute URL ({error})"),
            )
        })?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(Violation::new("value_error.url.scheme", "must use https"));
        }
        if url.host().is_none() {
            return Err(Violation::new("value_error.url.host", "must have a host"));
        }
        if url.port() == Some(0) {
            return Err(Violation::new("value_error.url.port", "must not be 0"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Violation::new(
                "value_error.url.userinfo",
                "must not contain a user name or password; send credentials in a header",
            ));
        }
        if url.fragment().is_some() {
            return Err(Violation::new(
                "value_error.url.fragment",
                "must not have a fragment",
            ));
        }
        Ok(Self(url))
    }

    /// Whether TLS protects the connection.
    pub fn scheme(&self) -> Scheme {
        if self.0.scheme() == "https" {
            Scheme::Tls
        } else {
            Scheme::Plain
        }
    }

    /// The host: a name or an address.
    pub fn host(&self) -> Host<&str> {
        self.0.host().unwrap_or(Host::Domain(""))
    }

    /// The port, given or the scheme's own.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(443)
    }

    /// Path and query, as they stand in the request line.
    pub fn path_and_query(&self) -> String {
        match self.0.query() {
            Some(query) => format!("{}?{query}", self.0.path()),
            None => self.0.path().to_owned(),
        }
    }

    /// Host, and port where it is not the scheme's own: the `Host` header.
    pub fn authority(&self) -> String {
        let host = self.host();
        match self.0.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        }
    }

    /// The whole URL. May hold secrets in its query: for the client and the wire, not for logs.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Scheme and authority only: what may stand in a log.
impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<&str, &str>) {
        let got = EndpointUrl::parse(text).map(|url| url.to_string());
        assert_eq!(got.as_deref().map_err(|v| v.rule), expect, "{text}");
    }

    #[test]
    fn rules() {
        check("https://example.com/hook?key=1", Ok("https://example.com"));
        check("http://127.0.0.1:8080", Ok("http://127.0.0.1:8080"));
        check("https://[::1]:8443/x", Ok("https://[::1]:8443"));
        check("https://example.com:443/", Ok("https://example.com"));
        check("example.com/hook", Err("value_error.url"));
        check("ftp://example.com", Err("value_error.url.scheme"));
        check("https://", Err("value_error.url"));
        check("https://example.com:0/", Err("value_error.url.port"));
        check(
            "https://user:pw@example.com/",
            Err("value_error.url.userinfo"),
        );
        check("https://example.com/#frag", Err("value_error.url.fragment"));
        check(
            &format!("https://example.com/{}", "a".repeat(65_536)),
            Err("value_error.url"),
        );
    }

    #[test]
    fn parts_for_the_request() {
        let url = EndpointUrl::parse("https://Example.com:8443/a b?x=1").unwrap();
        assert_eq!(url.path_and_query(), "/a%20b?x=1");
        assert_eq!(url.authority(), "example.com:8443");
        assert_eq!((url.port(), url.scheme()), (8443, Scheme::Tls));
    }
}
