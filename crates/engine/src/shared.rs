//! What every part of the engine works with.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus_client::registry::Registry;
use tokio::sync::{Notify, Semaphore, watch};
use tracing::error;

use hookseal_domain::delivery::throttle::Pace;
use hookseal_domain::endpoint::Destination;
use hookseal_domain::id::{AppId, RawId};
use hookseal_egress::Egress;
use hookseal_store::Store;
use hookseal_store::ids::Ids;

use crate::EngineParts;
use crate::admission::Door;
use crate::breakers::Breakers;
use crate::budget::Budget;
use crate::catalogue::Catalogues;
use crate::clock::{Clock, Random};
use crate::config::EngineConfig;
use crate::conformity::Comparing;
use crate::filters::Filters;
use crate::handshakes::Handshakes;
use crate::lanes::Lanes;
use crate::metrics::EngineMetrics;
use crate::metrics::expiry::ExpiryCollector;
use crate::metrics::pin_warnings::PinWarningCollector;
use crate::pacing::{AppPacings, LaneRules};
use crate::probe::PROBES_MAX;
use crate::routes::Routes;
use crate::schedule::Wake;
use crate::tasks::TaskHint;
use crate::timers::Timers;
use crate::trial::TRIALS_MAX;

/// The engine's parts, each for one purpose.
pub(crate) struct Shared {
    /// Where everything is kept.
    pub(crate) store: Arc<dyn Store>,
    /// How strangers are reached.
    pub(crate) egress: Egress,
    /// What time it is.
    pub(crate) clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub(crate) random: Arc<dyn Random>,
    /// How to deliver.
    pub(crate) config: EngineConfig,
    /// Who may publish.
    pub(crate) door: Door,
    /// What is known of applications.
    pub(crate) routes: Routes,
    /// What organisations say of their event types.
    pub(crate) catalogues: Arc<Catalogues>,
    pub(crate) comparing: Comparing,
    /// What is in memory, by endpoint.
    pub(crate) lanes: Lanes,
    /// Which of those have trouble.
    pub(crate) breakers: Breakers,
    /// What filters said.
    pub(crate) filters: Filters,
    /// What TLS handshakes showed.
    pub(crate) handshakes: Arc<Handshakes>,
    /// A permit for each attempt under way.
    pub(crate) budget: Arc<Budget>,
    /// The rates of applications.
    pub(crate) app_pacings: AppPacings,
    /// Which lanes are brought back, and when.
    pub(crate) timers: Timers,
    /// A permit for each handshake that is made to look.
    pub(crate) probes: Semaphore,
    /// A permit for each test attempt.
    pub(crate) trials: Semaphore,
    /// When the schedule looks again.
    pub(crate) wake: Wake,
    /// A task may have begun.
    pub(crate) task_hint: TaskHint,
    /// Something may have come into a backlog.
    pub(crate) backlog_hint: Notify,
    /// It is not known into whose.
    pub(crate) backlogs_unknown: AtomicBool,
    /// What is counted.
    pub(crate) metrics: EngineMetrics,
    ids: Arc<Ids>,
    stopping: watch::Sender<bool>,
}

// === impl Shared ===

impl Shared {
    pub(crate) fn new(parts: EngineParts, ids: Arc<Ids>, registry: &mut Registry) -> Self {
        let EngineParts {
            store,
            egress,
            clock,
            random,
            config,
        } = parts;
        let handshakes = Arc::<Handshakes>::default();
        let catalogues = Arc::<Catalogues>::default();
        let metrics = EngineMetrics::register(registry);
        registry.register_collector(Box::new(ExpiryCollector::new(&handshakes, &clock)));
        registry.register_collector(Box::new(PinWarningCollector::new(&handshakes)));
        Self {
            door: Door::new(registry),
            routes: Routes::new(
                &config,
                &egress,
                Arc::clone(&handshakes),
                Arc::clone(&catalogues),
            ),
            catalogues,
            comparing: Comparing::default(),
            store,
            egress,
            clock,
            random,
            handshakes,
            lanes: Lanes::new(&config),
            breakers: Breakers::default(),
            filters: Filters::new(registry),
            budget: Budget::new(config.in_flight_max),
            app_pacings: AppPacings::default(),
            timers: Timers::default(),
            probes: Semaphore::new(PROBES_MAX),
            trials: Semaphore::new(TRIALS_MAX),
            wake: Wake::default(),
            task_hint: TaskHint::default(),
            backlog_hint: Notify::new(),
            // What an earlier process left.
            backlogs_unknown: AtomicBool::new(true),
            metrics,
            ids,
            stopping: watch::Sender::new(false),
            config,
        }
    }

    /// A new id.
    pub(crate) fn next_id<Id: From<RawId>>(&self) -> Id {
        let now = self.clock.now();
        self.ids.next(now)
    }

    /// How fast a lane may go, as configured.
    pub(crate) fn lane_rules(
        &self,
        app: AppId,
        app_rate: Option<u16>,
        destination: &Destination,
    ) -> LaneRules {
        let app_pace = Pace::per_second(app_rate);
        LaneRules {
            pace: pace_of(destination),
            app: app_pace.map(|pace| (pace, self.app_pacings.of(app))),
            app_is_free: app_pace.is_none(),
            in_flight_max: destination
                .discipline
                .max_in_flight
                .map(|max| usize::from(max.get())),
            batch: destination.discipline.batch,
        }
    }

    /// Runs a loop until the engine stops.
    pub(crate) fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let mut stopping = self.stopping.subscribe();
        tokio::spawn(async move {
            tokio::select! {
                () = work => error!("A loop of the engine ended by itself"),
                _ = stopping.wait_for(|stop| *stop) => {}
            }
        });
    }

    /// Has every backlog looked up anew.
    pub(crate) fn look_for_backlogs(&self) {
        self.backlogs_unknown.store(true, Ordering::Relaxed);
        self.backlog_hint.notify_one();
    }

    /// Whether nothing new is to be begun.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Ends every loop and lets nothing new begin.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }
}

/// Most that the endpoint's owner wants, and its receiver granted.
fn pace_of(destination: &Destination) -> Option<Pace> {
    let granted = destination.grant.as_ref().and_then(|grant| grant.rate);
    Pace::slower(
        Pace::per_second(destination.throttle_rate),
        granted.map(Pace::per_minute),
    )
}
