//! Where an endpoint's requests go, prepared once so that a request only copies references.

use std::fmt;
use std::net::IpAddr;

use hookseal_domain::endpoint::url::{EndpointUrl, Scheme};
use http::{HeaderValue, Uri};
use rustls_pki_types::ServerName;
use url::Host;

/// Where an endpoint's requests go: an endpoint's URL, taken apart. Make one for each change of the
/// URL, not one for each request.
#[derive(Clone, Debug)]
pub struct Target {
    route: Result<Route, BadTarget>,
}

/// A URL that the client's rules accept but that no request can be made of.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BadTarget {
    #[error("{0:?} is no host name that DNS and certificates can hold")]
    Host(String),
    #[error("the URL can't be written as an HTTP request target")]
    Uri,
}

/// The parts of a usable URL.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) origin: Origin,
    pub(crate) host: RouteHost,
    pub(crate) port: u16,
    /// The name that the certificate has to be valid for, and the one that SNI tells.
    pub(crate) server_name: ServerName<'static>,
    /// Path and query: the request target of HTTP/1.1.
    pub(crate) origin_form: Uri,
    /// The whole URL: HTTP/2 takes `:scheme` and `:authority` from it.
    pub(crate) absolute_form: Uri,
}

/// What a connection is for: scheme, host and port (RFC 6454).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Origin {
    pub(crate) scheme: Scheme,
    /// Host, and port where it is not the scheme's own: the `Host` header.
    pub(crate) authority: HeaderValue,
}

/// What a URL names its server by.
#[derive(Clone, Debug)]
pub(crate) enum RouteHost {
    Name(String),
    Ip(IpAddr),
}

// === impl Target ===

impl Target {
    /// Takes a URL apart. One that can't be requested makes every exchange fail with that reason.
    pub fn new(url: &EndpointUrl) -> Self {
        Self {
            route: Route::new(url),
        }
    }

    pub(crate) fn route(&self) -> Result<&Route, BadTarget> {
        self.route.as_ref().map_err(Clone::clone)
    }
}

// === impl Route ===

impl Route {
    fn new(url: &EndpointUrl) -> Result<Self, BadTarget> {
        let (host, server_name) = match url.host() {
            Host::Domain(name) => {
                let server_name = ServerName::try_from(name.to_owned())
                    .map_err(|_| BadTarget::Host(name.to_owned()))?;
                (RouteHost::Name(name.to_owned()), server_name)
            }
            Host::Ipv4(ip) => (RouteHost::Ip(ip.into()), IpAddr::from(ip).into()),
            Host::Ipv6(ip) => (RouteHost::Ip(ip.into()), IpAddr::from(ip).into()),
        };
        let authority = url.authority();
        let path = url.path_and_query();
        let scheme = match url.scheme() {
            Scheme::Plain => "http",
            Scheme::Tls => "https",
        };
        let absolute_form = Uri::builder()
            .scheme(scheme)
            .authority(authority.as_str())
            .path_and_query(path.as_str())
            .build()
            .map_err(|_| BadTarget::Uri)?;
        Ok(Self {
            origin: Origin {
                scheme: url.scheme(),
                authority: HeaderValue::try_from(authority).map_err(|_| BadTarget::Uri)?,
            },
            host,
            port: url.port(),
            server_name,
            origin_form: path.parse().map_err(|_| BadTarget::Uri)?,
            absolute_form,
        })
    }
}

/// Without path and query, which may hold secrets.
impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("scheme", &self.origin.scheme)
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(url: &str) -> Result<Route, BadTarget> {
        Target::new(&EndpointUrl::parse(url).unwrap())
            .route()
            .cloned()
    }

    #[test]
    fn parts() {
        let route = route("https://Example.com:8443/a b?x=`1|2`").unwrap();
        assert_eq!(route.origin.authority, "example.com:8443");
        assert_eq!(route.origin_form, "/a%20b?x=`1|2`");
        assert_eq!(
            route.absolute_form,
            "https://example.com:8443/a%20b?x=`1|2`"
        );
        assert_eq!(route.port, 8443);
        assert!(!format!("{route:?}").contains("x="));
    }

    #[test]
    fn addresses_are_not_names() {
        for (url, ip) in [
            ("http://127.0.0.1/", "127.0.0.1"),
            ("http://0x7f.1/", "127.0.0.1"),
            ("https://[::1]:1/", "::1"),
        ] {
            let route = route(url).unwrap();
            assert!(matches!(route.host, RouteHost::Ip(got) if got.to_string() == ip));
            assert!(matches!(route.server_name, ServerName::IpAddress(_)));
        }
    }

    #[test]
    fn names_that_dns_can_not_hold() {
        let long = "a".repeat(64);
        assert!(matches!(
            route(&format!("https://{long}.com/")),
            Err(BadTarget::Host(_))
        ));
        assert!(matches!(
            route("https://a..example.com/"),
            Err(BadTarget::Host(_))
        ));
    }
}
