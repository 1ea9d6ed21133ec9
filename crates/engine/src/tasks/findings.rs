//! A step of a task that finds things out about applications: looks, then keeps.

use std::sync::Arc;

use hookseal_store::error::StoreError;
use hookseal_store::tasks::{FindingStep, RunningTask};

use super::{Went, note};
use crate::shared::Shared;

pub(super) async fn step(shared: &Arc<Shared>, running: &RunningTask) -> Result<Went, StoreError> {
    let findings = shared.store.find_out(running).await?;
    let step = FindingStep {
        of: running.claim,
        findings,
        now: shared.clock.now(),
    };
    note(shared, running, shared.store.keep_findings(step).await?);
    Ok(Went::On)
}
