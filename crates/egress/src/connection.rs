//! One connection to a receiver: sends requests, reads answers to a bound.
//!
//! **Invariant:** of an answer at most `RESPONSE_HEAD_BYTES_MAX` of the head, and as many of the body
//! as were asked for, are read; a connection with anything left unread is not used again.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hookseal_domain::delivery::attempt::ConnectionFacts;
use hookseal_domain::delivery::outcome::RetryAfter;
use hookseal_domain::limits::{RESPONSE_BODY_BYTES_MAX, RESPONSE_HEAD_BYTES_MAX};
use hookseal_domain::time::Timestamp;
use hookseal_pki::certificate::CertificateSha256;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::Instant;

use crate::error::ExchangeError;
use crate::limits::{CONNECTION_AGE_MAX, CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES};
use crate::stream::{Carrier, PeerStream, Signs};
use crate::target::Origin;

/// What is sent: all of it is in memory already.
pub(crate) type RequestBody = Full<Bytes>;

/// A connection to a receiver.
pub(crate) enum Connection {
    Http1(Box<Http1>),
    Http2(Http2),
}

/// What is the same for all exchanges of one connection. A clone is the same one.
#[derive(Clone)]
pub(crate) struct Session(Arc<Opened>);

/// What was found when a connection was opened.
pub(crate) struct Opened {
    pub(crate) origin: Origin,
    pub(crate) facts: ConnectionFacts,
    pub(crate) opened_at: Instant,
    /// When a certificate ends that the connection stands on; none without TLS.
    pub(crate) expires_at: Option<Timestamp>,
    /// What was said of a certificate of ours.
    pub(crate) client: ClientSide,
    /// Whether the peer has answered a request.
    pub(crate) proven: AtomicBool,
}

/// What was said of a certificate of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ClientSide {
    /// Nobody asked.
    NotAsked,
    /// The server asked and got none.
    NotPresented,
    /// The server asked and got this one.
    Presented(CertificateSha256),
}

/// An HTTP/1.1 connection. It has no task of its own: whoever uses it drives it, which saves two
/// task switches for each exchange.
pub(crate) struct Http1 {
    sender: http1::SendRequest<RequestBody>,
    driver: Driver,
    signs: Signs,
    session: Session,
}

/// The half of an HTTP/1.1 connection that does the reading and writing.
struct Driver {
    connection: http1::Connection<TokioIo<PeerStream>, RequestBody>,
    finished: bool,
}

/// An HTTP/2 connection, shared by all who send on it. A task of its own drives it and ends when
/// the last of them is gone.
#[derive(Clone)]
pub(crate) struct Http2 {
    sender: http2::SendRequest<RequestBody>,
    signs: Signs,
    session: Session,
}

/// What has come back so far.
pub(crate) struct Answer {
    /// Most bytes of the body that are read.
    pub(crate) bytes_max: usize,
    /// Which headers are kept.
    pub(crate) headers_wanted: &'static [&'static str],
    /// The head, once it is complete.
    pub(crate) head: Option<AnswerHead>,
    /// The first bytes of the body, at most so many.
    pub(crate) body: Vec<u8>,
    /// Whether and why `body` is not the whole body.
    pub(crate) rest: Rest,
    /// Whether the peer had asked for another handshake, which it was refused.
    pub(crate) after_refused_renegotiation: bool,
}

/// What is read of an answer's head.
pub(crate) struct AnswerHead {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<RetryAfter>,
    /// Those that were wanted.
    pub(crate) headers: HeaderMap,
}

/// What is with the rest of a body.
#[derive(Debug, Default)]
pub(crate) enum Rest {
    /// Nothing is missing, or nothing has come yet.
    #[default]
    None,
    /// There is more than we read.
    Unread,
    /// It did not arrive.
    Lost(ExchangeError),
}

// === impl Connection ===

impl Connection {
    pub(crate) fn session(&self) -> &Session {
        match self {
            Self::Http1(connection) => &connection.session,
            Self::Http2(connection) => &connection.session,
        }
    }

    pub(crate) fn signs(&self) -> &Signs {
        match self {
            Self::Http1(connection) => &connection.signs,
            Self::Http2(connection) => &connection.signs,
        }
    }
}

// === impl Session ===

impl Session {
    pub(crate) fn new(opened: Opened) -> Self {
        Self(Arc::new(opened))
    }

    pub(crate) fn facts(&self) -> &ConnectionFacts {
        &self.0.facts
    }

    pub(crate) fn client(&self) -> ClientSide {
        self.0.client
    }

    /// Whether both are of the same connection.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether the connection may be used again. What the certificates proved ends with them.
    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        self.0.opened_at.elapsed() < CONNECTION_AGE_MAX
            && self.0.expires_at.is_none_or(|end| now <= end)
    }

    /// Whether the connection may be used again for `origin`.
    pub(crate) fn serves(&self, origin: &Origin, now: Timestamp) -> bool {
        self.0.origin == *origin && self.is_fresh(now)
    }

    /// The peer has answered: it takes us for whom it wants.
    pub(crate) fn prove(&self) {
        self.0.proven.store(true, Ordering::Relaxed);
    }

    /// Whether the peer may still refuse what it was shown of us: in TLS 1.3 it says so after the
    /// handshake.
    pub(crate) fn is_on_trial(&self) -> bool {
        self.0.client != ClientSide::NotAsked && !self.0.proven.load(Ordering::Relaxed)
    }
}

// === impl Http1 ===

impl Http1 {
    pub(crate) async fn open(carrier: Carrier, session: Session) -> Result<Self, ExchangeError> {
        let signs = Signs::default();
        let io = TokioIo::new(PeerStream::new(carrier, signs.clone()));
        let (sender, connection) = http1::Builder::new()
            .max_header_size(RESPONSE_HEAD_BYTES_MAX)
            .max_buf_size(RESPONSE_HEAD_BYTES_MAX)
            .handshake(io)
            .await
            .map_err(|error| ExchangeError::of_request(error, &signs, false))?;
        let driver = Driver {
            connection,
            finished: false,
        };
        Ok(Self {
            sender,
            driver,
            signs,
            session,
        })
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Whether a request can be sent now: false once the peer has closed or sent what nobody asked
    /// for.
    pub(crate) fn poll_is_ready(&mut self, cx: &mut Context<'_>) -> bool {
        self.driver.poll(cx);
        !self.driver.finished && self.sender.is_ready()
    }

    /// Sends a request and reads the answer. Tells whether the connection can be used again.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<RequestBody>,
        answer: &mut Answer,
    ) -> Result<bool, ExchangeError> {
        let signs = &self.signs;
        signs.clear();
        let response = self.driver.drive(self.sender.send_request(request)).await;
        let response =
            response.map_err(|error| ExchangeError::of_request(error, signs, signs.answered()))?;
        let body = answer.take_head(response);
        answer.after_refused_renegotiation = signs.renegotiation_demanded();
        if !body.is_end_stream() {
            self.driver.drive(answer.read_body(body, signs)).await;
        }
        if !matches!(answer.rest, Rest::None) {
            return Ok(false);
        }
        Ok(poll_fn(|cx| Poll::Ready(self.poll_is_ready(cx))).await)
    }
}

// === impl Driver ===

impl Driver {
    fn poll(&mut self, cx: &mut Context<'_>) {
        if !self.finished && Pin::new(&mut self.connection).poll(cx).is_ready() {
            self.finished = true;
        }
    }

    /// Moves the connection on until `work`, which waits for it, is done. A connection that ends
    /// tells whoever waits for it.
    async fn drive<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|cx| {
            self.poll(cx);
            work.as_mut().poll(cx)
        })
        .await
    }
}

// === impl Http2 ===

impl Http2 {
    pub(crate) async fn open(carrier: Carrier, session: Session) -> Result<Self, ExchangeError> {
        let signs = Signs::default();
        let io = TokioIo::new(PeerStream::new(carrier, signs.clone()));
        let head_bytes_max = u32::try_from(RESPONSE_HEAD_BYTES_MAX).unwrap_or(u32::MAX);
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(head_bytes_max)
            .handshake(io)
            .await
            .map_err(|error| ExchangeError::of_request(error, &signs, false))?;
        tokio::spawn(async move {
            // Each exchange reports the end of the connection for itself.
            let _ended = connection.await;
        });
        Ok(Self {
            sender,
            signs,
            session,
        })
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends a request and reads the answer.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<RequestBody>,
        answer: &mut Answer,
    ) -> Result<(), ExchangeError> {
        let response = self.sender.send_request(request).await;
        let response =
            response.map_err(|error| ExchangeError::of_request(error, &self.signs, false))?;
        let body = answer.take_head(response);
        if !body.is_end_stream() {
            answer.read_body(body, &self.signs).await;
        }
        Ok(())
    }
}

// === impl Answer ===

impl Default for Answer {
    fn default() -> Self {
        Self {
            bytes_max: RESPONSE_BODY_BYTES_MAX,
            headers_wanted: &[],
            head: None,
            body: Vec::new(),
            rest: Rest::default(),
            after_refused_renegotiation: false,
        }
    }
}

impl Answer {
    /// Nothing has come yet of what is wanted.
    pub(crate) fn anew(&self) -> Self {
        Self {
            bytes_max: self.bytes_max,
            headers_wanted: self.headers_wanted,
            ..Self::default()
        }
    }

    fn take_head(&mut self, response: Response<Incoming>) -> Incoming {
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| RetryAfter::parse(value.to_str().ok()?));
        // The head is bounded, and so is what is kept of it.
        let mut headers = HeaderMap::new();
        for name in self.headers_wanted {
            for value in response.headers().get_all(*name) {
                headers.append(*name, value.clone());
            }
        }
        self.head = Some(AnswerHead {
            status: response.status().as_u16(),
            retry_after,
            headers,
        });
        response.into_body()
    }

    async fn read_body(&mut self, mut body: Incoming, signs: &Signs) {
        while let Some(frame) = body.frame().await {
            let mut data = match frame.map(|frame| frame.into_data()) {
                Ok(Ok(data)) => data,
                Ok(Err(_trailers)) => continue,
                Err(error) => {
                    self.rest = Rest::Lost(ExchangeError::of_request(error, signs, true));
                    return;
                }
            };
            let room = self.bytes_max.saturating_sub(self.body.len());
            self.body
                .extend_from_slice(&data.split_to(room.min(data.len())));
            if !data.is_empty() {
                self.rest = Rest::Unread;
                return;
            }
        }
    }
}
