//! Taking down an attempt and what follows from it. Fenced: a delivery that this node's epoch does
//! not own, or that was taken again or resent since, keeps its state.

use std::time::Duration;

use rusqlite::params;
use tokio::sync::OwnedSemaphorePermit;

use hookseal_domain::delivery::attempt::{Attempt, AttemptFacts};
use hookseal_domain::delivery::{Ended, Next, Trigger};
use hookseal_domain::operational::{DeliveryChange, DisabledBy, EndpointChange};
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;

use crate::codes::Code;
use crate::error::StoreError;
use crate::seal::{Place, Sealed, facts};
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::Batch;
use crate::sqlite::counts::{self, Before, End};
use crate::sqlite::failure::Failure;
use crate::sqlite::queue::Job;
use crate::sqlite::{endpoint_health, operational};
use crate::work::{FinishedAttempt, Recorded};

/// How long a delivery rests whose result could not be taken down.
const UNRECORDED_PAUSE: Duration = Duration::from_mins(1);

const INSERT_ATTEMPT: &str = "INSERT INTO attempt (msg, id, slice, app, ep, number, trigger, \
    outcome, status_code, duration_ms, ended, key_version, facts) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT DO NOTHING";
const END: &str = "DELETE FROM pending \
    WHERE msg = ?1 AND ep = ?2 AND slice = ?3 AND owner = ?4 AND epoch = ?5 AND claim = ?6";
const RETRY: &str = "UPDATE pending SET state = 1, due = ?7, step = ?8, attempts = ?9, \
    owner = NULL, epoch = NULL \
    WHERE msg = ?1 AND ep = ?2 AND slice = ?3 AND owner = ?4 AND epoch = ?5 AND claim = ?6";
const BLOCK: &str = "UPDATE pending SET state = 4, attempts = ?7, owner = NULL, epoch = NULL \
    WHERE msg = ?1 AND ep = ?2 AND slice = ?3 AND owner = ?4 AND epoch = ?5 AND claim = ?6";
const PUT_OFF: &str = "UPDATE pending SET state = 1, due = ?7, owner = NULL, epoch = NULL \
    WHERE msg = ?1 AND ep = ?2 AND slice = ?3 AND owner = ?4 AND epoch = ?5 AND claim = ?6";
pub(super) const PUT_OUTCOME: &str = "INSERT OR REPLACE INTO outcome (slice, ep, msg, ended, attempts, at) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const MESSAGE_EXISTS: &str = "SELECT 1 FROM message WHERE slice = ?1 AND app = ?2 AND id = ?3";
const FORGET_ATTEMPT: &str = "DELETE FROM attempt WHERE msg = ?1 AND id = ?2 AND slice = ?3";
/// Not where the endpoint was changed after the attempt began: what is gone may be what it was
/// before.
const SWITCH_OFF: &str = "UPDATE endpoint SET switched_off = 1, switched_off_at = ?4, \
    release_held = 0, updated_at = ?4 WHERE slice = ?1 AND app = ?2 AND id = ?3 \
    AND deleted_at IS NULL AND switched_off IS NULL AND updated_at <= ?4";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 7] = [
    END,
    RETRY,
    BLOCK,
    PUT_OFF,
    MESSAGE_EXISTS,
    FORGET_ATTEMPT,
    SWITCH_OFF,
];

/// A result on its way to the disk.
struct Taken {
    finished: FinishedAttempt,
    sealed: Sealed,
    bytes: usize,
    _room: OwnedSemaphorePermit,
}

/// Queues an attempt.
pub(super) async fn attempt(
    store: &SqliteStore,
    finished: &FinishedAttempt,
) -> Result<(), StoreError> {
    let (finished, sealed) = seal(store, finished).await?;
    let bytes = sealed.bytes.len();
    let result = |room| -> Box<dyn Job> {
        Box::new(Taken {
            finished,
            sealed,
            bytes,
            _room: room,
        })
    };
    store.writer.record(bytes, result).await
}

/// Makes an attempt durable before it returns.
pub(super) async fn in_order(
    store: &SqliteStore,
    finished: &FinishedAttempt,
) -> Result<Recorded, StoreError> {
    let (finished, sealed) = seal(store, finished).await?;
    let bytes = sealed.bytes.len();
    let take_down = move |batch: &mut Batch<'_>| Ok(Ok(take_down(batch, &finished, &sealed)?));
    store.writer.change_of_bytes(bytes, take_down).await
}

async fn seal(
    store: &SqliteStore,
    finished: &FinishedAttempt,
) -> Result<(FinishedAttempt, Sealed), StoreError> {
    let keys = store.keys(finished.app).await?;
    let keys = keys.ok_or(StoreError::Unsealable { what: "data_key" })?;
    let attempt = &finished.attempt;
    let place = Place::AttemptFacts {
        message: attempt.key.message.raw(),
        attempt: attempt.id.raw(),
    };
    let sealed = keys.seal(place, &facts::encode(&attempt.facts))?;
    // All but the facts, which are sealed now.
    let finished = FinishedAttempt {
        attempt: Attempt {
            facts: AttemptFacts::default(),
            ..*attempt
        },
        ..*finished
    };
    Ok((finished, sealed))
}

impl Job for Taken {
    fn run(&mut self, batch: &mut Batch<'_>) -> Result<(), Failure> {
        take_down(batch, &self.finished, &self.sealed)?;
        Ok(())
    }

    fn finish(self: Box<Self>, result: Result<(), StoreError>) {
        if let Err(error) = result {
            let key = self.finished.attempt.key;
            tracing::error!(
                message.id = %key.message,
                endpoint.id = %key.endpoint,
                error = %error,
                "Lost the result of an attempt: the delivery is tried again"
            );
        }
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn is_kept(&self) -> bool {
        true
    }

    /// The delivery is made again, but later: whatever is wrong may be wrong again.
    fn give_up(&mut self, batch: &mut Batch<'_>) -> Result<(), Failure> {
        put_off(batch, &self.finished)?;
        Ok(())
    }
}

fn take_down(
    batch: &mut Batch<'_>,
    finished: &FinishedAttempt,
    sealed: &Sealed,
) -> Result<Recorded, Failure> {
    let slice = Slice::of(finished.app).as_i64();
    if insert_attempt(batch, slice, finished, sealed)? == 0 {
        // It was taken down before, with whatever follows.
        return Ok(Recorded::Followed);
    }
    let recorded = if move_on(batch, slice, finished)? {
        tell(batch, finished)?;
        Recorded::Followed
    } else {
        forget_orphan(batch, slice, finished)?;
        Recorded::Overtaken
    };
    counts::attempt(batch, finished)?;
    endpoint_health::take_in(batch, finished, ended_at(finished))?;
    if let Some(at) = finished.endpoint_gone_at {
        switch_off(batch, slice, finished, at)?;
    }
    Ok(recorded)
}

/// Tells what the attempt came to, which is nothing for most of them.
fn tell(batch: &Batch<'_>, finished: &FinishedAttempt) -> Result<(), Failure> {
    let attempt = &finished.attempt;
    match DeliveryChange::after(attempt.number, attempt.outcome, finished.next) {
        Some(change) => {
            let now = ended_at(finished);
            operational::delivery_changed(batch, finished.app, attempt, change, now)
        }
        None => Ok(()),
    }
}

fn insert_attempt(
    batch: &Batch<'_>,
    slice: i64,
    finished: &FinishedAttempt,
    sealed: &Sealed,
) -> rusqlite::Result<usize> {
    let attempt = &finished.attempt;
    batch.execute(
        INSERT_ATTEMPT,
        params![
            attempt.key.message.raw(),
            attempt.id.raw(),
            slice,
            finished.app.raw(),
            attempt.key.endpoint.raw(),
            attempt.number,
            attempt.trigger.code(),
            attempt.outcome.code(),
            attempt.status_code,
            attempt.duration_ms,
            attempt.ended.map(Ended::code),
            sealed.key_version,
            sealed.bytes,
        ],
    )
}

/// Moves the delivery on; says whether it was the attempt's to move.
fn move_on(batch: &mut Batch<'_>, slice: i64, finished: &FinishedAttempt) -> Result<bool, Failure> {
    let attempt = &finished.attempt;
    let (message, endpoint) = (attempt.key.message.raw(), attempt.key.endpoint.raw());
    match finished.next {
        Next::End(ended) => {
            let owned = params![
                message,
                endpoint,
                slice,
                batch.node,
                batch.epoch,
                finished.claim
            ];
            if batch.execute(END, owned)? == 0 {
                return Ok(false);
            }
            let before = match attempt.trigger {
                Trigger::Publish => Before::Never,
                Trigger::Resend => Before::Maybe,
            };
            let end = End {
                slice,
                endpoint,
                message,
                ended,
                attempts: attempt.number.into(),
                at: ended_at(finished),
            };
            counts::end(batch, end, before)?;
            Ok(true)
        }
        Next::Block => {
            let row = params![
                message,
                endpoint,
                slice,
                batch.node,
                batch.epoch,
                finished.claim,
                attempt.number
            ];
            Ok(batch.execute(BLOCK, row)? == 1)
        }
        Next::Retry { due, step } => {
            let row = params![
                message,
                endpoint,
                slice,
                batch.node,
                batch.epoch,
                finished.claim,
                due.as_millis(),
                step,
                attempt.number
            ];
            Ok(batch.execute(RETRY, row)? == 1)
        }
    }
}

fn put_off(batch: &Batch<'_>, finished: &FinishedAttempt) -> rusqlite::Result<usize> {
    let attempt = &finished.attempt;
    let later = ended_at(finished).plus(UNRECORDED_PAUSE);
    let due = match finished.next {
        Next::Retry { due, .. } => due.max(later),
        Next::End(_) | Next::Block => later,
    };
    let row = params![
        attempt.key.message.raw(),
        attempt.key.endpoint.raw(),
        Slice::of(finished.app).as_i64(),
        batch.node,
        batch.epoch,
        finished.claim,
        due.as_millis()
    ];
    batch.execute(PUT_OFF, row)
}

fn ended_at(finished: &FinishedAttempt) -> Timestamp {
    let attempt = &finished.attempt;
    let took = Duration::from_millis(attempt.duration_ms.into());
    attempt.id.created_at().plus(took)
}

/// An attempt whose message was forgotten meanwhile has nothing to belong to.
fn forget_orphan(batch: &Batch<'_>, slice: i64, finished: &FinishedAttempt) -> Result<(), Failure> {
    let attempt = &finished.attempt;
    let message = attempt.key.message.raw();
    let key = params![slice, finished.app.raw(), message];
    if batch.first(MESSAGE_EXISTS, key, |_| Ok(()))?.is_none() {
        batch.execute(FORGET_ATTEMPT, params![message, attempt.id.raw(), slice])?;
    }
    Ok(())
}

fn switch_off(
    batch: &mut Batch<'_>,
    slice: i64,
    finished: &FinishedAttempt,
    at: Timestamp,
) -> Result<(), Failure> {
    let endpoint = finished.attempt.key.endpoint.raw();
    let key = params![slice, finished.app.raw(), endpoint, at.as_millis()];
    if batch.execute(SWITCH_OFF, key)? == 1 {
        batch.changed(finished.app, 0)?;
        batch.aftermath.borrow_mut().changed.insert(finished.app);
        let gone = EndpointChange::Disabled(DisabledBy::Gone);
        endpoint_health::tell(batch, finished.app, finished.attempt.key.endpoint, at, gone)?;
    }
    Ok(())
}
