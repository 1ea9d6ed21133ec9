//! How a request is shown to a developer. Whatever a stranger sent is shown so that a terminal
//! does not obey it.

use http::{HeaderMap, HeaderName, StatusCode, header};

use crate::receiver::Arrival;
use crate::receiver::json::indent;
use crate::receiver::verify::{Verified, VerifyError};

/// What is shown of a body, in bytes: some screens full.
const BODY_BYTES_SHOWN: usize = 16 * 1024;

/// What is shown of a header's value, in characters: a signature of three keys, and then some.
const VALUE_CHARS_SHOWN: usize = 400;

/// Header fields of the connection rather than of the message.
const NOT_SHOWN: [HeaderName; 6] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::ACCEPT,
    header::TE,
];

/// What verification said of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verification {
    /// The sender's, and fresh.
    Verified(Verified),
    /// Not to be believed.
    Refused(VerifyError),
    /// There is no key to verify with.
    NoKey,
}

/// Writes down a request, what verification said of it and what was answered.
pub fn transcript(arrival: &Arrival, verification: &Verification, answered: StatusCode) -> String {
    let mut text = String::with_capacity(1024);
    push_line(
        &mut text,
        &format!(
            "{}  POST {}  {:?}  from {}",
            arrival.at, arrival.path, arrival.version, arrival.remote
        ),
    );
    let shown = shown_headers(&arrival.headers);
    let width = shown
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or_default();
    let width = width.max("verification".len());
    for (name, value) in shown {
        push_line(&mut text, &format!("  {name:width$}  {value}"));
    }
    let verdict = match verification {
        Verification::Verified(verified) => format!("verified ({})", verified.scheme),
        Verification::Refused(error) => format!("REFUSED: {error}"),
        Verification::NoKey => "not verified: no --secret".to_owned(),
    };
    push_line(
        &mut text,
        &format!("  {:width$}  {verdict}", "verification"),
    );
    push_line(
        &mut text,
        &format!("  {:width$}  {}", "answered", answered.as_u16()),
    );
    push_line(
        &mut text,
        &format!("  {:width$}  {} bytes", "body", arrival.body.len()),
    );
    for line in shown_body(&arrival.body).lines() {
        push_line(&mut text, &format!("    {line}"));
    }
    text
}

fn shown_headers(headers: &HeaderMap) -> Vec<(&str, String)> {
    let is_shown = |name: &HeaderName| {
        // Copies of the standard's, for receivers that use other libraries.
        !NOT_SHOWN.contains(name) && !name.as_str().starts_with("svix-")
    };
    let mut shown: Vec<_> = headers
        .iter()
        .filter(|(name, _)| is_shown(name))
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.as_str(), cut(&value, VALUE_CHARS_SHOWN))
        })
        .collect();
    // The standard's first; otherwise as they came.
    shown.sort_by_key(|(name, _)| !name.starts_with("webhook-"));
    shown
}

fn shown_body(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    if let Some(indented) = indent(&text, BODY_BYTES_SHOWN) {
        return indented;
    }
    cut(&text, BODY_BYTES_SHOWN)
}

fn cut(text: &str, chars_max: usize) -> String {
    let mut chars = text.chars();
    let mut cut: String = chars.by_ref().take(chars_max).collect();
    if chars.next().is_some() {
        cut.push('…');
    }
    cut
}

/// At most `chars_max` characters of `text`, none of which drives a terminal.
pub fn printable(text: &str, chars_max: usize) -> String {
    // Cut twice: what is cut off need not be escaped, and escapes are longer than what they are for.
    cut(&escape(&cut(text, chars_max)), chars_max)
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) {
            escaped.extend(c.escape_unicode());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(&escape(line));
    text.push('\n');
}

/// Control characters, and those that change the direction of what follows (CVE-2021-42574).
fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderValue, Version};

    use hookseal_domain::time::Timestamp;

    use crate::receiver::verify::Scheme;

    use super::*;

    fn arrival(body: &'static [u8]) -> Arrival {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "127.0.0.1"),
            ("user-agent", "Hookseal/0.1.0"),
            ("svix-id", "msg_1"),
            ("webhook-id", "msg_1"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let hostile = HeaderValue::from_bytes("\u{9b}31m\u{202e}".as_bytes()).unwrap();
        headers.insert("x-hostile", hostile);
        Arrival {
            at: Timestamp::from_millis(0),
            remote: ([127, 0, 0, 1], 7).into(),
            path: "/in".to_owned(),
            version: Version::HTTP_11,
            headers,
            body: Bytes::from_static(body),
        }
    }

    #[test]
    fn a_verified_request() {
        let verified = Verification::Verified(Verified {
            message_id: "msg_1".to_owned(),
            scheme: Scheme::V1,
        });
        let expect = "\
1970-01-01T00:00:00.000Z  POST /in  HTTP/1.1  from 127.0.0.1:7
  webhook-id    msg_1
  user-agent    Hookseal/0.1.0
  x-hostile     \\u{9b}31m\\u{202e}
  verification  verified (v1)
  answered      200
  body          7 bytes
    {
      \"a\": 1
    }
";
        assert_eq!(
            transcript(&arrival(b"{\"a\":1}"), &verified, StatusCode::OK),
            expect
        );
    }

    #[test]
    fn other_bodies_and_verdicts() {
        let refused = Verification::Refused(VerifyError::Mismatch);
        let text = transcript(
            &arrival(b"\x1b[2J\r\nb\xff"),
            &refused,
            StatusCode::UNAUTHORIZED,
        );
        assert!(text.contains("REFUSED: no signature matches"), "{text}");
        assert!(
            text.ends_with("8 bytes\n    \\u{1b}[2J\n    b\u{fffd}\n"),
            "{text}"
        );
        let text = transcript(&arrival(b""), &Verification::NoKey, StatusCode::OK);
        assert!(text.ends_with("0 bytes\n"), "{text}");
        assert!(text.contains("not verified: no --secret"), "{text}");
    }

    #[test]
    fn long_things_are_cut() {
        static LONG: [u8; 100_000] = [b'a'; 100_000];
        let text = transcript(&arrival(&LONG), &Verification::NoKey, StatusCode::OK);
        assert!(text.ends_with("a…\n"));
        assert!(text.len() < BODY_BYTES_SHOWN + 1000);
    }
}
