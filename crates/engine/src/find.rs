//! Finds out where a lane sends to, and how fast, as configured now.

use std::sync::Arc;

use tracing::error;

use crate::lane::Lane;
use crate::pacing::LaneRules;
use crate::prepared::Prepared;
use crate::shared::Shared;

/// What comes of looking a destination up.
pub(crate) enum Found {
    /// It is sent to.
    Send(Arc<Prepared>),
    /// It is disabled.
    Hold(Arc<Prepared>),
    /// It does not exist any more.
    Deleted,
    /// The store can't tell.
    Unreadable,
}

/// Finds out where to send to, and how fast, as configured now. What is not sent has no rate.
pub(crate) async fn find(shared: &Shared, lane: &Lane) -> (Found, Option<LaneRules>) {
    match shared.routes.get(&*shared.store, lane.app).await {
        Ok(routes) => {
            let endpoint = routes.as_ref().and_then(|r| r.endpoint(lane.endpoint));
            match (routes.as_ref(), endpoint) {
                (Some(routes), Some(to)) if !to.destination.disabled => {
                    let app_rate = routes.routing.application.spec.throttle_rate;
                    let rules = shared.lane_rules(lane.app, app_rate, &to.destination);
                    (Found::Send(Arc::clone(to)), Some(rules))
                }
                (_, Some(to)) => (Found::Hold(Arc::clone(to)), Some(LaneRules::default())),
                (_, None) => (Found::Deleted, Some(LaneRules::default())),
            }
        }
        Err(error) => {
            error!(
                endpoint.id = %lane.endpoint,
                error = %error,
                "Could not read how to deliver to endpoint {}", lane.endpoint
            );
            (Found::Unreadable, None)
        }
    }
}
