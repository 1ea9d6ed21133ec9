//! Walks over rows of which only some are wanted. Bounded: a page that is not full after so many rows
//! says where it stopped, and the next one goes on from there.

use rusqlite::{Connection, Params, Row};

use crate::page::PageRequest;
use crate::sqlite::failure::Failure;

/// Most rows that are looked at for one page. Each may have to be fetched from its table.
pub(super) const ROWS_MAX: usize = 10_000;

/// What a walk came to.
#[derive(Debug)]
pub(super) struct Walked<Key> {
    /// Keys of rows that are wanted, in the order of the walk.
    pub(super) found: Vec<Key>,
    /// Where it stopped; `None` if it came to the end, or has enough.
    pub(super) stopped_at: Option<i64>,
}

/// How far a walk may go.
pub(super) struct Steps {
    left: usize,
    at: Option<i64>,
}

/// Walks over the rows of a statement, whose first column says whether a row is wanted and whose
/// second is the key that the page continues from.
pub(super) fn walk<Key, PageKey>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    page: &PageRequest<PageKey>,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<Key>,
) -> Result<Walked<Key>, Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut steps = Steps::new();
    let mut found = Vec::new();
    while found.len() <= page.limit {
        let Some(row) = rows.next()? else {
            steps.ended();
            break;
        };
        if row.get(0)? {
            found.push(read(row)?);
        }
        if !steps.step(row.get(1)?) {
            break;
        }
    }
    Ok(Walked {
        stopped_at: steps.stopped_at(),
        found,
    })
}

// === impl Steps ===

impl Steps {
    pub(super) fn new() -> Self {
        Self {
            left: ROWS_MAX,
            at: None,
        }
    }

    /// Makes a step to the row with this key; says whether there may be another.
    pub(super) fn step(&mut self, at: i64) -> bool {
        self.left = self.left.saturating_sub(1);
        self.at = Some(at);
        self.left > 0
    }

    /// There was no further row.
    pub(super) fn ended(&mut self) {
        self.at = None;
    }

    /// Where the walk stopped because it had gone far enough.
    pub(super) fn stopped_at(&self) -> Option<i64> {
        self.at.filter(|_| self.left == 0)
    }
}

#[cfg(test)]
mod tests;
