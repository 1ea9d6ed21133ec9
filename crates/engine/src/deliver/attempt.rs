//! One try of a delivery: sign and exchange, if there is anything to send and anybody to send it to.
//!
//! **Invariant:** nothing is recorded here, and nothing decided.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};

use hookseal_domain::delivery::attempt::AttemptFacts;
use hookseal_domain::delivery::outcome::{FailureKind, Outcome, Reply};
use hookseal_domain::id::{AppId, AttemptId};
use hookseal_domain::limits::RESPONSE_BODY_BYTES_MAX;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::handshake::HandshakeReport;
use hookseal_egress::{DeliveryRequest, Exchanged, Transport};
use hookseal_store::transport::SeenHandshake;

use crate::expiry;
use crate::find::Found;
use crate::form::formed;
use crate::job::Job;
use crate::prepared::{Prepared, Unusable};
use crate::shared::Shared;

/// Why nothing was sent where the store can't tell where to.
const UNREADABLE: &str = "Hookseal can't read how to deliver to this endpoint; see its log";

/// What was seen of one try.
#[derive(Clone)]
pub(crate) struct Tried {
    pub(crate) id: AttemptId,
    pub(crate) began_at: Timestamp,
    pub(crate) reply: Reply,
    /// What it meant, where the reply alone does not tell.
    pub(crate) meant: Option<Outcome>,
    pub(crate) duration: Duration,
    pub(crate) facts: AttemptFacts,
}

/// What is sent in one request.
pub(crate) struct Letter {
    pub(crate) id: AttemptId,
    pub(crate) began_at: Timestamp,
    /// What receivers know it by: its `webhook-id`.
    pub(crate) name: String,
    pub(crate) body: Bytes,
    /// In place of those that are the same every time.
    pub(crate) headers: HeaderMap,
    pub(crate) answer_bytes_max: usize,
}

/// Whether a change kept the attempt from sending anything: it counts as none.
pub(crate) fn was_overtaken(tried: &Tried, to: Option<&Prepared>) -> bool {
    // Nothing was sent, and by what holds now it may be another case.
    let unsent = matches!(
        tried.reply,
        Reply::Failure(FailureKind::Internal | FailureKind::NotTrusted)
    );
    unsent && to.is_some_and(Prepared::is_retired)
}

/// Makes the attempt, if there is anybody to make it to.
pub(crate) async fn attempt(
    shared: &Shared,
    app: AppId,
    job: &Job,
    found: Found,
) -> (Tried, Option<Arc<Prepared>>) {
    // First of all: whatever else is wrong, what is over is not to be tried again.
    let nothing = expiry::nothing_to_send(job, shared.clock.now());
    match found {
        Found::Send(to) if nothing.is_none() => (send(shared, app, &to, job).await, Some(to)),
        Found::Send(to) | Found::Hold(to) => {
            let (kind, reason) = nothing.unwrap_or(expiry::PAYLOAD_GONE);
            (not_sent_to(shared, &to, kind, reason), None)
        }
        Found::Deleted => {
            let kind = FailureKind::EndpointDeleted;
            (not_sent(shared, kind, "The endpoint was deleted"), None)
        }
        // By the schedule, like any failure: one unreadable row must not keep a worker busy.
        Found::Unreadable => {
            let (kind, reason) = nothing.unwrap_or((FailureKind::Internal, UNREADABLE));
            (not_sent(shared, kind, reason), None)
        }
    }
}

/// Signs and sends.
async fn send(shared: &Shared, app: AppId, to: &Prepared, job: &Job) -> Tried {
    let transport = match way_to(shared, to).await {
        Ok(transport) => transport,
        Err(tried) => return *tried,
    };
    let (id, began_at) = (shared.next_id(), shared.clock.now());
    // Only now, since what came before may have taken its time.
    let body = match (job.payload.clone(), expiry::nothing_to_send(job, began_at)) {
        (Some(body), None) => body,
        (_, nothing) => {
            let (kind, reason) = nothing.unwrap_or(expiry::PAYLOAD_GONE);
            return not_sent_to(shared, to, kind, reason);
        }
    };
    let form = match formed(shared, app, to, job.key.message, body).await {
        Ok(form) => form,
        Err(reason) => return not_sent_to(shared, to, FailureKind::Internal, reason),
    };
    let letter = Letter {
        id,
        began_at,
        name: job.key.message.to_string(),
        body: form.body,
        headers: form.headers,
        answer_bytes_max: RESPONSE_BODY_BYTES_MAX,
    };
    post(shared, app, to, transport, letter).await
}

/// The transport to an endpoint; without one, what comes of the try.
pub(crate) async fn way_to(shared: &Shared, to: &Prepared) -> Result<Arc<Transport>, Box<Tried>> {
    let unusable = match to.transport(&shared.egress).await {
        Ok(transport) => return Ok(transport),
        Err(unusable) => unusable,
    };
    Err(Box::new(match unusable {
        Unusable::Policy(error) => {
            let mut tried = not_sent_to(shared, to, FailureKind::NotTrusted, &error.reason);
            tried.facts.tls_failure = Some(error.failure);
            tried
        }
        Unusable::Unreadable => not_sent_to(shared, to, FailureKind::Internal, UNREADABLE),
    }))
}

/// Signs and sends.
pub(crate) async fn post(
    shared: &Shared,
    app: AppId,
    to: &Prepared,
    transport: Arc<Transport>,
    letter: Letter,
) -> Tried {
    let mut headers = match to.sign(letter.name, letter.began_at, &letter.body) {
        Ok(headers) => headers,
        Err(error) => {
            return not_sent_to(shared, to, FailureKind::Internal, &error.to_string());
        }
    };
    for (name, value) in &letter.headers {
        headers.insert(name, value.clone());
    }
    let request = DeliveryRequest {
        endpoint: to.destination.id,
        generation: to.destination.generation,
        transport,
        target: Arc::clone(&to.target),
        method: Method::POST,
        headers,
        body: letter.body,
        answer_bytes_max: letter.answer_bytes_max,
        answer_headers: &[],
        timeout: shared.config.attempt_timeout,
    };
    let Exchanged {
        reply,
        reason,
        tls_failure,
        handshake,
        body,
        connection,
        duration,
        ..
    } = shared.egress.exchange(request).await;
    if let Some(report) = handshake {
        saw_handshake(shared, to, app, *report);
    }
    Tried {
        id: letter.id,
        began_at: letter.began_at,
        reply,
        meant: None,
        duration,
        facts: AttemptFacts {
            url: to.destination.url.as_str().to_owned(),
            response_body: Some(body),
            reason,
            tls_failure,
            batch: None,
            connection,
        },
    }
}

fn saw_handshake(shared: &Shared, to: &Prepared, app: AppId, report: HandshakeReport) {
    shared.metrics.shook_hands(&report);
    let seen = SeenHandshake {
        org: to.org,
        app,
        endpoint: to.destination.id,
        report,
    };
    let pins = &to.destination.transport.pins;
    shared.handshakes.saw(seen, pins);
}

pub(crate) fn not_sent_to(
    shared: &Shared,
    to: &Prepared,
    kind: FailureKind,
    reason: &str,
) -> Tried {
    let mut tried = not_sent(shared, kind, reason);
    to.destination.url.as_str().clone_into(&mut tried.facts.url);
    tried
}

/// There was nothing to send, nobody to send it to, or no way to.
pub(crate) fn not_sent(shared: &Shared, kind: FailureKind, reason: &str) -> Tried {
    Tried {
        id: shared.next_id(),
        began_at: shared.clock.now(),
        reply: Reply::Failure(kind),
        meant: None,
        duration: Duration::ZERO,
        facts: AttemptFacts {
            response_body: Some(Bytes::new()),
            reason: Some(reason.to_owned()),
            ..AttemptFacts::default()
        },
    }
}
