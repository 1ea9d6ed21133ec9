//! What transactions leave to be done in memory once they are durable.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use tokio::sync::Notify;

use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::operational::EndpointChange;

/// What is to be looked at, since a transaction changed it by the way.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Aftermath {
    /// Endpoints whose backlog grew.
    pub backlogged: BTreeSet<(AppId, EndpointId)>,
    /// Applications that are configured otherwise now.
    pub changed: BTreeSet<AppId>,
    /// What became of endpoints that fail, or said that they are gone: the latest of each.
    pub health: BTreeMap<EndpointId, EndpointChange>,
}

/// Collects it until somebody asks. Holds each endpoint and application once at most.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    all: Mutex<Aftermath>,
    more: Notify,
}

// === impl Aftermath ===

impl Aftermath {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.backlogged.is_empty() && self.changed.is_empty() && self.health.is_empty()
    }
}

// === impl Collected ===

impl Collected {
    /// Adds what a transaction left that is durable now.
    pub(crate) fn add(&self, left: Aftermath) {
        if left.is_empty() {
            return;
        }
        let mut all = self.all.lock();
        all.backlogged.extend(left.backlogged);
        all.changed.extend(left.changed);
        all.health.extend(left.health);
        drop(all);
        self.more.notify_one();
    }

    /// Waits until there is something, and takes it.
    pub(crate) async fn take(&self) -> Aftermath {
        loop {
            let taken = std::mem::take(&mut *self.all.lock());
            if !taken.is_empty() {
                return taken;
            }
            self.more.notified().await;
        }
    }
}
