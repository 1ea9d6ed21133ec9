//! SIGTERM and SIGINT: the first asks to stop, the second ends the process at once.

use std::io;
use std::process;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::warn;

/// The exit code of a process that did not wait for its end (128 and the number of SIGTERM).
const ENDED_AT_ONCE: i32 = 143;

/// Listens for the signals that ask to stop.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

// === impl StopSignals ===

impl StopSignals {
    /// Begins to listen; from now on the signals do not end the process by themselves.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal, and says which.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// From now on the next signal ends the process at once: what is under way then is done again
    /// after the next start.
    pub fn end_at_next(mut self) {
        tokio::spawn(async move {
            let signal = self.next().await;
            warn!("Got {signal} while stopping, ending at once");
            process::exit(ENDED_AT_ONCE);
        });
    }
}
