//! Chooses the endpoints of a message and where each delivery begins.

use std::sync::Arc;

use hookseal_domain::endpoint::Destination;
use hookseal_domain::filter::Candidate;
use hookseal_store::publish::{DeliveryStart, NewDelivery};

use crate::lanes::Place;
use crate::ordering;
use crate::publish::{Audience, Publish};
use crate::routes::AppRoutes;
use crate::shared::Shared;

/// The deliveries of a message, and the places that lanes keep for those that begin in memory.
#[derive(Default)]
pub(crate) struct FanOut {
    /// What is stored.
    pub(crate) deliveries: Vec<NewDelivery>,
    /// One for each delivery that begins in memory.
    pub(crate) places: Vec<Place>,
    /// Endpoints that get it from their backlog: their lane was full, or they have an order.
    pub(crate) backlogged: Vec<Arc<Destination>>,
}

/// Chooses, and asks the lanes for places before anything is stored, so that no row has to be
/// changed afterwards.
pub(crate) fn fan_out(shared: &Arc<Shared>, routes: &AppRoutes, publish: &Publish) -> FanOut {
    let mut out = FanOut::default();
    let app = routes.routing.application.id;
    let (event_type, channels) = (&publish.event_type, &publish.channels);
    let mut candidate = Candidate::new(event_type, channels, &publish.payload);
    for destination in &routes.routing.destinations {
        if !publish.is_for(destination, &mut candidate, shared) {
            continue;
        }
        if publish.audience == Audience::Trial(destination.id) {
            // It takes no place: whoever published it delivers it.
            out.deliveries.push(NewDelivery {
                endpoint: destination.id,
                start: DeliveryStart::Owned,
                order: None,
            });
            continue;
        }
        // What was put off comes at its time, and holds up nobody until then.
        let order = match publish.options.deliver_at {
            Some(_) => None,
            None => ordering::key_of(destination, &publish.payload, &publish.headers),
        };
        let start = if let Some(due) = publish.options.deliver_at {
            // Whether its endpoint is disabled, or has room, is looked at then.
            DeliveryStart::Waiting { due }
        } else if destination.disabled {
            DeliveryStart::Held
        } else if order.is_some() {
            // Its place is known when it is stored.
            out.backlogged.push(Arc::clone(destination));
            DeliveryStart::Backlog
        } else if let Some(place) = {
            let (lanes, clock) = (&shared.lanes, &*shared.clock);
            lanes.reserve(app, destination.id, publish.payload.len(), clock)
        } {
            out.places.push(place);
            DeliveryStart::Owned
        } else {
            out.backlogged.push(Arc::clone(destination));
            DeliveryStart::Backlog
        };
        out.deliveries.push(NewDelivery {
            endpoint: destination.id,
            start,
            order,
        });
    }
    out
}
