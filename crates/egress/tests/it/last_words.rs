//! What a peer says before it goes: alerts, early answers, nothing at all.

use std::sync::Arc;

use bytes::Bytes;
use hookseal_domain::delivery::outcome::FailureKind;
use hookseal_domain::id::EndpointId;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::handshake::PresentDecision;
use hookseal_domain::transport::policy::TlsVersion;
use hookseal_domain::transport::rotation::Stage;
use hookseal_testkit::test_ca::{Leaf, LeafSpec, Speaks, TestCa};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::client::{Client, check_failure, check_reason, check_status, check_tls_failure};
use crate::identities::presenting;
use crate::server::{Server, read_request, serve};
use crate::tls_receiver::{TlsReceiver, leaf};

pub(crate) const HTTP1: &[u8] = b"http/1.1";
pub(crate) const HTTP2: &[u8] = b"h2";
/// More than all buffers on the way hold.
const LARGE_BYTES: usize = 4 * 1024 * 1024;

fn large() -> Bytes {
    Bytes::from(vec![b'x'; LARGE_BYTES])
}

/// Asks for a client certificate but does without, like nginx and others that decide later.
pub(crate) fn asking(ca: &TestCa, clients: &TestCa, alpn: &[u8]) -> TlsAcceptor {
    let shown: Leaf = leaf(ca);
    let provider = Arc::new(default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(clients.root_der()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(shown.chain().to_vec(), shown.key().clone_key())
        .unwrap();
    config.alpn_protocols = vec![alpn.to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// Does something with each connection once its handshake is done.
pub(crate) async fn after_handshake<F>(
    acceptor: TlsAcceptor,
    work: impl Fn(TlsStream<TcpStream>, usize) -> F + Clone + Send + Sync + 'static,
) -> Server
where
    F: Future<Output = ()> + Send + 'static,
{
    Server::start(move |stream, number| {
        let (acceptor, work) = (acceptor.clone(), work.clone());
        // What is still to be sent when it closes would be lost.
        stream.set_nodelay(true).unwrap();
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                work(stream, number).await;
            }
        }
    })
    .await
}

/// The peer has refused us and gone while the body is being written: its alert is found.
#[tokio::test]
async fn an_alert_behind_a_large_body() {
    let (servers, clients) = (
        TestCa::new("Servers").unwrap(),
        TestCa::new("Clients").unwrap(),
    );
    let strangers = TestCa::new("Strangers").unwrap();
    let ours = strangers.issue(&LeafSpec::client("us")).unwrap();
    for speaks in [Speaks::Http1, Speaks::Http2] {
        let acceptor = leaf(&servers).acceptor_demanding(speaks, &clients).unwrap();
        let receiver = TlsReceiver::start(acceptor).await;
        let mut client = Client::trusting(&servers.root_pem());
        for (expect, words) in [
            (TlsFailure::CertificateRequired, "certificate_required"),
            (TlsFailure::UnknownCa, "unknown_ca"),
        ] {
            for endpoint in 0..20 {
                let endpoint = EndpointId::from_raw(endpoint);
                let exchanged = client.post_body(endpoint, &receiver.url(), large()).await;
                check_failure(&exchanged, FailureKind::Handshake, &[]);
                check_tls_failure(&exchanged, expect, &[words]);
            }
            client.set_policy(presenting(&[(1, &ours, Stage::Seen)]));
        }
        assert_eq!(receiver.connections(), 40);
        assert_eq!(receiver.bytes(), 0);
    }
}

/// A receiver that does not want the whole body says so and closes.
#[tokio::test]
async fn an_answer_before_the_whole_body() {
    const TOO_LARGE: &[u8] =
        b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno";
    let ca = TestCa::new("Root").unwrap();
    let acceptor = leaf(&ca).acceptor(Speaks::Http1).unwrap();
    let by_tls = after_handshake(acceptor, |mut stream, _| async move {
        stream.read_exact(&mut [0; 64]).await.unwrap();
        stream.write_all(TOO_LARGE).await.unwrap();
    })
    .await;
    let plain = Server::start(|mut stream, _| async move {
        stream.read_exact(&mut [0; 64]).await.unwrap();
        stream.write_all(TOO_LARGE).await.unwrap();
    })
    .await;
    let client = Client::trusting(&ca.root_pem());
    for url in [by_tls.tls_url(), plain.url()] {
        for endpoint in 0..20 {
            let endpoint = EndpointId::from_raw(endpoint);
            let exchanged = client.post_body(endpoint, &url, large()).await;
            check_status(&exchanged, 413);
            assert_eq!(&*exchanged.body, b"no");
        }
    }
}

/// Some versions of Node.js refuse a client certificate without a word.
#[tokio::test]
async fn closed_without_an_alert() {
    let (servers, clients) = (
        TestCa::new("Servers").unwrap(),
        TestCa::new("Clients").unwrap(),
    );
    let ours = clients.issue(&LeafSpec::client("us")).unwrap();
    let mut client = Client::trusting(&servers.root_pem());
    for alpn in [HTTP1, HTTP2] {
        let silent = after_handshake(asking(&servers, &clients, alpn), |stream, _| async move {
            drop(stream.into_inner().0);
        })
        .await;
        for body in [Bytes::from_static(b"{}"), large()] {
            for decision in [PresentDecision::NoIdentity, PresentDecision::Matched] {
                client.set_policy(|policy| {
                    if decision == PresentDecision::Matched {
                        presenting(&[(1, &ours, Stage::Seen)])(policy);
                    }
                });
                let endpoint = EndpointId::from_raw(1);
                let exchanged = client
                    .post_body(endpoint, &silent.tls_url(), body.clone())
                    .await;
                check_failure(&exchanged, FailureKind::Connection, &[]);
                let words = ["asked for a client certificate, and closed the connection"];
                check_tls_failure(&exchanged, TlsFailure::ClosedWithoutAlert, &words);
                assert_eq!(exchanged.handshake.unwrap().client.decision, decision);
            }
        }
    }
}

/// Silence may be a refusal: an older certificate is tried, too.
#[tokio::test]
async fn an_older_certificate_after_silence() {
    let (servers, clients) = (
        TestCa::new("Servers").unwrap(),
        TestCa::new("Clients").unwrap(),
    );
    let [old, new] = [(); 2].map(|()| clients.issue(&LeafSpec::client("us")).unwrap());
    let known = old.certificate().to_vec();
    let server = after_handshake(asking(&servers, &clients, HTTP1), move |mut stream, _| {
        let shown = stream.get_ref().1.peer_certificates();
        let is_known = shown.is_some_and(|chain| chain[0].as_ref() == known);
        async move {
            if is_known {
                serve(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            } else {
                read_request(&mut stream).await;
                drop(stream.into_inner().0);
            }
        }
    })
    .await;
    let mut client = Client::trusting(&servers.root_pem());
    let both = [(1, &old, Stage::Seen), (2, &new, Stage::Seen)];
    client.set_policy(presenting(&both));
    let exchanged = client.post(&server.tls_url()).await;
    check_status(&exchanged, 200);
    let report = exchanged.handshake.unwrap();
    assert_eq!(report.client.decision, PresentDecision::FellBack);
    assert_eq!(server.connections(), 2);
    // Nobody knows that it was a refusal: the newest gets another chance.
    client.set_generation(2);
    check_status(&client.post(&server.tls_url()).await, 200);
    assert_eq!(server.connections(), 4);
}

/// Whoever closes without having asked has another reason.
#[tokio::test]
async fn closed_without_having_asked() {
    let ca = TestCa::new("Root").unwrap();
    let acceptor = leaf(&ca).acceptor(Speaks::Http1).unwrap();
    let silent = after_handshake(acceptor, |stream, _| async move {
        drop(stream.into_inner().0);
    })
    .await;
    let exchanged = Client::trusting(&ca.root_pem())
        .post(&silent.tls_url())
        .await;
    check_failure(&exchanged, FailureKind::Connection, &["without an answer"]);
    assert_eq!(exchanged.tls_failure, None);
    assert_eq!(exchanged.handshake.unwrap().failure, None);
}

/// Once a receiver has answered on a connection, its end is an end like any other: the request
/// goes out again on a new one.
#[tokio::test]
async fn a_kept_connection_that_ends() {
    let (servers, clients) = (
        TestCa::new("Servers").unwrap(),
        TestCa::new("Clients").unwrap(),
    );
    let once = after_handshake(
        asking(&servers, &clients, HTTP1),
        |mut stream, _| async move {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            read_request(&mut stream).await.unwrap();
            stream.write_all(answer).await.unwrap();
            // The next request is read and met with silence.
            read_request(&mut stream).await;
        },
    )
    .await;
    let client = Client::trusting(&servers.root_pem());
    for connections in [1, 2, 3] {
        let exchanged = client.post(&once.tls_url()).await;
        check_status(&exchanged, 200);
        assert_eq!(exchanged.handshake.unwrap().failure, None);
        assert_eq!(once.connections(), connections);
    }
}

/// nginx answers in HTTP what is wrong with a certificate.
#[tokio::test]
async fn the_400s_of_nginx() {
    let (servers, clients) = (
        TestCa::new("Servers").unwrap(),
        TestCa::new("Clients").unwrap(),
    );
    let ours = clients.issue(&LeafSpec::client("us")).unwrap();
    let newer = clients.issue(&LeafSpec::client("us")).unwrap();
    // Takes the first certificate and no other, and tells nginx's words.
    let accepted = ours.certificate().to_vec();
    let nginx = after_handshake(asking(&servers, &clients, HTTP1), move |mut stream, _| {
        let shown = stream.get_ref().1.peer_certificates();
        let shown = shown
            .and_then(|chain| chain.first())
            .map(|der| der.to_vec());
        let words = match shown {
            None => Some("No required SSL certificate was sent"),
            Some(shown) if shown != accepted => Some("The SSL certificate error"),
            Some(_) => None,
        };
        async move {
            read_request(&mut stream).await.unwrap();
            let (status, body) = match words {
                None => ("200 OK", String::new()),
                Some(words) => ("400 Bad Request", format!("<center>{words}</center>\r\n")),
            };
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all((head + &body).as_bytes()).await.unwrap();
        }
    })
    .await;
    let url = nginx.tls_url();
    let mut client = Client::trusting(&servers.root_pem());
    let exchanged = client.post(&url).await;
    check_status(&exchanged, 400);
    let words = ["no required SSL certificate", "assign a client identity"];
    check_tls_failure(&exchanged, TlsFailure::HttpNoCertificate, &words);

    client.set_policy(presenting(&[(2, &newer, Stage::Seen)]));
    let exchanged = client.post(&url).await;
    check_status(&exchanged, 400);
    let words = [
        "the SSL certificate error",
        "does not accept our client certificate",
    ];
    check_tls_failure(&exchanged, TlsFailure::HttpCertificateRejected, &words);

    let both = [(1, &ours, Stage::Seen), (2, &newer, Stage::Seen)];
    client.set_policy(presenting(&both));
    let exchanged = client.post(&url).await;
    check_status(&exchanged, 200);
    let report = exchanged.handshake.unwrap();
    assert_eq!(report.client.decision, PresentDecision::FellBack);
    assert_eq!(report.client.presented.unwrap().number, 1);
}

/// The same words from a receiver that asked for no certificate are its own business.
#[tokio::test]
async fn a_400_of_an_application() {
    const ANSWER: &[u8] =
        b"HTTP/1.1 400 Bad Request\r\ncontent-length: 25\r\n\r\nThe SSL certificate error";
    let ca = TestCa::new("Root").unwrap();
    let acceptor = leaf(&ca).acceptor(Speaks::Http1).unwrap();
    let server = after_handshake(acceptor, |mut stream, _| async move {
        read_request(&mut stream).await.unwrap();
        stream.write_all(ANSWER).await.unwrap();
    })
    .await;
    let exchanged = Client::trusting(&ca.root_pem())
        .post(&server.tls_url())
        .await;
    check_status(&exchanged, 400);
    assert_eq!(exchanged.tls_failure, None);
}

/// A receiver that never answers has not accepted anything yet.
#[tokio::test]
async fn no_word_is_no_acceptance() {
    let (servers, clients) = (
        TestCa::new("Servers").unwrap(),
        TestCa::new("Clients").unwrap(),
    );
    let ours = clients.issue(&LeafSpec::client("us")).unwrap();
    let mute = after_handshake(
        asking(&servers, &clients, HTTP1),
        |mut stream, _| async move {
            let _read = stream.read_to_end(&mut Vec::new()).await;
        },
    )
    .await;
    let mut client = Client::trusting(&servers.root_pem()).impatient();
    client.set_policy(|policy| {
        policy.tls_min_version = TlsVersion::Tls12;
        presenting(&[(1, &ours, Stage::Seen)])(policy);
    });
    let exchanged = client.post(&mute.tls_url()).await;
    check_failure(&exchanged, FailureKind::TimedOut, &[]);
    check_reason(&exchanged, &["while waiting for the answer"]);
    assert_eq!(exchanged.handshake, None);
}
