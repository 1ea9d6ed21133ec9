//! One attempt on the wire: a request out, a bounded answer back, one deadline for all of it.
//!
//! **Invariant:** the answer counts from the moment its head is complete: a status that a receiver
//! sent is not taken back because the body after it is long, slow or cut off. Redirects are
//! answers; nothing follows them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookseal_domain::delivery::attempt::ConnectionFacts;
use hookseal_domain::delivery::outcome::{FailureKind, Reply};
use hookseal_domain::id::EndpointId;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::handshake::{Failed, HandshakeReport};
use hookseal_domain::transport::name::Name;
use hookseal_pki::certificate::CertificateSha256;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request, Version};
use http_body_util::Full;
use tokio::time::Instant;
use tokio::time::error::Elapsed;

use crate::connection::{Answer, AnswerHead, ClientSide, RequestBody, Rest, Session};
use crate::error::{ExchangeError, reason, with_advice};
use crate::limits::REASON_CHARS_MAX;
use crate::target::{Route, Target};
use crate::transport::Transport;

/// nginx tells of client certificates in HTTP, not in TLS.
const NGINX_STATUS: u16 = 400;
const NGINX_NO_CERTIFICATE: &[u8] = b"No required SSL certificate was sent";
const NGINX_CERTIFICATE_ERROR: &[u8] = b"The SSL certificate error";

/// One request to be made: an attempt, or a question.
#[derive(Clone)]
pub struct DeliveryRequest {
    /// Whose connections may be used.
    pub endpoint: EndpointId,
    /// Which of them: those that were opened for this generation of the endpoint.
    pub generation: u64,
    /// What its policy demands of the connection.
    pub transport: Arc<Transport>,
    /// Where to.
    pub target: Arc<Target>,
    /// `POST`, unless something is asked.
    pub method: Method,
    /// Everything but `Host` and `Content-Length`, which are added.
    pub headers: HeaderMap,
    /// The body, sent as it is.
    pub body: Bytes,
    /// Most bytes of the answer's body that are read.
    pub answer_bytes_max: usize,
    /// Which headers of the answer are kept.
    pub answer_headers: &'static [&'static str],
    /// How long all of it may take.
    pub timeout: Duration,
}

/// One attempt that was made.
#[derive(Clone)]
pub struct Exchanged {
    /// What came back.
    pub reply: Reply,
    /// Why it failed, or what is odd about the answer, for people. No secrets.
    pub reason: Option<String>,
    /// What it means, where TLS failed or the answer says that it failed.
    pub tls_failure: Option<TlsFailure>,
    /// What the handshake showed, where this attempt made one. Without a failure only if the
    /// receiver has accepted what it saw of us.
    pub handshake: Option<Box<HandshakeReport>>,
    /// The first bytes of the answer's body, at most as many as were asked for.
    pub body: Bytes,
    /// The answer's headers, as far as they were asked for: all values of each.
    pub headers: HeaderMap,
    /// What is known of the connection.
    pub connection: ConnectionFacts,
    /// From start to end.
    pub duration: Duration,
}

/// What is known so far; outlives an attempt that the deadline cuts off.
pub(crate) struct Progress {
    timeout: Duration,
    deadline: Instant,
    pub(crate) stage: Stage,
    /// The connection that is used.
    pub(crate) session: Option<Session>,
    /// What is known before there is one.
    pub(crate) facts: ConnectionFacts,
    /// What the handshake showed, where this attempt made one.
    pub(crate) handshake: Option<Box<HandshakeReport>>,
    /// The proxy that is gone through.
    pub(crate) proxy: Option<Name>,
    /// The certificate of ours that the connection presented.
    pub(crate) presented: Option<CertificateSha256>,
    pub(crate) answer: Answer,
}

/// How far an attempt has come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    Waiting,
    Resolving,
    Connecting,
    Handshaking,
    LookingUpRevocation,
    Exchanging,
}

// === impl DeliveryRequest ===

impl DeliveryRequest {
    pub(crate) fn into_http1(self, route: &Route) -> Request<RequestBody> {
        let mut message = self.into_message();
        *message.uri_mut() = route.origin_form.clone();
        let host = route.origin.authority.clone();
        message.headers_mut().insert(HOST, host);
        message
    }

    pub(crate) fn into_http2(self, route: &Route) -> Request<RequestBody> {
        let mut message = self.into_message();
        *message.uri_mut() = route.absolute_form.clone();
        *message.version_mut() = Version::HTTP_2;
        message.headers_mut().remove(HOST);
        message
    }

    fn into_message(self) -> Request<RequestBody> {
        let mut message = Request::new(Full::new(self.body));
        *message.method_mut() = self.method;
        *message.headers_mut() = self.headers;
        // How the message is framed is nobody's business but hyper's.
        for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
            message.headers_mut().remove(name);
        }
        message
    }
}

/// Without what is sent.
impl fmt::Debug for DeliveryRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryRequest")
            .field("endpoint", &self.endpoint)
            .field("generation", &self.generation)
            .field("transport", &self.transport)
            .field("target", &self.target)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Without what was received.
impl fmt::Debug for Exchanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchanged")
            .field("reply", &self.reply)
            .field("reason", &self.reason)
            .field("tls_failure", &self.tls_failure)
            .field("body_bytes", &self.body.len())
            .field("connection", &self.connection)
            .field("duration", &self.duration)
            .finish()
    }
}

// === impl Progress ===

impl Progress {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self::until(timeout, Instant::now() + timeout)
    }

    /// From the beginning, with the time that is left.
    pub(crate) fn restart(&mut self) {
        let answer = self.answer.anew();
        *self = Self::until(self.timeout, self.deadline);
        self.answer = answer;
    }

    /// The time that is left.
    pub(crate) fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Fails if the policy was replaced since the attempt began. What a handshake under it showed
    /// says nothing of the one that holds now.
    pub(crate) fn check_policy_holds(
        &mut self,
        transport: &Transport,
    ) -> Result<(), ExchangeError> {
        if transport.is_retired() {
            self.handshake = None;
            return Err(ExchangeError::Retired);
        }
        Ok(())
    }

    fn until(timeout: Duration, deadline: Instant) -> Self {
        Self {
            timeout,
            deadline,
            stage: Stage::Waiting,
            session: None,
            facts: ConnectionFacts::default(),
            handshake: None,
            proxy: None,
            presented: None,
            answer: Answer::default(),
        }
    }

    /// The connection, if a request was sent on it and nothing came back.
    pub(crate) fn unanswered(&self) -> Option<&Session> {
        self.session.as_ref().filter(|_| self.answer.head.is_none())
    }

    /// What an answer says of TLS: a certificate problem that the receiver tells in HTTP.
    pub(crate) fn answered_failure(&self) -> Option<TlsFailure> {
        let status = self.answer.head.as_ref()?.status;
        let client = self.session.as_ref()?.client();
        if self.answer.after_refused_renegotiation && (400..500).contains(&status) {
            return Some(TlsFailure::RenegotiationDemanded);
        }
        if status != NGINX_STATUS || client == ClientSide::NotAsked {
            return None;
        }
        let says = |words: &[u8]| self.answer.body.windows(words.len()).any(|at| at == words);
        if says(NGINX_NO_CERTIFICATE) {
            Some(TlsFailure::HttpNoCertificate)
        } else if says(NGINX_CERTIFICATE_ERROR) {
            Some(TlsFailure::HttpCertificateRejected)
        } else {
            None
        }
    }

    /// Whether an answer says that our certificate is not accepted.
    pub(crate) fn refuses_certificate(&self) -> bool {
        let failure = self.answered_failure();
        failure.is_some_and(TlsFailure::refuses_our_certificate)
    }

    /// Says how it ended; `Err` if the time was up.
    pub(crate) fn conclude(
        mut self,
        result: Result<Result<(), ExchangeError>, Elapsed>,
        duration: Duration,
        now: Timestamp,
    ) -> Exchanged {
        let answered = self.answered_failure();
        let (without_head, failure, reason) = match &result {
            Ok(Ok(())) => match answered {
                Some(failure) => (FailureKind::Internal, answered, Some(in_http(failure))),
                None => (FailureKind::Internal, None, self.oddity()),
            },
            Ok(Err(error)) => (error.kind(), error.tls_failure(), Some(error.in_words())),
            Err(_) => match answered {
                Some(failure) => (FailureKind::TimedOut, answered, Some(in_http(failure))),
                None => (FailureKind::TimedOut, None, Some(self.lateness())),
            },
        };
        let reason = reason.map(shortened);
        let is_answer = match &result {
            Ok(Ok(())) => true,
            Ok(Err(error)) => error.is_answer(),
            Err(_) => self.answer.head.is_some(),
        };
        let handshake = self.take_report(failure, reason.as_deref(), is_answer, duration, now);
        let (reply, headers) = match self.answer.head {
            Some(AnswerHead {
                status,
                retry_after,
                headers,
            }) => {
                let reply = Reply::Response {
                    status,
                    retry_after,
                };
                (reply, headers)
            }
            None => (Reply::Failure(without_head), HeaderMap::new()),
        };
        Exchanged {
            reply,
            reason,
            tls_failure: failure,
            handshake,
            body: Bytes::from(self.answer.body),
            headers,
            connection: match self.session {
                Some(session) => session.facts().clone(),
                None => self.facts,
            },
            duration,
        }
    }

    /// What the handshake showed, together with what came of it.
    fn take_report(
        &mut self,
        failure: Option<TlsFailure>,
        reason: Option<&str>,
        is_answer: bool,
        duration: Duration,
        now: Timestamp,
    ) -> Option<Box<HandshakeReport>> {
        let failed = failure.map(|failure| Failed {
            failure,
            reason: reason.unwrap_or_default().to_owned(),
        });
        if let (Some(report), Some(head)) = (&mut self.handshake, &self.answer.head) {
            let client = &mut report.client;
            client.accepted = client.presented.is_some() && (200..300).contains(&head.status);
        }
        // What ended before anything could be sent is well only if there was a session, and if
        // the server did not want to know us.
        let on_trial = match (&self.session, &self.handshake) {
            (Some(session), _) => session.is_on_trial(),
            (None, Some(report)) => report.client.requested || report.tls.is_none(),
            (None, None) => false,
        };
        match self.handshake.take() {
            Some(mut report) if failed.is_some() => {
                report.failure = failed;
                Some(report)
            }
            Some(_) if on_trial && !is_answer => None,
            Some(report) => Some(report),
            // There was to be one, and something stopped it before.
            None if failed.is_some() && self.session.is_none() => Some(Box::new(HandshakeReport {
                at: now,
                duration_ms: u32::try_from(duration.as_millis()).unwrap_or(u32::MAX),
                failure: failed,
                remote_ip: self.facts.remote_ip,
                proxy: self.proxy.take(),
                ..HandshakeReport::default()
            })),
            None => None,
        }
    }

    /// What is odd about an answer.
    fn oddity(&self) -> Option<String> {
        match &self.answer.rest {
            Rest::None => None,
            Rest::Unread => Some(format!(
                "the answer's body is longer than {} bytes; the rest was not read",
                self.answer.bytes_max
            )),
            Rest::Lost(error) => Some(format!(
                "the answer's body did not arrive whole: {}",
                reason(error)
            )),
        }
    }

    pub(crate) fn lateness(&self) -> String {
        let ms = self.timeout.as_millis();
        match self.answer.head {
            Some(_) => format!("the answer's body did not arrive whole within {ms} ms"),
            None => format!("no answer within {ms} ms: the time was up {}", self.stage),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "while waiting for a connection",
            Self::Resolving => "while the name was being resolved",
            Self::Connecting => "while connecting",
            Self::Handshaking => "during the TLS handshake",
            Self::LookingUpRevocation => "while revocation was being looked up",
            Self::Exchanging => "while waiting for the answer",
        })
    }
}

/// A peer's words may be part of a reason.
fn shortened(mut reason: String) -> String {
    if let Some((end, _)) = reason.char_indices().nth(REASON_CHARS_MAX) {
        reason.truncate(end);
    }
    reason
}

/// A failure of TLS that an answer tells of.
fn in_http(failure: TlsFailure) -> String {
    let what = match failure {
        TlsFailure::HttpNoCertificate => {
            "the server answered 400: no required SSL certificate was sent"
        }
        TlsFailure::HttpCertificateRejected => "the server answered 400: the SSL certificate error",
        _ => {
            "the server demanded another TLS handshake within the session, and refused the request"
        }
    };
    with_advice(what, failure)
}

#[cfg(test)]
mod tests {
    use hookseal_domain::delivery::attempt::TlsFacts;

    use super::*;

    /// An attempt whose time was up between its handshake and its request.
    #[tokio::test]
    async fn a_handshake_that_nothing_followed() {
        for (asked, shaken, is_reported) in [
            (false, true, true),
            (true, true, false),
            (false, false, false),
        ] {
            let mut progress = Progress::new(Duration::ZERO);
            let mut report = HandshakeReport::default();
            report.client.requested = asked;
            report.tls = shaken.then(|| TlsFacts {
                version: "TLSv1.3".to_owned(),
                cipher_suite: String::new(),
                key_exchange_group: String::new(),
                peer_spki_sha256: String::new(),
                certificate_expires_at: Timestamp::default(),
            });
            progress.handshake = Some(Box::new(report));
            let pending = std::future::pending::<Result<(), ExchangeError>>();
            let late = tokio::time::timeout(Duration::ZERO, pending).await;
            let exchanged = progress.conclude(late, Duration::ZERO, Timestamp::default());
            assert_eq!(exchanged.handshake.is_some(), is_reported);
        }
    }
}
