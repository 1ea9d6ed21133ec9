//! How a certificate or key replaces another without an outage: issued → distributed → seen → old
//! retired.
//!
//! **Invariant:** nothing old goes before the new one was seen at work, unless a person forces it.

use crate::time::Timestamp;
use crate::transport::pin::Force;

/// Where one certificate of an identity stands.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Stage {
    /// There is a key and a certificate request; the CA has not answered yet.
    Requested,
    /// The certificate is here; the receivers may not know it yet. Presented only where no other
    /// that they know is valid.
    Issued,
    /// The receivers were told: presented first, with the older ones to fall back on.
    Distributed,
    /// A receiver accepted it.
    Seen,
    /// Not presented any more.
    Retired,
}

/// What happens to a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// The CA's certificate was installed.
    Install,
    /// The receivers were told.
    Distribute,
    /// A receiver accepted it.
    Observe,
    /// It is to go.
    Retire,
}

/// What else is known when a certificate is to go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Standing {
    /// Whether another certificate of the identity was seen at work and is valid now.
    pub successor_seen: bool,
    /// How many endpoints accepted this one last, and none since.
    pub endpoints_on_it: u64,
}

/// Why a step can't be taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RotationError {
    /// The stages don't follow each other like that.
    #[error("a certificate that is {from} can't be {to}")]
    Order {
        /// Where it stands.
        from: &'static str,
        /// What was asked.
        to: &'static str,
    },
    /// Nothing would replace it.
    #[error(
        "no newer certificate of this identity was accepted by any receiver yet; retire this one \
         when one was, or force it"
    )]
    SuccessorNotSeen,
    /// Receivers would lose us.
    #[error(
        "{endpoints} endpoints accepted this certificate last; retire it when they have accepted \
         a newer one, or force it"
    )]
    InUse {
        /// How many.
        endpoints: u64,
    },
}

/// When a certificate reached its stages.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StageTimes {
    /// When it was installed.
    pub issued_at: Option<Timestamp>,
    /// When the receivers were told.
    pub distributed_at: Option<Timestamp>,
    /// When a receiver first accepted it.
    pub seen_at: Option<Timestamp>,
    /// When it was retired.
    pub retired_at: Option<Timestamp>,
}

// === impl Stage ===

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 5] = [
        Self::Requested,
        Self::Issued,
        Self::Distributed,
        Self::Seen,
        Self::Retired,
    ];

    /// Its name in the API and the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Issued => "issued",
            Self::Distributed => "distributed",
            Self::Seen => "seen",
            Self::Retired => "retired",
        }
    }

    /// Whether receivers know such a certificate: they were told of it, or accepted it.
    pub const fn is_known(self) -> bool {
        matches!(self, Self::Distributed | Self::Seen)
    }

    /// Reads its name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == text)
    }

    /// The stage after a step.
    pub fn after(
        self,
        step: Step,
        standing: Standing,
        force: Force,
    ) -> Result<Self, RotationError> {
        match (self, step) {
            (Self::Requested, Step::Install) => Ok(Self::Issued),
            (Self::Issued | Self::Distributed, Step::Distribute) => Ok(Self::Distributed),
            // An acceptance proves that the receiver knows it, whatever we were told.
            (Self::Issued | Self::Distributed | Self::Seen, Step::Observe) => Ok(Self::Seen),
            (Self::Seen, Step::Distribute) => Ok(Self::Seen),
            // Never presented: nobody depends on it.
            (Self::Requested, Step::Retire) => Ok(Self::Retired),
            (Self::Issued | Self::Distributed | Self::Seen, Step::Retire) => {
                standing.permits(force).map(|()| Self::Retired)
            }
            (Self::Retired, Step::Retire) => Ok(Self::Retired),
            (from, step) => Err(RotationError::Order {
                from: from.as_str(),
                to: step.target().as_str(),
            }),
        }
    }
}

// === impl Step ===

impl Step {
    const fn target(self) -> Stage {
        match self {
            Self::Install => Stage::Issued,
            Self::Distribute => Stage::Distributed,
            Self::Observe => Stage::Seen,
            Self::Retire => Stage::Retired,
        }
    }
}

// === impl Standing ===

impl Standing {
    fn permits(self, force: Force) -> Result<(), RotationError> {
        if force == Force::Yes {
            return Ok(());
        }
        if !self.successor_seen {
            return Err(RotationError::SuccessorNotSeen);
        }
        match self.endpoints_on_it {
            0 => Ok(()),
            endpoints => Err(RotationError::InUse { endpoints }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Standing = Standing {
        successor_seen: true,
        endpoints_on_it: 0,
    };

    #[test]
    fn the_way_of_a_certificate() {
        let mut stage = Stage::Requested;
        for (step, expect) in [
            (Step::Install, Stage::Issued),
            (Step::Distribute, Stage::Distributed),
            (Step::Observe, Stage::Seen),
            (Step::Observe, Stage::Seen),
            (Step::Retire, Stage::Retired),
        ] {
            stage = stage.after(step, FREE, Force::No).unwrap();
            assert_eq!(stage, expect);
        }
        let back = stage.after(Step::Observe, FREE, Force::Yes);
        let (from, to) = ("retired", "seen");
        assert_eq!(back, Err(RotationError::Order { from, to }));
        assert!(
            Stage::Requested
                .after(Step::Observe, FREE, Force::Yes)
                .is_err()
        );
    }

    #[test]
    fn nothing_old_goes_before_the_new_one_was_seen() {
        let retire = |standing, force| Stage::Seen.after(Step::Retire, standing, force);
        let alone = Standing {
            successor_seen: false,
            endpoints_on_it: 0,
        };
        let used = Standing {
            successor_seen: true,
            endpoints_on_it: 3,
        };
        assert_eq!(
            retire(alone, Force::No),
            Err(RotationError::SuccessorNotSeen)
        );
        let endpoints = 3;
        assert_eq!(
            retire(used, Force::No),
            Err(RotationError::InUse { endpoints })
        );
        assert_eq!(retire(used, Force::Yes), Ok(Stage::Retired));
        assert_eq!(retire(FREE, Force::No), Ok(Stage::Retired));
    }
}
