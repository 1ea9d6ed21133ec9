//! Brings lanes back when their time has come: for a slot, for a batch, or when
//! a pause is over.
//!
//! **Invariant:** one entry for each lane and application that waits; nobody is woken before
//! their time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::time::Timestamp;

use crate::backlog;
use crate::deliver;
use crate::lane::{Lane, Then};
use crate::schedule::Wake;
use crate::shared::Shared;

/// How long to sleep where nobody waits.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// Who is brought back, and when.
#[derive(Default)]
pub(crate) struct Timers {
    due: Mutex<BTreeSet<(Timestamp, Due)>>,
    wake: Wake,
}

/// Who is brought back.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Due {
    /// A lane.
    Lane(EndpointId),
    /// The first in an application's line.
    App(AppId),
}

// === impl Timers ===

impl Timers {
    /// Brings somebody back then.
    pub(crate) fn at(&self, at: Timestamp, due: Due) {
        self.due.lock().insert((at, due));
        self.wake.at(at);
    }

    fn next_at(&self) -> Option<Timestamp> {
        self.due.lock().first().map(|(at, _)| *at)
    }

    /// Takes out all whose time has come by then.
    fn take(&self, until: Timestamp) -> Vec<Due> {
        let mut all = self.due.lock();
        let mut due = Vec::new();
        while let Some((at, one)) = all.pop_first() {
            if until < at {
                all.insert((at, one));
                break;
            }
            due.push(one);
        }
        due
    }
}

/// Brings back whoever's time has come, for ever.
pub(crate) async fn run(shared: Arc<Shared>) {
    let timers = &shared.timers;
    let mut before = shared.clock.now();
    loop {
        timers.wake.begin_look();
        let now = shared.clock.now();
        // Once the clock was set back, nobody knows who waits for what: each looks for themselves.
        let until = if now < before { Timestamp::MAX } else { now };
        before = now;
        for due in timers.take(until) {
            match due {
                Due::Lane(endpoint) => bring_back(&shared, endpoint, until),
                Due::App(app) => grant(&shared, app, now),
            }
        }
        let latest = shared.clock.now().plus(SLEEP_MAX);
        let next = timers.next_at().map_or(latest, |next| next.min(latest));
        timers.wake.sleep_until(&*shared.clock, next).await;
    }
}

/// Lets a lane make whatever attempts it may: from memory, or else from its backlog.
pub(crate) fn go_on(shared: &Arc<Shared>, lane: &Arc<Lane>) {
    if shared.is_stopping() {
        return;
    }
    follow(shared, lane, lane.goes_on(&*shared.clock));
    backlog::pull_if_room(shared, lane);
}

/// Does what follows for a lane in which a worker looked for something to do.
pub(crate) fn follow(shared: &Arc<Shared>, lane: &Arc<Lane>, then: Then) {
    match then {
        Then::Nothing => {}
        Then::Another => deliver::spawn_worker(shared, lane),
        Then::Back(at) => shared.timers.at(at, Due::Lane(lane.endpoint)),
        Then::Line(app, at) => shared.timers.at(at, Due::App(app)),
    }
}

fn bring_back(shared: &Arc<Shared>, endpoint: EndpointId, now: Timestamp) {
    if let Some(lane) = shared.lanes.get(endpoint) {
        lane.is_back(now);
        go_on(shared, &lane);
    }
}

/// Lets a lane go on whose deliveries wait for their batch, if that leaves now.
pub(crate) fn send_what_is_full(shared: &Arc<Shared>, lane: &Arc<Lane>) {
    if !shared.is_stopping() {
        follow(shared, lane, lane.waits_on(&*shared.clock));
    }
}

/// Lets a lane look again whether its deliveries wait for their batch, since the endpoint was changed.
pub(crate) fn look_again(shared: &Arc<Shared>, endpoint: EndpointId) {
    if let Some(lane) = shared.lanes.get(endpoint)
        && !shared.is_stopping()
        && lane.looks_again()
    {
        deliver::spawn_worker(shared, &lane);
    }
}

fn grant(shared: &Arc<Shared>, app: AppId, now: Timestamp) {
    let Some(pacing) = shared.app_pacings.get(app) else {
        return;
    };
    let granted = pacing.grant(now);
    for (endpoint, slot) in granted.grants {
        if let Some(lane) = shared.lanes.get(endpoint) {
            lane.got_token(slot);
            go_on(shared, &lane);
        }
    }
    if let Some(at) = granted.next_at {
        shared.timers.at(at, Due::App(app));
    }
}
