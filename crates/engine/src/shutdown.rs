//! Stops without losing anything: what is under way gets a bound, the rest goes back to the store.

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info};

use crate::shared::Shared;

/// How a shutdown went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ShutdownReport {
    /// Deliveries that were handed back untried.
    pub handed_back: usize,
    /// Attempts that were still under way when the bound passed; they are tried again.
    pub cut_off: usize,
}

pub(crate) async fn shutdown(shared: &Arc<Shared>, bound: Duration) -> ShutdownReport {
    shared.stop();
    let queued = shared.lanes.drain();
    let handed_back = queued.len();
    if let Err(error) = shared.store.return_to_backlog(queued).await {
        error!(error = %error, "Could not hand deliveries back; they come back with the next start");
    }
    let all = u32::try_from(shared.config.in_flight_max).unwrap_or(u32::MAX);
    let idle = shared.in_flight.acquire_many(all);
    let cut_off = match tokio::time::timeout(bound, idle).await {
        Ok(_) => 0,
        Err(_) => shared
            .config
            .in_flight_max
            .saturating_sub(shared.in_flight.available_permits()),
    };
    shared.egress.shutdown();
    if let Err(error) = shared.store.flush().await {
        error!(error = %error, "Could not wait for the store");
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
