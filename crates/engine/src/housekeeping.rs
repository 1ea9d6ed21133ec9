//! Small chores: retention, idle connections, idle lanes, gauges.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{self, JoinHandle};
use tracing::{debug, error};

use crate::shared::Shared;

/// How often the chores are done.
const EVERY: Duration = Duration::from_secs(5);
/// Rounds after which all backlogs are looked for, as a net under every hint that may be lost.
const BACKLOGS_EVERY_ROUNDS: u64 = 12;
/// Pause between two batches of forgetting, so that publishing goes first.
const RETENTION_PAUSE: Duration = Duration::from_millis(50);
/// Most batches in a row: the rest waits for the next round.
const RETENTION_BATCHES_MAX: usize = 50;

pub(crate) async fn run(shared: Arc<Shared>) {
    let mut round: u64 = 0;
    let mut sweep: Option<JoinHandle<()>> = None;
    loop {
        round += 1;
        if round.is_multiple_of(BACKLOGS_EVERY_ROUNDS) {
            shared.look_for_backlogs();
        }
        // It may read files, and a disk may hang: nothing else waits for it.
        if sweep.as_ref().is_none_or(JoinHandle::is_finished) {
            let egress = shared.egress.clone();
            sweep = Some(task::spawn_blocking(move || egress.sweep()));
        }
        shared.routes.relearn(&*shared.store).await;
        let census = shared.lanes.sweep(shared.clock.now());
        shared.metrics.set_lanes_held_back(census);
        shared.app_pacings.sweep(shared.clock.now());
        shared.breakers.sweep(&shared.lanes);
        shared
            .metrics
            .lanes
            .set(i64::try_from(shared.lanes.count()).unwrap_or(i64::MAX));
        shared
            .metrics
            .window_bytes
            .set(i64::try_from(shared.lanes.bytes()).unwrap_or(i64::MAX));
        let paused = shared.breakers.paused(&shared.lanes);
        shared.metrics.set_lanes_paused(&paused);
        forget(&shared).await;
        shared
            .clock
            .sleep_until(shared.clock.now().plus(EVERY))
            .await;
    }
}

/// Has changes hold for attempts under way, too.
pub(crate) async fn follow_changes(shared: Arc<Shared>) {
    loop {
        shared.routes.relearn_in_use(&*shared.store).await;
    }
}

async fn forget(shared: &Shared) {
    for _ in 0..RETENTION_BATCHES_MAX {
        match shared
            .store
            .retain(shared.clock.now(), shared.config.retention)
            .await
        {
            Ok(retained) => {
                let (payloads, messages) = (retained.payloads, retained.messages);
                if payloads > 0 {
                    // Deliveries without a payload came up, to be ended.
                    shared.look_for_backlogs();
                }
                debug!(
                    payloads,
                    messages, "Forgot {payloads} payloads and {messages} messages"
                );
                if !retained.more {
                    return;
                }
            }
            Err(error) => {
                error!(error = %error, "Could not forget what is past its retention");
                return;
            }
        }
        shared
            .clock
            .sleep_until(shared.clock.now().plus(RETENTION_PAUSE))
            .await;
    }
}
