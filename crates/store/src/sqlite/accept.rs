//! Accepting a message: one transaction for it, its deliveries and its idempotency record, shared
//! with the requests that wait at the same time.

use std::time::Duration;

use rusqlite::params;

use hookseal_domain::channel::Channel;
use hookseal_domain::delivery::Trigger;
use hookseal_domain::endpoint::order::KeyHash;
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;

use crate::codes::{Code, PendingState};
use crate::error::AcceptError;
use crate::publish::{Accepted, DeliveryStart, NewMessage};
use crate::seal::{Place, Sealed};
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::Batch;
use crate::sqlite::cloud_events;
use crate::sqlite::failure::Failure;
use crate::sqlite::idempotency::{self, Earlier};
use crate::sqlite::keyring;
use crate::sqlite::order;
use crate::sqlite::rows::json;
use crate::sqlite::tasks::{self, Advance};
use crate::tasks::{StepReport, TaskClaim};

/// A payload that is kept shorter than this is forgotten by an index of its own; retention finds
/// the others in the order that they came in. The contract's default.
pub(super) const USUAL_RETENTION: Duration = Duration::from_hours(90 * 24);

const INSERT_MESSAGE: &str = "INSERT INTO message (slice, app, id, event_type, event_id, channels, \
    tags, payload, payload_size, key_version, payload_expires, expires_early) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
const INSERT_PENDING: &str = "INSERT INTO pending (msg, ep, slice, app, state, trigger, attempts, \
    step, due, owner, epoch, seq, order_key, class, expires) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, ?11, ?7, ?8, ?9, ?10, ?12, ?13)";
const INSERT_OPTIONS: &str = "INSERT INTO message_option \
    (slice, app, msg, class, deliver_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// Accepts a message.
pub(super) async fn message(
    store: &SqliteStore,
    message: NewMessage,
) -> Result<Accepted, AcceptError> {
    let keys = keyring::renewed(store, message.app, message.now).await?;
    let keys = keys.ok_or(AcceptError::UnknownApplication)?;
    let place = Place::MessagePayload {
        message: message.id.raw(),
    };
    let sealed = keys.seal(place, &message.payload)?;
    let event = cloud_events::seal(&keys, &message)?;
    let event_bytes = event.as_ref().map_or(0, |event| event.bytes.len());
    let bytes = sealed.bytes.len() + event_bytes + 128 * message.deliveries.len();
    store
        .writer
        .change_of_bytes(bytes, move |batch| {
            insert(batch, &message, &sealed, event.as_ref())
        })
        .await
}

fn insert(
    batch: &mut Batch<'_>,
    message: &NewMessage,
    sealed: &Sealed,
    event: Option<&Sealed>,
) -> Result<Result<Accepted, AcceptError>, Failure> {
    let slice = Slice::of(message.app).as_i64();
    let request = message.idempotency.as_ref();
    match idempotency::earlier(batch, slice, request, message.now)? {
        Earlier::None => {}
        Earlier::Made(id) => {
            return Ok(Ok(Accepted::Repeated(
                hookseal_domain::id::MessageId::from_raw(id),
            )));
        }
        Earlier::OtherBody => return Ok(Err(AcceptError::IdempotencyKeyReused)),
    }
    match batch.version(message.app)? {
        None => return Ok(Err(AcceptError::UnknownApplication)),
        Some(version) if version != message.routing_version => {
            return Ok(Err(AcceptError::StaleRouting));
        }
        Some(_) => {}
    }
    if let Some(claim) = message.step_of
        && tasks::at(batch, claim)?.is_none()
    {
        return Ok(Err(AcceptError::StepVoid));
    }
    if let Err(error) = insert_all(batch, message, sealed) {
        if Failure::is_unique_violation(&error) {
            return Ok(Err(AcceptError::EventIdTaken));
        }
        return Err(error.into());
    }
    if let Some(event) = event {
        cloud_events::insert(batch, slice, message, event)?;
    }
    if let Some(claim) = message.step_of {
        advance(batch, claim, message)?;
    }
    idempotency::remember(batch, slice, request, message.id.raw())?;
    Ok(Ok(Accepted::New))
}

/// Writes a message with all that belongs to it.
pub(super) fn insert_all(
    batch: &Batch<'_>,
    message: &NewMessage,
    sealed: &Sealed,
) -> rusqlite::Result<()> {
    let slice = Slice::of(message.app).as_i64();
    insert_message(batch, slice, message, sealed)?;
    if !message.options.is_default() {
        insert_options(batch, slice, message)?;
    }
    insert_deliveries(batch, slice, message)
}

/// Takes down that a broadcast has come past the message's application.
fn advance(batch: &Batch<'_>, claim: TaskClaim, message: &NewMessage) -> Result<(), Failure> {
    let far = Advance {
        cursor: message.app.raw(),
        looked_at: 1,
        report: StepReport {
            done: 1,
            ..StepReport::default()
        },
        now: message.now,
    };
    tasks::advance(batch, claim.task, &far)?;
    Ok(())
}

fn insert_message(
    batch: &Batch<'_>,
    slice: i64,
    message: &NewMessage,
    sealed: &Sealed,
) -> rusqlite::Result<usize> {
    let expires = message.payload_expires_at;
    let early = expires < message.now.plus(USUAL_RETENTION);
    let channels: Vec<_> = message.channels.iter().map(Channel::as_str).collect();
    batch.execute(
        INSERT_MESSAGE,
        params![
            slice,
            message.app.raw(),
            message.id.raw(),
            message.event_type.as_str(),
            message.event_id.as_ref().map(|id| id.as_str()),
            (!channels.is_empty()).then(|| json(&channels)),
            (!message.tags.is_empty()).then(|| json(&message.tags)),
            sealed.bytes,
            i64::try_from(message.payload.len()).unwrap_or(i64::MAX),
            sealed.key_version,
            expires.as_millis(),
            early.then_some(expires.as_millis()),
        ],
    )
}

fn insert_options(batch: &Batch<'_>, slice: i64, message: &NewMessage) -> rusqlite::Result<usize> {
    let options = message.options;
    batch.execute(
        INSERT_OPTIONS,
        params![
            slice,
            message.app.raw(),
            message.id.raw(),
            options.priority.code(),
            options.deliver_at.map(Timestamp::as_millis),
            options.expires_at.map(Timestamp::as_millis),
        ],
    )
}

fn insert_deliveries(batch: &Batch<'_>, slice: i64, message: &NewMessage) -> rusqlite::Result<()> {
    for delivery in &message.deliveries {
        let state = match delivery.start {
            DeliveryStart::Owned => PendingState::Owned,
            DeliveryStart::Backlog => PendingState::Backlog,
            DeliveryStart::Held => PendingState::Held,
            DeliveryStart::Waiting { .. } => PendingState::Waiting,
        };
        let due = match delivery.start {
            DeliveryStart::Waiting { due } => Some(due.as_millis()),
            DeliveryStart::Owned | DeliveryStart::Backlog | DeliveryStart::Held => None,
        };
        let owned = state == PendingState::Owned;
        let seq = delivery
            .order
            .map(|_| order::draw(batch, slice, delivery.endpoint.raw()))
            .transpose()?;
        let row = params![
            message.id.raw(),
            delivery.endpoint.raw(),
            slice,
            message.app.raw(),
            state.code(),
            Trigger::Publish.code(),
            owned.then_some(batch.node),
            owned.then_some(batch.epoch),
            seq,
            delivery.order.map(KeyHash::raw),
            due,
            message.options.priority.code(),
            message.options.expires_at.map(Timestamp::as_millis),
        ];
        batch.execute(INSERT_PENDING, row)?;
    }
    Ok(())
}
