//! Whether receivers said that they want what is sent to them, and what waits for it.

use std::num::NonZeroU32;

use async_trait::async_trait;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use hookseal_domain::access::api_token::TokenHash;
use hookseal_domain::endpoint::Endpoint;
use hookseal_domain::endpoint::verification::{
    Demand, Grant, Last, Method, Origin, Question, Stage, Standing, Verification,
};
use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;

use crate::error::{ChangeError, StoreError};
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{Batch, first};
use crate::sqlite::endpoints;
use crate::sqlite::failure::{Failure, corrupt};
use crate::sqlite::rows::{Typed, json};
use crate::verification::{NewVerification, VerificationStore, Verified};

const DEMAND: &str = "UPDATE verification_demand SET demanded = ?1 WHERE only_row = 1";
/// These two look at every endpoint, once at each start.
const WITHHOLD_ALL: &str = "UPDATE endpoint SET withheld = 1, release_held = 0 \
    WHERE withheld = 0 AND deleted_at IS NULL \
    AND (verification IS NULL OR json_extract(verification, '$.verified_at') IS NULL) \
    AND EXISTS (SELECT 1 FROM application a \
        WHERE a.slice = endpoint.slice AND a.id = endpoint.app AND a.operational = 0)";
const FREE_ALL: &str = "UPDATE endpoint SET withheld = 0, \
    release_held = CASE WHEN disabled = 0 AND switched_off IS NULL THEN 1 ELSE release_held END \
    WHERE withheld = 1";
/// What the operator demands of a new or changed URL.
const WITHHOLD: &str = "UPDATE endpoint SET verification = NULL, withheld = \
    (SELECT demanded FROM verification_demand WHERE only_row = 1) \
    AND EXISTS (SELECT 1 FROM application a \
        WHERE a.slice = ?1 AND a.id = ?2 AND a.operational = 0) \
    WHERE slice = ?1 AND app = ?2 AND id = ?3";
const PUT: &str = "UPDATE endpoint SET verification = ?4 WHERE slice = ?1 AND app = ?2 AND id = ?3";
const FREE: &str = "UPDATE endpoint SET withheld = 0, release_held = \
    CASE WHEN withheld = 1 AND disabled = 0 AND switched_off IS NULL THEN 1 ELSE release_held END \
    WHERE slice = ?1 AND app = ?2 AND id = ?3";
const HOLD: &str = "UPDATE endpoint SET withheld = \
    (SELECT demanded FROM verification_demand WHERE only_row = 1) \
    AND EXISTS (SELECT 1 FROM application a \
        WHERE a.slice = ?1 AND a.id = ?2 AND a.operational = 0) \
    WHERE slice = ?1 AND app = ?2 AND id = ?3";
const BEGIN: &str = "INSERT OR REPLACE INTO verification_request \
    (slice, app, ep, hash, origin, rate, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const UNDER_WAY: &str = "SELECT slice, app, ep FROM verification_request \
    WHERE hash = ?1 AND expires_at > ?2";
const QUESTION: &str = "SELECT origin, rate FROM verification_request \
    WHERE hash = ?1 AND expires_at > ?2 AND origin IS NOT NULL";
const FORGET: &str = "DELETE FROM verification_request WHERE slice = ?1 AND app = ?2 AND ep = ?3";
const FORGET_APPLICATION: &str = "DELETE FROM verification_request WHERE slice = ?1 AND app = ?2";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 8] = [
    WITHHOLD,
    PUT,
    FREE,
    HOLD,
    UNDER_WAY,
    QUESTION,
    FORGET,
    FORGET_APPLICATION,
];

/// A verification in its column.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<StoredLast>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verified_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grant: Option<StoredGrant>,
}

/// Pending with `until`, failed with `reason`, else passed.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StoredLast {
    method: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StoredGrant {
    origin: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<NonZeroU32>,
}

#[async_trait]
impl VerificationStore for SqliteStore {
    async fn demand_verification(&self, demand: Demand) -> Result<(), StoreError> {
        let demand = move |batch: &mut Batch<'_>| {
            let demanded = demand == Demand::Verified;
            batch.execute(DEMAND, [demanded])?;
            let all = if demanded { WITHHOLD_ALL } else { FREE_ALL };
            batch.execute(all, [])?;
            Ok(Ok(()))
        };
        self.writer.change::<_, _, StoreError>(demand).await
    }

    async fn begin_verification(
        &self,
        app: AppId,
        endpoint: EndpointId,
        new: NewVerification,
    ) -> Result<Endpoint, ChangeError> {
        let begin = move |batch: &mut Batch<'_>| {
            let Some(row) = endpoints::live(batch.connection, app, endpoint)? else {
                return Ok(Err(ChangeError::NotFound));
            };
            let mut endpoint = row.endpoint;
            endpoint.verification.last = Some(Last {
                method: new.method,
                stage: Stage::Pending { until: new.until },
            });
            put(batch, app, &endpoint)?;
            let question = new.question.as_ref();
            let row = params![
                Slice::of(app).as_i64(),
                app.raw(),
                endpoint.id.raw(),
                new.hash.0,
                question.map(|question| question.origin.as_str()),
                question
                    .and_then(|question| question.rate)
                    .map(NonZeroU32::get),
                new.until.as_millis(),
            ];
            batch.execute(BEGIN, row)?;
            Ok(Ok(endpoint))
        };
        self.writer.change(begin).await
    }

    async fn end_verification(
        &self,
        hash: TokenHash,
        verified: Verified,
        now: Timestamp,
    ) -> Result<Option<(AppId, EndpointId)>, StoreError> {
        let end = move |batch: &mut Batch<'_>| {
            let Some((app, id)) = under_way(batch, hash, now)? else {
                return Ok(Ok(None));
            };
            let key = [Slice::of(app).as_i64(), app.raw(), id.raw()];
            batch.execute(FORGET, key)?;
            let Some(row) = endpoints::live(batch.connection, app, id)? else {
                return Ok(Ok(None));
            };
            let mut endpoint = row.endpoint;
            ended(&mut endpoint.verification, &verified, now);
            put(batch, app, &endpoint)?;
            let then = match verified {
                Verified::Passed(_) => FREE,
                Verified::Failed(_) => HOLD,
            };
            batch.execute(then, key)?;
            batch.changed(app, 0)?;
            Ok(Ok(Some((app, id))))
        };
        self.writer.change::<_, _, StoreError>(end).await
    }

    async fn question(
        &self,
        hash: TokenHash,
        now: Timestamp,
    ) -> Result<Option<Question>, StoreError> {
        let find = move |connection: &Connection| {
            let which = params![hash.0, now.as_millis()];
            let found = first(connection, QUESTION, which, |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
            let Some((origin, rate)): Option<(String, Option<u32>)> = found else {
                return Ok(None);
            };
            let origin = Origin::parse(&origin)
                .map_err(|_| corrupt("verification_request", "origin", "a question"))?;
            let rate = rate.and_then(NonZeroU32::new);
            Ok(Some(Question { origin, rate }))
        };
        self.readers.ask(find).await
    }
}

/// The endpoint's URL is another one now, or there is none yet: whatever was known of it is void.
pub(super) fn begin_anew(
    batch: &Batch<'_>,
    app: AppId,
    endpoint: EndpointId,
) -> rusqlite::Result<()> {
    let key = [Slice::of(app).as_i64(), app.raw(), endpoint.raw()];
    batch.execute(WITHHOLD, key)?;
    forget(batch, app, Some(endpoint))
}

/// Nobody answers what is under way any more: of an endpoint, or of all of an application.
pub(super) fn forget(
    batch: &Batch<'_>,
    app: AppId,
    endpoint: Option<EndpointId>,
) -> rusqlite::Result<()> {
    let slice = Slice::of(app).as_i64();
    match endpoint {
        Some(endpoint) => batch.execute(FORGET, [slice, app.raw(), endpoint.raw()])?,
        None => batch.execute(FORGET_APPLICATION, [slice, app.raw()])?,
    };
    Ok(())
}

/// What stands in an endpoint's columns.
pub(super) fn read(row: &Typed<'_, EndpointId>) -> Result<Verification, Failure> {
    let corrupt = || row.corrupt("verification");
    let stored: Stored = row.json("verification")?.unwrap_or_default();
    let last = stored.last.map(|last| {
        let stage = match (last.until, last.reason) {
            (Some(until), _) => Stage::Pending {
                until: Timestamp::from_millis(until),
            },
            (None, Some(reason)) => Stage::Failed { reason },
            (None, None) => Stage::Passed,
        };
        let method = Method::parse(&last.method).ok_or_else(corrupt)?;
        Ok::<_, Failure>(Last { method, stage })
    });
    let grant = stored.grant.map(|grant| {
        let origin = Origin::parse(&grant.origin).map_err(|_| corrupt())?;
        Ok::<_, Failure>(Grant {
            origin,
            rate: grant.rate,
        })
    });
    Ok(Verification {
        standing: match row.plain("withheld")? {
            true => Standing::Withheld,
            false => Standing::Free,
        },
        last: last.transpose()?,
        verified_at: stored.verified_at.map(Timestamp::from_millis),
        grant: grant.transpose()?,
    })
}

fn put(batch: &Batch<'_>, app: AppId, endpoint: &Endpoint) -> rusqlite::Result<()> {
    let row = params![
        Slice::of(app).as_i64(),
        app.raw(),
        endpoint.id.raw(),
        written(&endpoint.verification),
    ];
    batch.execute(PUT, row)?;
    Ok(())
}

fn written(verification: &Verification) -> String {
    let last = verification.last.as_ref().map(|last| {
        let (until, reason) = match &last.stage {
            Stage::Pending { until } => (Some(until.as_millis()), None),
            Stage::Failed { reason } => (None, Some(reason.clone())),
            Stage::Passed => (None, None),
        };
        StoredLast {
            method: last.method.as_str().to_owned(),
            until,
            reason,
        }
    });
    let grant = verification.grant.as_ref().map(|grant| StoredGrant {
        origin: grant.origin.as_str().to_owned(),
        rate: grant.rate,
    });
    json(&Stored {
        last,
        verified_at: verification.verified_at.map(Timestamp::as_millis),
        grant,
    })
}

/// What a receiver granted holds until it grants something else: who fails to ask again must not send
/// faster than before.
fn ended(verification: &mut Verification, verified: &Verified, now: Timestamp) {
    let stage = match verified {
        Verified::Passed(grant) => {
            verification.verified_at = Some(now);
            if grant.is_some() {
                verification.grant.clone_from(grant);
            }
            Stage::Passed
        }
        Verified::Failed(reason) => {
            verification.verified_at = None;
            Stage::Failed {
                reason: reason.clone(),
            }
        }
    };
    if let Some(last) = &mut verification.last {
        last.stage = stage;
    }
}

fn under_way(
    batch: &Batch<'_>,
    hash: TokenHash,
    now: Timestamp,
) -> Result<Option<(AppId, EndpointId)>, Failure> {
    let which = params![hash.0, now.as_millis()];
    let found = batch.first(UNDER_WAY, which, |row| Ok((row.get(1)?, row.get(2)?)))?;
    Ok(found.map(|(app, endpoint)| (AppId::from_raw(app), EndpointId::from_raw(endpoint))))
}
