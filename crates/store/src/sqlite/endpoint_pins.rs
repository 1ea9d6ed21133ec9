//! The pins of endpoints.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params};

use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::pin::{Pin, PinSet};
use hookseal_pki::certificate::SpkiSha256;

use crate::codes::Code;
use crate::sqlite::batch::{Batch, all};
use crate::sqlite::failure::Failure;
use crate::sqlite::rows::{Typed, endpoint_range};

const LIST: &str = "SELECT ep, spki, place, state, note, added_at, first_seen_at, last_seen_at \
    FROM endpoint_pin WHERE slice = ?1 AND app = ?2 AND ep >= ?3 AND ep <= ?4";
const INSERT: &str = "INSERT INTO endpoint_pin (slice, app, ep, spki, place, state, note, \
    added_at, first_seen_at, last_seen_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
/// What was seen later stays, whatever order it is told in.
const OBSERVE: &str = "UPDATE endpoint_pin SET state = ?5, first_seen_at = ?6, \
    last_seen_at = max(ifnull(last_seen_at, ?7), ?7) \
    WHERE slice = ?1 AND app = ?2 AND ep = ?3 AND spki = ?4";
const FORGET: &str =
    "DELETE FROM endpoint_pin WHERE slice = ?1 AND app = ?2 AND ep >= ?3 AND ep <= ?4";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 3] = [LIST, OBSERVE, FORGET];

/// The pins of one endpoint or of all of an application, by endpoint. Those without are left out.
pub(super) fn list(
    connection: &Connection,
    app: AppId,
    endpoint: Option<EndpointId>,
) -> Result<BTreeMap<EndpointId, PinSet>, Failure> {
    let mut found = BTreeMap::<_, Vec<_>>::new();
    all(connection, LIST, endpoint_range(app, endpoint), |row| {
        let (endpoint, place, pin) = read(row)?;
        found.entry(endpoint).or_default().push((place, pin));
        Ok(())
    })?;
    let in_order = |mut pins: Vec<(i64, Pin)>| {
        pins.sort_unstable_by_key(|(place, _)| *place);
        PinSet::from_stored(pins.into_iter().map(|(_, pin)| pin).collect())
    };
    let found = found.into_iter();
    Ok(found.map(|(id, pins)| (id, in_order(pins))).collect())
}

/// Writes the pins of an endpoint that has none.
pub(super) fn insert(
    batch: &Batch<'_>,
    app: AppId,
    endpoint: EndpointId,
    pins: &PinSet,
) -> Result<(), Failure> {
    let [slice, app, endpoint, _] = endpoint_range(app, Some(endpoint));
    for (place, pin) in (0_i64..).zip(pins.pins()) {
        let row = params![
            slice,
            app,
            endpoint,
            pin.key.as_bytes(),
            place,
            pin.state.code(),
            pin.note,
            pin.added_at.as_millis(),
            pin.first_seen_at.map(Timestamp::as_millis),
            pin.last_seen_at.map(Timestamp::as_millis),
        ];
        batch.execute(INSERT, row)?;
    }
    Ok(())
}

/// Moves the pins of an endpoint on whose keys were in a verified path.
pub(super) fn observe(
    batch: &Batch<'_>,
    app: AppId,
    endpoint: EndpointId,
    path: &[SpkiSha256],
    at: Timestamp,
) -> Result<(), Failure> {
    let mut found = list(batch.connection, app, Some(endpoint))?;
    let Some(pins) = found.get_mut(&endpoint) else {
        return Ok(());
    };
    pins.observe(path, at);
    let [slice, app, endpoint, _] = endpoint_range(app, Some(endpoint));
    for pin in pins.pins().iter().filter(|pin| path.contains(&pin.key)) {
        let row = params![
            slice,
            app,
            endpoint,
            pin.key.as_bytes(),
            pin.state.code(),
            pin.first_seen_at.map(Timestamp::as_millis),
            at.as_millis(),
        ];
        batch.execute(OBSERVE, row)?;
    }
    Ok(())
}

/// Forgets the pins of one endpoint or of all of an application.
pub(super) fn forget(
    batch: &Batch<'_>,
    app: AppId,
    endpoint: Option<EndpointId>,
) -> rusqlite::Result<usize> {
    batch.execute(FORGET, endpoint_range(app, endpoint))
}

fn read(row: &Row<'_>) -> Result<(EndpointId, i64, Pin), Failure> {
    let endpoint = EndpointId::from_raw(row.get("ep")?);
    let row = Typed {
        row,
        table: "endpoint_pin",
        id: endpoint,
    };
    let pin = Pin {
        key: SpkiSha256::from_bytes(row.plain("spki")?),
        state: row.code("state")?,
        note: row.plain("note")?,
        added_at: row.time("added_at")?,
        first_seen_at: row.time_or_null("first_seen_at")?,
        last_seen_at: row.time_or_null("last_seen_at")?,
    };
    Ok((endpoint, row.plain("place")?, pin))
}
