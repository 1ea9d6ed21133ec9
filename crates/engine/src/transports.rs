//! Transports that were made, so that the same policy gets the same one, and its connections
//! outlive changes of other things.
//!
//! **Invariant:** a transport is one endpoint's only, and of one generation of it: it can be retired
//! without stopping anybody else.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::task;
use tracing::warn;

use hookseal_domain::id::EndpointId;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::policy::{IdentityChoice, ResolvedTransport, UnusablePolicy};
use hookseal_egress::{Egress, Transport, TransportError};

use crate::prepared::Unusable;

/// Most endpoints whose transports are kept, a few kilobytes each: as many as applications are.
const ENDPOINTS_MAX: usize = 20_000;

/// The transports of endpoints.
#[derive(Default)]
pub(crate) struct Transports(Mutex<HashMap<EndpointId, Arc<LazyTransport>>>);

/// One endpoint's transport: made when it is first needed, since that reads keys and roots.
pub(crate) struct LazyTransport {
    endpoint: EndpointId,
    generation: u64,
    of: Arc<ResolvedTransport>,
    made: OnceCell<Result<Arc<Transport>, TransportError>>,
    retired: Mutex<bool>,
}

// === impl Transports ===

impl Transports {
    /// The transport of an endpoint's policy: the one it had, if that stays the same.
    pub(crate) fn of(
        &self,
        endpoint: EndpointId,
        generation: u64,
        resolved: Result<ResolvedTransport, UnusablePolicy>,
    ) -> Result<Arc<LazyTransport>, TransportError> {
        let resolved = resolved.map_err(unusable)?;
        let mut known = self.0.lock();
        if let Some(known) = known.get(&endpoint)
            && known.generation == generation
            && *known.of == resolved
        {
            return Ok(Arc::clone(known));
        }
        if known.len() >= ENDPOINTS_MAX {
            // Whatever no route holds; all if each is held.
            known.retain(|_, transport| Arc::strong_count(transport) > 1);
            if known.len() >= ENDPOINTS_MAX {
                known.clear();
            }
        }
        let transport = Arc::new(LazyTransport {
            endpoint,
            generation,
            of: Arc::new(resolved),
            made: OnceCell::new(),
            retired: Mutex::new(false),
        });
        known.insert(endpoint, Arc::clone(&transport));
        Ok(transport)
    }

    /// Forgets an endpoint that is gone.
    pub(crate) fn forget(&self, endpoint: EndpointId) {
        self.0.lock().remove(&endpoint);
    }
}

// === impl LazyTransport ===

impl LazyTransport {
    /// The transport; made once for all who ask, and where nobody waits for the thread if that takes
    /// its time.
    pub(crate) async fn get(&self, egress: &Egress) -> Result<Arc<Transport>, Unusable> {
        let make = || async {
            let made = if reads_certificates(&self.of) {
                let (egress, resolved) = (egress.clone(), Arc::clone(&self.of));
                let made = task::spawn_blocking(move || egress.transport(&resolved)).await;
                // It panicked, or everything ends.
                made.map_err(|_| Unusable::Unreadable)?
            } else {
                egress.transport(&self.of)
            };
            if let Err(error) = &made {
                say_unusable(self.endpoint, error);
            }
            Ok(made)
        };
        let made = self.made.get_or_try_init(make).await?;
        let transport = made.as_ref().map_err(|e| Unusable::Policy(e.clone()))?;
        if *self.retired.lock() {
            transport.retire();
        }
        Ok(Arc::clone(transport))
    }

    /// Nothing begins to be sent under it any more, whether it is made already or not.
    pub(crate) fn retire(&self) {
        *self.retired.lock() = true;
        if let Some(Ok(transport)) = self.made.get() {
            transport.retire();
        }
    }
}

/// Whether making it takes long. Else it is a matter of microseconds, for which no thread is to be
/// woken, let alone one for each of a thousand endpoints that are sent to for the first time.
fn reads_certificates(resolved: &ResolvedTransport) -> bool {
    let own_identity = matches!(resolved.client_identity, Some(IdentityChoice::Own(_)));
    own_identity || resolved.trust_anchors.is_some()
}

/// Says that nothing can be sent to an endpoint.
pub(crate) fn say_unusable(endpoint: EndpointId, error: &TransportError) {
    warn!(
        endpoint.id = %endpoint,
        failure = error.failure.as_str(),
        "No delivery to endpoint {endpoint} is possible: {}", error.reason
    );
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

#[cfg(test)]
mod tests {
    use hookseal_domain::time::Timestamp;
    use hookseal_domain::transport::policy::{
        KeyExchangeGroups, Pinning, RevocationMode, TlsVersion, Trust,
    };
    use hookseal_egress::EgressConfig;
    use hookseal_pki::certificate::SpkiSha256;

    use super::*;

    const ONE: EndpointId = EndpointId::from_raw(1);
    const OTHER: EndpointId = EndpointId::from_raw(2);

    fn plain() -> ResolvedTransport {
        ResolvedTransport {
            tls_min_version: TlsVersion::Tls13,
            key_exchange_groups: KeyExchangeGroups::default(),
            trust: Trust::Public,
            trust_anchors: None,
            pinning: Pinning::Off,
            pins: Vec::new(),
            client_identity: None,
            revocation: RevocationMode::Off,
            crl_urls: Vec::new(),
            server_name: None,
            proxy: None,
        }
    }

    fn pinned(byte: u8) -> ResolvedTransport {
        ResolvedTransport {
            pinning: Pinning::Enforce,
            pins: vec![SpkiSha256::from_bytes([byte; 32])],
            ..plain()
        }
    }

    #[test]
    fn each_endpoint_has_its_own_until_its_policy_or_generation_changes() {
        let transports = Transports::default();
        let of = |endpoint, generation, resolved| {
            let made = transports.of(endpoint, generation, Ok(resolved));
            made.unwrap()
        };
        for resolved in [plain(), pinned(1)] {
            let first = of(ONE, 1, resolved.clone());
            assert!(Arc::ptr_eq(&first, &of(ONE, 1, resolved.clone())));
            let others = of(OTHER, 1, resolved.clone());
            assert!(!Arc::ptr_eq(&first, &others), "retired one by one");
            assert!(!Arc::ptr_eq(&first, &of(ONE, 1, pinned(2))));
            let again = of(ONE, 1, resolved.clone());
            let back = Arc::ptr_eq(&first, &again);
            assert!(!back, "what was withdrawn does not come back");
            assert!(!Arc::ptr_eq(&again, &of(ONE, 2, resolved)));
        }
    }

    #[tokio::test]
    async fn is_made_when_it_is_needed_and_once() {
        let clock = Arc::new(|| Timestamp::from_millis(0));
        let egress = Egress::new(EgressConfig::default(), clock).unwrap();
        let transports = Transports::default();
        let lazy = transports.of(ONE, 1, Ok(plain())).unwrap();
        assert!(lazy.made.get().is_none(), "nobody needs it yet");
        let (one, other) = tokio::join!(lazy.get(&egress), lazy.get(&egress));
        assert!(Arc::ptr_eq(&one.unwrap(), &other.unwrap()));
    }
}
