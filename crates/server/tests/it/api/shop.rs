//! One provider with the API in front, and words to ask it. Knows no single test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

use hookseal::api::{ApiConfig, ApiContext, router};
use hookseal::auth::Auth;
use hookseal::auth::jwt::{VerifyingKeys, mint};
use hookseal::listener::{Listener, ListenerConfig, Serving};
use hookseal_domain::access::Principal;
use hookseal_domain::address_policy::{AddressPolicy, PlainHttp};
use hookseal_domain::delivery::breaker::BreakerRule;
use hookseal_domain::delivery::retry::RetrySchedule;
use hookseal_domain::endpoint::health::HealthRule;
use hookseal_domain::endpoint::verification::{Demand, Origin};
use hookseal_domain::id::{AppId, EndpointId, OrgId};
use hookseal_domain::secret::Secret;
use hookseal_domain::signature::key::KeyKind;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::handshake::HandshakeReport;
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::TransportPolicy;
use hookseal_egress::{Egress, EgressConfig};
use hookseal_engine::clock::{Clock, Random};
use hookseal_engine::config::{EngineConfig, SvixHeaders, VerificationConfig};
use hookseal_engine::{Engine, EngineParts};
use hookseal_store::Store;
use hookseal_store::retention::RetentionPolicy;
use hookseal_store::seal::MasterKey;
use hookseal_store::sqlite::{SqliteOptions, SqliteStore};
use hookseal_store::transport::SeenHandshake;

/// 2026-11-23T08:20:00Z.
const START: Timestamp = Timestamp::from_millis(1_795_422_000_000);
/// Where verifications are answered; the token is added.
pub(crate) const CALLBACK: &str = "https://hooks.example/api/v1/verification/";
const JWT_SECRET: &[u8] = b"the secret of the tests, long enough";

/// A provider and its API.
pub(crate) struct Shop {
    router: Router,
    org: OrgId,
    token: String,
    clock: Arc<TestClock>,
    store: Arc<dyn Store>,
    _folder: TempDir,
}

/// An answer of the API.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

/// Stands still but when told to move; who waits for it waits until the end of the test.
struct TestClock(Mutex<Timestamp>);

struct Counter(AtomicU64);

// === impl Shop ===

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    pub(crate) async fn open_with(configure: impl FnOnce(&mut ApiConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock(Mutex::new(START)));
        let engine = engine(&folder, &clock).await;
        let store = Arc::clone(engine.store());
        let mut config = ApiConfig {
            payload_bytes_max: 1 << 20,
            address_policy: Arc::new(policy()),
            public_url: "https://hooks.example".to_owned(),
            rate_per_token: None,
            rate_per_address: None,
            signing_key_kind: KeyKind::HmacSha256,
        };
        configure(&mut config);
        let keys = VerifyingKeys {
            shared_secret: Some(Secret::new(JWT_SECRET.to_vec())),
            public_key_pem: None,
        };
        let context = ApiContext::new(engine, Auth::new(&keys).unwrap(), config);
        let org = OrgId::parse("org_23rb8YdGqMT0qIzpgGwdXfHirMu").unwrap();
        Self {
            router: router(context),
            token: token(Principal::Organisation(org), START),
            org,
            clock,
            store,
            _folder: folder,
        }
    }

    /// The same API, asked with a token of one of its applications, issued now.
    pub(crate) fn as_app(&self, app: &str) -> String {
        let app = AppId::parse(app).unwrap();
        token(Principal::Application(self.org, app), self.clock.now())
    }

    /// The same API, asked with a token of another organisation.
    pub(crate) fn as_stranger(&self) -> String {
        let org = OrgId::parse("org_1srOrx2ZWZBpBUvZwXKQmoEYga2").unwrap();
        token(Principal::Organisation(org), START)
    }

    /// The organisation's id.
    pub(crate) fn org(&self) -> String {
        self.org.to_string()
    }

    /// A new API token with these scopes.
    pub(crate) async fn api_token(&self, scopes: &[&str]) -> Value {
        let path = format!("/management/authentication/{}/api-token", self.org);
        let body = serde_json::json!({"name": "service", "scopes": scopes});
        self.ask("POST", &path, body.to_string()).await.expect(200)
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn advance(&self, by: Duration) {
        let mut now = self.clock.0.lock();
        *now = now.plus(by);
    }

    /// Keeps what was seen of an endpoint.
    pub(crate) async fn saw(&self, app: &str, endpoint: &str, report: &HandshakeReport) {
        let seen = SeenHandshake {
            org: self.org,
            app: AppId::parse(app).unwrap(),
            endpoint: EndpointId::parse(endpoint).unwrap(),
            report: HandshakeReport {
                at: self.clock.now(),
                ..report.clone()
            },
        };
        self.advance(Duration::from_secs(1));
        self.store.record_handshakes(vec![seen]).await.unwrap();
    }

    /// A policy that the API would not make.
    pub(crate) async fn has_policy(&self, name: &str, policy: TransportPolicy) {
        let (name, now) = (Name::parse(name).unwrap(), self.clock.now());
        let put = self.store.put_transport_policy(self.org, name, policy, now);
        put.await.unwrap();
    }

    /// The same API behind a socket.
    pub(crate) async fn listen(&self) -> Serving {
        let config = ListenerConfig {
            address: ([127, 0, 0, 1], 0).into(),
            certificates: None,
            connections_max: 16,
            request_timeout: Duration::from_secs(60),
        };
        let listener = Listener::bind(config).await.unwrap();
        listener.serve(self.router.clone())
    }

    /// Sends any request.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            bytes: body.collect().await.unwrap().to_bytes(),
        }
    }

    /// Asks as the organisation; `path` is below `/api/v1`.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        self.ask_as(&self.token, method, path, body).await
    }

    pub(crate) async fn ask_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: impl Into<Body>,
    ) -> Answer {
        let request = request(method, path)
            .header("authorization", format!("Bearer {token}"))
            .body(body.into());
        self.send(request.unwrap()).await
    }

    /// Asks with an idempotency key.
    pub(crate) async fn ask_once(&self, key: &str, path: &str, body: &str) -> Answer {
        let request = request("POST", path)
            .header("authorization", format!("Bearer {}", self.token))
            .header("idempotency-key", key)
            .body(Body::from(body.to_owned()));
        self.send(request.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.ask("GET", path, "").await.expect(200)
    }

    /// Makes something and returns it.
    pub(crate) async fn make(&self, path: &str, body: &str) -> Value {
        self.ask("POST", path, body.to_owned()).await.expect(201)
    }

    /// An application with this uid, named by its id.
    pub(crate) async fn app(&self, uid: &str) -> String {
        let body = format!(r#"{{"name": "Customer", "uid": "{uid}"}}"#);
        id(&self.make("/app", &body).await)
    }

    /// An endpoint of an application that receives at the URL.
    pub(crate) async fn endpoint(&self, app: &str, url: &str) -> String {
        let body = format!(r#"{{"url": "{url}"}}"#);
        id(&self.make(&format!("/app/{app}/endpoint"), &body).await)
    }

    /// A message of an application.
    pub(crate) async fn message(&self, app: &str, payload: &str) -> String {
        let body = format!(r#"{{"eventType": "invoice.paid", "payload": {payload}}}"#);
        id(&self
            .ask("POST", &format!("/app/{app}/msg"), body)
            .await
            .expect(202))
    }
}

// === impl Answer ===

impl Answer {
    /// The body, once the status is as expected.
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(
            self.status,
            status,
            "{}",
            String::from_utf8_lossy(&self.bytes)
        );
        self.json()
    }

    /// The error's code, once the status is as expected.
    pub(crate) fn error(self, status: u16) -> String {
        let body = self.expect(status);
        assert!(body["detail"].is_string(), "{body}");
        body["code"].as_str().unwrap().to_owned()
    }

    pub(crate) fn json(&self) -> Value {
        if self.bytes.is_empty() {
            return Value::Null;
        }
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_slice(&self.bytes).unwrap()
    }
}

// === impl TestClock ===

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }

    async fn sleep_until(&self, at: Timestamp) {
        if at > self.now() {
            std::future::pending::<()>().await;
        }
    }
}

impl Random for Counter {
    fn bits(&self) -> u64 {
        self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }
}

/// The id of what was made.
pub(crate) fn id(made: &Value) -> String {
    made["id"].as_str().unwrap().to_owned()
}

/// A request below `/api/v1`, as the libraries send them.
pub(crate) fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(format!("/api/v1{path}"))
        .header("content-type", "application/json")
}

fn token(who: Principal, issued_at: Timestamp) -> String {
    let secret = Secret::new(JWT_SECRET.to_vec());
    mint(&secret, who, issued_at, None)
        .unwrap()
        .expose()
        .clone()
}

/// Receivers of these tests listen on loopback; one network more is there to be named.
fn policy() -> AddressPolicy {
    AddressPolicy {
        allow_networks: vec!["127.0.0.1/32".parse().unwrap()],
        plain_http: PlainHttp::AllowedNetworks,
    }
}

async fn engine(folder: &TempDir, clock: &Arc<TestClock>) -> Engine {
    let options = SqliteOptions::new(folder.path().join("hookseal.db"));
    let key = MasterKey::new(&Secret::new([7; 32])).unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(options, key).unwrap());
    let egress = EgressConfig {
        address_policy: policy(),
        ..EgressConfig::default()
    };
    let egress_clock = Arc::clone(clock);
    let parts = EngineParts {
        store,
        egress: Egress::new(egress, Arc::new(move || egress_clock.now())).unwrap(),
        clock: Arc::<TestClock>::clone(clock),
        random: Arc::new(Counter(AtomicU64::new(1 << 63))),
        config: engine_config(),
    };
    let engine = Engine::start(parts, &mut Registry::default()).await;
    engine.unwrap()
}

fn engine_config() -> EngineConfig {
    EngineConfig {
        verification: VerificationConfig {
            demand: Demand::None,
            origin: Some(Origin::parse("hooks.example").unwrap()),
            callback_url: Some(CALLBACK.to_owned()),
        },
        retry_schedule: RetrySchedule::default(),
        breaker_rule: BreakerRule::default(),
        health_rule: HealthRule::default(),
        attempt_timeout: Duration::from_secs(5),
        in_flight_per_endpoint_max: 4,
        in_flight_max: 64,
        window_deliveries_max: 64,
        window_bytes_max: 1 << 20,
        svix_headers: SvixHeaders::Omit,
        user_agent: "Hookseal/test".to_owned(),
        retention: RetentionPolicy {
            history: Duration::from_secs(90 * 86_400),
            batch_rows: 100,
        },
    }
}
