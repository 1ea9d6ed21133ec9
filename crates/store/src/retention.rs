//! What is forgotten, and when.

use std::time::Duration;

/// What is forgotten.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RetentionPolicy {
    /// Age at which messages are forgotten with their deliveries and attempts.
    pub history: Duration,
    /// Most rows of one batch: small, since the writer does nothing else meanwhile.
    pub batch_rows: usize,
}

/// What one batch forgot.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Retained {
    /// Payloads whose own time was over.
    pub payloads: u64,
    /// Messages with all that belongs to them.
    pub messages: u64,
    /// Idempotency records.
    pub idempotency_records: u64,
    /// Whether there is more to forget at once.
    pub more: bool,
}
