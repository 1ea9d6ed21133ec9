//! All lanes of this node, and the memory that they share.
//!
//! **Invariant:** a lane gets no more than half of what is free, so that no backlog of one endpoint
//! takes the memory of the others.

mod admission;
mod leaving;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use hookseal_domain::delivery::DeliveryKey;
use hookseal_domain::delivery::breaker::{BreakerRule, BreakerState, Verdict};
use hookseal_domain::endpoint::order::KeyHash;
use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::time::Timestamp;

use crate::backlog;
use crate::clock::Clock;
use crate::config::EngineConfig;
use crate::deliver;
use crate::job::{DELIVERY_BYTES, Job};
use crate::lane::{Lane, LaneState};
pub(crate) use crate::lanes::leaving::{Change, Leaving, Left, PushedBack, Went};
use crate::memory::Memory;
use crate::queue::After;
use crate::shared::Shared;
use crate::timers;

/// Attempts that an endpoint gets at once before it has answered any: it earns more with each
/// answer, and one that is dead holds no more than these.
const RUNNING_FIRST: usize = 4;

/// Idle lanes that are kept only because their endpoints failed a moment ago. Beyond these, such an
/// endpoint costs a few attempts more.
const TROUBLED_IDLE_MAX: usize = 10_000;

/// The lanes of this node.
pub(crate) struct Lanes {
    by_endpoint: Mutex<HashMap<EndpointId, Arc<Lane>>>,
    memory: Arc<Memory>,
    window_max: usize,
    running_max: usize,
    breaker_rule: BreakerRule,
}

/// How many lanes are held back, and by what.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Census {
    /// Lanes that wait for a slot.
    pub(crate) paced: i64,
    /// Lanes whose endpoints pushed back.
    pub(crate) pushed_back: i64,
}

/// A place in a lane's window, given back when it is dropped.
pub(crate) struct Place {
    lane: Arc<Lane>,
    cost: usize,
    taken: bool,
}

// === impl Lanes ===

impl Lanes {
    pub(crate) fn new(config: &EngineConfig) -> Self {
        Self {
            by_endpoint: Mutex::default(),
            memory: Arc::new(Memory::new(config.window_bytes_max)),
            window_max: config.window_deliveries_max,
            running_max: config.in_flight_per_endpoint_max,
            breaker_rule: config.breaker_rule,
        }
    }

    /// Keeps a place for a new delivery; `None` if it has to go to the backlog, because the window
    /// is full, older deliveries are there already, or no attempt is made for now.
    pub(crate) fn reserve(
        &self,
        app: AppId,
        endpoint: EndpointId,
        payload_bytes: usize,
        clock: &dyn Clock,
    ) -> Option<Place> {
        let mut lanes = self.by_endpoint.lock();
        let lane = self.lane(&mut lanes, app, endpoint);
        {
            let state = lane.state.lock();
            if state.backlog || !state.allows(clock) {
                return None;
            }
        }
        self.place_in(lane, payload_bytes)
    }

    /// Takes a claimed delivery in; gives it back if there is no room, or no attempt is made for
    /// now.
    #[must_use = "what is given back has to go back to the store"]
    pub(crate) fn admit(&self, shared: &Arc<Shared>, app: AppId, job: Job) -> Option<Job> {
        let place = {
            let mut lanes = self.by_endpoint.lock();
            let lane = self.lane(&mut lanes, app, job.key.endpoint);
            let allowed = lane.state.lock().allows(&*shared.clock);
            allowed
                .then(|| self.place_in(lane, job.payload_bytes()))
                .flatten()
        };
        let Some(place) = place else {
            return Some(job);
        };
        place.take(shared, job);
        None
    }

    /// Learns that an endpoint has a backlog.
    pub(crate) fn note_backlog(&self, shared: &Arc<Shared>, app: AppId, endpoint: EndpointId) {
        let lane = Arc::clone(self.lane(&mut self.by_endpoint.lock(), app, endpoint));
        lane.state.lock().backlog = true;
        backlog::pull_if_room(shared, &lane);
        timers::send_what_is_full(shared, &lane);
    }

    /// How many deliveries and bytes of backlog a lane may read now; `None` if it has no room or
    /// nothing to read. The caller has to pull, and then to call [`Lanes::end_pull`].
    pub(crate) fn begin_pull(&self, lane: &Lane, clock: &dyn Clock) -> Option<(usize, usize)> {
        let free = self.memory.free();
        let mut state = lane.state.lock();
        if !state.backlog || state.pulling || !state.allows(clock) {
            return None;
        }
        // What comes next is behind what is here: it is read when that has ended.
        if state.queue.is_one_order() {
            return None;
        }
        let room = self.window_max.saturating_sub(state.places);
        let bytes = (free / 2).saturating_sub(state.bytes);
        // Half empty, so that a read brings many; and what it brings finds room.
        let worth_it = room >= self.window_max.div_ceil(2) && bytes > state.bytes;
        // After a pause there is a single attempt: whatever else were read would only go back.
        let probes = !state.breaker.is_delivering();
        if !worth_it || (probes && state.places > 0) {
            return None;
        }
        state.pulling = true;
        state.backlog = false;
        // Taking in what was read makes less free: two thirds of it fit for sure.
        let bytes = bytes / 3 * 2;
        let rows = room.min(bytes / DELIVERY_BYTES).max(1);
        Some((if probes { 1 } else { rows }, bytes))
    }

    /// Ends a pull.
    pub(crate) fn end_pull(&self, lane: &Lane, more: bool) {
        let mut state = lane.state.lock();
        state.pulling = false;
        state.backlog |= more;
    }

    /// Whether a lane holds nothing and gets a place for whatever comes.
    pub(crate) fn takes_anything(&self, lane: &Lane) -> bool {
        self.memory.free() > 0 && lane.state.lock().places == 0
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

    /// Takes note of deliveries that were tried or left untried together: gives their places back,
    /// and learns from what came of it.
    pub(crate) fn leave(&self, lane: &Lane, leaving: &Leaving) -> Left {
        let mut freed = leaving.payload_bytes + leaving.deliveries * DELIVERY_BYTES;
        let left = {
            let mut state = lane.state.lock();
            state.places -= leaving.deliveries;
            state.bytes -= freed;
            let mut pushed_back = None;
            let went = leaving.went.as_ref();
            // What was not sent says nothing of who would have got it.
            if let Some(went) = went.filter(|_| leaving.verdict != Verdict::Untried) {
                lane.share.learn(went.took);
                state.learn(went.outcome, self.running_max);
                pushed_back = state.listen(went, leaving.at);
            }
            let before = state.breaker.state();
            let was_delivering = state.breaker.is_delivering();
            let (rule, at) = (self.breaker_rule, leaving.at);
            let (turn, verdict) = (leaving.turn, leaving.verdict);
            state.breaker = state.breaker.ended(turn, verdict, rule, at);
            let change = match state.breaker.state() {
                after if after == before => None,
                BreakerState::Paused { pause, until } => {
                    let (waiting, bytes) = state.empty_queue();
                    freed += bytes;
                    state.start_slowly();
                    Some(Change::Paused {
                        pause,
                        until,
                        anew: was_delivering,
                        waiting,
                    })
                }
                BreakerState::Delivering { .. } if !was_delivering => Some(Change::Resumed),
                BreakerState::Delivering { .. } | BreakerState::Probing { .. } => None,
            };
            let pushed_back = pushed_back.map(|push_back| {
                let (waiting, bytes) = state.give_way(&push_back, leaving.at);
                freed += bytes;
                PushedBack { push_back, waiting }
            });
            Left {
                change,
                pushed_back,
            }
        };
        lane.memory.give_back(freed);
        left
    }

    /// Takes note that a delivery of this order is under way no more; tells what goes back to the
    /// store. To be called after [`Lanes::leave`].
    pub(crate) fn ended(&self, lane: &Lane, key: KeyHash, after: After) -> Vec<DeliveryKey> {
        let mut state = lane.state.lock();
        let back = state.queue.ended(key, after);
        // Those behind the last one that was here.
        state.backlog |= after == After::GoOn && !state.queue.has_order(key);
        let (keys, freed) = state.give_up(&back);
        drop(state);
        lane.memory.give_back(freed);
        keys
    }

    /// The lane of an endpoint, if it has one.
    pub(crate) fn get(&self, endpoint: EndpointId) -> Option<Arc<Lane>> {
        self.by_endpoint.lock().get(&endpoint).cloned()
    }

    /// Forgets lanes in which nothing is going on.
    pub(crate) fn sweep(&self, now: Timestamp) -> Census {
        let mut census = Census::default();
        let mut troubled_idle = 0;
        let mut lanes = self.by_endpoint.lock();
        lanes.retain(|_, lane| {
            let state = lane.state.lock();
            census.count(&state, now);
            if Arc::strong_count(lane) > 1 || !state.is_idle() {
                return true;
            }
            let troubled = !state.breaker.is_forgettable(self.breaker_rule, now)
                || !state.pacing.is_forgettable(now);
            troubled_idle += usize::from(troubled);
            troubled && troubled_idle <= TROUBLED_IDLE_MAX
        });
        census
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
        self.memory.taken()
    }

    fn lane<'l>(
        &self,
        lanes: &'l mut HashMap<EndpointId, Arc<Lane>>,
        app: AppId,
        endpoint: EndpointId,
    ) -> &'l Arc<Lane> {
        lanes.entry(endpoint).or_insert_with(|| {
            let running_max = RUNNING_FIRST.min(self.running_max);
            Lane::new(app, endpoint, running_max, Arc::clone(&self.memory))
        })
    }

    /// A place, if the window and the shared memory have room. A lane that holds nothing gets one
    /// as long as anything is free, so that no payload is too large to be delivered; all lanes
    /// together exceed the bound by one payload at most.
    fn place_in(&self, lane: &Arc<Lane>, payload_bytes: usize) -> Option<Place> {
        let cost = payload_bytes + DELIVERY_BYTES;
        let free = self.memory.free();
        let mut state = lane.state.lock();
        let fits = state.places < self.window_max && state.bytes + cost <= free / 2;
        let first = state.places == 0 && free > 0;
        if !fits && !first {
            return None;
        }
        state.places += 1;
        state.bytes += cost;
        drop(state);
        self.memory.take(cost);
        Some(Place {
            lane: Arc::clone(lane),
            cost,
            taken: false,
        })
    }
}

// === impl Census ===

impl Census {
    fn count(&mut self, state: &LaneState, now: Timestamp) {
        let push_back = state.pacing.push_back();
        self.paced += i64::from(state.pacing.is_throttled(now));
        self.pushed_back += i64::from(push_back.is_some_and(|pushed| pushed.holds(now)));
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
        let (begin, then) = {
            let mut state = self.lane.state.lock();
            let replaced = state.queue.push(job);
            let (_, freed) = state.give_up(replaced.as_slice());
            self.lane.memory.give_back(freed);
            if shared.is_stopping() {
                return;
            }
            state.came(1, &*shared.clock)
        };
        if begin > 0 {
            deliver::spawn_worker(shared, &self.lane);
        }
        timers::follow(shared, &self.lane, then);
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
        self.lane.memory.give_back(self.cost);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hookseal_domain::delivery::breaker::{EndpointFailure, Turn, Verdict};
    use hookseal_domain::delivery::outcome::{FailureKind, Outcome, Reply};
    use hookseal_domain::delivery::retry::RetrySchedule;
    use hookseal_domain::endpoint::health::HealthRule;
    use hookseal_domain::endpoint::order::Rank;
    use hookseal_domain::id::MessageId;
    use hookseal_domain::transport::failure::TlsFailure;
    use hookseal_store::retention::RetentionPolicy;

    use crate::config::{SvixHeaders, VerificationConfig};
    use crate::lane::Onward;
    use crate::queue::Work;

    use super::*;

    /// It is always the same time.
    struct Still;

    #[async_trait::async_trait]
    impl Clock for Still {
        fn now(&self) -> Timestamp {
            NOW
        }

        async fn sleep_until(&self, _at: Timestamp) {}
    }

    const NOW: Timestamp = Timestamp::from_millis(1_795_422_000_000);
    const APP: AppId = AppId::from_raw(1);
    const EP: EndpointId = EndpointId::from_raw(2);
    const OTHER: EndpointId = EndpointId::from_raw(3);

    fn lanes(window_deliveries_max: usize, window_bytes_max: usize) -> Lanes {
        Lanes::new(&EngineConfig {
            verification: VerificationConfig::default(),
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
            breaker_rule: BreakerRule::default(),
            health_rule: HealthRule::default(),
        })
    }

    fn lane_of(lanes: &Lanes, endpoint: EndpointId) -> Arc<Lane> {
        Arc::clone(lanes.lane(&mut lanes.by_endpoint.lock(), APP, endpoint))
    }

    #[test]
    fn a_window_holds_so_many_and_places_come_back() {
        let lanes = lanes(3, 1 << 20);
        let places: Vec<_> = (0..4).map(|_| lanes.reserve(APP, EP, 10, &Still)).collect();
        assert_eq!(places.iter().flatten().count(), 3);
        assert!(
            lanes.reserve(APP, OTHER, 10, &Still).is_some(),
            "another lane has its own window"
        );
        assert_eq!(lanes.bytes(), 3 * (10 + DELIVERY_BYTES));
        drop(places);
        assert_eq!(lanes.bytes(), 0);
        assert!(lanes.reserve(APP, EP, 10, &Still).is_some());
    }

    #[test]
    fn one_lane_never_takes_the_memory_of_the_others() {
        let lanes = lanes(1000, 100 * DELIVERY_BYTES);
        let first: Vec<_> = (0..1000)
            .map_while(|_| lanes.reserve(APP, EP, 0, &Still))
            .collect();
        assert_eq!(
            first.len(),
            33,
            "a third: as much as is left free for it, halved"
        );
        assert!(lanes.reserve(APP, OTHER, 0, &Still).is_some());
    }

    #[test]
    fn an_empty_lane_takes_even_what_is_too_large() {
        let lanes = lanes(10, 100);
        let place = lanes.reserve(APP, EP, 1 << 20, &Still);
        assert!(place.is_some());
        assert!(lanes.reserve(APP, EP, 0, &Still).is_none());
        drop(place);
        assert_eq!(lanes.bytes(), 0);
    }

    #[test]
    fn all_lanes_together_exceed_the_bound_by_one_payload_at_most() {
        let lanes = lanes(10, 10_000);
        let endpoints = (10..1000).map(EndpointId::from_raw);
        let places: Vec<_> = endpoints
            .filter_map(|endpoint| lanes.reserve(APP, endpoint, 8000, &Still))
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
        assert!(lanes.reserve(APP, EP, 0, &Still).is_none());
        assert_eq!(
            lanes.begin_pull(&lane, &Still).map(|(rows, _)| rows),
            Some(10)
        );
        assert!(
            lanes.begin_pull(&lane, &Still).is_none(),
            "one reader at a time"
        );
        lane.state.lock().backlog = true;
        lanes.end_pull(&lane, false);
        assert!(
            lanes.begin_pull(&lane, &Still).is_some(),
            "a hint during the read is not lost"
        );
        lanes.end_pull(&lane, false);
        assert!(lanes.begin_pull(&lane, &Still).is_none());
    }

    #[test]
    fn only_idle_lanes_are_forgotten() {
        let lanes = lanes(10, 1 << 20);
        let place = lanes.reserve(APP, EP, 0, &Still);
        lanes.sweep(NOW);
        assert_eq!(lanes.count(), 1);
        drop(place);
        lanes.sweep(NOW);
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

    fn ended(lanes: &Lanes, lane: &Lane, turn: Turn, verdict: Verdict) -> Option<Change> {
        let leaving = Leaving {
            deliveries: 1,
            payload_bytes: 0,
            turn,
            verdict,
            went: Some(Went {
                reply: Reply::Failure(FailureKind::NotTrusted),
                outcome: Outcome::NotTrusted,
                began_at: NOW,
                took: Duration::ZERO,
            }),
            at: NOW,
        };
        lanes.leave(lane, &leaving).change
    }

    #[test]
    fn a_lane_that_is_paused_gives_up_what_waits() {
        let lanes = lanes(10, 1 << 20);
        let lane = lane_of(&lanes, EP);
        let places: Vec<_> = (0..6).map(|_| lanes.reserve(APP, EP, 0, &Still)).collect();
        for place in places {
            let mut place = place.unwrap();
            place.taken = true;
            let key = DeliveryKey {
                message: MessageId::from_raw(1),
                endpoint: EP,
            };
            let mut state = lane.state.lock();
            state.queue.push(Job::plain(key));
            state.running = 3;
        }
        let mut turns = Vec::new();
        for _ in 0..3 {
            turns.push(lane.next_job(&Still, None).begun.unwrap().1);
        }
        let failed = Verdict::Failed(EndpointFailure::Tls(TlsFailure::PeerExpired));
        let mut last = None;
        for turn in turns {
            assert!(last.is_none());
            last = ended(&lanes, &lane, turn, failed);
        }
        let Some(Change::Paused { waiting, anew, .. }) = last else {
            panic!("not paused");
        };
        assert_eq!((waiting.len(), anew), (3, true));
        assert_eq!(lanes.bytes(), 0, "no memory is taken from others");
        assert_eq!(lane.state.lock().running_max, 1, "it will start slowly");
        assert_eq!(lane.onward(&Still), Onward::Stop);
        assert!(lanes.reserve(APP, EP, 0, &Still).is_none());
        assert!(lanes.begin_pull(&lane, &Still).is_none());
        lane.reset_breaker();
        assert!(lanes.begin_pull(&lane, &Still).is_some());
    }

    /// Once a first one that failed was gone before the others of its order had come, so that these
    /// overtook it.
    #[test]
    fn no_worker_sees_a_part_of_what_was_read() {
        let lanes = lanes(10, 1 << 20);
        let lane = lane_of(&lanes, EP);
        let key = KeyHash::from_raw(1);
        let ordered = |seq| {
            let here = lane.state.lock().queue.has_order(key);
            assert!(!here, "to be begun before all are here");
            let rank = Some(Rank { key, seq });
            let message = MessageId::from_raw(seq);
            let delivery = DeliveryKey {
                message,
                endpoint: EP,
            };
            Job {
                rank,
                ..Job::plain(delivery)
            }
        };
        let (refused, (begin, _)) = lanes.take_in(&Still, &lane, (1..=3).map(ordered));
        assert_eq!((refused.len(), begin), (0, 1));
        let Some((Work::One(first), _)) = lane.next_job(&Still, None).begun else {
            panic!("nothing begins");
        };
        assert_eq!(first.key.message, MessageId::from_raw(1));
        let back = lanes.ended(&lane, key, After::GoBack);
        let back: Vec<_> = back.iter().map(|back| back.message.raw()).collect();
        assert_eq!(back, [2, 3], "all that were behind it");
    }

    #[test]
    fn after_a_pause_a_single_row_is_read() {
        let lanes = lanes(10, 1 << 20);
        let lane = lane_of(&lanes, EP);
        {
            let mut state = lane.state.lock();
            state.backlog = true;
            let rule = BreakerRule {
                probe_interval: Duration::ZERO,
                ..BreakerRule::default()
            };
            for _ in 0..3 {
                let turn = state.breaker.open_turn().unwrap();
                let failed = Verdict::Failed(EndpointFailure::Tls(TlsFailure::PeerExpired));
                state.breaker = state.breaker.ended(turn, failed, rule, NOW);
            }
        }
        let rows = |lane| lanes.begin_pull(lane, &Still).map(|(rows, _)| rows);
        assert_eq!(rows(&lane), Some(1));
        lanes.end_pull(&lane, true);
        let place = lanes.reserve(APP, OTHER, 0, &Still);
        assert!(place.is_some());
        lane.state.lock().places = 1;
        assert_eq!(rows(&lane), None, "it has what it tries");
    }
}
