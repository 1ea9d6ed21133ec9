//! The bytes to and from a peer, plain or through TLS, as one type.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use rustls::ProtocolVersion;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use crate::error::find_cause;
use crate::wire::Wire;

/// A connection to a peer.
pub(crate) struct PeerStream {
    carrier: Carrier,
    signs: Signs,
}

/// What carries the bytes.
pub(crate) enum Carrier {
    Plain(Wire),
    Tls(Box<TlsStream<Wire>>),
}

/// What a connection's bytes showed that the HTTP library does not tell.
#[derive(Clone, Default)]
pub(crate) struct Signs(Arc<Noted>);

#[derive(Default)]
struct Noted {
    /// Whether the peer sent a byte (of HTTP, not of TLS) since this was last cleared: without one,
    /// a request on a kept connection met a peer that had gone.
    answered: AtomicBool,
    /// What ended the TLS session. HTTP/2 would keep its text only.
    tls_error: OnceLock<rustls::Error>,
    /// Whether the peer asked for another handshake within the session (TLS 1.2), which it is
    /// refused, since this was last cleared.
    renegotiation: AtomicBool,
}

// === impl PeerStream ===

impl PeerStream {
    pub(crate) fn new(carrier: Carrier, signs: Signs) -> Self {
        Self { carrier, signs }
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let this = &mut *self;
        let read = match &mut this.carrier {
            Carrier::Plain(wire) => Pin::new(wire).poll_read(cx, buf),
            Carrier::Tls(stream) => read_tls(stream, cx, buf, &this.signs),
        };
        if buf.filled().len() > before {
            self.signs.0.answered.store(true, Ordering::Relaxed);
        }
        read
    }
}

fn read_tls(
    stream: &mut TlsStream<Wire>,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
    signs: &Signs,
) -> Poll<io::Result<()>> {
    let had_words = stream.get_ref().1.wants_write();
    let read = Pin::new(&mut *stream).poll_read(cx, buf);
    let session = stream.get_ref().1;
    let error = match &read {
        Poll::Ready(Err(error)) => find_cause::<rustls::Error>(error),
        _ => None,
    };
    // Beside alerts of its own, the only thing that reading makes rustls say in TLS 1.2 is that it
    // does not renegotiate (RFC 5246 §7.4.1.1).
    if !had_words
        && session.wants_write()
        && session.protocol_version() == Some(ProtocolVersion::TLSv1_2)
        && error.is_none_or(|error| matches!(error, rustls::Error::AlertReceived(_)))
    {
        signs.0.renegotiation.store(true, Ordering::Relaxed);
    }
    if let Some(error) = error {
        let _first = signs.0.tls_error.set(error.clone());
    }
    read
}

impl AsyncWrite for PeerStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.carrier {
            Carrier::Plain(wire) => Pin::new(wire).poll_write(cx, buf),
            Carrier::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.carrier {
            Carrier::Plain(wire) => Pin::new(wire).poll_write_vectored(cx, bufs),
            Carrier::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.carrier {
            Carrier::Plain(wire) => wire.is_write_vectored(),
            Carrier::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.carrier {
            Carrier::Plain(wire) => Pin::new(wire).poll_flush(cx),
            Carrier::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.carrier {
            Carrier::Plain(wire) => Pin::new(wire).poll_shutdown(cx),
            Carrier::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

// === impl Signs ===

impl Signs {
    /// Forgets what belongs to the last request.
    pub(crate) fn clear(&self) {
        self.0.answered.store(false, Ordering::Relaxed);
        self.0.renegotiation.store(false, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self) -> bool {
        self.0.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn tls_error(&self) -> Option<&rustls::Error> {
        self.0.tls_error.get()
    }

    pub(crate) fn renegotiation_demanded(&self) -> bool {
        self.0.renegotiation.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_belong_to_one_request() {
        let signs = Signs::default();
        signs.0.answered.store(true, Ordering::Relaxed);
        signs.0.renegotiation.store(true, Ordering::Relaxed);
        assert!(signs.answered() && signs.renegotiation_demanded());
        signs.clear();
        assert!(!signs.answered() && !signs.renegotiation_demanded());
    }
}
