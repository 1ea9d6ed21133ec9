//! Receivers behind proxies: those of others, ones that are broken, and ones that lie.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hookseal_domain::delivery::outcome::FailureKind;
use hookseal_domain::secret::Secret;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::name::Name;
use hookseal_egress::{Egress, EgressConfig, Proxy, ProxyAddress, ProxyCredentials, PublicRoots};
use hookseal_testkit::test_ca::TestCa;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use crate::client::{Client, check_failure, check_reason, check_status, config};
use crate::server::Server;
use crate::tls_receiver::{TlsReceiver, leaf};
use crate::tool::{Running, free_address, is_there};

const OK: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

fn name() -> Name {
    Name::parse("dmz").unwrap()
}

fn proxy(address: &str) -> Proxy {
    Proxy {
        name: name(),
        address: ProxyAddress::parse(address).unwrap(),
        credentials: None,
    }
}

fn with_credentials(proxy: Proxy, password: &str) -> Proxy {
    let credentials = ProxyCredentials::new("us", Secret::new(password.to_owned())).unwrap();
    Proxy {
        credentials: Some(credentials),
        ..proxy
    }
}

/// Everything goes through this proxy.
fn through(proxy: Proxy) -> EgressConfig {
    EgressConfig {
        proxies: vec![proxy],
        proxy: Some(name()),
        ..config()
    }
}

fn trusting(ca: &TestCa, config: EgressConfig) -> EgressConfig {
    EgressConfig {
        extra_roots_pem: Some(ca.root_pem().into_bytes()),
        public_roots: PublicRoots::None,
        ..config
    }
}

/// Reads up to the end of a request's head.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// An HTTP proxy that answers this to everything, and then is silent.
async fn answering(answer: &'static [u8]) -> Server {
    Server::start(move |mut stream, _| async move {
        read_head(&mut stream).await;
        let _refused = stream.write_all(answer).await;
        let mut rest = Vec::new();
        let _left = stream.read_to_end(&mut rest).await;
    })
    .await
}

/// A SOCKS proxy that answers these in turn, whatever it reads.
async fn answering_socks(answers: &'static [&'static [u8]]) -> Server {
    Server::start(move |mut stream, _| async move {
        for answer in answers {
            let mut message = [0; 600];
            if stream.read(&mut message).await.unwrap_or(0) == 0 {
                return;
            }
            stream.write_all(answer).await.unwrap();
        }
        let mut rest = Vec::new();
        let _left = stream.read_to_end(&mut rest).await;
    })
    .await
}

/// An HTTP proxy that does its work and remembers what it was asked.
async fn tunnel(asked: Arc<Mutex<Vec<String>>>) -> Server {
    Server::start(move |mut stream, _| {
        let asked = Arc::clone(&asked);
        async move {
            let head = read_head(&mut stream).await;
            let target = head.split(' ').nth(1).unwrap().to_owned();
            asked.lock().push(head);
            let mut receiver = TcpStream::connect(target).await.unwrap();
            stream.write_all(OK).await.unwrap();
            let _ended = copy_bidirectional(&mut stream, &mut receiver).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_proxy_is_asked_for_the_screened_address() {
    let ca = TestCa::new("CA").unwrap();
    let receiver = TlsReceiver::start(leaf(&ca).acceptor(Default::default()).unwrap()).await;
    let asked = Arc::default();
    let server = tunnel(Arc::clone(&asked)).await;
    let proxy = with_credentials(proxy(&format!("http://{}", server.addr)), "sesame");
    let client = Client::with(trusting(&ca, through(proxy)));

    let exchanged = client.post(&receiver.url()).await;
    check_status(&exchanged, 200);
    assert_eq!(
        exchanged.connection.remote_ip,
        Some("127.0.0.1".parse().unwrap())
    );
    assert_eq!(exchanged.handshake.unwrap().proxy, Some(name()));
    check_status(&client.post(&receiver.url()).await, 200);
    let port = receiver.port();
    let expect = format!(
        "CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
         Proxy-Authorization: Basic dXM6c2VzYW1l\r\n\r\n"
    );
    assert_eq!(*asked.lock(), [expect]);
}

#[test]
fn a_default_proxy_is_one_of_the_configured() {
    let config = EgressConfig {
        proxy: Some(Name::parse("lan").unwrap()),
        ..through(proxy("http://proxy.test:3128"))
    };
    let error = Egress::new(config, Arc::new(Timestamp::default)).unwrap_err();
    assert_eq!(error.to_string(), "there is no proxy lan in egress.proxies");
}

#[tokio::test]
async fn plain_http_goes_through_a_proxy_too() {
    let receiver = Server::answering(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    let server = tunnel(Arc::default()).await;
    let client = Client::with(through(proxy(&format!("http://{}", server.addr))));
    check_status(&client.post(&receiver.url()).await, 204);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn what_the_address_policy_refuses_no_proxy_is_asked_for() {
    let server = tunnel(Arc::default()).await;
    let client = Client::with(through(proxy(&format!("http://{}", server.addr))));
    let exchanged = client.post("https://169.254.169.254/latest").await;
    check_failure(&exchanged, FailureKind::Blocked, &["169.254.169.254"]);
    assert_eq!(server.connections(), 0);
}

/// The proxy has a certificate for the name, of a CA that it made up.
#[tokio::test]
async fn a_proxy_that_looks_into_the_connection_is_not_trusted() {
    let (ca, made_up) = (
        TestCa::new("CA").unwrap(),
        TestCa::new("Inspection").unwrap(),
    );
    let forged = leaf(&made_up).sending_along([made_up.root_der()]);
    let inside = TlsReceiver::start(forged.acceptor(Default::default()).unwrap()).await;
    let port = inside.port();
    let server = Server::start(move |mut stream, _| async move {
        read_head(&mut stream).await;
        let mut inside = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(OK).await.unwrap();
        let _ended = copy_bidirectional(&mut stream, &mut inside).await;
    })
    .await;
    let proxy = proxy(&format!("http://{}", server.addr));
    let client = Client::with(trusting(&ca, through(proxy)));
    let exchanged = client.post("https://hooks.test/hook").await;
    assert_eq!(exchanged.tls_failure, Some(TlsFailure::PeerUnknownIssuer));
    assert_eq!(inside.bytes(), 0);
}

#[tokio::test]
async fn what_http_proxies_answer() {
    async fn check(answer: &'static [u8], expect: Option<TlsFailure>, words: &str) {
        let server = answering(answer).await;
        let proxy = proxy(&format!("http://{}", server.addr));
        let client = Client::with(through(proxy));
        let exchanged = client.post("https://hooks.test/hook").await;
        check_failure(
            &exchanged,
            FailureKind::Connection,
            &["the proxy dmz", words],
        );
        assert_eq!(exchanged.tls_failure, expect, "{words}");
        assert_eq!(server.connections(), 1);
    }
    let refused = Some(TlsFailure::ProxyRefused);
    let unusable = Some(TlsFailure::ProxyUnreachable);
    check(
        b"HTTP/1.1 403 Forbidden\r\n\r\n",
        refused,
        "its rules forbid it",
    )
    .await;
    check(
        b"HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n",
        refused,
        "it wants credentials, and none are configured",
    )
    .await;
    check(b"HTTP/1.1 405 No\r\n\r\n", refused, "HTTP status 405").await;
    check(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", refused, "302").await;
    check(
        b"HTTP/1.1 502 Bad Gateway\r\n\r\nno connection",
        None,
        "no connection to 127.0.0.1:443: it answered with HTTP status 502",
    )
    .await;
    check(b"HTTP/1.1 504 Gateway Timeout\r\n\r\n", None, "504").await;
    check(b"HTTP/1.1 408 Late\r\n\r\n", None, "HTTP status 408").await;
    check(b"HTTP/1.1 429 Busy\r\n\r\n", None, "HTTP status 429").await;
    check(b"HTTP/1.1 521 Down\r\n\r\n", None, "HTTP status 521").await;
    check(b"HTTP/1.1 501 What?\r\n\r\n", refused, "HTTP status 501").await;
    check(
        b"HTTP/1.1 200 OK\r\n\r\n\x16\x03",
        unusable,
        "more than its answer",
    )
    .await;
    check(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", unusable, "is not HTTP/1.x").await;
    check(b"HTTP/1.1 two hundred\r\n\r\n", unusable, "has no status").await;
    static ENDLESS: [u8; 9000] = [b'a'; 9000];
    check(&ENDLESS, unusable, "longer than 8 KiB").await;
}

#[tokio::test]
async fn credentials_that_a_proxy_does_not_accept() {
    let server = answering(b"HTTP/1.1 407 No\r\n\r\n").await;
    let proxy = with_credentials(proxy(&format!("http://{}", server.addr)), "sesame");
    let client = Client::with(through(proxy));
    let exchanged = client.post("https://hooks.test/hook").await;
    check_reason(&exchanged, &["does not accept our credentials"]);
    assert_eq!(exchanged.tls_failure, Some(TlsFailure::ProxyRefused));
    assert!(!format!("{exchanged:?}").contains("sesame"));
}

#[tokio::test]
async fn what_socks_proxies_answer() {
    async fn check(answers: &'static [&'static [u8]], expect: Option<TlsFailure>, words: &str) {
        let server = answering_socks(answers).await;
        let proxy = with_credentials(proxy(&format!("socks5://{}", server.addr)), "sesame");
        let client = Client::with(through(proxy));
        let exchanged = client.post("https://hooks.test/hook").await;
        check_failure(
            &exchanged,
            FailureKind::Connection,
            &["the proxy dmz", words],
        );
        assert_eq!(exchanged.tls_failure, expect, "{words}");
    }
    let refused = Some(TlsFailure::ProxyRefused);
    let unusable = Some(TlsFailure::ProxyUnreachable);
    check(&[&[5, 0xff]], refused, "does not accept our credentials").await;
    check(
        &[&[5, 2], &[1, 1]],
        refused,
        "does not accept our credentials",
    )
    .await;
    check(&[&[5, 1]], unusable, "was not offered").await;
    check(
        &[b"HTTP/1.1 400 Bad Request\r\n\r\n"],
        unusable,
        "another version",
    )
    .await;
    check(&[&[5, 0], &[5, 2, 0, 1]], refused, "its rules forbid it").await;
    check(
        &[&[5, 0], &[5, 7, 0, 1]],
        refused,
        "does not do what it is asked for",
    )
    .await;
    check(
        &[&[5, 0], &[5, 3, 0, 1]],
        None,
        "the network is unreachable",
    )
    .await;
    check(
        &[&[5, 0], &[5, 5, 0, 1]],
        None,
        "the connection was refused",
    )
    .await;
    check(&[&[5, 0], &[5, 77, 0, 1]], unusable, "an unknown code").await;
    check(
        &[&[5, 0], &[5, 0, 0, 9]],
        unusable,
        "an unknown type of address",
    )
    .await;
    check(
        &[&[5, 0], &[5, 0, 0, 3, 1, b'x', 0, 0, 0x16]],
        unusable,
        "more than its answer",
    )
    .await;
}

#[tokio::test]
async fn a_proxy_that_is_not_there() {
    let address = free_address().await;
    let client = Client::with(through(proxy(&format!("socks5://{address}"))));
    let exchanged = client.post("https://hooks.test/hook").await;
    check_failure(
        &exchanged,
        FailureKind::Connection,
        &["the proxy dmz can't be used"],
    );
    assert_eq!(exchanged.tls_failure, Some(TlsFailure::ProxyUnreachable));

    let client = Client::with(through(proxy("http://proxy.test:3128")));
    let exchanged = client.post("https://hooks.test/hook").await;
    check_reason(&exchanged, &["\"proxy.test\" does not exist"]);
    assert_eq!(exchanged.tls_failure, Some(TlsFailure::ProxyUnreachable));
}

#[tokio::test]
async fn silence_ends_with_the_time_to_connect() {
    let server = answering(b"HTTP/1.1 200").await;
    let silent = Server::start(|stream, _| async move {
        let _kept = stream;
        std::future::pending().await
    })
    .await;
    let short = |proxy| EgressConfig {
        connect_timeout: Duration::from_millis(100),
        ..through(proxy)
    };
    // Behind the proxy somebody does not answer.
    let client = Client::with(short(proxy(&format!("http://{}", server.addr))));
    let exchanged = client.post("https://hooks.test/hook").await;
    check_failure(
        &exchanged,
        FailureKind::Connection,
        &["it has not answered within"],
    );
    assert_eq!(exchanged.tls_failure, None);
    // The proxy itself does not.
    let client = Client::with(short(proxy(&format!("socks5://{}", silent.addr))));
    let exchanged = client.post("https://hooks.test/hook").await;
    check_reason(&exchanged, &["it did not answer in time"]);
    assert_eq!(exchanged.tls_failure, Some(TlsFailure::ProxyUnreachable));
}

#[tokio::test]
async fn tinyproxy() {
    if !is_there("tinyproxy", "-v") {
        return;
    }
    let ca = TestCa::new("CA").unwrap();
    let receiver = TlsReceiver::start(leaf(&ca).acceptor(Default::default()).unwrap()).await;
    let down = free_address().await;
    let folder = tempfile::tempdir().unwrap();
    let address = free_address().await;
    let settings = format!(
        "Port {}\nListen 127.0.0.1\nTimeout 60\nMaxClients 10\nAllow 127.0.0.1\n\
         BasicAuth us sesame\nConnectPort {}\nConnectPort {}\n",
        address.port(),
        receiver.port(),
        down.port()
    );
    let file = folder.path().join("tinyproxy.conf");
    std::fs::write(&file, settings).unwrap();
    let mut command = Command::new("tinyproxy");
    command.arg("-d").arg("-c").arg(&file);
    let _running = Running::start(&mut command, folder.path(), address).await;
    let address = format!("http://{address}");

    let client = |proxy| Client::with(trusting(&ca, through(proxy)));
    let known = client(with_credentials(proxy(&address), "sesame"));
    check_status(&known.post(&receiver.url()).await, 200);
    let exchanged = known.post(&format!("https://{down}/hook")).await;
    check_failure(
        &exchanged,
        FailureKind::Connection,
        &["has no connection to"],
    );
    assert_eq!(exchanged.tls_failure, None);
    let exchanged = known.post("https://hooks.test:1/hook").await;
    check_reason(&exchanged, &["its rules forbid it"]);
    assert_eq!(exchanged.tls_failure, Some(TlsFailure::ProxyRefused));

    let exchanged = client(proxy(&address)).post(&receiver.url()).await;
    check_reason(&exchanged, &["wants credentials"]);
    let wrong = with_credentials(proxy(&address), "open");
    let exchanged = client(wrong).post(&receiver.url()).await;
    assert_eq!(exchanged.tls_failure, Some(TlsFailure::ProxyRefused));
    assert_eq!(receiver.requests(), 1);
}

#[tokio::test]
async fn microsocks() {
    if !is_there("microsocks", "-h") {
        return;
    }
    let ca = TestCa::new("CA").unwrap();
    let receiver = TlsReceiver::start(leaf(&ca).acceptor(Default::default()).unwrap()).await;
    let down = free_address().await;
    let folder = tempfile::tempdir().unwrap();
    let address = free_address().await;
    let port = address.port().to_string();
    let mut command = Command::new("microsocks");
    command.args(["-i", "127.0.0.1", "-p", &port, "-u", "us", "-P", "sesame"]);
    let _running = Running::start(&mut command, folder.path(), address).await;
    let address = format!("socks5://{address}");

    let client = |proxy| Client::with(trusting(&ca, through(proxy)));
    let known = client(with_credentials(proxy(&address), "sesame"));
    check_status(&known.post(&receiver.url()).await, 200);
    let exchanged = known.post(&format!("https://{down}/hook")).await;
    check_failure(
        &exchanged,
        FailureKind::Connection,
        &["the connection was refused"],
    );
    assert_eq!(exchanged.tls_failure, None);

    let exchanged = client(proxy(&address)).post(&receiver.url()).await;
    check_reason(&exchanged, &["wants credentials"]);
    let wrong = with_credentials(proxy(&address), "open");
    let exchanged = client(wrong).post(&receiver.url()).await;
    check_reason(&exchanged, &["does not accept our credentials"]);
    assert_eq!(exchanged.tls_failure, Some(TlsFailure::ProxyRefused));
    assert_eq!(receiver.requests(), 1);
}
