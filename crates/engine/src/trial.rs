//! A test attempt: one signed delivery that somebody waits for, over the same way out as every other.
//!
//! **Invariant:** it is made once and decides nothing: no retry, no breaker, no endpoint that is
//! switched off by it. Few at a time, beside the node's permits.

use std::sync::Arc;
use std::time::Duration;

use hookseal_domain::delivery::attempt::Attempt;
use hookseal_domain::delivery::outcome::{FailureKind, Outcome, Reply};
use hookseal_domain::delivery::{DeliveryKey, Ended, Next, Trigger};
use hookseal_domain::endpoint::ParkOn;
use hookseal_domain::endpoint::health::{HealthRule, Sign};
use hookseal_domain::endpoint::verification::Standing;
use hookseal_domain::id::{AppId, EndpointId};
use hookseal_store::error::StoreError;
use hookseal_store::inspect::{AttemptFilter, AttemptScope};
use hookseal_store::page::{Order, PageRequest, PageStart};
use hookseal_store::work::FinishedAttempt;

use crate::deliver::{Tried, attempt, not_sent_to, was_overtaken};
use crate::find::Found;
use crate::job::Job;
use crate::publish::{Audience, Publish, PublishError, Published, publish};
use crate::shared::Shared;

/// Most test attempts at the same time: a few people who look.
pub(crate) const TRIALS_MAX: usize = 8;
/// How much longer than an attempt its message is good for. Should this process die meanwhile, the next
/// one makes the delivery only if somebody may still be waiting for it.
const SPARE: Duration = Duration::from_secs(5);
/// Most changes of the endpoint that are followed at once.
const OVERTAKEN_MAX: u32 = 3;

/// Why nothing is sent to whom the operator wants verified before.
const UNVERIFIED: &str = "The endpoint is not verified, which this server demands";

/// There is no attempt.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TrialError {
    /// The message was not published.
    #[error("the message was not published")]
    Publish(#[from] PublishError),
    /// Too many others test, or the same request is being answered: try again in a moment.
    #[error("too many test attempts are being made")]
    Busy,
    /// The store failed; the message may have been published.
    #[error("the attempt was not recorded")]
    Store(#[from] StoreError),
}

/// Publishes the message to the endpoint only, and makes the attempt. `message` has this audience.
pub(crate) async fn trial(
    shared: &Arc<Shared>,
    mut message: Publish,
    endpoint: EndpointId,
) -> Result<Attempt, TrialError> {
    let permit = shared.trials.try_acquire();
    let _permit = permit.map_err(|_| TrialError::Busy)?;
    message.audience = Audience::Trial(endpoint);
    let limit = shared.config.attempt_timeout + SPARE;
    message.options.expires_at = Some(shared.clock.now().plus(limit));
    let published = publish(shared, message.clone()).await?;
    if published.repeated {
        let earlier = earlier(shared, published, endpoint).await?;
        return earlier.ok_or(TrialError::Busy);
    }
    let key = DeliveryKey {
        message: published.id,
        endpoint,
    };
    let job = Job::first(key, message.options, message.event_type, message.payload);
    let tried = make(shared, published.app, &job).await;
    let finished = finished(published.app, key, tried);
    shared
        .metrics
        .attempted(finished.attempt.outcome, duration(&finished.attempt));
    if let Some(ended) = finished.attempt.ended {
        shared.metrics.ended(ended);
    }
    shared.store.record_in_order(&finished).await?;
    Ok(finished.attempt)
}

/// The attempt that an earlier, equal request made.
async fn earlier(
    shared: &Shared,
    published: Published,
    endpoint: EndpointId,
) -> Result<Option<Attempt>, StoreError> {
    let scope = AttemptScope::Message(published.id);
    let filter = AttemptFilter {
        endpoint: Some(endpoint),
        ..AttemptFilter::default()
    };
    let page = PageRequest {
        limit: 1,
        from: PageStart::Beginning,
        order: Order::Ascending,
    };
    let found = shared.store.attempts(published.app, scope, filter, page);
    Ok(found.await?.rows.pop())
}

/// Tries as a worker does; what is overtaken by a change of the endpoint is tried as that is now.
async fn make(shared: &Shared, app: AppId, job: &Job) -> Tried {
    let mut overtaken = 0;
    loop {
        let routes = shared.routes.get(&*shared.store, app).await;
        let found = match routes {
            Ok(routes) => {
                let to = routes.as_ref().and_then(|r| r.endpoint(job.key.endpoint));
                let withheld = to.filter(|to| to.destination.standing == Standing::Withheld);
                if let Some(to) = withheld {
                    return not_sent_to(shared, to, FailureKind::Internal, UNVERIFIED);
                }
                to.map_or(Found::Deleted, |to| Found::Send(Arc::clone(to)))
            }
            Err(_) => Found::Unreadable,
        };
        let (tried, to) = attempt(shared, app, job, found).await;
        if overtaken == OVERTAKEN_MAX || !was_overtaken(&tried, to.as_deref()) {
            return tried;
        }
        overtaken += 1;
    }
}

/// What is taken down: the delivery ends with it. One that failed ends as if somebody had cancelled
/// it, so that nobody is told of it and no recovery makes it again.
fn finished(app: AppId, key: DeliveryKey, tried: Tried) -> FinishedAttempt {
    let outcome = Outcome::classify(&tried.reply, tried.facts.tls_failure, &ParkOn::default());
    let ended = match outcome {
        Outcome::Accepted => Ended::Delivered,
        _ => Ended::Skipped,
    };
    FinishedAttempt {
        app,
        attempt: Attempt {
            id: tried.id,
            key,
            trigger: Trigger::Publish,
            number: 1,
            outcome,
            status_code: match tried.reply {
                Reply::Response { status, .. } => Some(status),
                Reply::Failure(_) => None,
            },
            duration_ms: u32::try_from(tried.duration.as_millis()).unwrap_or(u32::MAX),
            ended: Some(ended),
            facts: tried.facts,
        },
        claim: 0,
        next: Next::End(ended),
        endpoint_gone_at: None,
        sign: Sign::Nothing,
        health_rule: HealthRule::default(),
    }
}

fn duration(attempt: &Attempt) -> Duration {
    Duration::from_millis(attempt.duration_ms.into())
}
