//! Turns for changes that depend on what was before: a PATCH must not undo another one.

use std::hash::{BuildHasher, Hash, RandomState};

use tokio::sync::{Mutex, MutexGuard};

/// So many that two organisations or applications hardly ever wait for each other.
const TURNS: usize = 64;

/// Hands out turns, by what is to be changed.
#[derive(Debug)]
pub(crate) struct Turns {
    hasher: RandomState,
    first: Mutex<()>,
    others: [Mutex<()>; TURNS - 1],
}

// === impl Turns ===

impl Turns {
    /// Waits for the turn to change something of `owner`, which lasts as long as the guard.
    pub(crate) async fn of<T: Hash>(&self, owner: T) -> MutexGuard<'_, ()> {
        let hash = usize::try_from(self.hasher.hash_one(owner) & 0xffff).unwrap_or_default();
        let lock = self.others.get(hash % TURNS).unwrap_or(&self.first);
        lock.lock().await
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            first: Mutex::new(()),
            others: std::array::from_fn(|_| Mutex::new(())),
        }
    }
}
