//! What follows from one try: classify → decide → record.
//!
//! **Invariant:** what comes next is written together with the attempt that it follows from.

use std::sync::{Arc, OnceLock};

use tracing::{debug, error, warn};

use hookseal_domain::delivery::attempt::Attempt;
use hookseal_domain::delivery::outcome::{FailureKind, Outcome, Reply};
use hookseal_domain::delivery::retry::{Jitter, RetrySchedule};
use hookseal_domain::delivery::{Ended, Next};
use hookseal_domain::endpoint::ParkOn;
use hookseal_domain::endpoint::health::Sign;
use hookseal_domain::time::Timestamp;
use hookseal_store::work::FinishedAttempt;

use crate::deliver::attempt::{Tried, not_sent};
use crate::job::Job;
use crate::lane::Lane;
use crate::ordering;
use crate::persist::until_stored;
use crate::prepared::Prepared;
use crate::queue::After;
use crate::shared::Shared;

/// Why a try ended that nobody can tell the end of.
const PANICKED: &str = "Hookseal failed while it made this attempt; see its log";

/// What deliveries have in common that were tried together, so that those that come again do so
/// together.
pub(crate) struct Together {
    at: Timestamp,
    jitter: OnceLock<Jitter>,
}

/// Classifies, decides what comes next, and records both; tells what becomes of those that wait for
/// it.
pub(crate) async fn finish(
    shared: &Arc<Shared>,
    lane: &Lane,
    job: &Job,
    tried: Tried,
    to: Option<&Prepared>,
) -> (Outcome, After) {
    let together = Together::now(shared);
    let (outcome, after) = finish_one(shared, lane, job, tried, to, &together).await;
    if outcome == Outcome::Gone {
        switch_off(shared, lane).await;
    }
    (outcome, after)
}

/// The same of one of those that were tried together, without what follows for their endpoint.
pub(crate) async fn finish_one(
    shared: &Arc<Shared>,
    lane: &Lane,
    job: &Job,
    tried: Tried,
    to: Option<&Prepared>,
    together: &Together,
) -> (Outcome, After) {
    let nowhere = ParkOn::default();
    let park_on = to.map_or(&nowhere, |to| &to.destination.park_on);
    let meant = || Outcome::classify(&tried.reply, tried.facts.tls_failure, park_on);
    let outcome = tried.meant.unwrap_or_else(meant);
    let schedule = match outcome {
        Outcome::Accepted => None,
        _ => own_schedule(shared, lane, job).await,
    };
    let schedule = schedule.as_ref().unwrap_or(&shared.config.retry_schedule);
    let jitter = jitter(shared, outcome, together);
    let mut next = decide(schedule, job, &tried.reply, outcome, (together.at, jitter));
    if next == Next::End(Ended::Exhausted) && ordering::blocks(job, to) {
        next = Next::Block;
    }
    observe(shared, lane, &tried, outcome, next);
    let gone = outcome == Outcome::Gone;
    let sign = Sign::of(outcome, tried.facts.tls_failure);
    let finished = FinishedAttempt {
        app: lane.app,
        attempt: Attempt {
            id: tried.id,
            key: job.key,
            trigger: job.trigger,
            number: job.attempts.saturating_add(1),
            outcome,
            status_code: match tried.reply {
                Reply::Response { status, .. } => Some(status),
                Reply::Failure(_) => None,
            },
            duration_ms: u32::try_from(tried.duration.as_millis()).unwrap_or(u32::MAX),
            ended: match next {
                Next::End(ended) => Some(ended),
                Next::Retry { .. } | Next::Block => None,
            },
            facts: tried.facts,
        },
        claim: job.claim,
        next,
        endpoint_gone_at: gone.then_some(tried.began_at),
        sign,
        health_rule: shared.config.health_rule,
    };
    let after = ordering::record(shared, job, &finished).await;
    if let Next::Retry { due, .. } = next {
        shared.wake.at(due);
    }
    (outcome, after)
}

/// Ends a try that panicked. It counts as a failure of ours and comes again by the schedule, so that
/// what panics each time is not tried in a circle. Should this panic as well, the delivery stays with
/// this epoch until the next start.
pub(crate) async fn panicked(shared: &Arc<Shared>, lane: &Lane, job: &Job) -> After {
    let tried = not_sent(shared, FailureKind::Internal, PANICKED);
    finish(shared, lane, job, tried, None).await.1
}

/// The schedule that the delivery's event type has for itself.
async fn own_schedule(shared: &Shared, lane: &Lane, job: &Job) -> Option<RetrySchedule> {
    let name = job.event_type.as_ref()?;
    let store = &*shared.store;
    let rules = async {
        let routes = shared.routes.get(store, lane.app).await?;
        match routes {
            Some(routes) => routes.catalogue.rules(store).await.map(Some),
            None => Ok(None),
        }
    };
    match rules.await {
        Ok(rules) => rules?.of_type(name)?.retry_schedule.clone(),
        Err(error) => {
            error!(
                event_type = %name,
                error = %error,
                "Could not read the retry schedule of event type {name}: the server's is used"
            );
            None
        }
    }
}

/// Random bits cost more than the decision, and what ends well has no use for them.
fn jitter(shared: &Shared, outcome: Outcome, together: &Together) -> Jitter {
    match outcome {
        Outcome::Accepted => Jitter::ZERO,
        _ => *together
            .jitter
            .get_or_init(|| Jitter::from_bits(shared.random.bits())),
    }
}

/// What happens to the delivery after this reply.
fn decide(
    schedule: &RetrySchedule,
    job: &Job,
    reply: &Reply,
    outcome: Outcome,
    (now, jitter): (Timestamp, Jitter),
) -> Next {
    let retry_after = match reply {
        Reply::Failure(FailureKind::PayloadExpired) => return Next::End(Ended::PayloadExpired),
        Reply::Failure(FailureKind::MessageExpired) => return Next::End(Ended::MessageExpired),
        Reply::Failure(_) => None,
        Reply::Response { retry_after, .. } => *retry_after,
    };
    schedule
        .decide(job.step, outcome, retry_after, now, jitter)
        .no_later_than(job.expires_at)
}

// === impl Together ===

impl Together {
    pub(crate) fn now(shared: &Shared) -> Self {
        Self {
            at: shared.clock.now(),
            jitter: OnceLock::new(),
        }
    }
}

fn observe(shared: &Shared, lane: &Lane, tried: &Tried, outcome: Outcome, next: Next) {
    shared.metrics.attempted(outcome, tried.duration);
    if let Some(failure) = tried.facts.tls_failure {
        shared.metrics.tls_failed(failure);
    }
    match next {
        Next::End(ended) => shared.metrics.ended(ended),
        Next::Block => warn!(
            endpoint.id = %lane.endpoint,
            "A delivery to endpoint {} is exhausted; those behind it in its order wait until it is \
             resent or skipped",
            lane.endpoint
        ),
        Next::Retry { .. } => {}
    }
    debug!(
        endpoint.id = %lane.endpoint,
        outcome = outcome.as_str(),
        duration_ms = tried.duration.as_millis(),
        "Tried endpoint {}: {}", lane.endpoint, outcome.as_str()
    );
}

/// The endpoint said that it is gone: from now on its deliveries are held.
pub(crate) async fn switch_off(shared: &Shared, lane: &Lane) {
    if let Err(error) = shared.store.flush().await {
        error!(endpoint.id = %lane.endpoint, error = %error, "Could not wait for the store");
    }
    shared.routes.forget(lane.app);
}

/// Their endpoint is disabled.
pub(crate) async fn hold(shared: &Shared, lane: &Lane, jobs: impl IntoIterator<Item = &Job>) {
    let keys: Vec<_> = jobs.into_iter().map(|job| (lane.app, job.key)).collect();
    let held = || shared.store.hold(keys.clone());
    until_stored(shared, "hold deliveries", held).await;
}
