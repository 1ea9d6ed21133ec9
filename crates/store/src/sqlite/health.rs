//! Whether the store can be read and written.

use crate::error::StoreError;
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::Batch;

const HEALTH: &str = "UPDATE node SET heartbeat = heartbeat WHERE id = ?1";

/// Writes a row, so that a full or broken disk is noticed.
pub(super) async fn health(store: &SqliteStore) -> Result<(), StoreError> {
    store.readers.ask(|_| Ok(())).await?;
    let write = |batch: &mut Batch<'_>| {
        batch.execute(HEALTH, [batch.node])?;
        Ok(Ok(()))
    };
    store.writer.change::<_, _, StoreError>(write).await
}
