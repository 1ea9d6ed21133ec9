//! Lanes whose endpoints fail again and again: paused, tried by a single delivery after each pause,
//! and let go at once when people change what the failure may come from, or say that it is mended.
//!
//! **Invariant:** what waits for a paused lane is in the store, and comes back with the lane.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::{error, info, warn};

use hookseal_domain::delivery::breaker::{BreakerState, Pause, PauseReason};
use hookseal_domain::id::{AppId, EndpointId, OrgId};
use hookseal_domain::time::Timestamp;

use crate::backlog;
use crate::lane::Lane;
use crate::lanes::{Change, Lanes};
use crate::prepared::Way;
use crate::shared::Shared;
use crate::timers::go_on;

/// How long to leave the store alone when it could not tell what a change was.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The lanes that have trouble. There is no entry without a lane for longer than until the next
/// sweep.
#[derive(Default)]
pub(crate) struct Breakers {
    troubled: Mutex<HashMap<EndpointId, Troubled>>,
    /// When pauses end.
    probes: Mutex<BTreeSet<(Timestamp, EndpointId)>>,
    /// People changed something that may be about one of the lanes.
    touched: Notify,
}

/// A lane whose endpoint failed.
struct Troubled {
    org: OrgId,
    app: AppId,
    /// How it was sent to when it failed last.
    failed_on: Way,
    /// Whether people changed something since that may be how it is sent to.
    is_touched: bool,
}

/// The store can't tell how an endpoint is sent to.
struct Unreadable;

// === impl Breakers ===

impl Breakers {
    /// Remembers a lane whose endpoint failed: to be called before the breaker hears of it.
    pub(crate) fn watch(&self, lane: &Lane, org: OrgId, failed_on: Way) {
        let mut troubled = self.troubled.lock();
        let before = troubled.get(&lane.endpoint);
        let troubled_now = Troubled {
            org,
            app: lane.app,
            failed_on,
            is_touched: before.is_some_and(|before| before.is_touched),
        };
        troubled.insert(lane.endpoint, troubled_now);
    }

    /// When the next pause ends.
    pub(crate) fn next_probe_at(&self) -> Option<Timestamp> {
        self.probes.lock().first().map(|(at, _)| *at)
    }

    /// How many lanes are paused, by why.
    pub(crate) fn paused(&self, lanes: &Lanes) -> [(PauseReason, i64); 4] {
        let mut by_reason = PauseReason::ALL.map(|reason| (reason, 0));
        for lane in self.troubled_lanes(lanes) {
            let pause = lane.breaker().state().pause();
            let mut reasons = by_reason.iter_mut();
            if let Some((_, count)) =
                reasons.find(|(reason, _)| pause.is_some_and(|pause| pause.reason == *reason))
            {
                *count += 1;
            }
        }
        by_reason
    }

    /// Forgets lanes that are gone or recovered.
    pub(crate) fn sweep(&self, lanes: &Lanes) {
        let troubled: Vec<EndpointId> = self.troubled.lock().keys().copied().collect();
        for endpoint in troubled {
            if lanes.get(endpoint).is_none_or(|lane| lane.is_untroubled()) {
                self.troubled.lock().remove(&endpoint);
            }
        }
    }

    /// People changed something of an application.
    pub(crate) fn application_changed(&self, app: AppId) {
        self.touch(|troubled| troubled.app == app);
    }

    /// People changed what may hold for a whole organisation.
    pub(crate) fn organisation_changed(&self, org: OrgId) {
        self.touch(|troubled| troubled.org == org);
    }

    fn touch(&self, wanted: impl Fn(&Troubled) -> bool) {
        let mut troubled = self.troubled.lock();
        let mut any = false;
        for touched in troubled.values_mut().filter(|one| wanted(one)) {
            touched.is_touched = true;
            any = true;
        }
        drop(troubled);
        if any {
            self.touched.notify_one();
        }
    }

    fn take_touched(&self) -> Vec<(EndpointId, AppId)> {
        let mut troubled = self.troubled.lock();
        let touched = troubled.iter_mut().filter(|(_, one)| one.is_touched);
        touched
            .map(|(endpoint, one)| {
                one.is_touched = false;
                (*endpoint, one.app)
            })
            .collect()
    }

    fn touch_again(&self, endpoint: EndpointId) {
        if let Some(one) = self.troubled.lock().get_mut(&endpoint) {
            one.is_touched = true;
        }
    }

    /// Whether an endpoint is sent to otherwise than when it failed last.
    fn failed_otherwise(&self, endpoint: EndpointId, now: Option<&Way>) -> bool {
        let troubled = self.troubled.lock();
        let failed_on = troubled.get(&endpoint).map(|one| &one.failed_on);
        failed_on.is_some_and(|failed_on| now.is_none_or(|now| !now.is_same(failed_on)))
    }

    fn troubled_lanes(&self, lanes: &Lanes) -> Vec<Arc<Lane>> {
        let troubled: Vec<EndpointId> = self.troubled.lock().keys().copied().collect();
        troubled
            .into_iter()
            .filter_map(|endpoint| lanes.get(endpoint))
            .collect()
    }

    fn take_due(&self, now: Timestamp) -> Vec<EndpointId> {
        let mut probes = self.probes.lock();
        let mut due = Vec::new();
        while let Some((at, endpoint)) = probes.first().copied() {
            if now < at {
                break;
            }
            probes.remove(&(at, endpoint));
            due.push(endpoint);
        }
        due
    }
}

/// Does what a lane's breaker decided.
pub(crate) async fn follow(shared: &Arc<Shared>, lane: &Lane, change: Change) {
    match change {
        Change::Paused {
            pause,
            until,
            anew,
            waiting,
        } => {
            if anew {
                say_paused(lane, pause, until);
            }
            let waiting: Vec<_> = waiting.into_iter().map(|key| (lane.app, key)).collect();
            let handed_back = !waiting.is_empty();
            backlog::give_back(shared, waiting).await;
            if handed_back {
                shared.lanes.note_backlog(shared, lane.app, lane.endpoint);
            }
            shared.breakers.probes.lock().insert((until, lane.endpoint));
            shared.wake.at(until);
        }
        Change::Resumed => info!(
            endpoint.id = %lane.endpoint,
            "Endpoint {} answers again: its deliveries go on", lane.endpoint
        ),
    }
}

/// Lets each lane whose pause is over try a single delivery.
pub(crate) fn probe_due(shared: &Arc<Shared>) {
    for endpoint in shared.breakers.take_due(shared.clock.now()) {
        if let Some(lane) = shared.lanes.get(endpoint) {
            go_on(shared, &lane);
        }
    }
}

/// Lets lanes go on whose endpoints are sent to otherwise than when they failed: whatever failed
/// before counts no more. Changes of other things leave them alone.
pub(crate) async fn follow_changes(shared: Arc<Shared>) {
    loop {
        shared.breakers.touched.notified().await;
        while !follow_touched(&shared).await {
            let next = shared.clock.now().plus(LOOK_AGAIN_AFTER);
            shared.clock.sleep_until(next).await;
        }
    }
}

/// Tells whether the store could tell of each how it is sent to now.
async fn follow_touched(shared: &Arc<Shared>) -> bool {
    let mut all_known = true;
    for (endpoint, app) in shared.breakers.take_touched() {
        let Ok(now) = way_now(shared, app, endpoint).await else {
            shared.breakers.touch_again(endpoint);
            all_known = false;
            continue;
        };
        if shared.breakers.failed_otherwise(endpoint, now.as_ref())
            && let Some(lane) = shared.lanes.get(endpoint)
        {
            lane.reset_breaker();
            go_on(shared, &lane);
        }
    }
    all_known
}

/// Lets a lane go on, since a person says so. Tells where it stood.
pub(crate) fn reset(shared: &Arc<Shared>, endpoint: EndpointId) -> BreakerState {
    let Some(lane) = shared.lanes.get(endpoint) else {
        return BreakerState::default();
    };
    let before = lane.breaker().state();
    lane.reset_breaker();
    if before.pause().is_some() {
        info!(endpoint.id = %endpoint, "Ended the pause of endpoint {endpoint}, as asked");
        go_on(shared, &lane);
    }
    before
}

/// How an endpoint is sent to now; `None` if it is gone.
async fn way_now(
    shared: &Shared,
    app: AppId,
    endpoint: EndpointId,
) -> Result<Option<Way>, Unreadable> {
    let routes = match shared.routes.get(&*shared.store, app).await {
        Ok(routes) => routes,
        Err(error) => {
            error!(error = %error, "Could not read how to deliver to endpoint {endpoint}");
            return Err(Unreadable);
        }
    };
    let now = routes.as_ref().and_then(|routes| routes.endpoint(endpoint));
    now.map(|now| now.way().ok_or(Unreadable)).transpose()
}

fn say_paused(lane: &Lane, pause: Pause, until: Timestamp) {
    let Pause {
        reason, failure, ..
    } = pause;
    warn!(
        endpoint.id = %lane.endpoint,
        reason = reason.as_str(),
        failure = failure.as_str(),
        advice = failure.advice(),
        "Paused endpoint {} until {until} ({}): {}. {}",
        lane.endpoint, reason.as_str(), failure.as_str(), failure.advice()
    );
}
