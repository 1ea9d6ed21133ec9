//! A stream whose incoming bytes are counted.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Tells `count` of all that is read.
pub(super) struct Counted<S, F> {
    stream: S,
    count: F,
}

// === impl Counted ===

impl<S, F: Fn(u64)> Counted<S, F> {
    pub(super) fn new(stream: S, count: F) -> Self {
        Self { stream, count }
    }
}

impl<S: AsyncRead + Unpin, F: Fn(u64) + Unpin> AsyncRead for Counted<S, F> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        (self.count)(u64::try_from(buffer.filled().len() - before).unwrap_or(u64::MAX));
        Poll::Ready(result)
    }
}

impl<S: AsyncWrite + Unpin, F: Unpin> AsyncWrite for Counted<S, F> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
