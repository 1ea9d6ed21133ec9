//! What the engine counts, for Prometheus.

pub(crate) mod admission;
pub(crate) mod endpoints;
pub(crate) mod expiry;
pub(crate) mod pin_warnings;
pub(crate) mod tasks;

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use hookseal_domain::delivery::Ended;
use hookseal_domain::delivery::breaker::PauseReason;
use hookseal_domain::delivery::outcome::{Fault, Outcome};
use hookseal_domain::event_type::validation::ValidationMode;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::handshake::HandshakeReport;
use hookseal_domain::transport::policy::KeyExchangeGroup;

use crate::lanes::Census;
use crate::metrics::endpoints::EndpointMetrics;
use crate::metrics::tasks::TaskMetrics;

/// The engine's counters. Labels are of closed lists, never ids or whatever a peer chose: their
/// number is fixed.
pub struct EngineMetrics {
    pub(crate) messages_published: Counter,
    pub(crate) batches: Counter,
    mismatches: Family<ModeLabel, Counter>,
    pub(crate) lanes: Gauge,
    pub(crate) window_bytes: Gauge,
    pub(crate) tasks: TaskMetrics,
    pub(crate) endpoints: EndpointMetrics,
    lanes_paced: Gauge,
    lanes_pushed_back: Gauge,
    lanes_paused: Family<ReasonLabel, Gauge>,
    attempts: Family<OutcomeLabel, Counter>,
    ended: Family<EndedLabel, Counter>,
    attempt_seconds: Histogram,
    handshakes: Family<HandshakeLabel, Counter>,
    handshake_seconds: Family<ResultLabel, Histogram>,
    tls_failures: Family<TlsFailureLabel, Counter>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ModeLabel {
    mode: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct EndedLabel {
    ended: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct HandshakeLabel {
    result: &'static str,
    version: &'static str,
    group: &'static str,
    /// Always `no`: resumption is off, since nothing would be verified then.
    resumed: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct TlsFailureLabel {
    failure: &'static str,
    fault: &'static str,
}

// === impl EngineMetrics ===

impl EngineMetrics {
    /// Registers the counters.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            messages_published: Counter::default(),
            batches: Counter::default(),
            mismatches: Family::default(),
            lanes: Gauge::default(),
            window_bytes: Gauge::default(),
            tasks: TaskMetrics::register(registry),
            endpoints: EndpointMetrics::register(registry),
            lanes_paced: Gauge::default(),
            lanes_pushed_back: Gauge::default(),
            lanes_paused: Family::default(),
            attempts: Family::default(),
            ended: Family::default(),
            attempt_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            handshakes: Family::default(),
            handshake_seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 2.0, 14))
            }),
            tls_failures: Family::default(),
        };
        metrics.register_tls(registry);
        metrics.register_held_back(registry);
        registry.register(
            "hookseal_messages_published",
            "Messages accepted durably",
            metrics.messages_published.clone(),
        );
        registry.register(
            "hookseal_batches",
            "Requests that carried a batch of events",
            metrics.batches.clone(),
        );
        registry.register(
            "hookseal_payload_mismatches",
            "Payloads that did not match the schema of their event type, by its validation mode",
            metrics.mismatches.clone(),
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

    /// A payload did not match the schema of its event type.
    pub(crate) fn did_not_match(&self, validation: ValidationMode) {
        let mode = validation.as_str();
        self.mismatches.get_or_create(&ModeLabel { mode }).inc();
    }

    fn register_held_back(&self, registry: &mut Registry) {
        registry.register(
            "hookseal_lanes_paced",
            "Endpoints whose deliveries wait for the next slot of their rate or their application's",
            self.lanes_paced.clone(),
        );
        registry.register(
            "hookseal_lanes_pushed_back",
            "Endpoints that no attempt is made to for now, since they answered 429 or 503",
            self.lanes_pushed_back.clone(),
        );
    }

    fn register_tls(&self, registry: &mut Registry) {
        registry.register(
            "hookseal_tls_handshakes",
            "TLS handshakes of attempts, by what they came to",
            self.handshakes.clone(),
        );
        registry.register(
            "hookseal_tls_handshake_duration_seconds",
            "Time of TLS handshakes from first byte to end",
            self.handshake_seconds.clone(),
        );
        registry.register(
            "hookseal_tls_failures",
            "Attempts that failed by TLS, by what it was and whose fault",
            self.tls_failures.clone(),
        );
    }

    pub(crate) fn shook_hands(&self, report: &HandshakeReport) {
        let tls = report.tls.as_ref();
        self.handshakes
            .get_or_create(&HandshakeLabel {
                result: report.result(),
                version: tls.map_or("none", |tls| version_label(&tls.version)),
                group: tls.map_or("none", |tls| group_label(&tls.key_exchange_group)),
                resumed: "no",
            })
            .inc();
        let result = if report.failure.is_some() {
            "failed"
        } else {
            "ok"
        };
        let seconds = f64::from(report.duration_ms) / 1000.0;
        self.handshake_seconds
            .get_or_create(&ResultLabel { result })
            .observe(seconds);
    }

    pub(crate) fn tls_failed(&self, failure: TlsFailure) {
        self.tls_failures
            .get_or_create(&TlsFailureLabel {
                failure: failure.as_str(),
                fault: fault_label(failure.fault()),
            })
            .inc();
    }

    pub(crate) fn set_lanes_held_back(&self, census: Census) {
        self.lanes_paced.set(census.paced);
        self.lanes_pushed_back.set(census.pushed_back);
    }

    pub(crate) fn set_lanes_paused(&self, by_reason: &[(PauseReason, i64)]) {
        for (reason, lanes) in by_reason {
            let reason = reason.as_str();
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

fn version_label(version: &str) -> &'static str {
    match version {
        "TLSv1.2" => "TLSv1.2",
        "TLSv1.3" => "TLSv1.3",
        _ => "other",
    }
}

fn group_label(group: &str) -> &'static str {
    KeyExchangeGroup::parse(group).map_or("other", KeyExchangeGroup::as_str)
}

const fn fault_label(fault: Fault) -> &'static str {
    match fault {
        Fault::Receiver => "receiver",
        Fault::Us => "us",
        Fault::Network => "network",
    }
}
