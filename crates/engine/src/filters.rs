//! What payload filters say, counted; and of each endpoint whose filter can't decide, why.
//!
//! **Invariant:** bounded in memory: of as many endpoints at most as an application may have.

use std::collections::HashMap;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tracing::warn;

use hookseal_domain::endpoint::Destination;
use hookseal_domain::filter::{Candidate, Filter, FilterError};
use hookseal_domain::id::EndpointId;
use hookseal_domain::limits::ENDPOINTS_PER_APPLICATION_MAX;
use hookseal_domain::subscription::Decision;
use hookseal_domain::time::Timestamp;

use crate::clock::Clock;

/// What filters said on this node.
pub(crate) struct Filters {
    decisions: Family<ResultLabel, Counter>,
    undecided: Mutex<HashMap<EndpointId, Undecided>>,
}

/// A filter that could not decide. What it was asked about was delivered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FilterTrouble {
    /// How often.
    pub count: u64,
    /// Why, the last time.
    pub last: FilterError,
    /// When that was.
    pub last_at: Timestamp,
}

struct Undecided {
    filter: Filter,
    trouble: FilterTrouble,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ResultLabel {
    result: &'static str,
}

// === impl Filters ===

impl Filters {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let decisions = Family::<ResultLabel, Counter>::default();
        registry.register(
            "hookseal_filter_decisions",
            "What payload filters of endpoints said: passed, filtered_out, or why they could not say, \
             in which case the message was delivered",
            decisions.clone(),
        );
        Self {
            decisions,
            undecided: Mutex::default(),
        }
    }

    /// Whether an endpoint gets a message. Takes note of what its filter said.
    pub(crate) fn wants(
        &self,
        to: &Destination,
        candidate: &mut Candidate<'_>,
        clock: &dyn Clock,
    ) -> bool {
        let decision = to.subscription.decide(candidate);
        if let Some(filter) = &to.subscription.filter {
            self.decided(to, filter, decision, clock);
        }
        decision.is_delivered()
    }

    fn decided(&self, to: &Destination, filter: &Filter, decision: Decision, clock: &dyn Clock) {
        let result = match decision {
            Decision::NotSubscribed => return,
            Decision::Wanted => "passed",
            Decision::FilteredOut => "filtered_out",
            Decision::Undecided(error) => {
                self.troubled(to.id, filter, error, clock.now());
                error.as_str()
            }
        };
        self.decisions.get_or_create(&ResultLabel { result }).inc();
    }

    /// What an endpoint's filter could not decide since it is this one.
    pub(crate) fn trouble(&self, endpoint: EndpointId, filter: &Filter) -> Option<FilterTrouble> {
        let undecided = self.undecided.lock();
        let known = undecided.get(&endpoint)?;
        (known.filter == *filter).then_some(known.trouble)
    }

    fn troubled(&self, endpoint: EndpointId, filter: &Filter, why: FilterError, now: Timestamp) {
        let mut undecided = self.undecided.lock();
        if let Some(known) = undecided.get_mut(&endpoint)
            && known.filter == *filter
        {
            known.trouble = FilterTrouble {
                count: known.trouble.count.saturating_add(1),
                last: why,
                last_at: now,
            };
            return;
        }
        if undecided.len() >= ENDPOINTS_PER_APPLICATION_MAX {
            undecided.clear();
        }
        warn!(
            endpoint.id = %endpoint,
            reason = why.as_str(),
            "The filter of endpoint {endpoint} can't decide on a message, which is delivered: {why}"
        );
        let trouble = FilterTrouble {
            count: 1,
            last: why,
            last_at: now,
        };
        let filter = filter.clone();
        undecided.insert(endpoint, Undecided { filter, trouble });
    }
}
