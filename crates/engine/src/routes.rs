//! What is known of applications and their organisations, so that publishing reads no table.
//!
//! **Invariant:** what was loaded before a change is never kept after it: a change makes a new
//! generation, and a load of an old generation is used once and not kept.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{error, info};

use hookseal_domain::endpoint::Destination;
use hookseal_domain::id::{AppId, EndpointId, OrgId};
use hookseal_domain::transport::book::TransportBook;
use hookseal_domain::transport::policy::{ResolvedTransport, UnusablePolicy};
use hookseal_egress::Egress;
use hookseal_store::Store;
use hookseal_store::config::Routing;
use hookseal_store::error::StoreError;
use hookseal_store::reference::AppRef;

use crate::catalogue::{Catalogue, Catalogues};
use crate::config::EngineConfig;
use crate::handshakes::Handshakes;
use crate::prepared::{Prepared, Unusable, Way};
use crate::transports::{LazyTransport, Transports, say_unusable};

/// Most applications that are kept in mind; beyond it all are forgotten and learned again.
const APPLICATIONS_MAX: usize = 20_000;
/// Forgotten applications that are learned again in one go, though nobody asks for them.
const RELEARN_MAX: usize = 100;
/// Most organisations whose books are kept in mind; most are empty.
const BOOKS_MAX: usize = 5_000;

/// How long a book that could not be read is not tried again.
const UNREADABLE_FOR: Duration = Duration::from_secs(5);

/// An application with its endpoints, ready to be sent to.
pub(crate) struct AppRoutes {
    /// What the store knows of it.
    pub(crate) routing: Arc<Routing>,
    /// What its organisation says of its event types.
    pub(crate) catalogue: Arc<Catalogue>,
    /// In the order of `routing.destinations`.
    prepared: Vec<Arc<Prepared>>,
    /// How long it is so; for ever unless something could not be read.
    until: Option<Instant>,
}

/// The applications that are kept in mind.
pub(crate) struct Routes {
    config: EngineConfig,
    egress: Egress,
    transports: Transports,
    handshakes: Arc<Handshakes>,
    catalogues: Arc<Catalogues>,
    known: Mutex<Known>,
    /// Something was forgotten while it was being sent to.
    forgot_in_use: Notify,
}

#[derive(Default)]
struct Known {
    generation: u64,
    by_id: HashMap<AppId, Arc<AppRoutes>>,
    by_ref: HashMap<(OrgId, AppRef), AppId>,
    books: HashMap<OrgId, Arc<TransportBook>>,
    /// Organisations whose books could not be read, and until when that is not tried again.
    unreadable: HashMap<OrgId, Instant>,
    /// What was forgotten and not learned again yet: connections of what is gone are closed then.
    former: HashMap<AppId, Arc<AppRoutes>>,
}

/// What came of reading an organisation's book.
type Book = Result<Arc<TransportBook>, Unusable>;

// === impl AppRoutes ===

impl AppRoutes {
    /// The endpoint, if it still exists.
    pub(crate) fn endpoint(&self, endpoint: EndpointId) -> Option<&Arc<Prepared>> {
        let index = self
            .routing
            .destinations
            .binary_search_by_key(&endpoint, |d| d.id)
            .ok()?;
        self.prepared.get(index)
    }

    fn holds(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }

    /// Whether attempts are under way to any of its endpoints.
    fn is_in_use(&self) -> bool {
        self.prepared.iter().any(|to| Arc::strong_count(to) > 1)
    }
}

// === impl Routes ===

impl Routes {
    pub(crate) fn new(
        config: &EngineConfig,
        egress: &Egress,
        handshakes: Arc<Handshakes>,
        catalogues: Arc<Catalogues>,
    ) -> Self {
        Self {
            config: config.clone(),
            egress: egress.clone(),
            transports: Transports::default(),
            handshakes,
            catalogues,
            known: Mutex::default(),
            forgot_in_use: Notify::new(),
        }
    }

    /// Finds an application by whatever the client calls it.
    pub(crate) async fn find(
        &self,
        store: &dyn Store,
        org: OrgId,
        app: &AppRef,
    ) -> Result<Option<Arc<AppRoutes>>, StoreError> {
        let name = (org, app.clone());
        let generation = {
            let known = self.known.lock();
            let found = known.by_ref.get(&name).and_then(|id| known.by_id.get(id));
            if let Some(found) = found.filter(|found| found.holds()) {
                return Ok(Some(Arc::clone(found)));
            }
            known.generation
        };
        let Some(routing) = store.routing(org, app).await? else {
            return Ok(None);
        };
        let book = self.book(store, org, generation).await;
        Ok(Some(self.keep(generation, routing, book, Some(name))))
    }

    /// Finds an application by its id, for work that goes on without a request.
    pub(crate) async fn get(
        &self,
        store: &dyn Store,
        app: AppId,
    ) -> Result<Option<Arc<AppRoutes>>, StoreError> {
        let generation = {
            let known = self.known.lock();
            if let Some(found) = known.by_id.get(&app).filter(|found| found.holds()) {
                return Ok(Some(Arc::clone(found)));
            }
            known.generation
        };
        let Some(routing) = store.routing_of(app).await? else {
            let former = self.known.lock().former.remove(&app);
            self.close_former(former.as_deref(), None);
            return Ok(None);
        };
        let book = self.book(store, routing.application.org, generation).await;
        Ok(Some(self.keep(generation, routing, book, None)))
    }

    /// Learns some of what was forgotten and not asked for since, so that nothing stays open, or is
    /// exported as a metric, of endpoints that are gone. To be called every few seconds.
    pub(crate) async fn relearn(&self, store: &dyn Store) {
        self.relearn_some(store, |_| true, RELEARN_MAX).await;
    }

    /// Learns at once what was forgotten while it was being sent to, so that an attempt under way
    /// sends nothing under a policy that holds no more. To be awaited again and again.
    pub(crate) async fn relearn_in_use(&self, store: &dyn Store) {
        self.forgot_in_use.notified().await;
        // No more of them than attempts under way.
        self.relearn_some(store, AppRoutes::is_in_use, APPLICATIONS_MAX)
            .await;
    }

    async fn relearn_some(
        &self,
        store: &dyn Store,
        wanted: impl Fn(&AppRoutes) -> bool,
        max: usize,
    ) {
        let former: Vec<AppId> = {
            let known = self.known.lock();
            let wanted = known.former.iter().filter(|(_, routes)| wanted(routes));
            wanted.map(|(app, _)| *app).take(max).collect()
        };
        for app in former {
            if let Err(error) = self.get(store, app).await {
                error!(error = %error, "Could not read how to deliver to an application");
                return;
            }
        }
    }

    /// Whether this is still how an endpoint is sent to, as far as is known.
    pub(crate) fn is_current(&self, app: AppId, endpoint: EndpointId, way: &Way) -> bool {
        let known = self.known.lock();
        let routes = known.by_id.get(&app);
        let now = routes.and_then(|routes| routes.endpoint(endpoint)?.way());
        now.is_some_and(|now| now.is_same(way))
    }

    /// The endpoints of an application that get their events together, as far as is known.
    pub(crate) fn batching(&self, app: AppId) -> Vec<EndpointId> {
        let routes = self.known.lock().by_id.get(&app).cloned();
        let all = routes.iter().flat_map(|of| &of.routing.destinations);
        let batching = all.filter(|to| to.discipline.batch.is_some());
        batching.map(|to| to.id).collect()
    }

    /// Forgets an application, and whatever is being loaded right now.
    pub(crate) fn forget(&self, app: AppId) {
        let mut known = self.known.lock();
        known.generation += 1;
        let in_use = known.forget_routes(|id, _| *id == app);
        known.by_ref.retain(|_, id| *id != app);
        drop(known);
        self.hint(in_use);
    }

    /// Forgets all of an organisation, and whatever is being loaded right now.
    pub(crate) fn forget_organisation(&self, org: OrgId) {
        let mut known = self.known.lock();
        known.generation += 1;
        known.books.remove(&org);
        if let Some(until) = known.unreadable.get_mut(&org) {
            *until = Instant::now();
        }
        let in_use = known.forget_routes(|_, routes| routes.routing.application.org == org);
        known.by_ref.retain(|(of, _), _| *of != org);
        drop(known);
        self.hint(in_use);
    }

    fn hint(&self, in_use: bool) {
        if in_use {
            self.forgot_in_use.notify_one();
        }
    }

    /// An organisation's book. What can't be read stops the sending, not the publishing.
    async fn book(&self, store: &dyn Store, org: OrgId, generation: u64) -> Book {
        {
            let known = self.known.lock();
            if let Some(book) = known.books.get(&org) {
                return Ok(Arc::clone(book));
            }
            let unreadable = known.unreadable.get(&org);
            if unreadable.is_some_and(|until| Instant::now() < *until) {
                return Err(Unusable::Unreadable);
            }
        }
        let book = match store.transport_book(org).await {
            Ok(book) => Arc::new(book),
            Err(error) => {
                if self.known.lock().note_unreadable(org) {
                    error!(
                        error = %error,
                        "Could not read the transport policies of organisation {org}: nothing is \
                         sent for it until that is possible"
                    );
                }
                return Err(Unusable::Unreadable);
            }
        };
        let mut known = self.known.lock();
        if known.unreadable.remove(&org).is_some() {
            info!("The transport policies of organisation {org} can be read again");
        }
        if known.generation == generation {
            if known.books.len() >= BOOKS_MAX {
                known.books.clear();
            }
            known.books.insert(org, Arc::clone(&book));
        }
        Ok(book)
    }

    fn keep(
        &self,
        generation: u64,
        routing: Routing,
        book: Book,
        name: Option<(OrgId, AppRef)>,
    ) -> Arc<AppRoutes> {
        let lasting = book.is_ok();
        let former = {
            let known = self.known.lock();
            known.former.get(&routing.application.id).cloned()
        };
        let defaults = self.egress.defaults();
        let prepare = |to: &Arc<Destination>| {
            let transport = book.as_ref().map_err(Unusable::clone).and_then(|book| {
                let resolved = book.resolve(&to.transport, &to.url, &defaults);
                let was = former.as_ref().and_then(|former| former.endpoint(to.id));
                self.transport(to, resolved, was)
            });
            let org = routing.application.org;
            Arc::new(Prepared::new(org, Arc::clone(to), transport, &self.config))
        };
        let routes = Arc::new(AppRoutes {
            catalogue: self.catalogues.of(routing.application.org),
            prepared: routing.destinations.iter().map(prepare).collect(),
            routing: Arc::new(routing),
            until: (!lasting).then(|| Instant::now() + UNREADABLE_FOR),
        });
        let (routes, former) = {
            let mut known = self.known.lock();
            if known.generation != generation {
                return routes;
            }
            known.keep(routes, name)
        };
        self.close_former(former.as_deref(), Some(&routes));
        routes
    }

    fn transport(
        &self,
        to: &Destination,
        resolved: Result<ResolvedTransport, UnusablePolicy>,
        was: Option<&Arc<Prepared>>,
    ) -> Result<Arc<LazyTransport>, Unusable> {
        let transport = self.transports.of(to.id, to.generation, resolved);
        transport.map_err(|error| {
            if !was.is_some_and(|was| was.is_unusable_by(&error)) {
                say_unusable(to.id, &error);
            }
            Unusable::Policy(error)
        })
    }

    /// Stops what has not begun to be sent as it is not sent any more, and closes its connections.
    fn close_former(&self, former: Option<&AppRoutes>, routes: Option<&AppRoutes>) {
        for was in former.into_iter().flat_map(|former| &former.prepared) {
            let endpoint = was.destination.id;
            let is = routes.and_then(|routes| routes.endpoint(endpoint));
            if is.is_some_and(|is| is.connects_like(was)) {
                continue;
            }
            was.retire();
            self.egress.forget(endpoint);
            if is.is_none() {
                self.transports.forget(endpoint);
                self.handshakes.forget(endpoint);
            }
        }
    }
}

// === impl Known ===

impl Known {
    /// Forgets applications; tells whether attempts are under way to any of them.
    fn forget_routes(&mut self, forget: impl Fn(&AppId, &AppRoutes) -> bool) -> bool {
        if self.former.len() >= APPLICATIONS_MAX {
            // Their connections close when they were unused for long enough.
            self.former.clear();
        }
        let mut in_use = false;
        let forgotten = self.by_id.extract_if(|app, routes| forget(app, routes));
        // What could not be read was never sent to, and hides nothing that was.
        let forgotten = forgotten.filter(|(_, routes)| routes.until.is_none());
        self.former
            .extend(forgotten.inspect(|(_, routes)| in_use |= routes.is_in_use()));
        in_use
    }

    /// Keeps what was learned, unless somebody learned it meanwhile; also returns what was
    /// forgotten before.
    fn keep(
        &mut self,
        routes: Arc<AppRoutes>,
        name: Option<(OrgId, AppRef)>,
    ) -> (Arc<AppRoutes>, Option<Arc<AppRoutes>>) {
        if self.by_id.len() >= APPLICATIONS_MAX || self.by_ref.len() >= APPLICATIONS_MAX {
            self.forget_routes(|_, _| true);
            self.by_ref.clear();
        }
        let id = routes.routing.application.id;
        if let Some(name) = name {
            self.by_ref.insert(name, id);
        }
        let kept = match self.by_id.get(&id) {
            Some(kept) if kept.until.is_none() => Arc::clone(kept),
            _ => {
                self.by_id.insert(id, Arc::clone(&routes));
                routes
            }
        };
        // As long as it can't be read what is so now, nobody knows what of before still is.
        let former = kept.until.is_none().then(|| self.former.remove(&id));
        (kept, former.flatten())
    }

    /// Remembers that a book can't be read; tells whether that is new.
    fn note_unreadable(&mut self, org: OrgId) -> bool {
        if self.unreadable.len() >= BOOKS_MAX {
            self.unreadable.clear();
        }
        let until = Instant::now() + UNREADABLE_FOR;
        self.unreadable.insert(org, until).is_none()
    }
}

#[cfg(test)]
mod tests {
    use hookseal_domain::application::{Application, ApplicationSpec, Metadata};
    use hookseal_domain::time::Timestamp;

    use super::*;

    const ORG: &str = "org_23rb8YdGqMT0qIzpgGwdXfHirMu";

    fn app_routes(app: i64) -> Arc<AppRoutes> {
        let application = Application {
            id: AppId::from_raw(app),
            org: OrgId::parse(ORG).unwrap(),
            spec: ApplicationSpec {
                name: String::new(),
                uid: None,
                throttle_rate: None,
                metadata: Metadata::new(),
            },
            updated_at: Timestamp::from_millis(0),
        };
        Arc::new(AppRoutes {
            catalogue: Catalogues::default().of(application.org),
            routing: Arc::new(Routing {
                application,
                version: 1,
                destinations: Vec::new(),
                token_cutoffs: Default::default(),
            }),
            prepared: Vec::new(),
            until: None,
        })
    }

    #[test]
    fn what_can_not_be_read_is_kept_for_a_moment_and_hides_nothing() {
        let mut known = Known::default();
        let app = AppId::from_raw(1);
        known.keep(app_routes(1), None);
        known.forget_routes(|_, _| true);
        let unreadable = |until| {
            let mut routes = Arc::into_inner(app_routes(1)).unwrap();
            routes.until = Some(until);
            Arc::new(routes)
        };
        let now = Instant::now();
        let (kept, former) = known.keep(unreadable(now + UNREADABLE_FOR), None);
        assert!(kept.holds() && former.is_none());
        let (kept, _) = known.keep(unreadable(now), None);
        assert!(!kept.holds(), "to be read again");
        known.forget_routes(|_, _| true);
        assert!(known.former.get(&app).unwrap().until.is_none());
        let (kept, former) = known.keep(app_routes(1), None);
        assert!(kept.holds() && former.is_some(), "compared with what was");
        let org = OrgId::parse(ORG).unwrap();
        assert!(known.note_unreadable(org));
        assert!(!known.note_unreadable(org), "told once");
    }

    #[test]
    fn what_found_no_room_is_still_learned_again() {
        let mut known = Known::default();
        let max = i64::try_from(APPLICATIONS_MAX).unwrap();
        for app in 0..=max {
            known.keep(app_routes(app), None);
        }
        assert_eq!(
            (known.by_id.len(), known.former.len()),
            (1, APPLICATIONS_MAX)
        );
        let (_, former) = known.keep(app_routes(0), None);
        assert!(former.is_some(), "its endpoints may be gone meanwhile");
    }
}
