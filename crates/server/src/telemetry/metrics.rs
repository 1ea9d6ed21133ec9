//! The registry that `/metrics` shows.

mod operator_identities;

use std::fmt;
use std::sync::Arc;

use hookseal_egress::Egress;
use hookseal_engine::clock::Clock;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use self::operator_identities::OperatorIdentityCollector;
use crate::telemetry::process::ProcessCollector;

/// What the text is: OpenMetrics 1.0, which Prometheus reads.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A registry that knows the process and the operator's identities; the engine adds what it counts.
pub fn registry(egress: &Egress, clock: &Arc<dyn Clock>) -> Registry {
    let mut registry = Registry::default();
    registry.register(
        "hookseal_build",
        "The running version",
        Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
    );
    registry.register_collector(Box::new(ProcessCollector));
    let identities = OperatorIdentityCollector::new(egress, clock);
    registry.register_collector(Box::new(identities));
    registry
}

/// The registry as text.
pub fn text(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    encode(&mut text, registry)?;
    Ok(text)
}
