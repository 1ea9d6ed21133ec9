//! Everything of a request that stays the same from one delivery to the next.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use http::HeaderMap;
use http::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, InvalidHeaderValue, USER_AGENT};

use hookseal_domain::endpoint::Destination;
use hookseal_domain::endpoint::verification::REQUEST_ORIGIN;
use hookseal_domain::id::OrgId;
use hookseal_domain::signature::standard;
use hookseal_domain::time::Timestamp;
use hookseal_egress::{Egress, Target, Transport, TransportError};

use crate::config::{EngineConfig, SvixHeaders};
use crate::transports::LazyTransport;

const WEBHOOK: [HeaderName; 3] = [
    HeaderName::from_static("webhook-id"),
    HeaderName::from_static("webhook-timestamp"),
    HeaderName::from_static("webhook-signature"),
];
const SVIX: [HeaderName; 3] = [
    HeaderName::from_static("svix-id"),
    HeaderName::from_static("svix-timestamp"),
    HeaderName::from_static("svix-signature"),
];

/// A destination, ready to be sent to.
pub(crate) struct Prepared {
    /// Whose it is.
    pub(crate) org: OrgId,
    /// What its policy demands of connections; nothing is sent without.
    transport: Result<Arc<LazyTransport>, Unusable>,
    /// What the store knows of it.
    pub(crate) destination: Arc<Destination>,
    /// Where to connect.
    pub(crate) target: Arc<Target>,
    /// Those that are the same every time, and the names of the others.
    headers: HeaderMap,
    svix_headers: SvixHeaders,
    /// Whether another one has taken its place.
    retired: AtomicBool,
}

/// All of an endpoint that a failure of TLS can come from: while it stays the same, nobody on our
/// side mended anything.
#[derive(Clone)]
pub(crate) struct Way {
    generation: u64,
    disabled: bool,
    /// Weak, so that remembering a failure keeps no keys.
    transport: Result<Weak<LazyTransport>, TransportError>,
}

/// Why there is no transport.
#[derive(Clone, Debug)]
pub(crate) enum Unusable {
    /// The policy can't be applied.
    Policy(TransportError),
    /// The store can't tell what the policy is.
    Unreadable,
}

/// Why a request can't be made. Ours to mend: nothing is sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    /// Every signing key has ended.
    #[error("the endpoint has no signing key that is valid now")]
    NoKey,
    /// A header can't be written.
    #[error("a header can't be written")]
    Header(#[from] InvalidHeaderValue),
}

// === impl Prepared ===

impl Prepared {
    pub(crate) fn new(
        org: OrgId,
        destination: Arc<Destination>,
        transport: Result<Arc<LazyTransport>, Unusable>,
        config: &EngineConfig,
    ) -> Self {
        let mut headers = HeaderMap::with_capacity(8 + destination.headers.pairs().len());
        for (name, value) in destination.headers.iter() {
            // Both were checked when they were saved; what is no header now can't be sent.
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
                headers.insert(name, value);
            }
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(agent) = HeaderValue::from_str(&config.user_agent) {
            headers.insert(USER_AGENT, agent);
        }
        // Whoever granted it wants to be told each time who sends (Web Hooks for Event Delivery, §4.1.2).
        let origin = destination.grant.as_ref().map(|grant| &grant.origin);
        if let Some(origin) = origin.and_then(|origin| origin.as_str().parse().ok()) {
            headers.insert(REQUEST_ORIGIN, origin);
        }
        // Names that get their values later, so that no copy has to grow for them.
        let svix = (config.svix_headers == SvixHeaders::Send).then_some(SVIX);
        for name in WEBHOOK.into_iter().chain(svix.into_iter().flatten()) {
            headers.insert(name, HeaderValue::from_static(""));
        }
        headers.insert(HOST, HeaderValue::from_static(""));
        let target = Arc::new(Target::new(&destination.url));
        Self {
            org,
            transport,
            destination,
            target,
            headers,
            svix_headers: config.svix_headers,
            retired: AtomicBool::new(false),
        }
    }

    /// What its policy demands of connections.
    pub(crate) async fn transport(&self, egress: &Egress) -> Result<Arc<Transport>, Unusable> {
        match &self.transport {
            Ok(transport) => transport.get(egress).await,
            Err(unusable) => Err(unusable.clone()),
        }
    }

    /// Another one has taken its place: nothing begins to be sent as this one says any more.
    pub(crate) fn retire(&self) {
        // First, so that whoever is stopped by the transport finds out why.
        self.retired.store(true, Ordering::Release);
        if let Ok(transport) = &self.transport {
            transport.retire();
        }
    }

    /// Whether another one has taken its place, which connects otherwise.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// Whether connections that were made for the other serve this one, too.
    pub(crate) fn connects_like(&self, other: &Self) -> bool {
        let same_transport = match (&self.transport, &other.transport) {
            (Ok(one), Ok(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        same_transport && self.destination.generation == other.destination.generation
    }

    /// How it is sent to; `None` if the store can't tell.
    pub(crate) fn way(&self) -> Option<Way> {
        let transport = match &self.transport {
            Ok(transport) => Ok(Arc::downgrade(transport)),
            Err(Unusable::Policy(error)) => Err(error.clone()),
            Err(Unusable::Unreadable) => return None,
        };
        Some(Way {
            generation: self.destination.generation,
            disabled: self.destination.disabled,
            transport,
        })
    }

    /// Whether its policy can't be applied for exactly this reason.
    pub(crate) fn is_unusable_by(&self, error: &TransportError) -> bool {
        matches!(&self.transport, Err(Unusable::Policy(own)) if own == error)
    }

    /// The headers of a request that has no body and no signature.
    pub(crate) fn unsigned(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        for name in WEBHOOK.into_iter().chain(SVIX) {
            headers.remove(name);
        }
        headers.remove(CONTENT_TYPE);
        headers
    }

    /// The headers of one request, which receivers know by `id`, signed with every key that is valid at `now`.
    pub(crate) fn sign(
        &self,
        id: String,
        now: Timestamp,
        body: &[u8],
    ) -> Result<HeaderMap, SignError> {
        let signature = standard::sign(self.destination.keys_at(now), &id, now, body);
        if signature.is_empty() {
            return Err(SignError::NoKey);
        }
        let values = [
            HeaderValue::try_from(id)?,
            HeaderValue::from(now.as_secs()),
            HeaderValue::try_from(signature)?,
        ];
        let mut headers = self.headers.clone();
        if self.svix_headers == SvixHeaders::Send {
            for (name, value) in SVIX.into_iter().zip(values.clone()) {
                headers.insert(name, value);
            }
        }
        for (name, value) in WEBHOOK.into_iter().zip(values) {
            headers.insert(name, value);
        }
        Ok(headers)
    }
}

// === impl Way ===

impl Way {
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let same_transport = match (&self.transport, &other.transport) {
            (Ok(one), Ok(other)) => Weak::ptr_eq(one, other),
            (Err(one), Err(other)) => one == other,
            _ => false,
        };
        same_transport && (self.generation, self.disabled) == (other.generation, other.disabled)
    }
}
