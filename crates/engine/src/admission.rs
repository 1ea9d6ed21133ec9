//! Lets publishes begin or turns them away, and measures them. Decides nothing itself:
//! [`hookseal_domain::admission`] does.

use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::runtime::{Handle, RuntimeMetrics};
use tokio::time::Instant;
use tracing::{info, warn};

use hookseal_domain::admission::{Admission, Ended, Shed, Worked};
use hookseal_store::error::{AcceptError, StoreError};

use crate::metrics::admission::AdmissionMetrics;

/// How long nothing was shed before shedding is news.
const NEWS_AFTER: Duration = Duration::from_secs(30);

/// The door to publishing.
pub(crate) struct Door {
    opened_at: Instant,
    state: Mutex<State>,
    metrics: AdmissionMetrics,
    /// Of the threads that serve requests; `None` where there are none, as in a test.
    runtime: Option<RuntimeMetrics>,
}

#[derive(Default)]
struct State {
    admission: Admission,
    /// When something was shed last.
    shed_at: Option<Duration>,
}

/// A publish that began. It ends when this is dropped.
pub(crate) struct Permit<'d> {
    door: &'d Door,
    began: Duration,
    ended: Ended,
}

// === impl Door ===

impl Door {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        Self {
            opened_at: Instant::now(),
            state: Mutex::default(),
            metrics: AdmissionMetrics::register(registry),
            runtime: Handle::try_current().ok().map(|handle| handle.metrics()),
        }
    }

    /// Whether a publish may begin, as far as can be told now; what may not is counted as shed.
    pub(crate) fn check(&self) -> Result<(), Shed> {
        let now = self.now();
        let mut state = self.state.lock();
        let checked = state.admission.check(now);
        if let Err(reason) = checked {
            self.shed(&mut state, now, reason);
        }
        checked
    }

    /// Begins a publish.
    pub(crate) fn enter(&self) -> Result<Permit<'_>, Shed> {
        let began = self.now();
        let mut state = self.state.lock();
        if let Err(reason) = state.admission.begin(began) {
            self.shed(&mut state, began, reason);
            return Err(reason);
        }
        self.metrics.stands(&state.admission);
        Ok(Permit {
            door: self,
            began,
            ended: Ended::Otherwise,
        })
    }

    fn leave(&self, ended: Ended) {
        let now = self.now();
        let mut state = self.state.lock();
        let was_full = state.admission.is_disk_full();
        state.admission.end(now, ended, || self.worked());
        let is_full = state.admission.is_disk_full();
        self.metrics.stands(&state.admission);
        drop(state);
        if is_full && !was_full {
            warn!("The disk is full: messages are refused until there is room");
        } else if was_full && !is_full {
            info!("The disk has room again: messages are accepted");
        }
    }

    /// Counts it. It is logged once, not for each: a log that grows with the load makes it worse.
    fn shed(&self, state: &mut State, now: Duration, reason: Shed) {
        self.metrics.shed(reason);
        let before = state.shed_at.replace(now);
        let is_news = before.is_none_or(|before| now.saturating_sub(before) >= NEWS_AFTER);
        if is_news && reason == Shed::Waiting {
            let under_way = state.admission.under_way();
            warn!(
                under_way,
                "More is published than can be stored in time: some is refused, with {under_way} under way"
            );
        }
    }

    fn worked(&self) -> Worked {
        let Some(runtime) = &self.runtime else {
            return Worked::default();
        };
        let threads = runtime.num_workers();
        Worked {
            total: (0..threads)
                .map(|thread| runtime.worker_total_busy_duration(thread))
                .sum(),
            threads: u32::try_from(threads).unwrap_or(u32::MAX),
        }
    }

    fn now(&self) -> Duration {
        self.opened_at.elapsed()
    }
}

// === impl Permit ===

impl Permit<'_> {
    /// The message is durable. `flush` is what the disk takes for that alone.
    pub(crate) fn stored(&mut self, flush: Duration) {
        let took = self.door.now().saturating_sub(self.began);
        self.door.metrics.stored(took);
        self.ended = Ended::Stored { took, flush };
    }

    /// The message was not stored.
    pub(crate) fn failed(&mut self, error: &AcceptError) {
        self.ended = match error {
            AcceptError::Store(StoreError::Overloaded) => Ended::Refused,
            AcceptError::Store(StoreError::DiskFull) => Ended::DiskFull,
            _ => Ended::Otherwise,
        };
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.door.leave(self.ended);
    }
}

#[cfg(test)]
mod tests {
    use hookseal_domain::admission::UNDER_WAY_MAX;
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn who_entered_leaves_and_who_may_not_is_counted() {
        let mut registry = Registry::default();
        let door = Door::new(&mut registry);
        let check = |metric: &str| {
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            assert!(text.contains(metric), "{metric}: {text}");
        };
        check("hookseal_publishes_shed_total{reason=\"waiting\"} 0\n");
        let permits: Vec<_> = (0..UNDER_WAY_MAX)
            .map_while(|_| door.enter().ok())
            .collect();
        assert_eq!(permits.len(), UNDER_WAY_MAX);
        assert_eq!(door.check(), Err(Shed::Waiting));
        assert_eq!(door.enter().err(), Some(Shed::Waiting));
        check("hookseal_publishes_shed_total{reason=\"waiting\"} 2\n");
        check("hookseal_publishes_under_way 1024\n");
        drop(permits);
        check("hookseal_publishes_under_way 0\n");
        door.enter().unwrap().stored(Duration::ZERO);
        check("hookseal_publish_wait_seconds_count 1\n");
        let mut permit = door.enter().unwrap();
        permit.failed(&StoreError::DiskFull.into());
        drop(permit);
        check("hookseal_publishes_under_way 0\n");
    }
}
