//! What a failed TLS connection means, as it goes out.

use serde::Serialize;
use utoipa::ToSchema;

use hookseal_domain::delivery::outcome::{Again, Fault};
use hookseal_domain::transport::failure::TlsFailure;

/// What a failed TLS connection means.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = TlsFailure)]
pub(crate) struct FailureOut {
    /// Its stable name.
    code: &'static str,
    /// Whose fault it is: `receiver`, `us` or `network`.
    fault: &'static str,
    /// Whether another attempt makes sense: `soon`, `later` (people have to mend something
    /// first), or `never`.
    retry: &'static str,
    /// What to do, for people.
    advice: &'static str,
}

// === impl FailureOut ===

impl FailureOut {
    /// As it goes out.
    pub(crate) fn of(failure: TlsFailure) -> Self {
        Self {
            code: failure.as_str(),
            fault: match failure.fault() {
                Fault::Receiver => "receiver",
                Fault::Us => "us",
                Fault::Network => "network",
            },
            retry: match failure.again() {
                Again::Soon => "soon",
                Again::Later => "later",
                Again::Never => "never",
            },
            advice: failure.advice(),
        }
    }
}
