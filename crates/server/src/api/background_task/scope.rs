//! Whose background tasks a caller may touch.
//!
//! **Invariant:** an application's token reaches tasks about its own application only, and can't tell
//! whether another one exists.

use axum::http::request::Parts;

use hookseal_domain::access::Principal;
use hookseal_domain::id::{AppId, OrgId, TaskId};
use hookseal_domain::task::Task;

use crate::api::ApiContext;
use crate::api::access::{Scope, path_param};
use crate::api::background_task::WHAT;
use crate::api::error::ApiError;

/// The tasks that the caller may see.
pub(crate) struct OwnTasks {
    /// Of this organisation,
    pub(crate) org: OrgId,
    /// about this application; `None` for all.
    pub(crate) app: Option<AppId>,
}

/// The task in the path.
pub(crate) struct OwnTask(pub(crate) Task);

// === impl OwnTasks ===

impl OwnTasks {
    fn of(principal: Principal) -> Self {
        let (org, app) = match principal {
            Principal::Organisation(org) => (org, None),
            Principal::Application(org, app) => (org, Some(app)),
        };
        Self { org, app }
    }
}

impl Scope for OwnTasks {
    async fn authorize(
        _: &ApiContext,
        principal: Principal,
        _: &mut Parts,
    ) -> Result<Self, ApiError> {
        Ok(Self::of(principal))
    }
}

impl Scope for OwnTask {
    async fn authorize(
        api: &ApiContext,
        principal: Principal,
        parts: &mut Parts,
    ) -> Result<Self, ApiError> {
        let text = path_param(parts, "task_id").await?;
        let OwnTasks { org, app } = OwnTasks::of(principal);
        let found = match TaskId::parse(&text) {
            Some(id) => api.engine.store().task(org, id).await?,
            None => None,
        };
        let own = found.filter(|task| app.is_none() || task.work.app() == app);
        own.map(Self).ok_or_else(|| ApiError::not_found(WHAT))
    }
}
