//! In which order an endpoint gets its deliveries.

mod pointer;

use aws_lc_rs::digest::{Context, SHA256};

use crate::id::EndpointId;
use crate::violation::Violation;

/// Longest name of a header, and longest JSON pointer, in bytes.
const KEY_BYTES_MAX: usize = 256;

/// Headers of credentials, in lower case: nothing is made of their values.
pub const CREDENTIAL_HEADERS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// In which order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Order {
    /// In any, side by side.
    #[default]
    Any,
    /// As they were accepted, one after the other.
    Accepted {
        /// Which of them are in one order.
        key: OrderKey,
        /// What happens to the others when one is exhausted.
        exhausted: OnExhausted,
    },
}

/// Which deliveries of an endpoint are in one order with each other.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OrderKey {
    /// All.
    Endpoint,
    /// Those whose messages were published with the same value of this header, in lower case;
    /// without the header: none.
    Header(String),
    /// Those whose payloads have the same value at this place (RFC 6901); without a value there:
    /// none.
    Pointer(String),
}

/// Stands for a key's value: the deliveries of an endpoint that have the same come one after the
/// other. A hash, so that a value of somebody's event is not kept beside it; were two values to
/// share one, their deliveries would share an order.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyHash(i64);

/// A delivery's place in its order.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Rank {
    /// In which one.
    pub key: KeyHash,
    /// Whatever has a lower one is delivered before.
    pub seq: i64,
}

/// What happens when a delivery is exhausted for which others wait.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnExhausted {
    /// They wait until somebody resends or skips it.
    #[default]
    Block,
    /// They go on.
    MoveOn,
}

// === impl OrderKey ===

impl OrderKey {
    /// A header's name (RFC 9110 §5.1).
    pub fn header(name: &str) -> Result<Self, Violation> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || name.len() > KEY_BYTES_MAX || !name.bytes().all(token) {
            return Err(Violation::new(
                "value_error.ordering_key.header",
                format!("must be the name of a header of up to {KEY_BYTES_MAX} characters"),
            ));
        }
        let name = name.to_ascii_lowercase();
        if CREDENTIAL_HEADERS.contains(&name.as_str()) {
            return Err(Violation::new(
                "value_error.ordering_key.credential",
                "must not be a header of credentials, which are not looked at",
            ));
        }
        Ok(Self::Header(name))
    }

    /// A JSON pointer (RFC 6901 §3) to a part of the payload.
    pub fn pointer(pointer: &str) -> Result<Self, Violation> {
        let escapes_hold = pointer
            .split('~')
            .skip(1)
            .all(|after| after.starts_with(['0', '1']));
        if !pointer.starts_with('/') || pointer.len() > KEY_BYTES_MAX || !escapes_hold {
            return Err(Violation::new(
                "value_error.ordering_key.pointer",
                format!("must be a JSON pointer of up to {KEY_BYTES_MAX} bytes, such as /user/id"),
            ));
        }
        Ok(Self::Pointer(pointer.to_owned()))
    }

    /// What its value in a message stands for; `None` if the message has none, and so is in no order.
    pub fn hash<'m>(
        &self,
        endpoint: EndpointId,
        payload: &[u8],
        header: impl FnOnce(&str) -> Option<&'m [u8]>,
    ) -> Option<KeyHash> {
        match self {
            Self::Endpoint => Some(KeyHash::ENDPOINT),
            Self::Header(name) => Some(KeyHash::of_value(endpoint, self, header(name)?)),
            Self::Pointer(at) => {
                let value = pointer::value_at(at, payload)?;
                Some(KeyHash::of_value(endpoint, self, value.as_bytes()))
            }
        }
    }
}

// === impl KeyHash ===

impl KeyHash {
    /// That of a key without a value: all deliveries of an endpoint are in one order.
    pub const ENDPOINT: Self = Self(0);

    /// That of a value of an endpoint's key; another for each endpoint and kind of key.
    pub fn of_value(endpoint: EndpointId, key: &OrderKey, value: &[u8]) -> Self {
        let kind: &[u8] = match key {
            OrderKey::Endpoint => return Self::ENDPOINT,
            OrderKey::Header(_) => b"header\0",
            OrderKey::Pointer(_) => b"pointer\0",
        };
        let mut context = Context::new(&SHA256);
        context.update(kind);
        context.update(&endpoint.raw().to_be_bytes());
        context.update(value);
        let digest = context.finish();
        let mut first = [0; 8];
        for (to, from) in first.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Self(i64::from_be_bytes(first))
    }

    /// As it is stored.
    pub const fn raw(self) -> i64 {
        self.0
    }

    /// As it was stored.
    pub const fn from_raw(raw: i64) -> Self {
        Self(raw)
    }
}

// === impl OnExhausted ===

impl OnExhausted {
    /// Its name, for the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::MoveOn => "moveOn",
        }
    }

    /// What has this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Block, Self::MoveOn]
            .into_iter()
            .find(|one| one.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_tokens_in_lower_case() {
        let header = OrderKey::header("X-Customer");
        assert_eq!(header, Ok(OrderKey::Header("x-customer".to_owned())));
        let long = "x".repeat(257);
        for bad in ["", "a b", "a:", "ä", &long, "Authorization", "cookie"] {
            assert!(OrderKey::header(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_is_another_for_each_value_and_endpoint() {
        let (one, other) = (EndpointId::from_raw(1), EndpointId::from_raw(2));
        let payload = br#"{"user": "a"}"#;
        let pointer = OrderKey::pointer("/user").unwrap();
        let header = OrderKey::header("user").unwrap();
        let a = |_: &str| Some(&b"\"a\""[..]);
        let of = |key: &OrderKey, endpoint| key.hash(endpoint, payload, a).unwrap();
        let all = [
            of(&OrderKey::Endpoint, one),
            of(&pointer, one),
            of(&pointer, other),
            of(&header, one),
            header.hash(one, payload, |_| Some(b"b")).unwrap(),
        ];
        let distinct: std::collections::BTreeSet<_> = all.into_iter().collect();
        assert_eq!(distinct.len(), all.len(), "{all:?}");
        assert_eq!(of(&pointer, one), of(&pointer, one));
        assert_eq!(header.hash(one, payload, |_| None), None);
        assert_eq!(pointer.hash(one, b"{}", a), None);
    }

    #[test]
    fn pointers_are_those_of_rfc_6901() {
        for good in ["/user/id", "/", "/a~0b~1c/0"] {
            assert_eq!(
                OrderKey::pointer(good),
                Ok(OrderKey::Pointer(good.to_owned()))
            );
        }
        for bad in ["", "user", "/a~", "/a~2", &format!("/{}", "x".repeat(256))] {
            assert!(OrderKey::pointer(bad).is_err(), "{bad}");
        }
    }
}
