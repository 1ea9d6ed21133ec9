//! One kept HTTP/1.1 connection, plain or TLS. It never reconnects by itself: who owns it decides.

use std::net::SocketAddr;

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// An answer of the API or of a receiver is far smaller; more is an error.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Where to connect to, and how.
#[derive(Clone)]
pub(crate) struct Target {
    address: SocketAddr,
    tls: Option<TlsConnector>,
}

/// A connection on which one request at a time is sent.
#[derive(Debug)]
pub(crate) struct Connection(http1::SendRequest<Full<Bytes>>);

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: StatusCode,
    /// The body.
    pub(crate) body: Bytes,
}

// === impl Target ===

impl Target {
    /// Plain where `tls` is `None`.
    pub(crate) fn new(address: SocketAddr, tls: Option<TlsConnector>) -> Self {
        Self { address, tls }
    }

    /// The value of the `host` header.
    pub(crate) fn host(&self) -> anyhow::Result<HeaderValue> {
        Ok(HeaderValue::try_from(self.address.to_string())?)
    }

    /// Opens a plain connection.
    pub(crate) async fn connect_plain(&self) -> anyhow::Result<TcpStream> {
        let tcp = TcpStream::connect(self.address)
            .await
            .with_context(|| format!("cannot connect to {}", self.address))?;
        tcp.set_nodelay(true)?;
        Ok(tcp)
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> anyhow::Result<Connection> {
        let tcp = self.connect_plain().await?;
        let Some(tls) = &self.tls else {
            return Connection::over(TokioIo::new(tcp)).await;
        };
        let name = ServerName::from(self.address.ip());
        let stream = tls
            .connect(name, tcp)
            .await
            .context("the TLS handshake failed")?;
        Connection::over(TokioIo::new(stream)).await
    }
}

// === impl Connection ===

impl Connection {
    async fn over<S>(stream: S) -> anyhow::Result<Self>
    where
        S: Read + Write + Send + Unpin + 'static,
    {
        let (sender, driver) = http1::handshake(stream).await?;
        tokio::spawn(async move {
            // An error also ends the exchange that is under way, and is reported there.
            let _ = driver.await;
        });
        Ok(Self(sender))
    }

    /// Whether another request can be sent; waits until the last exchange is wound up.
    pub(crate) async fn is_ready(&mut self) -> bool {
        self.0.ready().await.is_ok()
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> anyhow::Result<Answer> {
        self.0.ready().await.context("the connection was closed")?;
        let response = self.0.send_request(request).await.context("no answer")?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(anyhow::Error::from_boxed)
            .context("the answer broke off")?
            .to_bytes();
        Ok(Answer { status, body })
    }
}
