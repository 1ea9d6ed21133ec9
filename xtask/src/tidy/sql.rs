//! Where SQL may stand.

use crate::tidy::rust_source::RustSource;
use crate::tidy::{File, Finding, Rule};

static SQL_IN_STORE: Rule = Rule {
    name: "sql-in-store",
    reason: "SQL and its drivers are only in crates/store (invariant 4): ask the store by intent",
};
static NO_IF_SQLITE: Rule = Rule {
    name: "no-if-sqlite",
    reason: "no branch asks which back end runs (invariant 4): the difference belongs behind the store's trait",
};

const STORE: &str = "crates/store/";

/// Where naming the back end asks nothing.
const BACK_END: &str = "crates/store/src/sqlite";

/// Crates by which a program talks to a database.
const DRIVERS: [&str; 3] = ["libsqlite3_sys", "rusqlite", "tokio_postgres"];

/// How statements begin. As our own are written, in capitals: a sentence that begins with "Select" is none.
const STATEMENTS: [&str; 9] = [
    "ALTER TABLE",
    "CREATE INDEX",
    "CREATE TABLE",
    "CREATE UNIQUE INDEX",
    "DELETE FROM",
    "INSERT INTO",
    "PRAGMA",
    "SELECT",
    "UPDATE",
];

pub(super) fn check_source(source: &RustSource<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line_number, line) in source.numbered() {
        let mut words = line.code.split(|c: char| !c.is_alphanumeric() && c != '_');
        if !source.path.starts_with(STORE) && words.any(|word| DRIVERS.contains(&word)) {
            findings.push(Finding::error(&SQL_IN_STORE, line_number, line.raw.trim()));
        }
        if !source.path.starts_with(BACK_END) && asks_for_back_end(&line.code) {
            findings.push(Finding::error(&NO_IF_SQLITE, line_number, line.raw.trim()));
        }
    }
    for string in &source.strings {
        if !source.path.starts_with(STORE) && is_statement(&string.text) {
            let line = string.text.lines().next().unwrap_or_default();
            findings.push(Finding::error(&SQL_IN_STORE, string.line_number, line));
        }
    }
    findings
}

pub(super) fn check_file(file: File<'_>) -> Option<Finding> {
    let is_outside = !file.path.starts_with(STORE);
    is_outside.then(|| Finding::error(&SQL_IN_STORE, 1, "a file of SQL outside crates/store"))
}

fn asks_for_back_end(code: &str) -> bool {
    let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.any(|word| word == "if" || word == "while")
        && words.any(|word| word.to_ascii_lowercase().contains("sqlite") && word != "rusqlite")
}

fn is_statement(text: &str) -> bool {
    let text = text.trim_start();
    STATEMENTS.iter().any(|statement| {
        let rest = text.strip_prefix(statement);
        rest.is_some_and(|rest| rest.starts_with(char::is_whitespace) && !rest.trim().is_empty())
    })
}

#[cfg(test)]
mod tests {
    use crate::tidy::broken;

    #[track_caller]
    fn check(path: &str, code: &str, expect: &[&str]) {
        assert_eq!(
            broken(path, &format!("//! A thing.\n{code}")),
            expect,
            "{code}"
        );
    }

    #[test]
    fn sql_is_only_in_store() {
        let query = "const A: &str = \"SELECT 1\";\n";
        check("crates/engine/src/a.rs", query, &["sql-in-store:2"]);
        check("crates/store/src/sqlite/a.rs", query, &[]);
        check(
            "crates/engine/src/a.rs",
            "use rusqlite::Row;\n",
            &["sql-in-store:2"],
        );
        check(
            "crates/engine/src/a.rs",
            "// Neither rusqlite nor \"SELECT 1\".\n",
            &[],
        );
        check(
            "crates/engine/src/a.rs",
            "const A: &str = \"Select one\";\n",
            &[],
        );
        assert_eq!(
            broken("crates/engine/a.sql", "-- Nothing.\n"),
            ["sql-in-store:1"]
        );
        assert_eq!(
            broken("crates/store/migrations/sqlite/0001.sql", "-- Nothing.\n"),
            [""; 0]
        );
    }

    #[test]
    fn nobody_asks_which_back_end_runs() {
        check(
            "crates/store/src/a.rs",
            "fn a() { if self.is_sqlite() {} }\n",
            &["no-if-sqlite:2"],
        );
        check(
            "crates/store/src/a.rs",
            "fn a() { if let Err(rusqlite::Error::B) = b {} }\n",
            &[],
        );
        check(
            "crates/store/src/sqlite/a.rs",
            "fn a() { if crate::sqlite::b() {} }\n",
            &[],
        );
        check(
            "crates/server/src/a.rs",
            "fn a() { match url { StoreUrl::Sqlite(b) => c } }\n",
            &[],
        );
    }
}
