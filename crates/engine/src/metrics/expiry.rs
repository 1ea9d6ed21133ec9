//! How long the certificates of each endpoint's connections are still valid: read from what the
//! latest handshakes showed when somebody asks, good ones or not.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use hookseal_domain::time::Timestamp;

use crate::clock::Clock;
use crate::handshakes::Handshakes;

/// Reads the gauges off.
pub(crate) struct ExpiryCollector {
    handshakes: Arc<Handshakes>,
    clock: Arc<dyn Clock>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct CertificateLabel {
    endpoint: String,
    side: &'static str,
}

// === impl ExpiryCollector ===

impl ExpiryCollector {
    pub(crate) fn new(handshakes: &Arc<Handshakes>, clock: &Arc<dyn Clock>) -> Self {
        Self {
            handshakes: Arc::clone(handshakes),
            clock: Arc::clone(clock),
        }
    }
}

impl fmt::Debug for ExpiryCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpiryCollector").finish_non_exhaustive()
    }
}

impl Collector for ExpiryCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let now = self.clock.now();
        let mut gauges = encoder.encode_descriptor(
            "hookseal_endpoint_certificate_expiry",
            "Time until a certificate ends: of the endpoint's server (peer) or the one that it was \
             shown (ours); negative once it has ended",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        for (endpoint, expiry) in self.handshakes.expiries() {
            let sides = [("peer", expiry.peer), ("ours", expiry.ours)];
            for (side, at) in sides {
                if let Some(at) = at {
                    let label = CertificateLabel {
                        endpoint: endpoint.to_string(),
                        side,
                    };
                    gauge(&mut gauges, &label, at, now)?;
                }
            }
        }
        Ok(())
    }
}

fn gauge(
    gauges: &mut MetricEncoder<'_>,
    label: &CertificateLabel,
    at: Timestamp,
    now: Timestamp,
) -> fmt::Result {
    let left_secs = at.as_secs().saturating_sub(now.as_secs());
    gauges.encode_family(label)?.encode_gauge(&left_secs)
}
