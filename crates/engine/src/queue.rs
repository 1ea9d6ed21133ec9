//! What waits in a lane for a worker.
//!
//! **Invariant:** of the deliveries of one order at most one is given out at a time, the lowest that
//! is here; the next one is not before that has ended.

use std::collections::{BTreeMap, HashMap};

use hookseal_domain::delivery::DeliveryKey;
use hookseal_domain::delivery::batch::{BATCH_BYTES_MAX, BatchRule, Waiting};
use hookseal_domain::delivery::priority::Priority;
use hookseal_domain::endpoint::order::KeyHash;
use hookseal_domain::time::Timestamp;

use crate::class_queue::ClassQueue;
use crate::job::Job;

/// Orders keep theirs whatever the classes of their messages, so all of them are of the same.
const LINE_CLASS: Priority = Priority::Normal;

/// A lane's deliveries in memory that no worker has begun.
#[derive(Default)]
pub(crate) struct Queue {
    /// What may begin.
    ready: ClassQueue<Ready>,
    /// What has an order. Empty lines are forgotten once nothing of them is under way.
    lines: HashMap<KeyHash, Line>,
    /// Of what has no order.
    tally: Tally,
}

/// What a worker takes at once.
pub(crate) enum Work {
    /// One delivery, as it is.
    One(Job),
    /// Some, as one batch. At least one.
    Batch(Vec<Job>),
}

/// What waits without an order, summed up, so that nobody has to look at each.
#[derive(Default)]
struct Tally {
    /// What has nothing to deliver, and so waits for no others.
    payloadless: usize,
    events: usize,
    bytes: usize,
    /// The first that expires: none sooner.
    expires_at: Option<Timestamp>,
}

enum Ready {
    /// One without an order.
    Job(Job),
    /// The first of this line.
    Line(KeyHash),
}

/// The deliveries of one key.
#[derive(Default)]
struct Line {
    /// By place.
    waiting: BTreeMap<i64, Job>,
    /// Whether one of them is under way.
    is_busy: bool,
}

/// What becomes of those that wait for a delivery that is under way no more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum After {
    /// It is out of their way.
    GoOn,
    /// It is unfinished: they go back to the store, and come again behind it.
    GoBack,
}

// === impl Queue ===

impl Queue {
    /// How many may begin now.
    pub(crate) fn len(&self) -> usize {
        self.ready.len()
    }

    /// How many there are, those among them that wait for others of their order.
    pub(crate) fn waiting_len(&self) -> usize {
        let ordered = self.lines.values().map(|line| line.waiting.len());
        self.tally.payloadless + self.tally.events + ordered.sum::<usize>()
    }

    /// Whether none may begin now.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// The class of the most urgent that may begin now.
    pub(crate) fn most_urgent(&self) -> Option<Priority> {
        self.ready.most_urgent()
    }

    /// Whether some of this order are here or under way.
    pub(crate) fn has_order(&self, key: KeyHash) -> bool {
        self.lines.contains_key(&key)
    }

    /// Whether some are here or under way of an order that is that of the whole endpoint.
    pub(crate) fn is_one_order(&self) -> bool {
        self.has_order(KeyHash::ENDPOINT)
    }

    /// Takes a delivery in. One of the same place is replaced and given back: it was taken before
    /// somebody resent it.
    pub(crate) fn push(&mut self, job: Job) -> Option<Job> {
        let Some(rank) = job.rank else {
            self.tally.add(&job);
            self.ready.push_back(job.class, Ready::Job(job));
            return None;
        };
        let line = self.lines.entry(rank.key).or_default();
        if !line.is_busy && line.waiting.is_empty() {
            self.ready.push_back(LINE_CLASS, Ready::Line(rank.key));
        }
        line.waiting.insert(rank.seq, job)
    }

    /// Gives out the next delivery. One with an order has to be ended with [`Queue::ended`].
    pub(crate) fn pop(&mut self) -> Option<Job> {
        let ready = self.ready.pop_front()?;
        self.take(ready)
    }

    fn take(&mut self, ready: Ready) -> Option<Job> {
        match ready {
            Ready::Job(job) => {
                self.tally.remove(&job);
                Some(job)
            }
            Ready::Line(key) => self.pop_line(key),
        }
    }

    /// Gives out one that needs no slot: the first of a class that is `useless`.
    pub(crate) fn pop_useless(&mut self, useless: impl Fn(&Job) -> bool) -> Option<Job> {
        let lines = &self.lines;
        let ready = self.ready.pop_first_if(|ready| match ready {
            Ready::Job(job) => useless(job),
            Ready::Line(key) => {
                let first = lines
                    .get(key)
                    .and_then(|line| line.waiting.first_key_value());
                first.is_some_and(|(_, job)| useless(job))
            }
        })?;
        self.take(ready)
    }

    /// The same where what has no order goes together, up to so many, in the order in which it was
    /// published.
    pub(crate) fn pop_together(&mut self, rule: BatchRule) -> Option<Work> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < usize::from(rule.events_max()) {
            match self.ready.pop_front() {
                Some(Ready::Job(job)) => {
                    bytes += job.event_bytes();
                    if bytes > BATCH_BYTES_MAX && !batch.is_empty() {
                        self.ready.put_back(job.class, Ready::Job(job));
                        break;
                    }
                    self.tally.remove(&job);
                    batch.push(job);
                }
                Some(Ready::Line(key)) if batch.is_empty() => {
                    return self.pop_line(key).map(Work::One);
                }
                Some(line @ Ready::Line(_)) => {
                    self.ready.put_back(LINE_CLASS, line);
                    break;
                }
                None => break,
            }
        }
        if self.tally.expires_at.is_some() {
            self.tally.expires_at = self.first_expiry();
        }
        batch.sort_unstable_by_key(|job| job.key.message);
        (!batch.is_empty()).then_some(Work::Batch(batch))
    }

    /// What waits for its batch; `None` if nothing has to, since there is nothing, or something that
    /// goes alone.
    pub(crate) fn waiting(&self) -> Option<Waiting> {
        let ready_at = |ready: &Ready| match ready {
            Ready::Job(job) => Some(job.ready_at),
            Ready::Line(_) => None,
        };
        let since = self.ready.firsts().filter_map(ready_at).min();
        (self.ready.len() == self.tally.events).then_some(Waiting {
            events: self.tally.events,
            bytes: self.tally.bytes,
            since: since?,
            expires_at: self.tally.expires_at,
            most_urgent: self.most_urgent().unwrap_or_default(),
            is_crowded: false,
        })
    }

    fn first_expiry(&self) -> Option<Timestamp> {
        let expires_at = |ready: &Ready| match ready {
            Ready::Job(job) => job.expires_at,
            Ready::Line(_) => None,
        };
        self.ready.iter().filter_map(expires_at).min()
    }

    fn pop_line(&mut self, key: KeyHash) -> Option<Job> {
        let line = self.lines.get_mut(&key)?;
        line.is_busy = true;
        line.waiting.pop_first().map(|(_, job)| job)
    }

    /// Takes note that a delivery of this order is under way no more; gives back what goes back.
    pub(crate) fn ended(&mut self, key: KeyHash, after: After) -> Vec<Job> {
        let Some(line) = self.lines.get_mut(&key) else {
            return Vec::new();
        };
        line.is_busy = false;
        let back = match after {
            After::GoOn => BTreeMap::new(),
            After::GoBack => std::mem::take(&mut line.waiting),
        };
        if line.waiting.is_empty() {
            self.lines.remove(&key);
        } else {
            self.ready.push_back(LINE_CLASS, Ready::Line(key));
        }
        back.into_values().collect()
    }

    /// Gives back a delivery that waits here, with all behind it.
    pub(crate) fn withdraw(&mut self, delivery: DeliveryKey) -> Vec<Job> {
        let waits = |line: &Line| {
            let mut waiting = line.waiting.iter();
            waiting.find_map(|(seq, job)| (job.key == delivery).then_some(*seq))
        };
        let found = self
            .lines
            .iter_mut()
            .find_map(|(key, line)| Some((*key, waits(line)?, line)));
        let Some((key, seq, line)) = found else {
            return Vec::new();
        };
        let back = line.waiting.split_off(&seq);
        if line.waiting.is_empty() && !line.is_busy {
            self.lines.remove(&key);
            self.ready
                .retain(|ready| !matches!(ready, Ready::Line(of) if *of == key));
        }
        back.into_values().collect()
    }

    /// Takes these out that no worker has begun; with those that have an order come all behind them.
    pub(crate) fn withdraw_all(&mut self, wanted: impl Fn(DeliveryKey) -> bool) -> Vec<Job> {
        let mut out = Vec::new();
        let ready: Vec<_> = self.ready.drain().collect();
        for one in ready {
            match one {
                Ready::Job(job) if wanted(job.key) => {
                    self.tally.remove(&job);
                    out.push(job);
                }
                Ready::Job(job) => self.ready.push_back(job.class, Ready::Job(job)),
                Ready::Line(key) => self.ready.push_back(LINE_CLASS, Ready::Line(key)),
            }
        }
        let lines = self.lines.values().flat_map(|line| line.waiting.values());
        let ordered = lines.map(|job| job.key);
        let ordered: Vec<_> = ordered.filter(|key| wanted(*key)).collect();
        self.tally.expires_at = self.first_expiry();
        for key in ordered {
            out.extend(self.withdraw(key));
        }
        out
    }

    /// Gives back everything.
    pub(crate) fn drain(&mut self) -> Vec<Job> {
        let ready = self.ready.drain().filter_map(|ready| match ready {
            Ready::Job(job) => Some(job),
            Ready::Line(_) => None,
        });
        let mut all: Vec<Job> = ready.collect();
        for line in self.lines.values_mut() {
            all.extend(std::mem::take(&mut line.waiting).into_values());
        }
        self.lines.retain(|_, line| line.is_busy);
        self.tally = Tally::default();
        all
    }
}

// === impl Tally ===

impl Tally {
    fn add(&mut self, job: &Job) {
        if job.payload.is_none() {
            self.payloadless += 1;
            return;
        }
        self.events += 1;
        self.bytes += job.event_bytes();
        self.expires_at = self.expires_at.into_iter().chain(job.expires_at).min();
    }

    fn remove(&mut self, job: &Job) {
        if job.payload.is_none() {
            self.payloadless -= 1;
            return;
        }
        self.events -= 1;
        self.bytes -= job.event_bytes();
    }
}

#[cfg(test)]
mod tests {
    use hookseal_domain::endpoint::order::Rank;
    use hookseal_domain::id::{EndpointId, MessageId};

    use super::*;

    const X: KeyHash = KeyHash::from_raw(1);
    const Y: KeyHash = KeyHash::from_raw(2);

    fn key(message: i64) -> DeliveryKey {
        DeliveryKey {
            message: MessageId::from_raw(message),
            endpoint: EndpointId::from_raw(9),
        }
    }

    /// A delivery whose message is its place.
    fn ordered(order: KeyHash, seq: i64) -> Job {
        let rank = Some(Rank { key: order, seq });
        Job {
            rank,
            ..Job::plain(key(seq))
        }
    }

    fn free(message: i64) -> Job {
        Job::plain(key(message))
    }

    fn queue(jobs: impl IntoIterator<Item = Job>) -> Queue {
        let mut queue = Queue::default();
        for job in jobs {
            assert!(queue.push(job).is_none());
        }
        queue
    }

    fn popped(queue: &mut Queue) -> Vec<i64> {
        std::iter::from_fn(|| queue.pop())
            .map(|job| job.key.message.raw())
            .collect()
    }

    fn messages(jobs: Vec<Job>) -> Vec<i64> {
        jobs.iter().map(|job| job.key.message.raw()).collect()
    }

    #[test]
    fn one_of_each_order_at_a_time() {
        let (x1, x2, y3) = (ordered(X, 1), ordered(X, 2), ordered(Y, 3));
        let mut queue = queue([x1, x2, y3, free(4)]);
        assert_eq!(queue.len(), 3);
        assert_eq!(popped(&mut queue), [1, 3, 4]);
        assert!(queue.ended(Y, After::GoOn).is_empty());
        assert!(queue.is_empty(), "the first of x is under way");
        queue.ended(X, After::GoOn);
        assert_eq!(popped(&mut queue), [2]);
        queue.ended(X, After::GoOn);
        assert!(queue.lines.is_empty());
    }

    #[test]
    fn any_of_them_is_withdrawn() {
        let orders = [ordered(X, 1), ordered(X, 2), ordered(X, 3), ordered(Y, 4)];
        let mut queue = queue(orders.into_iter().chain([free(5), free(6), free(7)]));
        assert_eq!(queue.waiting_len(), 7);
        let out = queue.withdraw_all(|of| [2, 6].map(key).contains(&of));
        let mut out = messages(out);
        out.sort_unstable();
        assert_eq!(out, [2, 3, 6], "with those behind it");
        assert_eq!(popped(&mut queue), [1, 4, 5, 7]);
        let none = queue.withdraw_all(|of| [1, 7].map(key).contains(&of));
        assert!(none.is_empty());
    }

    #[test]
    fn what_is_left_when_some_are_withdrawn_still_goes_together() {
        let with = |message, expires_at: i64| Job {
            expires_at: Some(Timestamp::from_millis(expires_at)),
            ..free(message)
        };
        let mut queue = queue([with(1, 50), with(2, 70), with(3, 60)]);
        assert_eq!(messages(queue.withdraw_all(|of| of == key(1))), [1]);
        let waiting = queue.waiting().unwrap();
        assert_eq!(waiting.events, 2);
        assert_eq!(waiting.expires_at, Some(Timestamp::from_millis(60)));
        assert_eq!(together(&mut queue, 3), Some(vec![2, 3]));
    }

    #[test]
    fn what_needs_no_slot_is_found_at_the_head_of_its_class() {
        let bulk = Job {
            class: Priority::Bulk,
            ..free(6)
        };
        let mut queue = queue([free(1), free(2), ordered(X, 3), ordered(X, 4), bulk]);
        let useless = |of: &[i64], queue: &mut Queue| {
            let useless = queue.pop_useless(|job| of.contains(&job.key.message.raw()));
            useless.map(|job| job.key.message.raw())
        };
        assert_eq!(useless(&[2, 3], &mut queue), None, "behind one that is not");
        assert_eq!(useless(&[2, 6], &mut queue), Some(6));
        assert_eq!(useless(&[1], &mut queue), Some(1));
        assert_eq!(useless(&[2], &mut queue), Some(2));
        assert_eq!(useless(&[4], &mut queue), None);
        assert_eq!(useless(&[3, 4], &mut queue), Some(3));
        assert_eq!(
            useless(&[4], &mut queue),
            None,
            "one of each order at a time"
        );
        queue.ended(X, After::GoOn);
        assert_eq!(useless(&[4], &mut queue), Some(4));
        assert_eq!(queue.waiting_len(), 0);
    }

    #[test]
    fn the_lowest_comes_first_however_they_came() {
        let mut queue = queue([5, 3, 4].map(|seq| ordered(X, seq)));
        assert_eq!(popped(&mut queue), [3]);
        queue.push(ordered(X, 2));
        queue.ended(X, After::GoOn);
        assert_eq!(popped(&mut queue), [2]);
    }

    #[test]
    fn behind_one_that_is_unfinished_all_go_back() {
        let mut queue = queue([ordered(X, 1), ordered(X, 2), ordered(X, 3), ordered(Y, 4)]);
        assert_eq!(popped(&mut queue), [1, 4]);
        assert_eq!(messages(queue.ended(X, After::GoBack)), [2, 3]);
        assert!(queue.is_empty());
        // It comes again.
        queue.push(ordered(X, 1));
        assert_eq!(popped(&mut queue), [1]);
    }

    #[test]
    fn what_was_resent_or_skipped_goes_back_with_those_behind_it() {
        let mut queue = queue([1, 2, 3].map(|seq| ordered(X, seq)));
        assert_eq!(messages(queue.withdraw(key(2))), [2, 3]);
        assert!(queue.withdraw(key(2)).is_empty());
        assert_eq!(messages(queue.withdraw(key(1))), [1]);
        assert!(queue.is_empty() && queue.lines.is_empty());
        queue.push(ordered(X, 1));
        assert_eq!(popped(&mut queue), [1]);
        queue.push(ordered(X, 2));
        assert!(queue.withdraw(key(1)).is_empty(), "it is under way");
        assert_eq!(messages(queue.withdraw(key(2))), [2]);
        queue.push(ordered(X, 3));
        assert!(queue.is_empty(), "the first is still under way");
        queue.ended(X, After::GoOn);
        assert_eq!(popped(&mut queue), [3]);
    }

    #[test]
    fn draining_forgets_nothing_that_is_under_way() {
        let mut queue = queue([ordered(X, 1), ordered(X, 2), ordered(Y, 3), free(4)]);
        assert_eq!(queue.pop().map(|job| job.key), Some(key(1)));
        let mut drained = messages(queue.drain());
        drained.sort_unstable();
        assert_eq!(drained, [2, 3, 4]);
        queue.push(ordered(X, 2));
        assert!(queue.is_empty());
        queue.ended(X, After::GoOn);
        assert_eq!(popped(&mut queue), [2]);
    }

    fn together(queue: &mut Queue, most: u16) -> Option<Vec<i64>> {
        match queue.pop_together(BatchRule::new(most, 0).unwrap())? {
            Work::One(job) => panic!("{job:?} goes alone"),
            Work::Batch(jobs) => Some(messages(jobs)),
        }
    }

    #[test]
    fn what_has_no_order_goes_together_as_it_was_published() {
        let bulk = Job {
            class: Priority::Bulk,
            ..free(1)
        };
        let mut queue = queue([free(3), bulk, free(2), free(5), free(4)]);
        assert_eq!(queue.waiting().unwrap().events, 5);
        assert_eq!(together(&mut queue, 3), Some(vec![2, 3, 5]));
        assert_eq!(queue.waiting().unwrap().events, 2);
        assert_eq!(together(&mut queue, 3), Some(vec![1, 4]));
        assert_eq!(together(&mut queue, 3), None);
        assert_eq!(queue.waiting(), None);
    }

    #[test]
    fn what_has_no_payload_waits_for_nobody() {
        let gone = Job {
            payload: None,
            ..free(2)
        };
        let mut queue = queue([free(1), gone, free(3)]);
        assert_eq!((queue.waiting(), queue.waiting_len()), (None, 3));
        assert!(queue.pop_useless(|job| job.payload.is_none()).is_none());
        assert_eq!(queue.pop().unwrap().key, key(1));
        let useless = queue.pop_useless(|job| job.payload.is_none());
        assert_eq!(useless.unwrap().key, key(2));
        assert_eq!(queue.waiting().unwrap().events, 1);
    }

    #[test]
    fn what_has_an_order_goes_alone() {
        let mut queue = queue([free(1), ordered(X, 2), free(3), ordered(X, 4)]);
        assert_eq!(queue.waiting(), None, "nothing has to wait");
        assert_eq!(together(&mut queue, 9), Some(vec![1]));
        let alone = queue.pop_together(BatchRule::new(9, 0).unwrap());
        assert!(matches!(alone, Some(Work::One(job)) if job.key == key(2)));
        assert_eq!(queue.waiting().unwrap().events, 1);
        assert_eq!(together(&mut queue, 9), Some(vec![3]));
    }

    #[test]
    fn a_batch_has_a_size() {
        let of_bytes = |message, bytes| Job {
            payload: Some(vec![b'1'; bytes].into()),
            ..free(message)
        };
        let third = BATCH_BYTES_MAX / 3;
        let mut queue = queue([
            of_bytes(1, third),
            of_bytes(2, third),
            of_bytes(3, third),
            of_bytes(4, BATCH_BYTES_MAX),
            of_bytes(5, 1),
        ]);
        assert_eq!(together(&mut queue, 9), Some(vec![1, 2]));
        assert_eq!(together(&mut queue, 9), Some(vec![3]));
        assert_eq!(
            together(&mut queue, 9),
            Some(vec![4]),
            "alone, however large"
        );
        let bytes = queue.waiting().unwrap().bytes;
        assert!((1..200).contains(&bytes), "{bytes}");
    }

    #[test]
    fn the_oldest_and_the_first_that_expires_are_known() {
        let at = Timestamp::from_millis;
        let with = |message, ready_at, expires_at: Option<i64>| Job {
            ready_at: at(ready_at),
            expires_at: expires_at.map(at),
            ..free(message)
        };
        let mut queue = queue([
            with(1, 10, Some(70)),
            with(2, 20, Some(50)),
            with(3, 30, None),
        ]);
        queue.push(with(4, 40, Some(60)));
        let known = |queue: &Queue| queue.waiting().map(|of| (of.since, of.expires_at));
        assert_eq!(known(&queue), Some((at(10), Some(at(50)))));
        assert_eq!(together(&mut queue, 2), Some(vec![1, 2]));
        assert_eq!(known(&queue), Some((at(30), Some(at(60)))));
        queue.drain();
        assert_eq!(known(&queue), None);
        queue.push(with(5, 50, None));
        assert_eq!(known(&queue), Some((at(50), None)));
    }

    #[test]
    fn one_that_comes_twice_is_given_back() {
        let mut queue = queue([ordered(X, 1), ordered(X, 2)]);
        assert!(queue.push(ordered(X, 2)).is_some());
        assert_eq!(queue.len(), 1);
    }
}
