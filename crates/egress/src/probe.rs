//! A handshake made to look, not to send.
//!
//! **Invariant:** on its connection nothing of HTTP is ever written, since its verifier lets
//! everything pass; what it found is verified and reported all the same. Its connections are never
//! kept.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hookseal_domain::endpoint::url::Scheme;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::handshake::{Failed, HandshakeReport};
use rustls::ProtocolVersion;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::client::TlsStream;

use crate::error::{ExchangeError, find_cause, reason, with_advice};
use crate::exchange::Progress;
use crate::limits::LAST_WORDS_WAIT_MAX;
use crate::open::Opener;
use crate::target::Target;
use crate::taxonomy::{alert_name, of_library};
use crate::tls::{Handshake, Shaken};
use crate::transport::Transport;
use crate::verifier::Conduct;
use crate::wire::Wire;

/// How a look ended before there was a session.
enum Miss {
    /// There is a report of a handshake, and why it failed.
    Failed(Box<HandshakeReport>, ExchangeError),
    /// There was no handshake.
    None(ExchangeError),
    /// The URL has no TLS.
    Plain,
}

// === impl Opener ===

impl Opener {
    /// Connects as a delivery would, looks, and closes.
    pub(crate) async fn probe(
        &self,
        target: &Target,
        transport: &Arc<Transport>,
        within: Duration,
    ) -> HandshakeReport {
        let began = Instant::now();
        let mut progress = Progress::new(within);
        let looked = self.look(target, transport, &mut progress);
        let (mut report, failure) = match timeout_at(began + within, looked).await {
            Ok(Ok((report, failure))) => (report, failure),
            Ok(Err(Miss::Failed(report, error))) => (*report, Some(of_error(&error))),
            Ok(Err(Miss::None(error))) => (HandshakeReport::default(), Some(of_error(&error))),
            Ok(Err(Miss::Plain)) => {
                let what = "the URL is http://: there is no TLS to look at";
                let failure = TlsFailure::NotReached;
                let reason = what.to_owned();
                (HandshakeReport::default(), Some(Failed { failure, reason }))
            }
            Err(_) => {
                let failure = TlsFailure::NotReached;
                let reason = with_advice(&progress.lateness(), failure);
                (HandshakeReport::default(), Some(Failed { failure, reason }))
            }
        };
        report.at = (self.clock)();
        report.remote_ip = progress.facts.remote_ip;
        report.proxy = transport.proxy_name();
        report.failure = failure;
        if report.duration_ms == 0 {
            let took = began.elapsed().as_millis();
            report.duration_ms = u32::try_from(took).unwrap_or(u32::MAX);
        }
        report
    }

    async fn look(
        &self,
        target: &Target,
        transport: &Arc<Transport>,
        progress: &mut Progress,
    ) -> Result<(HandshakeReport, Option<Failed>), Miss> {
        let route = target.route().map_err(|error| Miss::None(error.into()))?;
        if route.origin.scheme == Scheme::Plain {
            return Err(Miss::Plain);
        }
        let presenter = self.presenter(route, transport, &[]).map_err(Miss::None)?;
        let wire = self.reach(route, transport, progress).await;
        let wire = wire.map_err(Miss::None)?;
        let handshake = Handshake::new(transport, Conduct::Record, presenter);
        let shaken = handshake.perform(wire, &route.server_name).await;
        let mut report = handshake.report((self.clock)(), shaken.as_ref().ok());
        let mut shaken = match shaken {
            Ok(shaken) => shaken,
            Err(error) => return Err(Miss::Failed(Box::new(report), error.into())),
        };
        if let Some(distrust) = shaken.distrust_of_chain() {
            return Ok((report, Some(of_error(&distrust.into()))));
        }
        let within = progress.time_left() / 2;
        let known = self.look_up_revocation(transport, &shaken, within).await;
        let known = match known {
            Ok(known) => known,
            Err(error) => return Err(Miss::Failed(Box::new(report), error.into())),
        };
        report.revocation = known.finding;
        if let Some(failed) = known.failure {
            return Ok((report, Some(of_error(&ExchangeError::Revocation(failed)))));
        }
        let refusal = match handshake.presenter().was_asked() {
            true => refusal(&mut shaken).await,
            false => None,
        };
        let _closed = timeout(LAST_WORDS_WAIT_MAX, shaken.stream.shutdown()).await;
        Ok((report, refusal))
    }
}

fn of_error(error: &ExchangeError) -> Failed {
    match error.tls_failure() {
        Some(failure) => Failed {
            failure,
            reason: error.in_words(),
        },
        None => Failed {
            failure: TlsFailure::NotReached,
            reason: with_advice(&reason(error), TlsFailure::NotReached),
        },
    }
}

/// In TLS 1.3 a server refuses our certificate after the handshake. What it says within a moment
/// is waited for, or the session ticket that follows an acceptance.
async fn refusal(shaken: &mut Shaken) -> Option<Failed> {
    let stream = &mut shaken.stream;
    if stream.get_ref().1.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
        return None;
    }
    let words = poll_fn(|cx| poll_words(stream, cx));
    match timeout(LAST_WORDS_WAIT_MAX, words).await {
        Ok(Ok(())) | Err(_) => None,
        Ok(Err(error)) => Some(refused_with(&error)),
    }
}

fn refused_with(error: &io::Error) -> Failed {
    let (failure, what) = match find_cause::<rustls::Error>(error) {
        Some(rustls::Error::AlertReceived(alert)) => (
            of_library(&rustls::Error::AlertReceived(*alert)),
            format!(
                "the server ended the TLS session after the handshake: it sent the alert {}",
                alert_name(*alert)
            ),
        ),
        Some(other) => (of_library(other), reason(other)),
        None => (
            TlsFailure::ClosedWithoutAlert,
            "the server asked for a client certificate, and closed the connection after the TLS \
             handshake"
                .to_owned(),
        ),
    };
    Failed {
        failure,
        reason: with_advice(&what, failure),
    }
}

/// `Ok` once the server has shown that it goes on.
fn poll_words(stream: &mut TlsStream<Wire>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    loop {
        let mut bytes = [0; 64];
        let mut buf = ReadBuf::new(&mut bytes);
        match Pin::new(&mut *stream).poll_read(cx, &mut buf) {
            // What comes before a ticket may have been sent before our certificate was judged.
            Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
            Poll::Ready(Ok(())) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending if stream.get_ref().1.tls13_tickets_received() > 0 => {
                return Poll::Ready(Ok(()));
            }
            Poll::Pending => return Poll::Pending,
        }
    }
}
