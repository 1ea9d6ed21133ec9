//! Tests of the listener over real sockets; time moves by itself while everybody waits.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use hookseal_testkit::wait::until;

use crate::listener::certificates::{CertificateFiles, Certificates, Look};
use crate::listener::{Listener, ListenerConfig, Serving};

const PLENTY: Duration = Duration::from_secs(60);

/// A page that tells when it has begun, and waits until it is told to go on.
#[derive(Clone, Default)]
struct Slow {
    begun: Arc<Notify>,
    go_on: Arc<Notify>,
}

fn pages(slow: &Slow) -> Router {
    let slow = slow.clone();
    Router::new()
        .route(
            "/peer",
            get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string()),
        )
        .route(
            "/slow",
            get(async move || {
                slow.begun.notify_one();
                slow.go_on.notified().await;
                "done"
            }),
        )
}

async fn serving(router: Router, connections_max: usize) -> Serving {
    let config = ListenerConfig {
        address: (Ipv4Addr::LOCALHOST, 0).into(),
        certificates: None,
        connections_max,
        request_timeout: PLENTY,
    };
    Listener::bind(config).await.unwrap().serve(router)
}

async fn connect(serving: &Serving) -> TcpStream {
    TcpStream::connect(serving.address()).await.unwrap() // socket: our own listener
}

async fn ask(stream: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: here\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

/// Reads until the text ends like this, or the connection does.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut bytes = [0; 1024];
    while !text.ends_with(end) {
        let count = stream.read(&mut bytes).await.unwrap();
        if count == 0 {
            break;
        }
        text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    text
}

#[tokio::test]
async fn requests_know_their_peer() {
    let serving = serving(pages(&Slow::default()), 10).await;
    let mut stream = connect(&serving).await;
    let own = stream.local_addr().unwrap().to_string();
    ask(&mut stream, "/peer").await;
    let answer = read_until(&mut stream, &own).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with(&own), "{answer}");
    assert_eq!(
        serving.stop(PLENTY).await,
        0,
        "idle connections end at once"
    );
}

#[tokio::test]
async fn a_request_under_way_is_finished() {
    let slow = Slow::default();
    let serving = serving(pages(&slow), 10).await;
    let address = serving.address();
    let mut stream = connect(&serving).await;
    ask(&mut stream, "/slow").await;
    slow.begun.notified().await;
    let (cut, answer) = tokio::join!(serving.stop(PLENTY), async {
        // Refused as soon as the listener has stopped accepting.
        while TcpStream::connect(address).await.is_ok() {} // socket: our own listener
        slow.go_on.notify_one();
        read_until(&mut stream, "done").await
    });
    assert!(answer.ends_with("done"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(cut, 0);
}

#[tokio::test(start_paused = true)]
async fn stopping_has_a_bound() {
    let slow = Slow::default();
    let serving = serving(pages(&slow), 10).await;
    let mut stream = connect(&serving).await;
    ask(&mut stream, "/slow").await;
    slow.begun.notified().await;
    assert_eq!(serving.stop(Duration::from_secs(1)).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_dropped() {
    let serving = serving(pages(&Slow::default()), 10).await;
    for beginning in ["", "PRI", "GET / HTTP/1.1\r\nhost"] {
        let mut stream = connect(&serving).await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        assert_eq!(read_until(&mut stream, "the end").await, "", "{beginning}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_answered() {
    let serving = serving(pages(&Slow::default()), 10).await;
    let mut stream = connect(&serving).await;
    ask(&mut stream, "/slow").await;
    let answer = read_until(&mut stream, "}").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains(r#"{"code":"request_timeout","#), "{answer}");
}

#[tokio::test]
async fn connections_are_bounded() {
    let serving = serving(pages(&Slow::default()), 1).await;
    let mut first = connect(&serving).await;
    ask(&mut first, "/peer").await;
    let own = first.local_addr().unwrap().to_string();
    read_until(&mut first, &own).await;
    let mut second = connect(&serving).await;
    ask(&mut second, "/peer").await;
    assert!(second.try_read(&mut [0; 1]).is_err(), "waits in the queue");
    drop(first);
    let own = second.local_addr().unwrap().to_string();
    assert!(read_until(&mut second, &own).await.ends_with(&own));
}

/// Certificate files in a folder of their own.
struct Files {
    _folder: TempDir,
    files: CertificateFiles,
}

impl Files {
    fn new(pair: &CertifiedKey<rcgen::KeyPair>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = CertificateFiles {
            chain: folder.path().join("chain.pem"),
            key: folder.path().join("key.pem"),
        };
        let files = Self {
            _folder: folder,
            files,
        };
        files.write_chain(pair);
        files.write_key(pair);
        files
    }

    fn write_chain(&self, pair: &CertifiedKey<rcgen::KeyPair>) {
        fs::write(&self.files.chain, pair.cert.pem()).unwrap();
    }

    fn write_key(&self, pair: &CertifiedKey<rcgen::KeyPair>) {
        fs::write(&self.files.key, pair.signing_key.serialize_pem()).unwrap();
    }
}

fn pair() -> CertifiedKey<rcgen::KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

/// A client that trusts these certificates and speaks HTTP/2.
fn connector(trusted: [&CertifiedKey<rcgen::KeyPair>; 2]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for pair in trusted {
        roots.add(pair.cert.der().clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];
    // Every handshake is a full one, so that it shows a certificate.
    client.resumption = Resumption::disabled();
    TlsConnector::from(Arc::new(client))
}

/// What the listener shows on this connection.
async fn shown<S>(connector: &TlsConnector, stream: S) -> CertificateDer<'static>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector.connect(name, stream).await.unwrap();
    let (_, session) = stream.get_ref();
    assert_eq!(session.alpn_protocol(), Some(b"h2".as_slice()));
    session.peer_certificates().unwrap()[0].clone()
}

/// The same without a listener.
async fn shown_by(
    certificates: &Certificates,
    connector: &TlsConnector,
) -> CertificateDer<'static> {
    let (near, far) = tokio::io::duplex(1 << 14);
    let acceptor = TlsAcceptor::from(certificates.server_config());
    // The server may find the client gone already, who has seen enough.
    let (shown, _) = tokio::join!(shown(connector, near), acceptor.accept(far));
    shown
}

#[tokio::test]
async fn a_running_listener_takes_a_new_certificate() {
    let (old, new) = (pair(), pair());
    let connector = connector([&old, &new]);
    let files = Files::new(&old);
    let config = ListenerConfig {
        address: (Ipv4Addr::LOCALHOST, 0).into(),
        certificates: Some(Certificates::load(files.files.clone()).unwrap()),
        connections_max: 10,
        request_timeout: PLENTY,
    };
    let serving = Listener::bind(config).await.unwrap();
    let serving = serving.serve(pages(&Slow::default()));
    let first = shown(&connector, connect(&serving).await).await;
    assert_eq!(&first, old.cert.der());

    files.write_chain(&new);
    files.write_key(&new);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(6)).await;
    tokio::time::resume();
    until("the new certificate is shown", async || {
        let shown = shown(&connector, connect(&serving).await).await;
        Ok((&shown == new.cert.der()).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_new_certificate_is_taken_when_its_halves_match() {
    let (old, new) = (pair(), pair());
    let connector = connector([&old, &new]);
    let files = Files::new(&old);
    let mut certificates = Certificates::load(files.files.clone()).unwrap();
    assert_eq!(certificates.look().unwrap(), Look::Same);
    assert_eq!(&shown_by(&certificates, &connector).await, old.cert.der());

    files.write_chain(&new);
    let error = certificates.look().unwrap_err().to_string();
    assert!(
        error.starts_with("server.tls_key: does not go with server.tls_cert"),
        "{error}"
    );
    assert_eq!(&shown_by(&certificates, &connector).await, old.cert.der());
    assert_eq!(certificates.look().unwrap(), Look::Same, "told once");

    files.write_key(&new);
    assert_eq!(certificates.look().unwrap(), Look::Renewed);
    assert_eq!(&shown_by(&certificates, &connector).await, new.cert.der());
}

#[test]
fn what_is_no_certificate_is_refused() {
    let good = pair();
    let files = Files::new(&good);
    fs::write(&files.files.chain, "nothing").unwrap();
    let error = files.files.check().unwrap_err().to_string();
    assert!(
        error.starts_with("server.tls_cert: holds no PEM certificate"),
        "{error}"
    );
    files.write_chain(&good);
    fs::write(&files.files.key, good.cert.pem()).unwrap();
    let error = files.files.check().unwrap_err().to_string();
    assert_eq!(error, "server.tls_key: holds no PEM private key");
    fs::remove_file(&files.files.key).unwrap();
    let error = files.files.check().unwrap_err().to_string();
    assert!(error.contains("key.pem: cannot be read"), "{error}");
}
