//! A receiver that misbehaves on purpose, at the level of TCP. What it holds itself is bounded: it
//! writes the same small block again and again.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::test_ca::{Leaf, Speaks};

/// What one block of filler has.
const BLOCK_BYTES: usize = 64 * 1024;
/// The header of [`Hostility::HugeHeader`]: 100 MB.
const HUGE_HEADER_BYTES: u64 = 100_000_000;
/// The head of any request of ours is shorter.
const REQUEST_HEAD_BYTES_MAX: usize = 64 * 1024;
/// The first 32 bytes of a ServerHello that announces 122 (RFC 8446 §4.1.3).
const CUT_SERVER_HELLO: [u8; 32] = [
    0x16, 0x03, 0x03, 0x00, 0x7a, 0x02, 0x00, 0x00, 0x76, 0x03, 0x03, 1, 2, 3, 4, 5, 6, 7, 8, 9,
    10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
];

/// What it does to whoever sends a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hostility {
    /// Reads the request and never answers.
    StallBeforeHeaders,
    /// Sends headers that promise a body, and never sends it.
    StallAfterHeaders,
    /// Sends half a status line and no more.
    StallInHeaders,
    /// Sends a chunked body without end.
    EndlessBody,
    /// Sends one header of 100 MB.
    HugeHeader,
    /// Sends header after header, without end.
    EndlessHeaders,
    /// Reads the request, then closes its sending side without an answer.
    HalfClose,
    /// Closes before it reads anything.
    CloseAtOnce,
    /// Promises 1000 bytes, sends 5 and closes.
    BodyTooShort,
    /// Promises 5 bytes and sends 1000.
    BodyTooLong,
    /// States two lengths that differ (RFC 9112 §6.3).
    TwoLengths,
    /// Answers in something else than HTTP.
    Garbage,
    /// Redirects to the metadata service of common clouds.
    RedirectToMetadata,
    /// Ends in the middle of its ServerHello. Only over TLS.
    CutHandshake,
    /// Never answers the ClientHello. Only over TLS.
    StallInHandshake,
    /// Ends the TCP connection in a body, without the alert that closes TLS. Only over TLS.
    CutTlsBody,
}

/// A running one; it ends when this is dropped.
#[derive(Debug)]
pub struct HostileEndpoint {
    address: SocketAddr,
    scheme: &'static str,
    connections: Arc<AtomicU64>,
    written_bytes: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

struct Attack {
    hostility: Hostility,
    acceptor: Option<TlsAcceptor>,
    written_bytes: Arc<AtomicU64>,
}

// === impl HostileEndpoint ===

impl HostileEndpoint {
    /// Starts one without TLS.
    pub async fn plain(hostility: Hostility) -> anyhow::Result<Self> {
        Self::start(hostility, None).await
    }

    /// Starts one with TLS.
    pub async fn tls(hostility: Hostility, leaf: &Leaf) -> anyhow::Result<Self> {
        let acceptor = leaf.acceptor(Speaks::Http1)?;
        Self::start(hostility, Some(acceptor)).await
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("{}://{}/hook", self.scheme, self.address)
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// How many bytes it could get rid of so far.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes.load(Ordering::Relaxed)
    }

    async fn start(hostility: Hostility, acceptor: Option<TlsAcceptor>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let connections = Arc::new(AtomicU64::new(0));
        let written_bytes = Arc::new(AtomicU64::new(0));
        let attack = Arc::new(Attack {
            hostility,
            acceptor,
            written_bytes: Arc::clone(&written_bytes),
        });
        let accepting = tokio::spawn(accept(listener, attack, Arc::clone(&connections)));
        Ok(Self {
            address,
            scheme,
            connections,
            written_bytes,
            accepting,
        })
    }
}

impl Drop for HostileEndpoint {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Accepts until it is aborted; the connections end with it.
async fn accept(listener: TcpListener, attack: Arc<Attack>, connections: Arc<AtomicU64>) {
    let mut attacks = JoinSet::new();
    loop {
        if let Ok((tcp, _)) = listener.accept().await {
            connections.fetch_add(1, Ordering::Relaxed);
            while attacks.try_join_next().is_some() {}
            let attack = Arc::clone(&attack);
            attacks.spawn(async move { attack.run(tcp).await });
        }
    }
}

// === impl Attack ===

impl Attack {
    /// Attacks one connection, until the other side has had enough.
    async fn run(&self, mut tcp: TcpStream) -> anyhow::Result<()> {
        match self.hostility {
            Hostility::CloseAtOnce => Ok(()),
            Hostility::StallInHandshake => stall(tcp).await,
            Hostility::CutHandshake => {
                read_record(&mut tcp).await?;
                tcp.write_all(&CUT_SERVER_HELLO).await?;
                Ok(tcp.shutdown().await?)
            }
            _ => match &self.acceptor {
                Some(acceptor) => self.answer(acceptor.accept(tcp).await?).await,
                None => self.answer(tcp).await,
            },
        }
    }

    async fn answer<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S) -> anyhow::Result<()> {
        read_request(&mut stream).await?;
        let text: &[u8] = match self.hostility {
            Hostility::StallBeforeHeaders => b"",
            Hostility::StallInHeaders => b"HTTP/1.1 2",
            Hostility::StallAfterHeaders => b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n",
            Hostility::BodyTooShort | Hostility::CutTlsBody => {
                b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nshort"
            }
            Hostility::TwoLengths => {
                b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc"
            }
            Hostility::Garbage => b"220 mail.example ESMTP ready\r\n",
            Hostility::EndlessBody => b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            Hostility::HugeHeader => b"HTTP/1.1 200 OK\r\nx-filler: ",
            Hostility::EndlessHeaders => b"HTTP/1.1 200 OK\r\n",
            Hostility::BodyTooLong => b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
            Hostility::RedirectToMetadata => {
                b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest/meta-data/\r\n\
                  content-length: 0\r\nconnection: close\r\n\r\n"
            }
            Hostility::HalfClose
            | Hostility::CloseAtOnce
            | Hostility::CutHandshake
            | Hostility::StallInHandshake => b"",
        };
        stream.write_all(text).await?;
        stream.flush().await?;
        match self.hostility {
            Hostility::HalfClose => {
                stream.shutdown().await?;
                stall(stream).await
            }
            Hostility::EndlessBody => {
                let chunk = [b"10000\r\n".as_slice(), &[b'x'; BLOCK_BYTES], b"\r\n"].concat();
                self.flood(stream, &chunk, u64::MAX).await
            }
            Hostility::EndlessHeaders => {
                let header = b"x-filler: 0123456789012345678901234567890123456789\r\n";
                self.flood(stream, &header.repeat(1000), u64::MAX).await
            }
            Hostility::HugeHeader => {
                self.flood(stream, &[b'x'; BLOCK_BYTES], HUGE_HEADER_BYTES)
                    .await
            }
            Hostility::BodyTooLong => self.flood(stream, &[b'x'; 1000], 1000).await,
            // Dropping it ends the connection; over TLS, without the closing alert.
            Hostility::BodyTooShort
            | Hostility::CutTlsBody
            | Hostility::Garbage
            | Hostility::RedirectToMetadata => Ok(()),
            _ => stall(stream).await,
        }
    }

    /// Writes the block until `bytes_max` are written or nobody takes them any more.
    async fn flood<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut stream: S,
        block: &[u8],
        bytes_max: u64,
    ) -> anyhow::Result<()> {
        let block_bytes = u64::try_from(block.len())?;
        let mut written = 0;
        while written < bytes_max {
            stream.write_all(block).await?;
            written += block_bytes;
            self.written_bytes.fetch_add(block_bytes, Ordering::Relaxed);
        }
        stall(stream).await
    }
}

/// Takes what comes and says nothing, until the other side goes.
async fn stall(mut stream: impl AsyncRead + Unpin) -> anyhow::Result<()> {
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(())
}

/// Reads a request to its end: what is left unread would turn the end of the connection into a reset.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> anyhow::Result<()> {
    let mut request = Vec::new();
    let body_starts_at = loop {
        if let Some(at) = request.windows(4).position(|end| end == b"\r\n\r\n") {
            break at + 4;
        }
        anyhow::ensure!(
            request.len() < REQUEST_HEAD_BYTES_MAX,
            "the head has no end"
        );
        anyhow::ensure!(
            stream.read_buf(&mut request).await? > 0,
            "the request broke off"
        );
    };
    let head = String::from_utf8_lossy(&request).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let body_bytes: u64 = length.map_or(Ok(0), |length| length.trim().parse())?;
    let read = u64::try_from(request.len() - body_starts_at)?;
    let mut rest = stream.take(body_bytes.saturating_sub(read));
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    Ok(())
}

/// Reads one TLS record: the ClientHello.
async fn read_record(stream: &mut (impl AsyncRead + Unpin)) -> anyhow::Result<()> {
    let _kind_and_version = [
        stream.read_u8().await?,
        stream.read_u8().await?,
        stream.read_u8().await?,
    ];
    let record_bytes = stream.read_u16().await?;
    let mut record = stream.take(record_bytes.into());
    tokio::io::copy(&mut record, &mut tokio::io::sink()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const REQUEST: &[u8] = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
    const BRIEF: Duration = Duration::from_millis(100);

    /// What a caller reads within a moment, at most `bytes_max`, and whether that was the end.
    async fn call(hostility: Hostility, bytes_max: u64) -> (Vec<u8>, bool) {
        let hostile = HostileEndpoint::plain(hostility).await.unwrap();
        let mut tcp = TcpStream::connect(hostile.address).await.unwrap();
        tcp.write_all(REQUEST).await.unwrap();
        let mut answer = Vec::new();
        let mut bounded = tcp.take(bytes_max);
        let ended = timeout(BRIEF, bounded.read_to_end(&mut answer)).await;
        (answer, ended.is_ok())
    }

    #[tokio::test]
    async fn some_stall() {
        for (hostility, expect) in [
            (Hostility::StallBeforeHeaders, b"".as_slice()),
            (Hostility::StallInHeaders, b"HTTP/1.1 2"),
            (
                Hostility::StallAfterHeaders,
                b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n",
            ),
            (Hostility::StallInHandshake, b""),
        ] {
            let (answer, ended) = call(hostility, 1 << 20).await;
            assert_eq!(answer, expect, "{hostility:?}");
            assert!(!ended, "{hostility:?}");
        }
    }

    #[tokio::test]
    async fn some_end_too_early() {
        for (hostility, expect) in [
            (Hostility::HalfClose, ""),
            (Hostility::BodyTooShort, "content-length: 1000\r\n\r\nshort"),
            (Hostility::Garbage, "220 mail.example ESMTP ready\r\n"),
        ] {
            let (answer, ended) = call(hostility, 1 << 20).await;
            let answer = String::from_utf8(answer).unwrap();
            assert!(answer.ends_with(expect), "{hostility:?}: {answer}");
            assert!(ended, "{hostility:?}");
        }
    }

    #[tokio::test]
    async fn one_ends_in_its_server_hello() {
        let hostile = HostileEndpoint::plain(Hostility::CutHandshake)
            .await
            .unwrap();
        let mut tcp = TcpStream::connect(hostile.address).await.unwrap();
        tcp.write_all(&[0x16, 3, 1, 0, 2, 1, 0]).await.unwrap();
        let mut answer = Vec::new();
        tcp.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, CUT_SERVER_HELLO);
    }

    #[tokio::test]
    async fn some_do_not_end() {
        for hostility in [
            Hostility::EndlessBody,
            Hostility::EndlessHeaders,
            Hostility::HugeHeader,
        ] {
            let (answer, _) = call(hostility, 1 << 20).await;
            assert_eq!(answer.len(), 1 << 20, "{hostility:?}");
        }
    }
}
