//! Copies the write-ahead log into the database beside the writer. Under steady writing that alone
//! would never let the log start over, so the writer closes out what is left now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use crate::error::StoreError;
use crate::sqlite::failure::{Failure, Reach};
use crate::sqlite::fatal::{Fatal, PanicGuard};

const INTERVAL: Duration = Duration::from_millis(300);
/// Frames (8 KiB pages) from which it is worth the writer's time to start the log over.
const CLOSE_OUT_FRAMES: i64 = 1000;
/// Frames from which something must be wrong: a reader that never ends.
const ALARM_FRAMES: i64 = 32 * 1024;

const CHECKPOINT: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// What writer and checkpointer tell each other.
#[derive(Debug, Default)]
pub(super) struct Progress {
    commits: AtomicU64,
    close_out: AtomicBool,
}

/// The thread beside the writer.
pub(super) struct Checkpointer {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Stop {
    stopped: Mutex<bool>,
    wake: Condvar,
}

/// Where the log stands.
pub(super) struct Frames {
    pub(super) written: i64,
    pub(super) copied: i64,
}

// === impl Progress ===

impl Progress {
    /// Tells the checkpointer that there is something to copy.
    pub(super) fn committed(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the writer is to close out now.
    pub(super) fn take_close_out(&self) -> bool {
        self.close_out.load(Ordering::Relaxed) && self.close_out.swap(false, Ordering::Relaxed)
    }
}

// === impl Checkpointer ===

impl Checkpointer {
    pub(super) fn start(
        connection: Connection,
        progress: Arc<Progress>,
        fatal: Fatal,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(Stop::default());
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("store-checkpoint".to_owned())
            .spawn(move || run(&connection, &progress, &fatal, &stopped))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        *self.stop.stopped.lock() = true;
        self.stop.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic was taken down by the guard.
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, progress: &Progress, fatal: &Fatal, stop: &Stop) {
    let _guard = PanicGuard(fatal.clone());
    let mut copied_at = u64::MAX;
    let mut alarmed = false;
    loop {
        {
            let mut stopped = stop.stopped.lock();
            if !*stopped {
                stop.wake.wait_for(&mut stopped, INTERVAL);
            }
            if *stopped {
                return;
            }
        }
        let commits = progress.commits.load(Ordering::Relaxed);
        if commits == copied_at {
            continue;
        }
        match checkpoint(connection) {
            Ok(frames) => {
                if frames.copied == frames.written {
                    copied_at = commits;
                }
                if frames.written >= CLOSE_OUT_FRAMES {
                    progress.close_out.store(true, Ordering::Relaxed);
                }
                let long = frames.written >= ALARM_FRAMES;
                if long && !alarmed {
                    tracing::warn!(
                        frames = frames.written,
                        "The write-ahead log grows: a reader keeps it from starting over"
                    );
                }
                alarmed = long;
            }
            Err(failure) if failure.reach() == Reach::Process => {
                return fatal.set(&StoreError::from(failure).to_string());
            }
            // A full disk, or the writer is closing out: the next time will do.
            Err(_) => {}
        }
    }
}

/// Copies what no reader still needs, without waiting for anybody.
pub(super) fn checkpoint(connection: &Connection) -> Result<Frames, Failure> {
    let mut statement = connection.prepare_cached(CHECKPOINT)?;
    Ok(statement.query_row([], |row| {
        Ok(Frames {
            written: row.get(1)?,
            copied: row.get(2)?,
        })
    })?)
}
