//! A step of a replay: reads ahead, chooses by the endpoint's subscription, finds the order of each.

use std::sync::Arc;

use hookseal_domain::endpoint::Destination;
use hookseal_domain::filter::Candidate;
use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::message::Message;
use hookseal_domain::task::Replayed;
use hookseal_store::error::StoreError;
use hookseal_store::inspect::Content;
use hookseal_store::tasks::{Ahead, AheadLimit, ReplayStep, RunningTask, Stepped};

use super::{STEP_ROWS, Went, note};
use crate::ordering;
use crate::publish::PublishHeaders;
use crate::shared::Shared;

/// Most payload bytes that are read ahead, where an order or a filter is by what is in them.
const AHEAD_BYTES: usize = 4 << 20;
/// Most deliveries that an endpoint's backlog may have for more to be added to it. Old messages come
/// first in a backlog: with more of them, what is published now would wait for all that is replayed.
const BACKLOG_MAX: usize = 1000;

pub(super) async fn step(
    shared: &Arc<Shared>,
    running: &RunningTask,
    (app, endpoint): (AppId, EndpointId),
    which: &Replayed,
) -> Result<Went, StoreError> {
    let routes = shared.routes.get(&*shared.store, app).await?;
    // If it is gone, the store's step says so, and ends the task.
    let to = routes.as_ref().and_then(|routes| routes.endpoint(endpoint));
    let to = to.map(|to| &*to.destination);
    let content = match to {
        Some(to) if ordering::needs_payload(to) => Content::With,
        Some(to) if matches!(which, Replayed::Missing) && to.subscription.filter.is_some() => {
            Content::With
        }
        Some(_) | None => Content::Without,
    };
    let limit = AheadLimit {
        rows: STEP_ROWS,
        bytes: AHEAD_BYTES,
        content,
        backlog: BACKLOG_MAX,
    };
    let ahead = match shared.store.look_ahead(running, limit).await? {
        Ahead::Some(rows) => rows,
        Ahead::Full => return Ok(Went::Waits),
    };
    let messages = ahead.messages.iter();
    let chosen = messages.filter(|message| is_wanted(shared, which, to, message));
    let messages = chosen.map(|message| {
        let payload = message.payload.as_deref().unwrap_or_default();
        let headers = PublishHeaders::default();
        let order = to.and_then(|to| ordering::key_of(to, payload, &headers));
        (message.id, order)
    });
    let step = ReplayStep {
        of: running.claim,
        messages: messages.collect(),
        looked_at: ahead.looked_at,
        cursor: ahead.cursor,
        last: ahead.last,
        now: shared.clock.now(),
    };
    let stepped = shared.store.replay(step).await?;
    note(shared, running, stepped);
    if matches!(stepped, Stepped::Made(report) if report.done > 0) {
        shared.lanes.note_backlog(shared, app, endpoint);
    }
    Ok(Went::On)
}

/// What never had a delivery is sent only if it would be sent now.
fn is_wanted(
    shared: &Shared,
    which: &Replayed,
    to: Option<&Destination>,
    message: &Message,
) -> bool {
    match which {
        Replayed::Failed | Replayed::Chosen(_) => true,
        Replayed::Missing => to.is_some_and(|to| {
            let payload = message.payload.as_deref().unwrap_or_default();
            let (event_type, channels) = (&message.event_type, &message.channels);
            let mut candidate = Candidate::new(event_type, channels, payload);
            shared.filters.wants(to, &mut candidate, &*shared.clock)
        }),
    }
}
