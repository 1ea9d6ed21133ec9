//! Databases of earlier versions are brought up to date with all that is in them.

use aws_lc_rs::digest::{SHA256, digest};
use rusqlite::Connection;

use crate::sqlite::open;

/// As they were released; the last is what this program wants.
const MIGRATIONS: &[(&str, &str)] = &[
    (
        "initial",
        include_str!("../../../migrations/sqlite/0001_initial.sql"),
    ),
    (
        "transport",
        include_str!("../../../migrations/sqlite/0002_transport.sql"),
    ),
    (
        "discipline",
        include_str!("../../../migrations/sqlite/0003_discipline.sql"),
    ),
    (
        "tasks",
        include_str!("../../../migrations/sqlite/0004_tasks.sql"),
    ),
    (
        "tokens",
        include_str!("../../../migrations/sqlite/0005_tokens.sql"),
    ),
    (
        "catalogue",
        include_str!("../../../migrations/sqlite/0006_catalogue.sql"),
    ),
    (
        "operational",
        include_str!("../../../migrations/sqlite/0007_operational.sql"),
    ),
    (
        "filters",
        include_str!("../../../migrations/sqlite/0008_filters.sql"),
    ),
    (
        "statistics",
        include_str!("../../../migrations/sqlite/0009_statistics.sql"),
    ),
    (
        "lists",
        include_str!("../../../migrations/sqlite/0010_lists.sql"),
    ),
    (
        "ready_orders",
        include_str!("../../../migrations/sqlite/0011_ready_orders.sql"),
    ),
    (
        "findings",
        include_str!("../../../migrations/sqlite/0012_findings.sql"),
    ),
    (
        "cloud_events",
        include_str!("../../../migrations/sqlite/0013_cloud_events.sql"),
    ),
    (
        "health",
        include_str!("../../../migrations/sqlite/0014_health.sql"),
    ),
    (
        "current_event_types",
        include_str!("../../../migrations/sqlite/0015_current_event_types.sql"),
    ),
    (
        "portal_links",
        include_str!("../../../migrations/sqlite/0016_portal_links.sql"),
    ),
    (
        "verification",
        include_str!("../../../migrations/sqlite/0017_verification.sql"),
    ),
];

/// A row of each table that a later version makes anew.
const ROWS: &str = "\
    INSERT INTO pending (msg, ep, slice, app, state, trigger, attempts, step, due, owner, epoch, \
        claim) VALUES (1, 2, 3, 4, 1, 2, 5, 6, 7, NULL, NULL, 8), \
        (9, 2, 3, 4, 0, 1, 0, 0, NULL, 0, 1, 0); \
    INSERT INTO attempt (msg, id, slice, app, ep, number, trigger, outcome, status_code, \
        duration_ms, ended, key_version, facts) \
        VALUES (1, 10, 3, 4, 2, 11, 1, 2, 500, 12, NULL, 13, x'14'); \
    INSERT INTO outcome (slice, ep, msg, ended, attempts, at) VALUES (3, 2, 15, 6, 16, 17);";

/// What is read of them.
const READ: [&str; 3] = [
    "SELECT msg || '|' || state || '|' || trigger || '|' || attempts || '|' || step || '|' || \
        ifnull(due, '') || '|' || ifnull(owner, '') || '|' || claim FROM pending ORDER BY msg",
    "SELECT msg || '|' || id || '|' || app || '|' || ep || '|' || number || '|' || outcome || '|' \
        || status_code || '|' || duration_ms || '|' || key_version || '|' || hex(facts) \
        FROM attempt",
    "SELECT slice || '|' || ep || '|' || msg || '|' || ended || '|' || attempts || '|' || at \
        FROM outcome",
];

const SCHEMA: &str = "SELECT type || ' ' || name || ' ' || ifnull(sql, '') FROM sqlite_schema \
    ORDER BY type, name";

fn texts(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn all_of(connection: &Connection) -> Vec<Vec<String>> {
    READ.map(|sql| texts(connection, sql)).to_vec()
}

#[tokio::test]
async fn each_earlier_version_is_brought_up_to_date() {
    let new = tempfile::tempdir().unwrap();
    drop(open(new.path()).unwrap());
    let new = Connection::open(new.path().join("hookseal.db")).unwrap();
    for version in 1..MIGRATIONS.len() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hookseal.db");
        let old = Connection::open(&path).unwrap();
        let versions = "CREATE TABLE schema_version (version INTEGER NOT NULL PRIMARY KEY, \
            name TEXT NOT NULL, sha256 BLOB NOT NULL) STRICT";
        old.execute_batch(versions).unwrap();
        for (number, (name, sql)) in (1_i64..).zip(&MIGRATIONS[..version]) {
            old.execute_batch(sql).unwrap();
            let sha256 = digest(&SHA256, sql.as_bytes());
            let row = (number, name, sha256.as_ref());
            old.execute("INSERT INTO schema_version VALUES (?1, ?2, ?3)", row)
                .unwrap();
        }
        old.execute_batch(ROWS).unwrap();
        let before = all_of(&old);
        drop(old);

        drop(open(directory.path()).unwrap());
        let now = Connection::open(&path).unwrap();
        assert_eq!(all_of(&now), before, "from version {version}");
        assert_eq!(texts(&now, SCHEMA), texts(&new, SCHEMA));
    }
}
