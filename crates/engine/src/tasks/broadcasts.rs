//! A step of a broadcast: publishes to the next applications, as everything is published. Each message
//! is stored with how far the broadcast has come by it.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, error};

use hookseal_domain::id::AppId;
use hookseal_domain::message::options::MessageOptions;
use hookseal_domain::task::{Broadcast, Span, TaskState};
use hookseal_store::error::StoreError;
use hookseal_store::page::{Order, PageRequest, PageStart};
use hookseal_store::reference::AppRef;
use hookseal_store::tasks::{RunningTask, StepReport, Stepped, TaskClaim};

use super::{Went, note};
use crate::publish::{Audience, Publish, PublishError, PublishHeaders, publish};
use crate::shared::Shared;

/// Applications of one step: each is a transaction of its own.
const STEP_APPLICATIONS: usize = 50;

pub(super) async fn step(
    shared: &Arc<Shared>,
    running: &RunningTask,
    message: &Broadcast,
    span: Span,
) -> Result<Went, StoreError> {
    let page = PageRequest {
        limit: STEP_APPLICATIONS,
        from: PageStart::After(AppId::from_raw(running.claim.cursor)),
        order: Order::Ascending,
    };
    let page = shared.store.applications(running.task.org, page).await?;
    let mut claim = running.claim;
    let mut report = StepReport::default();
    for application in page.rows {
        if application.id.created_at() > span.until {
            break;
        }
        match to_one(shared, running, claim, message, application.id).await? {
            To::Published => report.done += 1,
            To::LeftOut => report.left_out += 1,
            To::Void => return Ok(Went::On),
            To::Refused => {
                note(shared, running, Stepped::Made(report));
                return Ok(Went::Waits);
            }
        }
        claim.cursor = application.id.raw();
    }
    let is_last = report.done + report.left_out < count(STEP_APPLICATIONS);
    if page.done || is_last {
        let now = shared.clock.now();
        let ended = shared.store.end_task(claim, TaskState::Finished, now);
        if let Stepped::Made(end) = ended.await? {
            report.ended = end.ended;
        }
    }
    note(shared, running, Stepped::Made(report));
    Ok(Went::On)
}

/// What came of publishing to one application.
enum To {
    Published,
    /// It was deleted, or has a message with this `eventId`.
    LeftOut,
    /// The task was cancelled.
    Void,
    /// Too much is waiting.
    Refused,
}

async fn to_one(
    shared: &Arc<Shared>,
    running: &RunningTask,
    claim: TaskClaim,
    message: &Broadcast,
    app: AppId,
) -> Result<To, StoreError> {
    let Some(payload) = message.payload.clone() else {
        return Ok(To::Void);
    };
    let request = Publish {
        org: running.task.org,
        app: AppRef::Id(app),
        event_type: message.event_type.clone(),
        event_id: message.event_id.clone(),
        channels: message.channels.clone(),
        tags: Vec::new(),
        payload,
        payload_retention: Duration::from_secs(u64::from(message.retention_hours) * 3600),
        headers: PublishHeaders::default(),
        options: MessageOptions::default(),
        audience: Audience::Subscribers,
        idempotency: None,
        cloud_event: None,
        step_of: Some(claim),
    };
    match publish(shared, request).await {
        Ok(_) => Ok(To::Published),
        Err(
            PublishError::UnknownApplication
            | PublishError::EventIdTaken
            | PublishError::IdempotencyKeyReused
            // It was held against the schema before the broadcast was accepted.
            | PublishError::Mismatch(_),
        ) => {
            debug!(app.id = %app, "A broadcast leaves application {app} out");
            leave_out(shared, claim, app).await
        }
        // The others must not wait for somebody to mend it.
        Err(PublishError::Store(error)) if error.is_lasting() => {
            error!(
                app.id = %app, error = %error,
                "A broadcast leaves application {app} out, which can't be published to"
            );
            leave_out(shared, claim, app).await
        }
        Err(PublishError::StepVoid) => Ok(To::Void),
        Err(PublishError::Overloaded | PublishError::DiskFull) => Ok(To::Refused),
        Err(PublishError::Store(error)) => Err(error),
    }
}

async fn leave_out(shared: &Shared, claim: TaskClaim, app: AppId) -> Result<To, StoreError> {
    let now = shared.clock.now();
    match shared.store.pass_application(claim, app, now).await? {
        Stepped::Made(_) => Ok(To::LeftOut),
        Stepped::Void => Ok(To::Void),
    }
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
