//! Reads the wall clock, the one clock that all processes of a run share. It decides nothing.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch.
#[expect(
    clippy::disallowed_methods,
    reason = "latency between two processes needs the clock that both can read"
)]
pub(crate) fn unix_ns() -> u64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

/// Whole seconds of an instant in nanoseconds, as `webhook-timestamp` wants them.
pub(crate) fn whole_seconds(unix_ns: u64) -> u64 {
    unix_ns / 1_000_000_000
}
