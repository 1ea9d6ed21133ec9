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

/// Attempts that an endpoint gets at once before it has answered any: it earns more with each
/// answer, and one that is dead holds no more than these.
const RUNNING_FIRST: usize = 4;

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
        // Half empty, so that a read brings many; and what it brings finds room.
        let worth_it = room >= self.window_max.div_ceil(2) && bytes > state.bytes;
        if !state.backlog || state.pulling || !worth_it {
            return None;
        }
        state.pulling = true;
        state.backlog = false;
        // Taking in what was read makes less free: two thirds of it fit for sure.
        let bytes = bytes / 3 * 2;
        Some((room.min(bytes / DELIVERY_BYTES).max(1), bytes))
    }

    /// Ends a pull.
    pub(crate) fn end_pull(&self, lane: &Lane, more: bool) {
        let mut state = lane.state.lock();
        state.pulling = false;
        state.backlog |= more;
    }

    /// Whether a lane holds nothing and gets a place for whatever comes.
    pub(crate) fn takes_anything(&self, lane: &Lane) -> bool {
        self.free_bytes() > 0 && lane.state.lock().places == 0
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
        lanes.retain(|_, lane| Arc::strong_count(lane) > 1 || !lane.state.lock().is_idle());
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
            .or_insert_with(|| Lane::new(app, endpoint, RUNNING_FIRST.min(self.running_max)))
    }

    /// A place, if the window and the shared memory have room. A lane that holds nothing gets one
    /// as long as anything is free, so that no payload is too large to be delivered; all lanes
    /// together exceed the bound by one payload at most.
    fn place_in(&self, lane: &Arc<Lane>, payload_bytes: usize) -> Option<Place> {
        let cost = payload_bytes + DELIVERY_BYTES;
        let free = self.free_bytes();
        let mut state = lane.state.lock();
        let fits = state.places < self.window_max && state.bytes + cost <= free / 2;
        let first = state.places == 0 && free > 0;
        if !fits && !first {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hookseal_domain::delivery::retry::RetrySchedule;
    use hookseal_store::retention::RetentionPolicy;

    use crate::config::SvixHeaders;

    use super::*;

    const APP: AppId = AppId::from_raw(1);
    const EP: EndpointId = EndpointId::from_raw(2);
    const OTHER: EndpointId = EndpointId::from_raw(3);

    fn lanes(window_deliveries_max: usize, window_bytes_max: usize) -> Lanes {
        Lanes::new(&EngineConfig {
            retry_schedule: RetrySchedule::default(),
            attempt_timeout: Duration::from_secs(15),
            in_flight_per_endpoint_max: 4,
            in_flight_max: 8,
            window_deliveries_max,
            window_bytes_max,
            svix_headers: SvixHeaders::Omit,
            user_agent: "test".to_owned(),
            retention: RetentionPolicy {
                history: Duration::from_secs(1),
                batch_rows: 1,
            },
        })
    }

    fn lane_of(lanes: &Lanes, endpoint: EndpointId) -> Arc<Lane> {
        Arc::clone(lanes.lane(&mut lanes.by_endpoint.lock(), APP, endpoint))
    }

    #[test]
    fn a_window_holds_so_many_and_places_come_back() {
        let lanes = lanes(3, 1 << 20);
        let places: Vec<_> = (0..4).map(|_| lanes.reserve(APP, EP, 10)).collect();
        assert_eq!(places.iter().flatten().count(), 3);
        assert!(
            lanes.reserve(APP, OTHER, 10).is_some(),
            "another lane has its own window"
        );
        assert_eq!(lanes.bytes(), 3 * (10 + DELIVERY_BYTES));
        drop(places);
        assert_eq!(lanes.bytes(), 0);
        assert!(lanes.reserve(APP, EP, 10).is_some());
    }

    #[test]
    fn one_lane_never_takes_the_memory_of_the_others() {
        let lanes = lanes(1000, 100 * DELIVERY_BYTES);
        let first: Vec<_> = (0..1000).map_while(|_| lanes.reserve(APP, EP, 0)).collect();
        assert_eq!(
            first.len(),
            33,
            "a third: as much as is left free for it, halved"
        );
        assert!(lanes.reserve(APP, OTHER, 0).is_some());
    }

    #[test]
    fn an_empty_lane_takes_even_what_is_too_large() {
        let lanes = lanes(10, 100);
        let place = lanes.reserve(APP, EP, 1 << 20);
        assert!(place.is_some());
        assert!(lanes.reserve(APP, EP, 0).is_none());
        drop(place);
        assert_eq!(lanes.bytes(), 0);
    }

    #[test]
    fn all_lanes_together_exceed_the_bound_by_one_payload_at_most() {
        let lanes = lanes(10, 10_000);
        let endpoints = (10..1000).map(EndpointId::from_raw);
        let places: Vec<_> = endpoints
            .filter_map(|endpoint| lanes.reserve(APP, endpoint, 8000))
            .collect();
        assert_eq!(places.len(), 2);
    }

    #[test]
    fn an_endpoint_that_never_answered_gets_few_workers() {
        let lanes = lanes(10, 1 << 20);
        let lane = lane_of(&lanes, EP);
        assert_eq!(lane.state.lock().running_max, RUNNING_FIRST.min(4));
    }

    #[test]
    fn new_deliveries_queue_behind_the_backlog() {
        let lanes = lanes(10, 1 << 20);
        let lane = lane_of(&lanes, EP);
        lane.state.lock().backlog = true;
        assert!(lanes.reserve(APP, EP, 0).is_none());
        assert_eq!(lanes.begin_pull(&lane).map(|(rows, _)| rows), Some(10));
        assert!(lanes.begin_pull(&lane).is_none(), "one reader at a time");
        lane.state.lock().backlog = true;
        lanes.end_pull(&lane, false);
        assert!(
            lanes.begin_pull(&lane).is_some(),
            "a hint during the read is not lost"
        );
        lanes.end_pull(&lane, false);
        assert!(lanes.begin_pull(&lane).is_none());
    }

    #[test]
    fn only_idle_lanes_are_forgotten() {
        let lanes = lanes(10, 1 << 20);
        let place = lanes.reserve(APP, EP, 0);
        lanes.sweep();
        assert_eq!(lanes.count(), 1);
        drop(place);
        lanes.sweep();
        assert_eq!(lanes.count(), 0);
    }

    #[test]
    fn a_silent_endpoint_gets_fewer_workers_and_earns_them_back() {
        let lanes = lanes(10, 1 << 20);
        let lane = lane_of(&lanes, EP);
        let mut state = lane.state.lock();
        let mut after = |outcome| {
            state.learn(outcome, 4);
            state.running_max
        };
        assert_eq!(after(Outcome::TimedOut), 2);
        assert_eq!(after(Outcome::Unreachable), 1);
        assert_eq!(after(Outcome::TimedOut), 1);
        assert_eq!(after(Outcome::Retry), 2, "an answer is a sign of life");
        assert_eq!([after(Outcome::Accepted), after(Outcome::Accepted)], [3, 4]);
        assert_eq!(after(Outcome::Accepted), 4);
    }
}
