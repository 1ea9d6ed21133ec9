//! Whether the database can still be trusted. After a failed fsync nobody knows what is on the
//! disk, so it is never tried again: the process has to start anew and recover.

use tokio::sync::watch;

use crate::error::StoreError;

/// Why nothing works any more, once that is so.
#[derive(Clone, Debug)]
pub(super) struct Fatal(watch::Sender<Option<String>>);

/// Takes down that a thread panicked.
pub(super) struct PanicGuard(pub(super) Fatal);

// === impl Fatal ===

impl Fatal {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Takes the first reason down.
    pub(super) fn set(&self, reason: &str) {
        let first = self.0.send_if_modified(|state| {
            let first = state.is_none();
            state.get_or_insert_with(|| reason.to_owned());
            first
        });
        if first {
            tracing::error!(reason, "The database can't be trusted any more: {reason}");
        }
    }

    /// Fails once there is a reason.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match &*self.0.borrow() {
            None => Ok(()),
            Some(reason) => Err(StoreError::Unavailable(reason.clone())),
        }
    }

    /// Waits for a reason.
    pub(super) async fn wait(&self) -> String {
        let mut states = self.0.subscribe();
        match states.wait_for(Option::is_some).await {
            Ok(state) => state.clone().unwrap_or_default(),
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.set("a thread of the store panicked");
        }
    }
}
