//! What a fake endpoint received.

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Method, Version};

/// One request, byte for byte.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its method.
    pub method: Method,
    /// Its path with the query.
    pub path: String,
    /// `HTTP/1.1` or `HTTP/2`.
    pub version: Version,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// When the body was complete.
    pub arrived: Instant,
    /// Which connection it came over, from 0.
    pub connection: usize,
}

/// What became of the connections of a fake endpoint.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Connections {
    /// How many were opened.
    pub opened: usize,
    /// The TLS handshakes that failed, with the reason as our side saw it.
    pub handshakes_failed: Vec<String>,
    /// Bytes of a request, after TLS, on all connections: 0 means that nothing was sent.
    pub application_bytes: u64,
}

// === impl Received ===

impl Received {
    /// A header's value; empty where it is absent or not text.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// `webhook-id`: the message's id.
    pub fn webhook_id(&self) -> &str {
        self.header("webhook-id")
    }
}
