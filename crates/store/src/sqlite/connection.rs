//! Connections to the database file, each set up so that what it commits survives a power cut.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::sqlite::OpenError;

/// 8 KiB: most attempts and small messages fit on a page without an overflow page.
const PAGE_BYTES: i64 = 8192;
/// The writer's page cache in KiB (negative, as the pragma wants it): the hot ends of all b-trees.
const WRITER_CACHE: i64 = -16 * 1024;
/// A reader's page cache in KiB: lists read little and seldom the same.
const READER_CACHE: i64 = -2 * 1024;
/// The size that the write-ahead log is cut to when it starts over after a peak.
const WAL_BYTES_KEPT: i64 = 64 << 20;
/// How long a connection waits for a lock; only recovery after a crash ever holds one.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// Statements kept prepared per connection: more than there are.
const STATEMENTS: usize = 256;

/// Where the database is, and how big it may get.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) size_bytes_max: Option<u64>,
}

impl Place {
    /// Takes the database for this process alone, until the file is dropped.
    pub(super) fn lock(&self) -> Result<File, OpenError> {
        let mut path = self.path.clone().into_os_string();
        path.push(".lock");
        let file = owner_only(OpenOptions::new().write(true).create(true).truncate(false))
            .open(PathBuf::from(path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// A connection that may write. Creates the file, readable by its owner only.
    pub(super) fn writer(&self) -> Result<Connection, OpenError> {
        create(&self.path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        set_up(&connection, WRITER_CACHE)?;
        // Both only matter before the first table is made.
        connection.pragma_update(None, "page_size", PAGE_BYTES)?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        let mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if mode != "wal" {
            return Err(OpenError::Pragma("journal_mode"));
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        let synchronous: i64 =
            connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
        if synchronous != 2 {
            return Err(OpenError::Pragma("synchronous"));
        }
        // The checkpointer does it beside the writer.
        connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
        connection
            .pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_KEPT, |_| Ok(()))?;
        if let Some(bytes) = self.size_bytes_max {
            let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
            let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page.max(1);
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        }
        Ok(connection)
    }

    /// A connection that can't write.
    pub(super) fn reader(&self) -> Result<Connection, OpenError> {
        let connection = read_only(&self.path)?;
        set_up(&connection, READER_CACHE)?;
        Ok(connection)
    }
}

/// A connection that looks and changes nothing.
pub(super) fn read_only(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(Connection::open_with_flags(path, flags)?)
}

fn set_up(connection: &Connection, cache: i64) -> Result<(), OpenError> {
    connection.busy_timeout(LOCK_WAIT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "cache_size", cache)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // A damaged file must not make SQLite run what stands in its schema.
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(())
}

/// SQLite gives its `-wal` and `-shm` files the mode of the database.
fn create(path: &Path) -> Result<(), OpenError> {
    let file =
        owner_only(OpenOptions::new().write(true).create(true).truncate(false)).open(path)?;
    restrict(&file)?;
    Ok(())
}

#[cfg(unix)]
fn owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

#[cfg(not(unix))]
fn owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(unix)]
fn restrict(file: &File) -> std::io::Result<()> {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    file.set_permissions(mode)
}

#[cfg(not(unix))]
fn restrict(_file: &File) -> std::io::Result<()> {
    Ok(())
}
