//! Receivers that speak TLS and HTTP/1.1 or HTTP/2, and count what they are sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hookseal_testkit::test_ca::{Leaf, LeafSpec, TestCa};
use http::Response;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsAcceptor;

use crate::server::Server;

/// Answers 200 to everything; ends when dropped.
pub(crate) struct TlsReceiver {
    server: Server,
    bytes: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

/// Counts what is read.
struct Counting<S> {
    stream: S,
    bytes: Arc<AtomicUsize>,
}

// === impl TlsReceiver ===

impl TlsReceiver {
    pub(crate) async fn start(acceptor: TlsAcceptor) -> Self {
        Self::changing(move |_| acceptor.clone()).await
    }

    /// With an acceptor for each connection, counted from 1.
    pub(crate) async fn changing(acceptor: impl Fn(usize) -> TlsAcceptor + Send + 'static) -> Self {
        let (bytes, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counts = (Arc::clone(&bytes), Arc::clone(&requests));
        let server = Server::start(move |stream, number| {
            let acceptor = acceptor(number);
            let (bytes, requests) = (Arc::clone(&counts.0), Arc::clone(&counts.1));
            async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let stream = Counting { stream, bytes };
                let service = service_fn(move |request: http::Request<Incoming>| {
                    requests.fetch_add(1, Ordering::SeqCst);
                    async move {
                        let _read = request.into_body().collect().await;
                        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
                    }
                });
                let _served = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        })
        .await;
        Self {
            server,
            bytes,
            requests,
        }
    }

    pub(crate) fn url(&self) -> String {
        self.server.tls_url()
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.addr.port()
    }

    pub(crate) fn connections(&self) -> usize {
        self.server.connections()
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Bytes of HTTP that were sent here.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::SeqCst)
    }
}

/// A certificate of `ca` for `hooks.test`.
pub(crate) fn leaf(ca: &TestCa) -> Leaf {
    ca.issue(&LeafSpec::server("hooks.test")).unwrap()
}

// === impl Counting ===

impl<S: AsyncRead + Unpin> AsyncRead for Counting<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.bytes
            .fetch_add(buf.filled().len() - before, Ordering::SeqCst);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counting<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
