//! A small client of our own HTTP API, for the demo and the command line: what they know, they know
//! from there, as any client does.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

use hookseal_domain::secret::Secret;

/// Longest response: 250 attempts, each with the bytes of a response that the server keeps.
const RESPONSE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long a call may take: longer than any request of the API, probes of receivers included.
const CALL_TIMEOUT: Duration = Duration::from_secs(40);

/// What is shown of the body of a refusal.
const REFUSAL_CHARS_MAX: usize = 500;

/// A client with a token.
#[derive(Clone, Debug)]
pub struct Client {
    server: Server,
    token: Secret<String>,
}

/// Where the API is.
#[derive(Clone)]
pub struct Server {
    /// Host and port, as in the `Host` header.
    authority: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// A URL that can't be the API's.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Not a URL with a host.
    #[error("the server's URL must be http:// or https:// with a host and no path")]
    Url,
    /// The roots are not usable.
    #[error("the CA file can't be used: {0}")]
    Roots(String),
    /// TLS can't be set up.
    #[error("TLS can't be set up")]
    Tls(#[from] rustls::Error),
}

/// A call did not lead to what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection, or a broken one.
    #[error("{call}: the API can't be reached")]
    Exchange {
        /// Method and path.
        call: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer in time.
    #[error("{0}: the API did not answer within {CALL_TIMEOUT:?}")]
    TimedOut(String),
    /// Answered, but with an error.
    #[error("{call}: the API answered {status}: {body}")]
    Refused {
        /// Method and path.
        call: String,
        /// The status code.
        status: StatusCode,
        /// The beginning of the error's body.
        body: String,
    },
    /// Answered, but with something else.
    #[error("{call}: the API's answer is not what its contract says")]
    Shape {
        /// Method and path.
        call: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

// === impl Client ===

impl Client {
    /// A client of the API at `address`.
    pub fn new(server: Server, token: Secret<String>) -> Self {
        Self { server, token }
    }

    /// Reads something.
    pub async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::GET, path, Bytes::new()).await
    }

    /// Makes something of a JSON body.
    pub async fn create<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        self.call(Method::POST, path, body).await
    }

    /// Changes something; whatever is answered is not looked at.
    pub async fn change(
        &self,
        method: Method,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<(), ClientError> {
        let body = Bytes::from(body.to_string());
        self.answer(method, path, body).await.map(|_| ())
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let call = format!("{method} {path}");
        let body = self.answer(method, path, body).await?;
        serde_json::from_slice(&body).map_err(|source| ClientError::Shape { call, source })
    }

    /// What is answered to a request, as it came.
    pub async fn answer(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, ClientError> {
        let call = format!("{method} {path}");
        let (status, body) = match timeout(CALL_TIMEOUT, self.exchange(method, path, body)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(source)) => return Err(ClientError::Exchange { call, source }),
            Err(_) => return Err(ClientError::TimedOut(call)),
        };
        if !status.is_success() {
            let body = String::from_utf8_lossy(&body);
            let body = body.chars().take(REFUSAL_CHARS_MAX).collect();
            return Err(ClientError::Refused { call, status, body });
        }
        Ok(body)
    }

    /// One connection for each call: it is ourselves, and nothing needs to be kept.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.server.authority)
            .header(AUTHORIZATION, format!("Bearer {}", self.token.expose()))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        // socket: our own API, not a stranger's server.
        let stream = TcpStream::connect(&self.server.authority).await?;
        match &self.server.tls {
            None => send(TokioIo::new(stream), request).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await?;
                send(TokioIo::new(stream), request).await
            }
        }
    }
}

// === impl Server ===

impl Server {
    /// One that speaks plain HTTP.
    pub fn plain(address: SocketAddr) -> Self {
        Self {
            authority: address.to_string(),
            tls: None,
        }
    }

    /// One at a URL; `roots_pem` are trusted instead of the public roots.
    pub fn at(url: &Url, roots_pem: Option<&[u8]>) -> Result<Self, ServerError> {
        let host = url.host_str().ok_or(ServerError::Url)?;
        let port = url.port_or_known_default().ok_or(ServerError::Url)?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err(ServerError::Url);
        }
        let tls = match url.scheme() {
            "http" => None,
            "https" => {
                let name = host.trim_matches(['[', ']']).to_owned();
                let name = ServerName::try_from(name).map_err(|_| ServerError::Url)?;
                Some((connector(roots_pem)?, name))
            }
            _ => return Err(ServerError::Url),
        };
        Ok(Self {
            authority: format!("{host}:{port}"),
            tls,
        })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.authority).finish()
    }
}

fn connector(roots_pem: Option<&[u8]>) -> Result<TlsConnector, ServerError> {
    let mut roots = RootCertStore::empty();
    match roots_pem {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|e| ServerError::Roots(e.to_string()))?;
                roots.add(certificate)?;
            }
        }
    }
    if roots.is_empty() {
        return Err(ServerError::Roots("it holds no certificate".to_owned()));
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn send<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>>
where
    S: Read + Write + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(stream).await?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), RESPONSE_BYTES_MAX);
    let body = body.collect().await?.to_bytes();
    driver.abort();
    Ok((status, body))
}
