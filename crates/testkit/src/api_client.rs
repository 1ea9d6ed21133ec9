//! The API as a client sees it: one connection for each call, so that a restart needs no care.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpStream;

/// Longer than any answer takes, even on a busy machine.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than any page of the API.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Where a server listens now; it changes when the server is started again.
#[derive(Clone, Debug)]
pub struct Whereabouts(Arc<Mutex<SocketAddr>>);

/// Calls the API with one token.
#[derive(Clone, Debug)]
pub struct ApiClient {
    whereabouts: Whereabouts,
    token: Option<String>,
}

/// An answer of the API.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    call: String,
}

// === impl Whereabouts ===

impl Whereabouts {
    /// Begins at this address.
    pub fn new(address: SocketAddr) -> Self {
        Self(Arc::new(Mutex::new(address)))
    }

    /// The address now.
    pub fn address(&self) -> SocketAddr {
        *self.0.lock()
    }

    pub(crate) fn moved_to(&self, address: SocketAddr) {
        *self.0.lock() = address;
    }
}

// === impl ApiClient ===

impl ApiClient {
    /// Calls with this bearer token, or with none.
    pub fn new(whereabouts: Whereabouts, token: Option<String>) -> Self {
        Self { whereabouts, token }
    }

    /// The same server with another token, or with none.
    #[must_use]
    pub fn with_token(&self, token: Option<String>) -> Self {
        Self::new(self.whereabouts.clone(), token)
    }

    /// Its token.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(Method::DELETE, path, &[], Bytes::new()).await
    }

    /// `POST` of a JSON value.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(Method::POST, path, &[], body.to_string().into())
            .await
    }

    /// `PUT` of a JSON value.
    pub async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(Method::PUT, path, &[], body.to_string().into())
            .await
    }

    /// `PATCH` of a JSON value.
    pub async fn patch(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(Method::PATCH, path, &[], body.to_string().into())
            .await
    }

    /// Any call, with the body's bytes as they are. A body is sent as JSON unless `headers` says
    /// otherwise.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<Answer> {
        let call = format!("{method} {path}");
        let sent = self.exchange(method, path, headers, body);
        let answer = tokio::time::timeout(CALL_TIMEOUT, sent)
            .await
            .with_context(|| format!("{call}: no answer within {CALL_TIMEOUT:?}"))?;
        let (head, body) = answer.with_context(|| call.clone())?;
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
            call,
        })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<(http::response::Parts, Bytes)> {
        let address = self.whereabouts.address();
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await?;
        // Its error is the exchange's as well.
        let driving = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, address.to_string());
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if !body.is_empty()
            && !headers
                .iter()
                .any(|(name, _)| *name == CONTENT_TYPE.as_str())
        {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, body) = sender
            .send_request(request.body(Full::new(body))?)
            .await?
            .into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        driving.abort();
        Ok((head, body.map_err(anyhow::Error::from_boxed)?.to_bytes()))
    }
}

// === impl Answer ===

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("{self}: the body is not JSON"))
    }

    /// The body as JSON, provided that the status is this one; an empty body is `null`.
    pub fn expect(self, status: u16) -> anyhow::Result<Value> {
        anyhow::ensure!(self.status.as_u16() == status, "{self}, expected {status}");
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        self.json()
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        write!(f, "{} answered {}: {body}", self.call, self.status)
    }
}
