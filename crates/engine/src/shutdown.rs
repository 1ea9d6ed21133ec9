//! Stops without losing anything: what is under way gets a bound, the rest goes back to the store.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::{error, info};

use crate::handshakes;
use crate::shared::Shared;

/// How long the store gets to take down what was recorded, whatever the bound.
const FLUSH_MIN: Duration = Duration::from_secs(2);

/// How a shutdown went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ShutdownReport {
    /// Deliveries that were handed back untried.
    pub handed_back: usize,
    /// Attempts that were still under way when the bound passed; they are tried again.
    pub cut_off: usize,
}

pub(crate) async fn shutdown(shared: &Arc<Shared>, bound: Duration) -> ShutdownReport {
    let deadline = Instant::now() + bound;
    shared.stop();
    // No worker that waits for a permit may begin now.
    shared.budget.close();
    let queued = shared.lanes.drain();
    let handed_back = queued.len();
    let returned = shared.store.return_to_backlog(queued);
    if !matches!(timeout_at(deadline, returned).await, Ok(Ok(()))) {
        error!("Could not hand deliveries back; they come back with the next start");
    }
    let idle = timeout_at(deadline, shared.budget.idle()).await;
    let cut_off = match idle {
        Ok(()) => 0,
        Err(_) => shared.budget.held(),
    };
    shared.egress.shutdown();
    let written = timeout_at(
        deadline.max(Instant::now() + FLUSH_MIN),
        handshakes::write(shared),
    );
    if !matches!(written.await, Ok(true)) {
        error!("Could not keep what the last TLS handshakes showed");
    }
    // Results that are queued get a moment even when the bound is used up.
    let flushed = timeout_at(
        deadline.max(Instant::now() + FLUSH_MIN),
        shared.store.flush(),
    )
    .await;
    if !matches!(flushed, Ok(Ok(()))) {
        error!("Could not wait for the store; what it did not take down is tried again");
    }
    info!(
        handed_back,
        cut_off, "Stopped: {handed_back} handed back, {cut_off} cut off"
    );
    ShutdownReport {
        handed_back,
        cut_off,
    }
}
