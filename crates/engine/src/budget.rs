//! The node's permits for attempts under way, and who gets the next one.
//!
//! An attempt's cost is not known before it ends: a millisecond, or the whole deadline. Deficit round
//! robin would charge what nobody knows, or charge too late: by then the permits are gone for fifteen
//! seconds. So three rules keep permits free, and turns are for what is left to share:
//!
//! 1. **A share**: a lane gets another permit only while it holds less than its class's part of what
//!    is *free* (a dynamic threshold, Choudhury and Hahne 1998), and never more than half of all. One
//!    lane alone gets half, `n` lanes get `1/(n + 1)` each, and the last `1/(n + 1)` is there for
//!    whoever comes. A lane that holds none gets one as long as any is free.
//! 2. **Manner**: lanes whose last attempt was slow hold at most half of all permits together, and
//!    these with those that have not answered yet at most three quarters. However many endpoints hang,
//!    the others find room.
//! 3. **Turns**: only lanes that hold nothing wait, each once, whatever waits in it. Classes take
//!    turns by weight, within a class lanes of each manner do, and lanes of one manner in the order
//!    in which they came. What is shared by turns are attempts of prompt lanes, which cost alike.
//!
//! **Invariant:** permits given out never exceed the bound, each comes back exactly once, and none is
//! free while somebody waits who may have it.

mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use hookseal_domain::delivery::priority::Priority;
use hookseal_domain::id::EndpointId;

use crate::budget::turns::{Turn, Turns};

/// An attempt this long holds up others: what answers at all mostly does in less.
const SLOW_FROM: Duration = Duration::from_secs(1);

/// Manners, as they are kept.
const UNKNOWN: u8 = 0;
const PROMPT: u8 = 1;
const SLOW: u8 = 2;

/// The permits of this node.
pub(crate) struct Budget {
    total: usize,
    state: Mutex<State>,
    /// The last permit came back.
    emptied: Notify,
}

/// What a lane has of the budget. Changed under the budget's lock only, but for the manner.
pub(crate) struct Share {
    endpoint: EndpointId,
    held: AtomicUsize,
    manner: AtomicU8,
}

/// The right to one attempt, given back when dropped.
pub(crate) struct Permit {
    budget: Arc<Budget>,
    share: Arc<Share>,
    manner: Manner,
}

/// How long an endpoint keeps a permit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Manner {
    Prompt,
    Unknown,
    Slow,
}

/// What came of asking for a permit.
enum Asked {
    Granted(Permit),
    /// In its turn.
    Wait(oneshot::Receiver<Permit>),
    /// The lane holds its share, or waits already.
    Busy,
}

struct State {
    free: usize,
    prompt_held: usize,
    unknown_held: usize,
    slow_held: usize,
    is_closed: bool,
    turns: Turns,
}

// === impl Budget ===

impl Budget {
    pub(crate) fn new(total: usize) -> Arc<Self> {
        Arc::new(Self {
            total,
            state: Mutex::new(State {
                free: total,
                prompt_held: 0,
                unknown_held: 0,
                slow_held: 0,
                is_closed: false,
                turns: Turns::new(),
            }),
            emptied: Notify::new(),
        })
    }

    /// A permit, in the lane's turn. `None` if the lane holds its share or waits already, so that
    /// another worker of it goes on; or if the budget is closed.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        share: &Arc<Share>,
        class: Priority,
    ) -> Option<Permit> {
        match self.ask(share, class) {
            Asked::Granted(permit) => Some(permit),
            Asked::Wait(granted) => granted.await.ok(),
            Asked::Busy => None,
        }
    }

    /// Lets nobody have a permit any more.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        state.turns = Turns::new();
    }

    /// Returns when no permit is given out.
    pub(crate) async fn idle(&self) {
        while self.held() > 0 {
            self.emptied.notified().await;
        }
    }

    /// How many permits are given out.
    pub(crate) fn held(&self) -> usize {
        self.total - self.state.lock().free
    }

    fn ask(self: &Arc<Self>, share: &Arc<Share>, class: Priority) -> Asked {
        let mut state = self.state.lock();
        let manner = share.manner();
        if state.is_closed {
            return Asked::Busy;
        }
        if self.may_take(&state, share, manner, class) {
            self.take(&mut state, share, manner);
            drop(state);
            return Asked::Granted(self.permit(share, manner));
        }
        if share.held() > 0 {
            return Asked::Busy;
        }
        let turn = state.turns.join(share, manner, class);
        turn.map_or(Asked::Busy, Asked::Wait)
    }

    fn may_take(&self, state: &State, share: &Share, manner: Manner, class: Priority) -> bool {
        if state.free == 0 || !self.has_room_for(state, manner) {
            return false;
        }
        let held = share.held();
        let part = state.free.saturating_mul(usize_of(class.weight()))
            / usize_of(Priority::Normal.weight());
        held == 0 || (held < part && held < self.total / 2)
    }

    fn has_room_for(&self, state: &State, manner: Manner) -> bool {
        // Never none: in a tiny budget somebody has to find out how they are.
        let slow_max = (self.total / 2).max(1);
        let unproven_max = (self.total - self.total / 4).max(1);
        match manner {
            Manner::Prompt => true,
            Manner::Unknown => state.slow_held + state.unknown_held < unproven_max,
            Manner::Slow => {
                state.slow_held < slow_max && state.slow_held + state.unknown_held < unproven_max
            }
        }
    }

    fn take(&self, state: &mut State, share: &Share, manner: Manner) {
        state.free -= 1;
        *state.held_mut(manner) += 1;
        share.held.fetch_add(1, Ordering::Relaxed);
    }

    fn permit(self: &Arc<Self>, share: &Arc<Share>, manner: Manner) -> Permit {
        Permit {
            budget: Arc::clone(self),
            share: Arc::clone(share),
            manner,
        }
    }

    fn give_back(self: &Arc<Self>, share: &Share, manner: Manner) {
        let granted = {
            let mut state = self.state.lock();
            state.free += 1;
            *state.held_mut(manner) -= 1;
            share.held.fetch_sub(1, Ordering::Relaxed);
            if state.is_closed && state.free == self.total {
                self.emptied.notify_one();
            }
            self.grant(&mut state)
        };
        if let Some(Turn { share, manner, to }) = granted {
            // If nobody waits for it any more it is dropped here, and so given to the next.
            drop(to.send(self.permit(&share, manner)));
        }
    }

    /// Takes the permit that is free for whoever is next.
    fn grant(&self, state: &mut State) -> Option<Turn> {
        let fits = Manner::ALL.map(|manner| (manner, self.has_room_for(state, manner)));
        let turn = state.turns.next(|manner| fits.contains(&(manner, true)))?;
        self.take(state, &turn.share, turn.manner);
        Some(turn)
    }
}

// === impl State ===

impl State {
    fn held_mut(&mut self, manner: Manner) -> &mut usize {
        match manner {
            Manner::Prompt => &mut self.prompt_held,
            Manner::Unknown => &mut self.unknown_held,
            Manner::Slow => &mut self.slow_held,
        }
    }
}

// === impl Manner ===

impl Manner {
    const ALL: [Self; 3] = [Self::Prompt, Self::Unknown, Self::Slow];
}

// === impl Share ===

impl Share {
    pub(crate) fn new(endpoint: EndpointId) -> Arc<Self> {
        Arc::new(Self {
            endpoint,
            held: AtomicUsize::new(0),
            manner: AtomicU8::new(UNKNOWN),
        })
    }

    /// Learns from an attempt how long the endpoint keeps a permit.
    pub(crate) fn learn(&self, took: Duration) {
        let manner = if took < SLOW_FROM { PROMPT } else { SLOW };
        self.manner.store(manner, Ordering::Relaxed);
    }

    fn manner(&self) -> Manner {
        match self.manner.load(Ordering::Relaxed) {
            PROMPT => Manner::Prompt,
            SLOW => Manner::Slow,
            _ => Manner::Unknown,
        }
    }

    /// How many permits it holds.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

// === impl Permit ===

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.give_back(&self.share, self.manner);
    }
}

fn usize_of(weight: u32) -> usize {
    usize::try_from(weight).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
