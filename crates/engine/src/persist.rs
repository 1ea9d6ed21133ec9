//! Writes that have to succeed: what a lane knows and the store does not would be lost to both
//! until the next start.

use std::future::Future;
use std::time::Duration;

use tracing::error;

use hookseal_store::error::StoreError;

use crate::shared::Shared;

const WAIT_FIRST: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Does a write until the store takes it. Gives up when the engine stops, and where no repetition
/// helps: then the next start takes the delivery back.
pub(crate) async fn until_stored<Write, T>(
    shared: &Shared,
    what: &str,
    mut write: impl FnMut() -> Write,
) -> Option<T>
where
    Write: Future<Output = Result<T, StoreError>>,
{
    let mut wait = WAIT_FIRST;
    loop {
        let error = match write().await {
            Ok(written) => return Some(written),
            Err(error) => error,
        };
        error!(error = %error, "Could not {what}");
        if shared.is_stopping() || error.is_lasting() {
            return None;
        }
        shared
            .clock
            .sleep_until(shared.clock.now().plus(wait))
            .await;
        wait = (wait * 2).min(WAIT_MAX);
    }
}
