//! The receiver: takes deliveries on `/endpoint/<n>`, notes them in its ledger and answers 200.
//!
//! One thread, in a process of its own, so that its CPU is not charged to whoever is measured.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::ledger::{Arrival, Ledger};
use crate::scenario::AfterAnswer;
use crate::tls::{ClientAuth, Files};
use crate::{clock, helper, signature, tls};

/// Larger than any payload of the benchmark.
const BODY_BYTES_MAX: usize = 64 * 1024;
const PATH_PREFIX: &str = "/endpoint/";

/// Asks how many different deliveries arrived.
pub(crate) const ASK_COUNT: &str = "count";
/// Asks for the whole report.
pub(crate) const ASK_REPORT: &str = "report";

/// Receives deliveries; started by `run`.
#[derive(clap::Args, Debug)]
pub(crate) struct Receive {
    /// Messages that each endpoint expects
    #[arg(long)]
    messages: u32,
    /// Number of endpoints
    #[arg(long)]
    endpoints: u16,
    /// Messages at the beginning in which connections are opened
    #[arg(long, default_value_t = 0)]
    cold: u32,
    /// Speak TLS and write what a sender needs into this directory
    #[arg(long)]
    tls_files: Option<PathBuf>,
    /// Demand a client certificate
    #[arg(long, requires = "tls_files")]
    mutual: bool,
    /// Close each connection after its first answer
    #[arg(long)]
    close: bool,
}

/// The path of an endpoint.
pub(crate) fn path(endpoint: u16) -> String {
    format!("{PATH_PREFIX}{endpoint}")
}

// === impl Receive ===

impl Receive {
    /// Runs until standard input closes.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let client_auth = if self.mutual {
            ClientAuth::Demanded
        } else {
            ClientAuth::None
        };
        let files = self.tls_files.map(Files::new);
        let acceptor = files.map(|files| tls::acceptor(&files, client_auth));
        let acceptor = acceptor.transpose()?;
        let after_answer = if self.close {
            AfterAnswer::Close
        } else {
            AfterAnswer::Keep
        };
        let keys = signature::endpoint_keys(self.endpoints)?;
        let ledger = Arc::new(Mutex::new(Ledger::new(keys, self.messages, self.cold)));

        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind(SocketAddr::from((
            Ipv4Addr::LOCALHOST,
            0,
        ))))?;
        let port = listener.local_addr()?.port();
        let noted = Arc::clone(&ledger);
        std::thread::spawn(move || {
            runtime.block_on(accept(listener, acceptor, after_answer, noted));
        });

        helper::answer_questions(port, |question| match question {
            ASK_COUNT => Ok(ledger.lock().unique().into()),
            ASK_REPORT => Ok(serde_json::to_value(ledger.lock().report())?),
            _ => anyhow::bail!("unknown question {question}"),
        })
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    after_answer: AfterAnswer,
    ledger: Arc<Mutex<Ledger>>,
) {
    // A failed accept is one connection less, which the sender sees; the others go on.
    loop {
        if let Ok((tcp, _)) = listener.accept().await {
            let ledger = Arc::clone(&ledger);
            tokio::spawn(serve(tcp, acceptor.clone(), after_answer, ledger));
        }
    }
}

/// Serves one connection until the sender closes it. What breaks off was not received, so the
/// ledger tells; there is nobody else to tell.
async fn serve(
    tcp: TcpStream,
    acceptor: Option<TlsAcceptor>,
    after_answer: AfterAnswer,
    ledger: Arc<Mutex<Ledger>>,
) -> anyhow::Result<()> {
    tcp.set_nodelay(true)?;
    match acceptor {
        Some(acceptor) => {
            let stream = TokioIo::new(acceptor.accept(tcp).await?);
            exchange(stream, after_answer, ledger).await
        }
        None => exchange(TokioIo::new(tcp), after_answer, ledger).await,
    }
}

async fn exchange<S>(
    stream: S,
    after_answer: AfterAnswer,
    ledger: Arc<Mutex<Ledger>>,
) -> anyhow::Result<()>
where
    S: Read + Write + Unpin + 'static,
{
    let service = service_fn(|request| receive(request, &ledger));
    http1::Builder::new()
        .keep_alive(after_answer == AfterAnswer::Keep)
        .serve_connection(stream, service)
        .await
        .context("connection broke off")
}

async fn receive(
    request: Request<Incoming>,
    ledger: &Mutex<Ledger>,
) -> anyhow::Result<Response<Empty<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let body = body.map_err(anyhow::Error::from_boxed)?.to_bytes();
    let arrival = Arrival {
        endpoint: head
            .uri
            .path()
            .strip_prefix(PATH_PREFIX)
            .and_then(|n| n.parse().ok()),
        headers: &head.headers,
        body: &body,
        at_unix_ns: clock::unix_ns(),
    };
    let mut response = Response::new(Empty::new());
    if !ledger.lock().record(&arrival) {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    Ok(response)
}
