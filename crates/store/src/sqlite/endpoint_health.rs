//! Which endpoints only fail, and what follows from it. They are all in the writer's memory, so that
//! an attempt costs a look there and nothing else, unless it turns its endpoint's health.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use hookseal_domain::endpoint::health::{Failing, Notice, Sign, Step};
use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::operational::{DisabledBy, EndpointChange};
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;

use crate::codes::Code;
use crate::sqlite::batch::{Batch, all};
use crate::sqlite::endpoints;
use crate::sqlite::failure::{Failure, corrupt};
use crate::sqlite::operational;
use crate::work::FinishedAttempt;

/// Read whole, once for each life of the process and after a transaction that failed: those that fail
/// are few, and at most as many as there are endpoints.
const ALL: &str = "SELECT ep, failing_since, notice, noticed_at FROM endpoint_health";
/// Of one that deliveries are made to: what was under way when it was disabled or deleted says nothing
/// of what it is later.
const PUT: &str = "INSERT OR REPLACE INTO endpoint_health \
    (slice, app, ep, failing_since, notice, noticed_at) \
    SELECT ?1, ?2, ?3, ?4, ?5, ?6 FROM endpoint WHERE slice = ?1 AND app = ?2 AND id = ?3 \
    AND deleted_at IS NULL AND disabled = 0 AND switched_off IS NULL";
const FORGET: &str = "DELETE FROM endpoint_health WHERE slice = ?1 AND app = ?2 AND ep = ?3";
const OF_APPLICATION: &str = "SELECT ep FROM endpoint_health WHERE slice = ?1 AND app = ?2";
/// Not where the endpoint was changed after the attempt began: what fails may be what it was before.
/// Nor those by which the organisation is told such things: nobody would be told of it.
const SWITCH_OFF: &str = "UPDATE endpoint SET switched_off = 1, switched_off_at = ?4, \
    switched_off_failing_since = ?5, release_held = 0, updated_at = ?4 \
    WHERE slice = ?1 AND app = ?2 AND id = ?3 AND deleted_at IS NULL \
    AND switched_off IS NULL AND disabled = 0 AND updated_at <= ?6 \
    AND EXISTS (SELECT 1 FROM application a WHERE a.slice = ?1 AND a.id = ?2 \
        AND a.operational = 0)";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 4] = [PUT, FORGET, OF_APPLICATION, SWITCH_OFF];

/// Endpoints that only fail, as the open transaction sees them.
pub(super) type AllFailing = HashMap<EndpointId, Failing>;

/// Whether something was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Put {
    Yes,
    No,
}

/// Reads them all.
pub(super) fn read(connection: &Connection) -> Result<AllFailing, Failure> {
    let rows = all(connection, ALL, [], |row| {
        let endpoint = EndpointId::from_raw(row.get(0)?);
        let code: Option<i64> = row.get(2)?;
        let at: Option<i64> = row.get(3)?;
        let noticed = match (code.map(Notice::from_code), at) {
            (None, None) => None,
            (Some(Some(notice)), Some(at)) => Some((notice, Timestamp::from_millis(at))),
            _ => return Err(corrupt("endpoint_health", "notice", endpoint).into()),
        };
        let since = Timestamp::from_millis(row.get(1)?);
        Ok((endpoint, Failing { since, noticed }))
    })?;
    Ok(rows.into_iter().collect())
}

/// Takes in what an attempt says that ended at `now`.
pub(super) fn take_in(
    batch: &mut Batch<'_>,
    finished: &FinishedAttempt,
    now: Timestamp,
) -> Result<(), Failure> {
    if finished.sign == Sign::Nothing {
        return Ok(());
    }
    let (app, endpoint) = (finished.app, finished.attempt.key.endpoint);
    let known = batch.all_failing()?.get(&endpoint).copied();
    match (finished.sign, known) {
        (Sign::Nothing, _) | (Sign::Works, None) => Ok(()),
        (Sign::Works, Some(_)) => forget(batch, app, endpoint),
        (Sign::Fails, None) => put(batch, app, endpoint, Failing::begins(now)).map(drop),
        (Sign::Fails, Some(failing)) => match finished.health_rule.step(failing, now) {
            Step::Stay => Ok(()),
            Step::Give { notice, disable_at } => {
                let noticed = failing.after(notice, now);
                if put(batch, app, endpoint, noticed)? == Put::No {
                    return Ok(());
                }
                let change = EndpointChange::Failing {
                    since: failing.since,
                    notice,
                    disable_at,
                };
                tell(batch, app, endpoint, now, change)
            }
            Step::Disable => disable(batch, finished, failing.since, now),
        },
    }
}

fn disable(
    batch: &mut Batch<'_>,
    finished: &FinishedAttempt,
    since: Timestamp,
    now: Timestamp,
) -> Result<(), Failure> {
    let (app, attempt) = (finished.app, &finished.attempt);
    let endpoint = attempt.key.endpoint;
    let row = params![
        Slice::of(app).as_i64(),
        app.raw(),
        endpoint.raw(),
        now.as_millis(),
        since.as_millis(),
        attempt.id.created_at().as_millis(),
    ];
    if batch.execute(SWITCH_OFF, row)? == 0 {
        return Ok(());
    }
    forget(batch, app, endpoint)?;
    batch.changed(app, 0)?;
    batch.aftermath.borrow_mut().changed.insert(app);
    let by = DisabledBy::Failing { since };
    tell(batch, app, endpoint, now, EndpointChange::Disabled(by))
}

fn put(
    batch: &mut Batch<'_>,
    app: AppId,
    endpoint: EndpointId,
    failing: Failing,
) -> Result<Put, Failure> {
    let row = params![
        Slice::of(app).as_i64(),
        app.raw(),
        endpoint.raw(),
        failing.since.as_millis(),
        failing.noticed.map(|(notice, _)| notice.code()),
        failing.noticed.map(|(_, at)| at.as_millis()),
    ];
    if batch.execute(PUT, row)? == 0 {
        return Ok(Put::No);
    }
    batch.all_failing()?.insert(endpoint, failing);
    Ok(Put::Yes)
}

/// Forgets that an endpoint failed.
pub(super) fn forget(
    batch: &mut Batch<'_>,
    app: AppId,
    endpoint: EndpointId,
) -> Result<(), Failure> {
    batch.execute(FORGET, [Slice::of(app).as_i64(), app.raw(), endpoint.raw()])?;
    batch.all_failing()?.remove(&endpoint);
    Ok(())
}

/// Forgets that any endpoint of an application failed.
pub(super) fn forget_all(batch: &mut Batch<'_>, app: AppId) -> Result<(), Failure> {
    let key = [Slice::of(app).as_i64(), app.raw()];
    let failing: Vec<i64> = all(batch.connection, OF_APPLICATION, key, |row| Ok(row.get(0)?))?;
    for endpoint in failing {
        forget(batch, app, EndpointId::from_raw(endpoint))?;
    }
    Ok(())
}

/// Tells those who listen, and the engine.
pub(super) fn tell(
    batch: &Batch<'_>,
    app: AppId,
    endpoint: EndpointId,
    now: Timestamp,
    change: EndpointChange,
) -> Result<(), Failure> {
    batch.aftermath.borrow_mut().health.insert(endpoint, change);
    let row = endpoints::live(batch.connection, app, endpoint)?;
    let uid = row.and_then(|row| row.endpoint.spec.uid);
    operational::endpoint_changed(batch, app, (endpoint, uid.as_ref()), now, &[change])
}
