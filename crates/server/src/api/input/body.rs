//! Reads the bytes of a request's body: bounded in size and time. Never parses them.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::api::error::{ApiError, ErrorCode};

/// How long a body may take to arrive: a client that stalls must not hold its connection for ever.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of a refused body that are read and dropped, so that a client that writes all before
/// it reads still finds the answer; who sends more finds a closed connection.
const DRAINED_BYTES_MAX: usize = 16 << 20;
/// How long that may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The whole body, if it has no more than `bytes_max` bytes and is JSON by its headers.
pub(super) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    bytes_max: usize,
) -> Result<Bytes, ApiError> {
    if declared(&body) > bytes_max {
        drain_unread(headers, &mut body).await;
        return Err(too_large("the body", bytes_max));
    }
    let read = Limited::new(&mut body, bytes_max).collect();
    let bytes = match tokio::time::timeout(BODY_TIMEOUT, read).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            drain(&mut body).await;
            return Err(too_large("the body", bytes_max));
        }
        Ok(Err(_)) => return Err(ApiError::new(ErrorCode::BadRequest, "the body broke off")),
        Err(_) => {
            let detail = "the body did not arrive in time";
            return Err(ApiError::new(ErrorCode::RequestTimeout, detail));
        }
    };
    if !bytes.is_empty() {
        check_content_type(headers)?;
        check_content_encoding(headers)?;
    }
    Ok(bytes)
}

/// Drops the body of a request that is refused unread.
pub(crate) async fn drain_unread(headers: &HeaderMap, body: &mut Body) {
    // Who asks first (RFC 9110 §10.1.1) has sent nothing, and won't.
    if !headers.contains_key(header::EXPECT) && declared(body) <= DRAINED_BYTES_MAX {
        drain(body).await;
    }
}

/// Bytes that are certain to come.
fn declared(body: &Body) -> usize {
    usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX)
}

/// A body that is too large, in the words of the limit that it broke.
pub(crate) fn too_large(what: &str, bytes_max: usize) -> ApiError {
    let detail = format!("{what} is larger than {bytes_max} bytes");
    ApiError::new(ErrorCode::PayloadTooLarge, detail)
}

/// Reads what is left of a body, within bounds, and drops it.
async fn drain(body: &mut Body) {
    let mut left = DRAINED_BYTES_MAX;
    let drained = async {
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // The answer is the same however much was read.
    _ = tokio::time::timeout(DRAIN_TIMEOUT, drained).await;
}

/// `application/json` and what is built on it (RFC 6839 §3.1), in UTF-8; a missing type is taken for
/// it.
fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(given) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let given = given.to_str().unwrap_or_default().to_ascii_lowercase();
    let mut parts = given.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let is_json = essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"));
    if !is_json {
        return Err(unsupported("the body must be application/json"));
    }
    let mut charsets = parts.filter_map(|part| part.strip_prefix("charset="));
    if charsets.all(|charset| matches!(charset.trim_matches('"'), "utf-8" | "utf8")) {
        return Ok(());
    }
    Err(unsupported("the body must be in UTF-8"))
}

/// Bodies are taken as they are, never decompressed.
fn check_content_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    let mut given = headers.get_all(header::CONTENT_ENCODING).iter();
    if given.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Ok(());
    }
    Err(unsupported("the body must not have a content encoding"))
}

fn unsupported(detail: &str) -> ApiError {
    ApiError::new(ErrorCode::UnsupportedMediaType, detail)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(name: HeaderName, given: Option<&'static str>) -> HeaderMap {
        let given = given.map(|given| (name, HeaderValue::from_static(given)));
        given.into_iter().collect()
    }

    #[test]
    fn only_json_is_taken() {
        let check = |given: Option<&'static str>, expect: bool| {
            let headers = headers(header::CONTENT_TYPE, given);
            assert_eq!(check_content_type(&headers).is_ok(), expect, "{given:?}");
        };
        check(None, true);
        check(Some("application/json; charset=utf-8"), true);
        check(Some("application/json;charset=\"UTF-8\""), true);
        check(Some("application/json; charset=utf-16"), false);
        check(Some("application/json; a=b; charset=iso-8859-1"), false);
        check(Some("application/json; charset="), false);
        check(Some("Application/JSON"), true);
        check(Some("application/merge-patch+json"), true);
        check(Some("text/plain"), false);
        check(Some("application/x-www-form-urlencoded"), false);
        check(Some(""), false);
    }

    #[test]
    fn nothing_is_decompressed() {
        let check = |given: Option<&'static str>, expect: bool| {
            let headers = headers(header::CONTENT_ENCODING, given);
            assert_eq!(
                check_content_encoding(&headers).is_ok(),
                expect,
                "{given:?}"
            );
        };
        check(None, true);
        check(Some("Identity"), true);
        check(Some("gzip"), false);
        check(Some("identity, gzip"), false);
        check(Some(""), false);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_body_is_drained_within_bounds() {
        let check = async |chunk_bytes: usize, chunks: usize, expect_left: usize| {
            let left = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(chunks));
            let body = Body::new(Chunks(Bytes::from(vec![b'x'; chunk_bytes]), left.clone()));
            let refused = read(&HeaderMap::new(), body, 1000).await.unwrap_err();
            assert!(matches!(
                refused,
                ApiError::Coded {
                    code: ErrorCode::PayloadTooLarge,
                    ..
                }
            ));
            let left = left.load(std::sync::atomic::Ordering::Relaxed);
            assert_eq!(left, expect_left, "{chunks} of {chunk_bytes}");
        };
        check(600, 10, 0).await;
        // The first chunk breaks the limit, 16 are drained, and the next one is over the bound.
        check(1 << 20, 40, 40 - 18).await;
        // A client that stalls is not waited for.
        check(600, 2, 0).await;
    }

    /// A body of equal chunks that tells how many are left; after fewer than three it stalls.
    struct Chunks(Bytes, std::sync::Arc<std::sync::atomic::AtomicUsize>);

    impl HttpBody for Chunks {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
            use std::sync::atomic::Ordering;
            match self.1.load(Ordering::Relaxed) {
                0 => std::task::Poll::Pending,
                left => {
                    self.1.store(left - 1, Ordering::Relaxed);
                    let frame = hyper::body::Frame::data(self.0.clone());
                    std::task::Poll::Ready(Some(Ok(frame)))
                }
            }
        }
    }
}
