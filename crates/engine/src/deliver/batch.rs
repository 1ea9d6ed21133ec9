//! One request for several deliveries: a batch.
//!
//! **Invariant:** each of its deliveries has an attempt of its own, and comes to the end that the
//! receiver's answer gives it, alone.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use tracing::debug;

use hookseal_domain::delivery::batch::answer::{Answer, Arrived};
use hookseal_domain::delivery::batch::body::{Event, write};
use hookseal_domain::delivery::breaker::{Turn, Verdict};
use hookseal_domain::delivery::outcome::{FailureKind, Outcome, Reply};
use hookseal_domain::endpoint::ParkOn;
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::{AppId, BatchId};
use hookseal_domain::limits::RESPONSE_BODY_BYTES_MAX;

use crate::backlog;
use crate::deliver::attempt::{Letter, Tried, attempt, not_sent_to, post, was_overtaken, way_to};
use crate::deliver::finish::{Together, finish_one, hold, switch_off};
use crate::deliver::{OVERTAKEN_MAX, follow, verdict};
use crate::expiry;
use crate::find::{Found, find};
use crate::job::Job;
use crate::lane::Lane;
use crate::lanes::Went;
use crate::prepared::Prepared;
use crate::shared::Shared;
use crate::underway::Underway;

/// Fewest bytes of a response that are kept with each event, however many there are: enough to see
/// why.
const KEPT_BYTES_MIN: usize = 256;

/// Why an event is tried again whose batch was accepted.
const CUT_OFF: &str = "The receiver accepted the batch and named single events of it, but not all of \
    its answer arrived, so that this one may have been among them";

/// What was seen of a batch.
struct Sent {
    /// Its name; `None` if nothing was sent.
    name: Option<String>,
    /// The request.
    whole: Tried,
    /// Why an event was not in it, by its place in the batch.
    left_out: Vec<Option<(FailureKind, &'static str)>>,
    /// What is said of single events.
    answer: Answer,
}

/// Tries deliveries in one request.
pub(crate) async fn deliver_together(
    shared: &Arc<Shared>,
    lane: &Arc<Lane>,
    jobs: &[Job],
    turn: Turn,
    first: Found,
) {
    let mut underway = Underway::new(shared, lane, turn, jobs);
    let (mut first, mut overtaken) = (Some(first), 0);
    let (verdict, went) = loop {
        let found = match first.take() {
            Some(found) => found,
            None => find(shared, lane).await.0,
        };
        let to = match found {
            Found::Send(to) if to.destination.discipline.batch.is_some() => to,
            found => break (apart(shared, lane, &mut underway, jobs, found).await, None),
        };
        let sent = send(shared, lane.app, &to, jobs).await;
        if overtaken < OVERTAKEN_MAX && was_overtaken(&sent.whole, Some(&*to)) {
            overtaken += 1;
            debug!(
                endpoint.id = %lane.endpoint,
                "Endpoint {} was changed before a batch was sent; trying it as it is now",
                lane.endpoint
            );
            continue;
        }
        let verdict = verdict(shared, lane, &sent.whole, Some(&*to));
        let went = finish_all(shared, lane, &mut underway, jobs, &sent, &to).await;
        break (verdict, Some(went));
    };
    follow(shared, lane, underway.leave(verdict, went)).await;
}

/// Does with each what is to be done where no batch is sent.
async fn apart(
    shared: &Arc<Shared>,
    lane: &Arc<Lane>,
    underway: &mut Underway<'_>,
    jobs: &[Job],
    found: Found,
) -> Verdict {
    let (now, together) = (shared.clock.now(), Together::now(shared));
    let mut kept = Vec::new();
    for job in jobs {
        let found = match &found {
            Found::Send(_) | Found::Hold(_) if expiry::nothing_to_send(job, now).is_none() => {
                kept.push(job);
                continue;
            }
            Found::Send(to) | Found::Hold(to) => Found::Hold(Arc::clone(to)),
            Found::Deleted => Found::Deleted,
            Found::Unreadable => Found::Unreadable,
        };
        let (tried, _) = attempt(shared, lane.app, job, found).await;
        finish_one(shared, lane, job, tried, None, &together).await;
    }
    match found {
        Found::Hold(_) => hold(shared, lane, kept).await,
        // They were to go together, and are to go one by one now.
        Found::Send(_) => {
            let back = kept.iter().map(|job| (lane.app, job.key)).collect();
            backlog::give_back(shared, back).await;
            shared.lanes.note_backlog(shared, lane.app, lane.endpoint);
        }
        Found::Deleted | Found::Unreadable => {}
    }
    for _ in jobs {
        underway.ended_one();
    }
    Verdict::Untried
}

/// Signs and sends those that can be sent.
async fn send(shared: &Shared, app: AppId, to: &Prepared, jobs: &[Job]) -> Sent {
    let transport = way_to(shared, to).await;
    let (id, began_at) = (shared.next_id(), shared.clock.now());
    let left_out: Vec<_> = jobs
        .iter()
        .map(|job| expiry::nothing_to_send(job, began_at))
        .collect();
    let mut sent = Sent {
        name: None,
        whole: not_sent_to(shared, to, FailureKind::MessageExpired, ""),
        left_out,
        answer: Answer::default(),
    };
    let transport = match transport {
        Ok(transport) => transport,
        Err(tried) => {
            sent.whole = *tried;
            return sent;
        }
    };
    let live = || {
        let all = jobs.iter().zip(&sent.left_out);
        all.filter(|(_, left_out)| left_out.is_none())
            .map(|(job, _)| job)
    };
    let events: Vec<_> = live().map(event).collect();
    if events.is_empty() {
        return sent;
    }
    // Of this request and no other: whoever tells repetitions by it must not take an event that is
    // tried anew for one that they have.
    let name = shared.next_id::<BatchId>().to_string();
    let letter = Letter {
        id,
        began_at,
        name: name.clone(),
        body: Bytes::from(write(&events)),
        headers: HeaderMap::new(),
        answer_bytes_max: Answer::bytes_max(events.len()),
    };
    shared.metrics.batches.inc();
    let whole = post(shared, app, to, transport, letter).await;
    if let Reply::Response {
        status: 200..=299, ..
    } = whole.reply
    {
        let body = whole.facts.response_body.as_deref().unwrap_or_default();
        // All that there is to say of such a response is that some of it is missing.
        let arrived = match whole.facts.reason {
            None => Arrived::Whole,
            Some(_) => Arrived::InPart,
        };
        sent.answer = Answer::read(body, arrived);
    }
    sent.name = Some(name);
    sent.whole = whole;
    sent
}

/// Records an attempt of each; tells how the whole went.
async fn finish_all(
    shared: &Arc<Shared>,
    lane: &Lane,
    underway: &mut Underway<'_>,
    jobs: &[Job],
    sent: &Sent,
    to: &Prepared,
) -> Went {
    let (together, park_on) = (Together::now(shared), &to.destination.park_on);
    for (job, left_out) in jobs.iter().zip(&sent.left_out) {
        let tried = match left_out {
            Some((kind, reason)) => not_sent_to(shared, to, *kind, reason),
            None => sent.of(shared, job, park_on, jobs.len()),
        };
        finish_one(shared, lane, job, tried, Some(to), &together).await;
        underway.ended_one();
    }
    let whole = &sent.whole;
    let outcome = Outcome::classify(&whole.reply, whole.facts.tls_failure, park_on);
    if outcome == Outcome::Gone {
        switch_off(shared, lane).await;
    }
    Went {
        reply: whole.reply.clone(),
        outcome,
        began_at: whole.began_at,
        took: whole.duration,
    }
}

fn event(job: &Job) -> Event<'_> {
    Event {
        message: job.key.message,
        event_type: job.event_type.as_ref().map_or("", EventTypeName::as_str),
        payload: job.payload.as_deref().unwrap_or_default(),
    }
}

// === impl Sent ===

impl Sent {
    /// The attempt of one of the events.
    fn of(&self, shared: &Shared, job: &Job, park_on: &ParkOn, events: usize) -> Tried {
        let mut tried = Tried {
            id: shared.next_id(),
            ..self.whole.clone()
        };
        let said = match &self.answer {
            Answer::Events(said) => said.get(&job.key.message),
            Answer::CutOff => {
                tried.meant = Some(Outcome::Retry);
                tried.facts.reason = Some(CUT_OFF.to_owned());
                None
            }
        };
        let body = match said {
            Some(said) => {
                tried.meant = Some(said.outcome(park_on));
                tried.reply = Reply::Response {
                    status: said.status,
                    retry_after: None,
                };
                Some(Bytes::copy_from_slice(said.text.as_bytes()))
            }
            None => tried.facts.response_body.take(),
        };
        // All of them together keep no more than a response to one event may.
        let kept = (RESPONSE_BODY_BYTES_MAX / events.max(1)).max(KEPT_BYTES_MIN);
        tried.facts.response_body = body.map(|body| body.slice(..body.len().min(kept)));
        tried.facts.batch.clone_from(&self.name);
        tried
    }
}
