//! Instants as milliseconds since the Unix epoch. Never reads a clock.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(i64);

/// A text that is no RFC 3339 date and time.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("is not an RFC 3339 date and time such as 2026-11-23T08:30:00Z")]
pub struct NotRfc3339;

// === impl Timestamp ===

impl Timestamp {
    /// The latest instant that can be written as RFC 3339.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Parses RFC 3339 section 5.6 with any offset.
    pub fn parse_rfc3339(text: &str) -> Result<Self, NotRfc3339> {
        let parsed: jiff::Timestamp = text.parse().map_err(|_| NotRfc3339)?;
        Ok(Self(parsed.as_millisecond()))
    }

    /// This instant moved later, up to [`Timestamp::MAX`].
    pub fn plus(self, delay: Duration) -> Self {
        let millis = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis).min(Self::MAX.0))
    }

    /// This instant moved earlier.
    pub fn minus(self, age: Duration) -> Self {
        let millis = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        u64::try_from(self.0.saturating_sub(earlier.0))
            .map_or(Duration::ZERO, Duration::from_millis)
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-11-23T08:30:00.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = jiff::Timestamp::UNIX_EPOCH.checked_add(SignedDuration::from_millis(self.0));
        match at {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_round_trip() {
        let at = Timestamp::parse_rfc3339("2026-11-23T08:30:00.250+02:00").unwrap();
        assert_eq!(at.to_string(), "2026-11-23T06:30:00.250Z");
        assert_eq!(
            Timestamp::from_millis(0).to_string(),
            "1970-01-01T00:00:00.000Z"
        );
        assert_eq!(Timestamp::parse_rfc3339("yesterday"), Err(NotRfc3339));
    }

    #[test]
    fn moves_saturate() {
        assert_eq!(
            Timestamp::from_millis(5).plus(Duration::MAX),
            Timestamp::MAX
        );
        assert_eq!(
            Timestamp::from_millis(5).since(Timestamp::from_millis(9)),
            Duration::ZERO
        );
        assert_eq!(Timestamp::from_millis(-1).as_secs(), -1);
    }
}
