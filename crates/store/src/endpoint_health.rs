//! What is done about endpoints that were disabled, as it is kept.

use async_trait::async_trait;

use hookseal_domain::endpoint::Endpoint;
use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::task::Task;
use hookseal_domain::time::Timestamp;

use crate::error::ChangeError;
use crate::publish::Idempotency;
use crate::tasks::NewTask;

/// The part of [`crate::Store`] that brings endpoints back. (That they fail is taken down with the
/// attempts, by [`crate::Store::record`].)
#[async_trait]
pub trait EndpointHealthStore: Send + Sync {
    /// Enables an endpoint, whoever disabled it, and begins a task with that, all in one: what was held
    /// is released, and that it failed is forgotten. One that is enabled stays as it is, but the task
    /// begins all the same.
    async fn enable_endpoint(
        &self,
        app: AppId,
        endpoint: EndpointId,
        recovery: Option<NewTask>,
        now: Timestamp,
        idempotency: Option<Idempotency>,
    ) -> Result<Reenabled, ChangeError>;
}

/// What came of enabling an endpoint.
#[derive(Clone, Debug)]
pub struct Reenabled {
    /// As it stands now.
    pub endpoint: Endpoint,
    /// What was begun with it.
    pub task: Option<Task>,
}
