//! Instants as milliseconds since the Unix epoch. Never reads a clock.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::civil::DateTime;

/// What the milliseconds count from.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
/// Digits and separators of RFC 3339 up to the seconds: `0` stands for a digit, `T` for what separates
/// date and time, which may be a space (section 5.6, note).
const SHAPE: &str = "0000-00-00T00:00:00";

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(i64);

/// A text that is no instant.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidTime {
    /// It is written otherwise, or there is no such day or time of day.
    #[error("is not an RFC 3339 date and time such as 2026-11-23T08:30:00Z")]
    NotRfc3339,
    /// Its offset moves it to where UTC has no year of four digits.
    #[error("must be from the year 0000 to 9999 in UTC")]
    OutOfYears,
}

// === impl Timestamp ===

impl Timestamp {
    /// The latest instant that can be written as RFC 3339.
    pub const MAX: Self = Self(253_402_300_799_999);
    /// The earliest one.
    const MIN: Self = Self(-62_167_219_200_000);

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

    /// Parses RFC 3339 section 5.6 with any offset and any number of fraction digits. What is finer
    /// than a millisecond is cut off.
    pub fn parse_rfc3339(text: &str) -> Result<Self, InvalidTime> {
        let at = millis(text).ok_or(InvalidTime::NotRfc3339)?;
        if (Self::MIN.0..=Self::MAX.0).contains(&at) {
            Ok(Self(at))
        } else {
            Err(InvalidTime::OutOfYears)
        }
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
        match EPOCH.checked_add(SignedDuration::from_millis(self.0)) {
            Ok(at) => write!(f, "{at:.3}Z"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

fn millis(text: &str) -> Option<i64> {
    let (whole, rest) = text.split_at_checked(SHAPE.len())?;
    let fits = |(given, shape): (char, char)| match shape {
        '0' => given.is_ascii_digit(),
        'T' => matches!(given, 'T' | 't' | ' '),
        separator => given == separator,
    };
    if !whole.chars().zip(SHAPE.chars()).all(fits) {
        return None;
    }
    let two = |from: usize| whole.get(from..from + 2)?.parse::<i8>().ok();
    let year = whole.get(..4)?.parse().ok()?;
    // A leap second is the end of its minute: there is no other number for it.
    let second = match two(17)? {
        60 => 59,
        second => second,
    };
    let at = DateTime::new(year, two(5)?, two(8)?, two(11)?, two(14)?, second, 0).ok()?;
    let (fraction_millis, zone) = fraction(rest)?;
    let since = i64::try_from(at.duration_since(EPOCH).as_millis()).ok()?;
    Some(since + fraction_millis - offset_millis(zone)?)
}

/// The milliseconds of a fraction of a second, if there is one, and what follows it.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(text) = text.strip_prefix('.') else {
        return Some((0, text));
    };
    let zone = text.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let digits = text.strip_suffix(zone)?;
    let millis: String = digits.chars().chain("000".chars()).take(3).collect();
    (!digits.is_empty()).then_some((millis.parse().ok()?, zone))
}

/// How far a zone is ahead of UTC.
fn offset_millis(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, zone) = match zone.strip_prefix('+') {
        Some(zone) => (1, zone),
        None => (-1, zone.strip_prefix('-')?),
    };
    let (hours, minutes) = zone.split_once(':')?;
    let number = |text: &str, max: i64| {
        let is_two = text.len() == 2 && text.bytes().all(|digit| digit.is_ascii_digit());
        let number: i64 = text.parse().ok().filter(|_| is_two)?;
        (number <= max).then_some(number)
    };
    Some(sign * (number(hours, 23)? * 60 + number(minutes, 59)?) * 60_000)
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
        for at in [Timestamp::MIN, Timestamp::MAX, Timestamp::from_millis(-1)] {
            let text = at.to_string();
            assert_eq!(Timestamp::parse_rfc3339(&text), Ok(at), "{text}");
            assert_eq!(text.len(), 24, "{text}");
        }
    }

    #[test]
    fn what_rfc3339_allows_is_read() {
        for (text, millis) in [
            ("2026-11-23T08:20:00Z", 0),
            ("2026-11-23t08:20:00z", 0),
            ("2026-11-23 08:20:00Z", 0),
            ("2026-11-23T08:20:00.1Z", 100),
            ("2026-11-23T08:20:00.0019Z", 1),
            ("2026-11-23T08:20:00.123456789012345678901234567890Z", 123),
            ("2026-11-23T10:20:00.5+02:00", 500),
            ("2026-11-22T23:50:00-08:30", 0),
            ("2026-11-23T08:20:00-00:00", 0),
            ("2026-11-23T08:19:60Z", -1000),
        ] {
            let at = Timestamp::from_millis(1_795_422_000_000 + millis);
            assert_eq!(Timestamp::parse_rfc3339(text), Ok(at), "{text}");
        }
        let last = Timestamp::parse_rfc3339("9999-12-31T23:59:59.999999Z");
        assert_eq!(last, Ok(Timestamp::MAX));
    }

    #[test]
    fn what_rfc3339_does_not_allow_is_refused() {
        for text in [
            "",
            "yesterday",
            "+002026-11-23T08:20:00Z",
            "-002026-11-23T08:20:00Z",
            "10000-01-01T00:00:00Z",
            "20261123T082000Z",
            "2026-11-23",
            "2026-11-23T08:20Z",
            "2026-11-23T08:20:00",
            "2026-11-23T08:20:00.Z",
            "2026-11-23T08:20:00,5Z",
            "2026-11-23T08:20:00+02",
            "2026-11-23T08:20:00+0200",
            "2026-11-23T08:20:00+24:00",
            "2026-11-23T08:20:00+02:60",
            "2026-11-23T08:20:00+2:0",
            "2026-11-23T08:20:00++1:00",
            "2026-11-23T08:20:00+02:00[Europe/Berlin]",
            "2026-11-23T08:20:00Z ",
            " 2026-11-23T08:20:00Z",
            "2026-11-31T08:20:00Z",
            "2026-02-29T08:20:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T08:20:61Z",
            "2026-11-23T08:20:0\u{664}Z",
            "\u{664}026-11-23T08:20:00Z",
        ] {
            let refused = Timestamp::parse_rfc3339(text);
            assert_eq!(refused, Err(InvalidTime::NotRfc3339), "{text}");
        }
        for text in ["9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00+00:01"] {
            let refused = Timestamp::parse_rfc3339(text);
            assert_eq!(refused, Err(InvalidTime::OutOfYears), "{text}");
        }
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
