//! What publishing counts, for Prometheus: how long it takes, and what was turned away and why.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use hookseal_domain::admission::{Admission, Shed};

/// The counters of [`crate::admission`].
pub(crate) struct AdmissionMetrics {
    shed: Family<ShedLabel, Counter>,
    publish_seconds: Histogram,
    under_way: Gauge,
    limit: Gauge,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ShedLabel {
    reason: &'static str,
}

// === impl AdmissionMetrics ===

impl AdmissionMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            shed: Family::default(),
            publish_seconds: Histogram::new(exponential_buckets(0.0005, 2.0, 14)),
            under_way: Gauge::default(),
            limit: Gauge::default(),
        };
        registry.register(
            "hookseal_publishes_shed",
            "Publishes turned away with 503, by why",
            metrics.shed.clone(),
        );
        registry.register(
            "hookseal_publish_wait_seconds",
            "Time that publishes waited until they were durable",
            metrics.publish_seconds.clone(),
        );
        registry.register(
            "hookseal_publishes_under_way",
            "Publishes that are not durable yet",
            metrics.under_way.clone(),
        );
        registry.register(
            "hookseal_publishes_under_way_limit",
            "How many publishes may be under way; what is beyond is shed",
            metrics.limit.clone(),
        );
        // Shown before anything is shed, so that a rate over it begins at zero.
        for reason in Shed::ALL {
            drop(metrics.of(reason));
        }
        metrics
    }

    pub(crate) fn shed(&self, reason: Shed) {
        self.of(reason).inc();
    }

    pub(crate) fn stored(&self, took: Duration) {
        self.publish_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn stands(&self, admission: &Admission) {
        let shown = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.under_way.set(shown(admission.under_way()));
        self.limit.set(shown(admission.limit()));
    }

    fn of(&self, reason: Shed) -> impl std::ops::Deref<Target = Counter> + '_ {
        let reason = reason.as_str();
        self.shed.get_or_create(&ShedLabel { reason })
    }
}
