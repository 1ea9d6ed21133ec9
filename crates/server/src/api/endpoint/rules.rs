//! The rules of an endpoint's fields that need more than the domain's own.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use url::Host;

use hookseal_domain::address_policy::AddressPolicy;
use hookseal_domain::channel::Channel;
use hookseal_domain::endpoint::ParkOn;
use hookseal_domain::endpoint::headers::EndpointHeaders;
use hookseal_domain::endpoint::url::{EndpointUrl, Scheme};
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::limits::{CHANNELS_PER_ENDPOINT_MAX, EVENT_TYPES_PER_ENDPOINT_MAX};
use hookseal_domain::violation::Violation;

use crate::api::check::{Fields, Items};

/// Headers by name; the violation stands at the header.
pub(crate) fn check_headers(
    fields: &mut Fields<'_>,
    given: BTreeMap<String, String>,
) -> Option<EndpointHeaders> {
    EndpointHeaders::parse(given)
        .inspect_err(|(name, violation)| match name.as_str() {
            "" if violation.rule == "header.count" => fields.add("headers", violation),
            name => fields.add_at(&["headers", name], violation),
        })
        .ok()
}

/// A URL that the operator's policy does not refuse as it stands. Names are resolved, and what they
/// resolve to is checked, at each attempt.
pub(crate) fn check_url(given: &str, policy: &AddressPolicy) -> Result<EndpointUrl, Violation> {
    let url = EndpointUrl::parse(given)?;
    if url.scheme() == Scheme::Plain && !policy.plain_http_possible() {
        return Err(Violation::new(
            "value_error.url.plain_http",
            "must use https: plain HTTP is not allowed (egress.plain_http)",
        ));
    }
    let ip = match url.host() {
        Host::Ipv4(ip) => IpAddr::V4(ip),
        Host::Ipv6(ip) => IpAddr::V6(ip),
        Host::Domain(_) => return Ok(url),
    };
    match policy.screen(SocketAddr::new(ip, url.port()), url.scheme()) {
        Ok(_) => Ok(url),
        Err(denied) => Err(Violation::new(
            "value_error.url.address",
            format!(
                "must not go to this address ({}): {denied}",
                denied.reason.as_str()
            ),
        )),
    }
}

/// `None` for all; a broken rule is noted, so that what is returned then does not matter.
pub(crate) fn check_event_types(
    fields: &mut Fields<'_>,
    given: Option<&[String]>,
    min: usize,
) -> Option<Vec<EventTypeName>> {
    let items = Items {
        min,
        max: EVENT_TYPES_PER_ENDPOINT_MAX,
    };
    let types = fields.list("eventTypes", given?, items, EventTypeName::parse)?;
    (!types.is_empty()).then_some(types)
}

pub(crate) fn check_channels(
    fields: &mut Fields<'_>,
    given: Option<&[String]>,
    min: usize,
) -> Option<Vec<Channel>> {
    let items = Items {
        min,
        max: CHANNELS_PER_ENDPOINT_MAX,
    };
    let channels = fields.list("channels", given?, items, Channel::parse)?;
    (!channels.is_empty()).then_some(channels)
}

pub(crate) fn check_park_on(given: &[i64]) -> Result<ParkOn, Violation> {
    // What does not fit the type is no status code either: 0 is refused by the rule.
    let codes: Vec<u16> = given
        .iter()
        .map(|code| u16::try_from(*code).unwrap_or(0))
        .collect();
    ParkOn::parse(&codes)
}
