//! A server with an application, an authority whose receivers it trusts, and words to tell a story in.

use std::ops::Deref;
use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api_client::ApiClient;
use crate::fake_endpoint::FakeEndpoint;
use crate::reply::Reply;
use crate::server_process::{Disk, ServerProcess};
use crate::test_ca::{LeafSpec, TestCa};
use crate::wait::until;

/// The organisation that owns all.
pub const ORGANISATION: &str = "org_2ZpYNqeAKvGBi4ZqCCBpK6R2wqp";
/// The server may send to this machine, and a story's retries come at once.
const SETTINGS: [&str; 2] = [
    r#"egress.allow_networks=["127.0.0.0/8"]"#,
    r#"delivery.retry_schedule=["200ms","300ms"]"#,
];
/// Pages of the API are read to the end, but a story never has this many.
const PAGES_MAX: usize = 100;

/// A running server and all that a story needs of it.
pub struct World {
    /// The server.
    pub server: ServerProcess,
    /// Its API, with the organisation's token.
    pub api: ApiClient,
    /// Issues the receivers' certificates; the server trusts it.
    pub ca: TestCa,
    /// The id of the application that the story is about.
    pub app: String,
    _roots: TempDir,
}

/// How to start a world.
#[derive(Clone, Debug)]
pub struct WorldSetup<'a> {
    binary: &'a Path,
    settings: Vec<String>,
    disk: Disk,
}

/// How to make an endpoint with a receiver behind it.
pub struct HookSetup<'a> {
    world: &'a World,
    leaf: Option<LeafSpec>,
    properties: Value,
}

/// An endpoint with a receiver behind it.
pub struct Hook {
    /// The endpoint's id.
    pub id: String,
    /// The receiver.
    pub receiver: FakeEndpoint,
}

#[derive(serde::Deserialize)]
struct Page {
    data: Vec<Value>,
    done: bool,
    iterator: Option<String>,
}

/// How a delivery stands, as the API says it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// Delivered.
    Success,
    /// To be tried, or held.
    Pending,
    /// Ended otherwise.
    Fail,
    /// Being tried.
    Sending,
    /// Somebody cancelled or skipped it.
    Canceled,
}

// === impl WorldSetup ===

impl<'a> WorldSetup<'a> {
    /// With this server.
    pub fn new(binary: &'a Path) -> Self {
        Self {
            binary,
            settings: SETTINGS.map(str::to_owned).to_vec(),
            disk: Disk::Usual,
        }
    }

    /// With this setting, `section.key=value`, instead of what stories usually have.
    #[must_use]
    pub fn set(mut self, setting: &str) -> Self {
        let key = |setting: &str| setting.split('=').next().map(str::to_owned);
        self.settings.retain(|other| key(other) != key(setting));
        self.settings.push(setting.to_owned());
        self
    }

    /// Without a setting that stories usually have.
    #[must_use]
    pub fn unset(mut self, key: &str) -> Self {
        self.settings
            .retain(|other| other.split('=').next() != Some(key));
        self
    }

    /// With its data on a small disk of its own.
    #[must_use]
    pub fn on_a_disk_of(mut self, mib: u32) -> Self {
        self.disk = Disk::Small(mib);
        self
    }

    /// Starts it.
    pub async fn start(mut self) -> anyhow::Result<World> {
        let ca = TestCa::new("Root of a test")?;
        let roots = tempfile::Builder::new()
            .prefix("hookseal-roots-")
            .tempdir()?;
        let roots_file = roots.path().join("roots.pem");
        std::fs::write(&roots_file, ca.root_pem())?;
        let setting = format!("egress.extra_roots={}", roots_file.display());
        self.settings.push(setting);
        let server = ServerProcess::start(self.binary, self.settings, self.disk).await?;
        let token = server.token(ORGANISATION, None)?;
        let api = ApiClient::new(server.whereabouts(), Some(token));
        let new = api.post("/api/v1/app", &json!({"name": "Story"})).await?;
        let app = string_at(&new.expect(201)?, "id")?;
        Ok(World {
            server,
            api,
            ca,
            app,
            _roots: roots,
        })
    }
}

// === impl World ===

impl World {
    /// An endpoint that is to be made.
    pub fn endpoint(&self) -> HookSetup<'_> {
        HookSetup {
            world: self,
            leaf: None,
            properties: json!({}),
        }
    }

    /// Makes an endpoint for a URL, with further properties; returns its id.
    pub async fn subscribe(&self, url: &str, properties: &Value) -> anyhow::Result<String> {
        let mut endpoint = properties.clone();
        let object = endpoint
            .as_object_mut()
            .context("properties are an object")?;
        object.insert("url".to_owned(), url.into());
        let path = self.path("/endpoint");
        string_at(&self.api.post(&path, &endpoint).await?.expect(201)?, "id")
    }

    /// Publishes an event with a small payload; returns the message's id.
    pub async fn publish(&self, event_type: &str) -> anyhow::Result<String> {
        self.publish_bytes(event_type, br#"{"id":42,"sum":"12.50"}"#)
            .await
    }

    /// Publishes a payload of exactly these bytes; returns the message's id.
    pub async fn publish_bytes(&self, event_type: &str, payload: &[u8]) -> anyhow::Result<String> {
        let head = format!(r#"{{"eventType":"{event_type}","payload":"#);
        let body = Bytes::from([head.as_bytes(), payload, b"}"].concat());
        let path = self.path("/msg?with_content=false");
        let answer = self.api.send(Method::POST, &path, &[], body).await?;
        string_at(&answer.expect(202)?, "id")
    }

    /// The attempts of a message's deliveries, oldest first.
    pub async fn attempts(&self, message: &str) -> anyhow::Result<Vec<Value>> {
        let mut attempts = self
            .list(&self.path(&format!("/attempt/msg/{message}")))
            .await?;
        attempts.reverse();
        Ok(attempts)
    }

    /// Waits until a message has at least `count` attempts, and returns all, oldest first.
    pub async fn attempted(&self, message: &str, count: usize) -> anyhow::Result<Vec<Value>> {
        until(&format!("{count} attempts of {message}"), async || {
            let attempts = self.attempts(message).await?;
            Ok((attempts.len() >= count).then_some(attempts))
        })
        .await
    }

    /// How the delivery of a message to an endpoint stands.
    pub async fn standing(&self, message: &str, endpoint: &str) -> anyhow::Result<Standing> {
        let deliveries = self
            .list(&self.path(&format!("/msg/{message}/endpoint")))
            .await?;
        let delivery = deliveries
            .iter()
            .find(|delivery| delivery["id"] == endpoint);
        let delivery = delivery.with_context(|| format!("{message} has no {endpoint}"))?;
        Standing::of(delivery)
    }

    /// Waits until the delivery of a message to an endpoint stands like this.
    pub async fn stands(
        &self,
        message: &str,
        endpoint: &str,
        standing: Standing,
    ) -> anyhow::Result<()> {
        until(
            &format!("{message} to {endpoint}: {standing:?}"),
            async || {
                let now = self.standing(message, endpoint).await?;
                Ok((now == standing).then_some(()))
            },
        )
        .await
    }

    /// All rows of a list.
    pub async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut rows = Vec::new();
        let mut iterator = String::new();
        for _ in 0..PAGES_MAX {
            let path = format!("{path}?limit=250{iterator}");
            let page: Page = serde_json::from_value(self.api.get(&path).await?.expect(200)?)
                .with_context(|| format!("{path} is not a list"))?;
            rows.extend(page.data);
            if page.done {
                return Ok(rows);
            }
            let next = page
                .iterator
                .context("a page that is not the last has no iterator")?;
            iterator = format!("&iterator={next}");
        }
        anyhow::bail!("{path} has more than {PAGES_MAX} pages");
    }

    /// A path below the application.
    pub fn path(&self, rest: &str) -> String {
        format!("/api/v1/app/{}{rest}", self.app)
    }
}

// === impl HookSetup ===

impl HookSetup<'_> {
    /// Over TLS, with a certificate that the server accepts.
    #[must_use]
    pub fn over_tls(self) -> Self {
        self.presenting(LeafSpec::default())
    }

    /// Over TLS, with a certificate like this.
    #[must_use]
    pub fn presenting(mut self, leaf: LeafSpec) -> Self {
        self.leaf = Some(leaf);
        self
    }

    /// With these properties beside the URL.
    #[must_use]
    pub fn with(mut self, properties: Value) -> Self {
        self.properties = properties;
        self
    }

    /// Starts the receiver, which answers by script, and makes the endpoint.
    pub async fn replying(
        self,
        replies: impl IntoIterator<Item = impl Into<Reply>>,
    ) -> anyhow::Result<Hook> {
        let receiver = match &self.leaf {
            Some(spec) => FakeEndpoint::tls(&self.world.ca.issue(spec)?, replies).await?,
            None => FakeEndpoint::plain(replies).await?,
        };
        let id = self
            .world
            .subscribe(&receiver.url(), &self.properties)
            .await?;
        Ok(Hook { id, receiver })
    }
}

// === impl Hook ===

impl Deref for Hook {
    type Target = FakeEndpoint;

    fn deref(&self) -> &FakeEndpoint {
        &self.receiver
    }
}

// === impl Standing ===

impl Standing {
    /// Reads `status`, which must agree with `statusText`.
    fn of(delivery: &Value) -> anyhow::Result<Self> {
        match (delivery["status"].as_u64(), delivery["statusText"].as_str()) {
            (Some(0), Some("success")) => Ok(Self::Success),
            (Some(1), Some("pending")) => Ok(Self::Pending),
            (Some(2), Some("fail")) => Ok(Self::Fail),
            (Some(3), Some("sending")) => Ok(Self::Sending),
            (Some(4), Some("canceled")) => Ok(Self::Canceled),
            _ => anyhow::bail!("not a status: {delivery}"),
        }
    }
}

/// A property that is a text.
pub fn string_at(object: &Value, key: &str) -> anyhow::Result<String> {
    let text = object.get(key).and_then(Value::as_str);
    let text = text.with_context(|| format!("no text `{key}` in {object}"))?;
    Ok(text.to_owned())
}
