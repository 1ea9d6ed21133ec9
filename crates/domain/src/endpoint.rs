//! An endpoint: a URL that receives, with its keys, headers, subscription and parking rule.

pub mod discipline;
pub mod format;
pub mod headers;
pub mod health;
pub mod order;
pub mod url;
pub mod verification;

use std::sync::Arc;

use crate::application::Metadata;
use crate::endpoint::discipline::Discipline;
use crate::endpoint::headers::EndpointHeaders;
use crate::endpoint::url::EndpointUrl;
use crate::endpoint::verification::{Grant, Standing, Verification};
use crate::id::EndpointId;
use crate::limits::PARK_ON_MAX;
use crate::operational::{DisabledBy, Enabled};
use crate::signature::key::SigningKey;
use crate::subscription::Subscription;
use crate::time::Timestamp;
use crate::transport::policy::EndpointTransport;
use crate::uid::Uid;
use crate::violation::Violation;

/// What a client says of an endpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EndpointSpec {
    /// Where to deliver.
    pub url: EndpointUrl,
    /// The client's own name of it, unique in the application.
    pub uid: Option<Uid>,
    /// For people.
    pub description: String,
    /// Whether it is switched off by the client.
    pub disabled: bool,
    /// Which messages it wants.
    pub subscription: Subscription,
    /// Most deliveries per second; `None` for no limit.
    pub throttle_rate: Option<u16>,
    /// Which responses park a delivery at once.
    pub park_on: ParkOn,
    /// How it wants its deliveries, besides their rate.
    pub discipline: Discipline,
    /// The client's notes.
    pub metadata: Metadata,
}

/// A stored endpoint, without its secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// What the client says of it.
    pub spec: EndpointSpec,
    /// When and why we switched it off ourselves.
    pub switched_off: Option<SwitchedOff>,
    /// Since when nothing but failure came of it; `None` if it works, or nothing was tried.
    pub failing_since: Option<Timestamp>,
    /// Whether its receiver said that it wants it.
    pub verification: Verification,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Why Hookseal disabled an endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SwitchedOff {
    /// It answered 410 Gone (Standard Webhooks, "Disabling endpoints").
    Gone {
        /// When.
        at: Timestamp,
    },
    /// It did nothing but fail for the configured time.
    Failing {
        /// When it was switched off.
        at: Timestamp,
        /// Since when it had failed.
        since: Timestamp,
    },
}

/// All that sending to an endpoint needs, as of one generation.
#[derive(Debug)]
pub struct Destination {
    /// The endpoint.
    pub id: EndpointId,
    /// Where to deliver.
    pub url: EndpointUrl,
    /// Whether deliveries are held, for whatever reason.
    pub disabled: bool,
    /// Whether nothing at all may be sent to it.
    pub standing: Standing,
    /// Which messages it wants.
    pub subscription: Subscription,
    /// Which responses park a delivery at once.
    pub park_on: ParkOn,
    /// Most deliveries per second; `None` for no limit.
    pub throttle_rate: Option<u16>,
    /// What its receiver granted, if it was asked.
    pub grant: Option<Grant>,
    /// How it wants its deliveries, besides their rate.
    pub discipline: Discipline,
    /// Custom headers.
    pub headers: EndpointHeaders,
    /// Every key that signs now, newest first, each with the end of its life.
    pub signing_keys: Vec<Arc<LiveKey>>,
    /// What it says itself of transport security.
    pub transport: EndpointTransport,
    /// Grows with each change of what concerns the connection, so that none is used after it.
    pub generation: u64,
}

/// A signing key and until when it signs.
#[derive(Debug)]
pub struct LiveKey {
    /// The key.
    pub key: SigningKey,
    /// The end of its overlap; `None` for the current one.
    pub expires_at: Option<Timestamp>,
}

/// Status codes (4xx) that mean "the data is wrong": inspect, do not retry.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ParkOn(Vec<u16>);

// === impl Endpoint ===

impl Endpoint {
    /// Whether deliveries are made to it, whoever switched it off.
    pub const fn enabled(&self) -> Enabled {
        if self.spec.disabled || self.switched_off.is_some() {
            Enabled::No
        } else {
            Enabled::Yes
        }
    }

    /// Who or what switched it off; `None` if nobody did.
    pub fn disabled_by(&self) -> Option<DisabledBy> {
        match self.switched_off {
            Some(SwitchedOff::Gone { .. }) => Some(DisabledBy::Gone),
            Some(SwitchedOff::Failing { since, .. }) => Some(DisabledBy::Failing { since }),
            None => self.spec.disabled.then_some(DisabledBy::Client),
        }
    }
}

// === impl ParkOn ===

impl ParkOn {
    /// Codes 400 to 499 without 408, 410, 425 and 429, which have their own meaning.
    pub fn parse(codes: &[u16]) -> Result<Self, Violation> {
        if codes.len() > PARK_ON_MAX {
            return Err(Violation::new(
                "value_error.list.max_items",
                format!("must list at most {PARK_ON_MAX} status codes"),
            ));
        }
        let fit = |code: &u16| (400..500).contains(code) && ![408, 410, 425, 429].contains(code);
        if !codes.iter().all(fit) {
            return Err(Violation::new(
                "value_error.park_on",
                "must list status codes from 400 to 499, without 408, 410, 425 and 429",
            ));
        }
        let mut codes = codes.to_vec();
        codes.sort_unstable();
        codes.dedup();
        Ok(Self(codes))
    }

    /// Whether this response parks a delivery.
    pub fn contains(&self, code: u16) -> bool {
        self.0.binary_search(&code).is_ok()
    }

    /// The codes, ascending.
    pub fn codes(&self) -> &[u16] {
        &self.0
    }
}

// === impl Destination ===

impl Destination {
    /// The keys that sign at `now`.
    pub fn keys_at(&self, now: Timestamp) -> impl Iterator<Item = &SigningKey> {
        self.signing_keys
            .iter()
            .filter(move |live| live.expires_at.is_none_or(|end| now < end))
            .map(|live| &live.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn park_on_lists_client_errors_only() {
        assert_eq!(ParkOn::parse(&[422, 400, 422]).unwrap().codes(), [400, 422]);
        for wrong in [399, 500, 408, 410, 425, 429, 200] {
            assert_eq!(
                ParkOn::parse(&[wrong]).unwrap_err().rule,
                "value_error.park_on"
            );
        }
        assert!(ParkOn::parse(&[400; 101]).is_err());
    }
}
