//! The bytes of one TCP connection.
//!
//! **Invariant:** a write that fails is not the last word: what the peer said before it went is
//! read first, for it may be the reason (a TLS alert, an early answer). Only if there is nothing,
//! the failed write is what the reader is told.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use crate::limits::LAST_WORDS_WAIT_MAX;

/// One TCP connection.
pub(crate) struct Wire {
    tcp: TcpStream,
    broken: Option<Broken>,
}

/// A write failed: nothing reaches the peer any more.
struct Broken {
    kind: io::ErrorKind,
    /// How long the peer's last words are waited for.
    wait: Pin<Box<Sleep>>,
}

// === impl Wire ===

impl Wire {
    pub(crate) fn new(tcp: TcpStream) -> Self {
        Self { tcp, broken: None }
    }

    /// Takes what would have been written for written: the reader is about to learn why it is not.
    fn took<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
        as_if: T,
    ) -> Poll<io::Result<T>> {
        let Poll::Ready(Err(error)) = result else {
            return result;
        };
        self.broken.get_or_insert_with(|| Broken {
            kind: error.kind(),
            wait: Box::pin(sleep(LAST_WORDS_WAIT_MAX)),
        });
        // Whoever reads has to be told of the wait.
        cx.waker().wake_by_ref();
        Poll::Ready(Ok(as_if))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.tcp).poll_read(cx, buf);
        match &mut self.broken {
            Some(broken) if read.is_pending() => {
                let kind = broken.kind;
                broken.wait.as_mut().poll(cx).map(|()| Err(kind.into()))
            }
            _ => read,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.broken.is_some() {
            return Poll::Ready(Ok(buf.len()));
        }
        let written = Pin::new(&mut self.tcp).poll_write(cx, buf);
        self.took(cx, written, buf.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = bufs.iter().map(|buf| buf.len()).sum();
        if self.broken.is_some() {
            return Poll::Ready(Ok(all));
        }
        let written = Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs);
        self.took(cx, written, all)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.broken.is_some() {
            return Poll::Ready(Ok(()));
        }
        let flushed = Pin::new(&mut self.tcp).poll_flush(cx);
        self.took(cx, flushed, ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.broken.is_some() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
