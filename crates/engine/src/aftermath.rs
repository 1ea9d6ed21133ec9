//! Follows in memory what transactions left: events that wait in a backlog, endpoints that were
//! switched off. Must never change anything itself.

use std::sync::Arc;

use crate::shared::Shared;

/// Takes what is left as soon as it is durable. What is lost with the process is found at its next
/// start, with all backlogs.
pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        let left = shared.store.aftermath().await;
        for app in left.changed {
            shared.routes.forget(app);
        }
        for (app, endpoint) in left.backlogged {
            shared.lanes.note_backlog(&shared, app, endpoint);
        }
        shared.backlog_hint.notify_one();
    }
}
