//! Whether everything arrived that had to, by the word of both sides: of the API, and of the
//! receivers.

use std::fmt;

use crate::demo::events::Event;
use crate::demo::receivers::{Ledger, Role};
use crate::demo::table::{EndpointView, Standing};
use crate::demo::tour::Published;

/// Something that did not go as it should.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Problem {
    /// The API says that deliveries did not reach their end.
    Standing {
        /// Whose.
        role: Role,
        /// How many.
        count: usize,
        /// How they stand instead.
        standing: Standing,
    },
    /// The API does not know of deliveries.
    Unlisted {
        /// Whose.
        role: Role,
        /// How many.
        count: usize,
    },
    /// The receiver did not get messages, or not with the published bytes.
    NotArrived {
        /// Which.
        role: Role,
        /// How many.
        count: usize,
    },
    /// The receiver got requests that it could not verify.
    Unverified {
        /// Which.
        role: Role,
        /// How many.
        count: u64,
    },
    /// An endpoint answered 410 and was not disabled.
    NotDisabled,
}

/// Compares what was published with what the API lists and what the receivers saw.
pub fn problems(
    events: &[Event],
    published: &Published,
    seen: &[(Role, EndpointView, &Ledger)],
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (role, view, ledger) in seen {
        let role = *role;
        let unlisted = published.ids.len().saturating_sub(view.deliveries.len());
        if unlisted > 0 {
            problems.push(Problem::Unlisted {
                role,
                count: unlisted,
            });
        }
        for standing in Standing::ALL {
            let count = view.count(standing);
            if count > 0 && !is_expected(role, standing) {
                problems.push(Problem::Standing {
                    role,
                    count,
                    standing,
                });
            }
        }
        let counts = ledger.counts();
        let count = counts.received.saturating_sub(counts.verified);
        if count > 0 {
            problems.push(Problem::Unverified { role, count });
        }
        if role == Role::Gone {
            if !view.disabled {
                problems.push(Problem::NotDisabled);
            }
            continue;
        }
        problems.extend(not_arrived(events, published, role, ledger));
    }
    problems
}

/// What a receiver lacks that everything should have arrived at by now.
pub fn arrival_problems(
    events: &[Event],
    published: &Published,
    role: Role,
    view: &EndpointView,
    ledger: &Ledger,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for standing in Standing::ALL {
        let count = view.count(standing);
        if count > 0 && standing != Standing::Delivered {
            problems.push(Problem::Standing {
                role,
                count,
                standing,
            });
        }
    }
    problems.extend(not_arrived(events, published, role, ledger));
    problems
}

fn not_arrived(
    events: &[Event],
    published: &Published,
    role: Role,
    ledger: &Ledger,
) -> Option<Problem> {
    let is_missing =
        |(id, event): &(&String, &Event)| !ledger.has_accepted(id, event.payload.get().as_bytes());
    let count = published.ids.iter().zip(events).filter(is_missing).count();
    (count > 0).then_some(Problem::NotArrived { role, count })
}

fn is_expected(role: Role, standing: Standing) -> bool {
    match role {
        Role::Healthy | Role::Flaky => standing == Standing::Delivered,
        Role::Gone => matches!(standing, Standing::Gone | Standing::Held),
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standing {
                role,
                count,
                standing,
            } => write!(
                f,
                "{}: {count} deliveries are {}",
                role.as_str(),
                standing.as_str()
            ),
            Self::Unlisted { role, count } => {
                write!(
                    f,
                    "{}: the API does not list {count} deliveries",
                    role.as_str()
                )
            }
            Self::NotArrived { role, count } => write!(
                f,
                "{}: {count} messages did not arrive byte for byte as they were published",
                role.as_str()
            ),
            Self::Unverified { role, count } => write!(
                f,
                "{}: {count} requests had no valid signature and timestamp",
                role.as_str()
            ),
            Self::NotDisabled => f.write_str("gone: answered 410, but is not disabled"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::demo::events::parse;
    use crate::demo::wire::{AttemptsByMessage, DeliveryOut};

    use super::*;

    fn view(name: &'static str, statuses: &[u8]) -> EndpointView {
        let delivery = |(n, status): (usize, &u8)| DeliveryOut {
            id: format!("msg_{n}"),
            event_type: "a".to_owned(),
            status: *status,
            next_attempt: None,
        };
        EndpointView {
            name,
            disabled: false,
            deliveries: statuses.iter().enumerate().map(delivery).collect(),
            attempts: AttemptsByMessage::new(),
        }
    }

    #[test]
    fn nothing_is_taken_on_trust() {
        let line = "{\"eventType\":\"a\",\"payload\":{}}\n";
        let events = parse(line.repeat(3).as_bytes()).unwrap();
        let published = Published {
            ids: (0..3).map(|n| format!("msg_{n}")).collect(),
        };
        let (healthy, gone) = (Ledger::new(Role::Healthy), Ledger::new(Role::Gone));
        let seen = [
            (Role::Healthy, view("healthy", &[0, 2]), &*healthy),
            (Role::Gone, view("gone", &[1, 1, 1]), &*gone),
        ];
        let texts: Vec<_> = problems(&events, &published, &seen)
            .iter()
            .map(Problem::to_string)
            .collect();
        let expect = [
            "healthy: the API does not list 1 deliveries",
            "healthy: 1 deliveries are failed",
            "healthy: 3 messages did not arrive byte for byte as they were published",
            "gone: 3 deliveries are waiting",
            "gone: answered 410, but is not disabled",
        ];
        assert_eq!(texts, expect);
        let view = view("gone", &[0, 1, 2]);
        let back = arrival_problems(&events, &published, Role::Gone, &view, &gone);
        let texts: Vec<_> = back.iter().map(Problem::to_string).collect();
        let expect = [
            "gone: 1 deliveries are failed",
            "gone: 1 deliveries are waiting",
            "gone: 3 messages did not arrive byte for byte as they were published",
        ];
        assert_eq!(texts, expect);
    }
}
