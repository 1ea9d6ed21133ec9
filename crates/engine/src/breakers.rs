//! Lanes whose endpoints fail the same way each time: paused, tried by a single delivery after each
//! interval, and let go at once when people change something.
//!
//! **Invariant:** what waits for a paused lane is in the store, and comes back with the lane.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::{info, warn};

use hookseal_domain::delivery::breaker::PauseReason;
use hookseal_domain::id::{AppId, EndpointId, OrgId};
use hookseal_domain::time::Timestamp;

use crate::backlog;
use crate::deliver;
use crate::lane::Lane;
use crate::lanes::{Change, Lanes};
use crate::shared::Shared;

/// The lanes that have trouble. There is no entry without a lane for longer than until the next
/// sweep.
#[derive(Default)]
pub(crate) struct Breakers {
    troubled: Mutex<HashMap<EndpointId, OrgId>>,
    /// When pauses end.
    probes: Mutex<BTreeSet<(Timestamp, EndpointId)>>,
}

// === impl Breakers ===

impl Breakers {
    /// Remembers a lane whose endpoint failed: to be called before the breaker hears of it.
    pub(crate) fn watch(&self, endpoint: EndpointId, org: OrgId) {
        self.troubled.lock().insert(endpoint, org);
    }

    /// When the next pause ends.
    pub(crate) fn next_probe_at(&self) -> Option<Timestamp> {
        self.probes.lock().first().map(|(at, _)| *at)
    }

    /// How many lanes are paused, by why.
    pub(crate) fn paused(&self, lanes: &Lanes) -> [(&'static str, i64); 1] {
        let reasons = self.troubled_lanes(lanes, |_| true).into_iter();
        let mut by_tls = 0;
        for reason in reasons.filter_map(|lane| lane.breaker().state().reason()) {
            match reason {
                PauseReason::TlsFailure(_) => by_tls += 1,
            }
        }
        [("tls_failure", by_tls)]
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

    fn troubled_lanes(&self, lanes: &Lanes, wanted: impl Fn(OrgId) -> bool) -> Vec<Arc<Lane>> {
        let troubled: Vec<EndpointId> = {
            let troubled = self.troubled.lock();
            let wanted = troubled.iter().filter(|(_, org)| wanted(**org));
            wanted.map(|(endpoint, _)| *endpoint).collect()
        };
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
            until,
            reason,
            anew,
            waiting,
        } => {
            if anew {
                say_paused(lane, until, reason);
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

/// People changed an application: whatever failed before counts no more.
pub(crate) fn application_changed(shared: &Arc<Shared>, app: AppId) {
    let lanes = shared.breakers.troubled_lanes(&shared.lanes, |_| true);
    reset(shared, lanes.into_iter().filter(|lane| lane.app == app));
}

/// People changed what holds for a whole organisation.
pub(crate) fn organisation_changed(shared: &Arc<Shared>, changed: OrgId) {
    let lanes = shared
        .breakers
        .troubled_lanes(&shared.lanes, |org| org == changed);
    reset(shared, lanes.into_iter());
}

fn reset(shared: &Arc<Shared>, lanes: impl Iterator<Item = Arc<Lane>>) {
    for lane in lanes {
        lane.reset_breaker();
        go_on(shared, &lane);
    }
}

/// Lets a lane make whatever attempt its breaker allows: from memory, or else from its backlog.
fn go_on(shared: &Arc<Shared>, lane: &Arc<Lane>) {
    if shared.is_stopping() {
        return;
    }
    if lane.begin_another(&*shared.clock) {
        deliver::spawn_worker(shared, lane);
    }
    backlog::pull_if_room(shared, lane);
}

fn say_paused(lane: &Lane, until: Timestamp, reason: PauseReason) {
    let PauseReason::TlsFailure(failure) = reason;
    warn!(
        endpoint.id = %lane.endpoint,
        failure = failure.as_str(),
        advice = failure.advice(),
        "Paused endpoint {} until {until}, since TLS fails each time: {}. {}",
        lane.endpoint, failure.as_str(), failure.advice()
    );
}
