//! The hash slice of an application: in the key of every hot table, named by every hot statement.

use crate::id::{AppId, mix};

/// One of 256 hash slices of applications; the distribution key of a data layer that scales out.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Slice(u8);

// === impl Slice ===

impl Slice {
    /// The slice that an application lives in, always.
    pub fn of(app: AppId) -> Self {
        let [first, ..] = mix(app.raw().cast_unsigned()).to_be_bytes();
        Self(first)
    }

    /// As stored.
    pub fn as_i64(self) -> i64 {
        i64::from(self.0)
    }
}
