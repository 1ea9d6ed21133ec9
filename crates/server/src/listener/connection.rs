//! One connection: handshake, then requests until it ends. Must never wait for a peer without a
//! bound.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::Watcher;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower::Service;
use tracing::debug;

/// How long a peer may take for its TLS handshake, and after it for the head of its first request.
const OPENING_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a kept connection may lie idle, or take for the head of its next request: longer than
/// the 60 s after which common load balancers give up theirs, so that they never send into a
/// connection that we are closing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// How often a silent HTTP/2 peer is asked whether it is there, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Most requests of one HTTP/2 connection at the same time.
const STREAMS_MAX: u32 = 250;
/// Most bytes of a request's head: the longest id, token and page iterator take a tenth.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// The answer to a request that took too long, in the shape of the API's errors.
const TOO_LONG: &str = r#"{"code":"request_timeout","detail":"The request took too long; whether it was carried out is not known."}"#;

/// What all connections of a listener have in common.
pub(super) struct Speaker {
    acceptor: Option<TlsAcceptor>,
    http: Builder<TokioExecutor>,
    router: Router,
    request_timeout: Duration,
}

// === impl Speaker ===

impl Speaker {
    pub(super) fn new(
        acceptor: Option<TlsAcceptor>,
        router: Router,
        request_timeout: Duration,
    ) -> Self {
        let mut http = Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_TIMEOUT)
            .max_buf_size(HEAD_BYTES_MAX);
        let header_list_bytes_max = u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX);
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_INTERVAL)
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(header_list_bytes_max);
        Self {
            acceptor,
            http,
            router,
            request_timeout,
        }
    }

    /// Speaks with one peer until the connection ends.
    pub(super) async fn speak(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        watch: Watcher,
    ) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(error = %error, "A connection ended at once");
            return;
        }
        let Some(acceptor) = &self.acceptor else {
            self.serve(stream, peer, watch).await;
            return;
        };
        match timeout(OPENING_TIMEOUT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.serve(stream, peer, watch).await,
            Ok(Err(error)) => debug!(%peer, error = %error, "A TLS handshake failed: {error}"),
            Err(_) => debug!(%peer, "A TLS handshake took too long"),
        }
    }

    async fn serve<S>(&self, stream: S, peer: SocketAddr, watch: Watcher)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let has_begun = AtomicBool::new(false);
        let service = service_fn(|request| {
            has_begun.store(true, Ordering::Relaxed);
            self.answer(request, peer)
        });
        let http = self.http.serve_connection(TokioIo::new(stream), service);
        let mut connection = Box::pin(watch.watch(http));
        let ended = match timeout(OPENING_TIMEOUT, &mut connection).await {
            Ok(ended) => ended,
            Err(_) if has_begun.load(Ordering::Relaxed) => connection.await,
            Err(_) => Ok(()),
        };
        if let Err(error) = ended {
            debug!(%peer, error = %error, "A connection ended early: {error}");
        }
    }

    fn answer(
        &self,
        mut request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + Send + use<> {
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = timeout(self.request_timeout, self.router.clone().call(request));
        async move {
            Ok(answer
                .await
                .map_or_else(|_| too_long(), |Ok(answer)| answer))
        }
    }
}

fn too_long() -> Response<Body> {
    let mut answer = Response::new(Body::from(TOO_LONG));
    *answer.status_mut() = StatusCode::REQUEST_TIMEOUT;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}
