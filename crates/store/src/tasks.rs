//! Tasks, as they go in and come out, and the steps in which they are worked off.
//!
//! A step is one transaction: what it does, and how far the task has come by it. It says where the
//! task stood, and does nothing where that is not so any more.

use async_trait::async_trait;

use hookseal_domain::delivery::DeliveryKey;
use hookseal_domain::endpoint::order::KeyHash;
use hookseal_domain::id::{AppId, MessageId, OrgId, TaskId};
use hookseal_domain::message::Message;
use hookseal_domain::task::{Finding, Task, TaskKind, TaskState, TaskWork};
use hookseal_domain::time::Timestamp;

use crate::config::Created;
use crate::error::{ChangeError, StoreError};
use crate::inspect::Content;
use crate::page::{Page, PageRequest};
use crate::publish::Idempotency;

/// Most tasks of one application that run at a time, and as many of the organisation itself: they
/// take turns, and more of them would only make each slower.
pub const TASKS_RUNNING_MAX: usize = 20;

/// The part of [`crate::Store`] that keeps tasks.
#[async_trait]
pub trait TaskStore {
    /// Begins a task.
    async fn create_task(
        &self,
        new: NewTask,
        idempotency: Option<Idempotency>,
    ) -> Result<Created<Task>, ChangeError>;

    /// One task.
    async fn task(&self, org: OrgId, task: TaskId) -> Result<Option<Task>, StoreError>;

    /// Tasks by id.
    async fn tasks(
        &self,
        org: OrgId,
        filter: TaskFilter,
        page: PageRequest<TaskId>,
    ) -> Result<Page<Task>, StoreError>;

    /// Ends a task before all is done; what it did stands. One that has ended already stays as it is.
    async fn cancel_task(
        &self,
        org: OrgId,
        task: TaskId,
        now: Timestamp,
    ) -> Result<Task, ChangeError>;

    /// The next running task after the given one, by id.
    async fn next_task(&self, after: Option<TaskId>) -> Result<Option<TaskId>, StoreError>;

    /// Takes a running task into this node's ownership; `None` if it ended meanwhile. With the payload
    /// of a broadcast.
    async fn take_task(&self, task: TaskId) -> Result<Option<RunningTask>, StoreError>;

    /// Reads what comes next of a replay; changes nothing.
    async fn look_ahead(&self, task: &RunningTask, limit: AheadLimit) -> Result<Ahead, StoreError>;

    /// A step of a replay: makes new deliveries of old messages, in the backlog, with the whole
    /// schedule. Each is looked at again: what does not stand any more as it is wanted, or is not to
    /// be had, gets none.
    async fn replay(&self, step: ReplayStep) -> Result<Stepped, StoreError>;

    /// A step that ends up to `limit` unfinished deliveries. What an attempt under way brings is
    /// taken down, but changes nothing any more.
    async fn cancel_deliveries(
        &self,
        of: TaskClaim,
        limit: usize,
        now: Timestamp,
    ) -> Result<(Stepped, Vec<DeliveryKey>), StoreError>;

    /// A step that comes by up to `limit` messages and forgets their payloads. Their unfinished
    /// deliveries come up, to be ended.
    async fn expunge_contents(
        &self,
        of: TaskClaim,
        limit: usize,
        now: Timestamp,
    ) -> Result<Stepped, StoreError>;

    /// A step past an application that a broadcast can't publish to. (Where it can, that step is
    /// [`crate::Store::accept`].)
    async fn pass_application(
        &self,
        of: TaskClaim,
        app: AppId,
        now: Timestamp,
    ) -> Result<Stepped, StoreError>;

    /// Finds out what comes next of a task about applications; changes nothing.
    async fn find_out(&self, task: &RunningTask) -> Result<Findings, StoreError>;

    /// A step that keeps what was found out.
    async fn keep_findings(&self, step: FindingStep) -> Result<Stepped, StoreError>;

    /// What a task found out so far, by application, of those after the given one.
    async fn findings(&self, task: TaskId, after: Option<AppId>)
    -> Result<FindingPage, StoreError>;

    /// Ends a task.
    async fn end_task(
        &self,
        of: TaskClaim,
        state: TaskState,
        now: Timestamp,
    ) -> Result<Stepped, StoreError>;

    /// Forgets tasks that have ended and were begun before, up to `limit` with what they found out;
    /// tells how many tasks.
    async fn forget_tasks(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError>;
}

/// A task to begin.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// Its id, made by this node.
    pub id: TaskId,
    /// Whose it is.
    pub org: OrgId,
    /// What it does.
    pub work: TaskWork,
    /// When it begins.
    pub now: Timestamp,
}

/// Which tasks. Absent means all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TaskFilter {
    /// That stand so.
    pub status: Option<TaskStatus>,
    /// Of this kind. Absent means all that the contract knows.
    pub kind: Option<TaskKind>,
    /// About this application.
    pub app: Option<AppId>,
}

/// How a task stands, in the API's terms.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TaskStatus {
    /// It goes on.
    Running,
    /// All is done.
    Finished,
    /// It ended before all was done, or somebody cancelled it.
    Failed,
}

/// A task that this node works off.
#[derive(Clone, Debug)]
pub struct RunningTask {
    /// As it stood when it was read.
    pub task: Task,
    /// What its next step says.
    pub claim: TaskClaim,
}

/// Where a task stood when its next step was prepared. If it does not any more, the step is void.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TaskClaim {
    /// Which task.
    pub task: TaskId,
    /// The epoch of the node that works it off.
    pub epoch: i64,
    /// How far it had come.
    pub cursor: i64,
}

/// How much to read ahead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AheadLimit {
    /// Most rows that are come by.
    pub rows: usize,
    /// Most payload bytes; at least one message is read all the same.
    pub bytes: usize,
    /// Whether payloads are needed.
    pub content: Content,
    /// Most deliveries that the endpoint's backlog may have for more to be added to it.
    pub backlog: usize,
}

/// What comes next of a replay.
#[derive(Clone, Debug)]
pub enum Ahead {
    /// These.
    Some(AheadRows),
    /// The endpoint's backlog is long enough.
    Full,
}

/// What a replay comes by next.
#[derive(Clone, Debug, Default)]
pub struct AheadRows {
    /// Messages whose delivery to the endpoint stands as wanted; for missing ones the subscription is
    /// still to be asked.
    pub messages: Vec<Message>,
    /// How many rows were come by.
    pub looked_at: u64,
    /// The last one of those.
    pub cursor: i64,
    /// Whether there is nothing after it.
    pub last: bool,
}

/// A step of a replay.
#[derive(Clone, Debug)]
pub struct ReplayStep {
    /// Of which task.
    pub of: TaskClaim,
    /// What is delivered, each with the order in which it takes the next place.
    pub messages: Vec<(MessageId, Option<KeyHash>)>,
    /// How many rows it comes by.
    pub looked_at: u64,
    /// The last one of those.
    pub cursor: i64,
    /// Whether nothing comes after it.
    pub last: bool,
    /// The time now.
    pub now: Timestamp,
}

/// What was found out next about applications.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Findings {
    /// About these.
    pub found: Vec<Finding>,
    /// How many applications were come by: some were deleted meanwhile.
    pub looked_at: u64,
    /// The last one of those.
    pub cursor: i64,
    /// Whether there is none after it.
    pub last: bool,
}

/// A step that keeps what was found out.
#[derive(Clone, Debug)]
pub struct FindingStep {
    /// Of which task.
    pub of: TaskClaim,
    /// What was found out.
    pub findings: Findings,
    /// The time now.
    pub now: Timestamp,
}

/// A part of what a task found out, in the order of applications.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FindingPage {
    /// As many as go into one answer.
    pub rows: Vec<Finding>,
    /// Whether there are more after those.
    pub more: bool,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stepped {
    /// It was made.
    Made(StepReport),
    /// Nothing: the task does not stand any more as it did, or is not this node's.
    Void,
}

/// What a step did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StepReport {
    /// How much of what was asked for.
    pub done: u64,
    /// How much was not possible.
    pub left_out: u64,
    /// How many deliveries came up to be ended.
    pub brought_up: u64,
    /// How the task ended by it; `None` if it goes on.
    pub ended: Option<TaskState>,
}
