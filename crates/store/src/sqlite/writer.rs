//! The one thread that writes: what queued while the last transaction was made durable shares the
//! next one. Must never answer before its transaction is durable.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::error::StoreError;
use crate::sqlite::batch::Batch;
use crate::sqlite::checkpoint::Progress;
use crate::sqlite::failure::{Failure, Reach};
use crate::sqlite::fatal::{Fatal, PanicGuard};
use crate::sqlite::queue::{Job, Queue, closed};

/// How long results wait until a full disk is tried again.
const FULL_DISK_PAUSE: Duration = Duration::from_secs(1);
/// Results that are tried again in one transaction: few, since fewer fit sooner.
const RETRIED_TOGETHER: usize = 64;

/// The writer, as those see it who have something to write.
pub(super) struct Writer {
    queue: Arc<Queue>,
    fatal: Fatal,
    thread: Option<JoinHandle<()>>,
}

struct Thread {
    connection: Connection,
    node: i64,
    epoch: i64,
    queue: Arc<Queue>,
    progress: Arc<Progress>,
    fatal: Fatal,
    /// Results that wait for room on the disk.
    kept: Vec<Box<dyn Job>>,
}

/// A job with somebody who waits for its answer.
struct Change<W, T, E> {
    work: W,
    bytes: usize,
    /// Whether it waits for the results before it.
    turn: Turn,
    answer: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Turn {
    Any,
    BehindResults,
}

// === impl Writer ===

impl Writer {
    pub(super) fn start(
        connection: Connection,
        node: i64,
        progress: Arc<Progress>,
        fatal: Fatal,
    ) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::new());
        let thread = Thread {
            connection,
            node,
            epoch: 0,
            queue: Arc::clone(&queue),
            progress,
            fatal: fatal.clone(),
            kept: Vec::new(),
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || thread.run())?;
        Ok(Self {
            queue,
            fatal,
            thread: Some(thread),
        })
    }

    /// Does some work in a transaction and returns its answer once that is durable. The work may
    /// run more than once, so it must not use up what it holds.
    pub(super) async fn change<W, T, E>(&self, work: W) -> Result<T, E>
    where
        W: FnMut(&mut Batch<'_>) -> Result<Result<T, E>, Failure> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.change_of_bytes(0, work).await
    }

    /// The same for work that holds much memory.
    pub(super) async fn change_of_bytes<W, T, E>(&self, bytes: usize, work: W) -> Result<T, E>
    where
        W: FnMut(&mut Batch<'_>) -> Result<Result<T, E>, Failure> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let change = Change {
            work,
            bytes,
            turn: Turn::Any,
            answer: None,
            reply,
        };
        self.check(self.queue.push(Box::new(change)))?;
        match answer.await {
            Ok(answer) => answer,
            Err(_) => Err(self.gone().into()),
        }
    }

    /// Queues a result; waits only while there is no room.
    pub(super) async fn record(
        &self,
        bytes: usize,
        result: impl FnOnce(tokio::sync::OwnedSemaphorePermit) -> Box<dyn Job>,
    ) -> Result<(), StoreError> {
        let room = self.check(self.queue.room(bytes).await)?;
        self.check(self.queue.push_result(result(room)))
    }

    /// Waits until all results so far are durable.
    pub(super) async fn flush(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let change = Change {
            work: |_: &mut Batch<'_>| Ok(Ok(())),
            bytes: 0,
            turn: Turn::BehindResults,
            answer: None,
            reply,
        };
        self.check(self.queue.push_behind_results(Box::new(change)))?;
        answer.await.unwrap_or_else(|_| Err(self.gone()))
    }

    /// The reason that counts: a closed queue is only what follows from it.
    fn check<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        self.fatal.check()?;
        result
    }

    fn gone(&self) -> StoreError {
        self.fatal.check().err().unwrap_or_else(closed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // A panic was taken down by the guard.
            let _ = thread.join();
        }
    }
}

// === impl Thread ===

impl Thread {
    fn run(mut self) {
        let _guard = PanicGuard(self.fatal.clone());
        loop {
            let pause = (!self.kept.is_empty()).then_some(FULL_DISK_PAUSE);
            let taken = self.queue.take(pause);
            let last = taken.is_none();
            self.retry_kept();
            let mut jobs = taken.unwrap_or_default();
            if !self.kept.is_empty() {
                // Results stay in order.
                let (kept, rest) = jobs.into_iter().partition(|j| j.outlasts_a_full_disk());
                self.kept.extend::<Vec<_>>(kept);
                jobs = rest;
            }
            self.commit(jobs);
            if self.fatal.check().is_err() || last {
                break;
            }
            if self.progress.take_close_out() {
                self.close_out();
            }
        }
    }

    /// Tries again what waits for room on the disk, in order, as far as that goes.
    fn retry_kept(&mut self) {
        let mut waiting = std::mem::take(&mut self.kept);
        while !waiting.is_empty() && self.kept.is_empty() {
            let rest = waiting.split_off(waiting.len().min(RETRIED_TOGETHER));
            self.commit(waiting);
            waiting = rest;
        }
        self.kept.append(&mut waiting);
    }

    /// Makes jobs durable, all together if that works.
    fn commit(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        if jobs.is_empty() {
            return;
        }
        let Err(failure) = self.transact(&mut jobs) else {
            self.progress.committed();
            jobs.into_iter().for_each(|job| job.finish(Ok(())));
            return;
        };
        match failure.reach() {
            Reach::Operation if jobs.len() > 1 => {
                let rest = jobs.split_off(jobs.len() / 2);
                self.commit(jobs);
                self.commit(rest);
            }
            Reach::Operation => finish(jobs, &failure.into()),
            Reach::Disk => {
                let all = jobs.len();
                let (kept, mut rest): (Vec<_>, Vec<_>) =
                    jobs.into_iter().partition(|j| j.outlasts_a_full_disk());
                self.kept.extend(kept);
                // A small job may still fit, and one that forgets makes room.
                match rest.len() {
                    1 if all == 1 => finish(rest, &StoreError::DiskFull),
                    less if less < all => self.commit(rest),
                    len => {
                        let half = rest.split_off(len / 2);
                        self.commit(rest);
                        self.commit(half);
                    }
                }
            }
            Reach::Process => {
                let error = StoreError::from(failure);
                self.fatal.set(&error.to_string());
                finish(jobs, &error);
            }
        }
    }

    fn transact(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), Failure> {
        self.fatal.check()?;
        let mut batch = Batch::new(&self.connection, self.node, self.epoch);
        batch.execute("BEGIN IMMEDIATE", [])?;
        let mut done = Ok(());
        for job in jobs {
            done = job.run(&mut batch);
            if done.is_err() {
                break;
            }
        }
        let done = done.and_then(|()| Ok(batch.execute("COMMIT", [])?));
        match done {
            Ok(_) => {
                self.epoch = batch.epoch;
                Ok(())
            }
            Err(failure) => {
                // SQLite has rolled back by itself after some failures.
                if !self.connection.is_autocommit() {
                    batch.execute("ROLLBACK", [])?;
                }
                Err(failure)
            }
        }
    }

    /// Copies the few frames that the checkpointer has left, so that the next transaction starts
    /// the log over instead of making it longer.
    fn close_out(&self) {
        if let Err(failure) = crate::sqlite::checkpoint::checkpoint(&self.connection)
            && failure.reach() == Reach::Process
        {
            self.fatal.set(&StoreError::from(failure).to_string());
        }
    }
}

/// Nobody is left waiting, not even after a panic.
impl Drop for Thread {
    fn drop(&mut self) {
        let mut left = std::mem::take(&mut self.kept);
        left.extend(self.queue.abandon());
        finish(left, &self.fatal.check().err().unwrap_or_else(closed));
    }
}

fn finish(jobs: Vec<Box<dyn Job>>, error: &StoreError) {
    for job in jobs {
        job.finish(Err(error.clone()));
    }
}

// === impl Change ===

impl<W, T, E> Job for Change<W, T, E>
where
    W: FnMut(&mut Batch<'_>) -> Result<Result<T, E>, Failure> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(&mut self, batch: &mut Batch<'_>) -> Result<(), Failure> {
        self.answer = Some((self.work)(batch)?);
        Ok(())
    }

    fn finish(self: Box<Self>, result: Result<(), StoreError>) {
        let answer = match (result, self.answer) {
            (Ok(()), Some(answer)) => answer,
            (Ok(()), None) => Err(closed().into()),
            (Err(error), _) => Err(error.into()),
        };
        // Whoever asked may have gone; the change stands all the same.
        let _ = self.reply.send(answer);
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn outlasts_a_full_disk(&self) -> bool {
        self.turn == Turn::BehindResults
    }
}
