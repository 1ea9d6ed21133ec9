//! How long the disk takes to make a transaction durable. Must never cost a lock: the writer notes it
//! and everybody may look.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Each new time counts for an eighth: one slow flush is no slow disk.
const WEIGHT_DIVISOR: u64 = 8;

/// A moving average.
#[derive(Debug, Default)]
pub(super) struct FlushTime {
    average_ns: AtomicU64,
}

// === impl FlushTime ===

impl FlushTime {
    /// Notes one; the writer alone does.
    pub(super) fn took(&self, duration: Duration) {
        let new = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX) / WEIGHT_DIVISOR;
        let old = self.average_ns.load(Ordering::Relaxed);
        let average = (old - old / WEIGHT_DIVISOR).saturating_add(new);
        self.average_ns.store(average, Ordering::Relaxed);
    }

    /// The average; zero at first.
    pub(super) fn of_late(&self) -> Duration {
        Duration::from_nanos(self.average_ns.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_disk_and_not_one_slow_flush() {
        let time = FlushTime::default();
        let ms = Duration::from_millis;
        for _ in 0..100 {
            time.took(ms(8));
        }
        assert!(time.of_late() > ms(7) && time.of_late() <= ms(8));
        time.took(ms(80));
        assert!(time.of_late() < ms(20));
        for _ in 0..100 {
            time.took(ms(80));
        }
        assert!(time.of_late() > ms(70));
    }
}
