//! Settings of what is forgotten.

use std::time::Duration;

use hookseal_store::retention::RetentionPolicy;

use crate::config::section::section;

/// Rows of one batch of forgetting: the store's one writer does nothing else for some 4 ms.
const BATCH_ROWS: usize = 200;

section! {
    /// What is forgotten, and when.
    pub struct RetentionSection in "retention" {
        /// Age at which messages are forgotten with their deliveries and attempts. Payloads go
        /// earlier where the message says so (`payloadRetentionPeriod`). Must be longer than
        /// `delivery.retry_schedule` may take.
        history: Duration = "90d", from "1h" to "3650d";
    }
}

// === impl RetentionSection ===

impl RetentionSection {
    /// For the store.
    pub fn policy(&self) -> RetentionPolicy {
        RetentionPolicy {
            history: self.history,
            batch_rows: BATCH_ROWS,
        }
    }
}
