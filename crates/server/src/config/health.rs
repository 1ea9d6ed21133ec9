//! Settings of endpoint health.

use std::time::Duration;

use hookseal_domain::endpoint::health::HealthRule;

use crate::config::section::section;

section! {
    /// What happens to an endpoint that does nothing but fail.
    pub struct HealthSection in "health" {
        /// After so long of nothing but failed attempts an endpoint is disabled; `0s` for never. The
        /// organisation is told at half and at nine tenths of it, and when it happens, by
        /// operational events. Half of it passes after the first notice and a tenth after the last,
        /// however long nothing was tried before.
        disable_after: Duration = "5d", from "0s" to "365d";
    }
}

// === impl HealthSection ===

impl HealthSection {
    /// For the engine.
    pub fn rule(&self) -> HealthRule {
        HealthRule {
            disable_after: (!self.disable_after.is_zero()).then_some(self.disable_after),
        }
    }
}
