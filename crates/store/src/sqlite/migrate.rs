//! Brings the schema up to date. Must never touch a database that a newer version wrote, nor go on
//! where a released migration was edited.

use aws_lc_rs::digest::{SHA256, digest};
use rusqlite::{Connection, OptionalExtension, params};

use crate::sqlite::{OpenError, Schema};

/// In order; never edited after release.
const MIGRATIONS: &[(&str, &str)] = &[
    (
        "initial",
        include_str!("../../migrations/sqlite/0001_initial.sql"),
    ),
    (
        "transport",
        include_str!("../../migrations/sqlite/0002_transport.sql"),
    ),
    (
        "discipline",
        include_str!("../../migrations/sqlite/0003_discipline.sql"),
    ),
    (
        "tasks",
        include_str!("../../migrations/sqlite/0004_tasks.sql"),
    ),
    (
        "tokens",
        include_str!("../../migrations/sqlite/0005_tokens.sql"),
    ),
    (
        "catalogue",
        include_str!("../../migrations/sqlite/0006_catalogue.sql"),
    ),
    (
        "operational",
        include_str!("../../migrations/sqlite/0007_operational.sql"),
    ),
    (
        "filters",
        include_str!("../../migrations/sqlite/0008_filters.sql"),
    ),
    (
        "statistics",
        include_str!("../../migrations/sqlite/0009_statistics.sql"),
    ),
    (
        "lists",
        include_str!("../../migrations/sqlite/0010_lists.sql"),
    ),
    (
        "ready_orders",
        include_str!("../../migrations/sqlite/0011_ready_orders.sql"),
    ),
    (
        "findings",
        include_str!("../../migrations/sqlite/0012_findings.sql"),
    ),
    (
        "cloud_events",
        include_str!("../../migrations/sqlite/0013_cloud_events.sql"),
    ),
    (
        "health",
        include_str!("../../migrations/sqlite/0014_health.sql"),
    ),
    (
        "current_event_types",
        include_str!("../../migrations/sqlite/0015_current_event_types.sql"),
    ),
    (
        "portal_links",
        include_str!("../../migrations/sqlite/0016_portal_links.sql"),
    ),
    (
        "verification",
        include_str!("../../migrations/sqlite/0017_verification.sql"),
    ),
];

const CREATE: &str = "CREATE TABLE IF NOT EXISTS schema_version (\
    version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, sha256 BLOB NOT NULL) STRICT";
const EXISTS: &str = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version'";
const APPLIED: &str = "SELECT version, sha256 FROM schema_version ORDER BY version";
const APPLY: &str = "INSERT INTO schema_version (version, name, sha256) VALUES (?1, ?2, ?3)";

/// Applies what is missing, all in one transaction.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    // A transaction that holds the write lock from its beginning: two processes can't both begin.
    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let current = state(&tx)?.current;
    tx.execute(CREATE, [])?;
    for (version, (name, sql)) in (1_u32..).zip(MIGRATIONS) {
        if version > current {
            tx.execute_batch(sql)?;
            tx.execute(APPLY, params![version, name, checksum(sql)])?;
        }
    }
    tx.commit()?;
    Ok(())
}

/// Which version the database has and which this program wants; fails if it is newer or was made
/// by an edited migration.
pub(super) fn state(connection: &Connection) -> Result<Schema, OpenError> {
    let wanted = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    let mut current = 0;
    if connection
        .query_row(EXISTS, [], |_| Ok(()))
        .optional()?
        .is_some()
    {
        let mut statement = connection.prepare(APPLIED)?;
        let mut rows = statement.query([])?;
        let mut known = MIGRATIONS.iter();
        while let Some(row) = rows.next()? {
            current = row.get(0)?;
            if known
                .next()
                .is_some_and(|(_, sql)| row.get::<_, Vec<u8>>(1) != Ok(checksum(sql)))
            {
                return Err(OpenError::ChangedMigration { version: current });
            }
        }
    }
    if current > wanted {
        return Err(OpenError::NewerSchema {
            found: current,
            known: wanted,
        });
    }
    Ok(Schema { current, wanted })
}

fn checksum(sql: &str) -> Vec<u8> {
    digest(&SHA256, sql.as_bytes()).as_ref().to_vec()
}
