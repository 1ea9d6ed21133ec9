//! How many endpoints' pins need attention, by why: counted from what the latest good handshakes
//! showed when somebody asks. Its labels are of a closed list, never ids.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;

use crate::handshakes::Handshakes;

/// Counts the warnings.
pub(crate) struct PinWarningCollector {
    handshakes: Arc<Handshakes>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct CodeLabel {
    code: &'static str,
}

// === impl PinWarningCollector ===

impl PinWarningCollector {
    pub(crate) fn new(handshakes: &Arc<Handshakes>) -> Self {
        Self {
            handshakes: Arc::clone(handshakes),
        }
    }
}

impl fmt::Debug for PinWarningCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinWarningCollector")
            .finish_non_exhaustive()
    }
}

impl Collector for PinWarningCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut gauges = encoder.encode_descriptor(
            "hookseal_pin_warnings",
            "Endpoints whose pins need attention, by why",
            None,
            MetricType::Gauge,
        )?;
        for (warning, endpoints) in self.handshakes.pin_warnings() {
            let code = warning.as_str();
            let endpoints = i64::try_from(endpoints).unwrap_or(i64::MAX);
            gauges
                .encode_family(&CodeLabel { code })?
                .encode_gauge(&endpoints)?;
        }
        Ok(())
    }
}
