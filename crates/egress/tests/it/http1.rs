//! HTTP/1.1: what is sent, and when a connection is used again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookseal_domain::delivery::outcome::{FailureKind, Reply, RetryAfter};
use hookseal_domain::id::EndpointId;
use hookseal_egress::EgressConfig;
use http::Method;
use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, mpsc};

use crate::client::{Client, check_failure, check_status, config};
use crate::server::{Server, read_request, serve};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const NO_CONTENT: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

#[tokio::test]
async fn sends_a_post_as_given_and_reads_the_answer() {
    let (seen, mut requests) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream, _| {
        let seen = seen.clone();
        async move {
            seen.send(read_request(&mut stream).await.unwrap()).unwrap();
            stream.write_all(OK).await.unwrap();
        }
    })
    .await;
    let url = format!("http://hooks.test:{}/a%20b?x=1", server.addr.port());
    let exchanged = Client::plain().post(&url).await;
    check_status(&exchanged, 200);
    assert_eq!((&*exchanged.body, exchanged.reason), (&b"ok"[..], None));
    let facts = exchanged.connection;
    assert_eq!(facts.remote_ip, Some(server.addr.ip()));
    assert_eq!(facts.http_version.as_deref(), Some("HTTP/1.1"));
    assert_eq!((facts.tls, facts.refused), (None, vec![]));

    let request = requests.recv().await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<&str> = head.lines().collect();
    lines.sort_unstable();
    let host = format!("host: hooks.test:{}", server.addr.port());
    let expect = [
        "POST /a%20b?x=1 HTTP/1.1",
        "content-length: 8",
        &host,
        "webhook-id: msg_1",
    ];
    assert_eq!(lines, expect);
    assert_eq!(body, "{\"a\": 1}");
}

#[tokio::test]
async fn asks_as_it_is_told_and_keeps_the_headers_that_are_wanted() {
    let answer: &[u8] = b"HTTP/1.1 204 No Content\r\nwebhook-allowed-origin: a\r\n\
        set-cookie: hush\r\nWebHook-Allowed-Origin: b\r\n\r\n";
    let (seen, mut requests) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream, _| {
        let seen = seen.clone();
        async move {
            for _ in 0..2 {
                seen.send(read_request(&mut stream).await.unwrap()).unwrap();
                stream.write_all(answer).await.unwrap();
            }
        }
    })
    .await;
    let client = Client::plain();
    // On a new connection, and on one that was kept.
    for _ in 0..2 {
        let exchanged = client
            .ask(&server.url(), |request| {
                request.method = Method::OPTIONS;
                request.answer_headers = &["webhook-allowed-origin", "webhook-allowed-rate"];
            })
            .await;
        check_status(&exchanged, 204);
        let kept: Vec<_> = exchanged.headers.iter().collect();
        assert_eq!(kept.len(), 2, "{kept:?}");
        let values = exchanged.headers.get_all("webhook-allowed-origin");
        assert_eq!(values.iter().collect::<Vec<_>>(), ["a", "b"]);
        let request = requests.recv().await.unwrap();
        assert!(
            request.starts_with("OPTIONS /hook HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(request.ends_with("\r\n\r\n"), "{request}");
    }
}

#[tokio::test]
async fn reads_as_much_as_is_wanted_on_a_new_connection_too() {
    let body = "x".repeat(40_000);
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 40000\r\n\r\n{body}");
    let server = Server::answering(answer.into_bytes().leak()).await;
    let client = Client::plain();
    for wanted in [50_000, 30_000, 1000] {
        let exchanged = client
            .ask(&server.url(), |request| request.answer_bytes_max = wanted)
            .await;
        check_status(&exchanged, 200);
        assert_eq!(exchanged.body.len(), wanted.min(40_000));
        assert_eq!(exchanged.reason.is_some(), wanted < 40_000);
    }
}

#[tokio::test]
async fn keeps_the_connection_of_an_endpoint() {
    for answer in [
        OK,
        NO_CONTENT,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ] {
        let server = Server::answering(answer).await;
        let client = Client::plain();
        for _ in 0..5 {
            assert!(matches!(
                client.post(&server.url()).await.reply,
                Reply::Response {
                    status: 200 | 204,
                    ..
                }
            ));
        }
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test]
async fn shares_no_connection_between_endpoints_or_generations() {
    let server = Server::answering(OK).await;
    let mut client = Client::plain();
    let [one, two] = [1, 2].map(EndpointId::from_raw);
    client.post_as(one, &server.url()).await;
    client.post_as(two, &server.url()).await;
    assert_eq!(server.connections(), 2);

    client.set_generation(2);
    client.post_as(one, &server.url()).await;
    client.post_as(one, &server.url()).await;
    assert_eq!(server.connections(), 3);

    // A request that still belongs to the old generation is neither given the new one's
    // connection nor does it leave one behind.
    client.set_generation(1);
    client.post_as(one, &server.url()).await;
    client.post_as(one, &server.url()).await;
    assert_eq!(server.connections(), 5);
    client.set_generation(2);
    client.post_as(one, &server.url()).await;
    assert_eq!(server.connections(), 5);
}

/// A generation should name one URL; nothing is sent elsewhere if it does not.
#[tokio::test]
async fn a_kept_connection_is_for_one_origin() {
    let [one, two] = [Server::answering(OK).await, Server::answering(OK).await];
    let client = Client::plain();
    client.post(&one.url()).await;
    client.post(&two.url()).await;
    assert_eq!((one.connections(), two.connections()), (1, 1));
}

#[tokio::test]
async fn closes_connections_when_told() {
    let server = Server::answering(OK).await;
    let client = Client::with(EgressConfig {
        idle_timeout: Duration::ZERO,
        ..config()
    });
    client.post(&server.url()).await;
    client.egress.sweep();
    client.post(&server.url()).await;
    assert_eq!(server.connections(), 2);
    client.egress.forget(EndpointId::from_raw(7));
    client.post(&server.url()).await;
    assert_eq!(server.connections(), 3);
    client.egress.shutdown();
    client.post(&server.url()).await;
    client.post(&server.url()).await;
    assert_eq!(server.connections(), 5);
}

#[tokio::test]
async fn sweeping_spares_what_is_in_use() {
    let server = Server::answering(OK).await;
    let client = Client::plain();
    client.post(&server.url()).await;
    client.egress.sweep();
    client.post(&server.url()).await;
    assert_eq!(server.connections(), 1);
}

/// A connection that comes back after it is kept all the same.
#[tokio::test]
async fn sweeping_during_an_exchange() {
    let (got_one, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let notifies = (Arc::clone(&got_one), Arc::clone(&go_on));
    let server = Server::start(move |mut stream, _| {
        let (got_one, go_on) = notifies.clone();
        async move {
            read_request(&mut stream).await.unwrap();
            got_one.notify_one();
            go_on.notified().await;
            stream.write_all(OK).await.unwrap();
            serve(stream, OK).await;
        }
    })
    .await;
    let client = Client::plain();
    let url = server.url();
    let sweep = async {
        got_one.notified().await;
        client.egress.sweep();
        go_on.notify_one();
    };
    let (exchanged, ()) = tokio::join!(client.post(&url), sweep);
    check_status(&exchanged, 200);
    check_status(&client.post(&url).await, 200);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn keeps_no_more_than_allowed() {
    let server = Server::answering(OK).await;
    let client = Client::with(EgressConfig {
        idle_per_endpoint_max: 2,
        idle_max: 3,
        ..config()
    });
    let [one, two] = [1, 2].map(EndpointId::from_raw);
    let url = server.url();
    let four = async |id| {
        let post = || client.post_as(id, &url);
        tokio::join!(post(), post(), post(), post())
    };
    // Four at once each; two of the first and one of the second are kept.
    four(one).await;
    four(two).await;
    assert_eq!(server.connections(), 8);
    four(one).await;
    assert_eq!(server.connections(), 10);
    four(two).await;
    assert_eq!(server.connections(), 13);
}

/// The peer may close a kept connection at any time: nothing was wrong with the request.
#[tokio::test]
async fn tries_a_second_connection_where_the_kept_one_was_closed() {
    // Connection 1 answers once and ends at the second request, without an answer.
    let server = Server::start(|mut stream, number| async move {
        if number == 1 {
            read_request(&mut stream).await.unwrap();
            stream.write_all(OK).await.unwrap();
            read_request(&mut stream).await.unwrap();
        } else {
            serve(stream, OK).await;
        }
    })
    .await;
    let client = Client::plain();
    check_status(&client.post(&server.url()).await, 200);
    check_status(&client.post(&server.url()).await, 200);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn tries_a_new_connection_once_only() {
    let server = Server::start(|mut stream, number| async move {
        if number == 1 {
            read_request(&mut stream).await.unwrap();
            stream.write_all(OK).await.unwrap();
        }
        read_request(&mut stream).await.unwrap();
    })
    .await;
    let client = Client::plain();
    check_status(&client.post(&server.url()).await, 200);
    let second = client.post(&server.url()).await;
    check_failure(&second, FailureKind::Connection, &["without an answer"]);
    assert_eq!(server.connections(), 2);
    let third = client.post(&server.url()).await;
    check_failure(&third, FailureKind::Connection, &["without an answer"]);
    assert_eq!(server.connections(), 3);
}

/// What kept one connection from answering has probably taken the others with it.
#[tokio::test]
async fn kept_connections_are_not_trusted_after_a_time_out() {
    let server = Server::start(|mut stream, number| async move {
        if number <= 2 {
            read_request(&mut stream).await.unwrap();
            stream.write_all(OK).await.unwrap();
            std::future::pending::<()>().await;
        }
        serve(stream, OK).await;
    })
    .await;
    let client = Client::plain().impatient();
    let url = server.url();
    tokio::join!(client.post(&url), client.post(&url));
    assert_eq!(server.connections(), 2);
    check_failure(&client.post(&url).await, FailureKind::TimedOut, &[]);
    assert_eq!(server.connections(), 2);
    check_status(&client.post(&url).await, 200);
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn connection_close_is_honoured() {
    let server =
        Server::answering(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            .await;
    let client = Client::plain();
    check_status(&client.post(&server.url()).await, 200);
    check_status(&client.post(&server.url()).await, 200);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn informational_answers_are_skipped() {
    let server = Server::answering(
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    check_status(&Client::plain().post(&server.url()).await, 202);
}

#[tokio::test]
async fn retry_after_is_read() {
    let server =
        Server::answering(b"HTTP/1.1 503 Busy\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n")
            .await;
    let exchanged = Client::plain().post(&server.url()).await;
    let expect = Reply::Response {
        status: 503,
        retry_after: Some(RetryAfter::Delay(Duration::from_secs(120))),
    };
    assert_eq!(exchanged.reply, expect);
}

/// A redirect is an answer. Following it would let a receiver choose where we connect to.
#[tokio::test]
async fn redirects_are_not_followed() {
    let server = Server::answering(
        b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest/\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let exchanged = Client::plain().post(&server.url()).await;
    check_status(&exchanged, 302);
    assert_eq!(exchanged.connection.remote_ip, Some(server.addr.ip()));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_large_request_body_arrives() {
    let server = Server::start(|mut stream, _| async move {
        let request = read_request(&mut stream).await.unwrap();
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(body.len() == 1 << 20 && body.bytes().all(|byte| byte == b'x'));
        stream.write_all(OK).await.unwrap();
    })
    .await;
    let body = Bytes::from(vec![b'x'; 1 << 20]);
    let id = EndpointId::from_raw(7);
    let exchanged = Client::plain().post_body(id, &server.url(), body).await;
    check_status(&exchanged, 200);
}
