//! A clock that moves when a test says so.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::Instant;

use hookseal_domain::time::Timestamp;
use hookseal_engine::clock::{Clock, Random};

/// 2026-11-23T08:20:00Z.
const START: Timestamp = Timestamp::from_millis(1_795_422_000_000);

/// Most that passes at once in [`ManualClock::run_for`]: as late as timers are on a machine that is
/// not starved.
const STEP_MAX: Duration = Duration::from_millis(5);

pub(crate) struct ManualClock {
    now: watch::Sender<Timestamp>,
}

/// Every draw is the same: the jitter is none.
#[derive(Default)]
pub(crate) struct NoJitter {
    drawn: AtomicU64,
    panics: AtomicBool,
}

// === impl ManualClock ===

impl ManualClock {
    pub(crate) fn new() -> Self {
        Self {
            now: watch::Sender::new(START),
        }
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.now.send_modify(|now| *now = now.plus(by));
    }

    /// Lets so much time pass, as fast as the real one, but for moments in which the machine had no
    /// time for us: those are left out, since they are nobody's fault.
    pub(crate) async fn run_for(&self, span: Duration) {
        let (mut ticked_at, mut left) = (Instant::now(), span);
        while !left.is_zero() {
            // sleep: time is what passes here
            tokio::time::sleep(Duration::from_millis(1)).await;
            let step = ticked_at.elapsed().min(STEP_MAX).min(left);
            let step = Duration::from_millis(u64::try_from(step.as_millis()).unwrap());
            if !step.is_zero() {
                ticked_at = Instant::now();
                left -= step;
                self.advance(step);
            }
        }
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    async fn sleep_until(&self, at: Timestamp) {
        let mut now = self.now.subscribe();
        now.wait_for(|now| *now >= at).await.unwrap();
    }
}

// === impl NoJitter ===

impl NoJitter {
    /// The next draw panics.
    pub(crate) fn panic_next(&self) {
        self.panics.store(true, Ordering::Relaxed);
    }
}

impl Random for NoJitter {
    fn bits(&self) -> u64 {
        assert!(
            !self.panics.swap(false, Ordering::Relaxed),
            "as the test said"
        );
        // The high half, which becomes the jitter, stays just above the middle; the low half differs, so
        // that keys made of it do.
        0x8000_0000_0000_0000 | (self.drawn.fetch_add(1, Ordering::Relaxed) & 0xffff_ffff)
    }
}
