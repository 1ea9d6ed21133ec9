//! What an organisation is told of its endpoints and deliveries, as it is kept.
//!
//! Each event stands in the transaction of what it tells: none is lost, none is invented. What it
//! leaves to be done in memory is told afterwards.

use async_trait::async_trait;

use hookseal_domain::id::{AppId, OrgId};
use hookseal_domain::time::Timestamp;

use crate::aftermath::Aftermath;
use crate::error::{ChangeError, StoreError};

/// The part of [`crate::Store`] that keeps operational events.
///
/// They are messages of an application that an organisation has for them. It is not among the
/// others: neither listed nor found by a reference, and nothing is told of it itself.
#[async_trait]
pub trait OperationalStore: Send + Sync {
    /// The organisation's application for operational events; `None` if nobody asked for it yet.
    async fn operational_application(&self, org: OrgId) -> Result<Option<AppId>, StoreError>;

    /// The same, made with this id where there is none yet.
    async fn make_operational_application(
        &self,
        org: OrgId,
        id: AppId,
        now: Timestamp,
    ) -> Result<AppId, ChangeError>;

    /// Waits until transactions left something to be done in memory, and takes it.
    async fn aftermath(&self) -> Aftermath;
}
