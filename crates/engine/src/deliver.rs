//! One attempt: find → sign → exchange → classify → record.
//!
//! **Invariant:** whatever happens, the delivery is recorded with what comes next, or stays owned
//! by this node's epoch, so that it is tried again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tracing::{debug, error, info, warn};

use hookseal_domain::delivery::attempt::{Attempt, AttemptFacts};
use hookseal_domain::delivery::breaker::{Turn, Verdict};
use hookseal_domain::delivery::outcome::{FailureKind, Outcome, Reply};
use hookseal_domain::delivery::retry::Jitter;
use hookseal_domain::delivery::{Ended, Next};
use hookseal_domain::endpoint::ParkOn;
use hookseal_domain::id::{AppId, AttemptId};
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::handshake::HandshakeReport;
use hookseal_egress::{DeliveryRequest, Exchanged};
use hookseal_store::transport::SeenHandshake;
use hookseal_store::work::FinishedAttempt;

use crate::backlog;
use crate::breakers;
use crate::expiry;
use crate::find::{Found, find};
use crate::lane::{Job, Lane, Onward};
use crate::lanes::Went;
use crate::ordering;
use crate::persist::until_stored;
use crate::prepared::{Prepared, Unusable};
use crate::push_backs;
use crate::queue::After;
use crate::shared::Shared;
use crate::timers;
use crate::underway::Underway;

/// Why nothing was sent where the store can't tell where to.
const UNREADABLE: &str = "Hookseal can't read how to deliver to this endpoint; see its log";

/// Most changes in a row that a delivery follows at once; after those it goes by the schedule.
const OVERTAKEN_MAX: u32 = 3;

/// What was seen of one try.
struct Tried {
    id: AttemptId,
    began_at: Timestamp,
    reply: Reply,
    duration: Duration,
    facts: AttemptFacts,
}

/// Starts a worker that the lane has counted already.
pub(crate) fn spawn_worker(shared: &Arc<Shared>, lane: &Arc<Lane>) {
    tokio::spawn(work(Arc::clone(shared), Arc::clone(lane)));
}

/// A worker of a lane: tries one delivery after the other until the lane has no more for it.
async fn work(shared: Arc<Shared>, lane: Arc<Lane>) {
    loop {
        let Some(permit) = shared.budget.acquire(&lane.share, lane.most_urgent()).await else {
            if shared.is_stopping() || !lane.steps_back(&*shared.clock) {
                return;
            }
            continue;
        };
        if shared.is_stopping() {
            return;
        }
        let (found, rules) = find(&shared, &lane).await;
        // Only now: while the worker waited, the lane may have been paused.
        let looked = lane.next_job(&*shared.clock, rules);
        timers::follow(&shared, &lane, looked.then);
        let Some((job, turn)) = looked.begun else {
            return;
        };
        deliver(&shared, &lane, job, turn, found).await;
        drop(permit);
        let onward = lane.onward(&*shared.clock);
        if onward == Onward::GoOnWithAnother {
            spawn_worker(&shared, &lane);
        }
        backlog::pull_if_room(&shared, &lane);
        if onward == Onward::Stop {
            return;
        }
    }
}

async fn deliver(shared: &Arc<Shared>, lane: &Arc<Lane>, job: Job, turn: Turn, first: Found) {
    let mut underway = Underway::new(shared, lane, turn, &job);
    let mut overtaken = 0;
    let mut first = Some(first);
    let (verdict, went, after) = loop {
        let found = match first.take() {
            Some(found) => found,
            None => find(shared, lane).await.0,
        };
        // Where there is nothing to send, there is nothing to hold: it ends.
        let nothing = expiry::nothing_to_send(&job, shared.clock.now());
        if matches!(found, Found::Hold(_)) && nothing.is_none() {
            hold(shared, lane, &job).await;
            break (Verdict::Untried, None, After::GoBack);
        }
        let (tried, to) = attempt(shared, lane.app, &job, found).await;
        if overtaken < OVERTAKEN_MAX && was_overtaken(&tried, to.as_deref()) {
            overtaken += 1;
            debug!(
                endpoint.id = %lane.endpoint,
                "Endpoint {} was changed before anything was sent; trying it as it is now",
                lane.endpoint
            );
            continue;
        }
        let verdict = verdict(shared, lane, &tried, to.as_deref());
        let (reply, began_at, took) = (tried.reply.clone(), tried.began_at, tried.duration);
        let (outcome, after) = finish(shared, lane, &job, tried, to.as_deref()).await;
        let went = Went {
            reply,
            outcome,
            began_at,
            took,
        };
        break (verdict, Some(went), after);
    };
    let left = underway.leave(verdict, went);
    if let Some(change) = left.change {
        breakers::follow(shared, lane, change).await;
    }
    if let Some(pushed_back) = left.pushed_back {
        push_backs::follow(shared, lane, pushed_back).await;
    }
    let order = job.rank.map(|rank| rank.key);
    ordering::go_on(shared, lane, order, after).await;
}

/// Whether a change kept the attempt from sending anything: it counts as none.
fn was_overtaken(tried: &Tried, to: Option<&Prepared>) -> bool {
    // Nothing was sent, and by what holds now it may be another case.
    let unsent = matches!(
        tried.reply,
        Reply::Failure(FailureKind::Internal | FailureKind::NotTrusted)
    );
    unsent && to.is_some_and(Prepared::is_retired)
}

/// Makes the attempt, if there is anybody to make it to.
async fn attempt(
    shared: &Shared,
    app: AppId,
    job: &Job,
    found: Found,
) -> (Tried, Option<Arc<Prepared>>) {
    // First of all: whatever else is wrong, what is over is not to be tried again.
    let nothing = expiry::nothing_to_send(job, shared.clock.now());
    match found {
        Found::Send(to) if nothing.is_none() => (send(shared, app, &to, job).await, Some(to)),
        Found::Send(to) | Found::Hold(to) => {
            let (kind, reason) = nothing.unwrap_or(expiry::PAYLOAD_GONE);
            (not_sent_to(shared, &to, kind, reason), None)
        }
        Found::Deleted => {
            let kind = FailureKind::EndpointDeleted;
            (not_sent(shared, kind, "The endpoint was deleted"), None)
        }
        // By the schedule, like any failure: one unreadable row must not keep a worker busy.
        Found::Unreadable => {
            let (kind, reason) = nothing.unwrap_or((FailureKind::Internal, UNREADABLE));
            (not_sent(shared, kind, reason), None)
        }
    }
}

/// What an attempt says of its endpoint. A failure that the configuration of a moment ago may have
/// caused says nothing.
fn verdict(shared: &Shared, lane: &Lane, tried: &Tried, to: Option<&Prepared>) -> Verdict {
    let verdict = Verdict::of(&tried.reply, tried.facts.tls_failure);
    if !matches!(verdict, Verdict::Failed(_)) {
        return verdict;
    }
    let Some((to, way)) = to.and_then(|to| Some((to, to.way()?))) else {
        return Verdict::Unclear;
    };
    // What failed by an earlier configuration is not remembered; asked again, since a change looks
    // only at what is remembered.
    let is_current = || shared.routes.is_current(lane.app, lane.endpoint, &way);
    if !is_current() {
        return Verdict::Unclear;
    }
    shared.breakers.watch(lane, to.org, way.clone());
    if is_current() {
        verdict
    } else {
        Verdict::Unclear
    }
}

/// Signs and sends.
async fn send(shared: &Shared, app: AppId, to: &Prepared, job: &Job) -> Tried {
    let transport = match to.transport(&shared.egress).await {
        Ok(transport) => transport,
        Err(Unusable::Policy(error)) => {
            let mut tried = not_sent_to(shared, to, FailureKind::NotTrusted, &error.reason);
            tried.facts.tls_failure = Some(error.failure);
            return tried;
        }
        Err(Unusable::Unreadable) => {
            return not_sent_to(shared, to, FailureKind::Internal, UNREADABLE);
        }
    };
    let (id, began_at) = (shared.next_id(), shared.clock.now());
    // Only now, since what came before may have taken its time.
    let body = match (job.payload.clone(), expiry::nothing_to_send(job, began_at)) {
        (Some(body), None) => body,
        (_, nothing) => {
            let (kind, reason) = nothing.unwrap_or(expiry::PAYLOAD_GONE);
            return not_sent_to(shared, to, kind, reason);
        }
    };
    let headers = match to.sign(job.key, began_at, &body) {
        Ok(headers) => headers,
        Err(error) => {
            return not_sent_to(shared, to, FailureKind::Internal, &error.to_string());
        }
    };
    let request = DeliveryRequest {
        endpoint: job.key.endpoint,
        generation: to.destination.generation,
        transport,
        target: Arc::clone(&to.target),
        headers,
        body,
        timeout: shared.config.attempt_timeout,
    };
    let Exchanged {
        reply,
        reason,
        tls_failure,
        handshake,
        body,
        connection,
        duration,
    } = shared.egress.exchange(request).await;
    if let Some(report) = handshake {
        saw_handshake(shared, to, app, *report);
    }
    let url = to.destination.url.as_str().to_owned();
    let facts = AttemptFacts {
        url,
        response_body: Some(body),
        reason,
        tls_failure,
        connection,
    };
    Tried {
        id,
        began_at,
        reply,
        duration,
        facts,
    }
}

fn saw_handshake(shared: &Shared, to: &Prepared, app: AppId, report: HandshakeReport) {
    shared.metrics.shook_hands(&report);
    let seen = SeenHandshake {
        org: to.org,
        app,
        endpoint: to.destination.id,
        report,
    };
    let pins = &to.destination.transport.pins;
    shared.handshakes.saw(seen, pins);
}

fn not_sent_to(shared: &Shared, to: &Prepared, kind: FailureKind, reason: &str) -> Tried {
    let mut tried = not_sent(shared, kind, reason);
    to.destination.url.as_str().clone_into(&mut tried.facts.url);
    tried
}

fn not_sent(shared: &Shared, kind: FailureKind, reason: &str) -> Tried {
    Tried {
        id: shared.next_id(),
        began_at: shared.clock.now(),
        reply: Reply::Failure(kind),
        duration: Duration::ZERO,
        facts: AttemptFacts {
            response_body: Some(Bytes::new()),
            reason: Some(reason.to_owned()),
            ..AttemptFacts::default()
        },
    }
}

/// Classifies, decides what comes next, and records both; tells what becomes of those that wait for
/// it.
async fn finish(
    shared: &Arc<Shared>,
    lane: &Lane,
    job: &Job,
    tried: Tried,
    to: Option<&Prepared>,
) -> (Outcome, After) {
    let now = shared.clock.now();
    let nowhere = ParkOn::default();
    let park_on = to.map_or(&nowhere, |to| &to.destination.park_on);
    let outcome = Outcome::classify(&tried.reply, tried.facts.tls_failure, park_on);
    let mut next = decide(shared, job, &tried.reply, outcome, now);
    if next == Next::End(Ended::Exhausted) && ordering::blocks(job, to) {
        next = Next::Block;
    }
    observe(shared, lane, &tried, outcome, next);
    let gone = outcome == Outcome::Gone;
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
    };
    let after = ordering::record(shared, job, &finished).await;
    if gone {
        switch_off(shared, lane).await;
    }
    if let Next::Retry { due, .. } = next {
        shared.wake.at(due);
    }
    (outcome, after)
}

/// What happens to the delivery after this reply.
fn decide(shared: &Shared, job: &Job, reply: &Reply, outcome: Outcome, now: Timestamp) -> Next {
    let retry_after = match reply {
        Reply::Failure(FailureKind::PayloadExpired) => return Next::End(Ended::PayloadExpired),
        Reply::Failure(FailureKind::MessageExpired) => return Next::End(Ended::MessageExpired),
        Reply::Failure(_) => None,
        Reply::Response { retry_after, .. } => *retry_after,
    };
    // Random bits cost more than the decision, and what ends well has no use for them.
    let jitter = match outcome {
        Outcome::Accepted => Jitter::ZERO,
        _ => Jitter::from_bits(shared.random.bits()),
    };
    shared
        .config
        .retry_schedule
        .decide(job.step, outcome, retry_after, now, jitter)
        .no_later_than(job.expires_at)
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
async fn switch_off(shared: &Shared, lane: &Lane) {
    if let Err(error) = shared.store.flush().await {
        error!(endpoint.id = %lane.endpoint, error = %error, "Could not wait for the store");
    }
    shared.routes.forget(lane.app);
    info!(
        endpoint.id = %lane.endpoint,
        "Disabled endpoint {}, since it answered 410 Gone", lane.endpoint
    );
}

async fn hold(shared: &Shared, lane: &Lane, job: &Job) {
    let held = || shared.store.hold(vec![(lane.app, job.key)]);
    until_stored(shared, "hold a delivery", held).await;
}
