//! The relay, one of the machine's two ceilings: parses a message, signs it, forwards it to the
//! receiver over kept connections and answers 202 after it. No store, no scheduling.
//!
//! It says what this machine can do with the same libraries when nothing is remembered. It is not
//! tuned along with the server: a share of it must mean the same from one release to the next.

use std::borrow::Cow;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt;
use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::Full;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::TcpListener;

use crate::connection::{Connection, Target};
use crate::delivery::{Endpoints, Envelope};
use crate::{clock, helper, tls};

/// Where the relay takes messages; the `{app}` is not looked at.
const ROUTE: &str = "/api/v1/app/{app}/msg";
/// Connections kept while idle: more than any run has exchanges under way.
const IDLE_CONNECTIONS_MAX: usize = 4096;

/// Relays messages to the receiver; started by `run`.
#[derive(clap::Args, Debug)]
pub(crate) struct Relaying {
    /// Address of the receiver
    #[arg(long)]
    receiver: SocketAddr,
    /// Endpoints that each message is forwarded to
    #[arg(long)]
    endpoints: u16,
    /// Speak TLS to the receiver and trust the root certificate in this file
    #[arg(long)]
    tls_roots: Option<PathBuf>,
}

/// What the handler works with.
struct Relay {
    target: Target,
    endpoints: Endpoints,
    idle: Mutex<Vec<Connection>>,
    accepted: AtomicU64,
}

/// The part of a message that is looked at. The payload's bytes are kept as they came.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageIn<'a> {
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

// === impl Relaying ===

impl Relaying {
    /// Runs until standard input closes.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let connector = self.tls_roots.as_deref().map(tls::connector).transpose()?;
        let target = Target::new(self.receiver, connector);
        let relay = Arc::new(Relay {
            endpoints: Endpoints::new(&target, self.endpoints)?,
            target,
            idle: Mutex::new(Vec::new()),
            accepted: AtomicU64::new(0),
        });
        let router = Router::new().route(ROUTE, post(publish)).with_state(relay);

        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind(SocketAddr::from((
            Ipv4Addr::LOCALHOST,
            0,
        ))))?;
        let port = listener.local_addr()?.port();
        let listener = listener.tap_io(|tcp| {
            // Without it the relay is only slower; it is not worth refusing the connection.
            let _ = tcp.set_nodelay(true);
        });
        runtime.spawn(axum::serve(listener, router).into_future());
        helper::answer_questions(port, |question| {
            anyhow::bail!("unknown question {question}")
        })
    }
}

async fn publish(State(relay): State<Arc<Relay>>, body: Bytes) -> Response {
    let message: MessageIn<'_> = match serde_json::from_slice(&body) {
        Ok(message) => message,
        Err(_) => return StatusCode::UNPROCESSABLE_ENTITY.into_response(),
    };
    if message.event_type.is_empty() {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    }
    let payload = body.slice_ref(message.payload.get().as_bytes());
    match relay.forward(payload).await {
        Ok(id) => {
            let json = [(CONTENT_TYPE, "application/json")];
            (StatusCode::ACCEPTED, json, format!(r#"{{"id":"{id}"}}"#)).into_response()
        }
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

// === impl Relay ===

impl Relay {
    /// Delivers the payload to every endpoint and returns the message's id. One after the other:
    /// with all cores busy that carries more than a task for each endpoint does.
    async fn forward(&self, payload: Bytes) -> anyhow::Result<String> {
        let number = self.accepted.fetch_add(1, Ordering::Relaxed);
        let envelope = Envelope::new(number, clock::whole_seconds(clock::unix_ns()))?;
        for endpoint in self.endpoints.iter() {
            let request = self
                .endpoints
                .request(endpoint, &envelope, payload.clone())?;
            self.deliver(request).await?;
        }
        Ok(envelope.id().to_str()?.to_owned())
    }

    async fn deliver(&self, request: Request<Full<Bytes>>) -> anyhow::Result<()> {
        let mut connection = self.connection().await?;
        let answer = connection.exchange(request).await?;
        anyhow::ensure!(
            answer.status.is_success(),
            "the receiver answered {}",
            answer.status
        );
        self.keep(connection);
        Ok(())
    }

    /// A kept connection, the most recently used first, or a new one.
    async fn connection(&self) -> anyhow::Result<Connection> {
        while let Some(mut kept) = self.take() {
            if kept.is_ready().await {
                return Ok(kept);
            }
        }
        self.target.connect().await
    }

    fn take(&self) -> Option<Connection> {
        self.idle.lock().pop()
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(connection);
        }
    }
}
