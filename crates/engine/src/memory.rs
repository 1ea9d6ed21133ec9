//! The memory that deliveries take on this node.
//!
//! **Invariant:** what is taken is given back once; who takes half of what is free at most, always leaves
//! some.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The memory of this node.
pub(crate) struct Memory {
    taken: AtomicUsize,
    max: usize,
}

// === impl Memory ===

impl Memory {
    /// So many bytes.
    pub(crate) fn new(max: usize) -> Self {
        let taken = AtomicUsize::new(0);
        Self { taken, max }
    }

    /// How many bytes are left.
    pub(crate) fn free(&self) -> usize {
        self.max.saturating_sub(self.taken())
    }

    /// Bytes of all deliveries.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes some.
    pub(crate) fn take(&self, bytes: usize) {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives some back.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}
