//! One kept plain HTTP/1.1 connection that costs as little as possible: where more is offered than the machine
//! takes, what the generator uses up is missing for the server. It understands no more of HTTP than the answers of
//! the server under test need, and refuses the rest.

use anyhow::Context;
use http::{HeaderValue, Uri};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// More than the head and body of any answer to a publish.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// A connection that publishes.
#[derive(Debug)]
pub(crate) struct LeanConnection {
    stream: TcpStream,
    /// The head of every request, up to the length of its body.
    head: Vec<u8>,
    request: Vec<u8>,
    answer: Box<[u8]>,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct LeanAnswer {
    /// The status code.
    pub(crate) status: u16,
    /// Whether it says when to come back.
    pub(crate) has_retry_after: bool,
    /// Bytes of head and body.
    bytes: usize,
}

// === impl LeanConnection ===

impl LeanConnection {
    /// Over a connected stream.
    pub(crate) fn new(
        stream: TcpStream,
        path: &Uri,
        host: &HeaderValue,
        authorization: Option<&HeaderValue>,
    ) -> Self {
        let mut head = format!("POST {path} HTTP/1.1\r\nhost: ").into_bytes();
        head.extend_from_slice(host.as_bytes());
        if let Some(token) = authorization {
            head.extend_from_slice(b"\r\nauthorization: ");
            head.extend_from_slice(token.as_bytes());
        }
        head.extend_from_slice(b"\r\ncontent-type: application/json\r\ncontent-length: ");
        Self {
            stream,
            head,
            request: Vec::new(),
            answer: vec![0; ANSWER_BYTES_MAX].into(),
        }
    }

    /// Publishes and reads the whole answer.
    pub(crate) async fn publish(&mut self, body: &[u8]) -> anyhow::Result<LeanAnswer> {
        self.request.clear();
        self.request.extend_from_slice(&self.head);
        let length = body.len().to_string();
        self.request.extend_from_slice(length.as_bytes());
        self.request.extend_from_slice(b"\r\n\r\n");
        self.request.extend_from_slice(body);
        self.stream.write_all(&self.request).await?;
        let mut filled = 0;
        loop {
            let room = self.answer.get_mut(filled..).unwrap_or_default();
            let read = self.stream.read(room).await?;
            anyhow::ensure!(read > 0, "the answer broke off");
            filled += read;
            let so_far = self.answer.get(..filled).unwrap_or_default();
            match LeanAnswer::read(so_far)? {
                Some(answer) if answer.bytes < filled => {
                    anyhow::bail!("more came than was asked for")
                }
                Some(answer) if answer.bytes == filled => return Ok(answer),
                _ => {}
            }
        }
    }
}

// === impl LeanAnswer ===

impl LeanAnswer {
    /// `None` while its head is not complete.
    fn read(bytes: &[u8]) -> anyhow::Result<Option<Self>> {
        const END: &[u8] = b"\r\n\r\n";
        let Some(end) = bytes.windows(END.len()).position(|window| window == END) else {
            return Ok(None);
        };
        let head = bytes.get(..end).unwrap_or_default();
        let head = std::str::from_utf8(head).context("the head is not UTF-8")?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
        let status = status.and_then(|rest| rest.get(..3));
        let status = status.context("not HTTP/1.1")?.parse()?;
        let (mut body, mut has_retry_after) = (None, false);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                body = Some(value.trim().parse::<usize>()?);
            }
            has_retry_after |= name.eq_ignore_ascii_case("retry-after");
        }
        let body = body.context("an answer without a length")?;
        Ok(Some(Self {
            status,
            has_retry_after,
            bytes: end + END.len() + body,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_once_its_head_is_complete() {
        let text =
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\nRetry-After: 1\r\n\r\n{}";
        let answer = LeanAnswer::read(text.as_bytes()).unwrap().unwrap();
        let expect = LeanAnswer {
            status: 503,
            has_retry_after: true,
            bytes: text.len(),
        };
        assert_eq!(answer, expect);
        let head = text.len() - 3;
        assert_eq!(LeanAnswer::read(&text.as_bytes()[..head]).unwrap(), None);
        let accepted = LeanAnswer::read(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
        let accepted = accepted.unwrap().unwrap();
        assert_eq!((accepted.status, accepted.has_retry_after), (202, false));
        for strange in ["HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 202 Accepted\r\n\r\n"] {
            assert!(LeanAnswer::read(strange.as_bytes()).is_err(), "{strange}");
        }
    }
}
