//! What waits for the writer. Must never grow without bound, and never lose a result.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::StoreError;
use crate::sqlite::batch::Batch;
use crate::sqlite::failure::Failure;

/// Most jobs of one transaction: beyond this a bigger one saves little and delays its first.
const BATCH_JOBS: usize = 512;
/// Most bytes of one transaction (one job may have more).
const BATCH_BYTES: usize = 1 << 20;
/// Most jobs that wait: a tenth of a second's work; whoever comes then is told to come back.
const JOBS_MAX: usize = 4096;
/// Most bytes that wait.
const JOB_BYTES_MAX: usize = 32 << 20;
/// Results that wait, in units of `RESULT_UNIT_BYTES`; whoever comes then waits.
const RESULT_UNITS_MAX: u32 = 16 * 1024;
const RESULT_UNIT_BYTES: usize = 1024;
/// How long results wait for company. Nobody waits for them.
const RESULT_LINGER: Duration = Duration::from_millis(5);

/// One change. It may run again after the transaction that it ran in was rolled back.
pub(super) trait Job: Send {
    /// Does it within the open transaction.
    fn run(&mut self, batch: &mut Batch<'_>) -> Result<(), Failure>;

    /// Tells whoever waits, after the transaction is durable or has failed.
    fn finish(self: Box<Self>, result: Result<(), StoreError>);

    /// How much memory it holds.
    fn bytes(&self) -> usize {
        0
    }

    /// Whether it is a result: kept and tried again while nothing can be written.
    fn is_kept(&self) -> bool {
        false
    }

    /// What a result leaves behind that can't be taken down, in a transaction of its own.
    fn give_up(&mut self, _batch: &mut Batch<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

/// The jobs and results that wait.
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    room: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Box<dyn Job>>,
    job_bytes: usize,
    results: VecDeque<Box<dyn Job>>,
    /// When the first of the results came.
    results_since: Option<Instant>,
    /// Somebody waits for the results.
    hurry: bool,
    asleep: bool,
    closed: bool,
}

// === impl Queue ===

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            room: Arc::new(Semaphore::new(
                usize::try_from(RESULT_UNITS_MAX).unwrap_or(0),
            )),
        }
    }

    /// Queues a job, or refuses it.
    pub(super) fn push(&self, job: Box<dyn Job>) -> Result<(), StoreError> {
        let bytes = job.bytes();
        let mut state = self.state.lock();
        if state.closed {
            return Err(closed());
        }
        let full = state.job_bytes.saturating_add(bytes) > JOB_BYTES_MAX && !state.jobs.is_empty();
        if full || state.jobs.len() >= JOBS_MAX {
            return Err(StoreError::Overloaded);
        }
        state.job_bytes += bytes;
        state.jobs.push_back(job);
        self.rouse(state);
        Ok(())
    }

    /// Waits for room for a result of this size.
    pub(super) async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, StoreError> {
        let units = u32::try_from(bytes / RESULT_UNIT_BYTES).unwrap_or(RESULT_UNITS_MAX);
        let units = units.saturating_add(1).min(RESULT_UNITS_MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(units).await;
        room.map_err(|_| closed())
    }

    /// Queues a result that has room.
    pub(super) fn push_result(&self, result: Box<dyn Job>) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(closed());
        }
        state.results.push_back(result);
        let first = state.results_since.is_none();
        if first {
            state.results_since = Some(Instant::now());
        }
        if first || state.results.len() == BATCH_JOBS {
            self.rouse(state);
        }
        Ok(())
    }

    /// Queues a job behind all results so far.
    pub(super) fn push_behind_results(&self, job: Box<dyn Job>) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(closed());
        }
        state.results.push_back(job);
        state.hurry = true;
        self.rouse(state);
        Ok(())
    }

    /// Takes nothing more; what waits is still done.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        self.room.close();
        self.rouse(state);
    }

    /// Takes nothing more and gives out what waited.
    pub(super) fn abandon(&self) -> Vec<Box<dyn Job>> {
        self.close();
        let mut state = self.state.lock();
        let State { jobs, results, .. } = &mut *state;
        jobs.drain(..).chain(results.drain(..)).collect()
    }

    /// Waits for work, results first in order; `None` when closed and empty, and an empty batch
    /// after `at_most`. Each batch holds up to so many of either kind, so that neither can keep the
    /// other from being written, however much of it there is.
    pub(super) fn take(&self, at_most: Option<Duration>) -> Option<Vec<Box<dyn Job>>> {
        let until = at_most.map(|wait| Instant::now() + wait);
        let mut state = self.state.lock();
        loop {
            if state.ready() {
                return Some(state.drain());
            }
            if state.closed {
                return None;
            }
            let linger = state.results_since.map(|since| since + RESULT_LINGER);
            let deadline = linger.into_iter().chain(until).min();
            state.asleep = true;
            let timed_out = match deadline {
                Some(deadline) => self.wake.wait_until(&mut state, deadline).timed_out(),
                None => {
                    self.wake.wait(&mut state);
                    false
                }
            };
            state.asleep = false;
            if timed_out && until.is_some_and(|until| Instant::now() >= until) {
                return Some(state.drain());
            }
        }
    }

    fn rouse(&self, state: parking_lot::MutexGuard<'_, State>) {
        let asleep = state.asleep;
        drop(state);
        if asleep {
            self.wake.notify_one();
        }
    }
}

// === impl State ===

impl State {
    fn ready(&self) -> bool {
        let lingered = || {
            self.results_since
                .is_some_and(|since| since.elapsed() >= RESULT_LINGER)
        };
        !self.jobs.is_empty()
            || self.hurry
            || self.results.len() >= BATCH_JOBS
            || (self.closed && !self.results.is_empty())
            || lingered()
    }

    fn drain(&mut self) -> Vec<Box<dyn Job>> {
        let mut batch = Vec::with_capacity(self.jobs.len() + self.results.len());
        fill(&mut batch, &mut self.results);
        if self.results.is_empty() {
            self.results_since = None;
            self.hurry = false;
        }
        self.job_bytes = self
            .job_bytes
            .saturating_sub(fill(&mut batch, &mut self.jobs));
        batch
    }
}

/// Moves up to a batch; returns the bytes moved.
fn fill(batch: &mut Vec<Box<dyn Job>>, from: &mut VecDeque<Box<dyn Job>>) -> usize {
    let mut bytes = 0;
    for _ in 0..BATCH_JOBS {
        let Some(job) = from.pop_front() else { break };
        bytes += job.bytes();
        batch.push(job);
        if bytes >= BATCH_BYTES {
            break;
        }
    }
    bytes
}

pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("it is closed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tagged {
        is_result: bool,
        bytes: usize,
    }

    impl Job for Tagged {
        fn run(&mut self, _batch: &mut Batch<'_>) -> Result<(), Failure> {
            Ok(())
        }

        fn finish(self: Box<Self>, _result: Result<(), StoreError>) {}

        fn bytes(&self) -> usize {
            self.bytes
        }

        fn is_kept(&self) -> bool {
            self.is_result
        }
    }

    fn check(jobs: usize, results: usize, bytes: usize, expect: (usize, usize)) {
        let queue = Queue::new();
        let tagged = |is_result| Box::new(Tagged { is_result, bytes });
        for _ in 0..results {
            queue.push_result(tagged(true)).unwrap();
        }
        for _ in 0..jobs {
            queue.push(tagged(false)).unwrap();
        }
        let batch = queue.take(None).unwrap();
        let taken = batch.iter().filter(|job| job.is_kept()).count();
        assert_eq!((batch.len() - taken, taken), expect);
    }

    #[test]
    fn neither_messages_nor_results_keep_the_others_waiting() {
        check(JOBS_MAX, 3000, 0, (BATCH_JOBS, BATCH_JOBS));
        check(JOBS_MAX, 3, 0, (BATCH_JOBS, 3));
        check(3, 3000, 0, (3, BATCH_JOBS));
        let third = BATCH_BYTES / 3 + 1;
        check(10, 10, third, (3, 3));
        check(1, 1, 2 * BATCH_BYTES, (1, 1));
    }
}
