//! What a message says of its deliveries besides whom they go to: when they begin, when they end,
//! how urgent they are. Knows no clock.

use std::time::Duration;

use crate::delivery::priority::Priority;
use crate::time::Timestamp;
use crate::violation::Violation;

/// How far ahead a message can be scheduled: what is to happen later than in a month is better kept
/// where it can still be changed.
const AHEAD_MAX: Duration = Duration::from_hours(30 * 24);
/// Most seconds that a message is worth delivering: 30 days, more than any schedule's default.
pub const EXPIRE_AFTER_SECS_MAX: u32 = 30 * 86_400;

/// What a message says of its deliveries. Nothing by default.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MessageOptions {
    /// When its deliveries begin; `None` for at once.
    pub deliver_at: Option<Timestamp>,
    /// Nothing is sent from then on; `None` if that never happens.
    pub expires_at: Option<Timestamp>,
    /// How urgent it is.
    pub priority: Priority,
}

// === impl MessageOptions ===

impl MessageOptions {
    /// Whether the message says nothing, as most do.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether nothing may be sent any more.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// When deliveries begin: `None` if at once, which is what a time in the past means. The payload has
/// to be there then, and the message for as long as its deliveries may take: `deliverable` says how
/// far ahead that is so.
pub fn check_deliver_at(
    at: Timestamp,
    now: Timestamp,
    payload_retention: Duration,
    deliverable: Duration,
) -> Result<Option<Timestamp>, Violation> {
    if at > now.plus(AHEAD_MAX) {
        return Err(Violation::new(
            "value_error.deliver_at.too_far",
            "must be at most 30 days ahead",
        ));
    }
    if at >= now.plus(payload_retention) {
        return Err(Violation::new(
            "value_error.deliver_at.retention",
            "must be before the payload's retention ends",
        ));
    }
    if at > now.plus(deliverable) {
        let hours = deliverable.as_secs() / 3600;
        return Err(Violation::new(
            "value_error.deliver_at.history",
            format!("must be at most {hours} hours ahead: this server forgets messages after that"),
        ));
    }
    Ok((at > now).then_some(at))
}

/// When a message expires: so long after its deliveries may begin.
pub fn expires_at(deliver_at: Option<Timestamp>, now: Timestamp, after_secs: u32) -> Timestamp {
    let begins = deliver_at.unwrap_or(now);
    begins.plus(Duration::from_secs(after_secs.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_422_000_000);
    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn schedules_are_bounded() {
        let kept = |at, retention, deliverable| {
            check_deliver_at(at, NOW, retention, deliverable).map_err(|v| v.rule)
        };
        let check = |at, retention| kept(at, retention, DAY * 86);
        let in_90 = |at| check(at, DAY * 90);
        assert_eq!(in_90(NOW), Ok(None), "now");
        assert_eq!(in_90(NOW.minus(DAY)), Ok(None), "the past means now");
        let tomorrow = NOW.plus(DAY);
        assert_eq!(in_90(tomorrow), Ok(Some(tomorrow)));
        let month = NOW.plus(DAY * 30);
        assert_eq!(in_90(month), Ok(Some(month)));
        let later = month.plus(Duration::from_millis(1));
        assert_eq!(in_90(later), Err("value_error.deliver_at.too_far"));
        let retention = Err("value_error.deliver_at.retention");
        assert_eq!(check(tomorrow, DAY), retention, "gone by then");
        assert_eq!(kept(tomorrow, DAY * 90, DAY), Ok(Some(tomorrow)));
        let just = DAY - Duration::from_millis(1);
        let history = Err("value_error.deliver_at.history");
        assert_eq!(kept(tomorrow, DAY * 90, just), history, "forgotten by then");
        assert_eq!(kept(NOW.plus(just), DAY * 90, Duration::ZERO), history);
        assert_eq!(kept(NOW, DAY * 90, Duration::ZERO), Ok(None), "now");
    }

    #[test]
    fn expiry_counts_from_when_deliveries_may_begin() {
        let minute = NOW.plus(Duration::from_mins(1));
        assert_eq!(expires_at(None, NOW, 60), minute);
        let at = NOW.plus(DAY);
        assert_eq!(
            expires_at(Some(at), NOW, 60),
            at.plus(Duration::from_mins(1))
        );
        let options = MessageOptions {
            expires_at: Some(minute),
            ..MessageOptions::default()
        };
        assert!(!options.is_over(NOW) && options.is_over(minute));
        assert!(!options.is_default() && MessageOptions::default().is_default());
    }
}
