//! A receiver that answers by script and keeps what it received, byte for byte.

mod counted;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::fake_endpoint::counted::Counted;
use crate::received::{Connections, Received};
use crate::reply::{Reply, Script};
use crate::test_ca::{Leaf, Speaks, TestCa};
use crate::wait::PATIENCE;

/// Larger than any payload that is accepted.
const BODY_BYTES_MAX: usize = 8 << 20;

/// A running receiver; it ends when this is dropped.
pub struct FakeEndpoint {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    script: Mutex<Script>,
    received: Mutex<Vec<Received>>,
    arrivals: watch::Sender<usize>,
    connections: Mutex<Connections>,
    acceptor: Mutex<Option<TlsAcceptor>>,
}

// === impl FakeEndpoint ===

impl FakeEndpoint {
    /// Answers in order over plain HTTP; the last answer goes on for ever.
    pub async fn plain(
        replies: impl IntoIterator<Item = impl Into<Reply>>,
    ) -> anyhow::Result<Self> {
        Self::start(None, Script::new(replies)).await
    }

    /// The same over TLS.
    pub async fn tls(
        leaf: &Leaf,
        replies: impl IntoIterator<Item = impl Into<Reply>>,
    ) -> anyhow::Result<Self> {
        let acceptor = leaf.acceptor(Speaks::default())?;
        Self::start(Some(acceptor), Script::new(replies)).await
    }

    /// Its URL, with the address as host.
    pub fn url(&self) -> String {
        format!("{}://{}/hook", self.scheme, self.address)
    }

    /// Its URL, with `localhost` as host.
    pub fn url_by_name(&self) -> String {
        format!("{}://localhost:{}/hook", self.scheme, self.address.port())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers otherwise from now on.
    pub fn reply_with(&self, replies: impl IntoIterator<Item = impl Into<Reply>>) {
        *self.shared.script.lock() = Script::new(replies);
    }

    /// Presents another certificate to new connections.
    pub fn present(&self, leaf: &Leaf, speaks: Speaks) -> anyhow::Result<()> {
        *self.shared.acceptor.lock() = Some(leaf.acceptor(speaks)?);
        Ok(())
    }

    /// The same, and demands a client certificate of the root of `clients` of them.
    pub fn demand(&self, leaf: &Leaf, speaks: Speaks, clients: &TestCa) -> anyhow::Result<()> {
        *self.shared.acceptor.lock() = Some(leaf.acceptor_demanding(speaks, clients)?);
        Ok(())
    }

    /// All that came so far, in order of arrival.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().clone()
    }

    /// What became of its connections so far.
    pub fn connections(&self) -> Connections {
        self.shared.connections.lock().clone()
    }

    /// Waits until at least `count` requests came, and returns all.
    pub async fn receives(&self, count: usize) -> anyhow::Result<Vec<Received>> {
        let mut arrivals = self.shared.arrivals.subscribe();
        let enough = arrivals.wait_for(|so_far| *so_far >= count);
        let enough = tokio::time::timeout(PATIENCE, enough).await.is_ok();
        let received = self.received();
        anyhow::ensure!(
            enough,
            "{} of {count} requests arrived at {} within {PATIENCE:?}",
            received.len(),
            self.url(),
        );
        Ok(received)
    }

    /// Waits for the first request.
    pub async fn receives_one(&self) -> anyhow::Result<Received> {
        let received = self.receives(1).await?;
        received.into_iter().next().context("nothing arrived")
    }

    async fn start(acceptor: Option<TlsAcceptor>, script: Script) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared {
            script: Mutex::new(script),
            received: Mutex::default(),
            arrivals: watch::Sender::new(0),
            connections: Mutex::default(),
            acceptor: Mutex::new(acceptor),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            scheme,
            shared,
            accepting,
        })
    }
}

impl Drop for FakeEndpoint {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

// === impl Shared ===

impl Shared {
    /// Keeps a request and says what to answer.
    fn keep(&self, request: Received) -> Reply {
        let reply = self.script.lock().take();
        let mut received = self.received.lock();
        received.push(request);
        self.arrivals.send_replace(received.len());
        reply
    }
}

/// Accepts until it is aborted; the connections end with it.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        // A failed accept is one connection less, which the sender sees.
        if let Ok((tcp, _)) = listener.accept().await {
            while connections.try_join_next().is_some() {}
            connections.spawn(serve(tcp, Arc::clone(&shared)));
        }
    }
}

/// Serves one connection. What breaks off was not received, so there is nobody to tell.
async fn serve(tcp: TcpStream, shared: Arc<Shared>) -> anyhow::Result<()> {
    tcp.set_nodelay(true)?;
    let connection = {
        let mut connections = shared.connections.lock();
        connections.opened += 1;
        connections.opened - 1
    };
    let acceptor = shared.acceptor.lock().clone();
    let Some(acceptor) = acceptor else {
        return exchange(tcp, connection, shared).await;
    };
    match acceptor.accept(tcp).await {
        Ok(tls) => exchange(tls, connection, shared).await,
        Err(error) => {
            let mut connections = shared.connections.lock();
            connections.handshakes_failed.push(error.to_string());
            Ok(())
        }
    }
}

async fn exchange<S>(stream: S, connection: usize, shared: Arc<Shared>) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let counting = Arc::clone(&shared);
    let stream = Counted::new(stream, move |bytes| {
        counting.connections.lock().application_bytes += bytes;
    });
    let service = service_fn(move |request| answer(request, connection, Arc::clone(&shared)));
    auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await
        .map_err(anyhow::Error::from_boxed)
}

async fn answer(
    request: Request<Incoming>,
    connection: usize,
    shared: Arc<Shared>,
) -> anyhow::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let body = body.map_err(anyhow::Error::from_boxed)?.to_bytes();
    let asked = body.clone();
    let reply = shared.keep(Received {
        method: head.method,
        path: head
            .uri
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default(),
        version: head.version,
        headers: head.headers,
        body,
        arrived: Instant::now(),
        connection,
    });
    if !reply.after.is_zero() {
        // sleep: the script asks for a slow receiver
        tokio::time::sleep(reply.after).await;
    }
    let body = match reply.echo {
        Some(member) => member_of(&asked, member),
        None => reply.body,
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = reply.status;
    response.headers_mut().extend(reply.headers);
    Ok(response)
}

/// A text in a JSON object.
fn member_of(object: &[u8], member: &str) -> Bytes {
    let object: Option<serde_json::Value> = serde_json::from_slice(object).ok();
    let text = object
        .as_ref()
        .and_then(|object| object.get(member)?.as_str());
    Bytes::from(text.unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::{ClientConfig, RootCertStore};
    use rustls_pki_types::ServerName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::test_ca::{LeafSpec, Validity};

    const REQUEST: &[u8] = b"POST /hook?a=b HTTP/1.1\r\nhost: x\r\nwebhook-id: msg_1\r\n\
        content-length: 3\r\nconnection: close\r\n\r\n{ }";

    async fn post(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
        stream.write_all(REQUEST).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    fn connector(ca: &TestCa) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(ca.root_der()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }

    #[tokio::test]
    async fn keeps_what_came_and_answers_by_script() {
        let hook = FakeEndpoint::plain([Reply::status(503).header("retry-after", "1"), 200.into()])
            .await
            .unwrap();
        let first = post(TcpStream::connect(hook.address()).await.unwrap()).await;
        let second = post(TcpStream::connect(hook.address()).await.unwrap()).await;
        assert!(first.starts_with("HTTP/1.1 503 ") && first.contains("retry-after: 1\r\n"));
        assert!(second.starts_with("HTTP/1.1 200 "));
        let received = hook.receives(2).await.unwrap();
        assert_eq!(received[0].body, "{ }");
        assert_eq!(received[0].path, "/hook?a=b");
        assert_eq!(received[1].webhook_id(), "msg_1");
        assert_eq!((received[0].connection, received[1].connection), (0, 1));
        assert_eq!(
            hook.connections().application_bytes,
            2 * u64::try_from(REQUEST.len()).unwrap()
        );
    }

    #[tokio::test]
    async fn speaks_tls_with_the_certificate_it_was_given() {
        let ca = TestCa::new("Root").unwrap();
        let leaf = ca.issue(&LeafSpec::default()).unwrap();
        let hook = FakeEndpoint::tls(&leaf, [204]).await.unwrap();
        let call = async |ca: &TestCa, name: &'static str| {
            let tcp = TcpStream::connect(hook.address()).await.unwrap();
            let name = ServerName::try_from(name).unwrap();
            let tls = connector(ca).connect(name, tcp).await;
            anyhow::Ok(post(tls?).await)
        };
        for name in ["localhost", "127.0.0.1"] {
            let answer = call(&ca, name).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
        }
        assert!(call(&ca, "other.example").await.is_err());
        assert!(
            call(&TestCa::new("Root").unwrap(), "localhost")
                .await
                .is_err()
        );
        for validity in [Validity::Past, Validity::Future] {
            let spec = LeafSpec {
                validity,
                ..LeafSpec::default()
            };
            let leaf = ca.issue(&spec).unwrap();
            hook.present(&leaf, Speaks::OldTls).unwrap();
            assert!(call(&ca, "localhost").await.is_err());
        }
        assert_eq!(hook.received().len(), 2);
    }
}
