//! How many events an endpoint takes in one request.

use std::time::Duration;

use crate::violation::Violation;

/// Most events of one request.
const EVENTS_MAX: u16 = 1000;
/// How long an event waits for company at most.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Events are sent together: as many as there are, or after a while as many as came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BatchRule {
    events_max: u16,
    wait: Duration,
}

// === impl BatchRule ===

impl BatchRule {
    /// 2 to 1,000 events, and up to a minute.
    pub fn try_new(events_max: u16, wait: Duration) -> Result<Self, Violation> {
        if !(2..=EVENTS_MAX).contains(&events_max) {
            return Err(Violation::new(
                "value_error.batch.max_events",
                format!("must be from 2 to {EVENTS_MAX}"),
            ));
        }
        if wait > WAIT_MAX {
            return Err(Violation::new(
                "value_error.batch.max_wait",
                format!("must be from 0 to {} milliseconds", WAIT_MAX.as_millis()),
            ));
        }
        Ok(Self { events_max, wait })
    }

    /// Most events of one request.
    pub const fn events_max(self) -> u16 {
        self.events_max
    }

    /// How long the first of them waits for the others.
    pub const fn wait(self) -> Duration {
        self.wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_bounded() {
        let rule = |events, millis| BatchRule::try_new(events, Duration::from_millis(millis));
        let kind = |rule: Result<BatchRule, Violation>| rule.unwrap_err().rule;
        assert!(rule(2, 0).is_ok());
        assert!(rule(1000, 60_000).is_ok());
        assert_eq!(kind(rule(1, 0)), "value_error.batch.max_events");
        assert_eq!(kind(rule(1001, 0)), "value_error.batch.max_events");
        assert_eq!(kind(rule(2, 60_001)), "value_error.batch.max_wait");
    }
}
