//! What the engine is told when it starts.

use std::time::Duration;

use hookseal_domain::delivery::breaker::BreakerRule;
use hookseal_domain::delivery::retry::RetrySchedule;
use hookseal_domain::endpoint::health::HealthRule;
use hookseal_domain::endpoint::verification::{Demand, Origin};
use hookseal_store::retention::RetentionPolicy;

/// How to deliver.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The delays between attempts.
    pub retry_schedule: RetrySchedule,
    /// When an endpoint that fails gets no attempts, and when it is tried again.
    pub breaker_rule: BreakerRule,
    /// When an endpoint that only fails is switched off.
    pub health_rule: HealthRule,
    /// One deadline for a whole attempt.
    pub attempt_timeout: Duration,
    /// Most attempts of one endpoint at the same time.
    pub in_flight_per_endpoint_max: usize,
    /// Most attempts of this node at the same time.
    pub in_flight_max: usize,
    /// Most deliveries of one endpoint in memory.
    pub window_deliveries_max: usize,
    /// Most payload bytes of all deliveries in memory.
    pub window_bytes_max: usize,
    /// Whether requests carry `svix-*` copies of the `webhook-*` headers.
    pub svix_headers: SvixHeaders,
    /// Value of `User-Agent`.
    pub user_agent: String,
    /// What is forgotten, and when.
    pub retention: RetentionPolicy,
    /// Whether and how receivers are asked if they want what is sent to them.
    pub verification: VerificationConfig,
}

/// Whether and how receivers are asked if they want what is sent to them.
#[derive(Clone, Debug, Default)]
pub struct VerificationConfig {
    /// Whether endpoints have to be verified.
    pub demand: Demand,
    /// Who asks; without it there is no handshake of CloudEvents.
    pub origin: Option<Origin>,
    /// Where receivers' people may answer later: a URL that the text of a verification is added to.
    /// Without it they can't.
    pub callback_url: Option<String>,
}

/// Whether requests carry `svix-*` copies of the `webhook-*` headers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SvixHeaders {
    /// For receivers that use those libraries.
    Send,
    /// Only the standard's.
    Omit,
}
