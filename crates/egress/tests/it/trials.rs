//! Connections whose receiver asked for our certificate and has not said yet what it makes of it.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use hookseal_domain::delivery::outcome::FailureKind;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::handshake::PresentDecision;
use hookseal_domain::transport::rotation::Stage;
use hookseal_testkit::test_ca::{Leaf, LeafSpec, TestCa};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Barrier, Notify};
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;

use crate::client::{Client, check_failure, check_status, check_tls_failure};
use crate::identities::presenting;
use crate::last_words::{HTTP1, HTTP2, after_handshake, asking};
use crate::server::{read_request, serve};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
/// nginx's words.
const REFUSAL: &str = "The SSL certificate error";

/// A receiver's CA, the CA of the clients that it asks for, and two certificates of ours.
struct Cast {
    servers: TestCa,
    clients: TestCa,
    old: Leaf,
    new: Leaf,
}

// === impl Cast ===

impl Cast {
    fn new() -> Self {
        let clients = TestCa::new("Clients").unwrap();
        let [old, new] = [(); 2].map(|()| clients.issue(&LeafSpec::client("us")).unwrap());
        Self {
            servers: TestCa::new("Servers").unwrap(),
            clients,
            old,
            new,
        }
    }

    /// Prefers the new one.
    fn client(&self) -> Client {
        let mut client = Client::trusting(&self.servers.root_pem());
        let both = [(1, &self.old, Stage::Seen), (2, &self.new, Stage::Seen)];
        client.set_policy(presenting(&both));
        client
    }
}

fn shows(stream: &TlsStream<TcpStream>, certificate: &[u8]) -> bool {
    let shown = stream.get_ref().1.peer_certificates();
    let own = shown.and_then(|chain| chain.first());
    own.is_some_and(|own| own.as_ref() == certificate)
}

/// nginx does not know the new certificate. Many have sent on the first connection before it says
/// so on any of them.
#[tokio::test]
async fn a_refusal_meets_all_who_share_the_connection() {
    const SHARING: usize = 4;
    let cast = Cast::new();
    let known = cast.old.certificate().to_vec();
    let (all_there, first) = (Arc::new(Barrier::new(SHARING)), Arc::new(Notify::new()));
    let noted = Arc::clone(&first);
    let acceptor = asking(&cast.servers, &cast.clients, HTTP2);
    let nginx = after_handshake(acceptor, move |stream, number| {
        let is_known = shows(&stream, &known);
        let (all_there, first) = (Arc::clone(&all_there), Arc::clone(&noted));
        let service = service_fn(move |_: Request<Incoming>| {
            let (all_there, first) = (Arc::clone(&all_there), Arc::clone(&first));
            async move {
                if number == 1 {
                    first.notify_one();
                    all_there.wait().await;
                }
                let mut answer = Response::<Full<Bytes>>::default();
                if !is_known {
                    *answer.status_mut() = StatusCode::BAD_REQUEST;
                    *answer.body_mut() = Full::from(REFUSAL);
                }
                Ok::<_, Infallible>(answer)
            }
        });
        async move {
            let _served = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
    })
    .await;
    let client = Arc::new(cast.client());
    let url = nginx.tls_url();
    let mut posts = JoinSet::new();
    for number in 1..=SHARING {
        let (client, url) = (Arc::clone(&client), url.clone());
        posts.spawn(async move { client.post(&url).await });
        if number == 1 {
            first.notified().await;
        }
    }
    for exchanged in posts.join_all().await {
        check_status(&exchanged, 200);
        assert_eq!(exchanged.tls_failure, None);
    }
    // What is shared from now on is what works.
    let connections = nginx.connections();
    check_status(&client.post(&url).await, 200);
    assert_eq!(nginx.connections(), connections);
}

/// What is said on a kept connection was perhaps true when it was opened.
#[tokio::test]
async fn a_kept_connection_that_refuses_is_replaced() {
    let cast = Cast::new();
    let acceptor = asking(&cast.servers, &cast.clients, HTTP1);
    let nginx = after_handshake(acceptor, |mut stream, number| async move {
        if number == 1 {
            read_request(&mut stream).await.unwrap();
            stream.write_all(OK).await.unwrap();
            let length = REFUSAL.len();
            let head = format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {length}\r\n\r\n");
            serve(stream, (head + REFUSAL).as_bytes()).await;
        } else {
            serve(stream, OK).await;
        }
    })
    .await;
    let client = cast.client();
    for connections in [1, 2, 2] {
        check_status(&client.post(&nginx.tls_url()).await, 200);
        assert_eq!(nginx.connections(), connections);
    }
}

/// A receiver that restarts goes without a word. That it takes an older certificate a moment later
/// says nothing of the newer one.
#[tokio::test]
async fn a_restart_is_no_refusal() {
    let cast = Cast::new();
    let acceptor = asking(&cast.servers, &cast.clients, HTTP1);
    let receiver = after_handshake(acceptor, |mut stream, number| async move {
        if number == 1 {
            read_request(&mut stream).await;
            drop(stream.into_inner().0);
        } else {
            serve(stream, OK).await;
        }
    })
    .await;
    let mut client = cast.client();
    check_status(&client.post(&receiver.tls_url()).await, 200);
    client.set_generation(2);
    let exchanged = client.post(&receiver.tls_url()).await;
    check_status(&exchanged, 200);
    let report = exchanged.handshake.unwrap();
    assert_ne!(report.client.decision, PresentDecision::FellBack);
    assert_eq!(report.client.presented.unwrap().number, 2);
    assert_eq!(receiver.connections(), 3);
}

/// RFC 9113 §8.7: whoever says that it did not process a request does not refuse us.
#[tokio::test]
async fn a_receiver_that_takes_its_leave() {
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    // NO_ERROR; no request was processed.
    const GOAWAY: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    // RST_STREAM of the first request: REFUSED_STREAM.
    const REFUSED: &[u8] = &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7];
    let cast = Cast::new();
    for leave in [GOAWAY, REFUSED] {
        let acceptor = asking(&cast.servers, &cast.clients, HTTP2);
        let receiver = after_handshake(acceptor, move |mut stream, _| async move {
            stream.write_all(SETTINGS).await.unwrap();
            until_request(&mut stream).await;
            stream.write_all(leave).await.unwrap();
            stream.flush().await.unwrap();
            let _rest = stream.read_to_end(&mut Vec::new()).await;
        })
        .await;
        let exchanged = cast.client().post(&receiver.tls_url()).await;
        let words = ["without an answer"];
        check_failure(&exchanged, FailureKind::Connection, &words);
        assert_eq!(exchanged.tls_failure, None);
        // Nor did it accept us.
        assert_eq!(exchanged.handshake, None);
        assert_eq!(receiver.connections(), 2, "once more, and no more");
    }
}

/// Reads HTTP/2 up to the head of the first request.
async fn until_request(stream: &mut TlsStream<TcpStream>) {
    const HEADERS: u8 = 1;
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).await.unwrap();
        if head[3] == HEADERS {
            return;
        }
    }
}

/// What was said counts, though the rest of it is not waited for.
#[tokio::test]
async fn a_refusal_that_does_not_come_to_its_end() {
    let cast = Cast::new();
    let acceptor = asking(&cast.servers, &cast.clients, HTTP1);
    let nginx = after_handshake(acceptor, |mut stream, _| async move {
        read_request(&mut stream).await.unwrap();
        let head = "HTTP/1.1 400 Bad Request\r\ncontent-length: 999\r\n\r\n";
        let answer = head.to_owned() + REFUSAL;
        stream.write_all(answer.as_bytes()).await.unwrap();
        let _rest = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let client = cast.client().impatient();
    let exchanged = client.post(&nginx.tls_url()).await;
    check_status(&exchanged, 400);
    let words = ["does not accept our client certificate"];
    check_tls_failure(&exchanged, TlsFailure::HttpCertificateRejected, &words);
}
