//! Takes out of memory what was expunged: it goes back to the store, where its payload is gone.

use std::sync::Arc;

use hookseal_domain::id::{AppId, MessageId};

use crate::backlog;
use crate::shared::Shared;

/// Takes out the deliveries of these messages of an application that no attempt has begun with.
pub(crate) async fn take_out(
    shared: &Arc<Shared>,
    app: AppId,
    expunged: impl Fn(MessageId) -> bool,
) {
    for endpoint in shared.lanes.endpoints_of(app) {
        let lanes = &shared.lanes;
        let back = lanes.withdraw_all(endpoint, |delivery| expunged(delivery.message));
        if back.is_empty() {
            continue;
        }
        backlog::give_back(shared, back.into_iter().map(|key| (app, key)).collect()).await;
        shared.lanes.note_backlog(shared, app, endpoint);
    }
}
