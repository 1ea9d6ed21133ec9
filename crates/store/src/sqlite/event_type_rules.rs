//! What event types say of validation and retries. Few say anything: there is an index of those.

use std::time::Duration;

use rusqlite::{Connection, Row, params};

use hookseal_domain::delivery::retry::RetrySchedule;
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::OrgId;
use hookseal_domain::limits::EVENT_TYPES_WITH_RULES_MAX;
use hookseal_domain::time::Timestamp;

use crate::catalogue::EventTypeRules;
use crate::error::{ChangeError, StoreError};
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{Batch, all};
use crate::sqlite::event_types;
use crate::sqlite::failure::Failure;
use crate::sqlite::rows::{Typed, json};

/// In the words of the index, or it would not be used.
macro_rules! with_rules {
    ($what:literal) => {
        concat!(
            "SELECT ",
            $what,
            " FROM event_type INDEXED BY event_type_rules WHERE org = ?1 \
             AND (validation <> 0 OR retry_schedule IS NOT NULL)"
        )
    };
}

const LIST: &str = with_rules!("name, validation, retry_schedule");
const COUNT: &str = with_rules!("count(*)");
const SET_SCHEDULE: &str =
    "UPDATE event_type SET retry_schedule = ?3, updated_at = ?4 WHERE org = ?1 AND name = ?2";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 3] = [LIST, COUNT, SET_SCHEDULE];

/// Those of an organisation that say anything.
pub(super) async fn list(
    store: &SqliteStore,
    org: OrgId,
) -> Result<Vec<EventTypeRules>, StoreError> {
    let list = move |connection: &Connection| all(connection, LIST, params![org.as_bytes()], read);
    let mut rules = store.readers.ask(list).await?;
    rules.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(rules)
}

/// Sets an event type's schedule.
pub(super) async fn set_schedule(
    store: &SqliteStore,
    org: OrgId,
    name: &EventTypeName,
    schedule: Option<RetrySchedule>,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let name = name.clone();
    let set = move |batch: &mut Batch<'_>| {
        let Some(existing) = event_types::find(batch.connection, org, &name)? else {
            return Ok(Err(ChangeError::NotFound));
        };
        let more = usize::from(schedule.is_some() && !event_types::has_rules(&existing));
        if let Err(full) = check_room(batch, org, more)? {
            return Ok(Err(full));
        }
        let row = params![
            org.as_bytes(),
            name.as_str(),
            schedule.as_ref().map(column),
            now.as_millis(),
        ];
        batch.execute(SET_SCHEDULE, row)?;
        Ok(Ok(()))
    };
    store.writer.change(set).await
}

/// Whether so many more may say something.
pub(super) fn check_room(
    batch: &Batch<'_>,
    org: OrgId,
    more: usize,
) -> Result<Result<(), ChangeError>, Failure> {
    if more == 0 {
        return Ok(Ok(()));
    }
    let max = EVENT_TYPES_WITH_RULES_MAX;
    let count: Option<i64> = batch.first(COUNT, params![org.as_bytes()], |row| row.get(0))?;
    let count = usize::try_from(count.unwrap_or_default()).unwrap_or(usize::MAX);
    Ok(if count.saturating_add(more) > max {
        Err(ChangeError::TooMany { max })
    } else {
        Ok(())
    })
}

/// A schedule as it is stored.
pub(super) fn column(schedule: &RetrySchedule) -> String {
    let millis = |step: &Duration| u64::try_from(step.as_millis()).unwrap_or(u64::MAX);
    json(&schedule.steps().iter().map(millis).collect::<Vec<_>>())
}

/// A schedule as it was stored.
pub(super) fn schedule<Id: std::fmt::Display>(
    row: &Typed<'_, Id>,
) -> Result<Option<RetrySchedule>, Failure> {
    let Some(millis) = row.json::<Vec<u64>>("retry_schedule")? else {
        return Ok(None);
    };
    let steps = millis.into_iter().map(Duration::from_millis).collect();
    let schedule = RetrySchedule::try_new(steps);
    schedule
        .map(Some)
        .map_err(|_| row.corrupt("retry_schedule"))
}

fn read(row: &Row<'_>) -> Result<EventTypeRules, Failure> {
    let name = EventTypeName::from_stored(row.get("name")?);
    let row = Typed {
        row,
        table: "event_type",
        id: &name,
    };
    Ok(EventTypeRules {
        validation: row.code("validation")?,
        retry_schedule: schedule(&row)?,
        name: name.clone(),
    })
}
