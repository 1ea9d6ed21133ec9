//! How fast a lane may go: by the rate of its endpoint, that of its application, and by what the
//! endpoint says.
//!
//! **Invariant:** an attempt of a lane with a rate has a slot of its own, of the endpoint and of the
//! application; a lane that waits for one is brought back, and stands in one line once.

mod app;
mod status;

use std::sync::Arc;
use std::time::Duration;

use hookseal_domain::delivery::batch::BatchRule;
use hookseal_domain::delivery::push_back::PushBack;
use hookseal_domain::delivery::throttle::{Pace, Slot, Throttle};
use hookseal_domain::id::EndpointId;
use hookseal_domain::time::Timestamp;

pub(crate) use crate::pacing::app::{AppPacing, AppPacings};
pub use crate::pacing::status::PaceStatus;

/// What an endpoint and its application allow, as configured now.
#[derive(Clone, Default)]
pub(crate) struct LaneRules {
    /// The endpoint's rate.
    pub(crate) pace: Option<Pace>,
    /// The application's, and who shares it out.
    pub(crate) app: Option<(Pace, Arc<AppPacing>)>,
    /// Whether the application has none, as opposed to a lane that sends nothing, which needs none.
    pub(crate) app_is_free: bool,
    /// Most attempts at the same time.
    pub(crate) in_flight_max: Option<usize>,
    /// How many go together.
    pub(crate) batch: Option<BatchRule>,
}

/// How fast one lane may go.
#[derive(Default)]
pub(crate) struct Pacing {
    rules: LaneRules,
    throttle: Throttle,
    /// Since when something has been waiting without a break; not known before a worker looked.
    waiting_since: Option<Timestamp>,
    /// A slot of the application's, to be used now, or then by a worker that waits for it with its
    /// permit.
    token: Option<Slot>,
    /// Whether it waits for one.
    in_line: bool,
    /// When it is brought back for a slot of the endpoint's.
    back_at: Option<Timestamp>,
    /// What the endpoint said last.
    push_back: Option<PushBack>,
}

/// Whether an attempt may begin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Gate {
    /// Now.
    Open,
    /// Not before.
    Opens(Timestamp),
    /// In the lane's turn among those of its application, of which the first comes then; `None` if
    /// somebody is to see to that already.
    InLine(Option<Timestamp>),
    /// Then, by the worker that has a permit already: nothing else keeps it from using the slot.
    Held(Timestamp),
}

/// How long a worker may hold its permit until it has a slot: more than the longest distance of two,
/// which is a second.
const HELD_MAX: Duration = Duration::from_secs(2);

// === impl Pacing ===

impl Pacing {
    /// Takes note of what is configured now.
    pub(crate) fn learn(&mut self, rules: LaneRules) {
        if let Some((_, app)) = self.rules.app.as_ref().filter(|_| rules.app_is_free) {
            app.lift();
        }
        self.rules = rules;
    }

    /// Whether there is a rate.
    pub(crate) fn has_rate(&self) -> bool {
        self.rules.pace.is_some() || self.rules.app.is_some()
    }

    /// Most attempts at the same time, as configured.
    pub(crate) fn in_flight_max(&self) -> Option<usize> {
        self.rules.in_flight_max
    }

    /// What the endpoint said last, if that is of any consequence.
    pub(crate) fn push_back(&self) -> Option<PushBack> {
        self.push_back
    }

    /// Takes note of what the endpoint said.
    pub(crate) fn pushed_back(&mut self, push_back: Option<PushBack>) {
        self.push_back = push_back;
    }

    /// Whether the lane waits for a slot, and will be brought back for it.
    pub(crate) fn waits_for_slot(&self) -> bool {
        self.back_at.is_some() || (self.in_line && self.rules.app.is_some())
    }

    /// Whether the lane or a worker of it waits for a slot.
    pub(crate) fn is_throttled(&self, now: Timestamp) -> bool {
        let is_held = self.token.is_some_and(|token| !token.is_due(now));
        is_held || self.waits_for_slot()
    }

    /// Since when it waits for slots.
    pub(crate) fn throttled_since(&self, now: Timestamp) -> Option<Timestamp> {
        self.waiting_since.filter(|_| self.is_throttled(now))
    }

    /// When the next slot is, of the endpoint and of the application.
    pub(crate) fn next_slot_at(&self, now: Timestamp) -> Option<Timestamp> {
        let own = self.rules.pace.map(|pace| {
            let throttle = self.throttle.caught_up(pace, Duration::ZERO, now);
            throttle.next_slot(now, now).at()
        });
        let app = self.rules.app.as_ref();
        own.max(app.and_then(|(_, app)| app.next_slot_at(now)))
    }

    /// The same as [`Self::gate`] for a worker that has a permit. If the permit came too late for the
    /// slot, there is another for it: who had to stand in line once more would be late again, as long
    /// as permits are short.
    pub(crate) fn gate_with_permit(&mut self, endpoint: EndpointId, now: Timestamp) -> Gate {
        if self.token.is_some_and(|token| token.is_lost(now))
            && let (Some((pace, app)), Some(since)) = (&self.rules.app, self.waiting_since)
            && let Some(slot) = app.make_up(*pace, since, now)
        {
            self.token = Some(slot);
            if !slot.is_due(now) {
                return Gate::Held(slot.at());
            }
        }
        self.gate(endpoint, now)
    }

    /// Whether an attempt may begin now of what waits. Leaves the lane in the application's line if
    /// that is what is missing.
    pub(crate) fn gate(&mut self, endpoint: EndpointId, now: Timestamp) -> Gate {
        if !self.has_rate() {
            return Gate::Open;
        }
        let since = *self.waiting_since.get_or_insert(now);
        if let Some(pace) = self.rules.pace {
            self.throttle = self.throttle.caught_up(pace, Duration::ZERO, now);
            let slot = self.throttle.next_slot(since, now);
            if !slot.is_due(now) {
                return Gate::Opens(slot.at());
            }
        }
        let Some((pace, app)) = &self.rules.app else {
            return Gate::Open;
        };
        if let Some(token) = self.token.filter(|token| !token.is_lost(now)) {
            // Else a worker waits for it.
            let is_due = token.is_due(now);
            return if is_due {
                Gate::Open
            } else {
                Gate::InLine(None)
            };
        }
        self.token = None;
        if self.in_line {
            return Gate::InLine(None);
        }
        match app.ask(endpoint, *pace, since, now) {
            Ok(slot) => {
                self.token = Some(slot);
                Gate::Open
            }
            Err(first_at) => {
                self.in_line = true;
                Gate::InLine(first_at)
            }
        }
    }

    /// An attempt begins that the gate was open for.
    pub(crate) fn began(&mut self, now: Timestamp) {
        let since = self.waiting_since.unwrap_or(now);
        if let Some(pace) = self.rules.pace {
            (self.throttle, _) = self.throttle.reserve(pace, since, now);
        }
        self.token = None;
    }

    /// Nothing waits any more.
    pub(crate) fn is_empty_now(&mut self) {
        self.waiting_since = None;
    }

    /// The lane is to be brought back then; tells whether that is news.
    pub(crate) fn comes_back(&mut self, at: Timestamp) -> bool {
        let sooner = self.back_at.is_none_or(|back_at| at < back_at);
        if sooner {
            self.back_at = Some(at);
        }
        sooner
    }

    /// The lane was brought back.
    pub(crate) fn is_back(&mut self, now: Timestamp) {
        self.back_at = self.back_at.filter(|at| now < *at);
    }

    /// The application's line came to this lane.
    pub(crate) fn got_token(&mut self, token: Slot) {
        self.in_line = false;
        self.token = Some(token);
    }

    /// Whether all of it can be forgotten without letting more through.
    pub(crate) fn is_forgettable(&self, now: Timestamp) -> bool {
        let push_back = self.push_back;
        !self.waits_for_slot()
            && (self.rules.pace.is_none() || self.throttle.is_forgettable(now))
            && push_back.is_none_or(|push_back| push_back.is_forgettable(now))
    }
}
