//! One attempt: find → sign → exchange → classify → record.
//!
//! **Invariant:** whatever happens, the delivery is recorded with what comes next, or stays owned
//! by this node's epoch, so that it is tried again.

mod attempt;
mod batch;
pub(crate) mod finish;

use std::slice;
use std::sync::Arc;

use tracing::debug;

use hookseal_domain::delivery::breaker::{Turn, Verdict};

use crate::backlog;
use crate::breakers;
use crate::deliver::batch::deliver_together;
use crate::deliver::finish::{finish, hold};
use crate::expiry;
use crate::find::{Found, find};
use crate::job::Job;
use crate::lane::{Lane, Onward};
use crate::lanes::{Left, Went};
use crate::ordering;
use crate::prepared::Prepared;
use crate::push_backs;
use crate::queue::{After, Work};
use crate::shared::Shared;
use crate::timers;
use crate::underway::Underway;

pub(crate) use crate::deliver::attempt::{Tried, attempt, not_sent_to, was_overtaken};

/// Most changes in a row that a delivery follows at once; after those it goes by the schedule.
const OVERTAKEN_MAX: u32 = 3;

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
        let (mut found, rules) = find(&shared, &lane).await;
        // Only now: while the worker waited, the lane may have been paused.
        let mut looked = lane.next_job(&*shared.clock, rules);
        while let Some(at) = looked.held_until {
            shared.clock.sleep_until(at).await;
            if shared.is_stopping() {
                return;
            }
            let rules;
            (found, rules) = find(&shared, &lane).await;
            looked = lane.next_job(&*shared.clock, rules);
        }
        timers::follow(&shared, &lane, looked.then);
        let Some((work, turn)) = looked.begun else {
            return;
        };
        match work {
            Work::One(job) => deliver(&shared, &lane, &job, turn, found).await,
            Work::Batch(jobs) => deliver_together(&shared, &lane, &jobs, turn, found).await,
        }
        drop(permit);
        let onward = lane.onward(&*shared.clock);
        if onward == Onward::GoOnWithAnother {
            spawn_worker(&shared, &lane);
        }
        backlog::pull_if_room(&shared, &lane);
        if onward == Onward::Stop {
            // What was left alone because this one was under way may wait for its batch now.
            timers::send_what_is_full(&shared, &lane);
            return;
        }
    }
}

async fn deliver(shared: &Arc<Shared>, lane: &Arc<Lane>, job: &Job, turn: Turn, first: Found) {
    let mut underway = Underway::new(shared, lane, turn, slice::from_ref(job));
    let mut overtaken = 0;
    let mut first = Some(first);
    let (verdict, went, after) = loop {
        let found = match first.take() {
            Some(found) => found,
            None => find(shared, lane).await.0,
        };
        // Where there is nothing to send, there is nothing to hold: it ends.
        let nothing = expiry::nothing_to_send(job, shared.clock.now());
        if matches!(found, Found::Hold(_)) && nothing.is_none() {
            hold(shared, lane, [job]).await;
            break (Verdict::Untried, None, After::GoBack);
        }
        let (tried, to) = attempt(shared, lane.app, job, found).await;
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
        let (outcome, after) = finish(shared, lane, job, tried, to.as_deref()).await;
        let went = Went {
            reply,
            outcome,
            began_at,
            took,
        };
        break (verdict, Some(went), after);
    };
    follow(shared, lane, underway.leave(verdict, went)).await;
    let order = job.rank.map(|rank| rank.key);
    ordering::go_on(shared, lane, order, after).await;
}

/// Does what follows for the lane.
async fn follow(shared: &Arc<Shared>, lane: &Lane, left: Left) {
    if let Some(change) = left.change {
        breakers::follow(shared, lane, change).await;
    }
    if let Some(pushed_back) = left.pushed_back {
        push_backs::follow(shared, lane, pushed_back).await;
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
