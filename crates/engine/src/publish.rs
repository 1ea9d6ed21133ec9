//! Publishing: an authorised request becomes a durable message with its deliveries.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use hookseal_catalogue::schema::Mismatch;
use hookseal_domain::admission::Shed;
use hookseal_domain::channel::Channel;
use hookseal_domain::cloud_event::CloudEvent;
use hookseal_domain::delivery::DeliveryKey;
use hookseal_domain::endpoint::Destination;
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::filter::Candidate;
use hookseal_domain::id::{AppId, EndpointId, MessageId, OrgId};
use hookseal_domain::message::options::MessageOptions;
use hookseal_domain::uid::Uid;
use hookseal_store::error::{AcceptError, ChangeError, StoreError};
use hookseal_store::publish::{Accepted, Idempotency, NewMessage};
use hookseal_store::reference::AppRef;
use hookseal_store::tasks::TaskClaim;

use crate::conformity::{self, Unfit};
use crate::fanout::fan_out;
use crate::job::Job;
pub use crate::ordering::PublishHeaders;
use crate::routes::AppRoutes;
use crate::shared::Shared;
use crate::to_its_end::ToItsEnd;

/// Whom a message goes to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Audience {
    /// The endpoints that want it.
    #[default]
    Subscribers,
    /// As an example to this endpoint, whatever it wants. It is not held against the schema that it was
    /// made from: not every schema can be fulfilled by one that nobody thought of.
    Example(EndpointId),
    /// To this endpoint, whatever it wants, by whoever published it: see [`crate::Engine::trial`].
    Trial(EndpointId),
}

/// A message to publish, every part of it checked.
#[derive(Clone, Debug)]
pub struct Publish {
    /// In which organisation.
    pub org: OrgId,
    /// To which application.
    pub app: AppRef,
    /// What happened.
    pub event_type: EventTypeName,
    /// The client's own name of it.
    pub event_id: Option<Uid>,
    /// Which channels it goes to.
    pub channels: Vec<Channel>,
    /// The client's labels.
    pub tags: Vec<String>,
    /// The exact bytes to deliver.
    pub payload: Bytes,
    /// Its context, if it is published as a CloudEvent.
    pub cloud_event: Option<CloudEvent>,
    /// How long the payload is kept.
    pub payload_retention: Duration,
    /// The headers that it was published with.
    pub headers: PublishHeaders,
    /// What it says of its deliveries.
    pub options: MessageOptions,
    /// Whom it goes to.
    pub audience: Audience,
    /// How a repetition is recognised.
    pub idempotency: Option<Idempotency>,
    /// The broadcast of which it is a step; `None` if somebody publishes it.
    pub step_of: Option<TaskClaim>,
}

/// A message that is durable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Published {
    /// Its id.
    pub id: MessageId,
    /// Whose it is.
    pub app: AppId,
    /// Whether an earlier, equal request had published it already.
    pub repeated: bool,
}

/// A message was not published. Nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PublishError {
    /// The application does not exist.
    #[error("the application does not exist")]
    UnknownApplication,
    /// The `eventId` names another message of the application.
    #[error("a message with this eventId exists")]
    EventIdTaken,
    /// The idempotency key was used with another body.
    #[error("the idempotency key was used for another request")]
    IdempotencyKeyReused,
    /// The broadcast of which it is a step went on or ended meanwhile.
    #[error("the broadcast went on or ended meanwhile")]
    StepVoid,
    /// The payload does not match the schema of its event type, which enforces it.
    #[error("the payload does not match the schema of its event type")]
    Mismatch(Box<Mismatch>),
    /// The node is stopping, or too much is waiting: try again in a moment.
    #[error("too much is waiting")]
    Overloaded,
    /// The disk is full: an operator has to make room.
    #[error("the disk is full")]
    DiskFull,
    /// The store failed.
    #[error("the message was not stored")]
    Store(#[source] StoreError),
}

/// How often a publish reads the routing again before it gives up: each time somebody changed the
/// application in between.
const STALE_ROUTING_RETRIES_MAX: usize = 8;

/// Makes a message durable and hands its deliveries over.
pub(crate) async fn publish(
    shared: &Arc<Shared>,
    publish: Publish,
) -> Result<Published, PublishError> {
    // Once the message is being stored, a caller that goes away must not take the hand-over with it.
    ToItsEnd::new(publish_to_its_end(Arc::clone(shared), publish)).await
}

async fn publish_to_its_end(
    shared: Arc<Shared>,
    publish: Publish,
) -> Result<Published, PublishError> {
    if shared.is_stopping() {
        return Err(PublishError::Overloaded);
    }
    let mut permit = shared.door.enter()?;
    for _ in 0..STALE_ROUTING_RETRIES_MAX {
        let routes = shared
            .routes
            .find(&*shared.store, publish.org, &publish.app)
            .await
            .map_err(store_error)?
            .ok_or(PublishError::UnknownApplication)?;
        if let Err(unfit) = conformity::check(&shared, &routes, &publish).await {
            return refuse(&shared, &routes, &publish, unfit).await;
        }
        let published = publish_once(&shared, &routes, &publish).await;
        match &published {
            Ok(_) => permit.stored(shared.store.flush_time()),
            Err(error) => permit.failed(error),
        }
        match published {
            Err(AcceptError::StaleRouting) => shared.routes.forget(routes.routing.application.id),
            Err(AcceptError::UnknownApplication) => {
                shared.routes.forget(routes.routing.application.id);
                return Err(PublishError::UnknownApplication);
            }
            Err(AcceptError::EventIdTaken) => return Err(PublishError::EventIdTaken),
            Err(AcceptError::IdempotencyKeyReused) => {
                return Err(PublishError::IdempotencyKeyReused);
            }
            Err(AcceptError::StepVoid) => return Err(PublishError::StepVoid),
            Err(AcceptError::Store(error)) => return Err(store_error(error)),
            Ok(published) => return Ok(published),
        }
    }
    Err(PublishError::Overloaded)
}

/// What is unfit is refused, but for the repetition of what was accepted before the schema said so.
async fn refuse(
    shared: &Shared,
    routes: &AppRoutes,
    publish: &Publish,
    unfit: Unfit,
) -> Result<Published, PublishError> {
    let is_mismatch = matches!(unfit, Unfit::Mismatch(_));
    let mismatch = PublishError::from(unfit);
    let Some(request) = publish.idempotency.filter(|_| is_mismatch) else {
        return Err(mismatch);
    };
    let (app, now) = (routes.routing.application.id, shared.clock.now());
    match shared.store.earlier_message(app, request, now).await {
        Ok(Some(id)) => Ok(Published {
            id,
            app,
            repeated: true,
        }),
        Ok(None) => Err(mismatch),
        Err(ChangeError::IdempotencyKeyReused) => Err(PublishError::IdempotencyKeyReused),
        Err(ChangeError::Store(error)) => Err(store_error(error)),
        Err(_) => Err(mismatch),
    }
}

/// Choose, store, hand over.
async fn publish_once(
    shared: &Arc<Shared>,
    routes: &Arc<AppRoutes>,
    publish: &Publish,
) -> Result<Published, AcceptError> {
    let app = routes.routing.application.id;
    let now = shared.clock.now();
    let id: MessageId = shared.next_id();
    let fan_out = fan_out(shared, routes, publish);
    let message = NewMessage {
        id,
        app,
        routing_version: routes.routing.version,
        event_id: publish.event_id.clone(),
        event_type: publish.event_type.clone(),
        channels: publish.channels.clone(),
        tags: publish.tags.clone(),
        payload: publish.payload.clone(),
        cloud_event: publish.cloud_event.clone(),
        payload_expires_at: now.plus(publish.payload_retention),
        options: publish.options,
        deliveries: fan_out.deliveries,
        idempotency: publish.idempotency,
        step_of: publish.step_of,
        now,
    };
    match shared.store.accept(message).await? {
        Accepted::Repeated(id) => Ok(Published {
            id,
            app,
            repeated: true,
        }),
        Accepted::New => {
            shared.metrics.messages_published.inc();
            for place in fan_out.places {
                let key = DeliveryKey {
                    message: id,
                    endpoint: place.endpoint(),
                };
                let (event_type, payload) = (publish.event_type.clone(), publish.payload.clone());
                place.take(
                    shared,
                    Job::first(key, publish.options, event_type, payload),
                );
            }
            if let Some(due) = publish.options.deliver_at {
                shared.wake.at(due);
            }
            for destination in fan_out.backlogged {
                shared.lanes.note_backlog(shared, app, destination.id);
            }
            Ok(Published {
                id,
                app,
                repeated: false,
            })
        }
    }
}

// === impl Publish ===

impl Publish {
    /// Whether it goes to an endpoint; `candidate` is the same message.
    pub(crate) fn is_for(
        &self,
        destination: &Destination,
        candidate: &mut Candidate<'_>,
        shared: &Shared,
    ) -> bool {
        match self.audience {
            Audience::Subscribers => {
                let clock = &*shared.clock;
                shared.filters.wants(destination, candidate, clock)
            }
            Audience::Example(endpoint) | Audience::Trial(endpoint) => destination.id == endpoint,
        }
    }
}

impl From<Unfit> for PublishError {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Store(error) => store_error(error),
            Unfit::Mismatch(mismatch) => Self::Mismatch(Box::new(mismatch)),
        }
    }
}

impl From<Shed> for PublishError {
    fn from(reason: Shed) -> Self {
        match reason {
            Shed::Waiting => Self::Overloaded,
            Shed::DiskFull => Self::DiskFull,
        }
    }
}

fn store_error(error: StoreError) -> PublishError {
    match error {
        StoreError::Overloaded => PublishError::Overloaded,
        StoreError::DiskFull => PublishError::DiskFull,
        other => PublishError::Store(other),
    }
}
