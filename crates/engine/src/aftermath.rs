//! Follows in memory what transactions left: events that wait in a backlog, endpoints that were
//! switched off. Must never change anything itself.

use std::sync::Arc;

use tracing::{info, warn};

use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::operational::{DisabledBy, EndpointChange};

use crate::shared::Shared;
use crate::timers;

/// Takes what is left as soon as it is durable. What is lost with the process is found at its next
/// start, with all backlogs.
pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        let left = shared.store.aftermath().await;
        for app in left.changed {
            application_changed(&shared, app);
        }
        for (app, endpoint) in left.backlogged {
            shared.lanes.note_backlog(&shared, app, endpoint);
        }
        for (endpoint, change) in left.health {
            shared.metrics.endpoints.changed(change);
            say(endpoint, change);
        }
        shared.backlog_hint.notify_one();
    }
}

/// Forgets what was known of an application, which is configured otherwise now.
pub(crate) fn application_changed(shared: &Arc<Shared>, app: AppId) {
    let batching = shared.routes.batching(app);
    shared.routes.forget(app);
    for endpoint in batching {
        timers::look_again(shared, endpoint);
    }
    shared.breakers.application_changed(app);
    shared.backlog_hint.notify_one();
}

/// For the operator, who may have nobody else told.
fn say(endpoint: EndpointId, change: EndpointChange) {
    match change {
        EndpointChange::Failing {
            since, disable_at, ..
        } => warn!(
            endpoint.id = %endpoint,
            "Endpoint {endpoint} has done nothing but fail since {since}: it is disabled at \
             {disable_at} if that goes on"
        ),
        EndpointChange::Disabled(DisabledBy::Failing { since }) => warn!(
            endpoint.id = %endpoint,
            "Disabled endpoint {endpoint}, since it did nothing but fail since {since}"
        ),
        EndpointChange::Disabled(DisabledBy::Gone) => info!(
            endpoint.id = %endpoint,
            "Disabled endpoint {endpoint}, since it answered 410 Gone"
        ),
        EndpointChange::Created
        | EndpointChange::Updated
        | EndpointChange::Deleted
        | EndpointChange::Enabled
        | EndpointChange::Disabled(DisabledBy::Client) => {}
    }
}
