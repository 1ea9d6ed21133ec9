//! All lanes of this node, and the memory that they share.
//!
//! **Invariant:** a lane gets no more than half of what is free, so that no backlog of one endpoint
//! takes the memory of the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use hookseal_domain::delivery::DeliveryKey;
use hookseal_domain::delivery::outcome::Outcome;
use hookseal_domain::id::{AppId, EndpointId};

use crate::backlog;
use crate::config::EngineConfig;
use crate::deliver;
use crate::lane::{Job, Lane};
use crate::shared::Shared;

/// What a delivery in memory costs besides its payload, in bytes: job, keys and allocator.
const DELIVERY_BYTES: usize = 256;

/// The lanes of this node.
pub(crate) struct Lanes {
    by_endpoint: Mutex<HashMap<EndpointId, Arc<Lane>>>,
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
    window_max: usize,
    running_max: usize,
}

/// A place in a lane's window, given back when it is dropped.
pub(crate) struct Place {
    lane: Arc<Lane>,
    cost: usize,
    node_bytes: Arc<AtomicUsize>,
    taken: bool,
}

// === impl Lanes ===

impl Lanes {
    pub(crate) fn new(config: &EngineConfig) -> Self {
        Self {
            by_endpoint: Mutex::default(),
            bytes: Arc::default(),
            bytes_max: config.window_bytes_max,
            window_max: config.window_deliveries_max,
            running_max: config.in_flight_per_endpoint_max,
        }
    }

    /// Keeps a place for a new delivery; `None` if it has to go to the backlog, because the window
    /// is full or older deliveries are there already.
    pub(crate) fn reserve(
        &self,
        app: AppId,
        endpoint: EndpointId,
        payload_bytes: usize,
    ) -> Option<Place> {
        let mut lanes = self.by_endpoint.lock();
        let lane = self.lane(&mut lanes, app, endpoint);
        if lane.state.lock().backlog {
            return None;
        }
        self.place_in(lane, payload_bytes)
    }

    /// Takes a claimed delivery in; gives it back if there is no room.
    pub(crate) fn admit(&self, shared: &Arc<Shared>, app: AppId, job: Job) -> Result<(), Job> {
        let place = {
            let mut lanes = self.by_endpoint.lock();
            let lane = self.lane(&mut lanes, app, job.key.endpoint);
            self.place_in(lane, job.payload_bytes())
        };
        match place {
            Some(place) => {
                place.take(shared, job);
                Ok(())
            }
            None => Err(job),
        }
    }

    /// Learns that an endpoint has a backlog.
    pub(crate) fn note_backlog(&self, shared: &Arc<Shared>, app: AppId, endpoint: EndpointId) {
        let lane = Arc::clone(self.lane(&mut self.by_endpoint.lock(), app, endpoint));
        lane.state.lock().backlog = true;
        backlog::pull_if_room(shared, &lane);
    }

    /// How many deliveries and bytes of backlog a lane may read now; `None` if it has no room or
    /// nothing to read. The caller has to pull, and then to call [`Lanes::end_pull`].
    pub(crate) fn begin_pull(&self, lane: &Lane) -> Option<(usize, usize)> {
        let free = self.free_bytes();
        let mut state = lane.state.lock();
        let room = self.window_max.saturating_sub(state.places);
        let bytes = (free / 2).saturating_sub(state.bytes);
        let worth_it = room >= self.window_max.div_ceil(2) && bytes > DELIVERY_BYTES;
        if !state.backlog || state.pulling || !worth_it {
            return None;
        }
        state.pulling = true;
        state.backlog = false;
        Some((room.min(bytes / DELIVERY_BYTES).max(1), bytes))
    }

    /// Ends a pull.
    pub(crate) fn end_pull(&self, lane: &Lane, more: bool) {
        let mut state = lane.state.lock();
        state.pulling = false;
        state.backlog |= more;
    }

    /// Lanes that have a backlog and nobody reading it.
    pub(crate) fn with_backlog(&self) -> Vec<Arc<Lane>> {
        let lanes = self.by_endpoint.lock();
        let waiting = |lane: &&Arc<Lane>| {
            let state = lane.state.lock();
            state.backlog && !state.pulling
        };
        lanes.values().filter(waiting).cloned().collect()
    }

    /// Takes note of an attempt's end: gives its place back and learns from its outcome.
    pub(crate) fn finished(&self, lane: &Lane, job_bytes: usize, outcome: Outcome) {
        let cost = job_bytes + DELIVERY_BYTES;
        {
            let mut state = lane.state.lock();
            state.places -= 1;
            state.bytes -= cost;
            state.learn(outcome, self.running_max);
        }
        self.bytes.fetch_sub(cost, Ordering::Relaxed);
    }

    /// Gives back the places of deliveries that left the lane untried.
    pub(crate) fn left(&self, lane: &Lane, job_bytes: usize) {
        let cost = job_bytes + DELIVERY_BYTES;
        {
            let mut state = lane.state.lock();
            state.places -= 1;
            state.bytes -= cost;
        }
        self.bytes.fetch_sub(cost, Ordering::Relaxed);
    }

    /// Forgets lanes in which nothing is going on.
    pub(crate) fn sweep(&self) {
        let mut lanes = self.by_endpoint.lock();
        lanes.retain(|_, lane| {
            Arc::strong_count(lane) > 1 || !lane.state.lock().is_idle(self.running_max)
        });
    }

    /// Everything that no worker has begun, to be handed back.
    pub(crate) fn drain(&self) -> Vec<(AppId, DeliveryKey)> {
        let lanes: Vec<_> = self.by_endpoint.lock().values().cloned().collect();
        let keys = |lane: &Arc<Lane>| {
            let app = lane.app;
            lane.drain_queue()
                .into_iter()
                .map(move |key| (app, key))
                .collect::<Vec<_>>()
        };
        lanes.iter().flat_map(keys).collect()
    }

    /// How many lanes there are.
    pub(crate) fn count(&self) -> usize {
        self.by_endpoint.lock().len()
    }

    /// Bytes of all deliveries in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn free_bytes(&self) -> usize {
        self.bytes_max.saturating_sub(self.bytes())
    }

    fn lane<'l>(
        &self,
        lanes: &'l mut HashMap<EndpointId, Arc<Lane>>,
        app: AppId,
        endpoint: EndpointId,
    ) -> &'l Arc<Lane> {
        lanes
            .entry(endpoint)
            .or_insert_with(|| Lane::new(app, endpoint, self.running_max))
    }

    /// A place, if the window and the shared memory have room. A lane that holds nothing always
    /// gets one, so that no payload is too large to be delivered.
    fn place_in(&self, lane: &Arc<Lane>, payload_bytes: usize) -> Option<Place> {
        let cost = payload_bytes + DELIVERY_BYTES;
        let free = self.free_bytes();
        let mut state = lane.state.lock();
        let fits = state.places < self.window_max && state.bytes + cost <= free / 2;
        if !fits && state.places > 0 {
            return None;
        }
        state.places += 1;
        state.bytes += cost;
        drop(state);
        self.bytes.fetch_add(cost, Ordering::Relaxed);
        Some(Place {
            lane: Arc::clone(lane),
            cost,
            node_bytes: Arc::clone(&self.bytes),
            taken: false,
        })
    }
}

// === impl Place ===

impl Place {
    /// Whose lane it is in.
    pub(crate) fn endpoint(&self) -> EndpointId {
        self.lane.endpoint
    }

    /// Puts the delivery in its place; a worker takes it as soon as the endpoint can take it.
    pub(crate) fn take(mut self, shared: &Arc<Shared>, job: Job) {
        self.taken = true;
        let start = {
            let mut state = self.lane.state.lock();
            state.queue.push_back(job);
            let start = state.running < state.running_max && !shared.is_stopping();
            state.running += usize::from(start);
            start
        };
        if start {
            deliver::spawn_worker(shared, &self.lane);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        {
            let mut state = self.lane.state.lock();
            state.places -= 1;
            state.bytes -= self.cost;
        }
        self.node_bytes.fetch_sub(self.cost, Ordering::Relaxed);
    }
}
