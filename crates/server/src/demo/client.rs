//! A small client of our own HTTP API: what the demo knows, it knows from there, as any client does.
//! Speaks to this process only.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use hookseal_domain::secret::Secret;

/// Longest response: 250 attempts, each with the bytes of a response that the server keeps.
const RESPONSE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long a call may take: the server is in the same process.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// What is shown of the body of a refusal.
const REFUSAL_CHARS_MAX: usize = 500;

/// A client with a token.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    token: Secret<String>,
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
    pub fn new(address: SocketAddr, token: Secret<String>) -> Self {
        Self { address, token }
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

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
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
        serde_json::from_slice(&body).map_err(|source| ClientError::Shape { call, source })
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
            .header(HOST, self.address.to_string())
            .header(AUTHORIZATION, format!("Bearer {}", self.token.expose()))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        // socket: our own API, in this process.
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), RESPONSE_BYTES_MAX);
        let body = body.collect().await?.to_bytes();
        driver.abort();
        Ok((status, body))
    }
}
