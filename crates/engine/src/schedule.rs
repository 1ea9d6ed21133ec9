//! Brings deliveries into their lanes when their time has come, and ends the pauses of lanes.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::error;

use hookseal_domain::time::Timestamp;
use hookseal_store::work::PullLimit;

use crate::backlog::give_back;
use crate::breakers;
use crate::clock::Clock;
use crate::job::Job;
use crate::shared::Shared;

/// How long the schedule sleeps at most: rows can come due that nobody told it of.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// How much is claimed at once.
const CLAIM: PullLimit = PullLimit {
    rows: 256,
    bytes: 4 << 20,
};

/// When the schedule looks again.
#[derive(Default)]
pub(crate) struct Wake {
    next: Mutex<Option<Timestamp>>,
    sooner: Notify,
}

// === impl Wake ===

impl Wake {
    /// Something will be due at `due`.
    pub(crate) fn at(&self, due: Timestamp) {
        let mut next = self.next.lock();
        if next.is_none_or(|planned| due < planned) {
            *next = Some(due);
            self.sooner.notify_one();
        }
    }

    /// Waits until then, or until something is due sooner.
    pub(crate) async fn sleep_until(&self, clock: &dyn Clock, at: Timestamp) {
        let at = self.plan(at);
        tokio::select! {
            () = clock.sleep_until(at) => {}
            () = self.sooner.notified() => {}
        }
    }

    fn plan(&self, at: Timestamp) -> Timestamp {
        let mut next = self.next.lock();
        let at = next.map_or(at, |planned| planned.min(at));
        *next = Some(at);
        at
    }

    /// Whatever becomes due from now on is news.
    pub(crate) fn begin_look(&self) {
        *self.next.lock() = None;
    }
}

/// Claims what is due, and sleeps until the next is.
pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        shared.wake.begin_look();
        breakers::probe_due(&shared);
        let next_due = look(&shared).await;
        let next_probe = shared.breakers.next_probe_at();
        let latest = shared.clock.now().plus(SLEEP_MAX);
        let next = [next_due, next_probe].into_iter().flatten().min();
        let next = next.map_or(latest, |next| next.min(latest));
        shared.wake.sleep_until(&*shared.clock, next).await;
    }
}

/// Claims one batch; says when to look again.
async fn look(shared: &Arc<Shared>) -> Option<Timestamp> {
    let now = shared.clock.now();
    match shared.store.claim_due(now, CLAIM).await {
        Ok(batch) => {
            let mut refused = Vec::new();
            for claimed in batch.deliveries {
                let app = claimed.app;
                let job = Job::claimed(claimed, now);
                if let Some(job) = shared.lanes.admit(shared, app, job) {
                    refused.push((app, job.key));
                }
            }
            give_back(shared, refused.clone()).await;
            for (app, key) in refused {
                shared.lanes.note_backlog(shared, app, key.endpoint);
            }
            batch.next_due
        }
        Err(error) => {
            error!(error = %error, "Could not look for due deliveries");
            None
        }
    }
}
