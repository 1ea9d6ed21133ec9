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
        let mut made = self.made.lock();
        // Somebody may have been faster: then theirs, so that connections are shared.
        if let Some(made) = made.find(endpoint, is_plain, &resolved) {
            return Ok(made);
        }
        let new = Made {
            of: resolved,
            transport: Arc::clone(&transport),
        };
        made.keep(endpoint, is_plain, new);
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
    fn what_is_special_in_nothing_is_shared() {
        let transports = transports();
        let of = |endpoint, resolved| transports.of(endpoint, Ok(resolved)).unwrap();
        let first = of(ONE, plain());
        assert!(Arc::ptr_eq(&first, &of(OTHER, plain())));
        let soft = ResolvedTransport {
            revocation: RevocationMode::Soft,
            ..plain()
        };
        assert!(!Arc::ptr_eq(&first, &of(ONE, soft)));
        assert!(Arc::ptr_eq(&first, &of(ONE, plain())));
    }

    #[test]
    fn what_is_of_one_endpoint_is_only_its_own() {
        let transports = transports();
        let of = |endpoint, resolved| transports.of(endpoint, Ok(resolved)).unwrap();
        let first = of(ONE, pinned(1));
        assert!(Arc::ptr_eq(&first, &of(ONE, pinned(1))));
        assert!(!Arc::ptr_eq(&first, &of(OTHER, pinned(1))));
        let changed = of(ONE, pinned(2));
        assert!(!Arc::ptr_eq(&first, &changed));
        assert!(
            !Arc::ptr_eq(&first, &of(ONE, pinned(1))),
            "what was withdrawn does not come back"
        );
    }
}
