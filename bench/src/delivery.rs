//! Signed requests to the receiver's endpoints, as the bare client and the relay send them.

use anyhow::Context;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;

use crate::connection::Target;
use crate::receiver;
use crate::signature::{self, SigningKey};

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// All endpoints of one receiver.
#[derive(Debug)]
pub(crate) struct Endpoints {
    host: HeaderValue,
    endpoints: Vec<Endpoint>,
}

/// One endpoint: where its deliveries go and how they are signed.
#[derive(Debug)]
pub(crate) struct Endpoint {
    path: Uri,
    key: SigningKey,
}

/// The headers that are the same for all deliveries of a message.
#[derive(Debug)]
pub(crate) struct Envelope {
    id: HeaderValue,
    timestamp: HeaderValue,
}

// === impl Endpoints ===

impl Endpoints {
    /// Endpoints 0 to `count` - 1 of the receiver at `target`.
    pub(crate) fn new(target: &Target, count: u16) -> anyhow::Result<Self> {
        let endpoints = (0..count)
            .zip(signature::endpoint_keys(count)?)
            .map(|(endpoint, key)| {
                Ok(Endpoint {
                    path: receiver::path(endpoint).try_into()?,
                    key,
                })
            })
            .collect::<anyhow::Result<Vec<Endpoint>>>()?;
        Ok(Self {
            host: target.host()?,
            endpoints,
        })
    }

    /// Each endpoint.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.endpoints.len()
    }

    /// The endpoint at `position`.
    pub(crate) fn at(&self, position: usize) -> anyhow::Result<&Endpoint> {
        self.endpoints.get(position).context("no such endpoint")
    }

    /// A signed delivery of `body` to `endpoint`.
    pub(crate) fn request(
        &self,
        endpoint: &Endpoint,
        envelope: &Envelope,
        body: Bytes,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let (id, timestamp) = (envelope.id.to_str()?, envelope.timestamp.to_str()?);
        let signature = endpoint.key.sign(id, timestamp, &body);
        Ok(Request::builder()
            .method(Method::POST)
            .uri(endpoint.path.clone())
            .header(HOST, self.host.clone())
            .header(USER_AGENT, HeaderValue::from_static("hookseal-bench"))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(WEBHOOK_ID, envelope.id.clone())
            .header(WEBHOOK_TIMESTAMP, envelope.timestamp.clone())
            .header(WEBHOOK_SIGNATURE, HeaderValue::try_from(signature)?)
            .body(Full::new(body))?)
    }
}

// === impl Envelope ===

impl Envelope {
    /// For the message with this number, sent at `unix_s`.
    pub(crate) fn new(number: u64, unix_s: u64) -> anyhow::Result<Self> {
        Ok(Self {
            id: HeaderValue::try_from(format!("msg_{number:027}"))?,
            timestamp: HeaderValue::from(unix_s),
        })
    }

    /// The message's id.
    pub(crate) fn id(&self) -> &HeaderValue {
        &self.id
    }
}
