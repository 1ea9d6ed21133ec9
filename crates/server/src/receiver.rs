//! A receiver of webhooks on this machine: for developers, for the demo and for tests. Takes
//! `POST`, over TLS 1.3 or plain, and hands every request to its recipient.
//!
//! **Invariant:** whatever a peer does costs bounded memory and bounded time.

pub mod authority;
pub mod inbox;
pub mod json;
pub mod limits;
pub mod transcript;
pub mod verify;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use hookseal_domain::time::Timestamp;
use hookseal_engine::clock::Clock;

use crate::receiver::limits::{
    BODY_BYTES_MAX, BODY_TIMEOUT, CONNECTIONS_MAX, HANDSHAKE_TIMEOUT, HEAD_BYTES_MAX, HEAD_TIMEOUT,
    HEADERS_MAX, STOP_TIMEOUT, STREAMS_MAX,
};

/// How long to wait after a connection could not be accepted: for want of file descriptors, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running receiver. Dropping it ends it at once; [`Receiver::stop`] lets requests finish.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    scheme: &'static str,
    orders: mpsc::UnboundedSender<Order>,
    accepting: JoinHandle<()>,
}

/// What a running receiver is told.
#[derive(Debug)]
enum Order {
    /// To be spoken to otherwise from now on.
    Replace(Transport),
    /// To end.
    Stop,
}

/// How a receiver is spoken to.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Plain HTTP/1.1.
    Plain,
    /// HTTP/1.1 or HTTP/2 over TLS.
    Tls(Arc<ServerConfig>),
}

/// A request that has arrived as a whole. Nothing of it is verified.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// When its body was complete.
    pub at: Timestamp,
    /// Who sent it.
    pub remote: SocketAddr,
    /// The path, without the query.
    pub path: String,
    /// The protocol's version.
    pub version: Version,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// Whom the requests are for.
pub trait Recipient: Send + Sync + 'static {
    /// Takes a request and says what to answer. Must not block.
    fn receive(&self, arrival: Arrival) -> StatusCode;
}

/// What all connections share.
struct Service {
    recipient: Arc<dyn Recipient>,
    clock: Arc<dyn Clock>,
}

// === impl Receiver ===

impl Receiver {
    /// Binds `address` and begins to receive.
    pub async fn start(
        address: SocketAddr,
        transport: Transport,
        recipient: Arc<dyn Recipient>,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let service = Arc::new(Service { recipient, clock });
        let scheme = match transport {
            Transport::Plain => "http",
            Transport::Tls(_) => "https",
        };
        let (orders, ordered) = mpsc::unbounded_channel();
        Ok(Self {
            address,
            scheme,
            orders,
            accepting: tokio::spawn(accept_all(listener, transport, service, ordered)),
        })
    }

    /// Speaks TLS as `config` says from now on; open connections finish what is under way and
    /// close.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        // Fails only if accepting has ended already.
        let _ = self.orders.send(Order::Replace(Transport::Tls(config)));
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where to send webhooks to.
    pub fn url(&self) -> String {
        format!("{}://{}/", self.scheme, self.address)
    }

    /// Accepts no more, and lets what is under way finish within a bound.
    pub async fn stop(mut self) {
        // Fails only if accepting has ended already.
        let _ = self.orders.send(Order::Stop);
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept_all(
    listener: TcpListener,
    mut transport: Transport,
    service: Arc<Service>,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let mut graceful = GracefulShutdown::new();
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Replace(other)) => {
                    transport = other;
                    let old = std::mem::take(&mut graceful);
                    connections.spawn(old.shutdown());
                }
                Some(Order::Stop) | None => break,
            },
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, remote)) => {
                    let service = Arc::clone(&service);
                    let watcher = graceful.watcher();
                    connections.spawn(service.serve(transport.clone(), stream, remote, watcher));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    drop(listener);
    // What is not finished by then is cut off.
    let _ = timeout(STOP_TIMEOUT, graceful.shutdown()).await;
}

// === impl Service ===

impl Service {
    /// Serves one connection to its end. How it ends is the peer's affair.
    async fn serve(
        self: Arc<Self>,
        transport: Transport,
        stream: TcpStream,
        remote: SocketAddr,
        watcher: Watcher,
    ) {
        // Costs only latency where it fails.
        let _ = stream.set_nodelay(true);
        let Transport::Tls(config) = transport else {
            return self.serve_http1(stream, remote, watcher).await;
        };
        let handshake = TlsAcceptor::from(config).accept(stream);
        let Ok(Ok(stream)) = timeout(HANDSHAKE_TIMEOUT, handshake).await else {
            return;
        };
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            self.serve_http2(stream, remote, watcher).await;
        } else {
            self.serve_http1(stream, remote, watcher).await;
        }
    }

    async fn serve_http1<S>(self: Arc<Self>, stream: S, remote: SocketAddr, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let service = service_fn(move |request| Arc::clone(&self).answer(request, remote));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let _ = watcher.watch(connection).await;
    }

    async fn serve_http2<S>(self: Arc<Self>, stream: S, remote: SocketAddr, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let service = service_fn(move |request| Arc::clone(&self).answer(request, remote));
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(HEAD_TIMEOUT)
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
            .serve_connection(TokioIo::new(stream), service);
        let _ = watcher.watch(connection).await;
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        remote: SocketAddr,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        if request.method() != Method::POST {
            let mut response = response(StatusCode::METHOD_NOT_ALLOWED);
            let headers = response.headers_mut();
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
            return Ok(response);
        }
        let version = request.version();
        let (parts, body) = request.into_parts();
        let body = match read(body).await {
            Ok(body) => body,
            Err(status) => {
                let mut response = response(status);
                if version < Version::HTTP_2 {
                    // The rest of the body is on its way and would be taken for a request.
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(CONNECTION, close);
                }
                return Ok(response);
            }
        };
        let status = self.recipient.receive(Arrival {
            at: self.clock.now(),
            remote,
            path: parts.uri.path().to_owned(),
            version,
            headers: parts.headers,
            body,
        });
        Ok(response(status))
    }
}

/// Reads a body up to the bound, or says what to answer instead.
async fn read(body: Incoming) -> Result<Bytes, StatusCode> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > BODY_BYTES_MAX {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    match timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

fn response(status: StatusCode) -> Response<Full<Bytes>> {
    let text = status.canonical_reason().unwrap_or_default();
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests;
