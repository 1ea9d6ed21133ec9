//! What a fake endpoint answers, request by request.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

/// One answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
    pub(crate) after: Duration,
    /// The member of the request's JSON object that is the body, if one is.
    pub(crate) echo: Option<&'static str>,
}

/// Answers in order; the last one goes on for ever.
#[derive(Debug)]
pub(crate) struct Script {
    next: VecDeque<Reply>,
    last: Reply,
}

// === impl Reply ===

impl Reply {
    /// With this status and nothing else; an impossible one becomes 500.
    pub fn status(status: u16) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            headers: Vec::new(),
            body: Bytes::new(),
            after: Duration::ZERO,
            echo: None,
        }
    }

    /// With this header as well.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((HeaderName::from_static(name), value));
        }
        self
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// With what the request, a JSON object, has as this member.
    #[must_use]
    pub fn echo(mut self, member: &'static str) -> Self {
        self.echo = Some(member);
        self
    }

    /// Only after a while.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.after = delay;
        self
    }
}

impl From<u16> for Reply {
    fn from(status: u16) -> Self {
        Self::status(status)
    }
}

// === impl Script ===

impl Script {
    pub(crate) fn new(replies: impl IntoIterator<Item = impl Into<Reply>>) -> Self {
        let next: VecDeque<Reply> = replies.into_iter().map(Into::into).collect();
        let last = next.back().cloned().unwrap_or_else(|| Reply::status(200));
        Self { next, last }
    }

    pub(crate) fn take(&mut self) -> Reply {
        self.next.pop_front().unwrap_or_else(|| self.last.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answer_goes_on() {
        let mut script = Script::new([500, 200]);
        let took: Vec<_> = (0..3).map(|_| script.take().status.as_u16()).collect();
        assert_eq!(took, [500, 200, 200]);
        assert_eq!(Script::new([0_u16; 0]).take().status, StatusCode::OK);
    }
}
