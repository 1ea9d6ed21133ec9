//! A receiver, spoken to as its peers may.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::*;
use crate::receiver::authority::{Clients, LocalAuthority};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

#[derive(Debug)]
struct FixedClock;

#[async_trait]
impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        NOW
    }

    async fn sleep_until(&self, _at: Timestamp) {
        std::future::pending().await
    }
}

impl TimeProvider for FixedClock {
    fn current_time(&self) -> Option<UnixTime> {
        let since_epoch = NOW.since(Timestamp::from_millis(0));
        Some(UnixTime::since_unix_epoch(since_epoch))
    }
}

/// Keeps what it gets.
#[derive(Default)]
struct Keeper(Mutex<Vec<Arrival>>);

impl Recipient for Keeper {
    fn receive(&self, arrival: Arrival) -> StatusCode {
        self.0.lock().push(arrival);
        StatusCode::ACCEPTED
    }
}

async fn start(transport: Transport) -> (Receiver, Arc<Keeper>) {
    let keeper = Arc::new(Keeper::default());
    let address = ([127, 0, 0, 1], 0).into();
    let recipient = Arc::clone(&keeper);
    let receiver = Receiver::start(address, transport, recipient, Arc::new(FixedClock)).await;
    (receiver.unwrap(), keeper)
}

/// Sends bytes and reads until the receiver closes.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end as well: the receiver does not read what it refuses.
    let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut answer))
        .await
        .expect("the receiver closes");
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn plain_http() {
    let (receiver, keeper) = start(Transport::Plain).await;
    assert!(receiver.url().starts_with("http://127.0.0.1:"));
    let request = b"POST /in?q=1 HTTP/1.1\r\nhost: a\r\nx-y: z\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
    let answer = exchange(receiver.address(), request).await;
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    let arrivals = std::mem::take(&mut *keeper.0.lock());
    let [arrival] = &arrivals[..] else {
        panic!("{arrivals:?}")
    };
    assert_eq!(
        (&*arrival.path, &*arrival.body, arrival.at),
        ("/in", &b"{}"[..], NOW)
    );
    assert_eq!(arrival.headers["x-y"], "z");
    receiver.stop().await;
}

#[tokio::test]
async fn what_is_not_taken() {
    let (receiver, keeper) = start(Transport::Plain).await;
    for (request, expect) in [
        (
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_owned(),
            "405",
        ),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2097153\r\n\r\n".to_owned(),
            "413",
        ),
        (
            format!(
                "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n200001\r\n{}",
                "a".repeat(0x20_0001)
            ),
            "413",
        ),
        (
            format!(
                "POST / HTTP/1.1\r\nx: {}\r\n\r\n",
                "a".repeat(2 * HEAD_BYTES_MAX)
            ),
            "431",
        ),
        (
            format!(
                "POST / HTTP/1.1\r\n{}\r\n",
                "x: y\r\n".repeat(HEADERS_MAX + 1)
            ),
            "431",
        ),
        ("garbage\r\n\r\n".to_owned(), "400"),
    ] {
        let answer = exchange(receiver.address(), request.as_bytes()).await;
        assert_eq!(answer.split(' ').nth(1), Some(expect), "{answer}");
    }
    assert!(keeper.0.lock().is_empty());
}

#[tokio::test]
async fn http2_over_tls_1_3() {
    let authority = LocalAuthority::make("Test root", NOW).unwrap();
    let config = authority
        .server(vec!["localhost".into(), "127.0.0.1".into()])
        .unwrap()
        .config(Clients::Anybody)
        .unwrap();
    let (receiver, keeper) = start(Transport::Tls(config)).await;
    assert!(receiver.url().starts_with("https://127.0.0.1:"));

    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(FixedClock))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(receiver.address()).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::post("https://127.0.0.1/in")
        .body(Full::new(Bytes::from("x")))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    response.into_body().collect().await.unwrap();
    assert_eq!(keeper.0.lock().len(), 1);

    receiver.stop().await;
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn stopping_lets_a_request_finish() {
    let (receiver, keeper) = start(Transport::Plain).await;
    let address = receiver.address();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert!(go_on.starts_with(b"HTTP/1.1 100"));

    let stopping = tokio::spawn(receiver.stop());
    stream.write_all(b"{}").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    stopping.await.unwrap();
    assert_eq!(keeper.0.lock().len(), 1);
    assert!(TcpStream::connect(address).await.is_err());
}
