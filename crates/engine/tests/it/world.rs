//! One engine over a store in a temporary folder, with words to tell a story in.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prometheus_client::registry::Registry;
use tempfile::TempDir;

use hookseal_domain::address_policy::{AddressPolicy, PlainHttp};
use hookseal_domain::application::{Application, ApplicationSpec, Metadata};
use hookseal_domain::delivery::attempt::Attempt;
use hookseal_domain::delivery::breaker::BreakerRule;
use hookseal_domain::delivery::retry::RetrySchedule;
use hookseal_domain::endpoint::headers::EndpointHeaders;
use hookseal_domain::endpoint::url::EndpointUrl;
use hookseal_domain::endpoint::{Endpoint, EndpointSpec, ParkOn};
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::{AppId, EndpointId, MessageId, OrgId};
use hookseal_domain::secret::Secret;
use hookseal_domain::signature::key::{KeyKind, SigningKey};
use hookseal_domain::subscription::Subscription;
use hookseal_egress::{Egress, EgressConfig, PublicRoots, Resolver, TlsMinVersion};
use hookseal_engine::clock::Clock;
use hookseal_engine::config::{EngineConfig, SvixHeaders};
use hookseal_engine::publish::{Publish, PublishError, Published};
use hookseal_engine::{Engine, EngineParts};
use hookseal_store::Store;
use hookseal_store::config::NewEndpoint;
use hookseal_store::inspect::{AttemptFilter, AttemptScope, DeliveryStatus};
use hookseal_store::page::{Order, PageRequest, PageStart};
use hookseal_store::reference::{AppRef, EndpointRef};
use hookseal_store::retention::RetentionPolicy;
use hookseal_store::seal::MasterKey;
use hookseal_store::sqlite::{SqliteOptions, SqliteStore};
use hookseal_testkit::wait::until;

use crate::clock::{ManualClock, NoJitter};

/// The HMAC secret of every endpoint here.
pub(crate) const SECRET: [u8; 32] = [5; 32];

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) app: AppId,
    pub(crate) org: OrgId,
    folder: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A world with one application.
    pub(crate) async fn with(configure: impl FnOnce(&mut EngineConfig)) -> Self {
        let mut config = config();
        configure(&mut config);
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new());
        let (engine, store) = start(&folder, &clock, config).await;
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
            app,
            org,
            folder,
        }
    }

    /// Stops this engine without waiting for anything, and begins another on the same store.
    pub(crate) async fn restart(self) -> Self {
        self.engine.shutdown(Duration::ZERO).await;
        let Self {
            engine,
            store,
            clock,
            app,
            org,
            folder,
        } = self;
        let closing = Arc::downgrade(&store);
        drop((engine, store));
        until("the old store to close", async || {
            Ok((closing.strong_count() == 0).then_some(()))
        })
        .await
        .unwrap();
        let (engine, store) = start(&folder, &clock, config()).await;
        Self {
            engine,
            store,
            clock,
            app,
            org,
            folder,
        }
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

    pub(crate) async fn publish(&self, body: &str) -> MessageId {
        self.try_publish(body).await.unwrap().id
    }

    pub(crate) async fn try_publish(&self, body: &str) -> Result<Published, PublishError> {
        let publish = Publish {
            org: self.org,
            app: AppRef::Id(self.app),
            event_type: EventTypeName::parse("invoice.paid").unwrap(),
            event_id: None,
            channels: Vec::new(),
            tags: Vec::new(),
            payload: Bytes::copy_from_slice(body.as_bytes()),
            payload_retention: Duration::from_secs(90 * 86_400),
            idempotency: None,
        };
        self.engine.publish(publish).await
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

    /// The status of the only delivery of a message, once it is as expected.
    pub(crate) async fn status_becomes(&self, message: MessageId, expect: DeliveryStatus) {
        let mut last = None;
        let reached = until("the delivery's status", async || {
            let page = PageRequest {
                limit: 250,
                from: PageStart::Beginning,
                order: Order::Ascending,
            };
            let all = self.store.destinations(self.app, message, page).await?;
            last = all.rows.first().map(|row| row.status);
            Ok((last == Some(expect)).then_some(()))
        });
        if reached.await.is_err() {
            panic!("expected {expect:?}, got {last:?}");
        }
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
        retry_schedule: RetrySchedule::default(),
        breaker_rule: BreakerRule {
            probe_interval: Duration::from_secs(60),
        },
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
    config: EngineConfig,
) -> (Engine, Arc<dyn Store>) {
    let options = SqliteOptions::new(folder.path().join("hookseal.db"));
    let key = MasterKey::new(&Secret::new([7; 32])).unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(options, key).unwrap());
    let egress_clock = Arc::clone(clock);
    let egress = EgressConfig {
        address_policy: AddressPolicy {
            allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
            plain_http: PlainHttp::AllowedNetworks,
        },
        extra_roots_pem: None,
        public_roots: PublicRoots::Mozilla,
        tls_min_version: TlsMinVersion::Tls13,
        idle_timeout: Duration::from_secs(60),
        idle_per_endpoint_max: 8,
        idle_max: 64,
        resolver: Resolver::System,
        connect_timeout: Duration::from_secs(2),
    };
    let parts = EngineParts {
        store: Arc::clone(&store),
        egress: Egress::new(egress, Arc::new(move || egress_clock.now())).unwrap(),
        clock: Arc::<ManualClock>::clone(clock),
        random: Arc::new(NoJitter::default()),
        config,
    };
    let engine = Engine::start(parts, &mut Registry::default()).await;
    (engine.unwrap(), store)
}
