//! How the operator's client identities are, asked when the metrics are read.

use std::fmt;
use std::sync::Arc;

use hookseal_egress::{Egress, OperatorIdentityStatus};
use hookseal_engine::clock::Clock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// Reads the gauges off.
pub(super) struct OperatorIdentityCollector {
    egress: Egress,
    clock: Arc<dyn Clock>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct IdentityLabel {
    identity: String,
}

// === impl OperatorIdentityCollector ===

impl OperatorIdentityCollector {
    pub(super) fn new(egress: &Egress, clock: &Arc<dyn Clock>) -> Self {
        Self {
            egress: egress.clone(),
            clock: Arc::clone(clock),
        }
    }
}

impl fmt::Debug for OperatorIdentityCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorIdentityCollector")
            .finish_non_exhaustive()
    }
}

impl Collector for OperatorIdentityCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let identities = self.egress.operator_identities();
        let now = self.clock.now();
        let mut gauges = encoder.encode_descriptor(
            "hookseal_operator_identity_expiry",
            "Time until the certificate of a client identity of the operator's ends: the newest \
             that was taken into use; negative once it has ended",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        for identity in &identities {
            if let Some(certificate) = identity.certificates.first() {
                let left_secs = certificate.not_after.as_secs() - now.as_secs();
                let label = label(identity);
                gauges.encode_family(&label)?.encode_gauge(&left_secs)?;
            }
        }
        let mut gauges = encoder.encode_descriptor(
            "hookseal_operator_identity_unusable",
            "Whether the files of a client identity of the operator's, as they are now, can't be \
             used",
            None,
            MetricType::Gauge,
        )?;
        for identity in &identities {
            let unusable = i64::from(identity.last_error.is_some());
            let label = label(identity);
            gauges.encode_family(&label)?.encode_gauge(&unusable)?;
        }
        Ok(())
    }
}

fn label(identity: &OperatorIdentityStatus) -> IdentityLabel {
    IdentityLabel {
        identity: identity.name.to_string(),
    }
}
