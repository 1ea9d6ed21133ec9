//! One engine over a store in a temporary folder, with words to tell a story in.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prometheus_client::registry::Registry;
use tempfile::TempDir;

use hookseal_domain::address_policy::{AddressPolicy, PlainHttp};
use hookseal_domain::application::{Application, ApplicationSpec, Metadata};
use hookseal_domain::channel::Channel;
use hookseal_domain::delivery::attempt::Attempt;
use hookseal_domain::delivery::breaker::BreakerRule;
use hookseal_domain::delivery::retry::RetrySchedule;
use hookseal_domain::endpoint::discipline::Discipline;
use hookseal_domain::endpoint::headers::EndpointHeaders;
use hookseal_domain::endpoint::health::HealthRule;
use hookseal_domain::endpoint::url::EndpointUrl;
use hookseal_domain::endpoint::{Endpoint, EndpointSpec, ParkOn};
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::{AppId, EndpointId, MessageId, OrgId};
use hookseal_domain::message::options::MessageOptions;
use hookseal_domain::secret::Secret;
use hookseal_domain::signature::key::{KeyKind, SigningKey};
use hookseal_domain::subscription::Subscription;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::{EndpointTransport, TlsVersion, TransportPolicy};
use hookseal_egress::{Egress, EgressConfig, PublicRoots, Resolver};
use hookseal_engine::clock::Clock;
use hookseal_engine::config::{EngineConfig, SvixHeaders, VerificationConfig};
use hookseal_engine::publish::{Audience, Publish, PublishError, PublishHeaders, Published};
use hookseal_engine::{Engine, EngineParts};
use hookseal_store::Store;
use hookseal_store::config::NewEndpoint;
use hookseal_store::inspect::{AttemptFilter, AttemptScope, DeliveryStatus};
use hookseal_store::page::{Order, PageRequest, PageStart};
use hookseal_store::reference::{AppRef, EndpointRef};
use hookseal_store::retention::RetentionPolicy;
use hookseal_store::seal::MasterKey;
use hookseal_store::sqlite::{SqliteOptions, SqliteStore};
use hookseal_testkit::test_ca::TestCa;
use hookseal_testkit::wait::until;

use crate::clock::{ManualClock, NoJitter};

/// The HMAC secret of every endpoint here.
pub(crate) const SECRET: [u8; 32] = [5; 32];

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) random: Arc<NoJitter>,
    pub(crate) app: AppId,
    pub(crate) org: OrgId,
    registry: Registry,
    roots_pem: Option<String>,
    folder: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A world with one application.
    pub(crate) async fn with(configure: impl FnOnce(&mut EngineConfig)) -> Self {
        Self::build(None, configure).await
    }

    /// A world whose operator trusts this authority.
    pub(crate) async fn trusting(ca: &TestCa, configure: impl FnOnce(&mut EngineConfig)) -> Self {
        Self::build(Some(ca.root_pem()), configure).await
    }

    async fn build(roots_pem: Option<String>, configure: impl FnOnce(&mut EngineConfig)) -> Self {
        let mut config = config();
        configure(&mut config);
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new());
        let random = Arc::<NoJitter>::default();
        let (engine, store, registry) = start(&folder, &clock, &random, &roots_pem, config).await;
        let org = OrgId::parse("org_23rb8YdGqMT0qIzpgGwdXfHirMu").unwrap();
        let application = Application {
            id: engine.next_id(),
            org,
            spec: ApplicationSpec {
                name: "Customer".to_owned(),
                uid: None,
                throttle_rate: None,
                metadata: Metadata::new(),
            },
            updated_at: engine.now(),
        };
        let app = application.id;
        store.create_application(application, None).await.unwrap();
        Self {
            engine,
            store,
            clock,
            random,
            app,
            org,
            registry,
            roots_pem,
            folder,
        }
    }

    /// Stops this engine without waiting for anything, and begins another on the same store.
    pub(crate) async fn restart(self) -> Self {
        self.restart_with(|_| {}).await
    }

    /// The same, with an engine that is configured so.
    pub(crate) async fn restart_with(self, configure: impl FnOnce(&mut EngineConfig)) -> Self {
        self.engine.shutdown(Duration::ZERO).await;
        let Self {
            engine,
            store,
            clock,
            random,
            app,
            org,
            roots_pem,
            folder,
            ..
        } = self;
        let closing = Arc::downgrade(&store);
        drop((engine, store));
        until("the old store to close", async || {
            Ok((closing.strong_count() == 0).then_some(()))
        })
        .await
        .unwrap();
        let mut config = config();
        configure(&mut config);
        let (engine, store, registry) = start(&folder, &clock, &random, &roots_pem, config).await;
        Self {
            engine,
            store,
            clock,
            random,
            app,
            org,
            registry,
            roots_pem,
            folder,
        }
    }

    /// Another application of the organisation, with this rate.
    pub(crate) async fn other_application(&self, throttle_rate: Option<u16>) -> AppId {
        let id = self.engine.next_id();
        let application = Application {
            id,
            org: self.org,
            spec: ApplicationSpec {
                name: "Other".to_owned(),
                uid: None,
                throttle_rate,
                metadata: Metadata::new(),
            },
            updated_at: self.engine.now(),
        };
        let made = self.store.create_application(application, None).await;
        made.unwrap();
        id
    }

    pub(crate) async fn endpoint(&self, url: &str) -> EndpointId {
        self.endpoint_with(url, |_| {}).await
    }

    pub(crate) async fn endpoint_with(
        &self,
        url: &str,
        change: impl FnOnce(&mut EndpointSpec),
    ) -> EndpointId {
        let id = self.engine.next_id();
        let mut spec = EndpointSpec {
            url: EndpointUrl::parse(url).unwrap(),
            uid: None,
            description: String::new(),
            disabled: false,
            subscription: Subscription::default(),
            throttle_rate: None,
            park_on: ParkOn::default(),
            discipline: Discipline::default(),
            metadata: Metadata::new(),
        };
        change(&mut spec);
        let new = NewEndpoint {
            id,
            app: self.app,
            spec,
            headers: EndpointHeaders::default(),
            signing_key: SigningKey::from_bytes(KeyKind::HmacSha256, &SECRET).unwrap(),
            now: self.engine.now(),
        };
        self.store.create_endpoint(new, None).await.unwrap();
        self.engine.application_changed(self.app);
        id
    }

    /// Changes what the client says of an endpoint, and tells the engine.
    pub(crate) async fn update_endpoint(
        &self,
        id: EndpointId,
        change: impl FnOnce(&mut EndpointSpec),
    ) {
        let mut spec = self.stored_endpoint(id).await.spec;
        change(&mut spec);
        let now = self.engine.now();
        let updated = self.store.update_endpoint(self.app, id, spec, now).await;
        updated.unwrap();
        self.engine.application_changed(self.app);
    }

    /// Makes or replaces one of the organisation's policies, and tells the engine.
    pub(crate) async fn put_policy(&self, name: &str, policy: TransportPolicy) {
        let (name, now) = (Name::parse(name).unwrap(), self.engine.now());
        let put = self.store.put_transport_policy(self.org, name, policy, now);
        put.await.unwrap();
        self.engine.organisation_changed(self.org);
    }

    pub(crate) async fn publish(&self, body: &str) -> MessageId {
        self.try_publish(body).await.unwrap().id
    }

    pub(crate) async fn try_publish(&self, body: &str) -> Result<Published, PublishError> {
        self.publish_with(body, None, PublishHeaders::default())
            .await
    }

    /// Publishes to the endpoints that want this channel.
    pub(crate) async fn try_publish_to(
        &self,
        body: &str,
        channel: Option<Channel>,
    ) -> Result<Published, PublishError> {
        self.publish_with(body, channel, PublishHeaders::default())
            .await
    }

    pub(crate) async fn publish_with(
        &self,
        body: &str,
        channel: Option<Channel>,
        headers: PublishHeaders,
    ) -> Result<Published, PublishError> {
        let options = MessageOptions::default();
        self.try_publish_as(options, body, channel, headers).await
    }

    /// Publishes a message that says something of its deliveries.
    pub(crate) async fn publish_as(&self, options: MessageOptions, body: &str) -> MessageId {
        let headers = PublishHeaders::default();
        let published = self.try_publish_as(options, body, None, headers).await;
        published.unwrap().id
    }

    /// The same, to the endpoints that want this channel.
    pub(crate) async fn publish_on(
        &self,
        options: MessageOptions,
        body: &str,
        channel: Option<Channel>,
    ) -> MessageId {
        let headers = PublishHeaders::default();
        let published = self.try_publish_as(options, body, channel, headers).await;
        published.unwrap().id
    }

    async fn try_publish_as(
        &self,
        options: MessageOptions,
        body: &str,
        channel: Option<Channel>,
        headers: PublishHeaders,
    ) -> Result<Published, PublishError> {
        let publish = self.message(options, body, channel, headers);
        self.engine.publish(publish).await
    }

    /// Makes a test attempt.
    pub(crate) async fn trial(&self, endpoint: EndpointId, body: &str) -> Attempt {
        let (options, headers) = (MessageOptions::default(), PublishHeaders::default());
        let message = self.message(options, body, None, headers);
        self.engine.trial(message, endpoint).await.unwrap()
    }

    fn message(
        &self,
        options: MessageOptions,
        body: &str,
        channel: Option<Channel>,
        headers: PublishHeaders,
    ) -> Publish {
        Publish {
            org: self.org,
            app: AppRef::Id(self.app),
            event_type: EventTypeName::parse("invoice.paid").unwrap(),
            event_id: None,
            channels: channel.into_iter().collect(),
            tags: Vec::new(),
            payload: Bytes::copy_from_slice(body.as_bytes()),
            payload_retention: Duration::from_secs(90 * 86_400),
            headers,
            options,
            audience: Audience::Subscribers,
            idempotency: None,
            cloud_event: None,
            step_of: None,
        }
    }

    pub(crate) async fn stored_endpoint(&self, id: EndpointId) -> Endpoint {
        let found = self.store.endpoint(self.app, &EndpointRef::Id(id)).await;
        found.unwrap().unwrap()
    }

    /// The attempts of a message, first one first, once there are `count`.
    pub(crate) async fn attempts(&self, message: MessageId, count: usize) -> Vec<Attempt> {
        until("the attempts", async || {
            let mut attempts = self.attempts_now(message).await;
            attempts.reverse();
            Ok((attempts.len() >= count).then_some(attempts))
        })
        .await
        .unwrap()
    }

    /// The status of the only delivery of a message.
    pub(crate) async fn status(&self, message: MessageId) -> Option<DeliveryStatus> {
        let page = PageRequest {
            limit: 250,
            from: PageStart::Beginning,
            order: Order::Ascending,
        };
        let all = self.store.destinations(self.app, message, page).await;
        all.unwrap().rows.first().map(|row| row.status)
    }

    /// The same, once it is as expected.
    pub(crate) async fn status_becomes(&self, message: MessageId, expect: DeliveryStatus) {
        let mut last = None;
        let reached = until("the delivery's status", async || {
            last = self.status(message).await;
            Ok((last == Some(expect)).then_some(()))
        });
        if reached.await.is_err() {
            panic!("expected {expect:?}, got {last:?}");
        }
    }

    /// Replaces what an endpoint says of transport security, and tells the engine.
    pub(crate) async fn set_transport(&self, endpoint: EndpointId, transport: EndpointTransport) {
        let before = self.store.endpoint_transport(self.app, endpoint).await;
        let before = before.unwrap().unwrap();
        self.store
            .set_endpoint_transport(self.app, endpoint, transport, &before, self.engine.now())
            .await
            .unwrap();
        self.engine.application_changed(self.app);
    }

    /// The value of a metric, as it is exported.
    pub(crate) fn metric(&self, name_and_labels: &str) -> Option<f64> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let mut values = text.lines().filter_map(|line| {
            let value = line.strip_prefix(name_and_labels)?.strip_prefix(' ')?;
            value.parse().ok()
        });
        values.next()
    }

    /// When the attempts of an endpoint began, in order.
    pub(crate) async fn began_at(&self, endpoint: EndpointId) -> Vec<Timestamp> {
        let (scope, filter) = (AttemptScope::Endpoint(endpoint), AttemptFilter::default());
        let (mut began, mut from) = (Vec::new(), PageStart::Beginning);
        loop {
            let page = PageRequest {
                limit: 250,
                from,
                order: Order::Ascending,
            };
            let page = self.store.attempts(self.app, scope, filter.clone(), page);
            let page = page.await.unwrap();
            began.extend(page.rows.iter().map(|attempt| attempt.id.created_at()));
            match page.rows.last() {
                Some(last) if page.rows.len() == 250 => from = PageStart::After(last.id),
                _ => return began,
            }
        }
    }

    /// Limits the rate of the application, and tells the engine.
    pub(crate) async fn set_app_rate(&self, rate: Option<u16>) {
        let found = self
            .store
            .application(self.org, &AppRef::Id(self.app))
            .await;
        let mut spec = found.unwrap().unwrap().spec;
        spec.throttle_rate = rate;
        let now = self.engine.now();
        let updated = self.store.update_application(self.app, spec, now);
        updated.await.unwrap();
        self.engine.application_changed(self.app);
    }

    async fn attempts_now(&self, message: MessageId) -> Vec<Attempt> {
        let scope = AttemptScope::Message(message);
        let page = PageRequest {
            limit: 250,
            from: PageStart::Beginning,
            order: Order::Descending,
        };
        let filter = AttemptFilter::default();
        let page = self.store.attempts(self.app, scope, filter, page).await;
        page.unwrap().rows
    }
}

pub(crate) fn config() -> EngineConfig {
    EngineConfig {
        verification: VerificationConfig::default(),
        retry_schedule: RetrySchedule::default(),
        breaker_rule: BreakerRule::default(),
        health_rule: HealthRule::default(),
        attempt_timeout: Duration::from_secs(5),
        in_flight_per_endpoint_max: 4,
        in_flight_max: 64,
        window_deliveries_max: 64,
        window_bytes_max: 1 << 20,
        svix_headers: SvixHeaders::Send,
        user_agent: "Hookseal/test".to_owned(),
        retention: RetentionPolicy {
            history: Duration::from_secs(90 * 86_400),
            batch_rows: 100,
        },
    }
}

async fn start(
    folder: &TempDir,
    clock: &Arc<ManualClock>,
    random: &Arc<NoJitter>,
    roots_pem: &Option<String>,
    config: EngineConfig,
) -> (Engine, Arc<dyn Store>, Registry) {
    let options = SqliteOptions::new(folder.path().join("hookseal.db"));
    let key = MasterKey::new(&Secret::new([7; 32])).unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(options, key).unwrap());
    let egress_clock = Arc::clone(clock);
    let egress = EgressConfig {
        address_policy: AddressPolicy {
            allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
            plain_http: PlainHttp::AllowedNetworks,
        },
        extra_roots_pem: roots_pem.clone().map(String::into_bytes),
        public_roots: PublicRoots::Mozilla,
        tls_min_version: TlsVersion::Tls13,
        idle_timeout: Duration::from_secs(60),
        idle_per_endpoint_max: 8,
        idle_max: 64,
        resolver: Resolver::System,
        connect_timeout: Duration::from_secs(2),
        ..EgressConfig::default()
    };
    let parts = EngineParts {
        store: Arc::clone(&store),
        egress: Egress::new(egress, Arc::new(move || egress_clock.now())).unwrap(),
        clock: Arc::<ManualClock>::clone(clock),
        random: Arc::<NoJitter>::clone(random),
        config,
    };
    let mut registry = Registry::default();
    let engine = Engine::start(parts, &mut registry).await;
    (engine.unwrap(), store, registry)
}
