//! HTTP/2: one connection for all requests of an endpoint.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use hookseal_domain::delivery::outcome::FailureKind;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::client::{Client, check_failure, check_reason, check_status};
use crate::server::{Authority, Server};

/// An HTTP/2 receiver that answers each request as `answer` says.
async fn http2_server<F, A>(authority: &Authority, answer: A) -> Server
where
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
{
    let identity = authority.issue("hooks.test");
    let acceptor = identity.acceptor(&[b"h2", b"http/1.1"], rustls::ALL_VERSIONS);
    Server::start(move |stream, _| {
        let (acceptor, answer) = (acceptor.clone(), answer.clone());
        async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = service_fn(move |request| {
                let answer = answer(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let _served = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
    })
    .await
}

#[tokio::test]
async fn all_requests_share_a_connection() {
    let authority = Authority::new();
    let server = http2_server(&authority, |request| async move {
        assert_eq!(request.uri().path(), "/hook");
        assert_eq!(request.uri().host(), Some("hooks.test"));
        assert_eq!(request.headers().get("webhook-id").unwrap(), "msg_1");
        assert_eq!(request.headers().get("content-length").unwrap(), "8");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(Full::new(body))
    })
    .await;
    let client = Arc::new(Client::trusting(&authority.pem));
    let url = server.tls_url();
    let mut posts = JoinSet::new();
    for _ in 0..50 {
        let (client, url) = (Arc::clone(&client), url.clone());
        posts.spawn(async move { client.post(&url).await });
    }
    for exchanged in posts.join_all().await {
        check_status(&exchanged, 200);
        assert_eq!(&*exchanged.body, b"{\"a\": 1}");
        let facts = exchanged.connection;
        assert_eq!(facts.http_version.as_deref(), Some("HTTP/2"));
        assert_eq!(facts.tls.unwrap().version, "TLSv1.3");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn another_generation_gets_another_connection() {
    let authority = Authority::new();
    let server = http2_server(&authority, |_| async { Response::default() }).await;
    let mut client = Client::trusting(&authority.pem);
    client.post(&server.tls_url()).await;
    client.set_generation(2);
    client.post(&server.tls_url()).await;
    client.post(&server.tls_url()).await;
    assert_eq!(server.connections(), 2);
    client.egress.shutdown();
    check_status(&client.post(&server.tls_url()).await, 200);
    check_status(&client.post(&server.tls_url()).await, 200);
    assert_eq!(server.connections(), 4);
}

/// The peer may take its leave at any time (RFC 9113 §6.8): nothing was wrong with the request.
#[tokio::test]
async fn a_closed_connection_is_replaced() {
    let authority = Authority::new();
    let identity = authority.issue("hooks.test");
    let acceptor = identity.acceptor(&[b"h2"], rustls::ALL_VERSIONS);
    let server = Server::start(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let stream = acceptor.accept(stream).await.unwrap();
            let answered = Arc::new(Notify::new());
            let notify = Arc::clone(&answered);
            let service = service_fn(move |_| {
                notify.notify_one();
                async { Ok::<_, Infallible>(Response::<Full<Bytes>>::default()) }
            });
            let mut connection = pin!(
                http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
            );
            tokio::select! {
                _ = connection.as_mut() => {}
                () = answered.notified() => {
                    connection.as_mut().graceful_shutdown();
                    let _served = connection.await;
                }
            }
        }
    })
    .await;
    let client = Client::trusting(&authority.pem);
    for count in 1..=10 {
        check_status(&client.post(&server.tls_url()).await, 200);
        assert_eq!(server.connections(), count);
    }
}

#[tokio::test]
async fn a_long_body_is_read_to_the_bound() {
    let authority = Authority::new();
    let server = http2_server(&authority, |_| async {
        Response::new(Full::new(Bytes::from(vec![b'a'; 1 << 20])))
    })
    .await;
    let client = Client::trusting(&authority.pem);
    // Together more than the window of the connection: what is not read is given back.
    for _ in 0..100 {
        let exchanged = client.post(&server.tls_url()).await;
        check_status(&exchanged, 200);
        check_reason(&exchanged, &["longer than 16384 bytes"]);
        assert_eq!(exchanged.body.len(), 16_384);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_head_beyond_the_bound_is_refused() {
    let authority = Authority::new();
    let server = http2_server(&authority, |_| async {
        let mut answer = Response::<Full<Bytes>>::default();
        for n in 0..20 {
            let name: http::HeaderName = format!("x-{n}").parse().unwrap();
            let value = "a".repeat(4096).parse().unwrap();
            answer.headers_mut().insert(name, value);
        }
        answer
    })
    .await;
    let exchanged = Client::trusting(&authority.pem)
        .post(&server.tls_url())
        .await;
    check_failure(&exchanged, FailureKind::Protocol, &[]);
}

/// A request that timed out may mean that the connection is dead: the next one gets another.
#[tokio::test]
async fn a_time_out_ends_the_sharing() {
    let authority = Authority::new();
    let requests = Arc::new(AtomicUsize::new(0));
    let server = http2_server(&authority, move |_| {
        let number = requests.fetch_add(1, Ordering::SeqCst);
        async move {
            if number == 0 {
                std::future::pending::<()>().await;
            }
            let mut answer = Response::default();
            *answer.status_mut() = StatusCode::ACCEPTED;
            answer
        }
    })
    .await;
    let client = Client::trusting(&authority.pem).impatient();
    let first = client.post(&server.tls_url()).await;
    let words = ["300 ms", "waiting for the answer"];
    check_failure(&first, FailureKind::TimedOut, &words);
    check_status(&client.post(&server.tls_url()).await, 202);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn garbage_is_no_http2() {
    let authority = Authority::new();
    let acceptor = authority
        .issue("hooks.test")
        .acceptor(&[b"h2"], rustls::ALL_VERSIONS);
    let server = Server::start(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _written = stream.write_all(&[0xaa; 4096]).await;
                let _flushed = stream.flush().await;
                std::future::pending::<()>().await;
            }
        }
    })
    .await;
    let exchanged = Client::trusting(&authority.pem)
        .post(&server.tls_url())
        .await;
    check_failure(&exchanged, FailureKind::Protocol, &["not HTTP"]);
}
