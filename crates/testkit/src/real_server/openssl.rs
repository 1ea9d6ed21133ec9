//! `openssl s_server`. It decrypts and encrypts; what it decrypts comes out of a pipe, and what we
//! put into another it sends. So the answers are ours, and every byte that got through is counted.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;

use crate::real_server::process::Process;
use crate::real_server::software::program;
use crate::wait::until;

/// It serves one connection at a time, so none may be kept.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// A running `openssl s_server`; it ends when this is dropped.
pub struct OpensslServer {
    address: SocketAddr,
    counts: Arc<Counts>,
    process: Process,
}

#[derive(Default)]
struct Counts {
    bytes: AtomicUsize,
    requests: AtomicUsize,
}

// === impl OpensslServer ===

impl OpensslServer {
    /// Starts it with these options in `folder` and waits until it listens.
    pub async fn start(options: &[String], folder: &Path) -> anyhow::Result<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = program("openssl");
        command
            .args(["s_server", "-quiet", "-accept", &address.to_string()])
            .args(options);
        let log = format!("log-{}", address.port());
        let mut process = Process::start_piped(&mut command, folder, &log)?;
        let input = process.child().stdin.take().context("no pipe")?;
        let output = process.child().stdout.take().context("no pipe")?;
        let counts = Arc::new(Counts::default());
        let counting = Arc::clone(&counts);
        // Ends with the process, which closes the pipes.
        std::thread::spawn(move || answer(output, input, &counting));
        process.until_listening(address).await?;
        let server = Self {
            address,
            counts,
            process,
        };
        let noticed = async || Ok(server.errors().checked_sub(1));
        until("the connection that looked for it is over", noticed).await?;
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many bytes it decrypted so far that were not TLS's own.
    pub fn bytes(&self) -> usize {
        self.counts.bytes.load(Ordering::SeqCst)
    }

    /// How many requests it received whole so far.
    pub fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::SeqCst)
    }

    /// How many handshakes it gave up so far.
    pub fn handshakes_failed(&self) -> usize {
        self.errors().saturating_sub(1)
    }

    /// How many connections ended badly: the first is the one that looked whether it listens.
    fn errors(&self) -> usize {
        let log = self.log();
        log.lines().filter(|line| *line == "ERROR").count()
    }

    /// What it said, for a message.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// Answers each whole request, until the process ends.
fn answer(mut output: ChildStdout, mut input: ChildStdin, counts: &Counts) {
    let mut request = Vec::new();
    let mut part = vec![0; 1 << 16];
    while let Ok(read @ 1..) = output.read(&mut part) {
        counts.bytes.fetch_add(read, Ordering::SeqCst);
        request.extend(part.iter().take(read));
        if is_whole(&request) {
            counts.requests.fetch_add(1, Ordering::SeqCst);
            request.clear();
            if input.write_all(ANSWER).is_err() {
                return;
            }
        }
    }
}

/// Whether these bytes are a request's head and as much body as it announces.
fn is_whole(request: &[u8]) -> bool {
    let Some(head_bytes) = request.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(request.get(..head_bytes).unwrap_or_default());
    let length = head.lines().find_map(|line| {
        let line = line.to_ascii_lowercase();
        line.strip_prefix("content-length: ")?.parse::<usize>().ok()
    });
    request.len() >= head_bytes + 4 + length.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_with_its_body() {
        let check = |request: &str, expect: bool| assert_eq!(is_whole(request.as_bytes()), expect);
        check("POST / HTTP/1.1\r\n", false);
        check("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{", false);
        check("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", true);
        check("POST / HTTP/1.1\r\n\r\n", true);
    }
}
