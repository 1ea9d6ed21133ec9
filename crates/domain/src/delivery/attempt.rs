//! An attempt: one try of a delivery, as it is kept. Append-only.

use std::net::IpAddr;

use bytes::Bytes;

use crate::delivery::outcome::Outcome;
use crate::delivery::{DeliveryKey, Ended, Trigger};
use crate::id::AttemptId;
use crate::time::Timestamp;
use crate::transport::failure::TlsFailure;

/// A finished attempt. Began when its id says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// Which delivery.
    pub key: DeliveryKey,
    /// Why the delivery exists.
    pub trigger: Trigger,
    /// Which try of the delivery it was, from 1.
    pub number: u32,
    /// What it meant.
    pub outcome: Outcome,
    /// The response's status code, where there was one.
    pub status_code: Option<u16>,
    /// From start to end, in milliseconds.
    pub duration_ms: u32,
    /// How the delivery ended, if with this attempt.
    pub ended: Option<Ended>,
    /// What the store keeps sealed.
    pub facts: AttemptFacts,
}

/// What was seen during an attempt; sealed at rest.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AttemptFacts {
    /// The URL as it was then.
    pub url: String,
    /// The first bytes of the response's body, or nothing; `None` once expunged.
    pub response_body: Option<Bytes>,
    /// Why it failed, for people.
    pub reason: Option<String>,
    /// What it means, where TLS failed.
    pub tls_failure: Option<TlsFailure>,
    /// The `webhook-id` of the batch that it was a part of; `None` if it was sent alone.
    pub batch: Option<String>,
    /// The connection.
    pub connection: ConnectionFacts,
}

/// What is known of a connection.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ConnectionFacts {
    /// Where it went to.
    pub remote_ip: Option<IpAddr>,
    /// Addresses of the same answer that the policy refused, with the reason's name.
    pub refused: Vec<(IpAddr, String)>,
    /// `HTTP/1.1` or `HTTP/2`.
    pub http_version: Option<String>,
    /// The TLS session, where there was one.
    pub tls: Option<TlsFacts>,
}

/// What is known of a TLS session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// IANA name of the cipher suite.
    pub cipher_suite: String,
    /// IANA name of the key-exchange group.
    pub key_exchange_group: String,
    /// SHA-256 of the leaf's SubjectPublicKeyInfo, RFC 7469 text form (`sha256/…`).
    pub peer_spki_sha256: String,
    /// When the leaf expires.
    pub certificate_expires_at: Timestamp,
}
