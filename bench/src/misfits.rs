//! Receivers that nobody wants: they hang, fail or drip. One thread, in a process of its own.
//!
//! **Invariant:** each keeps whoever sends to it for as long as it can, or refuses at once; none ever
//! takes a delivery properly.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::helper;

/// Between two bytes of one that drips.
const DRIP_EVERY: Duration = Duration::from_secs(1);
/// More than any request of the benchmark.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
const FAILURE: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
const DRIPPING: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";

/// Receives badly; started by `run`.
#[derive(clap::Args, Debug)]
pub(crate) struct Misfits {}

/// How a receiver misbehaves; the first part of its path says so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Misfit {
    /// Reads the request and never answers.
    Hangs,
    /// Answers 500.
    Fails,
    /// Answers one byte a second, beginning with the status line.
    DripsHead,
    /// Answers 200, and one byte of its body a second.
    DripsBody,
}

// === impl Misfits ===

impl Misfits {
    /// Runs until standard input closes.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = runtime.block_on(TcpListener::bind(address))?;
        let port = listener.local_addr()?.port();
        std::thread::spawn(move || runtime.block_on(accept(listener)));
        helper::answer_questions(port, |question| {
            anyhow::bail!("unknown question {question}")
        })
    }
}

// === impl Misfit ===

impl Misfit {
    const ALL: [Self; 4] = [Self::Hangs, Self::Fails, Self::DripsHead, Self::DripsBody];

    /// URLs of so many of them, behind one address.
    pub(crate) fn urls(self, at: SocketAddr, count: u16) -> impl Iterator<Item = String> {
        (0..count).map(move |number| format!("http://{at}/{}/{number}", self.as_str()))
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Hangs => "hangs",
            Self::Fails => "fails",
            Self::DripsHead => "drips-head",
            Self::DripsBody => "drips-body",
        }
    }

    /// Of a request's first line.
    fn of(head: &str) -> Option<Self> {
        let path = head.split(' ').nth(1)?;
        let name = path.split('/').nth(1)?;
        Self::ALL.into_iter().find(|misfit| misfit.as_str() == name)
    }
}

async fn accept(listener: TcpListener) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            // Whoever sends gives up in the end: that is no news.
            tokio::spawn(misbehave(stream));
        }
    }
}

async fn misbehave(mut stream: TcpStream) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let head = request(&mut stream).await?;
        match Misfit::of(&head).context("no misfit")? {
            Misfit::Fails => stream.write_all(FAILURE).await?,
            Misfit::Hangs => return until_closed(&mut stream).await,
            Misfit::DripsHead => return drip(&mut stream, DRIPPING).await,
            Misfit::DripsBody => {
                stream.write_all(DRIPPING).await?;
                return drip(&mut stream, &[b'.'; 1000]).await;
            }
        }
    }
}

/// Reads one whole request; returns its head.
async fn request(stream: &mut TcpStream) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    loop {
        if let Some((head, body_bytes)) = head_of(&bytes)
            && bytes.len() >= head.len() + body_bytes
        {
            return Ok(head);
        }
        anyhow::ensure!(bytes.len() < REQUEST_BYTES_MAX, "too large");
        anyhow::ensure!(stream.read_buf(&mut bytes).await? > 0, "closed");
    }
}

/// The head once it is complete, and how long the body is.
fn head_of(bytes: &[u8]) -> Option<(String, usize)> {
    let text = String::from_utf8_lossy(bytes);
    let end = text.find("\r\n\r\n")? + 4;
    let head = text.get(..end)?.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let body_bytes = length.and_then(|length| length.trim().parse().ok());
    Some((head, body_bytes.unwrap_or(0)))
}

async fn drip(stream: &mut TcpStream, bytes: &[u8]) -> anyhow::Result<()> {
    for byte in bytes {
        stream.write_u8(*byte).await?;
        tokio::time::sleep(DRIP_EVERY).await;
    }
    until_closed(stream).await
}

async fn until_closed(stream: &mut TcpStream) -> anyhow::Result<()> {
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_who_it_is_for_and_how_long_it_is() {
        let request = b"POST /drips-head/7 HTTP/1.1\r\nContent-Length: 3\r\n\r\n{ }";
        let (head, body_bytes) = head_of(request).unwrap();
        assert_eq!(Misfit::of(&head), Some(Misfit::DripsHead));
        assert_eq!((head.len() + body_bytes, body_bytes), (request.len(), 3));
        assert_eq!(head_of(b"POST / HTTP/1.1\r\n"), None);
        for misfit in Misfit::ALL {
            let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
            let url = misfit.urls(at, 1).next().unwrap();
            let path = url.strip_prefix("http://127.0.0.1:1").unwrap();
            assert_eq!(Misfit::of(&format!("POST {path} HTTP/1.1")), Some(misfit));
        }
    }
}
