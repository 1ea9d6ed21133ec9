//! The wall clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use tokio::time::Instant;

use hookseal_domain::time::Timestamp;
use hookseal_engine::clock::Clock;

/// Longest sleep before the clock is looked at again, so that a clock that was set is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(30);
/// As far away as anybody waits for: whoever wants to wait for longer looks again then.
const FAR_AWAY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock"
    )]
    fn now(&self) -> Timestamp {
        let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        };
        Timestamp::from_millis(millis)
    }

    async fn sleep_until(&self, at: Timestamp) {
        let latest = Instant::now() + at.since(self.now()).min(FAR_AWAY);
        loop {
            let rest = latest.saturating_duration_since(Instant::now());
            let rest = rest.min(at.since(self.now()));
            if rest.is_zero() {
                return;
            }
            tokio::time::sleep(rest.min(SLEEP_MAX)).await;
        }
    }
}
