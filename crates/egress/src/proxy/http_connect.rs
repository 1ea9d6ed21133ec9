//! Asks an HTTP proxy for a tunnel (RFC 9110 §9.3.6).

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BufMut;
use hookseal_domain::secret::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Answer, Failure, ProxyCredentials, ProxyProtocol, Refusal, early, protocol_fault};
use crate::limits::PROXY_HEAD_BYTES_MAX;

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// Asks for a tunnel to `target`. Afterwards the stream is the tunnel.
pub(super) async fn ask(
    stream: &mut TcpStream,
    target: SocketAddr,
    credentials: Option<&ProxyCredentials>,
) -> Result<(), Failure> {
    let request = request(target, credentials);
    stream.write_all(request.expose().as_bytes()).await?;
    verdict(read_head(stream).await?, credentials.is_some())
}

/// What a status means.
fn verdict(status: u16, had_credentials: bool) -> Result<(), Failure> {
    Err(match status {
        200..=299 => return Ok(()),
        407 if had_credentials => Failure::Refusal(Refusal::Credentials),
        407 => Failure::Refusal(Refusal::CredentialsWanted),
        403 => Failure::Refusal(Refusal::Rules),
        // It will say the same again: no such method or version, or a login page (RFC 6585 §6).
        501 | 505 | 511 => Failure::Refusal(Refusal::Status(status)),
        // What proxies say when the receiver can't be reached (tinyproxy: 500), or when they or it
        // are too slow or too busy.
        408 | 429 | 500..=599 => Failure::Answer(Answer::Status(status)),
        _ => Failure::Refusal(Refusal::Status(status)),
    })
}

fn request(target: SocketAddr, credentials: Option<&ProxyCredentials>) -> Secret<String> {
    let mut text = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(ProxyCredentials { user, password }) = credentials {
        let pair = Secret::new(format!("{user}:{}", password.expose()));
        let coded = Secret::new(STANDARD.encode(pair.expose()));
        text.push_str("Proxy-Authorization: Basic ");
        text.push_str(coded.expose());
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    Secret::new(text)
}

/// Reads the head of the answer and nothing behind it: its status.
async fn read_head(stream: &mut TcpStream) -> Result<u16, Failure> {
    let mut head = Vec::with_capacity(1024);
    loop {
        let looked_at = head.len().saturating_sub(END_OF_HEAD.len());
        let room = PROXY_HEAD_BYTES_MAX.saturating_sub(head.len());
        if room == 0 {
            return Err(fault("the head of its answer is longer than 8 KiB"));
        }
        if stream.read_buf(&mut (&mut head).limit(room)).await? == 0 {
            return Err(fault("it closes the connection within its answer"));
        }
        let new = head.get(looked_at..).unwrap_or_default();
        let Some(at) = new
            .windows(END_OF_HEAD.len())
            .position(|four| four == END_OF_HEAD)
        else {
            continue;
        };
        let status = status(&head)?;
        // RFC 9110 §9.3.6: behind the head of such an answer is the receiver, and a receiver is
        // silent until it is spoken to.
        let is_all = looked_at + at + END_OF_HEAD.len() == head.len();
        return match status {
            200..=299 if !is_all => Err(early(ProxyProtocol::Http)),
            status => Ok(status),
        };
    }
}

/// The status of a final answer (RFC 9112 §4).
fn status(head: &[u8]) -> Result<u16, Failure> {
    let code = match head {
        [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            minor,
            b' ',
            code @ ..,
        ] if minor.is_ascii_digit() => code,
        _ => return Err(fault("its answer is not HTTP/1.x")),
    };
    match code {
        [
            a @ b'2'..=b'5',
            b @ b'0'..=b'9',
            c @ b'0'..=b'9',
            b' ' | b'\r',
            ..,
        ] => {
            let digit = |digit: &u8| u16::from(digit - b'0');
            Ok(digit(a) * 100 + digit(b) * 10 + digit(c))
        }
        _ => Err(fault("its answer has no status")),
    }
}

fn fault(what: &'static str) -> Failure {
    protocol_fault(ProxyProtocol::Http, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let target = "[2001:db8::1]:443".parse().unwrap();
        assert_eq!(
            request(target, None).expose(),
            "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n"
        );
        // RFC 7617 §2.
        let password = Secret::new("open sesame".to_owned());
        let credentials = ProxyCredentials::new("Aladdin", password).unwrap();
        let request = request(target, Some(&credentials));
        let expect = "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n";
        assert!(request.expose().ends_with(expect));
    }

    #[test]
    fn verdicts() {
        let is_transient = |status| match verdict(status, false) {
            Err(Failure::Answer(Answer::Status(told))) => told == status,
            Err(Failure::Refusal(_)) => false,
            other => panic!("{status}: {other:?}"),
        };
        for status in [408, 429, 500, 502, 503, 504, 509, 521, 599] {
            assert!(is_transient(status), "{status}");
        }
        for status in [301, 400, 403, 404, 405, 407, 501, 505, 511] {
            assert!(!is_transient(status), "{status}");
        }
        assert!(verdict(204, false).is_ok());
    }

    #[test]
    fn statuses() {
        let check = |head: &str, expect| assert_eq!(status(head.as_bytes()).ok(), expect, "{head}");
        check("HTTP/1.1 200 OK\r\n\r\n", Some(200));
        check("HTTP/1.0 407\r\n\r\n", Some(407));
        check("HTTP/1.1 2000 OK\r\n\r\n", None);
        check("HTTP/1.1 100 Continue\r\n\r\n", None);
        check("HTTP/2 200 OK\r\n\r\n", None);
        check("HTTP/1.1", None);
        check("SSH-2.0-OpenSSH\r\n\r\n", None);
    }
}
