//! The transaction that jobs share. A job checks first and writes then, so that one that is
//! refused has written nothing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, Params, Row};

use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::slice::Slice;

use crate::aftermath::{Aftermath, Collected};
use crate::ids::Ids;
use crate::sqlite::counts::Counts;
use crate::sqlite::endpoint_health::{self, AllFailing};
use crate::sqlite::failure::Failure;
use crate::sqlite::keyring::Keyring;

const VERSION: &str =
    "SELECT version FROM application WHERE slice = ?1 AND id = ?2 AND deleted_at IS NULL";
const CHANGED: &str = "UPDATE application SET version = version + 1, endpoints = endpoints + ?3 \
    WHERE slice = ?1 AND id = ?2";

/// What transactions work with besides the database.
#[derive(Clone)]
pub(super) struct Means {
    /// The data keys.
    pub(super) keyring: Arc<Keyring>,
    /// The ids of what a transaction makes by the way.
    pub(super) ids: Arc<Ids>,
    /// What is to be done once they are durable.
    pub(super) aftermath: Arc<Collected>,
}

/// An open transaction.
pub(super) struct Batch<'c> {
    /// The writer's connection.
    pub(super) connection: &'c Connection,
    /// What it works with.
    pub(super) means: &'c Means,
    /// What it leaves to be done.
    pub(super) aftermath: RefCell<Aftermath>,
    /// Endpoints that only fail, once somebody asked.
    pub(super) failing: Option<AllFailing>,
    /// This node and its epoch.
    pub(super) node: i64,
    pub(super) epoch: i64,
    /// What is added to the counters before it commits.
    pub(super) counts: Counts,
    /// Versions of live applications, as this transaction sees them.
    versions: HashMap<AppId, Option<i64>>,
    /// Statements that this transaction has run. The connection's own cache hashes the text and
    /// moves the statement out and in again, for each row that is written.
    statements: RefCell<Vec<(&'static str, CachedStatement<'c>)>>,
}

// === impl Batch ===

impl<'c> Batch<'c> {
    pub(super) fn new(connection: &'c Connection, means: &'c Means, node: i64, epoch: i64) -> Self {
        Self {
            connection,
            means,
            aftermath: RefCell::default(),
            failing: None,
            node,
            epoch,
            counts: Counts::default(),
            versions: HashMap::new(),
            statements: RefCell::default(),
        }
    }

    /// Runs a statement; returns how many rows it changed.
    pub(super) fn execute(
        &self,
        sql: &'static str,
        params: impl Params,
    ) -> rusqlite::Result<usize> {
        let mut statements = self.statements.borrow_mut();
        if let Some((_, statement)) = statements.iter_mut().find(|(known, _)| is_same(known, sql)) {
            return statement.execute(params);
        }
        let mut statement = self.connection.prepare_cached(sql)?;
        let changed = statement.execute(params);
        statements.push((sql, statement));
        changed
    }

    /// Reads the first row, if there is one.
    pub(super) fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        first(self.connection, sql, params, read)
    }

    /// The version of an application, `None` if there is none.
    pub(super) fn version(&mut self, app: AppId) -> Result<Option<i64>, Failure> {
        if let Some(version) = self.versions.get(&app) {
            return Ok(*version);
        }
        let key = [Slice::of(app).as_i64(), app.raw()];
        let version = self.first(VERSION, key, |row| row.get(0))?;
        self.versions.insert(app, version);
        Ok(version)
    }

    /// Takes down that an application or what belongs to it changed.
    pub(super) fn changed(&mut self, app: AppId, endpoints_more: i64) -> Result<(), Failure> {
        let key = (Slice::of(app).as_i64(), app.raw(), endpoints_more);
        self.execute(CHANGED, key)?;
        self.versions.remove(&app);
        Ok(())
    }

    /// Endpoints that only fail, as this transaction sees them.
    pub(super) fn all_failing(&mut self) -> Result<&mut AllFailing, Failure> {
        if self.failing.is_none() {
            self.failing = Some(endpoint_health::read(self.connection)?);
        }
        Ok(self.failing.get_or_insert_default())
    }

    /// Takes down that an endpoint's backlog grew by the way.
    pub(super) fn backlogged(&self, app: AppId, endpoint: EndpointId) {
        let mut aftermath = self.aftermath.borrow_mut();
        aftermath.backlogged.insert((app, endpoint));
    }
}

/// Whether both are the same text in the same place, which is quick to tell.
fn is_same(one: &str, other: &str) -> bool {
    std::ptr::eq(one, other)
}

/// Reads the first row, if there is one.
pub(super) fn first<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(read).transpose()
}

/// Reads a count.
pub(super) fn count(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> rusqlite::Result<u64> {
    let count: Option<i64> = first(connection, sql, params, |row| row.get(0))?;
    Ok(count.unwrap_or_default().unsigned_abs())
}

/// Reads all rows.
pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut read_rows = Vec::new();
    while let Some(row) = rows.next()? {
        read_rows.push(read(row)?);
    }
    Ok(read_rows)
}
