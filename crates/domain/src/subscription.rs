//! Decides which endpoints a message is for. Whatever makes deliveries of messages asks here.
//!
//! **Invariant:** pure; the answer depends on the arguments only. What can't be decided is wanted:
//! nothing that was accepted is lost since a filter did not fit it.

use crate::channel::Channel;
use crate::event_type::EventTypeName;
use crate::filter::{Candidate, Filter, FilterError};

/// Which messages an endpoint wants.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Subscription {
    /// The wanted event types, and groups of them; `None` for all.
    pub event_types: Option<Vec<EventTypeName>>,
    /// The wanted channels; `None` for messages on any channel and on none.
    pub channels: Option<Vec<Channel>>,
    /// What else has to hold of a message; `None` for nothing.
    pub filter: Option<Filter>,
}

/// Whether an endpoint gets a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// It asks for it.
    Wanted,
    /// Its event types or channels leave it out.
    NotSubscribed,
    /// Its filter says no.
    FilteredOut,
    /// Its filter can't be decided: it gets the message.
    Undecided(FilterError),
}

// === impl Subscription ===

impl Subscription {
    /// Whether a message is wanted. The payload is looked at only if all else is as asked for.
    pub fn decide(&self, candidate: &mut Candidate<'_>) -> Decision {
        if !self.wants(candidate.event_type, candidate.channels) {
            return Decision::NotSubscribed;
        }
        match self.filter.as_ref().map(|filter| filter.passes(candidate)) {
            None | Some(Ok(true)) => Decision::Wanted,
            Some(Ok(false)) => Decision::FilteredOut,
            Some(Err(error)) => Decision::Undecided(error),
        }
    }

    /// Whether messages of this type on these channels are wanted, as far as can be told without
    /// their payload: a delivery is made as [`Self::decide`] says. A message without channels goes only
    /// to endpoints that ask for none; one with channels goes to those and to the endpoints that ask
    /// for at least one of them.
    pub fn wants(&self, event_type: &EventTypeName, channels: &[Channel]) -> bool {
        let type_wanted = self
            .event_types
            .as_ref()
            .is_none_or(|wanted| wanted.iter().any(|wanted| wanted.covers(event_type)));
        let channel_wanted = self
            .channels
            .as_ref()
            .is_none_or(|wanted| channels.iter().any(|channel| wanted.contains(channel)));
        type_wanted && channel_wanted
    }
}

// === impl Decision ===

impl Decision {
    /// Whether the endpoint gets the message.
    pub const fn is_delivered(self) -> bool {
        matches!(self, Self::Wanted | Self::Undecided(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(types: Option<&[&str]>, wanted: Option<&[&str]>, on: &[&str], expect: bool) {
        let channel = |c: &&str| Channel::parse(c).unwrap();
        let subscription = Subscription {
            event_types: types.map(|all| {
                all.iter()
                    .map(|t| EventTypeName::parse(t).unwrap())
                    .collect()
            }),
            channels: wanted.map(|all| all.iter().map(channel).collect()),
            filter: None,
        };
        let on: Vec<_> = on.iter().map(channel).collect();
        let paid = EventTypeName::parse("invoice.paid").unwrap();
        // Without a filter, the payload is not looked at: it need not be JSON.
        let mut candidate = Candidate::new(&paid, &on, b"{");
        assert_eq!(
            subscription.decide(&mut candidate).is_delivered(),
            expect,
            "{types:?} {wanted:?} {on:?}"
        );
    }

    #[test]
    fn table() {
        check(None, None, &[], true);
        check(None, None, &["eu"], true);
        check(Some(&["invoice.paid"]), None, &[], true);
        check(Some(&["invoice"]), None, &[], true);
        check(Some(&["invoice.sent", "user"]), None, &[], false);
        check(None, Some(&["eu"]), &[], false);
        check(None, Some(&["eu"]), &["us", "eu"], true);
        check(None, Some(&["eu"]), &["us"], false);
        check(Some(&["invoice.sent"]), Some(&["eu"]), &["eu"], false);
    }

    #[test]
    fn what_a_filter_can_not_decide_is_delivered() {
        let check = |filter: &str, payload: &str, expect: Decision| {
            let subscription = Subscription {
                filter: Some(Filter::parse(filter).unwrap()),
                ..Subscription::default()
            };
            let paid = EventTypeName::parse("invoice.paid").unwrap();
            let mut candidate = Candidate::new(&paid, &[], payload.as_bytes());
            let decision = subscription.decide(&mut candidate);
            assert_eq!(decision, expect, "{filter} {payload}");
        };
        check("payload.amount > 1", r#"{"amount": 2}"#, Decision::Wanted);
        check(
            "payload.amount > 1",
            r#"{"amount": 1}"#,
            Decision::FilteredOut,
        );
        let missing = Decision::Undecided(FilterError::NoSuchField);
        check("payload.amount > 1", "{}", missing);
        check(
            "has(payload.amount) && payload.amount > 1",
            "{}",
            Decision::FilteredOut,
        );
        assert!(missing.is_delivered() && !Decision::FilteredOut.is_delivered());
    }
}
