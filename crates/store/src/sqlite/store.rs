//! The store's intents, each in its own file. Must never do anything itself.

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

use crate::Store;
use crate::config::{Created, EventTypeListing, NewEndpoint, NewSigningKey, Routing};
use crate::error::{AcceptError, ChangeError, ResendError, SkipError, StoreError};
use crate::inspect::{
    AttemptFilter, AttemptScope, DeliveredMessage, Destined, MessageFilter, MessageStatusFilter,
    OrderHead,
};
use crate::page::{Page, PageRequest};
use crate::publish::{Accepted, Idempotency, NewMessage};
use crate::reference::{AppRef, EndpointRef, MessageRef};
use crate::retention::{Retained, RetentionPolicy};
use crate::sqlite::SqliteStore;
use crate::sqlite::{
    accept, applications, attempts, backlog, claim, deliveries, endpoint_headers, endpoints,
    event_types, health, idempotency, messages, order_heads, record, retention, routing,
    signing_keys,
};
use crate::work::{Claimed, DueBatch, FinishedAttempt, NodeSession, PullLimit, Recorded};

#[async_trait]
impl Store for SqliteStore {
    // --- the node ---

    async fn begin_epoch(&self, now: Timestamp) -> Result<NodeSession, StoreError> {
        claim::begin_epoch(self, now).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        health::health(self).await
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.writer.flush().await
    }

    // --- requests ---

    async fn earlier_request(
        &self,
        request: Idempotency,
        now: Timestamp,
    ) -> Result<Option<i64>, ChangeError> {
        idempotency::find(self, request, now).await
    }

    async fn remember_request(&self, request: Idempotency, made: i64) -> Result<(), ChangeError> {
        idempotency::keep(self, request, made).await
    }

    // --- publish ---

    async fn routing(&self, org: OrgId, app: &AppRef) -> Result<Option<Routing>, StoreError> {
        routing::by_reference(self, org, app).await
    }

    async fn routing_of(&self, app: AppId) -> Result<Option<Routing>, StoreError> {
        routing::by_id(self, app).await
    }

    async fn accept(&self, message: NewMessage) -> Result<Accepted, AcceptError> {
        accept::message(self, message).await
    }

    fn flush_time(&self) -> Duration {
        self.writer.flush_time()
    }

    // --- deliver ---

    async fn claim_due(&self, now: Timestamp, limit: PullLimit) -> Result<DueBatch, StoreError> {
        claim::due(self, now, limit).await
    }

    async fn claim_expired(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Claimed>, StoreError> {
        claim::expired(self, now, limit).await
    }

    async fn pull_backlog(
        &self,
        app: AppId,
        endpoint: EndpointId,
        limit: PullLimit,
    ) -> Result<Vec<Claimed>, StoreError> {
        claim::backlog(self, app, endpoint, limit).await
    }

    async fn return_to_backlog(&self, keys: Vec<(AppId, DeliveryKey)>) -> Result<(), StoreError> {
        backlog::give_back(self, keys).await
    }

    async fn hold(&self, keys: Vec<(AppId, DeliveryKey)>) -> Result<(), StoreError> {
        backlog::hold(self, keys).await
    }

    async fn backlogged(
        &self,
        after: Option<(AppId, EndpointId)>,
        limit: usize,
    ) -> Result<Vec<(AppId, EndpointId)>, StoreError> {
        backlog::backlogged(self, after, limit).await
    }

    async fn record(&self, finished: &FinishedAttempt) -> Result<(), StoreError> {
        record::attempt(self, finished).await
    }

    async fn record_in_order(&self, finished: &FinishedAttempt) -> Result<Recorded, StoreError> {
        record::in_order(self, finished).await
    }

    async fn release_held(&self, limit: usize) -> Result<Vec<(AppId, EndpointId)>, StoreError> {
        backlog::release(self, limit).await
    }

    async fn resend(
        &self,
        app: AppId,
        key: DeliveryKey,
        order: Option<KeyHash>,
        now: Timestamp,
        idempotency: Option<Idempotency>,
    ) -> Result<(), ResendError> {
        backlog::resend(self, app, key, order, now, idempotency).await
    }

    async fn order_heads(
        &self,
        app: AppId,
        endpoint: EndpointId,
        limit: usize,
    ) -> Result<Vec<OrderHead>, StoreError> {
        order_heads::list(self, app, endpoint, limit).await
    }

    async fn skip(&self, app: AppId, key: DeliveryKey, now: Timestamp) -> Result<(), SkipError> {
        order_heads::skip(self, app, key, now).await
    }

    // --- applications ---

    async fn create_application(
        &self,
        new: Application,
        idempotency: Option<Idempotency>,
    ) -> Result<Created<Application>, ChangeError> {
        applications::create(self, new, idempotency).await
    }

    async fn application(
        &self,
        org: OrgId,
        app: &AppRef,
    ) -> Result<Option<Application>, StoreError> {
        applications::one(self, org, app).await
    }

    async fn applications(
        &self,
        org: OrgId,
        page: PageRequest<AppId>,
    ) -> Result<Page<Application>, StoreError> {
        applications::list(self, org, page).await
    }

    async fn update_application(
        &self,
        app: AppId,
        spec: ApplicationSpec,
        now: Timestamp,
    ) -> Result<Application, ChangeError> {
        applications::update(self, app, spec, now).await
    }

    async fn delete_application(&self, app: AppId, now: Timestamp) -> Result<(), ChangeError> {
        applications::delete(self, app, now).await
    }

    // --- event types ---

    async fn create_event_type(
        &self,
        new: EventType,
        idempotency: Option<Idempotency>,
    ) -> Result<Created<EventType>, ChangeError> {
        event_types::create(self, new, idempotency).await
    }

    async fn event_type(
        &self,
        org: OrgId,
        name: &EventTypeName,
    ) -> Result<Option<EventType>, StoreError> {
        event_types::one(self, org, name).await
    }

    async fn event_types(
        &self,
        org: OrgId,
        listing: EventTypeListing,
        page: PageRequest<EventTypeName>,
    ) -> Result<Page<EventType>, StoreError> {
        event_types::list(self, org, listing, page).await
    }

    async fn put_event_type(
        &self,
        org: OrgId,
        name: EventTypeName,
        spec: EventTypeSpec,
        now: Timestamp,
    ) -> Result<Created<EventType>, ChangeError> {
        event_types::put(self, org, name, spec, now).await
    }

    async fn delete_event_type(&self, org: OrgId, name: &EventTypeName) -> Result<(), ChangeError> {
        event_types::delete(self, org, name).await
    }

    // --- endpoints ---

    async fn create_endpoint(
        &self,
        new: NewEndpoint,
        idempotency: Option<Idempotency>,
    ) -> Result<Created<Endpoint>, ChangeError> {
        endpoints::create(self, new, idempotency).await
    }

    async fn endpoint(
        &self,
        app: AppId,
        endpoint: &EndpointRef,
    ) -> Result<Option<Endpoint>, StoreError> {
        endpoints::one(self, app, endpoint).await
    }

    async fn endpoints(
        &self,
        app: AppId,
        page: PageRequest<EndpointId>,
    ) -> Result<Page<Endpoint>, StoreError> {
        endpoints::list(self, app, page).await
    }

    async fn update_endpoint(
        &self,
        app: AppId,
        endpoint: EndpointId,
        spec: EndpointSpec,
        now: Timestamp,
    ) -> Result<Endpoint, ChangeError> {
        endpoints::update(self, app, endpoint, spec, now).await
    }

    async fn delete_endpoint(
        &self,
        app: AppId,
        endpoint: EndpointId,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        endpoints::delete(self, app, endpoint, now).await
    }

    async fn endpoint_headers(
        &self,
        app: AppId,
        endpoint: EndpointId,
    ) -> Result<Option<EndpointHeaders>, StoreError> {
        endpoint_headers::one(self, app, endpoint).await
    }

    async fn set_endpoint_headers(
        &self,
        app: AppId,
        endpoint: EndpointId,
        headers: EndpointHeaders,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        endpoint_headers::set(self, app, endpoint, headers, now).await
    }

    async fn current_signing_key(
        &self,
        app: AppId,
        endpoint: EndpointId,
    ) -> Result<Option<SigningKey>, StoreError> {
        signing_keys::current(self, app, endpoint).await
    }

    async fn rotate_signing_key(
        &self,
        app: AppId,
        endpoint: EndpointId,
        new: NewSigningKey,
        idempotency: Option<Idempotency>,
    ) -> Result<Created<()>, ChangeError> {
        signing_keys::rotate(self, app, endpoint, new, idempotency).await
    }

    // --- inspect ---

    async fn message(
        &self,
        app: AppId,
        message: &MessageRef,
    ) -> Result<Option<Message>, StoreError> {
        messages::one(self, app, message).await
    }

    async fn messages(
        &self,
        app: AppId,
        filter: MessageFilter,
        page: PageRequest<MessageId>,
    ) -> Result<Page<Message>, StoreError> {
        messages::list(self, app, filter, page).await
    }

    async fn expunge_message(&self, app: AppId, message: MessageId) -> Result<(), ChangeError> {
        messages::expunge(self, app, message).await
    }

    async fn attempt(
        &self,
        app: AppId,
        message: MessageId,
        attempt: AttemptId,
    ) -> Result<Option<Attempt>, StoreError> {
        attempts::one(self, app, message, attempt).await
    }

    async fn attempts(
        &self,
        app: AppId,
        scope: AttemptScope,
        filter: AttemptFilter,
        page: PageRequest<AttemptId>,
    ) -> Result<Page<Attempt>, StoreError> {
        attempts::list(self, app, scope, filter, page).await
    }

    async fn expunge_attempt(
        &self,
        app: AppId,
        message: MessageId,
        attempt: AttemptId,
    ) -> Result<(), ChangeError> {
        attempts::expunge(self, app, message, attempt).await
    }

    async fn endpoint_messages(
        &self,
        app: AppId,
        endpoint: EndpointId,
        filter: MessageFilter,
        status: Option<MessageStatusFilter>,
        page: PageRequest<MessageId>,
    ) -> Result<Page<DeliveredMessage>, StoreError> {
        deliveries::of_endpoint(self, app, endpoint, filter, status, page).await
    }

    async fn destinations(
        &self,
        app: AppId,
        message: MessageId,
        page: PageRequest<EndpointId>,
    ) -> Result<Page<Destined>, StoreError> {
        deliveries::of_message(self, app, message, page).await
    }

    // --- retention ---

    async fn retain(
        &self,
        now: Timestamp,
        policy: RetentionPolicy,
    ) -> Result<Retained, StoreError> {
        retention::retain(self, now, policy).await
    }
}
