//! What the engine counts, for Prometheus.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use hookseal_domain::delivery::Ended;
use hookseal_domain::delivery::outcome::Outcome;

/// The engine's counters. Labels are outcomes only, never ids: their number is fixed.
pub struct EngineMetrics {
    pub(crate) messages_published: Counter,
    pub(crate) lanes: Gauge,
    pub(crate) window_bytes: Gauge,
    lanes_paused: Family<ReasonLabel, Gauge>,
    attempts: Family<OutcomeLabel, Counter>,
    ended: Family<EndedLabel, Counter>,
    attempt_seconds: Histogram,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct EndedLabel {
    ended: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ReasonLabel {
    reason: &'static str,
}

// === impl EngineMetrics ===

impl EngineMetrics {
    /// Registers the counters.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            messages_published: Counter::default(),
            lanes: Gauge::default(),
            window_bytes: Gauge::default(),
            lanes_paused: Family::default(),
            attempts: Family::default(),
            ended: Family::default(),
            attempt_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
        };
        registry.register(
            "hookseal_messages_published",
            "Messages accepted durably",
            metrics.messages_published.clone(),
        );
        registry.register(
            "hookseal_attempts",
            "Attempts by outcome",
            metrics.attempts.clone(),
        );
        registry.register(
            "hookseal_deliveries_ended",
            "Deliveries that ended, by how",
            metrics.ended.clone(),
        );
        registry.register(
            "hookseal_attempt_duration_seconds",
            "Time of attempts from start to end",
            metrics.attempt_seconds.clone(),
        );
        registry.register(
            "hookseal_lanes",
            "Endpoints active in memory",
            metrics.lanes.clone(),
        );
        registry.register(
            "hookseal_window_bytes",
            "Bytes of deliveries in memory",
            metrics.window_bytes.clone(),
        );
        registry.register(
            "hookseal_lanes_paused",
            "Endpoints that no attempt is made to for now, by why",
            metrics.lanes_paused.clone(),
        );
        metrics
    }

    pub(crate) fn set_lanes_paused(&self, by_reason: &[(&'static str, i64)]) {
        for (reason, lanes) in by_reason {
            self.lanes_paused
                .get_or_create(&ReasonLabel { reason })
                .set(*lanes);
        }
    }

    pub(crate) fn attempted(&self, outcome: Outcome, duration: Duration) {
        self.attempts
            .get_or_create(&OutcomeLabel {
                outcome: outcome.as_str(),
            })
            .inc();
        self.attempt_seconds.observe(duration.as_secs_f64());
    }

    pub(crate) fn ended(&self, ended: Ended) {
        self.ended
            .get_or_create(&EndedLabel {
                ended: ended.as_str(),
            })
            .inc();
    }
}
