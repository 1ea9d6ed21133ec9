//! The lanes that hold no permit and wait for one, and whose turn it is.
//!
//! **Invariant:** a lane waits once, whatever waits in it, and none waits for ever: each class, each
//! manner and each lane has its turns.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use hookseal_domain::delivery::priority::Priority;
use hookseal_domain::id::EndpointId;

use crate::budget::{Manner, Permit, Share};

/// Up to so many that had their turns may stand in a queue whatever waits: looking for them costs
/// more than they do.
const GONE_MAX: usize = 64;

/// Who waits.
pub(super) struct Turns {
    /// Each lane that waits, and as what at best.
    waiting: HashMap<EndpointId, (Arc<Waiter>, Priority)>,
    classes: [Class; 3],
}

/// Whose turn it is.
pub(super) struct Turn {
    /// The lane.
    pub(super) share: Arc<Share>,
    /// What it asked as.
    pub(super) manner: Manner,
    /// Where its permit goes.
    pub(super) to: oneshot::Sender<Permit>,
}

/// The lanes of a class that wait.
struct Class {
    priority: Priority,
    /// How many more turns it has before all classes get new ones.
    credit: u32,
    /// One queue for each manner; the first is served next.
    queues: VecDeque<(Manner, VecDeque<Arc<Waiter>>)>,
}

/// A lane that waits. It may stand in several classes' queues, and gets one permit.
struct Waiter {
    share: Arc<Share>,
    manner: Manner,
    grant: Mutex<Option<oneshot::Sender<Permit>>>,
}

// === impl Turns ===

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            waiting: HashMap::new(),
            classes: Priority::ALL.map(Class::new),
        }
    }

    /// Lets a lane wait for its turn. `None` if it does already: then it is moved up if it waits as
    /// a lower class.
    pub(super) fn join(
        &mut self,
        share: &Arc<Share>,
        manner: Manner,
        class: Priority,
    ) -> Option<oneshot::Receiver<Permit>> {
        let waits = self.waiting.get_mut(&share.endpoint);
        if let Some((waiter, waits_as)) = waits.filter(|(waiter, _)| !waiter.has_left()) {
            if class < *waits_as {
                *waits_as = class;
                let waiter = Arc::clone(waiter);
                self.push(waiter, class);
            }
            return None;
        }
        let (to, granted) = oneshot::channel();
        let waiter = Arc::new(Waiter {
            share: Arc::clone(share),
            manner,
            grant: Mutex::new(Some(to)),
        });
        let waits = (Arc::clone(&waiter), class);
        self.waiting.insert(share.endpoint, waits);
        self.push(waiter, class);
        Some(granted)
    }

    /// The lane whose turn it is, among those of the manners that fit.
    pub(super) fn next(&mut self, fits: impl Fn(Manner) -> bool + Copy) -> Option<Turn> {
        while !self.waiting.is_empty() {
            let waiter = next_waiter(&mut self.classes, fits)?;
            let Some(to) = waiter.grant.lock().take() else {
                // It stood in another queue, too, and had its turn.
                continue;
            };
            let waits = self.waiting.get(&waiter.share.endpoint);
            if waits.is_some_and(|(other, _)| Arc::ptr_eq(other, &waiter)) {
                self.waiting.remove(&waiter.share.endpoint);
            }
            if !to.is_closed() {
                return Some(Turn {
                    share: Arc::clone(&waiter.share),
                    manner: waiter.manner,
                    to,
                });
            }
        }
        None
    }

    fn push(&mut self, waiter: Arc<Waiter>, class: Priority) {
        let mut classes = self.classes.iter_mut();
        let class = classes.find(|one| one.priority == class);
        let queue = class.and_then(|class| {
            let mut queues = class.queues.iter_mut();
            queues.find(|(manner, _)| *manner == waiter.manner)
        });
        if let Some((_, queue)) = queue {
            // Who was moved up stands here as well, also after its turn in the higher class.
            if queue.len() > GONE_MAX + 2 * self.waiting.len() {
                queue.retain(|waiter| !waiter.has_left());
            }
            queue.push_back(waiter);
        }
    }

    /// How many stand in the queues, those included that had their turns.
    #[cfg(test)]
    pub(super) fn standing(&self) -> usize {
        let queues = self.classes.iter().flat_map(|class| &class.queues);
        queues.map(|(_, queue)| queue.len()).sum()
    }
}

// === impl Class ===

impl Class {
    fn new(priority: Priority) -> Self {
        let queues = Manner::ALL.map(|manner| (manner, VecDeque::new()));
        Self {
            priority,
            credit: priority.weight(),
            queues: queues.into(),
        }
    }

    fn has_any(&self, fits: impl Fn(Manner) -> bool) -> bool {
        let mut queues = self.queues.iter();
        queues.any(|(manner, queue)| fits(*manner) && !queue.is_empty())
    }

    /// The next of its lanes, of another manner each time.
    fn pop(&mut self, fits: impl Fn(Manner) -> bool) -> Option<Arc<Waiter>> {
        for _ in 0..self.queues.len() {
            let (manner, mut queue) = self.queues.pop_front()?;
            let waiter = fits(manner).then(|| queue.pop_front()).flatten();
            self.queues.push_back((manner, queue));
            if waiter.is_some() {
                return waiter;
            }
        }
        None
    }
}

// === impl Waiter ===

impl Waiter {
    fn has_left(&self) -> bool {
        let grant = self.grant.lock();
        grant.as_ref().is_none_or(oneshot::Sender::is_closed)
    }
}

/// When every class that waits has had its turns, all get new ones.
fn next_waiter(
    classes: &mut [Class; 3],
    fits: impl Fn(Manner) -> bool + Copy,
) -> Option<Arc<Waiter>> {
    for _ in 0..2 {
        let mut any = false;
        for class in classes.iter_mut().filter(|class| class.has_any(fits)) {
            any = true;
            if class.credit > 0 {
                class.credit -= 1;
                return class.pop(fits);
            }
        }
        if !any {
            return None;
        }
        for class in classes.iter_mut() {
            class.credit = class.priority.weight();
        }
    }
    None
}
