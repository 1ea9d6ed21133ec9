//! Brings the backlog into the lanes as they get room.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::error;

use hookseal_domain::delivery::DeliveryKey;
use hookseal_domain::id::AppId;
use hookseal_store::work::PullLimit;

use crate::job::Job;
use crate::lane::Lane;
use crate::persist::until_stored;
use crate::shared::Shared;
use crate::timers;

/// How often every lane with a backlog is looked at, besides the hints.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Most deliveries that one read brings: they have to fit the reader's patience, not only memory.
const PULL_ROWS_MAX: usize = 512;
/// Most payload bytes that one read brings.
const PULL_BYTES_MAX: usize = 4 << 20;
/// Endpoints per page when looking for backlogs at start.
const PAGE_ENDPOINTS: usize = 500;
/// Held deliveries that are released at once.
const RELEASE_ROWS: usize = 500;

/// Finds the backlogs that an earlier process or a change in the store left, and keeps them moving.
pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        if shared.backlogs_unknown.swap(false, Ordering::Relaxed) {
            find_backlogs(&shared).await;
        }
        release_held(&shared).await;
        for lane in shared.lanes.with_backlog() {
            pull_if_room(&shared, &lane);
        }
        let look_again = shared.clock.now().plus(LOOK_EVERY);
        tokio::select! {
            () = shared.clock.sleep_until(look_again) => {}
            () = shared.backlog_hint.notified() => {}
        }
    }
}

/// Reads a lane's backlog in the background, if it has one and there is room for it.
pub(crate) fn pull_if_room(shared: &Arc<Shared>, lane: &Arc<Lane>) {
    if shared.is_stopping() {
        return;
    }
    if let Some((rows, bytes)) = shared.lanes.begin_pull(lane, &*shared.clock) {
        let limit = PullLimit {
            rows: rows.min(PULL_ROWS_MAX),
            bytes: bytes.min(PULL_BYTES_MAX),
        };
        tokio::spawn(pull(Arc::clone(shared), Arc::clone(lane), limit));
    }
}

async fn pull(shared: Arc<Shared>, lane: Arc<Lane>, limit: PullLimit) {
    let claimed = shared
        .store
        .pull_backlog(lane.app, lane.endpoint, limit)
        .await;
    match claimed {
        Ok(claimed) => {
            let (more, now) = (!claimed.is_empty(), shared.clock.now());
            let jobs = claimed.into_iter();
            let jobs = jobs.map(|claimed| Job::claimed(claimed, now));
            let refused = shared.lanes.admit_all(&shared, &lane, jobs).into_iter();
            let refused: Vec<_> = refused.map(|job| (lane.app, job.key)).collect();
            let all_in = refused.is_empty();
            give_back(&shared, refused).await;
            shared.lanes.end_pull(&lane, more);
            // What found no room is read again when an attempt ends; at once only if the last one
            // ended meanwhile.
            if all_in || shared.lanes.takes_anything(&lane) {
                pull_if_room(&shared, &lane);
            }
            timers::send_what_is_full(&shared, &lane);
        }
        Err(error) => {
            error!(
                endpoint.id = %lane.endpoint,
                error = %error,
                "Could not read the backlog of endpoint {}", lane.endpoint
            );
            shared.lanes.end_pull(&lane, true);
        }
    }
}

/// Returns deliveries that found no room.
pub(crate) async fn give_back(shared: &Shared, keys: Vec<(AppId, DeliveryKey)>) {
    if keys.is_empty() {
        return;
    }
    let returned = || shared.store.return_to_backlog(keys.clone());
    until_stored(shared, "return deliveries to the backlog", returned).await;
}

async fn find_backlogs(shared: &Arc<Shared>) {
    let mut after = None;
    loop {
        match shared.store.backlogged(after, PAGE_ENDPOINTS).await {
            Ok(page) => {
                for (app, endpoint) in &page {
                    shared.lanes.note_backlog(shared, *app, *endpoint);
                }
                match page.last() {
                    Some(last) if page.len() == PAGE_ENDPOINTS => after = Some(*last),
                    _ => return,
                }
            }
            Err(error) => {
                error!(error = %error, "Could not look for backlogs; trying again");
                shared
                    .clock
                    .sleep_until(shared.clock.now().plus(LOOK_EVERY))
                    .await;
            }
        }
    }
}

/// Moves held deliveries of endpoints that were enabled again into their backlogs.
async fn release_held(shared: &Arc<Shared>) {
    loop {
        match shared.store.release_held(RELEASE_ROWS).await {
            Ok(endpoints) if endpoints.is_empty() => return,
            Ok(endpoints) => {
                for (app, endpoint) in endpoints {
                    shared.lanes.note_backlog(shared, app, endpoint);
                }
            }
            Err(error) => {
                error!(error = %error, "Could not release held deliveries");
                return;
            }
        }
    }
}
