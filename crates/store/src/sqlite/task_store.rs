//! The store's intents of tasks, each in its own file. Must never do anything itself.

use async_trait::async_trait;

use hookseal_domain::delivery::DeliveryKey;
use hookseal_domain::id::{AppId, OrgId, TaskId};
use hookseal_domain::task::{Task, TaskState};
use hookseal_domain::time::Timestamp;

use crate::config::Created;
use crate::error::{ChangeError, StoreError};
use crate::page::{Page, PageRequest};
use crate::publish::Idempotency;
use crate::sqlite::SqliteStore;
use crate::sqlite::tasks::{self, ends, findings, replays};
use crate::tasks::{
    Ahead, AheadLimit, FindingPage, FindingStep, Findings, NewTask, ReplayStep, RunningTask,
    Stepped, TaskClaim, TaskFilter, TaskStore,
};

#[async_trait]
impl TaskStore for SqliteStore {
    async fn create_task(
        &self,
        new: NewTask,
        idempotency: Option<Idempotency>,
    ) -> Result<Created<Task>, ChangeError> {
        tasks::create(self, new, idempotency).await
    }

    async fn task(&self, org: OrgId, task: TaskId) -> Result<Option<Task>, StoreError> {
        tasks::one(self, org, task).await
    }

    async fn tasks(
        &self,
        org: OrgId,
        filter: TaskFilter,
        page: PageRequest<TaskId>,
    ) -> Result<Page<Task>, StoreError> {
        tasks::list(self, org, filter, page).await
    }

    async fn cancel_task(
        &self,
        org: OrgId,
        task: TaskId,
        now: Timestamp,
    ) -> Result<Task, ChangeError> {
        tasks::cancel(self, org, task, now).await
    }

    async fn next_task(&self, after: Option<TaskId>) -> Result<Option<TaskId>, StoreError> {
        tasks::next(self, after).await
    }

    async fn take_task(&self, task: TaskId) -> Result<Option<RunningTask>, StoreError> {
        tasks::take(self, task).await
    }

    async fn look_ahead(&self, task: &RunningTask, limit: AheadLimit) -> Result<Ahead, StoreError> {
        replays::look_ahead(self, task, limit).await
    }

    async fn replay(&self, step: ReplayStep) -> Result<Stepped, StoreError> {
        replays::step(self, step).await
    }

    async fn cancel_deliveries(
        &self,
        of: TaskClaim,
        limit: usize,
        now: Timestamp,
    ) -> Result<(Stepped, Vec<DeliveryKey>), StoreError> {
        ends::cancel(self, of, limit, now).await
    }

    async fn expunge_contents(
        &self,
        of: TaskClaim,
        limit: usize,
        now: Timestamp,
    ) -> Result<Stepped, StoreError> {
        ends::expunge(self, of, limit, now).await
    }

    async fn pass_application(
        &self,
        of: TaskClaim,
        app: AppId,
        now: Timestamp,
    ) -> Result<Stepped, StoreError> {
        ends::pass(self, of, app, now).await
    }

    async fn find_out(&self, task: &RunningTask) -> Result<Findings, StoreError> {
        findings::find_out(self, task).await
    }

    async fn keep_findings(&self, step: FindingStep) -> Result<Stepped, StoreError> {
        findings::keep(self, step).await
    }

    async fn findings(
        &self,
        task: TaskId,
        after: Option<AppId>,
    ) -> Result<FindingPage, StoreError> {
        findings::kept(self, task, after).await
    }

    async fn end_task(
        &self,
        of: TaskClaim,
        state: TaskState,
        now: Timestamp,
    ) -> Result<Stepped, StoreError> {
        tasks::end_only(self, of, state, now).await
    }

    async fn forget_tasks(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        tasks::forget(self, before, limit).await
    }
}
