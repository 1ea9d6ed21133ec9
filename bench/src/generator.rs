//! The load generator: kept connections, one request at a time on each, one thread for all.
//!
//! A burst sends as fast as it is answered. A steady load keeps its schedule whatever the answers
//! do, and every latency counts from when a request was due, not from when it was sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::clock;
use crate::connection::{Connection, Target};
use crate::delivery::{Endpoints, Envelope};
use crate::lean::LeanConnection;
use crate::payload::Stamp;
use crate::quantile::Sorted;

/// Time for the schedule's thread to get going before the first request is due.
const START_DELAY_NS: u64 = 50_000_000;
/// Requests that may wait for a free connection. Beyond that the schedule waits, the due times do
/// not.
const QUEUE_MAX: usize = 4096;

/// What is sent.
pub(crate) enum Call {
    /// Messages, to an API.
    Publish {
        /// Path of the operation for each application: the messages go to them in turn.
        paths: Vec<Uri>,
        /// The API's `host` header.
        host: HeaderValue,
        /// The token, where the API wants one.
        authorization: Option<HeaderValue>,
    },
    /// Signed deliveries, straight to the receiver.
    Deliver(Endpoints),
}

/// How it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// Closed loop: as fast as the answers come.
    Burst,
    /// Open loop.
    Steady {
        /// Messages per second.
        per_second: u32,
    },
}

/// How much is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Volume {
    /// Messages in all.
    pub(crate) messages: u32,
    /// Kept connections.
    pub(crate) connections: u16,
    /// What speaks on them.
    pub(crate) client: Client,
}

/// What speaks HTTP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Client {
    /// hyper, as others use it.
    Hyper,
    /// Next to nothing, which publishes only; see [`crate::lean`]. It keeps its schedule by the
    /// runtime's timers, which are exact to a millisecond and need no thread.
    Lean,
}

/// A connection, and what speaks on it.
enum Line {
    Hyper(Connection),
    Lean(LeanConnection),
}

/// What became of one request.
enum Verdict {
    Accepted,
    Shed,
    Refused,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Requests answered as they should be.
    pub(crate) accepted: u32,
    /// Requests answered 503 with `Retry-After`.
    pub(crate) shed: u32,
    /// Requests answered with another status.
    pub(crate) refused: u32,
    /// From due to answered, of those that were answered as they should be.
    pub(crate) latencies: Sorted,
    /// From due to answered, of those that were shed.
    pub(crate) shed_latencies: Sorted,
    /// From due to when it was sent, of all: how far the generator itself, or a connection that was
    /// still waiting for its last answer, was behind the schedule.
    pub(crate) delays: Sorted,
    /// When the first request was due.
    pub(crate) started_unix_ns: u64,
    /// When the last answer was complete.
    pub(crate) ended_unix_ns: u64,
}

/// One request to send: its position, and when it is due.
#[derive(Clone, Copy, Debug)]
struct Due {
    unit: u32,
    unix_ns: u64,
}

/// Where the workers get their requests.
enum Source {
    Counter {
        next: AtomicU32,
        units: u32,
    },
    Schedule(Mutex<mpsc::Receiver<Due>>),
    Clocked {
        next: AtomicU32,
        units: u32,
        per_second: u64,
        started_unix_ns: u64,
    },
}

/// What one worker did.
#[derive(Debug, Default)]
struct Share {
    refused: u32,
    latencies_ns: Vec<u64>,
    shed_latencies_ns: Vec<u64>,
    delays_ns: Vec<u64>,
}

/// Sends everything and waits for all answers.
pub(crate) async fn send(
    target: &Target,
    call: Call,
    pace: Pace,
    volume: Volume,
) -> anyhow::Result<Sent> {
    let mut connections = Vec::new();
    for _ in 0..volume.connections {
        connections.push(call.line(target, volume.client).await?);
    }
    let units = volume.messages * call.requests_per_message()?;
    let started_unix_ns = match pace {
        Pace::Burst => clock::unix_ns(),
        Pace::Steady { .. } => clock::unix_ns() + START_DELAY_NS,
    };
    let source = match pace {
        Pace::Burst => Source::Counter {
            next: AtomicU32::new(0),
            units,
        },
        Pace::Steady { per_second } => {
            let per_second = u64::from(per_second * call.requests_per_message()?);
            if volume.client == Client::Lean {
                let next = AtomicU32::new(0);
                Source::Clocked {
                    next,
                    units,
                    per_second,
                    started_unix_ns,
                }
            } else {
                Source::Schedule(Mutex::new(schedule(started_unix_ns, per_second, units)))
            }
        }
    };

    let (call, source) = (Arc::new(call), Arc::new(source));
    let mut workers = JoinSet::new();
    for connection in connections {
        workers.spawn(work(connection, Arc::clone(&call), Arc::clone(&source)));
    }
    let mut all = Share::default();
    while let Some(share) = workers.join_next().await {
        let share = share??;
        all.refused += share.refused;
        all.latencies_ns.extend(share.latencies_ns);
        all.shed_latencies_ns.extend(share.shed_latencies_ns);
        all.delays_ns.extend(share.delays_ns);
    }
    Ok(Sent {
        accepted: u32::try_from(all.latencies_ns.len())?,
        shed: u32::try_from(all.shed_latencies_ns.len())?,
        refused: all.refused,
        latencies: Sorted::new(all.latencies_ns),
        shed_latencies: Sorted::new(all.shed_latencies_ns),
        delays: Sorted::new(all.delays_ns),
        started_unix_ns,
        ended_unix_ns: clock::unix_ns(),
    })
}

// === impl Call ===

impl Call {
    fn requests_per_message(&self) -> anyhow::Result<u32> {
        match self {
            Self::Publish { .. } => Ok(1),
            Self::Deliver(endpoints) => Ok(u32::try_from(endpoints.count())?),
        }
    }

    fn request(&self, due: Due) -> anyhow::Result<Request<Full<bytes::Bytes>>> {
        match self {
            Self::Publish {
                paths,
                host,
                authorization,
            } => {
                let application = usize::try_from(due.unit)? % paths.len().max(1);
                let path = paths.get(application).context("no application")?;
                let stamp = Stamp {
                    number: due.unit,
                    due_unix_ns: due.unix_ns,
                };
                let mut request = Request::new(Full::new(stamp.message()));
                *request.method_mut() = Method::POST;
                *request.uri_mut() = path.clone();
                let headers = request.headers_mut();
                headers.insert(HOST, host.clone());
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                if let Some(token) = authorization {
                    headers.insert(AUTHORIZATION, token.clone());
                }
                Ok(request)
            }
            Self::Deliver(endpoints) => {
                let count = u32::try_from(endpoints.count())?;
                let (number, position) = (due.unit / count, due.unit % count);
                let stamp = Stamp {
                    number,
                    due_unix_ns: due.unix_ns,
                };
                let now_s = clock::whole_seconds(clock::unix_ns());
                let envelope = Envelope::new(u64::from(number), now_s)?;
                let endpoint = endpoints.at(usize::try_from(position)?)?;
                endpoints.request(endpoint, &envelope, stamp.payload())
            }
        }
    }

    async fn line(&self, target: &Target, client: Client) -> anyhow::Result<Line> {
        match (client, self) {
            (
                Client::Lean,
                Self::Publish {
                    paths,
                    host,
                    authorization,
                },
            ) => {
                let [path] = paths.as_slice() else {
                    anyhow::bail!("the lean client publishes to one application");
                };
                let stream = target.connect_plain().await?;
                let lean = LeanConnection::new(stream, path, host, authorization.as_ref());
                Ok(Line::Lean(lean))
            }
            (Client::Lean, Self::Deliver(_)) => anyhow::bail!("the lean client only publishes"),
            (Client::Hyper, _) => Ok(Line::Hyper(target.connect().await?)),
        }
    }

    fn is_accepted(&self, status: StatusCode) -> bool {
        match self {
            Self::Publish { .. } => status == StatusCode::ACCEPTED,
            Self::Deliver(_) => status.is_success(),
        }
    }
}

// === impl Line ===

impl Line {
    async fn exchange(&mut self, call: &Call, due: Due) -> anyhow::Result<Verdict> {
        match self {
            Self::Hyper(connection) => {
                let answer = connection.exchange(call.request(due)?).await?;
                Ok(match call.is_accepted(answer.status) {
                    true => Verdict::Accepted,
                    false => Verdict::Refused,
                })
            }
            Self::Lean(connection) => {
                let stamp = Stamp {
                    number: due.unit,
                    due_unix_ns: due.unix_ns,
                };
                let answer = connection.publish(&stamp.message()).await?;
                Ok(match answer.status {
                    202 => Verdict::Accepted,
                    503 if answer.has_retry_after => Verdict::Shed,
                    _ => Verdict::Refused,
                })
            }
        }
    }
}

// === impl Source ===

impl Source {
    async fn next(&self) -> Option<Due> {
        match self {
            Self::Counter { next, units } => {
                let unit = next.fetch_add(1, Ordering::Relaxed);
                (unit < *units).then(|| Due {
                    unit,
                    unix_ns: clock::unix_ns(),
                })
            }
            Self::Schedule(queue) => queue.lock().await.recv().await,
            Self::Clocked {
                next,
                units,
                per_second,
                started_unix_ns,
            } => {
                let unit = next.fetch_add(1, Ordering::Relaxed);
                if unit >= *units {
                    return None;
                }
                let unix_ns = due_unix_ns(*started_unix_ns, *per_second, unit);
                let wait_ns = unix_ns.saturating_sub(clock::unix_ns());
                if wait_ns > 0 {
                    tokio::time::sleep(Duration::from_nanos(wait_ns)).await;
                }
                Some(Due { unit, unix_ns })
            }
        }
    }
}

async fn work(mut line: Line, call: Arc<Call>, source: Arc<Source>) -> anyhow::Result<Share> {
    let mut share = Share::default();
    while let Some(due) = source.next().await {
        let delay_ns = clock::unix_ns().saturating_sub(due.unix_ns);
        share.delays_ns.push(delay_ns);
        let verdict = line.exchange(&call, due).await;
        let verdict = verdict.context("a request of the load failed")?;
        let latency_ns = clock::unix_ns().saturating_sub(due.unix_ns);
        match verdict {
            Verdict::Accepted => share.latencies_ns.push(latency_ns),
            Verdict::Shed => share.shed_latencies_ns.push(latency_ns),
            Verdict::Refused => share.refused += 1,
        }
    }
    Ok(share)
}

fn due_unix_ns(started_unix_ns: u64, per_second: u64, unit: u32) -> u64 {
    started_unix_ns + u64::from(unit) * 1_000_000_000 / per_second.max(1)
}

/// Emits each request when it is due, from a thread of its own: the timers of the runtime are exact
/// to a millisecond, the sleep of a thread to some 50 µs.
fn schedule(started_unix_ns: u64, per_second: u64, units: u32) -> mpsc::Receiver<Due> {
    let (queue, receiver) = mpsc::channel(QUEUE_MAX);
    std::thread::spawn(move || {
        for unit in 0..units {
            let unix_ns = due_unix_ns(started_unix_ns, per_second, unit);
            let wait_ns = unix_ns.saturating_sub(clock::unix_ns());
            std::thread::sleep(Duration::from_nanos(wait_ns));
            if queue.blocking_send(Due { unit, unix_ns }).is_err() {
                return; // The run was given up.
            }
        }
    });
    receiver
}
