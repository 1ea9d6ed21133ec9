//! Connections that are kept for the next request.
//!
//! **Invariant:** a connection is used only for the endpoint, the generation, the transport and the
//! origin it was opened for; two endpoints never share one, whatever their hosts. What was opened
//! under a transport that has been replaced is not kept when its request is done.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hookseal_domain::id::EndpointId;
use hookseal_domain::time::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::connection::{Connection, Http1, Http2, Session};
use crate::target::Origin;

/// Whose connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Key {
    pub(crate) endpoint: EndpointId,
    pub(crate) generation: u64,
    /// The transport's id.
    pub(crate) transport: u64,
    /// The epoch of the identity of the operator's that is presented, 0 where there is none.
    pub(crate) identity_epoch: u64,
}

/// How many are kept, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolLimits {
    pub(crate) per_endpoint_max: usize,
    pub(crate) total_max: usize,
    pub(crate) idle_timeout: Duration,
}

/// The kept connections of all endpoints.
pub(crate) struct Pool {
    slots: Mutex<HashMap<EndpointId, Slot>>,
    limits: PoolLimits,
    kept: AtomicUsize,
    shut_down: AtomicBool,
}

/// What to do where no connection is kept.
pub(crate) enum Admission {
    /// Open one. While this lives, others wait whether the connection can be shared.
    First(Opening),
    /// Somebody is opening one that can perhaps be shared: wait, then look again.
    Wait(watch::Receiver<()>),
    /// Open one: connections to this endpoint are not shared.
    Free,
}

/// Marks that a connection is being opened.
pub(crate) struct Opening {
    pool: Arc<Pool>,
    key: Key,
    /// Dropped with this, which is what wakes those who wait.
    _waiters: watch::Sender<()>,
}

/// What is kept for one endpoint.
struct Slot {
    generation: u64,
    transport: u64,
    identity_epoch: u64,
    /// When somebody last began to send: what is in use then comes back here.
    entered_at: Instant,
    speaks: Speaks,
    /// The one used last is last.
    idle: Vec<Kept<Box<Http1>>>,
    shared: Option<Kept<Http2>>,
    opening: Option<watch::Receiver<()>>,
}

/// What an endpoint was found to speak.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Speaks {
    Unknown,
    Http1,
    Http2,
}

struct Kept<C> {
    connection: C,
    used_at: Instant,
}

// === impl Pool ===

impl Pool {
    pub(crate) fn new(limits: PoolLimits) -> Self {
        Self {
            slots: Mutex::default(),
            limits,
            kept: AtomicUsize::new(0),
            shut_down: AtomicBool::new(false),
        }
    }

    /// A kept connection that can be used at once: the shared one, or the one used last.
    pub(crate) async fn take(
        &self,
        key: Key,
        origin: &Origin,
        now: Timestamp,
    ) -> Option<Connection> {
        loop {
            let mut connection = match self.pop(key, origin, now)? {
                Connection::Http2(shared) => return Some(Connection::Http2(shared)),
                Connection::Http1(connection) => connection,
            };
            let ready = poll_fn(|cx| Poll::Ready(connection.poll_is_ready(cx))).await;
            if ready && connection.session().serves(origin, now) {
                return Some(Connection::Http1(connection));
            }
        }
    }

    /// The shared connection.
    pub(crate) fn shared(&self, key: Key, origin: &Origin, now: Timestamp) -> Option<Http2> {
        self.with_slot(key, |slot| self.shared_of(slot, origin, now))?
    }

    /// Keeps an unused connection for the next request, if there is room.
    pub(crate) fn keep(&self, key: Key, connection: Box<Http1>) {
        let used_at = Instant::now();
        let kept = Kept {
            connection,
            used_at,
        };
        // What finds no room is handed back, to be closed when no lock is held.
        let _too_many = self.with_slot(key, |slot| {
            if slot.idle.len() >= self.limits.per_endpoint_max || !self.count_one() {
                return Some(kept);
            }
            slot.idle.push(kept);
            None
        });
    }

    /// Learns of a new connection. One of HTTP/2 is shared from now on, if none is.
    pub(crate) fn opened(&self, key: Key, connection: &Connection) {
        self.with_slot(key, |slot| match connection {
            Connection::Http1(_) => slot.speaks = Speaks::Http1,
            Connection::Http2(connection) => {
                slot.speaks = Speaks::Http2;
                if slot.shared.is_none() && self.count_one() {
                    slot.shared = Some(Kept {
                        connection: connection.clone(),
                        used_at: Instant::now(),
                    });
                }
            }
        });
    }

    /// Whether and when a new connection may be opened.
    pub(crate) fn admit(self: &Arc<Self>, key: Key) -> Admission {
        let admission = self.with_slot(key, |slot| {
            if slot.speaks == Speaks::Http1 {
                return Admission::Free;
            }
            if let Some(opening) = &slot.opening {
                return Admission::Wait(opening.clone());
            }
            let (sender, receiver) = watch::channel(());
            slot.opening = Some(receiver);
            Admission::First(Opening {
                pool: Arc::clone(self),
                key,
                _waiters: sender,
            })
        });
        admission.unwrap_or(Admission::Free)
    }

    /// Stops sharing a connection that its peer has closed.
    pub(crate) fn drop_closed(&self, key: Key, session: &Session) {
        self.with_slot(key, |slot| {
            if slot.shares(session) {
                self.drop_shared(slot);
            }
        });
    }

    /// Keeps neither a connection on which a request timed out nor the unused ones:
    /// perhaps nobody is there any more.
    pub(crate) fn distrust(&self, key: Key, session: &Session) {
        self.drop_closed(key, session);
        let _closing = self.with_slot(key, |slot| {
            self.uncount(slot.idle.len());
            std::mem::take(&mut slot.idle)
        });
    }

    /// Closes what is kept for an endpoint.
    pub(crate) fn forget(&self, endpoint: EndpointId) {
        let slot = self.slots.lock().remove(&endpoint);
        self.uncount(slot.as_ref().map_or(0, Slot::kept));
    }

    /// Closes what was unused for too long, has grown too old, or was closed by the peer. Never
    /// holds up the others for longer than one endpoint takes.
    pub(crate) fn sweep(&self, now: Timestamp) {
        let endpoints: Vec<EndpointId> = self.slots.lock().keys().copied().collect();
        for endpoint in endpoints {
            let mut slots = self.slots.lock();
            let Entry::Occupied(mut entry) = slots.entry(endpoint) else {
                continue;
            };
            let slot = entry.get_mut();
            let before = slot.kept();
            let closing = slot.sweep(self.limits.idle_timeout, now);
            self.uncount(before.saturating_sub(slot.kept()));
            let unused = slot.entered_at.elapsed() >= self.limits.idle_timeout;
            if slot.kept() == 0 && slot.opening.is_none() && unused {
                entry.remove();
            }
            drop(slots);
            drop(closing);
        }
    }

    /// Closes everything and keeps nothing from now on.
    pub(crate) fn shut_down(&self) {
        self.shut_down.store(true, Ordering::Relaxed);
        let slots = std::mem::take(&mut *self.slots.lock());
        self.uncount(slots.values().map(Slot::kept).sum());
    }

    fn pop(&self, key: Key, origin: &Origin, now: Timestamp) -> Option<Connection> {
        self.enter(key, |slot| {
            if let Some(shared) = self.shared_of(slot, origin, now) {
                return Some(Connection::Http2(shared));
            }
            let kept = slot.idle.pop()?;
            self.uncount(1);
            Some(Connection::Http1(kept.connection))
        })?
    }

    fn shared_of(&self, slot: &mut Slot, origin: &Origin, now: Timestamp) -> Option<Http2> {
        let kept = slot.shared.as_mut()?;
        if !kept.connection.is_open() || !kept.connection.session().serves(origin, now) {
            self.drop_shared(slot);
            return None;
        }
        kept.used_at = Instant::now();
        Some(kept.connection.clone())
    }

    /// Ends the sharing; the connection's own task closes it when the last request is done.
    fn drop_shared(&self, slot: &mut Slot) {
        if slot.shared.take().is_some() {
            self.uncount(1);
        }
    }

    /// Begins to send for `key` with what is kept for it: `None` if a newer generation is known.
    /// What was kept for another key is closed.
    fn enter<R>(&self, key: Key, work: impl FnOnce(&mut Slot) -> R) -> Option<R> {
        let mut slots = self.slots.lock();
        let slot = slots.entry(key.endpoint).or_insert_with(|| Slot::new(key));
        if slot.generation > key.generation {
            return None;
        }
        let mut outdated = None;
        if !slot.is_of(key) {
            self.uncount(slot.kept());
            outdated = Some(std::mem::replace(slot, Slot::new(key)));
        }
        slot.entered_at = Instant::now();
        let result = work(slot);
        drop(slots);
        drop(outdated);
        Some(result)
    }

    /// Does something with what is kept for `key`; `None` if it was replaced.
    fn with_slot<R>(&self, key: Key, work: impl FnOnce(&mut Slot) -> R) -> Option<R> {
        let mut slots = self.slots.lock();
        let slot = slots.get_mut(&key.endpoint)?;
        slot.is_of(key).then(|| work(slot))
    }

    fn count_one(&self) -> bool {
        let kept = &self.kept;
        let one_more = |count: usize| (count < self.limits.total_max).then_some(count + 1);
        !self.shut_down.load(Ordering::Relaxed)
            && kept
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
                .is_ok()
    }

    fn uncount(&self, connections: usize) {
        self.kept.fetch_sub(connections, Ordering::Relaxed);
    }
}

// === impl Slot ===

impl Slot {
    fn new(key: Key) -> Self {
        Self {
            generation: key.generation,
            transport: key.transport,
            identity_epoch: key.identity_epoch,
            entered_at: Instant::now(),
            speaks: Speaks::Unknown,
            idle: Vec::new(),
            shared: None,
            opening: None,
        }
    }

    fn is_of(&self, key: Key) -> bool {
        self.generation == key.generation
            && self.transport == key.transport
            && self.identity_epoch == key.identity_epoch
    }

    fn kept(&self) -> usize {
        self.idle.len() + usize::from(self.shared.is_some())
    }

    fn shares(&self, session: &Session) -> bool {
        let shared = self.shared.as_ref();
        shared.is_some_and(|kept| kept.connection.session().is_same(session))
    }

    /// Takes out what is to be closed.
    fn sweep(&mut self, idle_timeout: Duration, now: Timestamp) -> Vec<Connection> {
        // Nobody waits for these connections: nobody is to be woken.
        let mut cx = Context::from_waker(Waker::noop());
        let mut closing: Vec<_> = self
            .idle
            .extract_if(.., |kept| {
                kept.used_at.elapsed() >= idle_timeout
                    || !kept.connection.session().is_fresh(now)
                    || !kept.connection.poll_is_ready(&mut cx)
            })
            .map(|kept| Connection::Http1(kept.connection))
            .collect();
        let shared = self.shared.take_if(|kept| {
            kept.used_at.elapsed() >= idle_timeout
                || !kept.connection.session().is_fresh(now)
                || !kept.connection.is_open()
        });
        closing.extend(shared.map(|kept| Connection::Http2(kept.connection)));
        closing
    }
}

// === impl Opening ===

impl Drop for Opening {
    fn drop(&mut self) {
        self.pool.with_slot(self.key, |slot| slot.opening = None);
    }
}
