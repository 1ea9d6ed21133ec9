//! What is known of applications, so that publishing reads no table.
//!
//! **Invariant:** what was loaded before a change is never kept after it: a change makes a new
//! generation, and a load of an old generation is used once and not kept.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use hookseal_domain::id::{AppId, EndpointId, OrgId};
use hookseal_store::Store;
use hookseal_store::config::Routing;
use hookseal_store::error::StoreError;
use hookseal_store::reference::AppRef;

use crate::config::EngineConfig;
use crate::prepared::Prepared;

/// Most applications that are kept in mind; beyond it all are forgotten and learned again.
const APPLICATIONS_MAX: usize = 20_000;

/// An application with its endpoints, ready to be sent to.
pub(crate) struct AppRoutes {
    /// What the store knows of it.
    pub(crate) routing: Arc<Routing>,
    /// In the order of `routing.destinations`.
    prepared: Vec<Arc<Prepared>>,
}

/// The applications that are kept in mind.
pub(crate) struct Routes {
    config: EngineConfig,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    generation: u64,
    by_id: HashMap<AppId, Arc<AppRoutes>>,
    by_ref: HashMap<(OrgId, AppRef), AppId>,
}

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
}

// === impl Routes ===

impl Routes {
    pub(crate) fn new(config: &EngineConfig) -> Self {
        Self {
            config: config.clone(),
            known: Mutex::default(),
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
            if let Some(found) = known.by_ref.get(&name).and_then(|id| known.by_id.get(id)) {
                return Ok(Some(Arc::clone(found)));
            }
            known.generation
        };
        let Some(routing) = store.routing(org, app).await? else {
            return Ok(None);
        };
        Ok(Some(self.keep(generation, routing, Some(name))))
    }

    /// Finds an application by its id, for work that goes on without a request.
    pub(crate) async fn get(
        &self,
        store: &dyn Store,
        app: AppId,
    ) -> Result<Option<Arc<AppRoutes>>, StoreError> {
        let generation = {
            let known = self.known.lock();
            if let Some(found) = known.by_id.get(&app) {
                return Ok(Some(Arc::clone(found)));
            }
            known.generation
        };
        let Some(routing) = store.routing_of(app).await? else {
            return Ok(None);
        };
        Ok(Some(self.keep(generation, routing, None)))
    }

    /// Whether this is still how its endpoint is sent to, as far as is known.
    pub(crate) fn is_current(&self, app: AppId, prepared: &Prepared) -> bool {
        let known = self.known.lock();
        let routes = known.by_id.get(&app);
        let now = routes.and_then(|routes| routes.endpoint(prepared.destination.id));
        now.is_some_and(|now| std::ptr::eq(&**now, prepared))
    }

    /// Forgets an application, and whatever is being loaded right now.
    pub(crate) fn forget(&self, app: AppId) {
        let mut known = self.known.lock();
        known.generation += 1;
        known.by_id.remove(&app);
        known.by_ref.retain(|_, id| *id != app);
    }

    /// Forgets all applications of an organisation, and whatever is being loaded right now.
    pub(crate) fn forget_organisation(&self, org: OrgId) {
        let mut known = self.known.lock();
        known.generation += 1;
        known
            .by_id
            .retain(|_, routes| routes.routing.application.org != org);
        known.by_ref.retain(|(of, _), _| *of != org);
    }

    fn keep(
        &self,
        generation: u64,
        routing: Routing,
        name: Option<(OrgId, AppRef)>,
    ) -> Arc<AppRoutes> {
        let org = routing.application.org;
        let prepared = routing
            .destinations
            .iter()
            .map(|destination| Arc::new(Prepared::new(org, Arc::clone(destination), &self.config)))
            .collect();
        let routes = Arc::new(AppRoutes {
            routing: Arc::new(routing),
            prepared,
        });
        let mut known = self.known.lock();
        if known.generation == generation {
            if known.by_id.len() >= APPLICATIONS_MAX || known.by_ref.len() >= APPLICATIONS_MAX {
                known.by_id.clear();
                known.by_ref.clear();
            }
            let id = routes.routing.application.id;
            known.by_id.insert(id, Arc::clone(&routes));
            if let Some(name) = name {
                known.by_ref.insert(name, id);
            }
        }
        routes
    }
}
