//! Where a proxy is and what it speaks, as the operator writes it.

use std::fmt;
use std::net::SocketAddr;

use rustls_pki_types::DnsName;

/// Where a proxy is and what it speaks: `http://HOST:PORT` or `socks5://HOST:PORT`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProxyAddress {
    pub(crate) protocol: ProxyProtocol,
    /// A name or an address.
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProxyProtocol {
    /// CONNECT (RFC 9110 §9.3.6).
    Http,
    /// RFC 1928.
    Socks5,
}

// === impl ProxyAddress ===

impl ProxyAddress {
    /// Reads `http://HOST:PORT` or `socks5://HOST:PORT`. Credentials have no place in it: it is
    /// shown in messages.
    pub fn parse(text: &str) -> Option<Self> {
        let (protocol, rest) = match text.split_once("://")? {
            ("http", rest) => (ProxyProtocol::Http, rest),
            ("socks5", rest) => (ProxyProtocol::Socks5, rest),
            _ => return None,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.parse::<SocketAddr>() {
            Ok(addr) => (addr.ip().to_string(), addr.port()),
            Err(_) => {
                let (name, port) = rest.rsplit_once(':')?;
                let name = DnsName::try_from(name).ok()?;
                let port = port
                    .bytes()
                    .all(|byte| byte.is_ascii_digit())
                    .then_some(port)?;
                (name.as_ref().to_owned(), port.parse().ok()?)
            }
        };
        (port != 0).then_some(Self {
            protocol,
            host,
            port,
        })
    }
}

// === impl ProxyProtocol ===

impl fmt::Display for ProxyProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "HTTP CONNECT",
            Self::Socks5 => "SOCKS5",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_address() {
        use ProxyProtocol::{Http, Socks5};
        let check = |text: &str, expect: Option<(ProxyProtocol, &str, u16)>| {
            let expect = expect.map(|(protocol, host, port)| ProxyAddress {
                protocol,
                host: host.to_owned(),
                port,
            });
            assert_eq!(ProxyAddress::parse(text), expect, "{text}");
        };
        check("http://proxy.test:3128", Some((Http, "proxy.test", 3128)));
        check("http://proxy:80/", Some((Http, "proxy", 80)));
        check("socks5://10.0.0.1:1080", Some((Socks5, "10.0.0.1", 1080)));
        check("socks5://[fd00::1]:1080", Some((Socks5, "fd00::1", 1080)));
        check("http://proxy.test", None);
        check("http://proxy.test:0", None);
        check("http://proxy.test:+1", None);
        check("http://proxy.test:3128/path", None);
        check("http://user:password@proxy.test:3128", None);
        check("http://a..b:3128", None);
        check("http://[fd00::1%eth0]:1", None);
        check("https://proxy.test:3128", None);
        check("proxy.test:3128", None);
    }
}
