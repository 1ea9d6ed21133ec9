//! Fetches what certificates point to: revocation lists and OCSP answers.
//!
//! **Invariant:** the URLs were chosen by strangers. Every address is screened, and connected to as
//! it was screened; redirects are not followed; nothing of ours is told but the question; time and
//! size are bounded while reading.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookseal_domain::address_policy::{AddressPolicy, EgressDenied, ScreenedAddr};
use hookseal_domain::endpoint::url::Scheme;
use hookseal_domain::limits::RESPONSE_HEAD_BYTES_MAX;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::{Host, Url};

use crate::connect::{self, ConnectError};
use crate::proxy::{Proxy, ProxyError};
use crate::resolve::{Names, ResolveError};

/// Longest URL that is fetched, in bytes.
const URL_BYTES_MAX: usize = 2048;
/// How long connecting may take; the whole is bounded by whoever asks.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// Fetches from strangers.
pub(crate) struct Fetcher {
    names: Arc<Names>,
    address_policy: AddressPolicy,
}

/// An `http` URL that may be fetched, if its addresses may.
#[derive(Clone, Debug)]
pub(crate) struct FetchUrl {
    host: FetchHost,
    port: u16,
    authority: HeaderValue,
    origin_form: Uri,
}

#[derive(Clone, Debug)]
enum FetchHost {
    Name(String),
    Ip(IpAddr),
}

/// What is asked for.
pub(crate) enum FetchRequest {
    Get,
    Post {
        media_type: &'static str,
        body: Vec<u8>,
    },
}

/// A URL that is not fetched.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BadFetchUrl {
    #[error("only http:// URLs are fetched")]
    Scheme,
    #[error("it has a user name or password in it")]
    Credentials,
    #[error("it is not a URL of at most {URL_BYTES_MAX} bytes with a host and a port")]
    Malformed,
}

/// Nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Blocked(EgressDenied),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error("the HTTP exchange failed")]
    Http(#[from] hyper::Error),
    #[error("it redirects ({0}), which is not followed")]
    Redirect(StatusCode),
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
}

// === impl FetchUrl ===

impl FetchUrl {
    /// TLS would need a verified server of its own, and so lists for that; what is fetched here is
    /// signed, which is why RFC 5280 §8 advises against https.
    pub(crate) fn parse(text: &str) -> Result<Self, BadFetchUrl> {
        if text.len() > URL_BYTES_MAX {
            return Err(BadFetchUrl::Malformed);
        }
        let url = Url::parse(text).map_err(|_| BadFetchUrl::Malformed)?;
        if url.scheme() != "http" {
            return Err(BadFetchUrl::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadFetchUrl::Credentials);
        }
        let host = url.host().ok_or(BadFetchUrl::Malformed)?;
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let port = url.port_or_known_default().filter(|port| *port != 0);
        Ok(Self {
            host: match host {
                Host::Domain(name) => FetchHost::Name(name.to_owned()),
                Host::Ipv4(ip) => FetchHost::Ip(ip.into()),
                Host::Ipv6(ip) => FetchHost::Ip(ip.into()),
            },
            port: port.ok_or(BadFetchUrl::Malformed)?,
            authority: HeaderValue::try_from(authority).map_err(|_| BadFetchUrl::Malformed)?,
            origin_form: path.parse().map_err(|_| BadFetchUrl::Malformed)?,
        })
    }

    /// The name or address of its host.
    pub(crate) fn host_text(&self) -> String {
        match &self.host {
            FetchHost::Name(name) => name.clone(),
            FetchHost::Ip(ip) => ip.to_string(),
        }
    }
}

// === impl FetchRequest ===

impl FetchRequest {
    fn message(self, url: &FetchUrl) -> Request<Full<Bytes>> {
        let mut message = match self {
            Self::Get => Request::new(Full::default()),
            Self::Post { media_type, body } => {
                let mut message = Request::new(Full::from(body));
                *message.method_mut() = Method::POST;
                let media_type = HeaderValue::from_static(media_type);
                message.headers_mut().insert(CONTENT_TYPE, media_type);
                message
            }
        };
        *message.uri_mut() = url.origin_form.clone();
        let headers = message.headers_mut();
        headers.insert(HOST, url.authority.clone());
        headers.insert(USER_AGENT, HeaderValue::from_static("Hookseal"));
        message
    }
}

// === impl Fetcher ===

impl Fetcher {
    pub(crate) fn new(names: Arc<Names>, address_policy: AddressPolicy) -> Self {
        Self {
            names,
            address_policy,
        }
    }

    /// Fetches at most `bytes_max` bytes, through the proxy if there is one. Whoever calls it
    /// bounds the time.
    pub(crate) async fn fetch(
        &self,
        url: &FetchUrl,
        proxy: Option<&Proxy>,
        request: FetchRequest,
        bytes_max: usize,
    ) -> Result<Vec<u8>, FetchError> {
        let addresses = self.addresses(url).await?;
        let (tcp, _) = match proxy {
            Some(proxy) => {
                let within = CONNECT_TIME_MAX;
                proxy.connect(&self.names, &addresses, within).await?
            }
            None => connect::connect(&addresses, CONNECT_TIME_MAX).await?,
        };
        exchange(tcp, request.message(url), bytes_max).await
    }

    /// The addresses that the policy allows, at least one.
    async fn addresses(&self, url: &FetchUrl) -> Result<Vec<ScreenedAddr>, FetchError> {
        let addresses = match &url.host {
            FetchHost::Ip(ip) => vec![*ip],
            FetchHost::Name(name) => self.names.resolve(name).await?,
        };
        let mut refused = None;
        let mut screened = Vec::new();
        for ip in addresses {
            // As for TLS: the operator's rule on plain HTTP keeps payloads from being read on the
            // way. Here none is sent, and what comes back is signed.
            match self
                .address_policy
                .screen(SocketAddr::new(ip, url.port), Scheme::Tls)
            {
                Ok(address) => screened.push(address),
                Err(denied) => refused = Some(denied),
            }
        }
        match refused {
            Some(denied) if screened.is_empty() => Err(FetchError::Blocked(denied)),
            _ => Ok(screened),
        }
    }
}

async fn exchange(
    tcp: TcpStream,
    message: Request<Full<Bytes>>,
    bytes_max: usize,
) -> Result<Vec<u8>, FetchError> {
    let (mut sender, connection) = http1::Builder::new()
        .max_header_size(RESPONSE_HEAD_BYTES_MAX)
        .max_buf_size(RESPONSE_HEAD_BYTES_MAX)
        .handshake(TokioIo::new(tcp))
        .await?;
    let mut answer = pin!(async move {
        let response = sender.send_request(message).await?;
        read(response, bytes_max).await
    });
    tokio::select! {
        read = &mut answer => read,
        // What has arrived before the connection's end can still be read.
        _ended = connection => answer.await,
    }
}

async fn read(response: Response<Incoming>, bytes_max: usize) -> Result<Vec<u8>, FetchError> {
    match response.status() {
        StatusCode::OK => {}
        status if status.is_redirection() => return Err(FetchError::Redirect(status)),
        status => return Err(FetchError::Status(status)),
    }
    let mut body = response.into_body();
    // A length that is told beforehand is not waited for.
    if body.size_hint().lower() > u64::try_from(bytes_max).unwrap_or(u64::MAX) {
        return Err(FetchError::TooLong(bytes_max));
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if bytes.len().saturating_add(data.len()) > bytes_max {
            return Err(FetchError::TooLong(bytes_max));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_urls_without_credentials() {
        let parse = |text: &str| {
            let url = FetchUrl::parse(text)?;
            let authority = url.authority.to_str().unwrap().to_owned();
            Ok((authority, url.port, url.origin_form.to_string()))
        };
        let ok =
            |authority: &str, port, path: &str| Ok((authority.to_owned(), port, path.to_owned()));
        assert_eq!(
            parse("http://CA.example/a b.crl?x=1#y"),
            ok("ca.example", 80, "/a%20b.crl?x=1")
        );
        assert_eq!(parse("http://[::1]:81"), ok("[::1]:81", 81, "/"));
        assert_eq!(parse("http://127.1"), ok("127.0.0.1", 80, "/"));
        assert_eq!(parse("https://ca.example/"), Err(BadFetchUrl::Scheme));
        assert_eq!(parse("ldap://ca.example/cn=ca"), Err(BadFetchUrl::Scheme));
        assert_eq!(
            parse("http://a:b@ca.example/"),
            Err(BadFetchUrl::Credentials)
        );
        assert_eq!(parse("http://ca.example:0/"), Err(BadFetchUrl::Malformed));
        assert_eq!(parse("ca.example"), Err(BadFetchUrl::Malformed));
        let long = format!("http://ca.example/{}", "a".repeat(URL_BYTES_MAX));
        assert_eq!(parse(&long), Err(BadFetchUrl::Malformed));
    }
}
