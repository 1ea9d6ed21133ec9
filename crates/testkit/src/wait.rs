//! Waiting for what must happen. **Invariant:** never longer than a bound, never for a time to pass.

use std::time::Duration;

use anyhow::Context;
use tokio::time::Instant;

/// How long a test waits for what must happen soon: long enough for a busy machine, and only ever
/// used up by a failure.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Short, so that a test goes on at once; long enough to leave the processor to what is waited for.
const POLL: Duration = Duration::from_millis(10);

/// Asks `probe` until it finds something, at most for [`PATIENCE`].
pub async fn until<T>(
    what: &str,
    probe: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    until_within(PATIENCE, what, probe).await
}

/// Asks `probe` until it finds something, at most for `patience`.
pub async fn until_within<T>(
    patience: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let end = Instant::now() + patience;
    loop {
        let found = tokio::time::timeout_at(end, probe())
            .await
            .with_context(|| format!("no answer within {patience:?} on: {what}"))?;
        if let Some(found) = found.with_context(|| format!("while waiting for: {what}"))? {
            return Ok(found);
        }
        anyhow::ensure!(Instant::now() < end, "not within {patience:?}: {what}");
        // sleep: what is waited for is in another process and tells nobody
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn asks_until_there_is_an_answer_or_no_time_left() {
        let mut left = 3;
        let found = until("a countdown", async || {
            left -= 1;
            Ok((left == 0).then_some("done"))
        });
        assert_eq!(found.await.unwrap(), "done");

        let never = until("never", async || Ok(None::<()>)).await.unwrap_err();
        assert_eq!(never.to_string(), "not within 20s: never");
        let stuck = until("stuck", async || {
            Ok(std::future::pending::<Option<()>>().await)
        });
        assert!(stuck.await.unwrap_err().to_string().contains("stuck"));
    }
}
