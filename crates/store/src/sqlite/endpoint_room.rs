//! How many endpoints an application may have.

use hookseal_domain::id::AppId;
use hookseal_domain::limits::{ENDPOINTS_PER_APPLICATION_MAX, OPERATIONAL_ENDPOINTS_MAX};
use hookseal_domain::slice::Slice;

use crate::error::ChangeError;
use crate::sqlite::batch::Batch;
use crate::sqlite::failure::Failure;

const COUNT: &str = "SELECT endpoints, operational FROM application \
    WHERE slice = ?1 AND id = ?2 AND deleted_at IS NULL";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 1] = [COUNT];

/// Whether the application takes another endpoint.
pub(super) fn for_one(batch: &Batch<'_>, app: AppId) -> Result<Result<(), ChangeError>, Failure> {
    let key = [Slice::of(app).as_i64(), app.raw()];
    let found = batch.first(COUNT, key, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some((count, operational)): Option<(u32, bool)> = found else {
        return Ok(Err(ChangeError::NotFound));
    };
    let max = if operational {
        OPERATIONAL_ENDPOINTS_MAX
    } else {
        ENDPOINTS_PER_APPLICATION_MAX
    };
    if usize::try_from(count).is_ok_and(|count| count >= max) {
        return Ok(Err(ChangeError::TooMany { max }));
    }
    Ok(Ok(()))
}
