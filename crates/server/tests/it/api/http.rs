//! Paths, methods, bodies and limits, before any resource is asked.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use http::Request;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use hookseal::api::RateLimit;

use crate::api::shop::{Shop, request};

fn rate(burst: u32) -> RateLimit {
    RateLimit {
        per_second: NonZeroU32::MIN,
        burst: NonZeroU32::new(burst).unwrap(),
    }
}

#[tokio::test]
async fn unknown_paths_and_methods() {
    let shop = Shop::open().await;
    for path in [
        "/nothing",
        "/app/a/endpoint/e/nothing",
        "/auth/nothing",
        "//app",
    ] {
        assert_eq!(
            shop.ask("GET", path, "").await.error(404),
            "not_found",
            "{path}"
        );
    }
    for path in ["/app", "/app/"] {
        let answer = shop.ask("DELETE", path, "").await;
        let allowed = answer.headers["allow"].to_str().unwrap().to_owned();
        assert!(
            allowed.contains("GET") && allowed.contains("POST"),
            "{allowed}"
        );
        assert_eq!(answer.error(405), "method_not_allowed");
    }
}

#[tokio::test]
async fn a_trailing_slash_is_ignored() {
    let shop = Shop::open().await;
    shop.make("/app/", r#"{"name": "n", "uid": "a"}"#).await;
    shop.get("/app/a/").await;
    let list = shop.get("/app/?limit=1").await;
    assert_eq!(list["data"][0]["uid"], "a");
    assert_eq!(shop.ask("GET", "/health/", "").await.status, 204);
    assert_eq!(shop.ask("GET", "/app//", "").await.error(404), "not_found");
}

#[tokio::test]
async fn health_needs_no_token() {
    let shop = Shop::open().await;
    for method in ["GET", "HEAD"] {
        for path in ["/health", "/health/ping"] {
            let answer = shop.ask_as("", method, path, "").await;
            assert_eq!((answer.status.as_u16(), answer.bytes.len()), (204, 0));
        }
    }
}

#[tokio::test]
async fn bodies_are_json() {
    let shop = Shop::open().await;
    let send = async |content_type: Option<&str>| {
        let mut request = Request::post("/api/v1/app")
            .header("authorization", format!("Bearer {}", shop.token()));
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        shop.send(request.body(Body::from(r#"{"name": "n"}"#)).unwrap())
            .await
    };
    assert_eq!(
        send(Some("text/plain")).await.error(415),
        "unsupported_media_type"
    );
    assert_eq!(send(None).await.status, 201);
    assert_eq!(
        send(Some("application/json; charset=utf-8")).await.status,
        201
    );
}

#[tokio::test]
async fn large_bodies_are_refused() {
    let shop = Shop::open_with(|config| config.payload_bytes_max = 1000).await;
    let app = shop.app("a").await;
    let path = format!("/app/{app}/msg");
    let payload = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
    let body = |bytes| format!(r#"{{"eventType": "t", "payload": {}}}"#, payload(bytes));
    assert_eq!(shop.ask("POST", &path, body(1000)).await.status, 202);
    assert_eq!(
        shop.ask("POST", &path, body(1001)).await.error(413),
        "payload_too_large"
    );
    let huge = "x".repeat((1 << 20) + 64 * 1024 + 1);
    assert_eq!(
        shop.ask("POST", "/app", huge).await.error(413),
        "payload_too_large"
    );
}

#[tokio::test]
async fn who_sends_all_before_reading_finds_the_refusal() {
    const BODY_BYTES: usize = 6_000_000;
    let shop = Shop::open().await;
    let serving = shop.listen().await;
    let ask = async |headers: &str, body: &[u8]| {
        let mut stream = TcpStream::connect(serving.address()).await.unwrap();
        let token = shop.token();
        let head = format!(
            "POST /api/v1/app HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
             connection: close\r\n{headers}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("payload_too_large"), "{answer}");
    };
    let length = format!("content-length: {BODY_BYTES}");
    ask(&length, &vec![b'x'; BODY_BYTES]).await;
    let chunk = format!("{BODY_BYTES:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(BODY_BYTES));
    ask("transfer-encoding: chunked", chunk.as_bytes()).await;
    ask(&format!("{length}\r\nexpect: 100-continue"), b"").await;
    serving.stop(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn bodies_are_plain_utf_8() {
    let shop = Shop::open().await;
    for (name, value) in [
        ("content-type", "application/json; charset=iso-8859-1"),
        ("content-encoding", "gzip"),
    ] {
        let request = Request::post("/api/v1/app")
            .header("authorization", format!("Bearer {}", shop.token()))
            .header(name, value)
            .body(Body::from(r#"{"name": "n"}"#));
        let answer = shop.send(request.unwrap()).await;
        assert_eq!(answer.error(415), "unsupported_media_type", "{name}");
    }
}

#[tokio::test]
async fn idempotency_keys_are_one_plain_text() {
    let shop = Shop::open().await;
    let long = [b'k'; 257];
    for (keys, rule, msg) in [
        (
            &[&b"a"[..], b"b"][..],
            "header.duplicate",
            "must not be given twice",
        ),
        (
            &["ü".as_bytes()],
            "value_error.pattern",
            "may only contain ASCII characters",
        ),
        (&[b""], "value_error.length", "must be 1 to 256 bytes"),
        (&[&long], "value_error.length", "must be 1 to 256 bytes"),
    ] {
        let mut request =
            request("POST", "/app").header("authorization", format!("Bearer {}", shop.token()));
        for key in keys {
            request = request.header("idempotency-key", *key);
        }
        let request = request.body(Body::from(r#"{"name": "n"}"#)).unwrap();
        let expect =
            json!({"detail": [{"loc": ["header", "idempotency-key"], "msg": msg, "type": rule}]});
        assert_eq!(shop.send(request).await.expect(422), expect);
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_bad_request() {
    let shop = Shop::open().await;
    assert_eq!(
        shop.ask("POST", "/app", Body::new(Broken)).await.error(400),
        "bad_request"
    );
}

#[tokio::test]
async fn tokens_are_limited_one_by_one() {
    let shop = Shop::open_with(|config| config.rate_per_token = Some(rate(3))).await;
    let app = shop.app("a").await;
    shop.get("/app").await;
    shop.get("/app").await;
    let refused = shop.ask("GET", "/app", "").await;
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(refused.error(429), "rate_limited");
    let path = format!("/app/{app}");
    shop.ask_as(&shop.as_app(&app), "GET", &path, "")
        .await
        .expect(200);
}

#[tokio::test]
async fn addresses_are_limited_one_by_one() {
    let shop = Shop::open_with(|config| config.rate_per_address = Some(rate(2))).await;
    let from = async |address: &str| {
        let address: SocketAddr = address.parse().unwrap();
        let mut request = request("GET", "/nothing").body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(address));
        shop.send(request).await
    };
    for _ in 0..2 {
        assert_eq!(from("192.0.2.1:1000").await.status, 404);
    }
    let refused = from("192.0.2.1:2000").await;
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(refused.error(429), "rate_limited");
    assert_eq!(from("192.0.2.2:1000").await.status, 404);
}

/// A body whose connection breaks before its end.
struct Broken;

impl hyper::body::Body for Broken {
    type Data = bytes::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, std::io::Error>>> {
        Poll::Ready(Some(Err(std::io::Error::other("reset"))))
    }
}
