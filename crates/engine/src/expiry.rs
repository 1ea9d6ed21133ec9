//! Ends deliveries whose message has expired, wherever they wait.
//!
//! **Invariant:** no attempt begins after its message has expired: each looks at that itself, right
//! before. What is done here only makes an end of what nobody would look at for long.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tracing::{debug, error};

use hookseal_domain::delivery::attempt::{Attempt, AttemptFacts};
use hookseal_domain::delivery::outcome::{FailureKind, Outcome};
use hookseal_domain::delivery::{Ended, Next};
use hookseal_domain::endpoint::health::Sign;
use hookseal_domain::time::Timestamp;
use hookseal_store::work::{Claimed, FinishedAttempt};

use crate::job::Job;
use crate::ordering;
use crate::shared::Shared;

/// Why a delivery ends that has nothing to deliver.
pub(crate) const PAYLOAD_GONE: (FailureKind, &str) = (
    FailureKind::PayloadExpired,
    "The payload is not kept any more",
);
/// Why a delivery ends that came too late.
const MESSAGE_EXPIRED: (FailureKind, &str) = (
    FailureKind::MessageExpired,
    "The message has expired: it was not delivered within the time that its expireAfter set",
);

/// How often what has expired is looked for.
const EVERY: Duration = Duration::from_secs(5);
/// Most deliveries that are ended at once: the store's writer does little else meanwhile.
const BATCH_ROWS: usize = 200;
/// Most batches in a row: the rest waits for the next round.
const BATCHES_MAX: usize = 50;
/// Pause between two batches, so that publishing goes first.
const PAUSE: Duration = Duration::from_millis(50);

/// Why there is nothing to send; `None` if there is.
pub(crate) fn nothing_to_send(job: &Job, now: Timestamp) -> Option<(FailureKind, &'static str)> {
    if job.payload.is_none() {
        Some(PAYLOAD_GONE)
    } else if job.is_over(now) {
        Some(MESSAGE_EXPIRED)
    } else {
        None
    }
}

/// Ends what has expired, for ever. A loop of its own: where results find no room on the disk, this
/// waits for room, and retention, which makes it, must not.
pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        sweep(&shared).await;
        let look_again = shared.clock.now().plus(EVERY);
        shared.clock.sleep_until(look_again).await;
    }
}

/// Ends what has expired and is not in memory.
async fn sweep(shared: &Arc<Shared>) {
    for _ in 0..BATCHES_MAX {
        let now = shared.clock.now();
        let expired = match shared.store.claim_expired(now, BATCH_ROWS).await {
            Ok(expired) => expired,
            Err(error) => {
                error!(error = %error, "Could not look for expired messages");
                return;
            }
        };
        let count = expired.len();
        for delivery in expired {
            end(shared, delivery).await;
        }
        if count < BATCH_ROWS {
            return;
        }
        debug!(count, "Ended {count} deliveries of expired messages");
        shared.clock.sleep_until(now.plus(PAUSE)).await;
    }
}

async fn end(shared: &Arc<Shared>, delivery: Claimed) {
    let (_, reason) = MESSAGE_EXPIRED;
    let finished = FinishedAttempt {
        app: delivery.app,
        attempt: Attempt {
            id: shared.next_id(),
            key: delivery.key,
            trigger: delivery.trigger,
            number: delivery.attempts.saturating_add(1),
            outcome: Outcome::Unsendable,
            status_code: None,
            duration_ms: 0,
            ended: Some(Ended::MessageExpired),
            facts: AttemptFacts {
                url: url(shared, &delivery).await,
                response_body: Some(Bytes::new()),
                reason: Some(reason.to_owned()),
                ..AttemptFacts::default()
            },
        },
        claim: delivery.claim,
        next: Next::End(Ended::MessageExpired),
        endpoint_gone_at: None,
        sign: Sign::Nothing,
        health_rule: shared.config.health_rule,
    };
    shared
        .metrics
        .attempted(Outcome::Unsendable, Duration::ZERO);
    shared.metrics.ended(Ended::MessageExpired);
    let (app, endpoint) = (delivery.app, delivery.key.endpoint);
    let job = Job::claimed(delivery, shared.clock.now());
    ordering::record(shared, &job, &finished).await;
    if job.rank.is_some() {
        // It may have been the first of them: the others go on.
        shared.lanes.note_backlog(shared, app, endpoint);
    }
}

/// Where it would have gone to; nothing if that can't be told.
async fn url(shared: &Shared, delivery: &Claimed) -> String {
    let routes = shared.routes.get(&*shared.store, delivery.app).await;
    let routes = routes.ok().flatten();
    let to = routes
        .as_ref()
        .and_then(|routes| routes.endpoint(delivery.key.endpoint));
    to.map(|to| to.destination.url.as_str().to_owned())
        .unwrap_or_default()
}
