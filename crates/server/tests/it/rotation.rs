//! Certificates and keys of both sides are replaced while deliveries flow: nothing fails, nothing is
//! started again.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hookseal::receiver::authority::{Clients, LocalAuthority, ServerIdentity};
use hookseal::receiver::{Arrival, Receiver, Recipient, Transport};
use hookseal::runtime::clock::SystemClock;
use hookseal_engine::clock::Clock;
use hookseal_testkit::wait::until_within;
use hookseal_testkit::world::World;
use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::support::load::Load;
use crate::support::world;

/// Endpoints of the application; each gets every message.
const ENDPOINTS: u16 = 10;
/// Clients that publish without pause.
const CLIENTS: usize = 2;
/// How long one step of a rotation may take; the machine may be busy.
const STEP_WITHIN: Duration = Duration::from_secs(60);
const IDENTITY: &str = "/api/v1/transport/client-identity/shop";
const ANCHORS: &str = "/api/v1/transport/trust-anchors/partners";

/// Counts what arrives, by path and message.
#[derive(Default)]
struct Arrivals(Mutex<BTreeMap<(String, String), u32>>);

/// Everything that a step needs.
struct Scene {
    world: World,
    ca: LocalAuthority,
    receiver: Receiver,
    arrivals: Arc<Arrivals>,
    endpoints: Vec<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_rotate_under_load_without_a_failed_delivery() -> anyhow::Result<()> {
    let now = SystemClock.now();
    let ca = LocalAuthority::make("Old root", now)?;
    let first = ca.server(names())?;
    let next = ca.server(names())?;
    let scene = Scene::set(ca, &first, &next).await?;
    let load = Load::start(&scene.world, CLIENTS);
    let began = Instant::now();
    scene.delivers_more("the load", 200).await?;

    scene.replace_our_identity().await?;
    let same_key = scene.ca.reissue(&first, names())?;
    scene.present(&same_key)?;
    scene
        .delivers_more("the new certificate of the same key", 200)
        .await?;
    scene.replace_their_key(&first, &next).await?;
    scene.replace_root(&next).await?;
    scene.delivers_more("the new root", 200).await?;

    let rate = f64::from(u32::try_from(scene.arrivals.total())?) / began.elapsed().as_secs_f64();
    let published = load.stop().await?;
    scene.everything_arrived_at_once(published.len()).await?;
    println!(
        "{} messages to {ENDPOINTS} endpoints, {rate:.0} deliveries a second",
        published.len()
    );
    Ok(())
}

// === impl Scene ===

impl Scene {
    async fn set(
        ca: LocalAuthority,
        server: &ServerIdentity,
        next: &ServerIdentity,
    ) -> anyhow::Result<Self> {
        let world = world().start().await?;
        let arrivals = Arc::new(Arrivals::default());
        let receiver = Receiver::start(
            ([127, 0, 0, 1], 0).into(),
            Transport::Tls(server.config(Clients::Of(&ca))?),
            Arc::<Arrivals>::clone(&arrivals),
            Arc::new(SystemClock),
        );
        let mut scene = Self {
            world,
            ca,
            receiver: receiver.await?,
            arrivals,
            endpoints: Vec::new(),
        };
        let anchors = json!({ "pem": scene.ca.pem() });
        scene.call(Method::PUT, ANCHORS, &anchors).await?;
        scene.request_certificate().await?;
        let policy = json!({
            "trust": "private", "trustAnchors": "partners", "clientIdentity": "shop",
        });
        let path = "/api/v1/transport/policy/default";
        scene.call(Method::PUT, path, &policy).await?;
        for number in 0..ENDPOINTS {
            scene
                .make_endpoint(number, &[server.pem(), next.pem()])
                .await?;
        }
        Ok(scene)
    }

    async fn make_endpoint(&mut self, number: u16, pins: &[&str]) -> anyhow::Result<()> {
        let url = format!("{}{number}", self.receiver.url());
        let path = self.world.path("/endpoint");
        let made = self
            .call(Method::POST, &path, &json!({ "url": url }))
            .await?;
        let path = format!("{path}/{}", made["id"].as_str().unwrap());
        for pem in pins {
            let pins = format!("{path}/pins");
            self.call(Method::POST, &pins, &json!({ "certificate": pem }))
                .await?;
        }
        let enforce = json!({ "own": { "pinning": "enforce" } });
        self.call(Method::PATCH, &format!("{path}/transport"), &enforce)
            .await?;
        self.endpoints.push(path);
        Ok(())
    }

    /// Issued → distributed → seen by every endpoint → the old one retired.
    async fn replace_our_identity(&self) -> anyhow::Result<()> {
        let new = self.request_certificate().await?;
        let step = |what: &str, number: u64| format!("{IDENTITY}/certificates/{number}/{what}");
        let early = self
            .answer(Method::POST, &step("retire", 1), &json!({}))
            .await?;
        assert_eq!(early.0, StatusCode::CONFLICT, "{}", early.1);
        self.call(Method::POST, &step("distribute", new), &json!({}))
            .await?;
        self.until("every endpoint has seen our new certificate", async || {
            let path = format!("{IDENTITY}/rotation");
            let rotation = self.call(Method::GET, &path, &Value::Null).await?;
            let endpoints = |number| {
                let mut all = rotation["certificates"].as_array().unwrap().iter();
                let one = all.find(|one| one["number"] == number).unwrap();
                one["endpoints"].as_u64().unwrap()
            };
            Ok(endpoints(1) == 0 && endpoints(new) == u64::from(ENDPOINTS))
        })
        .await?;
        self.call(Method::POST, &step("retire", 1), &json!({}))
            .await?;
        Ok(())
    }

    /// The pin of the next key is staged already.
    async fn replace_their_key(
        &self,
        old: &ServerIdentity,
        next: &ServerIdentity,
    ) -> anyhow::Result<()> {
        self.present(next)?;
        let backup = self.ca.server(names())?;
        for endpoint in &self.endpoints {
            let pins = format!("{endpoint}/pins");
            let next_pin = self.pin(&pins, &next.pin().to_string()).await?;
            self.until("the next key was seen", async || {
                Ok(self.pin(&pins, &next.pin().to_string()).await?["state"] == "seen")
            })
            .await?;
            let path = format!("{pins}/{}", next_pin["sha256"].as_str().unwrap());
            self.call(Method::PATCH, &path, &json!({ "state": "active" }))
                .await?;
            // The next backup first: an enforced set has two pins at least.
            self.call(Method::POST, &pins, &json!({ "certificate": backup.pem() }))
                .await?;
            let old = self.pin(&pins, &old.pin().to_string()).await?;
            let path = format!("{pins}/{}", old["sha256"].as_str().unwrap());
            self.call(Method::DELETE, &path, &Value::Null).await?;
        }
        Ok(())
    }

    /// Both roots, then a certificate of the new one, then the old one goes.
    async fn replace_root(&self, server: &ServerIdentity) -> anyhow::Result<()> {
        let new = LocalAuthority::make("New root", SystemClock.now())?;
        let both = json!({ "pem": format!("{}{}", self.ca.pem(), new.pem()) });
        self.call(Method::PUT, ANCHORS, &both).await?;
        self.present(&new.reissue(server, names())?)?;
        let old_only_new = json!({ "pem": new.pem() });
        let early = self.answer(Method::PUT, ANCHORS, &old_only_new).await?;
        println!("removing the old root at once: {}", early.0);
        self.until("no endpoint needs the old root", async || {
            let set = self.call(Method::GET, ANCHORS, &Value::Null).await?;
            let mut roots = set["anchors"].as_array().unwrap().iter();
            Ok(roots.all(|root| {
                let old = root["subject"].as_str().unwrap().contains("Old root");
                !old || root["endpoints"] == 0
            }))
        })
        .await?;
        self.call(Method::PUT, ANCHORS, &old_only_new).await?;
        Ok(())
    }

    fn present(&self, server: &ServerIdentity) -> anyhow::Result<()> {
        self.receiver.replace(server.config(Clients::Of(&self.ca))?);
        Ok(())
    }

    async fn request_certificate(&self) -> anyhow::Result<u64> {
        let request = json!({ "commonName": "shop.example" });
        let made = self
            .call(Method::POST, &format!("{IDENTITY}/requests"), &request)
            .await?;
        let number = made["number"].as_u64().unwrap();
        let certificate = self.ca.sign_client(made["csr"].as_str().unwrap())?;
        let path = format!("{IDENTITY}/certificates/{number}");
        self.call(Method::PUT, &path, &json!({ "certificate": certificate }))
            .await?;
        Ok(number)
    }

    async fn pin(&self, pins: &str, pin: &str) -> anyhow::Result<Value> {
        let all = self.call(Method::GET, pins, &Value::Null).await?;
        let mut all = all["data"].as_array().unwrap().iter();
        Ok(all.find(|one| one["pin"] == pin).unwrap().clone())
    }

    /// Every endpoint gets so many more deliveries.
    async fn delivers_more(&self, after: &str, more: usize) -> anyhow::Result<()> {
        let enough = self.arrivals.total() + more;
        self.until(&format!("deliveries after {after}"), async || {
            Ok(self.arrivals.total() >= enough)
        })
        .await
    }

    async fn everything_arrived_at_once(&self, published: usize) -> anyhow::Result<()> {
        self.until("everything arrives", async || {
            Ok(self.arrivals.0.lock().len() >= published * usize::from(ENDPOINTS))
        })
        .await?;
        for endpoint in &self.endpoints {
            let id = endpoint.rsplit('/').next().unwrap();
            let failed = format!("/attempt/endpoint/{id}?status=2&limit=5");
            let failed = self
                .call(Method::GET, &self.world.path(&failed), &Value::Null)
                .await?;
            assert_eq!(failed["data"], json!([]), "an attempt failed");
        }
        Ok(())
    }

    async fn until(
        &self,
        what: &str,
        mut is_so: impl AsyncFnMut() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        until_within(STEP_WITHIN, what, async || Ok(is_so().await?.then_some(()))).await
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (status, answer) = self.answer(method.clone(), path, body).await?;
        anyhow::ensure!(status.is_success(), "{method} {path}: {status} {answer}");
        Ok(answer)
    }

    async fn answer(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let body = match body {
            Value::Null => Bytes::new(),
            body => Bytes::from(body.to_string()),
        };
        let answer = self.world.api.send(method, path, &[], body).await?;
        Ok((
            answer.status,
            serde_json::from_slice(&answer.body).unwrap_or_default(),
        ))
    }
}

// === impl Arrivals ===

impl Arrivals {
    fn total(&self) -> usize {
        self.0.lock().len()
    }
}

impl Recipient for Arrivals {
    fn receive(&self, arrival: Arrival) -> StatusCode {
        let id = arrival.headers["webhook-id"].to_str().unwrap().to_owned();
        *self.0.lock().entry((arrival.path, id)).or_default() += 1;
        StatusCode::OK
    }
}

fn names() -> Vec<String> {
    vec!["localhost".to_owned(), "127.0.0.1".to_owned()]
}
