//! The numbers that stand for states in the database. Never reused, never renumbered.

use hookseal_domain::delivery::outcome::Outcome;
use hookseal_domain::delivery::priority::Priority;
use hookseal_domain::delivery::{Ended, Trigger};
use hookseal_domain::endpoint::health::Notice;
use hookseal_domain::event_type::validation::ValidationMode;
use hookseal_domain::signature::key::KeyKind;
use hookseal_domain::task::replay::Wanted;
use hookseal_domain::task::{TaskFailure, TaskKind};
use hookseal_domain::transport::pin::PinState;

use crate::tasks::TaskStatus;

/// A thing that is stored as a number.
pub(crate) trait Code: Sized {
    /// The number.
    fn code(self) -> i64;

    /// What the number stands for; `None` if for nothing.
    fn from_code(code: i64) -> Option<Self>;
}

macro_rules! codes {
    ($($type:ident { $($variant:ident = $code:literal,)* })*) => {$(
        impl Code for $type {
            fn code(self) -> i64 {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            fn from_code(code: i64) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    )*};
}

/// The state of a row of unfinished deliveries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PendingState {
    Owned,
    Waiting,
    Backlog,
    Held,
    Blocked,
}

/// What an organisation has of transport security.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ItemKind {
    Policy,
    AnchorSet,
    ClientIdentity,
}

codes! {
    Trigger { Publish = 1, Resend = 2, }
    PendingState { Owned = 0, Waiting = 1, Backlog = 2, Held = 3, Blocked = 4, }
    Ended {
        Delivered = 1,
        Exhausted = 2,
        Parked = 3,
        Gone = 4,
        EndpointDeleted = 5,
        PayloadExpired = 6,
        Skipped = 7,
        MessageExpired = 8,
    }
    Outcome {
        Accepted = 1,
        Retry = 2,
        Parked = 3,
        Gone = 4,
        NotTrusted = 5,
        Blocked = 6,
        Unreachable = 7,
        TimedOut = 8,
        Internal = 9,
        Unsendable = 10,
    }
    ValidationMode { Off = 0, Warn = 1, Enforce = 2, }
    Priority { High = 0, Normal = 1, Bulk = 2, }
    KeyKind { HmacSha256 = 1, Ed25519 = 2, }
    ItemKind { Policy = 1, AnchorSet = 2, ClientIdentity = 3, }
    TaskKind {
        Recover = 1,
        ReplayMissing = 2,
        BulkReplay = 3,
        Cancel = 4,
        Expunge = 5,
        Broadcast = 6,
        Usage = 7,
        Subscriptions = 8,
        Export = 9,
    }
    Wanted { Failed = 1, Ended = 2, Delivered = 3, Cancelled = 4, Missing = 5, }
    TaskStatus { Running = 1, Finished = 2, Failed = 3, }
    TaskFailure {
        Cancelled = 1,
        ApplicationDeleted = 2,
        EndpointDeleted = 3,
        EndpointDisabled = 4,
    }
    Notice { First = 1, Last = 2, }
    PinState { Staged = 1, Seen = 2, Active = 3, Retiring = 4, }
}
