//! A handshake made to look, not to send.
//!
//! **Invariant:** few at a time: whoever asks for them must not take the sockets of deliveries.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use hookseal_domain::endpoint::url::Scheme;
use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::transport::handshake::{
    ClientCertificate, Failed, HandshakeReport, PinVerdict, RevocationFinding,
};
use hookseal_egress::TransportError;
use hookseal_store::error::StoreError;

use crate::prepared::Unusable;
use crate::shared::Shared;

/// Most probes at the same time: a few people who look.
pub(crate) const PROBES_MAX: usize = 8;

/// There is no report.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProbeError {
    /// The endpoint does not exist.
    #[error("the endpoint does not exist")]
    UnknownEndpoint,
    /// The endpoint's URL is `http://`.
    #[error("the endpoint's URL is http://: there is no handshake to look at")]
    PlainHttp,
    /// Too many others look: try again in a moment.
    #[error("too many handshakes are being made to look")]
    Busy,
    /// The store failed.
    #[error("the endpoint could not be read")]
    Store(#[source] StoreError),
    /// The organisation's policies could not be read; the log says why.
    #[error("the transport policies could not be read")]
    Unreadable,
}

/// Connects as a delivery would, and looks.
pub(crate) async fn probe(
    shared: &Arc<Shared>,
    app: AppId,
    endpoint: EndpointId,
    timeout: Duration,
) -> Result<HandshakeReport, ProbeError> {
    let deadline = Instant::now() + timeout;
    let permit = timeout_at(deadline, shared.probes.acquire()).await;
    let Ok(Ok(_permit)) = permit else {
        return Err(ProbeError::Busy);
    };
    let routes = shared.routes.get(&*shared.store, app).await;
    let routes = routes.map_err(ProbeError::Store)?;
    let to = routes.as_ref().and_then(|routes| routes.endpoint(endpoint));
    let to = to.ok_or(ProbeError::UnknownEndpoint)?;
    match to.transport(&shared.egress).await {
        Err(Unusable::Unreadable) => Err(ProbeError::Unreadable),
        Err(Unusable::Policy(error)) => Ok(not_tried(shared, &error)),
        Ok(_) if to.destination.url.scheme() == Scheme::Plain => Err(ProbeError::PlainHttp),
        Ok(transport) => {
            let left = deadline.saturating_duration_since(Instant::now());
            Ok(shared.egress.probe(&to.target, &transport, left).await)
        }
    }
}

/// What a delivery would come to, since its policy can't be applied.
fn not_tried(shared: &Shared, error: &TransportError) -> HandshakeReport {
    HandshakeReport {
        at: shared.clock.now(),
        duration_ms: 0,
        failure: Some(Failed {
            failure: error.failure,
            reason: error.reason.clone(),
        }),
        remote_ip: None,
        proxy: None,
        tls: None,
        observed: Vec::new(),
        verified: Vec::new(),
        pins: PinVerdict::default(),
        client: ClientCertificate::default(),
        revocation: RevocationFinding::default(),
    }
}
