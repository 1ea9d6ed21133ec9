//! The parts of the HTTP API that the demo uses, as a client sees them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// An application to make.
#[derive(Serialize)]
pub struct ApplicationIn<'a> {
    /// For people.
    pub name: &'a str,
    /// Our own name of it.
    pub uid: &'a str,
}

/// An event type to make.
#[derive(Serialize)]
pub struct EventTypeIn<'a> {
    /// Its name.
    pub name: &'a str,
    /// For people.
    pub description: &'a str,
}

/// An endpoint to make.
#[derive(Serialize)]
pub struct EndpointIn<'a> {
    /// Where to deliver.
    pub url: &'a str,
    /// Our own name of it.
    pub uid: &'a str,
    /// For people.
    pub description: &'a str,
    /// Its signing key; the server makes one if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<&'a str>,
}

/// A message to publish.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageIn<'a> {
    /// What happened.
    pub event_type: &'a str,
    /// The facts.
    pub payload: &'a RawValue,
}

/// A thing that was made.
#[derive(Deserialize)]
pub struct Made {
    /// Its id.
    pub id: String,
}

/// Whatever else was answered.
#[derive(Deserialize)]
pub struct Anything {}

/// What a receiver verifies with.
#[derive(Deserialize)]
pub struct SecretOut {
    /// The key.
    pub key: String,
}

/// An endpoint.
#[derive(Deserialize)]
pub struct EndpointOut {
    /// Whether its deliveries are held.
    #[serde(default)]
    pub disabled: bool,
}

/// A background task.
#[derive(Deserialize)]
pub struct TaskOut {
    /// Its id.
    pub id: String,
    /// `running`, `finished` or `failed`.
    pub status: String,
    /// How far it has come.
    pub data: TaskData,
}

/// How far a task has come.
#[derive(Deserialize)]
pub struct TaskData {
    /// Deliveries that it made.
    pub done: u64,
}

/// One page of a list.
#[derive(Deserialize)]
pub struct Page<T> {
    /// The things.
    pub data: Vec<T>,
    /// Where the next page begins.
    pub iterator: Option<String>,
    /// Whether this is the last page.
    pub done: bool,
}

/// A message as an endpoint has it: a delivery.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryOut {
    /// The message.
    pub id: String,
    /// What happened.
    pub event_type: String,
    /// How the delivery stands.
    pub status: u8,
    /// When it is tried next, where that is known.
    pub next_attempt: Option<String>,
}

/// An attempt.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptOut {
    /// Whose.
    pub msg_id: String,
    /// When it began.
    pub timestamp: String,
    /// What was answered; 0 for nothing.
    pub response_status_code: u16,
    /// How long it took.
    pub response_duration_ms: u64,
    /// Which try of the delivery it was, from 1.
    pub attempt_number: u32,
    /// What it meant.
    pub outcome: String,
    /// Why it failed, where the outcome does not say it all.
    pub reason: Option<String>,
    /// What it means, where TLS failed.
    pub tls_failure: Option<TlsFailureOut>,
    /// The connection.
    #[serde(default)]
    pub connection: ConnectionOut,
}

/// What a failure of TLS means.
#[derive(Clone, Debug, Deserialize)]
pub struct TlsFailureOut {
    /// Its stable name.
    pub code: String,
    /// What to do.
    pub advice: String,
}

/// What is known of a connection.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ConnectionOut {
    /// The TLS session, where there was one.
    pub tls: Option<TlsOut>,
}

/// A TLS session.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsOut {
    /// The protocol's version.
    pub version: String,
    /// The group in which keys were exchanged.
    pub key_exchange_group: String,
}

/// Values of [`DeliveryOut::status`] (the contract's `MessageStatus`).
pub const STATUS_SUCCESS: u8 = 0;
/// To be tried, or held.
pub const STATUS_PENDING: u8 = 1;
/// Given up.
pub const STATUS_FAIL: u8 = 2;

/// Attempts by message, each in the order they were made.
pub type AttemptsByMessage = BTreeMap<String, Vec<AttemptOut>>;
