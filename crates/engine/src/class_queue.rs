//! What may begin in a lane, by class.
//!
//! **Invariant:** within a class the first comes first; classes take turns by weight, so that none
//! waits for ever.

use std::collections::VecDeque;

use hookseal_domain::delivery::priority::Priority;

/// Things that wait for a worker.
pub(crate) struct ClassQueue<T> {
    /// In the order of [`Priority::ALL`].
    classes: [Class<T>; 3],
}

struct Class<T> {
    priority: Priority,
    /// How many more turns it has before all classes get new ones.
    credit: u32,
    waiting: VecDeque<T>,
}

// === impl ClassQueue ===

impl<T> Default for ClassQueue<T> {
    fn default() -> Self {
        let classes = Priority::ALL.map(|priority| Class {
            priority,
            credit: priority.weight(),
            waiting: VecDeque::new(),
        });
        Self { classes }
    }
}

impl<T> ClassQueue<T> {
    pub(crate) fn push_back(&mut self, of: Priority, one: T) {
        let mut classes = self.classes.iter_mut();
        if let Some(class) = classes.find(|class| class.priority == of) {
            class.waiting.push_back(one);
        }
    }

    /// The next one. Takes it out of its class's turns.
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        if let Some(one) = self.classes.iter_mut().find_map(Class::take_turn) {
            return Some(one);
        }
        for class in &mut self.classes {
            class.credit = class.priority.weight();
        }
        self.classes.iter_mut().find_map(Class::take_turn)
    }

    /// The first of a class that is wanted. Takes no turn.
    pub(crate) fn pop_first_if(&mut self, wanted: impl Fn(&T) -> bool) -> Option<T> {
        let mut classes = self.classes.iter_mut();
        let class = classes.find(|class| class.waiting.front().is_some_and(&wanted))?;
        class.waiting.pop_front()
    }

    /// Puts the last one that was given out back to where it was, and its turn.
    pub(crate) fn put_back(&mut self, of: Priority, one: T) {
        let mut classes = self.classes.iter_mut();
        if let Some(class) = classes.find(|class| class.priority == of) {
            class.waiting.push_front(one);
            class.credit += 1;
        }
    }

    /// The first of each class.
    pub(crate) fn firsts(&self) -> impl Iterator<Item = &T> {
        let classes = self.classes.iter();
        classes.filter_map(|class| class.waiting.front())
    }

    /// All, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.classes.iter().flat_map(|class| &class.waiting)
    }

    pub(crate) fn len(&self) -> usize {
        self.classes.iter().map(|class| class.waiting.len()).sum()
    }

    /// The class of the most urgent that waits.
    pub(crate) fn most_urgent(&self) -> Option<Priority> {
        let mut classes = self.classes.iter();
        let class = classes.find(|class| !class.waiting.is_empty())?;
        Some(class.priority)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.classes.iter().all(|class| class.waiting.is_empty())
    }

    /// Keeps only some.
    pub(crate) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        for class in &mut self.classes {
            class.waiting.retain(&keep);
        }
    }

    /// Takes everything out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> {
        self.classes
            .iter_mut()
            .flat_map(|class| class.waiting.drain(..))
    }
}

// === impl Class ===

impl<T> Class<T> {
    fn take_turn(&mut self) -> Option<T> {
        if self.credit == 0 {
            return None;
        }
        let one = self.waiting.pop_front()?;
        self.credit -= 1;
        Some(one)
    }
}

#[cfg(test)]
mod tests {
    use hookseal_domain::delivery::DeliveryKey;
    use hookseal_domain::id::{EndpointId, MessageId};

    use super::*;
    use crate::job::Job;

    fn push(queue: &mut ClassQueue<Job>, priority: Priority, message: i64) {
        let key = DeliveryKey {
            message: MessageId::from_raw(message),
            endpoint: EndpointId::from_raw(1),
        };
        let job = Job {
            class: priority,
            ..Job::plain(key)
        };
        queue.push_back(priority, job);
    }

    fn counts(jobs: impl Iterator<Item = Job>) -> [usize; 3] {
        let jobs: Vec<_> = jobs.map(|job| job.class).collect();
        Priority::ALL.map(|class| jobs.iter().filter(|of| **of == class).count())
    }

    #[test]
    fn classes_take_turns_by_weight_and_none_waits_for_ever() {
        let mut queue = ClassQueue::default();
        for message in 0..63 {
            for class in [Priority::Bulk, Priority::Normal, Priority::High] {
                push(&mut queue, class, message);
            }
        }
        assert_eq!(queue.len(), 189);
        assert_eq!(queue.most_urgent(), Some(Priority::High));
        for _ in 0..3 {
            let turns = std::iter::from_fn(|| queue.pop_front()).take(21);
            assert_eq!(counts(turns), [16, 4, 1]);
        }
        let all = std::iter::from_fn(|| queue.pop_front());
        assert_eq!(counts(all), [15, 51, 60], "each to its end");
        assert!(queue.is_empty());
    }

    #[test]
    fn within_a_class_the_first_comes_first() {
        let mut queue = ClassQueue::default();
        for message in 0..50 {
            push(&mut queue, Priority::Normal, message);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop_front())
            .map(|job| job.key.message.raw())
            .collect();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
        push(&mut queue, Priority::Bulk, 1);
        assert_eq!(counts(queue.drain()), [0, 0, 1]);
        assert!(queue.pop_front().is_none());
    }
}
