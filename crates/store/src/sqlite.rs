//! The embedded back end: one SQLite file, one thread that writes, a few that read. Must never say
//! that something is stored before it survives a power cut.

mod accept;
mod api_tokens;
mod applications;
mod attempts;
mod backlog;
mod batch;
mod catalogue_store;
mod checkpoint;
mod claim;
mod cloud_events;
mod connection;
mod counts;
mod deliveries;
mod endpoint_discipline;
mod endpoint_headers;
mod endpoint_health;
mod endpoint_health_store;
mod endpoint_pins;
mod endpoint_room;
mod endpoint_transports;
mod endpoints;
mod event_type_rules;
mod event_types;
mod failure;
mod fatal;
mod few_pins;
mod flush;
mod handshake_users;
mod handshakes;
mod health;
mod idempotency;
mod keyring;
mod messages;
mod migrate;
mod operational;
mod operational_store;
mod order;
mod order_heads;
mod portal_tokens;
mod queue;
mod reader;
mod record;
mod retention;
mod routing;
mod rows;
mod signing_keys;
mod statistics;
mod statistics_store;
mod store;
mod task_store;
mod tasks;
mod token_store;
mod transport_book;
mod transport_items;
mod transport_store;
mod verifications;
mod walk;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use crate::aftermath::Collected;
use crate::error::StoreError;
use crate::ids::Ids;
use crate::seal::{KeyOwner, MasterKey, SealError};
use crate::sqlite::batch::{Means, first};
use crate::sqlite::checkpoint::{Checkpointer, Progress};
use crate::sqlite::connection::Place;
use crate::sqlite::fatal::Fatal;
use crate::sqlite::keyring::{DataKeys, Keyring};
use crate::sqlite::reader::Readers;
use crate::sqlite::writer::Writer;

/// Longest that one question may take.
const READ_TIME_LIMIT: Duration = Duration::from_secs(5);

const CHECK_VALUE: &str = "SELECT sealed FROM seal_check WHERE only_row = 1";
const PUT_CHECK_VALUE: &str = "INSERT INTO seal_check (only_row, sealed) VALUES (1, ?1)";

/// Where the database is and who uses it.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The file. Its directory must exist; `-wal`, `-shm` and `.lock` files stand beside it.
    pub path: PathBuf,
    /// The number of this node: part of the ids that it makes.
    pub node: u8,
    /// Most bytes that the database may grow to; `None` for as much as the disk holds.
    pub size_bytes_max: Option<u64>,
}

/// The database was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("another process uses the database")]
    InUse,
    /// It was sealed with another master key.
    #[error("the master key is not the one that the database was sealed with")]
    WrongKey,
    /// A newer version of Hookseal wrote it.
    #[error("the database has schema {found}, this version knows up to {known}")]
    NewerSchema {
        /// The database's.
        found: u32,
        /// The newest that this version knows.
        known: u32,
    },
    /// It was made by another text of a migration than this version has.
    #[error("migration {version} of the database is not the one that this version has")]
    ChangedMigration {
        /// Which.
        version: u32,
    },
    /// A setting that durability depends on was not taken.
    #[error("SQLite did not take the setting {0}")]
    Pragma(&'static str),
    /// The key check could not be made.
    #[error("the key check was not made")]
    Seal(#[from] SealError),
    /// A file could not be made or opened.
    #[error("the file can't be opened")]
    File(#[from] std::io::Error),
    /// SQLite refused.
    #[error("SQLite can't open the database")]
    Sqlite(#[from] rusqlite::Error),
}

/// Which schema a database has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Schema {
    /// Which one it has; 0 if it is empty or does not exist.
    pub current: u32,
    /// Which one this version works with; opening brings it there.
    pub wanted: u32,
}

/// The store on SQLite. Dropping it writes what is queued and closes the file.
pub struct SqliteStore {
    // In the order in which they are to be dropped.
    writer: Writer,
    _checkpointer: Checkpointer,
    readers: Readers,
    keyring: Arc<Keyring>,
    aftermath: Arc<Collected>,
    fatal: Fatal,
    _lock: File,
}

// === impl SqliteOptions ===

impl SqliteOptions {
    /// The database at `path`, used by node 0.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            node: 0,
            size_bytes_max: None,
        }
    }
}

// === impl SqliteStore ===

impl SqliteStore {
    /// Opens the database, or makes it, and brings its schema up to date. Blocks.
    pub fn open(options: SqliteOptions, master: MasterKey) -> Result<Self, OpenError> {
        let place = Place {
            path: options.path,
            size_bytes_max: options.size_bytes_max,
        };
        let lock = place.lock()?;
        let mut connection = place.writer()?;
        migrate::migrate(&mut connection)?;
        check_key(&connection, &master)?;
        let fatal = Fatal::new();
        let progress = Arc::new(Progress::default());
        let node = i64::from(options.node);
        let means = Means {
            keyring: Arc::new(Keyring::new(master)),
            ids: Arc::new(Ids::new(options.node)),
            aftermath: Arc::default(),
        };
        Ok(Self {
            readers: Readers::start(&place, READ_TIME_LIMIT, fatal.clone())?,
            _checkpointer: Checkpointer::start(
                place.writer()?,
                Arc::clone(&progress),
                fatal.clone(),
            )?,
            writer: Writer::start(connection, means.clone(), node, progress, fatal.clone())?,
            keyring: means.keyring,
            aftermath: means.aftermath,
            fatal,
            _lock: lock,
        })
    }

    /// Which schema the database has and which this version wants. Changes nothing.
    pub fn check(path: &Path) -> Result<Schema, OpenError> {
        if path.try_exists()? {
            migrate::state(&connection::read_only(path)?)
        } else {
            migrate::state(&Connection::open_in_memory()?)
        }
    }

    /// Waits until the database can't be trusted any more, and says why: then the process must
    /// end, and recover at its next start.
    pub async fn failed(&self) -> String {
        self.fatal.wait().await
    }

    /// The data keys of an application or organisation; `None` if there are none.
    async fn keys(&self, owner: impl Into<KeyOwner>) -> Result<Option<Arc<DataKeys>>, StoreError> {
        let owner = owner.into();
        if let Some(keys) = self.keyring.cached(owner) {
            return Ok(Some(keys));
        }
        let keyring = Arc::clone(&self.keyring);
        let load = move |connection: &Connection| keyring.load(connection, owner);
        self.readers.ask(load).await
    }
}

/// Refuses a key that did not seal what is there.
fn check_key(connection: &Connection, master: &MasterKey) -> Result<(), OpenError> {
    let value: Option<Vec<u8>> = first(connection, CHECK_VALUE, [], |row| row.get(0))?;
    match value {
        Some(value) if master.made(&value) => Ok(()),
        Some(_) => Err(OpenError::WrongKey),
        None => {
            connection.execute(PUT_CHECK_VALUE, [master.check_value()?])?;
            Ok(())
        }
    }
}
