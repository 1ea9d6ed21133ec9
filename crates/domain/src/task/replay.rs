//! Decides which deliveries a task makes again.
//!
//! **Invariant:** pure; the answer depends on the arguments only.

use crate::channel::Channel;
use crate::delivery::Ended;
use crate::event_type::EventTypeName;

/// Which messages somebody chose. Absent means all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReplayFilter {
    /// How their deliveries stand.
    pub wanted: Wanted,
    /// On this channel.
    pub channel: Option<Channel>,
    /// With this tag.
    pub tag: Option<String>,
    /// Of one of these types.
    pub event_types: Option<Vec<EventTypeName>>,
    /// Whose last attempt had a status code from this hundred: 100 … 500; 0 for no response.
    pub status_code_class: Option<u16>,
}

/// How a delivery has to stand to be made again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// It ended undelivered, and nobody wanted that; or it blocks its order.
    Failed,
    /// It ended, however.
    Ended,
    /// It was delivered.
    Delivered,
    /// Somebody cancelled or skipped it.
    Cancelled,
    /// There never was one.
    Missing,
}

/// How a delivery stands that a task comes by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// There never was one.
    Missing,
    /// It is to be tried, or being tried.
    Unfinished,
    /// It is exhausted, and its order waits for it.
    Blocked,
    /// It ended.
    Ended(Ended),
}

// === impl Wanted ===

impl Wanted {
    /// Whether one that stands so is made again.
    pub fn includes(self, standing: Standing) -> bool {
        match (self, standing) {
            (_, Standing::Unfinished) => false,
            (Self::Missing, standing) => standing == Standing::Missing,
            (_, Standing::Missing) => false,
            (Self::Ended, Standing::Blocked | Standing::Ended(_)) => true,
            (Self::Failed, Standing::Blocked) => true,
            (Self::Failed, Standing::Ended(ended)) => {
                !matches!(ended, Ended::Delivered | Ended::Skipped)
            }
            (Self::Delivered, standing) => standing == Standing::Ended(Ended::Delivered),
            (Self::Cancelled, standing) => standing == Standing::Ended(Ended::Skipped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let standings = [
            Standing::Missing,
            Standing::Unfinished,
            Standing::Blocked,
            Standing::Ended(Ended::Delivered),
            Standing::Ended(Ended::Exhausted),
            Standing::Ended(Ended::Parked),
            Standing::Ended(Ended::Gone),
            Standing::Ended(Ended::Skipped),
            Standing::Ended(Ended::MessageExpired),
        ];
        let check = |wanted: Wanted, expect: [u8; 9]| {
            let includes = standings.map(|standing| u8::from(wanted.includes(standing)));
            assert_eq!(includes, expect, "{wanted:?}");
        };
        check(Wanted::Failed, [0, 0, 1, 0, 1, 1, 1, 0, 1]);
        check(Wanted::Ended, [0, 0, 1, 1, 1, 1, 1, 1, 1]);
        check(Wanted::Delivered, [0, 0, 0, 1, 0, 0, 0, 0, 0]);
        check(Wanted::Cancelled, [0, 0, 0, 0, 0, 0, 0, 1, 0]);
        check(Wanted::Missing, [1, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
