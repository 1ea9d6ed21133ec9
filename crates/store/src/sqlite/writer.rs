//! The one thread that writes: what queued while the last transaction was made durable shares the
//! next one. Must never answer before its transaction is durable.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::error::StoreError;
use crate::sqlite::batch::{Batch, Means};
use crate::sqlite::checkpoint::Progress;
use crate::sqlite::counts;
use crate::sqlite::endpoint_health::AllFailing;
use crate::sqlite::failure::{Failure, Reach};
use crate::sqlite::fatal::{Fatal, PanicGuard};
use crate::sqlite::flush::FlushTime;
use crate::sqlite::queue::{Job, Queue, closed};

/// How long a transaction waits for a lock that somebody else holds, an operator with another tool
/// for example: whoever waits for the transaction is to hear soon that it has to come back.
const LOCK_WAIT: Duration = Duration::from_secs(1);
/// How long results wait until they are tried again.
const KEPT_PAUSE: Duration = Duration::from_secs(1);
/// Results that are tried again in one transaction: few, since fewer fit sooner.
const RETRIED_TOGETHER: usize = 64;

/// The writer, as those see it who have something to write.
pub(super) struct Writer {
    queue: Arc<Queue>,
    flush_time: Arc<FlushTime>,
    fatal: Fatal,
    thread: Option<JoinHandle<()>>,
}

struct Thread {
    connection: Connection,
    means: Means,
    /// Endpoints that only fail, as of the last transaction; `None` until somebody asks.
    failing: Option<AllFailing>,
    node: i64,
    epoch: i64,
    queue: Arc<Queue>,
    flush_time: Arc<FlushTime>,
    progress: Arc<Progress>,
    fatal: Fatal,
    /// Results that wait until something can be written again.
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
        means: Means,
        node: i64,
        progress: Arc<Progress>,
        fatal: Fatal,
    ) -> std::io::Result<Self> {
        connection
            .busy_timeout(LOCK_WAIT)
            .map_err(std::io::Error::other)?;
        let queue = Arc::new(Queue::new());
        let flush_time = Arc::<FlushTime>::default();
        let thread = Thread {
            connection,
            means,
            failing: None,
            node,
            epoch: 0,
            queue: Arc::clone(&queue),
            flush_time: Arc::clone(&flush_time),
            progress,
            fatal: fatal.clone(),
            kept: Vec::new(),
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || thread.run())?;
        Ok(Self {
            queue,
            flush_time,
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

    /// How long the disk takes to make a transaction durable, of late.
    pub(super) fn flush_time(&self) -> Duration {
        self.flush_time.of_late()
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
            let pause = (!self.kept.is_empty()).then_some(KEPT_PAUSE);
            let taken = self.queue.take(pause);
            let last = taken.is_none();
            self.retry_kept();
            let jobs = self.behind_kept(taken.unwrap_or_default());
            self.commit(jobs);
            if self.fatal.check().is_err() || last {
                break;
            }
            if self.progress.take_close_out() {
                self.close_out();
            }
        }
    }

    /// Tries kept results again, in order, as far as that goes.
    fn retry_kept(&mut self) {
        let mut waiting = std::mem::take(&mut self.kept);
        while !waiting.is_empty() && self.kept.is_empty() {
            let rest = waiting.split_off(waiting.len().min(RETRIED_TOGETHER));
            self.commit(waiting);
            waiting = rest;
        }
        self.kept.append(&mut waiting);
    }

    /// Keeps results, which stay in order, behind those that are kept already; gives the others back.
    fn behind_kept(&mut self, jobs: Vec<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
        if self.kept.is_empty() {
            return jobs;
        }
        self.keep_results(jobs)
    }

    /// Keeps results; gives the others back.
    fn keep_results(&mut self, jobs: Vec<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
        let (kept, rest): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.is_kept());
        self.kept.extend(kept);
        rest
    }

    /// Makes jobs durable, all together if that works.
    fn commit(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        if jobs.is_empty() {
            return;
        }
        let all = |batch: &mut Batch<'_>| jobs.iter_mut().try_for_each(|job| job.run(batch));
        let Err(failure) = self.transact(all) else {
            self.progress.committed();
            jobs.into_iter().for_each(|job| job.finish(Ok(())));
            return;
        };
        match failure.reach() {
            Reach::Operation if jobs.len() > 1 => {
                let rest = jobs.split_off(jobs.len() / 2);
                self.commit(jobs);
                let rest = self.behind_kept(rest);
                self.commit(rest);
            }
            Reach::Operation => self.give_up(jobs, failure),
            Reach::Moment => {
                let rest = self.keep_results(jobs);
                finish(rest, &failure.into());
            }
            Reach::Disk => {
                let all = jobs.len();
                let mut rest = self.keep_results(jobs);
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
                let error = self.end(failure);
                finish(jobs, &error);
            }
        }
    }

    /// Ends jobs that can't be done. A result is kept until what it leaves behind is durable.
    fn give_up(&mut self, jobs: Vec<Box<dyn Job>>, failure: Failure) {
        let error = StoreError::from(failure);
        for mut job in jobs {
            if job.is_kept()
                && let Err(failure) = self.transact(|batch| job.give_up(batch))
            {
                if failure.reach() == Reach::Process {
                    self.end(failure);
                } else {
                    tracing::error!(error = %error, "Could not take down a result; trying again");
                    self.kept.push(job);
                    continue;
                }
            }
            job.finish(Err(error.clone()));
        }
    }

    /// Takes down that nothing can be trusted any more.
    fn end(&self, failure: Failure) -> StoreError {
        let error = StoreError::from(failure);
        self.fatal.set(&error.to_string());
        error
    }

    fn transact(
        &mut self,
        work: impl FnOnce(&mut Batch<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.fatal.check()?;
        let mut batch = Batch::new(&self.connection, &self.means, self.node, self.epoch);
        batch.execute("BEGIN IMMEDIATE", [])?;
        // Where the transaction fails they are read again.
        batch.failing = self.failing.take();
        let done = work(&mut batch).and_then(|()| {
            counts::write(&mut batch)?;
            let began = Instant::now();
            let done = batch.execute("COMMIT", [])?;
            self.flush_time.took(began.elapsed());
            Ok(done)
        });
        match done {
            Ok(_) => {
                self.epoch = batch.epoch;
                self.failing = batch.failing;
                self.means.aftermath.add(batch.aftermath.into_inner());
                Ok(())
            }
            Err(failure) => {
                // SQLite has rolled back by itself after some failures.
                if !self.connection.is_autocommit()
                    && let Err(error) = batch.execute("ROLLBACK", [])
                {
                    return Err(Failure::NotRolledBack(error));
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
            self.end(failure);
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

    fn is_kept(&self) -> bool {
        self.turn == Turn::BehindResults
    }
}
