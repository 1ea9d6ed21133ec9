//! Bodies of requests: read once, bounded in size and time, parsed where they lie.
//!
//! **Invariant:** a body is never changed; what is parsed from it borrows it.

mod body;
mod objects;
mod refusal;

use std::fmt;
use std::io::Write;
use std::time::Duration;

use axum::extract::{FromRequest, MatchedPath, Request};
use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use serde::Deserialize;

use hookseal_domain::access::Principal;
use hookseal_domain::limits::{IDEMPOTENCY_HOURS, IDEMPOTENCY_KEY_BYTES_MAX};
use hookseal_domain::time::Timestamp;
use hookseal_domain::violation::Violation;
use hookseal_store::publish::Idempotency;

use crate::api::Api;
use crate::api::environment::{DOCUMENT_BYTES_MAX, IMPORT_PATH};
use crate::api::error::ApiError;
use crate::api::error::violations::Violations;
use crate::api::input::objects::Objects;
use crate::api::input::refusal::located;
use crate::auth::sha256;

pub(crate) use crate::api::input::body::{drain_unread, too_large};

/// Room for everything around a payload, in bytes: the other fields of a message are a few KiB.
const ENVELOPE_BYTES_MAX: usize = 64 * 1024;
/// Least bytes of a body that are always read: an event type's schemas may be a MiB.
const BODY_BYTES_MIN: usize = hookseal_domain::limits::SCHEMAS_BYTES_MAX;
/// Most bytes of a document that is imported.
const IMPORT_BYTES_MAX: usize = 2 * DOCUMENT_BYTES_MAX;
/// Header by which a repeated request is recognised.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The body of a request, with what is needed to recognise its repetition.
pub(crate) struct Input {
    bytes: Bytes,
    /// What the client calls the request.
    key: Option<Vec<u8>>,
    headers: HeaderMap,
}

// === impl Input ===

impl Input {
    /// The body as it came.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The body as an object of this shape. Its values are not checked yet.
    pub(crate) fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Violations> {
        read(&self.bytes)
    }

    /// How a repetition of this request by the same principal is recognised, where the client
    /// gave it a key. `operation` names what is done to what, by ids: a thing has other names too.
    pub(crate) fn idempotency(
        &self,
        who: Principal,
        now: Timestamp,
        operation: fmt::Arguments<'_>,
    ) -> Option<Idempotency> {
        let key = self.key.as_ref()?;
        let app = match who {
            Principal::Organisation(_) => 0,
            Principal::Application(_, app) => app.raw(),
        };
        let mut named = Vec::with_capacity(256 + key.len());
        named.extend_from_slice(who.org().as_bytes());
        named.extend_from_slice(&app.to_be_bytes());
        // Writing to a Vec can't fail.
        _ = named.write_fmt(operation);
        named.push(0);
        named.extend_from_slice(key);
        Some(Idempotency {
            key_hash: sha256(&named),
            body_hash: sha256(&self.bytes),
            expires_at: now.plus(Duration::from_secs(IDEMPOTENCY_HOURS * 3600)),
        })
    }

    /// Gives the request a key of its own where the client gave none.
    pub(crate) fn named(&mut self, key: &str) {
        self.key.get_or_insert_with(|| key.as_bytes().to_vec());
    }

    /// The headers, once.
    pub(crate) fn take_headers(&mut self) -> HeaderMap {
        std::mem::take(&mut self.headers)
    }

    /// Whether the client gave the request a key.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.key.is_some()
    }
}

impl FromRequest<Api> for Input {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        let mut bytes_max = api.config.payload_bytes_max.max(BODY_BYTES_MIN) + ENVELOPE_BYTES_MAX;
        let path = request.extensions().get::<MatchedPath>();
        if path.is_some_and(|path| path.as_str() == IMPORT_PATH) {
            bytes_max = bytes_max.max(IMPORT_BYTES_MAX);
        }
        let (parts, body) = request.into_parts();
        let bytes = body::read(&parts.headers, body, bytes_max).await?;
        let key = match parts.method {
            Method::POST => request_key(&parts.headers)?,
            _ => None,
        };
        Ok(Self {
            bytes,
            key,
            headers: parts.headers,
        })
    }
}

/// A part of a body as an object of this shape. What is wrong is told as if the part were all of it.
pub(crate) fn read_part<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Violations> {
    read(text.as_bytes())
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Violations> {
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    T::deserialize(Objects(&mut parser))
        .and_then(|read| parser.end().map(|()| read))
        .map_err(|_| located::<T>(bytes))
}

fn request_key(headers: &HeaderMap) -> Result<Option<Vec<u8>>, Violations> {
    let refused = |rule, message: String| {
        let violation = Violation::new(rule, message);
        Violations::one(&["header", IDEMPOTENCY_KEY], &violation)
    };
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = given.next() else {
        return Ok(None);
    };
    if given.next().is_some() {
        let message = "must not be given twice".to_owned();
        return Err(refused("header.duplicate", message));
    }
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        let message = format!("must be 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes");
        return Err(refused("value_error.length", message));
    }
    if !key.as_bytes().is_ascii() {
        let message = "may only contain ASCII characters".to_owned();
        return Err(refused("value_error.pattern", message));
    }
    Ok(Some(key.as_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Shape<'a> {
        #[serde(borrow)]
        raw: Option<&'a serde_json::value::RawValue>,
        list: Vec<i64>,
        map: BTreeMap<String, String>,
    }

    fn check(body: &'static str, expect: Result<&str, (&[&str], &str, &str)>) {
        let input = Input {
            bytes: Bytes::from_static(body.as_bytes()),
            key: None,
            headers: HeaderMap::new(),
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
            Err((&["body", "list", "1"], "type_error", "must be an integer")),
        );
        check(
            "{\"map\": {\"a\": null}}",
            Err((&["body", "map", "a"], "type_error", "must be a string")),
        );
    }
}
