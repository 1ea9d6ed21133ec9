//! Decides which endpoints a message is for.
//!
//! **Invariant:** pure; the answer depends on the arguments only.

use crate::channel::Channel;
use crate::event_type::EventTypeName;

/// Which messages an endpoint wants.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Subscription {
    /// The wanted event types; `None` for all.
    pub event_types: Option<Vec<EventTypeName>>,
    /// The wanted channels; `None` for messages on any channel and on none.
    pub channels: Option<Vec<Channel>>,
}

// === impl Subscription ===

impl Subscription {
    /// Whether a message of this type on these channels is wanted. A message without channels goes
    /// only to endpoints that ask for none; one with channels goes to those and to the endpoints
    /// that ask for at least one of them.
    pub fn wants(&self, event_type: &EventTypeName, channels: &[Channel]) -> bool {
        let type_wanted = self
            .event_types
            .as_ref()
            .is_none_or(|wanted| wanted.contains(event_type));
        let channel_wanted = self
            .channels
            .as_ref()
            .is_none_or(|wanted| channels.iter().any(|channel| wanted.contains(channel)));
        type_wanted && channel_wanted
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
        };
        let on: Vec<_> = on.iter().map(channel).collect();
        let paid = EventTypeName::parse("invoice.paid").unwrap();
        assert_eq!(
            subscription.wants(&paid, &on),
            expect,
            "{types:?} {wanted:?} {on:?}"
        );
    }

    #[test]
    fn table() {
        check(None, None, &[], true);
        check(None, None, &["eu"], true);
        check(Some(&["invoice.paid"]), None, &[], true);
        check(Some(&["invoice.sent"]), None, &[], false);
        check(None, Some(&["eu"]), &[], false);
        check(None, Some(&["eu"]), &["us", "eu"], true);
        check(None, Some(&["eu"]), &["us"], false);
        check(Some(&["invoice.sent"]), Some(&["eu"]), &["eu"], false);
    }
}
