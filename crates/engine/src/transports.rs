//! Transports that were made, so that the same policy gets the same one, and its connections
//! outlive changes of other things.
//!
//! **Invariant:** a transport with anything of one endpoint or organisation in it is only that
//! endpoint's.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use hookseal_domain::id::EndpointId;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::policy::{ResolvedTransport, UnusablePolicy};
use hookseal_egress::{Egress, Transport, TransportError};

/// Most transports that many endpoints share: there are few ways to be special in nothing.
const SHARED_MAX: usize = 64;
/// Most endpoints whose own transports are kept: as many as applications are.
const OWN_MAX: usize = 20_000;

/// The transports that were made.
pub(crate) struct Transports {
    egress: Egress,
    made: Mutex<AllMade>,
}

#[derive(Default)]
struct AllMade {
    shared: Vec<Made>,
    own: HashMap<EndpointId, Made>,
}

#[derive(Clone)]
struct Made {
    of: ResolvedTransport,
    transport: Arc<Transport>,
}

// === impl Transports ===

impl Transports {
    pub(crate) fn new(egress: Egress) -> Self {
        Self {
            egress,
            made: Mutex::default(),
        }
    }

    /// The transport of an endpoint's policy: the one it had, if that stays the same.
    pub(crate) fn of(
        &self,
        endpoint: EndpointId,
        resolved: Result<ResolvedTransport, UnusablePolicy>,
    ) -> Result<Arc<Transport>, TransportError> {
        let resolved = resolved.map_err(unusable)?;
        let is_plain = is_plain(&resolved);
        if let Some(made) = self.made.lock().find(endpoint, is_plain, &resolved) {
            return Ok(made);
        }
        // Not under the lock: it reads keys and roots.
        let transport = self.egress.transport(&resolved)?;
        let made = Made {
            of: resolved,
            transport: Arc::clone(&transport),
        };
        self.made.lock().keep(endpoint, is_plain, made);
        Ok(transport)
    }

    /// Forgets an endpoint that is gone.
    pub(crate) fn forget(&self, endpoint: EndpointId) {
        self.made.lock().own.remove(&endpoint);
    }
}

// === impl AllMade ===

impl AllMade {
    fn find(
        &self,
        endpoint: EndpointId,
        is_plain: bool,
        resolved: &ResolvedTransport,
    ) -> Option<Arc<Transport>> {
        let made = if is_plain {
            self.shared.iter().find(|made| made.of == *resolved)
        } else {
            let own = self.own.get(&endpoint);
            own.filter(|made| made.of == *resolved)
        };
        made.map(|made| Arc::clone(&made.transport))
    }

    fn keep(&mut self, endpoint: EndpointId, is_plain: bool, made: Made) {
        if is_plain {
            if self.shared.len() >= SHARED_MAX {
                self.shared.clear();
            }
            self.shared.push(made);
            return;
        }
        if self.own.len() >= OWN_MAX {
            // Whatever no route holds; all if each is held.
            self.own
                .retain(|_, made| Arc::strong_count(&made.transport) > 1);
            if self.own.len() >= OWN_MAX {
                self.own.clear();
            }
        }
        self.own.insert(endpoint, made);
    }
}

/// Whether there is nothing in it of one endpoint or organisation.
fn is_plain(resolved: &ResolvedTransport) -> bool {
    resolved.pins.is_empty()
        && resolved.client_identity.is_none()
        && resolved.trust_anchors.is_none()
        && resolved.server_name.is_none()
        && resolved.crl_urls.is_empty()
}

fn unusable(error: UnusablePolicy) -> TransportError {
    TransportError {
        failure: match error {
            UnusablePolicy::EmptyIdentity { .. } => TlsFailure::IdentityUnusable,
            UnusablePolicy::Missing { .. }
            | UnusablePolicy::NoAnchors
            | UnusablePolicy::NoPins
            | UnusablePolicy::PlainHttp { .. } => TlsFailure::PolicyUnusable,
        },
        reason: format!("nothing was sent: {error}"),
    }
}
