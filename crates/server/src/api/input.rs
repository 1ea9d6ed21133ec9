//! Bodies of requests: read once, bounded in size and time, parsed where they lie.
//!
//! **Invariant:** a body is never changed; what is parsed from it borrows it.

use std::error::Error;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, Method, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;

use hookseal_domain::access::Principal;
use hookseal_domain::limits::{IDEMPOTENCY_HOURS, IDEMPOTENCY_KEY_BYTES_MAX};
use hookseal_domain::time::Timestamp;
use hookseal_domain::violation::Violation;
use hookseal_store::publish::Idempotency;

use crate::api::Api;
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorCode};
use crate::auth::sha256;

/// Room for everything around a payload, in bytes: the other fields of a message are a few KiB.
const ENVELOPE_BYTES_MAX: usize = 64 * 1024;
/// Least bytes of a body that are always read: an event type's schemas may be a MiB.
const BODY_BYTES_MIN: usize = hookseal_domain::limits::SCHEMAS_BYTES_MAX;
/// How long a body may take to arrive: a client that stalls must not hold its connection for ever.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Header by which a repeated request is recognised.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The body of a request, with what is needed to recognise its repetition.
pub(crate) struct Input {
    bytes: Bytes,
    repeatable: Option<RequestKey>,
}

/// What a client calls a request, and what the request is for.
struct RequestKey {
    key: Vec<u8>,
    operation: String,
}

// === impl Input ===

impl Input {
    /// The body as it came.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The body as an object of this shape. Its values are not checked yet.
    pub(crate) fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Violations> {
        let first = self.bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        match serde_json::from_slice(&self.bytes) {
            Ok(read) if first == Some(&b'{') => Ok(read),
            Ok(_) => Err(Violations::one(&["body"], &not_an_object())),
            Err(_) => Err(located::<T>(&self.bytes)),
        }
    }

    /// How a repetition of this request by the same principal is recognised, where the client
    /// gave it a key.
    pub(crate) fn idempotency(&self, who: Principal, now: Timestamp) -> Option<Idempotency> {
        let request = self.repeatable.as_ref()?;
        let app = match who {
            Principal::Organisation(_) => 0,
            Principal::Application(_, app) => app.raw(),
        };
        let mut named = Vec::with_capacity(64 + request.operation.len() + request.key.len());
        named.extend_from_slice(who.org().as_bytes());
        named.extend_from_slice(&app.to_be_bytes());
        named.extend_from_slice(request.operation.as_bytes());
        named.push(0);
        named.extend_from_slice(&request.key);
        Some(Idempotency {
            key_hash: sha256(&named),
            body_hash: sha256(&self.bytes),
            expires_at: now.plus(Duration::from_secs(IDEMPOTENCY_HOURS * 3600)),
        })
    }
}

impl FromRequest<Api> for Input {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        let bytes_max = api.config.payload_bytes_max.max(BODY_BYTES_MIN) + ENVELOPE_BYTES_MAX;
        let (parts, body) = request.into_parts();
        let repeatable = match parts.method {
            Method::POST => request_key(&parts.headers, parts.uri.path())?,
            _ => None,
        };
        let bytes = match tokio::time::timeout(BODY_TIMEOUT, read_body(body, bytes_max)).await {
            Ok(bytes) => bytes?,
            Err(_) => {
                let detail = "the body did not arrive in time";
                return Err(ApiError::new(ErrorCode::RequestTimeout, detail));
            }
        };
        if !bytes.is_empty() {
            check_content_type(&parts.headers)?;
        }
        Ok(Self { bytes, repeatable })
    }
}

/// A body that is too large, in the words of the limit that it broke.
pub(crate) fn too_large(what: &str, bytes_max: usize) -> ApiError {
    let detail = format!("{what} is larger than {bytes_max} bytes");
    ApiError::new(ErrorCode::PayloadTooLarge, detail)
}

async fn read_body(body: Body, bytes_max: usize) -> Result<Bytes, ApiError> {
    match Limited::new(body, bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if is_too_large(error.as_ref()) => Err(too_large("the body", bytes_max)),
        Err(_) => Err(ApiError::new(ErrorCode::BadRequest, "the body broke off")),
    }
}

fn is_too_large(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    error.is::<LengthLimitError>()
}

fn request_key(headers: &HeaderMap, path: &str) -> Result<Option<RequestKey>, Violations> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let key = key.as_bytes();
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        let message = format!("must be 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes");
        let violation = Violation::new("value_error.length", message);
        return Err(Violations::one(&["header", IDEMPOTENCY_KEY], &violation));
    }
    Ok(Some(RequestKey {
        key: key.to_vec(),
        operation: format!("POST {}", path.trim_end_matches('/')),
    }))
}

/// `application/json` and what is built on it (RFC 6839 §3.1); a missing type is taken for it.
fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(given) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let essence = given.to_str().unwrap_or_default();
    let essence = essence.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    if essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
    {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::UnsupportedMediaType,
        "the body must be application/json",
    ))
}

/// Parses once more to find the place of the error: only bad requests pay for that.
fn located<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Violations {
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let (path, error) = match serde_path_to_error::deserialize::<_, T>(&mut parser) {
        Err(error) => (path_of(error.path()), error.into_inner()),
        Ok(_) => match parser.end() {
            Err(error) => (Vec::new(), error),
            Ok(()) => (Vec::new(), serde::de::Error::custom("is not valid JSON")),
        },
    };
    let (rule, message) = match error.classify() {
        serde_json::error::Category::Data => ("type_error", without_position(&error)),
        _ => ("value_error.jsondecode", error.to_string()),
    };
    let mut loc = vec!["body"];
    if rule == "type_error" {
        loc.extend(path.iter().map(String::as_str));
    }
    Violations::one(&loc, &Violation::new(rule, message))
}

fn path_of(path: &serde_path_to_error::Path) -> Vec<String> {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { variant } => Some(variant.clone()),
            Segment::Unknown => None,
        })
        .collect()
}

/// The parser's words without line and column, which say nothing of a value.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((message, _)) => message.to_owned(),
        None => text,
    }
}

fn not_an_object() -> Violation {
    Violation::new("type_error", "must be a JSON object")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use axum::http::HeaderValue;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Shape<'a> {
        #[serde(borrow)]
        raw: Option<&'a serde_json::value::RawValue>,
        list: Vec<u16>,
        map: BTreeMap<String, String>,
    }

    fn check(body: &'static str, expect: Result<&str, (&[&str], &str, &str)>) {
        let input = Input {
            bytes: Bytes::from_static(body.as_bytes()),
            repeatable: None,
        };
        let got = input.read::<Shape<'_>>();
        match expect {
            Ok(raw) => assert_eq!(got.unwrap().raw.unwrap().get(), raw),
            Err((loc, rule, msg)) => {
                let found = got.unwrap_err().into_vec();
                let [found] = found.as_slice() else {
                    panic!("{found:?}")
                };
                assert_eq!((found.rule.as_str(), found.msg.as_str()), (rule, msg));
                assert_eq!(found.loc, loc);
            }
        }
    }

    #[test]
    fn payloads_are_kept_as_they_are() {
        check(
            "{\"raw\": { \"a\" :1,\n \"b\":1.0} }",
            Ok("{ \"a\" :1,\n \"b\":1.0}"),
        );
    }

    #[test]
    fn errors_name_their_place() {
        let place: &[&str] = &["body"];
        check(
            "{\"raw\":",
            Err((
                place,
                "value_error.jsondecode",
                "EOF while parsing a value at line 1 column 7",
            )),
        );
        check(
            "{} {}",
            Err((
                place,
                "value_error.jsondecode",
                "trailing characters at line 1 column 4",
            )),
        );
        check("[]", Err((place, "type_error", "must be a JSON object")));
        check(
            "{\"list\": [1, \"x\"]}",
            Err((
                &["body", "list", "1"],
                "type_error",
                "invalid type: string \"x\", expected u16",
            )),
        );
        check(
            "{\"map\": {\"a\": null}}",
            Err((
                &["body", "map", "a"],
                "type_error",
                "invalid type: null, expected a string",
            )),
        );
    }

    #[test]
    fn only_json_is_taken() {
        let check = |given: Option<&'static str>, expect: bool| {
            let mut headers = HeaderMap::new();
            if let Some(given) = given {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(given));
            }
            assert_eq!(check_content_type(&headers).is_ok(), expect, "{given:?}");
        };
        check(None, true);
        check(Some("application/json; charset=utf-8"), true);
        check(Some("Application/JSON"), true);
        check(Some("application/merge-patch+json"), true);
        check(Some("text/plain"), false);
        check(Some("application/x-www-form-urlencoded"), false);
        check(Some(""), false);
    }
}
