//! In which order an endpoint gets its deliveries.

use crate::violation::Violation;

/// Longest name of a header, and longest JSON pointer, in bytes.
const KEY_BYTES_MAX: usize = 256;

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
        Ok(Self::Header(name.to_ascii_lowercase()))
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
        for bad in ["", "a b", "a:", "ä", &"x".repeat(257)] {
            assert!(OrderKey::header(bad).is_err(), "{bad}");
        }
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
