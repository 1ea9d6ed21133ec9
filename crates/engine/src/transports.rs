//! Transports that were made, so that the same policy gets the same one, and its connections
//! outlive changes of other things.
//!
//! **Invariant:** a transport is one endpoint's only, and of one generation of it: it can be retired
//! without stopping anybody else.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use hookseal_domain::id::EndpointId;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::policy::{ResolvedTransport, UnusablePolicy};
use hookseal_egress::{Egress, Transport, TransportError};

/// Most endpoints whose transports are kept, a few kilobytes each: as many as applications are.
const ENDPOINTS_MAX: usize = 20_000;

/// The transports that were made.
pub(crate) struct Transports {
    egress: Egress,
    made: Mutex<AllMade>,
}

#[derive(Default)]
struct AllMade(HashMap<EndpointId, Made>);

struct Made {
    generation: u64,
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
        generation: u64,
        resolved: Result<ResolvedTransport, UnusablePolicy>,
    ) -> Result<Arc<Transport>, TransportError> {
        let resolved = resolved.map_err(unusable)?;
        if let Some(made) = self.made.lock().find(endpoint, generation, &resolved) {
            return Ok(made);
        }
        // Not under the lock: it reads keys and roots.
        let transport = self.egress.transport(&resolved)?;
        let mut made = self.made.lock();
        // Somebody may have been faster: then theirs, so that connections are shared.
        if let Some(made) = made.find(endpoint, generation, &resolved) {
            return Ok(made);
        }
        let new = Made {
            generation,
            of: resolved,
            transport: Arc::clone(&transport),
        };
        made.keep(endpoint, new);
        Ok(transport)
    }

    /// Forgets an endpoint that is gone.
    pub(crate) fn forget(&self, endpoint: EndpointId) {
        self.made.lock().0.remove(&endpoint);
    }
}

// === impl AllMade ===

impl AllMade {
    fn find(
        &self,
        endpoint: EndpointId,
        generation: u64,
        resolved: &ResolvedTransport,
    ) -> Option<Arc<Transport>> {
        let made = self.0.get(&endpoint)?;
        let same = made.generation == generation && made.of == *resolved;
        same.then(|| Arc::clone(&made.transport))
    }

    fn keep(&mut self, endpoint: EndpointId, made: Made) {
        if self.0.len() >= ENDPOINTS_MAX {
            // Whatever no route holds; all if each is held.
            self.0
                .retain(|_, made| Arc::strong_count(&made.transport) > 1);
            if self.0.len() >= ENDPOINTS_MAX {
                self.0.clear();
            }
        }
        self.0.insert(endpoint, made);
    }
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

    fn transports() -> Transports {
        let clock = Arc::new(|| Timestamp::from_millis(0));
        Transports::new(Egress::new(EgressConfig::default(), clock).unwrap())
    }

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
        let transports = transports();
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
}
