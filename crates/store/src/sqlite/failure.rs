//! What goes wrong within SQLite, sorted by who suffers: one operation, all of them, or the
//! process.

use std::fmt;

use rusqlite::ErrorCode;

use crate::error::StoreError;
use crate::seal::SealError;

/// An operation could not be carried out.
#[derive(Debug)]
pub(super) enum Failure {
    /// By SQLite.
    Sqlite(rusqlite::Error),
    /// By ourselves.
    Store(StoreError),
    /// By SQLite, when what had failed was to be rolled back.
    NotRolledBack(rusqlite::Error),
}

/// How far a failure reaches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reach {
    /// The operation that met it.
    Operation,
    /// Everything that writes, for a moment.
    Moment,
    /// Everything that writes, until an operator has made room.
    Disk,
    /// Nothing can be trusted any more.
    Process,
}

// === impl Failure ===

impl Failure {
    /// How far it reaches.
    pub(super) fn reach(&self) -> Reach {
        let error = match self {
            Self::Sqlite(error) => error,
            Self::Store(_) => return Reach::Operation,
            Self::NotRolledBack(_) => return Reach::Process,
        };
        // Room for the log's index was missing: as with the log itself, nothing was committed.
        if error
            .sqlite_error()
            .is_some_and(|e| e.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
        {
            return Reach::Disk;
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Reach::Disk,
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::OperationInterrupted,
            ) => Reach::Moment,
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::FileLockingProtocolFailed,
            ) => Reach::Process,
            _ => Reach::Operation,
        }
    }

    /// Whether a unique index refused a row.
    pub(super) fn is_unique_violation(error: &rusqlite::Error) -> bool {
        error
            .sqlite_error()
            .is_some_and(|e| e.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Store(error) => error,
            Failure::NotRolledBack(error) => {
                Self::Unavailable(format!("a transaction was not rolled back: {error}"))
            }
            Failure::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => Self::DiskFull,
                Some(
                    ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::OutOfMemory,
                ) => Self::Overloaded,
                Some(ErrorCode::OperationInterrupted) => {
                    Self::Unavailable("it took too long to find".to_owned())
                }
                _ => Self::Unavailable(error.to_string()),
            },
        }
    }
}

/// A row that fits no state.
pub(super) fn corrupt(
    table: &'static str,
    column: &'static str,
    id: impl fmt::Display,
) -> StoreError {
    StoreError::CorruptRow {
        table,
        column,
        id: id.to_string(),
    }
}

/// A value that the key does not open, or could not be sealed.
pub(super) fn unsealable(what: &'static str) -> impl FnOnce(SealError) -> StoreError {
    move |_| StoreError::Unsealable { what }
}
