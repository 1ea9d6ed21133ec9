//! Work that happens without a request: publish, lanes, deliver, schedule, retention, shutdown.
//! Knows no axum and no SQL.
//!
//! **Invariants:** an answered publish is durable; whatever was not recorded as finished is tried
//! again; a lane never waits for another lane; what is in memory is bounded.

mod admission;
mod aftermath;
mod backlog;
mod breakers;
mod budget;
mod catalogue;
mod class_queue;
pub mod clock;
pub mod config;
mod conformity;
mod deliver;
mod enabling;
mod expiry;
mod expunged;
mod fanout;
mod filters;
mod find;
mod form;
mod handshakes;
mod housekeeping;
mod job;
mod lane;
mod lanes;
mod memory;
pub mod metrics;
mod ordering;
mod pacing;
mod persist;
mod prepared;
mod probe;
pub mod publish;
mod push_backs;
mod queue;
mod routes;
mod schedule;
mod shared;
mod shutdown;
mod tasks;
mod timers;
mod to_its_end;
mod transports;
mod trial;
mod underway;
mod verification;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prometheus_client::registry::Registry;
use tracing::info;

use hookseal_domain::admission::Shed;
use hookseal_domain::delivery::attempt::Attempt;
use hookseal_domain::delivery::breaker::BreakerState;
use hookseal_domain::delivery::{DeliveryKey, Ended};
use hookseal_domain::endpoint::Endpoint;
use hookseal_domain::endpoint::verification::Refusal;
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::filter::Filter;
use hookseal_domain::id::{AppId, EndpointId, MessageId, OrgId, RawId};
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::handshake::HandshakeReport;
use hookseal_domain::transport::policy::TransportDefaults;
use hookseal_egress::Egress;
use hookseal_store::Store;
use hookseal_store::config::Routing;
use hookseal_store::error::{ChangeError, ResendError, SkipError, StoreError};
use hookseal_store::publish::Idempotency;
use hookseal_store::reference::AppRef;

use crate::clock::{Clock, Random};
use crate::config::EngineConfig;
pub use crate::filters::FilterTrouble;
pub use crate::pacing::PaceStatus;
pub use crate::probe::ProbeError;
use crate::publish::{Publish, PublishError, Published};
use crate::shared::Shared;
pub use crate::shutdown::ShutdownReport;
pub use crate::trial::TrialError;
pub use crate::verification::{Asked, VerifyError};

/// The running engine. Cheap to clone; stops with [`Engine::shutdown`].
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// What an engine is made of.
pub struct EngineParts {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// How strangers are reached.
    pub egress: Egress,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub random: Arc<dyn Random>,
    /// How to deliver.
    pub config: EngineConfig,
}

// === impl Engine ===

impl Engine {
    /// Begins this node's epoch, takes back what an earlier process left, and starts delivering.
    pub async fn start(parts: EngineParts, registry: &mut Registry) -> Result<Self, StoreError> {
        let demand = parts.config.verification.demand;
        parts.store.demand_verification(demand).await?;
        let session = parts.store.begin_epoch(parts.clock.now()).await?;
        info!(
            node = session.node,
            epoch = session.epoch,
            taken_back = session.taken_back,
            "Began epoch {} and took back {} unfinished deliveries",
            session.epoch,
            session.taken_back
        );
        let shared = Arc::new(Shared::new(parts, session.ids, registry));
        shared.spawn(schedule::run(Arc::clone(&shared)));
        shared.spawn(timers::run(Arc::clone(&shared)));
        shared.spawn(backlog::run(Arc::clone(&shared)));
        shared.spawn(housekeeping::run(Arc::clone(&shared)));
        shared.spawn(expiry::run(Arc::clone(&shared)));
        shared.spawn(housekeeping::follow_changes(Arc::clone(&shared)));
        shared.spawn(breakers::follow_changes(Arc::clone(&shared)));
        shared.spawn(handshakes::run(Arc::clone(&shared)));
        shared.spawn(tasks::run(Arc::clone(&shared)));
        shared.spawn(aftermath::run(Arc::clone(&shared)));
        Ok(Self { shared })
    }

    /// Makes a message durable with its deliveries, and hands them over. Goes on to its end even
    /// when the caller stops waiting.
    pub async fn publish(&self, publish: Publish) -> Result<Published, PublishError> {
        publish::publish(&self.shared, publish).await
    }

    /// Publishes a message to one endpoint only, and makes one attempt to deliver it, which is the
    /// answer. Goes on to its end even when the caller stops waiting.
    pub async fn trial(
        &self,
        message: Publish,
        endpoint: EndpointId,
    ) -> Result<Attempt, TrialError> {
        let shared = Arc::clone(&self.shared);
        let work = async move { trial::trial(&shared, message, endpoint).await };
        match tokio::spawn(work).await {
            Ok(tried) => tried,
            Err(_) => Err(StoreError::Overloaded.into()),
        }
    }

    /// Whether a publish may begin, as far as can be told before anything is known of it: to be asked
    /// as early as possible, so that what is turned away costs little.
    pub fn may_publish(&self) -> Result<(), Shed> {
        self.shared.door.check()
    }

    /// All that publishing to an application needs, from memory where it is known.
    pub async fn routing(
        &self,
        org: OrgId,
        app: &AppRef,
    ) -> Result<Option<Arc<Routing>>, StoreError> {
        let routes = self
            .shared
            .routes
            .find(&*self.shared.store, org, app)
            .await?;
        Ok(routes.map(|routes| Arc::clone(&routes.routing)))
    }

    /// The same for an application that nobody names.
    pub async fn routing_of(&self, app: AppId) -> Result<Option<Arc<Routing>>, StoreError> {
        let routes = self.shared.routes.get(&*self.shared.store, app).await?;
        Ok(routes.map(|routes| Arc::clone(&routes.routing)))
    }

    /// Forgets what was known of an application: to be called after each change of its
    /// configuration. A paused endpoint of it is tried again if its URL or its transport security
    /// is another one now, or if it was enabled.
    pub fn application_changed(&self, app: AppId) {
        aftermath::application_changed(&self.shared, app);
    }

    /// Forgets what was known of an organisation's transport security: to be called after each
    /// change of it. Those of its paused endpoints for which it makes a difference are tried again.
    pub fn organisation_changed(&self, org: OrgId) {
        self.shared.routes.forget_organisation(org);
        self.shared.breakers.organisation_changed(org);
    }

    /// Holds a payload that is to be broadcast against the schema of its event type.
    pub async fn check_payload(
        &self,
        org: OrgId,
        event_type: &EventTypeName,
        payload: &Bytes,
    ) -> Result<(), PublishError> {
        let catalogue = self.shared.catalogues.of(org);
        let checked = conformity::check_payload(&self.shared, &catalogue, event_type, payload);
        checked.await.map_err(PublishError::from)
    }

    /// Forgets what was known of an organisation's event types: to be called after each change of
    /// one. What is published from then on is held against them as they are now.
    pub fn catalogue_changed(&self, org: OrgId) {
        self.shared.catalogues.forget(org);
    }

    /// Whether attempts are made to an endpoint; `None` if nothing is known of it in memory, which
    /// means that they would be.
    pub fn breaker(&self, endpoint: EndpointId) -> Option<BreakerState> {
        let lane = self.shared.lanes.get(endpoint)?;
        Some(lane.breaker().state())
    }

    /// How fast an endpoint's deliveries go; `None` if none is in memory, so that nothing holds the
    /// next one back.
    pub fn pace(&self, endpoint: EndpointId) -> Option<PaceStatus> {
        let lane = self.shared.lanes.get(endpoint)?;
        Some(PaceStatus::of(&lane, self.now()))
    }

    /// What an endpoint's filter could not decide on this node since it is what it is; `None` if
    /// there was nothing.
    pub fn filter_trouble(&self, endpoint: EndpointId, filter: &Filter) -> Option<FilterTrouble> {
        self.shared.filters.trouble(endpoint, filter)
    }

    /// Ends an endpoint's pause at once, and forgets what failed: to be called when a person says
    /// that it was mended. Tells where it stood.
    pub fn reset_breaker(&self, endpoint: EndpointId) -> BreakerState {
        breakers::reset(&self.shared, endpoint)
    }

    /// Makes a handshake with an endpoint's receiver to look, not to send: as its deliveries would,
    /// but that pins don't end it. Also of disabled endpoints. What it shows is not kept.
    pub async fn probe(
        &self,
        app: AppId,
        endpoint: EndpointId,
        timeout: Duration,
    ) -> Result<HandshakeReport, ProbeError> {
        probe::probe(&self.shared, app, endpoint, timeout).await
    }

    /// Asks an endpoint's receiver whether it wants what is sent to it, and waits for what it says.
    /// Goes on to its end even when the caller stops waiting.
    pub async fn verify(
        &self,
        app: AppId,
        endpoint: EndpointId,
        asked: Asked,
    ) -> Result<Endpoint, VerifyError> {
        let work = verification::verify(self.clone(), app, endpoint, asked);
        let working = tokio::spawn(work).await;
        working.unwrap_or(Err(VerifyError::Store(StoreError::Overloaded)))
    }

    /// Somebody calls back that a receiver wants it, with a text of [`Self::verify`] and all values of
    /// its header for the rate. Tells whether it was of any use.
    pub async fn call_back(
        &self,
        text: &str,
        rates: Vec<Vec<u8>>,
    ) -> Result<Option<Result<(), Refusal>>, StoreError> {
        verification::call_back(self, text, rates).await
    }

    /// What holds of transport security where no policy says anything.
    pub fn transport_defaults(&self) -> TransportDefaults {
        self.shared.egress.defaults()
    }

    /// Looks at an endpoint's backlog now: to be called after a resend and after enabling.
    pub fn backlog_changed(&self, app: AppId, endpoint: EndpointId) {
        self.shared.lanes.note_backlog(&self.shared, app, endpoint);
        self.shared.backlog_hint.notify_one();
    }

    /// Sends a message to an endpoint again, with the whole schedule. Goes on to its end even when
    /// the caller stops waiting.
    pub async fn resend(
        &self,
        app: AppId,
        key: DeliveryKey,
        idempotency: Option<Idempotency>,
    ) -> Result<(), ResendError> {
        let engine = self.clone();
        let work = async move {
            let order = ordering::key_of_resend(&engine.shared, app, key).await?;
            let (store, now) = (engine.store(), engine.now());
            store.resend(app, key, order, now, idempotency).await?;
            ordering::withdraw(&engine.shared, app, key).await;
            engine.backlog_changed(app, key.endpoint);
            Ok(())
        };
        match tokio::spawn(work).await {
            Ok(resent) => resent,
            Err(_) => Err(StoreError::Overloaded.into()),
        }
    }

    /// Ends a delivery that has an order, so that those behind it go on. Goes on to its end even when
    /// the caller stops waiting.
    pub async fn skip(&self, app: AppId, key: DeliveryKey) -> Result<(), SkipError> {
        let engine = self.clone();
        let work = async move {
            engine.store().skip(app, key, engine.now()).await?;
            engine.shared.metrics.ended(Ended::Skipped);
            ordering::withdraw(&engine.shared, app, key).await;
            engine.backlog_changed(app, key.endpoint);
            Ok(())
        };
        match tokio::spawn(work).await {
            Ok(skipped) => skipped,
            Err(_) => Err(StoreError::Overloaded.into()),
        }
    }

    /// Forgets a message's payload and ends what is undelivered of it. Goes on to its end even when
    /// the caller stops waiting.
    pub async fn expunge_message(&self, app: AppId, message: MessageId) -> Result<(), ChangeError> {
        let engine = self.clone();
        let work = async move {
            engine.store().expunge_message(app, message).await?;
            expunged::take_out(&engine.shared, app, |of| of == message).await;
            engine.shared.look_for_backlogs();
            Ok(())
        };
        match tokio::spawn(work).await {
            Ok(expunged) => expunged,
            Err(_) => Err(StoreError::Overloaded.into()),
        }
    }

    /// How long what became of messages is kept: no schedule may take longer.
    pub fn history(&self) -> Duration {
        self.shared.config.retention.history
    }

    /// A new id, above all that this node made before.
    pub fn next_id<Id: From<RawId>>(&self) -> Id {
        self.shared.next_id()
    }

    /// Random bytes for a new secret.
    pub fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(8) {
            let bits = self.shared.random.bits().to_ne_bytes();
            for (to, from) in chunk.iter_mut().zip(bits) {
                *to = from;
            }
        }
        bytes
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// How far ahead a message's first attempt can be so that it is not forgotten before its last.
    pub fn deliverable(&self) -> Duration {
        let config = &self.shared.config;
        let longest = config.retry_schedule.longest();
        config.retention.history.saturating_sub(longest)
    }

    /// Where everything is kept.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    /// Stops accepting and starting attempts, waits up to `bound` for those under way, and hands
    /// the rest back to the store.
    pub async fn shutdown(&self, bound: Duration) -> ShutdownReport {
        shutdown::shutdown(&self.shared, bound).await
    }
}
