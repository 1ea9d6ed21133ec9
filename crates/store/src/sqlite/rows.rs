//! Columns and what they stand for. A value that stands for nothing is a corrupt row, never a
//! default.

use std::fmt;

use rusqlite::Row;
use serde::Serialize;
use serde::de::DeserializeOwned;

use hookseal_domain::channel::Channel;
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::{AppId, EndpointId, OrgId};
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::name::Name;

use crate::codes::Code;
use crate::page::{PageRequest, PageStart};
use crate::sqlite::failure::{Failure, corrupt};

/// A row with the name of its table and of itself, for complaints.
pub(super) struct Typed<'r, Id> {
    pub(super) row: &'r Row<'r>,
    pub(super) table: &'static str,
    pub(super) id: Id,
}

impl<Id: fmt::Display> Typed<'_, Id> {
    /// A column of one of SQLite's types.
    pub(super) fn plain<T: rusqlite::types::FromSql>(
        &self,
        column: &'static str,
    ) -> Result<T, Failure> {
        self.row.get(column).map_err(|error| match error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..) => self.corrupt(column),
            other => other.into(),
        })
    }

    /// A column of a state's numbers.
    pub(super) fn code<T: Code>(&self, column: &'static str) -> Result<T, Failure> {
        T::from_code(self.plain(column)?).ok_or_else(|| self.corrupt(column))
    }

    /// The same, or nothing.
    pub(super) fn code_or_null<T: Code>(&self, column: &'static str) -> Result<Option<T>, Failure> {
        let code: Option<i64> = self.plain(column)?;
        code.map(|code| T::from_code(code).ok_or_else(|| self.corrupt(column)))
            .transpose()
    }

    /// A column with a time.
    pub(super) fn time(&self, column: &'static str) -> Result<Timestamp, Failure> {
        Ok(Timestamp::from_millis(self.plain(column)?))
    }

    /// A column with a time, or nothing.
    pub(super) fn time_or_null(&self, column: &'static str) -> Result<Option<Timestamp>, Failure> {
        let millis: Option<i64> = self.plain(column)?;
        Ok(millis.map(Timestamp::from_millis))
    }

    /// A column of JSON that we wrote, or nothing.
    pub(super) fn json<T: DeserializeOwned>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>, Failure> {
        let text: Option<String> = self.plain(column)?;
        text.map(|text| serde_json::from_str(&text).map_err(|_| self.corrupt(column)))
            .transpose()
    }

    /// A column with a list of channels, or nothing.
    pub(super) fn channels(&self, column: &'static str) -> Result<Option<Vec<Channel>>, Failure> {
        let names: Option<Vec<String>> = self.json(column)?;
        Ok(names.map(|names| names.into_iter().map(Channel::from_stored).collect()))
    }

    /// A column with a list of event types, or nothing.
    pub(super) fn event_types(
        &self,
        column: &'static str,
    ) -> Result<Option<Vec<EventTypeName>>, Failure> {
        let names: Option<Vec<String>> = self.json(column)?;
        Ok(names.map(|names| names.into_iter().map(EventTypeName::from_stored).collect()))
    }

    /// A column with a name.
    pub(super) fn name(&self, column: &'static str) -> Result<Name, Failure> {
        let text: String = self.plain(column)?;
        Name::parse(&text).map_err(|_| self.corrupt(column))
    }

    /// A column with an organisation.
    pub(super) fn org(&self, column: &'static str) -> Result<OrgId, Failure> {
        Ok(OrgId::from_stored(self.plain(column)?))
    }

    /// The complaint about a column.
    pub(super) fn corrupt(&self, column: &'static str) -> Failure {
        corrupt(self.table, column, &self.id).into()
    }
}

/// Our own lists and maps as JSON.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> String {
    let text = serde_json::to_string(value);
    // Lists and maps of text and numbers can't fail; an empty text would read as corrupt.
    debug_assert!(text.is_ok());
    text.unwrap_or_default()
}

/// The range of ids between which a page lies, both ends outside of it.
pub(super) fn id_range<Key: Copy>(page: &PageRequest<Key>, raw: fn(Key) -> i64) -> (i64, i64) {
    let key = match page.from {
        PageStart::Beginning => return (i64::MIN, i64::MAX),
        PageStart::After(key) | PageStart::Before(key) => raw(key),
    };
    if page.reads_ascending() {
        (key, i64::MAX)
    } else {
        (i64::MIN, key)
    }
}

/// Slice, application, and the first and last endpoint: one endpoint or all of an application.
pub(super) fn endpoint_range(app: AppId, endpoint: Option<EndpointId>) -> [i64; 4] {
    let (first, last) = endpoint.map_or((i64::MIN, i64::MAX), |id| (id.raw(), id.raw()));
    [Slice::of(app).as_i64(), app.raw(), first, last]
}

/// How many rows to read: one more than asked for tells whether there are more.
pub(super) fn rows_to_read<Key>(page: &PageRequest<Key>) -> i64 {
    i64::try_from(page.limit.saturating_add(1)).unwrap_or(i64::MAX)
}
