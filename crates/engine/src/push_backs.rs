//! Endpoints that say "not so fast" (429) or "not now" (503): their lanes are left alone for a while.
//!
//! **Invariant:** what waits for such a lane is in memory for a short pause, in the store for a long
//! one, and goes on with the lane.

use std::sync::Arc;

use tracing::info;

use crate::backlog;
use crate::lane::Lane;
use crate::lanes::PushedBack;
use crate::shared::Shared;
use crate::timers::Due;

/// Does what an endpoint asked for.
pub(crate) async fn follow(shared: &Arc<Shared>, lane: &Lane, pushed_back: PushedBack) {
    let PushedBack { push_back, waiting } = pushed_back;
    info!(
        endpoint.id = %lane.endpoint,
        status = push_back.reason.status,
        reason = push_back.reason.as_str(),
        "Endpoint {} answered {}: leaving it alone until {}",
        lane.endpoint, push_back.reason.status, push_back.until
    );
    let waiting: Vec<_> = waiting.into_iter().map(|key| (lane.app, key)).collect();
    if !waiting.is_empty() {
        backlog::give_back(shared, waiting).await;
        shared.lanes.note_backlog(shared, lane.app, lane.endpoint);
    }
    let back = Due::Lane(lane.endpoint);
    shared.timers.at(push_back.until, back);
}
