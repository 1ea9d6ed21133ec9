//! What became of endpoints that fail.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use hookseal_domain::operational::EndpointChange;

/// What is counted of endpoints.
#[derive(Default)]
pub(crate) struct EndpointMetrics {
    notices: Family<NoticeLabel, Counter>,
    disabled: Family<DisabledLabel, Counter>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct NoticeLabel {
    percent: u32,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct DisabledLabel {
    reason: &'static str,
}

// === impl EndpointMetrics ===

impl EndpointMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "hookseal_endpoint_failing_notices",
            "Notices of endpoints that only fail, by the part of the time until they are disabled",
            metrics.notices.clone(),
        );
        registry.register(
            "hookseal_endpoints_disabled",
            "Endpoints that Hookseal disabled, by why",
            metrics.disabled.clone(),
        );
        metrics
    }

    /// Counts what became of one. What clients do is not counted.
    pub(crate) fn changed(&self, change: EndpointChange) {
        match change {
            EndpointChange::Failing { notice, .. } => {
                let percent = notice.percent();
                self.notices.get_or_create(&NoticeLabel { percent }).inc();
            }
            EndpointChange::Disabled(by) => {
                let reason = by.as_str();
                self.disabled.get_or_create(&DisabledLabel { reason }).inc();
            }
            EndpointChange::Created
            | EndpointChange::Updated
            | EndpointChange::Deleted
            | EndpointChange::Enabled => {}
        }
    }
}
