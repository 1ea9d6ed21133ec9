//! Settings of the delivery engine.

use std::time::Duration;

use hookseal_domain::delivery::retry::RetrySchedule;
use hookseal_domain::signature::key::KeyKind;
use hookseal_engine::config::{EngineConfig, SvixHeaders, VerificationConfig};
use hookseal_store::retention::RetentionPolicy;

use crate::config::breaker::BreakerSection;
use crate::config::byte_size::ByteSize;
use crate::config::error::ConfigError;
use crate::config::health::HealthSection;
use crate::config::retention::RetentionSection;
use crate::config::section::section;

/// How we introduce ourselves to receivers.
const USER_AGENT: &str = concat!("Hookseal/", env!("CARGO_PKG_VERSION"));

section! {
    /// How messages are delivered.
    pub struct DeliverySection in "delivery" {
        /// The delays between attempts, up to 50; each is moved by up to a fifth either way. A list
        /// replaces the whole default, the empty one means a single attempt.
        retry_schedule: Vec<Duration> = "5s, 5m, 30m, 2h, 5h, 10h, 14h, 20h, 24h",
            from "0s" to "7d";
        /// One deadline for a whole attempt: name, connection, request and answer.
        timeout: Duration = "15s", from "1s" to "60s";
        /// How often an endpoint is tried whose TLS failed three times in a row, in a way that would
        /// fail again; its deliveries wait meanwhile, and no attempt is counted against them.
        handshake_probe_interval: Duration = "60s", from "1s" to "1h";
        /// Most attempts of one endpoint at the same time.
        max_in_flight_per_endpoint: usize = "64", from "1" to "10000";
        /// Most attempts at the same time; each holds a socket.
        max_in_flight: usize = "4096", from "1" to "1000000";
        /// Most deliveries of one endpoint in memory; the others wait in the store.
        window_deliveries: usize = "1024", from "1" to "1000000";
        /// Most payload bytes of all deliveries in memory; the others wait in the store.
        window_bytes: ByteSize = "64MiB", from "1MiB" to "64GiB";
        /// Whether requests carry copies of the `webhook-*` headers under their older `svix-*`
        /// names, for receivers that use libraries which read those.
        svix_headers: bool = "true";
        /// The signature of endpoints whose secret is made here: `hmac` for `v1`, `ed25519` for
        /// `v1a`.
        default_signature: KeyKind = "hmac";
    }
}

// === impl DeliverySection ===

impl DeliverySection {
    pub(super) fn check(&self, retention: &RetentionSection, errors: &mut Vec<ConfigError>) {
        let longest = match RetrySchedule::try_new(self.retry_schedule.clone()) {
            Ok(schedule) => schedule.longest(),
            Err(error) => {
                errors.push(ConfigError::unusable("delivery.retry_schedule", error));
                return;
            }
        };
        if retention.history < longest {
            let hours = longest.as_secs().div_ceil(3600);
            let problem = format!(
                "is shorter than the {hours}h that delivery.retry_schedule may take: messages \
                 would be forgotten before they are delivered"
            );
            errors.push(ConfigError::unusable("retention.history", problem));
        }
    }

    /// For the engine.
    pub fn engine(
        &self,
        breaker: &BreakerSection,
        health: &HealthSection,
        retention: RetentionPolicy,
        verification: VerificationConfig,
    ) -> Result<EngineConfig, ConfigError> {
        let retry_schedule = RetrySchedule::try_new(self.retry_schedule.clone())
            .map_err(|error| ConfigError::unusable("delivery.retry_schedule", error))?;
        Ok(EngineConfig {
            retry_schedule,
            breaker_rule: breaker.rule(self.handshake_probe_interval),
            health_rule: health.rule(),
            attempt_timeout: self.timeout,
            in_flight_per_endpoint_max: self.max_in_flight_per_endpoint,
            in_flight_max: self.max_in_flight,
            window_deliveries_max: self.window_deliveries,
            window_bytes_max: self.window_bytes.bytes(),
            svix_headers: if self.svix_headers {
                SvixHeaders::Send
            } else {
                SvixHeaders::Omit
            },
            user_agent: USER_AGENT.to_owned(),
            retention,
            verification,
        })
    }
}
