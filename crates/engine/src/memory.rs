//! The memory that deliveries take, on this node and of each application.
//!
//! **Invariant:** an application gets no more than it leaves free for the others, and a lane no more
//! than half of what its application may still take, so that neither takes all of what others need.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use hookseal_domain::id::AppId;

/// The memory of this node.
pub(crate) struct Memory {
    node: Arc<Node>,
    by_app: Mutex<HashMap<AppId, Arc<AppMemory>>>,
}

/// That of an application.
pub(crate) struct AppMemory {
    node: Arc<Node>,
    taken: AtomicUsize,
}

struct Node {
    taken: AtomicUsize,
    max: usize,
}

// === impl Memory ===

impl Memory {
    /// So many bytes.
    pub(crate) fn new(max: usize) -> Self {
        let taken = AtomicUsize::new(0);
        Self {
            node: Arc::new(Node { taken, max }),
            by_app: Mutex::default(),
        }
    }

    /// An application's.
    pub(crate) fn of(&self, app: AppId) -> Arc<AppMemory> {
        let mut by_app = self.by_app.lock();
        let of_app = by_app.entry(app).or_insert_with(|| {
            Arc::new(AppMemory {
                node: Arc::clone(&self.node),
                taken: AtomicUsize::new(0),
            })
        });
        Arc::clone(of_app)
    }

    /// Forgets the applications that have no lane.
    pub(crate) fn sweep(&self) {
        let used = |of_app: &Arc<AppMemory>| Arc::strong_count(of_app) > 1;
        self.by_app.lock().retain(|_, of_app| used(of_app));
    }

    /// Bytes of all.
    pub(crate) fn taken(&self) -> usize {
        self.node.taken.load(Ordering::Relaxed)
    }
}

// === impl AppMemory ===

impl AppMemory {
    /// How many bytes the application may still take.
    pub(crate) fn room(&self) -> usize {
        self.node
            .free()
            .saturating_sub(self.taken.load(Ordering::Relaxed))
    }

    /// Whether a lane that has nothing gets a place for whatever comes, so that no payload is too
    /// large to be delivered.
    pub(crate) fn takes_anything(&self) -> bool {
        let free = self.node.free();
        free > 0 && self.taken.load(Ordering::Relaxed) <= free
    }

    /// Takes some.
    pub(crate) fn take(&self, bytes: usize) {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        self.node.taken.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives some back.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
        self.node.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

// === impl Node ===

impl Node {
    fn free(&self) -> usize {
        self.max.saturating_sub(self.taken.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_leaves_as_much_as_it_takes() {
        let memory = Memory::new(1000);
        let (one, other) = (memory.of(AppId::from_raw(1)), memory.of(AppId::from_raw(2)));
        assert_eq!((one.room(), other.room()), (1000, 1000));
        one.take(400);
        assert_eq!((one.room(), other.room()), (200, 600));
        one.take(100);
        assert_eq!((one.room(), other.room()), (0, 500));
        assert!(one.takes_anything(), "one more for a lane that has nothing");
        one.take(100);
        assert!(!one.takes_anything() && other.takes_anything());
        one.give_back(600);
        assert_eq!((memory.taken(), other.room()), (0, 1000));
        drop(one);
        memory.sweep();
        assert_eq!(memory.by_app.lock().len(), 1);
    }
}
