//! Receivers that stall, lie, flood and break off: each costs a bounded time and memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use hookseal_domain::delivery::outcome::FailureKind;
use hookseal_domain::id::EndpointId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Client, check_failure, check_reason, check_status};
use crate::server::{Authority, Server, read_request};

/// Reads a request, writes these bytes, then does `then`.
async fn scripted<F>(answer: &'static [u8], then: fn(TcpStream) -> F) -> Server
where
    F: Future<Output = ()> + Send + 'static,
{
    Server::start(move |mut stream, _| async move {
        read_request(&mut stream).await.unwrap();
        stream.write_all(answer).await.unwrap();
        then(stream).await;
    })
    .await
}

/// Keeps the connection and says nothing.
async fn stall(mut stream: TcpStream) {
    let mut rest = Vec::new();
    let _read = stream.read_to_end(&mut rest).await;
}

/// Ends the connection.
async fn close(stream: TcpStream) {
    drop(stream);
}

/// Ends our direction only.
async fn half_close(mut stream: TcpStream) {
    stream.shutdown().await.unwrap();
    stall(stream).await;
}

#[tokio::test]
async fn stalls_before_and_within_the_head_time_out() {
    for head in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-le"] {
        let server = scripted(head, stall).await;
        let exchanged = Client::plain().impatient().post(&server.url()).await;
        let words = ["no answer within 300 ms", "waiting for the answer"];
        check_failure(&exchanged, FailureKind::TimedOut, &words);
        assert_eq!(exchanged.connection.remote_ip, Some(server.addr.ip()));
    }
}

/// The receiver has said that it accepted; how it ends its answer does not change that.
#[tokio::test]
async fn a_status_counts_when_the_body_stalls_or_breaks() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc";
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n";
    let client = Client::plain().impatient();
    for (server, words) in [
        (
            scripted(head, stall).await,
            "did not arrive whole within 300 ms",
        ),
        (scripted(head, close).await, "did not arrive whole"),
        (scripted(head, half_close).await, "did not arrive whole"),
        (scripted(chunked, stall).await, "did not arrive whole"),
    ] {
        for count in 1..=2 {
            let exchanged = client.post(&server.url()).await;
            check_status(&exchanged, 200);
            check_reason(&exchanged, &[words]);
            assert_eq!(&*exchanged.body, b"abc");
            assert_eq!(
                server.connections(),
                count,
                "a broken one is not used again"
            );
        }
    }
}

/// The peer takes the connection but nothing of the request.
#[tokio::test]
async fn a_peer_that_does_not_read_times_out() {
    let server = Server::start(|stream, _| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let client = Client::plain().impatient();
    let body = Bytes::from(vec![b'x'; BUFFERED_BYTES_MAX]);
    let id = EndpointId::from_raw(7);
    let exchanged = client.post_body(id, &server.url(), body).await;
    check_failure(&exchanged, FailureKind::TimedOut, &["300 ms"]);
}

/// A receiver may refuse without reading, and then closes on what is still on its way.
#[tokio::test]
async fn an_answer_before_the_request_is_read_counts() {
    let server = Server::start(|mut stream, _| async move {
        let answer = b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        stall(stream).await;
    })
    .await;
    let client = Client::plain();
    let body = Bytes::from(vec![b'x'; BUFFERED_BYTES_MAX]);
    let id = EndpointId::from_raw(7);
    let exchanged = client.post_body(id, &server.url(), body).await;
    check_status(&exchanged, 413);
}

#[tokio::test]
async fn no_answer_at_all() {
    let client = Client::plain();
    let server = scripted(b"", close).await;
    let exchanged = client.post(&server.url()).await;
    check_failure(&exchanged, FailureKind::Connection, &["without an answer"]);
    let server = scripted(b"", half_close).await;
    let exchanged = client.post(&server.url()).await;
    check_failure(&exchanged, FailureKind::Connection, &["without an answer"]);
    let server = scripted(b"HTTP/1.1 200 OK\r\nx: ", close).await;
    let exchanged = client.post(&server.url()).await;
    check_failure(&exchanged, FailureKind::Connection, &["within its answer"]);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn what_is_not_http() {
    for answer in [
        &b"SSH-2.0-OpenSSH_9.2p1\r\n"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"\0\0\x12\x04\0\0\0\0\0",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
    ] {
        let server = scripted(answer, stall).await;
        let exchanged = Client::plain().post(&server.url()).await;
        check_failure(&exchanged, FailureKind::Protocol, &["not HTTP"]);
    }
}

/// The answer is whole, but somebody smuggles another one behind it.
#[tokio::test]
async fn more_than_the_content_length_ends_the_connection() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 500 No\r\n\r\n";
    let server = scripted(answer, stall).await;
    let client = Client::plain();
    for count in 1..=2 {
        let exchanged = client.post(&server.url()).await;
        check_status(&exchanged, 200);
        assert_eq!(&*exchanged.body, b"ok");
        assert_eq!(server.connections(), count);
    }
}

/// Writes `chunk` again and again after `head`, and counts what the client takes.
async fn flooding(head: &'static [u8], chunk: &'static [u8]) -> (Server, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let server = Server::start(move |mut stream, _| {
        let count = Arc::clone(&count);
        async move {
            read_request(&mut stream).await.unwrap();
            stream.write_all(head).await.unwrap();
            while let Ok(written @ 1..) = stream.write(chunk).await {
                if count.fetch_add(written, Ordering::SeqCst) > 100 << 20 {
                    return;
                }
            }
        }
    })
    .await;
    (server, taken)
}

/// What the sockets' buffers of this machine can hold, generously.
const BUFFERED_BYTES_MAX: usize = 16 << 20;

#[tokio::test]
async fn an_endless_head_is_cut_off() {
    static FIELD: [u8; 8192] = [b'a'; 8192];
    for (head, chunk) in [
        (&b"HTTP/1.1 200 OK\r\nx-long: "[..], &FIELD[..]),
        (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
        (b"", &FIELD),
    ] {
        let (server, taken) = flooding(head, chunk).await;
        let exchanged = Client::plain().post(&server.url()).await;
        check_failure(&exchanged, FailureKind::Protocol, &[]);
        assert!(taken.load(Ordering::SeqCst) < BUFFERED_BYTES_MAX);
    }
}

#[tokio::test]
async fn an_endless_body_is_read_to_the_bound() {
    static DATA: [u8; 8192] = [b'a'; 8192];
    for head in [
        &b"HTTP/1.1 200 OK\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n",
    ] {
        let (server, taken) = flooding(head, &DATA).await;
        let client = Client::plain();
        let exchanged = client.post(&server.url()).await;
        check_status(&exchanged, 200);
        check_reason(&exchanged, &["longer than 16384 bytes"]);
        assert_eq!(exchanged.body.len(), 16_384);
        assert!(taken.load(Ordering::SeqCst) < BUFFERED_BYTES_MAX);
    }
}

#[tokio::test]
async fn a_body_of_just_the_bound_is_whole() {
    static DATA: [u8; 16_384] = [b'a'; 16_384];
    let server = Server::start(|mut stream, _| async move {
        while read_request(&mut stream).await.is_some() {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 16384\r\n\r\n";
            stream.write_all(head).await.unwrap();
            stream.write_all(&DATA).await.unwrap();
        }
    })
    .await;
    let client = Client::plain();
    for _ in 0..2 {
        let exchanged = client.post(&server.url()).await;
        assert_eq!((exchanged.body.len(), exchanged.reason), (16_384, None));
    }
    assert_eq!(server.connections(), 1);
}

/// TLS that ends without `close_notify` may have been cut off by somebody else.
#[tokio::test]
async fn truncated_tls() {
    let authority = Authority::new();
    let acceptor = authority.issue("hooks.test").http1_acceptor();
    let client = Client::trusting(&authority.pem);
    let serve = |answer: &'static [u8]| {
        let acceptor = acceptor.clone();
        Server::start(move |stream, _| {
            let acceptor = acceptor.clone();
            async move {
                let mut stream = acceptor.accept(stream).await.unwrap();
                read_request(&mut stream).await.unwrap();
                stream.write_all(answer).await.unwrap();
                stream.flush().await.unwrap();
                // Closes TCP, not TLS.
                drop(stream);
            }
        })
    };
    let server = serve(b"HTTP/1.1 200 OK\r\n\r\nabc").await;
    let exchanged = client.post(&server.tls_url()).await;
    check_status(&exchanged, 200);
    check_reason(&exchanged, &["did not arrive whole"]);
    let server = serve(b"HTTP/1.1 200").await;
    let exchanged = client.post(&server.tls_url()).await;
    check_failure(&exchanged, FailureKind::Connection, &["within its answer"]);
    let server = serve(b"").await;
    let exchanged = client.post(&server.tls_url()).await;
    check_failure(&exchanged, FailureKind::Connection, &["without an answer"]);
}

/// An upgrade that nobody asked for.
#[tokio::test]
async fn switching_protocols_is_an_answer() {
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n";
    let server = scripted(answer, stall).await;
    let client = Client::plain();
    check_status(&client.post(&server.url()).await, 101);
    check_status(&client.post(&server.url()).await, 101);
    assert_eq!(server.connections(), 2);
}
