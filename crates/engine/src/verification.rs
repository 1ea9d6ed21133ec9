//! Asks receivers whether they want what is sent to them.
//!
//! **Invariant:** what is asked goes the way of deliveries: by the same policy, over the same
//! connections, and never with a byte of an event. Nothing but a plain yes is taken for one; where the
//! process ends before the answer is stored, the verification stays pending until its time is over.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderValue;
use http::{HeaderMap, Method as HttpMethod};
use tokio::time::{Instant, timeout_at};
use tracing::{error, info};

use hookseal_domain::access::api_token::TokenHash;
use hookseal_domain::delivery::outcome::Reply;
use hookseal_domain::endpoint::Endpoint;
use hookseal_domain::endpoint::verification::{
    ALLOWED_ORIGIN, ALLOWED_RATE, CHALLENGE_TYPE, Consent, Method, Question, REQUEST_CALLBACK,
    REQUEST_ORIGIN, REQUEST_RATE, Refusal, answer_text, echoes, shortened,
};
use hookseal_domain::id::{AppId, AttemptId, EndpointId};
use hookseal_domain::secret::Secret;
use hookseal_egress::{DeliveryRequest, Exchanged};
use hookseal_store::error::{ChangeError, StoreError};
use hookseal_store::reference::EndpointRef;
use hookseal_store::verification::{NewVerification, Verified};

use crate::Engine;
use crate::persist::until_stored;
use crate::prepared::{Prepared, Unusable};
use crate::shared::Shared;

/// Longest that a receiver may take: people wait for it.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long a verification without callback counts as under way: longer than any answer takes.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);
/// How long a callback can come: somebody may have to find it in a log first.
const CALLED_BACK_WITHIN: Duration = Duration::from_hours(24);
/// Most bytes of an answer: a challenge comes back in less.
const ANSWER_BYTES_MAX: usize = 1024;

/// How an endpoint's receiver is to be asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Asked {
    /// By which method.
    pub method: Method,
    /// How often we would like to send, in requests per minute; for the handshake of CloudEvents.
    pub rate: Option<NonZeroU32>,
}

/// Nobody was asked.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Nobody said who asks.
    #[error("no origin is configured")]
    NoOrigin,
    /// Too many others are being asked: try again in a moment.
    #[error("too many receivers are being asked")]
    Busy,
    /// The endpoint does not exist.
    #[error("the endpoint does not exist")]
    UnknownEndpoint,
    /// The store failed.
    #[error("the verification could not be stored")]
    Store(#[source] StoreError),
}

/// What came of asking.
enum Heard {
    /// It is over.
    Ended(Verified),
    /// Somebody may still call back.
    Open,
}

/// Asks, and keeps what the receiver says.
pub(crate) async fn verify(
    engine: Engine,
    app: AppId,
    id: EndpointId,
    asked: Asked,
) -> Result<Endpoint, VerifyError> {
    let shared = &engine.shared;
    let deadline = Instant::now() + ANSWER_WAIT_MAX;
    let permit = timeout_at(deadline, shared.probes.acquire()).await;
    let Ok(Ok(_permit)) = permit else {
        return Err(VerifyError::Busy);
    };
    let text = answer_text(&Secret::new(engine.random_bytes()));
    let hash = TokenHash::of(text.expose());
    let config = &shared.config.verification;
    let question = match asked.method {
        Method::Challenge => None,
        Method::CloudEvents => Some(Question {
            origin: config.origin.clone().ok_or(VerifyError::NoOrigin)?,
            rate: asked.rate,
        }),
    };
    let callback = config.callback_url.as_ref();
    let callback = callback.filter(|_| question.is_some());
    let within = match callback {
        Some(_) => CALLED_BACK_WITHIN,
        None => ANSWERED_WITHIN,
    };
    let begun = NewVerification {
        method: asked.method,
        question: question.clone().filter(|_| callback.is_some()),
        hash,
        until: engine.now().plus(within),
    };
    let endpoint = engine.store().begin_verification(app, id, begun).await;
    let endpoint = endpoint.map_err(|error| match error {
        ChangeError::Store(error) => VerifyError::Store(error),
        _ => VerifyError::UnknownEndpoint,
    })?;
    let heard = match reach(shared, app, &endpoint).await {
        Err(reason) => Heard::Ended(Verified::Failed(reason)),
        Ok((to, transport)) => {
            let way = Way {
                shared,
                to: &to,
                transport,
            };
            match &question {
                Some(question) => {
                    let callback = callback.map(|url| format!("{url}{}", text.expose()));
                    way.shake_hands(question, callback).await
                }
                None => Heard::Ended(way.challenge(text.expose()).await),
            }
        }
    };
    if let Heard::Ended(verified) = heard {
        let store = || {
            let now = engine.now();
            engine.store().end_verification(hash, verified.clone(), now)
        };
        if until_stored(shared, "take down a verification", store)
            .await
            .flatten()
            .is_some()
        {
            made_known(&engine, app, id, &verified);
        }
    }
    let now_is = engine.store().endpoint(app, &EndpointRef::Id(id)).await;
    let now_is = now_is.map_err(VerifyError::Store)?;
    now_is.ok_or(VerifyError::UnknownEndpoint)
}

/// Takes a callback; `None` if nobody waits for it.
pub(crate) async fn call_back(
    engine: &Engine,
    text: &str,
    rates: Vec<Vec<u8>>,
) -> Result<Option<Result<(), Refusal>>, StoreError> {
    let (hash, now) = (TokenHash::of(text), engine.now());
    // Whoever guesses does not reach the writer.
    let Some(question) = engine.store().question(hash, now).await? else {
        return Ok(None);
    };
    let rates: Vec<_> = rates.iter().map(Vec::as_slice).collect();
    let verified = match question.called_back(&rates) {
        Ok(grant) => Verified::Passed(Some(grant)),
        Err(refusal) => return Ok(Some(Err(refusal))),
    };
    let ended = engine.store().end_verification(hash, verified.clone(), now);
    let Some((app, endpoint)) = ended.await? else {
        return Ok(None);
    };
    made_known(engine, app, endpoint, &verified);
    Ok(Some(Ok(())))
}

/// What follows from it holds from now on: deliveries go or are held, as fast as was granted.
fn made_known(engine: &Engine, app: AppId, endpoint: EndpointId, verified: &Verified) {
    let outcome = match verified {
        Verified::Passed(_) => "verified",
        Verified::Failed(_) => "failed",
    };
    info!(
        endpoint.id = %endpoint,
        outcome,
        "Asked the receiver of endpoint {endpoint}: {outcome}"
    );
    engine.application_changed(app);
    engine.backlog_changed(app, endpoint);
}

/// The way that deliveries go; or why there is none, for people.
async fn reach(
    shared: &Shared,
    app: AppId,
    endpoint: &Endpoint,
) -> Result<(Arc<Prepared>, Arc<hookseal_egress::Transport>), String> {
    const UNREADABLE: &str = "Hookseal can't read how to deliver to this endpoint; see its log";
    let routes = shared.routes.get(&*shared.store, app).await;
    let routes = routes.map_err(|error| {
        error!(
            endpoint.id = %endpoint.id,
            error = %error,
            "Could not read how to deliver to endpoint {}", endpoint.id
        );
        UNREADABLE.to_owned()
    })?;
    let to = routes
        .as_ref()
        .and_then(|routes| routes.endpoint(endpoint.id));
    // What was begun is about one URL.
    let to = to.filter(|to| to.destination.url == endpoint.spec.url);
    let to = to.ok_or("the endpoint was changed meanwhile")?;
    let transport = to.transport(&shared.egress).await;
    let transport = transport.map_err(|unusable| match unusable {
        Unusable::Policy(error) => shortened(&error.reason),
        Unusable::Unreadable => UNREADABLE.to_owned(),
    })?;
    Ok((Arc::clone(to), transport))
}

/// How a receiver is reached.
struct Way<'w> {
    shared: &'w Shared,
    to: &'w Prepared,
    transport: Arc<hookseal_egress::Transport>,
}

// === impl Way ===

impl Way<'_> {
    /// The validation handshake (Web Hooks for Event Delivery 1.0.2, §4).
    async fn shake_hands(&self, question: &Question, callback: Option<String>) -> Heard {
        let mut headers = self.to.unsigned();
        let rate = question.rate.map(|rate| rate.to_string());
        let said = [
            (REQUEST_ORIGIN, Some(question.origin.to_string())),
            (REQUEST_CALLBACK, callback.clone()),
            (REQUEST_RATE, rate),
        ];
        for (name, value) in said {
            // None of them holds anything but visible characters of ASCII.
            match value.map(HeaderValue::try_from) {
                Some(Ok(value)) => _ = headers.insert(name, value),
                Some(Err(_)) | None => _ = headers.remove(name),
            }
        }
        let exchanged = self.ask(HttpMethod::OPTIONS, headers, Bytes::new()).await;
        let status = match status_of(&exchanged) {
            Ok(status) => status,
            Err(reason) => return Heard::Ended(Verified::Failed(reason)),
        };
        let all = |name| -> Vec<_> {
            let values = exchanged.headers.get_all(name).iter();
            values.map(HeaderValue::as_bytes).collect()
        };
        let failed = |reason| Heard::Ended(Verified::Failed(reason));
        match question.answered(status, &all(ALLOWED_ORIGIN), &all(ALLOWED_RATE)) {
            Consent::Granted(grant) => Heard::Ended(Verified::Passed(Some(grant))),
            Consent::Refused(refusal) => failed(refusal.to_string()),
            Consent::Silent if callback.is_some() => Heard::Open,
            Consent::Silent if (200..300).contains(&status) => failed(format!(
                "the receiver answered {status} without WebHook-Allowed-Origin"
            )),
            Consent::Silent => failed(format!("the receiver answered {status}")),
        }
    }

    /// A signed request with a random text, which the receiver has to send back.
    async fn challenge(&self, text: &str) -> Verified {
        let now = self.shared.clock.now();
        let id: AttemptId = self.shared.next_id();
        let body =
            format!(r#"{{"type":"{CHALLENGE_TYPE}","timestamp":"{now}","challenge":"{text}"}}"#);
        let headers = match self.to.sign(format!("verify_{id}"), now, body.as_bytes()) {
            Ok(headers) => headers,
            Err(error) => return Verified::Failed(error.to_string()),
        };
        let exchanged = self.ask(HttpMethod::POST, headers, body.into()).await;
        let status = match status_of(&exchanged) {
            Ok(status) => status,
            Err(reason) => return Verified::Failed(reason),
        };
        if !(200..300).contains(&status) {
            return Verified::Failed(format!("the receiver answered {status}"));
        }
        // All that there is to say of such an answer is that some of it is missing.
        if let Some(reason) = &exchanged.reason {
            return Verified::Failed(shortened(reason));
        }
        if !echoes(&exchanged.body, text) {
            let reason = "the answer is not the challenge, nor a JSON object with it as challenge";
            return Verified::Failed(reason.to_owned());
        }
        Verified::Passed(None)
    }

    async fn ask(&self, method: HttpMethod, headers: HeaderMap, body: Bytes) -> Exchanged {
        let (shared, destination) = (self.shared, &self.to.destination);
        let request = DeliveryRequest {
            endpoint: destination.id,
            generation: destination.generation,
            transport: Arc::clone(&self.transport),
            target: Arc::clone(&self.to.target),
            method,
            headers,
            body,
            answer_bytes_max: ANSWER_BYTES_MAX,
            answer_headers: &[ALLOWED_ORIGIN, ALLOWED_RATE],
            timeout: shared.config.attempt_timeout.min(ANSWER_WAIT_MAX),
        };
        shared.egress.exchange(request).await
    }
}

/// What a receiver answered; or why it did not, for people.
fn status_of(exchanged: &Exchanged) -> Result<u16, String> {
    match &exchanged.reply {
        Reply::Response { status, .. } => Ok(*status),
        Reply::Failure(_) => {
            let reason = exchanged.reason.as_deref();
            Err(shortened(
                reason.unwrap_or("the receiver could not be reached"),
            ))
        }
    }
}
