//! What organisations are told, each intent in its own file. Must never do anything itself.

use async_trait::async_trait;

use hookseal_domain::id::{AppId, OrgId};
use hookseal_domain::time::Timestamp;

use crate::aftermath::Aftermath;
use crate::error::{ChangeError, StoreError};
use crate::operational::OperationalStore;
use crate::sqlite::{SqliteStore, operational};

#[async_trait]
impl OperationalStore for SqliteStore {
    async fn operational_application(&self, org: OrgId) -> Result<Option<AppId>, StoreError> {
        operational::application(self, org).await
    }

    async fn make_operational_application(
        &self,
        org: OrgId,
        id: AppId,
        now: Timestamp,
    ) -> Result<AppId, ChangeError> {
        operational::make_application(self, org, id, now).await
    }

    async fn aftermath(&self) -> Aftermath {
        self.aftermath.take().await
    }
}
