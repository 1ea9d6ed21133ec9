//! Operational events: messages of an organisation's hidden application, written in the transaction
//! of what they tell. Must never keep that from being written.

use rusqlite::{Connection, params};

use hookseal_domain::delivery::attempt::Attempt;
use hookseal_domain::endpoint::Endpoint;
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::filter::{Candidate, Filter};
use hookseal_domain::id::{AppId, EndpointId, MessageId, OrgId};
use hookseal_domain::message::options::MessageOptions;
use hookseal_domain::operational::{DeliveryChange, EndpointChange, Happened};
use hookseal_domain::slice::Slice;
use hookseal_domain::subscription::Subscription;
use hookseal_domain::task::Task;
use hookseal_domain::time::Timestamp;
use hookseal_domain::uid::Uid;

use crate::error::{ChangeError, StoreError};
use crate::publish::{DeliveryStart, NewDelivery, NewMessage};
use crate::seal::Place;
use crate::sqlite::SqliteStore;
use crate::sqlite::accept::{self, USUAL_RETENTION};
use crate::sqlite::batch::{Batch, all, first};
use crate::sqlite::failure::Failure;
use crate::sqlite::keyring;
use crate::sqlite::rows::Typed;

/// What people would call it, if it was listed.
const NAME: &str = "Operational webhooks";

const OF_ORGANISATION: &str = "SELECT app FROM operational_application WHERE org = ?1";
const INSERT: &str = "INSERT INTO operational_application (org, slice, app) VALUES (?1, ?2, ?3)";
const INSERT_APPLICATION: &str = "INSERT INTO application \
    (slice, id, org, name, metadata, version, updated_at, operational) \
    VALUES (?1, ?2, ?3, ?4, '{}', 1, ?5, 1)";
/// Whom to tell of an application: not of itself, and not if nobody listens.
const LISTENER: &str = "SELECT t.id, s.uid FROM application s \
    CROSS JOIN operational_application o ON o.org = s.org \
    CROSS JOIN application t ON t.slice = o.slice AND t.id = o.app \
    WHERE s.slice = ?1 AND s.id = ?2 AND s.operational = 0 AND t.endpoints > 0";
const LISTENER_OF_ORGANISATION: &str = "SELECT t.id FROM operational_application o \
    CROSS JOIN application t ON t.slice = o.slice AND t.id = o.app \
    WHERE o.org = ?1 AND t.endpoints > 0";
const DESTINATIONS: &str = "SELECT id, event_types, channels, \
    disabled = 1 OR switched_off IS NOT NULL, filter FROM endpoint \
    WHERE slice = ?1 AND app = ?2 AND deleted_at IS NULL ORDER BY id";
const EVENT_ID: &str = "SELECT event_id FROM message WHERE slice = ?1 AND app = ?2 AND id = ?3";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 4] = [OF_ORGANISATION, LISTENER, DESTINATIONS, EVENT_ID];

/// The application that tells, and of whom.
struct Listener {
    app: AppId,
    /// The client's own name of the application that is told of.
    of_uid: Option<String>,
}

/// The organisation's application for operational events.
pub(super) async fn application(
    store: &SqliteStore,
    org: OrgId,
) -> Result<Option<AppId>, StoreError> {
    let find = move |connection: &Connection| of_organisation(connection, org);
    store.readers.ask(find).await
}

/// The same, made where there is none yet.
pub(super) async fn make_application(
    store: &SqliteStore,
    org: OrgId,
    id: AppId,
    now: Timestamp,
) -> Result<AppId, ChangeError> {
    let wrapped = store.keyring.make(id.into(), 1)?;
    let make = move |batch: &mut Batch<'_>| {
        if let Some(made) = of_organisation(batch.connection, org)? {
            return Ok(Ok(made));
        }
        let slice = Slice::of(id).as_i64();
        let row = params![slice, id.raw(), org.as_bytes(), NAME, now.as_millis()];
        batch.execute(INSERT_APPLICATION, row)?;
        keyring::insert(batch, id.into(), 1, &wrapped, now)?;
        batch.execute(INSERT, params![org.as_bytes(), slice, id.raw()])?;
        Ok(Ok(id))
    };
    store.writer.change(make).await
}

fn of_organisation(connection: &Connection, org: OrgId) -> Result<Option<AppId>, Failure> {
    let key = [org.as_bytes()];
    let app = first(connection, OF_ORGANISATION, key, |row| row.get(0))?;
    Ok(app.map(AppId::from_raw))
}

/// Tells what happened to an endpoint.
pub(super) fn endpoint_changed(
    batch: &Batch<'_>,
    app: AppId,
    endpoint: (EndpointId, Option<&Uid>),
    now: Timestamp,
    changes: &[EndpointChange],
) -> Result<(), Failure> {
    let Some(listener) = listener(batch, app)? else {
        return Ok(());
    };
    let (endpoint, uid) = endpoint;
    for &change in changes {
        let happened = Happened::Endpoint {
            change,
            app,
            endpoint,
            uid: uid.map(|uid| uid.as_str().to_owned()),
        };
        tell(batch, &listener, now, &happened)?;
    }
    Ok(())
}

/// Tells that a client changed an endpoint, and whether it was switched by that.
pub(super) fn endpoint_updated(
    batch: &Batch<'_>,
    app: AppId,
    before: &Endpoint,
    after: &Endpoint,
) -> Result<(), Failure> {
    let switched = EndpointChange::between(before.enabled(), after.enabled());
    let mut changes = vec![EndpointChange::Updated];
    changes.extend(switched);
    let named = (after.id, after.spec.uid.as_ref());
    endpoint_changed(batch, app, named, after.updated_at, &changes)
}

/// Tells what an attempt came to.
pub(super) fn delivery_changed(
    batch: &Batch<'_>,
    app: AppId,
    attempt: &Attempt,
    change: DeliveryChange,
    now: Timestamp,
) -> Result<(), Failure> {
    let Some(listener) = listener(batch, app)? else {
        return Ok(());
    };
    let message = attempt.key.message;
    let key = [Slice::of(app).as_i64(), app.raw(), message.raw()];
    let event_id = batch.first(EVENT_ID, key, |row| row.get(0))?.flatten();
    let happened = Happened::Delivery {
        change,
        app,
        endpoint: attempt.key.endpoint,
        message,
        event_id,
        attempt: attempt.id,
        status_code: attempt.status_code,
    };
    tell(batch, &listener, now, &happened)
}

/// Tells how a task ended.
pub(super) fn task_ended(batch: &Batch<'_>, task: Task, now: Timestamp) -> Result<(), Failure> {
    let key = [task.org.as_bytes()];
    let listener = batch.first(LISTENER_OF_ORGANISATION, key, |row| {
        Ok(Listener {
            app: AppId::from_raw(row.get(0)?),
            of_uid: None,
        })
    })?;
    match listener {
        Some(listener) => {
            let happened = Happened::TaskFinished(Box::new(task));
            tell(batch, &listener, now, &happened)
        }
        None => Ok(()),
    }
}

/// Who is told of an application; `None` if nobody.
fn listener(batch: &Batch<'_>, app: AppId) -> Result<Option<Listener>, Failure> {
    let key = [Slice::of(app).as_i64(), app.raw()];
    Ok(batch.first(LISTENER, key, |row| {
        Ok(Listener {
            app: AppId::from_raw(row.get(0)?),
            of_uid: row.get(1)?,
        })
    })?)
}

/// Publishes what happened, to those who want to know. Whatever is wrong with the listeners is theirs
/// alone: it does not keep what happened from being written.
fn tell(
    batch: &Batch<'_>,
    listener: &Listener,
    now: Timestamp,
    happened: &Happened,
) -> Result<(), Failure> {
    match publish(batch, listener, now, happened) {
        Err(Failure::Store(error)) => {
            tracing::error!(
                app.id = %listener.app,
                event_type = happened.event_type(),
                error = %error,
                "Could not publish an operational event"
            );
            Ok(())
        }
        published => published,
    }
}

/// Writes only after all that can be wrong with the listeners was looked at.
fn publish(
    batch: &Batch<'_>,
    listener: &Listener,
    now: Timestamp,
    happened: &Happened,
) -> Result<(), Failure> {
    let app = listener.app;
    let event_type = EventTypeName::from_stored(happened.event_type().to_owned());
    let payload = happened.payload(listener.of_uid.as_deref());
    let deliveries = deliveries(batch, app, &event_type, payload.as_bytes())?;
    if deliveries.is_empty() {
        return Ok(());
    }
    let id: MessageId = batch.means.ids.next(now);
    let keys = batch.means.keyring.to_seal(batch, app, now)?;
    let place = Place::MessagePayload { message: id.raw() };
    let sealed = keys.seal(place, payload.as_bytes())?;
    let message = NewMessage {
        id,
        app,
        // Of this very transaction.
        routing_version: 0,
        event_id: None,
        event_type,
        channels: Vec::new(),
        tags: Vec::new(),
        payload: payload.into(),
        payload_expires_at: now.plus(USUAL_RETENTION),
        options: MessageOptions::default(),
        deliveries,
        idempotency: None,
        cloud_event: None,
        step_of: None,
        now,
    };
    accept::insert_all(batch, &message, &sealed)?;
    for delivery in &message.deliveries {
        if delivery.start == DeliveryStart::Backlog {
            batch.backlogged(app, delivery.endpoint);
        }
    }
    Ok(())
}

/// One for each endpoint that wants to know.
fn deliveries(
    batch: &Batch<'_>,
    app: AppId,
    event_type: &EventTypeName,
    payload: &[u8],
) -> Result<Vec<NewDelivery>, Failure> {
    let mut candidate = Candidate::new(event_type, &[], payload);
    let key = [Slice::of(app).as_i64(), app.raw()];
    let destinations = all(batch.connection, DESTINATIONS, key, |row| {
        let endpoint = EndpointId::from_raw(row.get(0)?);
        let start = if row.get(3)? {
            DeliveryStart::Held
        } else {
            DeliveryStart::Backlog
        };
        let row = Typed {
            row,
            table: "endpoint",
            id: endpoint,
        };
        let filter: Option<String> = row.plain("filter")?;
        let filter = filter.map(|text| Filter::parse(&text)).transpose();
        let subscription = Subscription {
            event_types: row.event_types("event_types")?,
            channels: row.channels("channels")?,
            filter: filter.map_err(|_| row.corrupt("filter"))?,
        };
        let delivery = NewDelivery {
            endpoint,
            start,
            order: None,
        };
        let wanted = subscription.decide(&mut candidate).is_delivered();
        Ok(wanted.then_some(delivery))
    })?;
    Ok(destinations.into_iter().flatten().collect())
}
