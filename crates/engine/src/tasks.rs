//! Works tasks off, one step of each in turn.
//!
//! **Invariant:** a step is one transaction of the store; whatever ends this process, the next one goes
//! on after the last step. Steps are small and leave room between them, so that publishing and results
//! go first.

mod broadcasts;
mod findings;
mod replays;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tracing::{error, info};

use hookseal_domain::delivery::Ended;
use hookseal_domain::id::{AppId, EndpointId, MessageId, OrgId, TaskId};
use hookseal_domain::task::{Task, TaskState, TaskWork};
use hookseal_domain::time::Timestamp;
use hookseal_store::error::{ChangeError, StoreError};
use hookseal_store::publish::Idempotency;
use hookseal_store::tasks::{NewTask, RunningTask, Stepped};

use crate::Engine;
use crate::backlog;
use crate::expunged;
use crate::shared::Shared;

/// Most rows that a step comes by: the store's writer does nothing else for a few milliseconds.
const STEP_ROWS: usize = 200;
/// Pause after a step, so that others get their turn with the writer.
const PAUSE: Duration = Duration::from_millis(10);
/// Pause after a round in which every task waits for room.
const ROOM_PAUSE: Duration = Duration::from_millis(100);
/// How often to look for tasks that nobody told of: those of an earlier process, or after a failure.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often to forget tasks that have ended.
const FORGET_EVERY: Duration = Duration::from_secs(60);
/// Most tasks that are forgotten at once; the others come next time.
const FORGET_ROWS: usize = 500;

/// Somebody began a task.
#[derive(Default)]
pub(crate) struct TaskHint(Notify);

/// What came of a step.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Went {
    /// There is nothing to do.
    Idle,
    /// The task waits for room.
    Waits,
    /// It went on, or ended.
    On,
}

/// A round: a step of each task.
struct Round {
    running: i64,
    went: Went,
}

// === impl TaskHint ===

impl TaskHint {
    /// Somebody began one: it need not wait.
    pub(crate) fn began(&self) {
        self.0.notify_one();
    }
}

/// Works tasks off, for ever.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut forget_at = shared.clock.now();
    loop {
        let round = round(&shared).await;
        shared.metrics.tasks.running.set(round.running);
        let now = shared.clock.now();
        if now >= forget_at {
            forget_at = now.plus(FORGET_EVERY);
            forget(&shared, now).await;
        }
        match round.went {
            Went::On => {}
            Went::Waits => pause(&shared, ROOM_PAUSE).await,
            Went::Idle => pause(&shared, LOOK_EVERY).await,
        }
    }
}

async fn round(shared: &Arc<Shared>) -> Round {
    let mut round = Round {
        running: 0,
        went: Went::Idle,
    };
    let mut after = None;
    loop {
        let next = match shared.store.next_task(after).await {
            Ok(next) => next,
            Err(error) => {
                error!(error = %error, "Could not look for tasks");
                None
            }
        };
        let Some(task) = next else { return round };
        after = Some(task);
        round.running += 1;
        match step_of(shared, task).await {
            Ok(went) => round.went = round.went.max(went),
            // Nor does it keep the others from going on.
            Err(error) => {
                error!(task.id = %task, error = %error, "Task {task} could not go on; trying again");
            }
        }
        pause(shared, PAUSE).await;
    }
}

/// Waits for a while, or until somebody begins a task.
async fn pause(shared: &Shared, pause: Duration) {
    let until = shared.clock.now().plus(pause);
    tokio::select! {
        () = shared.clock.sleep_until(until) => {}
        () = shared.task_hint.0.notified() => {}
    }
}

async fn step_of(shared: &Arc<Shared>, task: TaskId) -> Result<Went, StoreError> {
    match shared.store.take_task(task).await? {
        Some(running) => step(shared, &running).await,
        None => Ok(Went::On),
    }
}

async fn step(shared: &Arc<Shared>, running: &RunningTask) -> Result<Went, StoreError> {
    match &running.task.work {
        TaskWork::Replay {
            app,
            endpoint,
            which,
            ..
        } => replays::step(shared, running, (*app, *endpoint), which).await,
        TaskWork::Cancel { app, endpoint, .. } => cancel(shared, running, *app, *endpoint).await,
        TaskWork::Expunge { .. } => expunge(shared, running).await,
        TaskWork::Broadcast { message, span } => {
            broadcasts::step(shared, running, message, *span).await
        }
        TaskWork::Usage { .. } | TaskWork::Subscriptions { .. } => {
            findings::step(shared, running).await
        }
        // Whoever reads the task gets the document; there is nothing to prepare.
        TaskWork::Export { .. } => {
            let (store, now) = (&shared.store, shared.clock.now());
            let ended = store.end_task(running.claim, TaskState::Finished, now);
            note(shared, running, ended.await?);
            Ok(Went::On)
        }
    }
}

/// Takes note of what a step did.
fn note(shared: &Shared, running: &RunningTask, stepped: Stepped) {
    let (task, kind) = (running.task.id, running.task.work.kind());
    let Stepped::Made(report) = stepped else {
        // Somebody cancelled it meanwhile.
        return;
    };
    shared.metrics.tasks.count(kind, &report);
    let (kind, before) = (kind.as_str(), running.task.progress);
    let done = before.done + report.done;
    match report.ended {
        None | Some(TaskState::Running) => {}
        Some(TaskState::Finished) => info!(
            task.id = %task, kind, done, "Finished task {task} ({kind}): {done} done"
        ),
        Some(TaskState::Failed(why)) => {
            let why = why.as_str();
            info!(
                task.id = %task, kind, done, why, "Ended task {task} ({kind}) after {done}: {why}"
            );
        }
    }
}

async fn cancel(
    shared: &Arc<Shared>,
    running: &RunningTask,
    app: AppId,
    endpoint: EndpointId,
) -> Result<Went, StoreError> {
    let now = shared.clock.now();
    let cancelled = shared
        .store
        .cancel_deliveries(running.claim, STEP_ROWS, now);
    let (stepped, keys) = cancelled.await?;
    note(shared, running, stepped);
    if !keys.is_empty() {
        for _ in &keys {
            shared.metrics.ended(Ended::Skipped);
        }
        let keys: HashSet<_> = keys.into_iter().collect();
        let lanes = &shared.lanes;
        let back = lanes.withdraw_all(endpoint, |of| keys.contains(&of));
        let back = back.into_iter().filter(|key| !keys.contains(key));
        backlog::give_back(shared, back.map(|key| (app, key)).collect()).await;
        // Those behind them go on.
        shared.lanes.note_backlog(shared, app, endpoint);
    }
    Ok(Went::On)
}

async fn expunge(shared: &Arc<Shared>, running: &RunningTask) -> Result<Went, StoreError> {
    let now = shared.clock.now();
    let stepped = shared.store.expunge_contents(running.claim, STEP_ROWS, now);
    let stepped = stepped.await?;
    note(shared, running, stepped);
    let Stepped::Made(report) = stepped else {
        return Ok(Went::On);
    };
    if report.brought_up > 0 {
        shared.look_for_backlogs();
    }
    if let (Some(_), Some(app)) = (report.ended, running.task.work.app()) {
        let span = running.task.work.span();
        let expunged = |message: MessageId| span.holds(message.created_at());
        expunged::take_out(shared, app, expunged).await;
    }
    Ok(Went::On)
}

async fn forget(shared: &Shared, now: Timestamp) {
    let before = now.minus(shared.config.retention.history);
    if let Err(error) = shared.store.forget_tasks(before, FORGET_ROWS).await {
        error!(error = %error, "Could not forget old tasks");
    }
}

impl Engine {
    /// Begins a task. The answer comes when it is durable; it goes on by itself, whatever happens to
    /// this process.
    pub async fn begin_task(
        &self,
        org: OrgId,
        work: TaskWork,
        idempotency: Option<Idempotency>,
    ) -> Result<Task, ChangeError> {
        let new = NewTask {
            id: self.next_id(),
            org,
            work,
            now: self.now(),
        };
        let made = self.store().create_task(new, idempotency).await?;
        self.shared.task_hint.began();
        Ok(made.into_inner())
    }

    /// Ends a task before all is done; what it did stands.
    pub async fn cancel_task(&self, org: OrgId, task: TaskId) -> Result<Task, ChangeError> {
        self.store().cancel_task(org, task, self.now()).await
    }
}
