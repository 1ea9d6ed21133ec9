//! The threads that read. Must never keep the writer waiting: each has its own connection, which
//! can't write, and a time limit, since an endless read would keep the log from starting over.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::error::StoreError;
use crate::sqlite::OpenError;
use crate::sqlite::connection::Place;
use crate::sqlite::failure::Failure;
use crate::sqlite::fatal::{Fatal, PanicGuard};
use crate::sqlite::queue::closed;

/// Two: a slow list leaves one for everything else.
const THREADS: usize = 2;
/// Most questions that wait: far more than two threads answer before their askers give up.
const QUESTIONS_MAX: usize = 1024;
/// How many steps of SQLite's machine pass between looks at the clock: well under a millisecond.
const STEPS_PER_LOOK: i32 = 4000;

type Question = Box<dyn FnOnce(&Connection) + Send>;

/// The readers, as those see them who have a question.
pub(super) struct Readers {
    shared: Arc<Shared>,
    fatal: Fatal,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    questions: VecDeque<Question>,
    closed: bool,
}

// === impl Readers ===

impl Readers {
    /// Starts the threads. No question may take longer than `time_limit`.
    pub(super) fn start(
        place: &Place,
        time_limit: Duration,
        fatal: Fatal,
    ) -> Result<Self, OpenError> {
        let mut readers = Self {
            shared: Arc::default(),
            fatal: fatal.clone(),
            threads: Vec::new(),
        };
        for _ in 0..THREADS {
            let connection = place.reader()?;
            let shared = Arc::clone(&readers.shared);
            let fatal = fatal.clone();
            let thread = std::thread::Builder::new()
                .name("store-reader".to_owned())
                .spawn(move || run(connection, &shared, time_limit, fatal))?;
            readers.threads.push(thread);
        }
        Ok(readers)
    }

    /// Asks a question of the last durable state.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.fatal.check()?;
        let (reply, answer) = oneshot::channel();
        let question = move |connection: &Connection| {
            if !reply.is_closed() {
                let answer = question(connection).map_err(StoreError::from);
                // Whoever asked may have gone.
                let _ = reply.send(answer);
            }
        };
        {
            let mut state = self.shared.state.lock();
            if state.closed {
                return Err(closed());
            }
            if state.questions.len() >= QUESTIONS_MAX {
                return Err(StoreError::Overloaded);
            }
            state.questions.push_back(Box::new(question));
        }
        self.shared.wake.notify_one();
        answer.await.unwrap_or_else(|_| Err(closed()))
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        let unasked = {
            let mut state = self.shared.state.lock();
            state.closed = true;
            std::mem::take(&mut state.questions)
        };
        drop(unasked);
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            // A panic was taken down by the guard.
            let _ = thread.join();
        }
    }
}

fn run(mut connection: Connection, shared: &Shared, time_limit: Duration, fatal: Fatal) {
    let _guard = PanicGuard(fatal.clone());
    let began = Instant::now();
    let deadline = Arc::new(AtomicU64::new(u64::MAX));
    let limit = Arc::clone(&deadline);
    let look = move || millis_since(began) > limit.load(Ordering::Relaxed);
    if let Err(error) = connection.progress_handler(STEPS_PER_LOOK, Some(look)) {
        return fatal.set(&error.to_string());
    }
    while let Some(question) = next(shared) {
        let until = millis_since(began).saturating_add(millis(time_limit));
        deadline.store(until, Ordering::Relaxed);
        question(&connection);
        deadline.store(u64::MAX, Ordering::Relaxed);
    }
}

fn next(shared: &Shared) -> Option<Question> {
    let mut state = shared.state.lock();
    loop {
        if let Some(question) = state.questions.pop_front() {
            return Some(question);
        }
        if state.closed {
            return None;
        }
        shared.wake.wait(&mut state);
    }
}

fn millis_since(began: Instant) -> u64 {
    millis(began.elapsed())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
