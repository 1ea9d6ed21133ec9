//! Durations as text: a whole number and a unit, such as `250ms`, `15s`, `5m`, `2h` or `30d`.

use std::time::Duration;

use crate::config::value::Scalar;

/// The units with their milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

impl Scalar for Duration {
    const FORM: &'static str = "a duration such as 250ms, 15s, 5m, 2h or 30d";

    fn parse(text: &str) -> Option<Self> {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at_checked(digits)?;
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let millis = number.parse::<u64>().ok()?.checked_mul(*millis)?;
        Some(Self::from_millis(millis))
    }

    fn rank(&self) -> Option<u128> {
        Some(self.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect_millis: Option<u64>) {
        let expect = expect_millis.map(Duration::from_millis);
        assert_eq!(Duration::parse(text), expect, "{text}");
    }

    #[test]
    fn units() {
        check("250ms", Some(250));
        check("15s", Some(15_000));
        check("5m", Some(300_000));
        check("2h", Some(7_200_000));
        check("30d", Some(2_592_000_000));
        check("0s", Some(0));
    }

    #[test]
    fn anything_else_is_no_duration() {
        for text in ["", "15", "s", "-1s", "1.5s", "15 s", "15S", "1h30m", "5µs"] {
            check(text, None);
        }
        check("18446744073709551615d", None);
        check("99999999999999999999s", None);
    }
}
