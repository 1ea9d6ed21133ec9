//! Enabling an endpoint again: it and the task that goes with it are one transaction.

use async_trait::async_trait;

use hookseal_domain::endpoint::Endpoint;
use hookseal_domain::id::{AppId, EndpointId, TaskId};
use hookseal_domain::operational::Enabled;
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;

use crate::endpoint_health::{EndpointHealthStore, Reenabled};
use crate::error::ChangeError;
use crate::publish::Idempotency;
use crate::sqlite::batch::Batch;
use crate::sqlite::failure::Failure;
use crate::sqlite::idempotency::{self, Earlier};
use crate::sqlite::{SqliteStore, endpoint_health, endpoints, operational, tasks};
use crate::tasks::NewTask;

const ENABLE: &str = "UPDATE endpoint SET disabled = 0, switched_off = NULL, \
    switched_off_at = NULL, switched_off_failing_since = NULL, release_held = 1, updated_at = ?4 \
    WHERE slice = ?1 AND app = ?2 AND id = ?3";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 1] = [ENABLE];

#[async_trait]
impl EndpointHealthStore for SqliteStore {
    async fn enable_endpoint(
        &self,
        app: AppId,
        endpoint: EndpointId,
        recovery: Option<NewTask>,
        now: Timestamp,
        request: Option<Idempotency>,
    ) -> Result<Reenabled, ChangeError> {
        let enable = move |batch: &mut Batch<'_>| {
            let slice = idempotency::slice_of_key(request.as_ref());
            let Some(before) = endpoints::live(batch.connection, app, endpoint)? else {
                return Ok(Err(ChangeError::NotFound));
            };
            let before = before.endpoint;
            match idempotency::earlier(batch, slice, request.as_ref(), now)? {
                Earlier::None => {}
                Earlier::Made(id) => {
                    let task = recovery.as_ref().map(|new| new.org);
                    let task = task.map(|org| tasks::find(batch, TaskId::from_raw(id), org));
                    return Ok(Ok(Reenabled {
                        endpoint: before,
                        task: task.transpose()?.flatten(),
                    }));
                }
                Earlier::OtherBody => return Ok(Err(ChangeError::IdempotencyKeyReused)),
            }
            let task = match &recovery {
                None => None,
                Some(new) => match tasks::begin(batch, new, None)? {
                    Ok(task) => Some(task),
                    Err(refused) => return Ok(Err(refused)),
                },
            };
            let made = task.as_ref().map_or(endpoint.raw(), |task| task.id.raw());
            idempotency::remember(batch, slice, request.as_ref(), made)?;
            let endpoint = switch_on(batch, app, before, now)?;
            Ok(Ok(Reenabled { endpoint, task }))
        };
        self.writer.change(enable).await
    }
}

fn switch_on(
    batch: &mut Batch<'_>,
    app: AppId,
    before: Endpoint,
    now: Timestamp,
) -> Result<Endpoint, Failure> {
    if before.enabled() == Enabled::Yes {
        return Ok(before);
    }
    let id = before.id;
    let key = [
        Slice::of(app).as_i64(),
        app.raw(),
        id.raw(),
        now.as_millis(),
    ];
    batch.execute(ENABLE, key)?;
    endpoint_health::forget(batch, app, id)?;
    batch.changed(app, 0)?;
    let after = endpoints::live(batch.connection, app, id)?;
    let after = after.map_or_else(|| before.clone(), |row| row.endpoint);
    operational::endpoint_updated(batch, app, &before, &after)?;
    Ok(after)
}
