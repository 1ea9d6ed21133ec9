//! A store with an application, and short words for what the tests do with it.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use hookseal_domain::application::{Application, ApplicationSpec};
use hookseal_domain::delivery::attempt::{Attempt, AttemptFacts};
use hookseal_domain::delivery::batch::BatchRule;
use hookseal_domain::delivery::outcome::Outcome;
use hookseal_domain::delivery::{DeliveryKey, Ended, Next, Trigger};
use hookseal_domain::endpoint::discipline::Discipline;
use hookseal_domain::endpoint::headers::EndpointHeaders;
use hookseal_domain::endpoint::health::{HealthRule, Sign};
use hookseal_domain::endpoint::url::EndpointUrl;
use hookseal_domain::endpoint::{EndpointSpec, ParkOn};
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::filter::Filter;
use hookseal_domain::id::{AppId, EndpointId, IdGenerator, MessageId, OrgId, RawId};
use hookseal_domain::message::options::MessageOptions;
use hookseal_domain::signature::key::{KeyKind, SigningKey};
use hookseal_domain::subscription::Subscription;
use hookseal_domain::time::Timestamp;
use hookseal_domain::uid::Uid;
use hookseal_store::Store;
use hookseal_store::config::NewEndpoint;
use hookseal_store::inspect::{DeliveryStatus, MessageFilter, MessageStatusFilter};
use hookseal_store::page::{Order, PageRequest, PageStart};
use hookseal_store::publish::{Accepted, DeliveryStart, Idempotency, NewDelivery, NewMessage};
use hookseal_store::work::{Claimed, FinishedAttempt, PullLimit};

pub(crate) const START: Timestamp = Timestamp::from_millis(1_795_422_000_000);
pub(crate) const PAYLOAD: &str = r#"{"hush":"the payload"}"#;
pub(crate) const MANY: PullLimit = PullLimit {
    rows: 1000,
    bytes: 1 << 20,
};

pub(crate) struct Scene<'s> {
    pub(crate) store: &'s dyn Store,
    pub(crate) app: AppId,
    ids: Mutex<(IdGenerator, Timestamp)>,
    /// The latest claims of those deliveries that were taken.
    claims: Mutex<BTreeMap<DeliveryKey, i64>>,
}

impl<'s> Scene<'s> {
    /// A node and an application.
    pub(crate) async fn new(store: &'s dyn Store) -> Self {
        store.begin_epoch(START).await.unwrap();
        let mut scene = Self {
            store,
            app: AppId::from_raw(0),
            ids: Mutex::new((IdGenerator::new(0, 0, None), START)),
            claims: Mutex::default(),
        };
        scene.app = scene.application(org(), None).await;
        scene
    }

    pub(crate) fn id<Id: From<RawId>>(&self) -> Id {
        let (ids, now) = &mut *self.ids.lock();
        ids.next_id(*now).into()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.ids.lock().1
    }

    pub(crate) fn later(&self, by: Duration) -> Timestamp {
        let now = &mut self.ids.lock().1;
        *now = now.plus(by);
        *now
    }

    pub(crate) async fn application(&self, org: OrgId, uid: Option<&str>) -> AppId {
        let new = self.new_application(org, uid);
        let id = new.id;
        self.store.create_application(new, None).await.unwrap();
        id
    }

    pub(crate) fn new_application(&self, org: OrgId, uid: Option<&str>) -> Application {
        Application {
            id: self.id(),
            org,
            spec: application_spec(uid),
            updated_at: self.now(),
        }
    }

    pub(crate) async fn endpoint(&self) -> EndpointId {
        let new = self.new_endpoint(self.app, endpoint_spec(None));
        let id = new.id;
        self.store.create_endpoint(new, None).await.unwrap();
        id
    }

    pub(crate) fn new_endpoint(&self, app: AppId, spec: EndpointSpec) -> NewEndpoint {
        NewEndpoint {
            id: self.id(),
            app,
            spec,
            headers: headers(),
            signing_key: key(1),
            now: self.now(),
        }
    }

    pub(crate) async fn enable(&self, endpoint: EndpointId, enabled: Enabled) {
        let mut spec = endpoint_spec(None);
        spec.disabled = enabled == Enabled::No;
        let now = self.now();
        let updated = self.store.update_endpoint(self.app, endpoint, spec, now);
        updated.await.unwrap();
    }

    pub(crate) async fn version(&self, app: AppId) -> i64 {
        let routing = self.store.routing_of(app).await.unwrap();
        routing.map_or(0, |routing| routing.version)
    }

    /// A message to these endpoints.
    pub(crate) async fn message(&self, start: DeliveryStart, to: &[EndpointId]) -> NewMessage {
        let deliveries = to
            .iter()
            .map(|&endpoint| NewDelivery {
                endpoint,
                start,
                order: None,
            })
            .collect();
        NewMessage {
            id: self.id(),
            app: self.app,
            routing_version: self.version(self.app).await,
            event_id: None,
            event_type: event_type("invoice.paid"),
            channels: Vec::new(),
            tags: Vec::new(),
            payload: Bytes::from_static(PAYLOAD.as_bytes()),
            payload_expires_at: self.now().plus(days(90)),
            options: MessageOptions::default(),
            deliveries,
            idempotency: None,
            cloud_event: None,
            step_of: None,
            now: self.now(),
        }
    }

    pub(crate) async fn accept(&self, start: DeliveryStart, to: &[EndpointId]) -> MessageId {
        let message = self.message(start, to).await;
        let id = message.id;
        assert_eq!(self.store.accept(message).await.unwrap(), Accepted::New);
        id
    }

    /// One owned delivery of a new message.
    pub(crate) async fn owned(&self, endpoint: EndpointId) -> DeliveryKey {
        let message = self.accept(DeliveryStart::Owned, &[endpoint]).await;
        DeliveryKey { message, endpoint }
    }

    /// Attempts that are finished from now on are of these claims.
    pub(crate) fn took(&self, claimed: &[Claimed]) {
        let claims = claimed.iter().map(|one| (one.key, one.claim));
        self.claims.lock().extend(claims);
    }

    pub(crate) fn finished(&self, key: DeliveryKey, number: u32, next: Next) -> FinishedAttempt {
        let ended = match next {
            Next::End(ended) => Some(ended),
            Next::Retry { .. } | Next::Block => None,
        };
        let delivered = ended == Some(Ended::Delivered);
        FinishedAttempt {
            app: self.app,
            attempt: Attempt {
                id: self.id(),
                key,
                trigger: Trigger::Publish,
                number,
                outcome: if delivered {
                    Outcome::Accepted
                } else {
                    Outcome::Retry
                },
                status_code: Some(if delivered { 200 } else { 503 }),
                duration_ms: 12,
                ended,
                facts: facts(),
            },
            claim: self.claims.lock().get(&key).copied().unwrap_or(0),
            next,
            endpoint_gone_at: None,
            sign: if delivered { Sign::Works } else { Sign::Fails },
            health_rule: HealthRule {
                disable_after: Some(days(5)),
            },
        }
    }

    /// Records and makes durable.
    pub(crate) async fn record(&self, finished: FinishedAttempt) {
        self.store.record(&finished).await.unwrap();
        self.store.flush().await.unwrap();
    }

    /// Records the end of a delivery.
    pub(crate) async fn end(&self, key: DeliveryKey, ended: Ended) {
        self.record(self.finished(key, 1, Next::End(ended))).await;
    }

    /// How a delivery stands.
    pub(crate) async fn status(&self, key: DeliveryKey) -> Option<DeliveryStatus> {
        let page = first_page(250, Order::Ascending);
        let destined = self.store.destinations(self.app, key.message, page).await;
        let found = destined.unwrap().rows.into_iter();
        found
            .filter(|row| row.endpoint.id == key.endpoint)
            .map(|row| row.status)
            .next()
    }

    /// Messages of an endpoint with a status, newest first.
    pub(crate) async fn with_status(
        &self,
        endpoint: EndpointId,
        status: Option<MessageStatusFilter>,
    ) -> Vec<(MessageId, DeliveryStatus)> {
        let page = first_page(250, Order::Descending);
        let filter = MessageFilter::default();
        let found = self
            .store
            .endpoint_messages(self.app, endpoint, filter, status, page);
        let rows = found.await.unwrap().rows.into_iter();
        rows.map(|row| (row.message.id, row.status)).collect()
    }

    /// How many attempts a message has.
    pub(crate) async fn attempts(&self, message: MessageId) -> usize {
        let scope = hookseal_store::inspect::AttemptScope::Message(message);
        let page = first_page(250, Order::Ascending);
        let filter = hookseal_store::inspect::AttemptFilter::default();
        let found = self.store.attempts(self.app, scope, filter, page).await;
        found.unwrap().rows.len()
    }
}

pub(crate) fn org() -> OrgId {
    OrgId::from_stored([1; 20])
}

pub(crate) fn other_org() -> OrgId {
    OrgId::from_stored([2; 20])
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Enabled {
    Yes,
    No,
}

pub(crate) fn first_page<Key>(limit: usize, order: Order) -> PageRequest<Key> {
    PageRequest {
        limit,
        from: PageStart::Beginning,
        order,
    }
}

pub(crate) fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

pub(crate) fn event_type(name: &str) -> EventTypeName {
    EventTypeName::parse(name).unwrap()
}

pub(crate) fn uid(text: &str) -> Uid {
    Uid::parse(text, "x_").unwrap()
}

pub(crate) fn application_spec(uid: Option<&str>) -> ApplicationSpec {
    ApplicationSpec {
        name: "Customer".to_owned(),
        uid: uid.map(self::uid),
        throttle_rate: Some(7),
        metadata: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
    }
}

pub(crate) fn endpoint_spec(uid: Option<&str>) -> EndpointSpec {
    EndpointSpec {
        url: EndpointUrl::parse("https://receiver.example/hook?q=1").unwrap(),
        uid: uid.map(self::uid),
        description: "theirs".to_owned(),
        disabled: false,
        subscription: Subscription {
            event_types: Some(vec![event_type("invoice.paid")]),
            channels: None,
            filter: Some(Filter::parse("payload.amount > 100").unwrap()),
        },
        throttle_rate: None,
        park_on: ParkOn::parse(&[422]).unwrap(),
        discipline: Discipline {
            max_in_flight: NonZeroU16::new(3),
            order: hookseal_domain::endpoint::order::Order::Any,
            batch: BatchRule::new(100, 250),
            format: hookseal_domain::endpoint::format::Format::Binary,
        },
        metadata: BTreeMap::new(),
    }
}

pub(crate) fn headers() -> EndpointHeaders {
    let pair = ("x-api-key".to_owned(), "hush-the-header".to_owned());
    EndpointHeaders::parse([pair]).unwrap()
}

pub(crate) fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(KeyKind::HmacSha256, &[byte; 32]).unwrap()
}

pub(crate) fn facts() -> AttemptFacts {
    AttemptFacts {
        url: "https://receiver.example/hook?q=1".to_owned(),
        response_body: Some(Bytes::from_static(b"hush-the-response")),
        reason: Some("503".to_owned()),
        ..AttemptFacts::default()
    }
}

pub(crate) fn idempotency(key: u8, body: u8, now: Timestamp) -> Option<Idempotency> {
    Some(Idempotency {
        key_hash: [key; 32],
        body_hash: [body; 32],
        expires_at: now.plus(Duration::from_hours(12)),
    })
}
