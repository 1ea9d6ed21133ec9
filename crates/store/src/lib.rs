//! Keeps everything that was acknowledged. The only crate with SQL; knows no HTTP.
//!
//! [`Store`] is a trait by intent, not by table: each method is one step of the product, and each
//! back end writes it in its own best way. One conformance suite runs against all of them.

pub mod aftermath;
pub mod catalogue;
pub mod cloud_event;
mod codes;
pub mod config;
pub mod endpoint_health;
pub mod error;
pub mod ids;
pub mod inspect;
pub mod operational;
pub mod page;
pub mod publish;
pub mod reference;
pub mod retention;
pub mod seal;
pub mod sqlite;
pub mod statistics;
pub mod tasks;
pub mod tokens;
pub mod transport;
pub mod verification;
pub mod work;

use std::time::Duration;

use async_trait::async_trait;

use hookseal_domain::application::{Application, ApplicationSpec};
use hookseal_domain::delivery::DeliveryKey;
use hookseal_domain::delivery::attempt::Attempt;
use hookseal_domain::endpoint::headers::EndpointHeaders;
use hookseal_domain::endpoint::order::KeyHash;
use hookseal_domain::endpoint::{Endpoint, EndpointSpec};
use hookseal_domain::event_type::{EventType, EventTypeName, EventTypeSpec};
use hookseal_domain::id::{AppId, AttemptId, EndpointId, MessageId, OrgId};
use hookseal_domain::message::Message;
use hookseal_domain::signature::key::SigningKey;
use hookseal_domain::time::Timestamp;

use crate::catalogue::CatalogueStore;
use crate::cloud_event::CloudEventStore;
use crate::config::{Created, EventTypeListing, NewEndpoint, NewSigningKey, Routing};
use crate::endpoint_health::EndpointHealthStore;
use crate::error::{AcceptError, ChangeError, ResendError, SkipError, StoreError};
use crate::inspect::{
    AttemptFilter, AttemptScope, DeliveredMessage, Destined, MessageFilter, MessageStatusFilter,
    OrderHead,
};
use crate::operational::OperationalStore;
use crate::page::{Page, PageRequest};
use crate::publish::{Accepted, Idempotency, NewMessage};
use crate::reference::{AppRef, EndpointRef, MessageRef};
use crate::retention::{Retained, RetentionPolicy};
use crate::statistics::StatisticsStore;
use crate::tasks::TaskStore;
use crate::tokens::TokenStore;
use crate::transport::TransportStore;
use crate::verification::VerificationStore;
use crate::work::{Claimed, DueBatch, FinishedAttempt, NodeSession, PullLimit, Recorded};

/// Everything that Hookseal remembers.
///
/// Every method that changes something returns after the change is durable, but for
/// [`Store::record`]. A change and whatever follows from it is one transaction. References are
/// looked up within the organisation or application given, never beyond. What concerns transport
/// security is in [`TransportStore`], what concerns tasks in [`TaskStore`], tokens in [`TokenStore`], the
/// rules of event types in [`CatalogueStore`], what the organisation is told in [`OperationalStore`],
/// counters in [`StatisticsStore`], bringing back endpoints in [`EndpointHealthStore`], whether receivers
/// want it in [`VerificationStore`].
#[async_trait]
pub trait Store:
    CatalogueStore
    + CloudEventStore
    + TransportStore
    + TaskStore
    + TokenStore
    + OperationalStore
    + StatisticsStore
    + EndpointHealthStore
    + VerificationStore
    + Send
    + Sync
{
    // --- the node ---

    /// Begins a new epoch of this node: what an earlier process of it still owned comes back as
    /// backlog, and nothing that process may still write counts as state any more.
    async fn begin_epoch(&self, now: Timestamp) -> Result<NodeSession, StoreError>;

    /// Whether the store can be read and written.
    async fn health(&self) -> Result<(), StoreError>;

    /// Waits until everything recorded so far is durable.
    async fn flush(&self) -> Result<(), StoreError>;

    // --- requests ---

    /// What an earlier request with the same key made, in the terms of whoever took it down; `None`
    /// where there was none. For requests whose change does not carry its key itself.
    async fn earlier_request(
        &self,
        request: Idempotency,
        now: Timestamp,
    ) -> Result<Option<i64>, ChangeError>;

    /// Takes down what a request made.
    async fn remember_request(&self, request: Idempotency, made: i64) -> Result<(), ChangeError>;

    // --- publish ---

    /// All that publishing to an application needs, as of one version; `None` if there is no such
    /// application.
    async fn routing(&self, org: OrgId, app: &AppRef) -> Result<Option<Routing>, StoreError>;

    /// The same for work that goes on without a request.
    async fn routing_of(&self, app: AppId) -> Result<Option<Routing>, StoreError>;

    /// Message, deliveries and idempotency record in one transaction, shared with the requests
    /// that wait at the same time. Refused as stale when the application changed after its routing
    /// was read.
    async fn accept(&self, message: NewMessage) -> Result<Accepted, AcceptError>;

    /// How long it takes of late to make a transaction durable, however small it is: what no request
    /// can be spared. Zero before the first one.
    fn flush_time(&self) -> Duration;

    // --- deliver ---

    /// Takes deliveries whose time has come into this node's ownership, earliest first, and says
    /// when the next one is due.
    async fn claim_due(&self, now: Timestamp, limit: PullLimit) -> Result<DueBatch, StoreError>;

    /// Takes an endpoint's backlog into this node's ownership, oldest first. What has an order is
    /// taken in it, and only if nothing before it is anywhere else than in the backlog.
    async fn pull_backlog(
        &self,
        app: AppId,
        endpoint: EndpointId,
        limit: PullLimit,
    ) -> Result<Vec<Claimed>, StoreError>;

    /// Gives deliveries that this node owns back as backlog.
    async fn return_to_backlog(&self, keys: Vec<(AppId, DeliveryKey)>) -> Result<(), StoreError>;

    /// Holds deliveries that this node owns, since their endpoint is disabled.
    async fn hold(&self, keys: Vec<(AppId, DeliveryKey)>) -> Result<(), StoreError>;

    /// Endpoints that have a backlog, in a fixed order, after the given one.
    async fn backlogged(
        &self,
        after: Option<(AppId, EndpointId)>,
        limit: usize,
    ) -> Result<Vec<(AppId, EndpointId)>, StoreError>;

    /// Takes down an attempt and the delivery's new state. Returns when it is queued, waiting only
    /// while the queue is full: what is lost with the process is tried again. A delivery that this
    /// node's epoch does not own any more keeps its state; the attempt is kept all the same.
    async fn record(&self, finished: &FinishedAttempt) -> Result<(), StoreError>;

    /// Takes down the attempt of a delivery that has an order, and returns when that is durable: what
    /// comes after it must not be tried before.
    async fn record_in_order(&self, finished: &FinishedAttempt) -> Result<Recorded, StoreError>;

    /// Moves up to `limit` held deliveries of endpoints that were enabled again into their backlog,
    /// and all that is held or waits for endpoints that were deleted, so that it ends; returns
    /// their endpoints, empty when there are none left.
    async fn release_held(&self, limit: usize) -> Result<Vec<(AppId, EndpointId)>, StoreError>;

    /// Takes up to `limit` deliveries into this node's ownership whose message has expired, wherever
    /// they wait, so that they are ended. Their payloads are not read.
    async fn claim_expired(&self, now: Timestamp, limit: usize)
    -> Result<Vec<Claimed>, StoreError>;

    /// Makes a new delivery of an old message, with the whole schedule, in the backlog. Where one
    /// is unfinished already, that one begins its schedule anew, at its old place if it has an order;
    /// else a new one takes the next place in the order given.
    async fn resend(
        &self,
        app: AppId,
        key: DeliveryKey,
        order: Option<KeyHash>,
        now: Timestamp,
        idempotency: Option<Idempotency>,
    ) -> Result<(), ResendError>;

    /// The first of each order of an endpoint, up to `limit` of them: those that wait or are blocked
    /// before the others.
    async fn order_heads(
        &self,
        app: AppId,
        endpoint: EndpointId,
        limit: usize,
    ) -> Result<Vec<OrderHead>, StoreError>;

    /// Ends an unfinished delivery that has an order, so that those behind it go on. An attempt
    /// under way does not bring it back. One that was skipped already stays so.
    async fn skip(&self, app: AppId, key: DeliveryKey, now: Timestamp) -> Result<(), SkipError>;

    // --- applications ---

    /// Makes an application.
    async fn create_application(
        &self,
        new: Application,
        idempotency: Option<Idempotency>,
    ) -> Result<Created<Application>, ChangeError>;

    /// One application.
    async fn application(
        &self,
        org: OrgId,
        app: &AppRef,
    ) -> Result<Option<Application>, StoreError>;

    /// Applications by id.
    async fn applications(
        &self,
        org: OrgId,
        page: PageRequest<AppId>,
    ) -> Result<Page<Application>, StoreError>;

    /// Replaces what the client says of an application.
    async fn update_application(
        &self,
        app: AppId,
        spec: ApplicationSpec,
        now: Timestamp,
    ) -> Result<Application, ChangeError>;

    /// Deletes an application and its endpoints; their unfinished deliveries end with the reason.
    async fn delete_application(&self, app: AppId, now: Timestamp) -> Result<(), ChangeError>;

    // --- event types ---

    /// Makes an event type, or brings an archived one back.
    async fn create_event_type(
        &self,
        new: EventType,
        idempotency: Option<Idempotency>,
    ) -> Result<Created<EventType>, ChangeError>;

    /// One event type.
    async fn event_type(
        &self,
        org: OrgId,
        name: &EventTypeName,
    ) -> Result<Option<EventType>, StoreError>;

    /// Event types by name.
    async fn event_types(
        &self,
        org: OrgId,
        listing: EventTypeListing,
        page: PageRequest<EventTypeName>,
    ) -> Result<Page<EventType>, StoreError>;

    /// Replaces what the client says of an event type, or makes it; says which. Its retry schedule
    /// stays.
    async fn put_event_type(
        &self,
        org: OrgId,
        name: EventTypeName,
        spec: EventTypeSpec,
        now: Timestamp,
    ) -> Result<Created<EventType>, ChangeError>;

    /// Removes an event type altogether.
    async fn delete_event_type(&self, org: OrgId, name: &EventTypeName) -> Result<(), ChangeError>;

    // --- endpoints ---

    /// Makes an endpoint with its first signing key.
    async fn create_endpoint(
        &self,
        new: NewEndpoint,
        idempotency: Option<Idempotency>,
    ) -> Result<Created<Endpoint>, ChangeError>;

    /// One endpoint.
    async fn endpoint(
        &self,
        app: AppId,
        endpoint: &EndpointRef,
    ) -> Result<Option<Endpoint>, StoreError>;

    /// Endpoints by id.
    async fn endpoints(
        &self,
        app: AppId,
        page: PageRequest<EndpointId>,
    ) -> Result<Page<Endpoint>, StoreError>;

    /// Replaces what the client says of an endpoint. Enabling it ends `switched_off` and releases
    /// what was held.
    async fn update_endpoint(
        &self,
        app: AppId,
        endpoint: EndpointId,
        spec: EndpointSpec,
        now: Timestamp,
    ) -> Result<Endpoint, ChangeError>;

    /// Deletes an endpoint; its unfinished deliveries end with that reason.
    async fn delete_endpoint(
        &self,
        app: AppId,
        endpoint: EndpointId,
        now: Timestamp,
    ) -> Result<(), ChangeError>;

    /// The custom headers.
    async fn endpoint_headers(
        &self,
        app: AppId,
        endpoint: EndpointId,
    ) -> Result<Option<EndpointHeaders>, StoreError>;

    /// Replaces the custom headers.
    async fn set_endpoint_headers(
        &self,
        app: AppId,
        endpoint: EndpointId,
        headers: EndpointHeaders,
        now: Timestamp,
    ) -> Result<(), ChangeError>;

    /// The signing key that has no end.
    async fn current_signing_key(
        &self,
        app: AppId,
        endpoint: EndpointId,
    ) -> Result<Option<SigningKey>, StoreError>;

    /// Makes `new` the current signing key; the old one signs beside it until `old_ends_at`.
    async fn rotate_signing_key(
        &self,
        app: AppId,
        endpoint: EndpointId,
        new: NewSigningKey,
        idempotency: Option<Idempotency>,
    ) -> Result<Created<()>, ChangeError>;

    // --- inspect ---

    /// One message.
    async fn message(
        &self,
        app: AppId,
        message: &MessageRef,
    ) -> Result<Option<Message>, StoreError>;

    /// Messages, newest first.
    async fn messages(
        &self,
        app: AppId,
        filter: MessageFilter,
        page: PageRequest<MessageId>,
    ) -> Result<Page<Message>, StoreError>;

    /// Forgets a message's payload. Its unfinished deliveries end with that reason.
    async fn expunge_message(&self, app: AppId, message: MessageId) -> Result<(), ChangeError>;

    /// One attempt.
    async fn attempt(
        &self,
        app: AppId,
        message: MessageId,
        attempt: AttemptId,
    ) -> Result<Option<Attempt>, StoreError>;

    /// Attempts, newest first.
    async fn attempts(
        &self,
        app: AppId,
        scope: AttemptScope,
        filter: AttemptFilter,
        page: PageRequest<AttemptId>,
    ) -> Result<Page<Attempt>, StoreError>;

    /// Forgets an attempt's response.
    async fn expunge_attempt(
        &self,
        app: AppId,
        message: MessageId,
        attempt: AttemptId,
    ) -> Result<(), ChangeError>;

    /// Messages that were or are to be delivered to an endpoint, newest first.
    async fn endpoint_messages(
        &self,
        app: AppId,
        endpoint: EndpointId,
        filter: MessageFilter,
        status: Option<MessageStatusFilter>,
        page: PageRequest<MessageId>,
    ) -> Result<Page<DeliveredMessage>, StoreError>;

    /// Endpoints that a message was or is to be delivered to, by id.
    async fn destinations(
        &self,
        app: AppId,
        message: MessageId,
        page: PageRequest<EndpointId>,
    ) -> Result<Page<Destined>, StoreError>;

    // --- retention ---

    /// One small batch of forgetting; says whether there is more.
    async fn retain(&self, now: Timestamp, policy: RetentionPolicy)
    -> Result<Retained, StoreError>;
}
