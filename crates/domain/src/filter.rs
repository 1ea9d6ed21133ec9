//! A payload filter: an expression of CEL (the Common Expression Language) that says which messages
//! an endpoint wants, by what stands in them.
//!
//! **Invariant:** pure and bounded: an evaluation never makes more than its steps, whatever the
//! expression and the payload are, and an expression that can't be decided is an error, never `false`.

mod program;
mod run;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::channel::Channel;
use crate::event_type::EventTypeName;
use crate::filter::program::Node;
use crate::filter::run::Run;
use crate::violation::Violation;

/// Longest expression, in bytes: a page of text. Reading one takes time and depth in proportion.
pub const FILTER_BYTES_MAX: usize = 1024;
/// Most steps of one evaluation. A comparison of two numbers takes three.
const STEPS_MAX: u32 = 20_000;
/// Most steps of all evaluations for one message, so that an application with thousands of filters
/// holds up nobody for long: some hundredths of a second.
const MESSAGE_STEPS_MAX: u32 = 1_000_000;
/// Largest payload that is looked into, in bytes: reading a larger one takes longer than publishing
/// it.
pub const FILTERED_PAYLOAD_BYTES_MAX: usize = 256 * 1024;

/// A filter that was checked.
#[derive(Clone)]
pub struct Filter(Arc<Checked>);

struct Checked {
    source: String,
    program: Node,
}

/// Why it can't be said whether a message passes a filter.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum FilterError {
    /// The payload is too large to be looked into.
    #[error("the payload is larger than 256 KiB, beyond which none is looked into")]
    PayloadTooLarge,
    /// The payload is no JSON.
    #[error("the payload can't be read as JSON")]
    NotJson,
    /// It took too many steps.
    #[error("it takes too many steps with this payload")]
    TooCostly,
    /// The expression asks for something that the payload has not.
    #[error("the payload has no such field; has(…) tells whether there is one")]
    NoSuchField,
    /// An operator does not fit what stands there.
    #[error("an operator or function does not fit the type of what stands in the payload")]
    WrongType,
    /// A number is too large, a divisor zero, or an index beyond the end.
    #[error("a number or index is out of range")]
    OutOfRange,
    /// The expression is not about whether.
    #[error("the result is neither true nor false")]
    NotBool,
}

/// A message, as filters look at it. Reads the payload at most once, and only if somebody asks.
pub struct Candidate<'m> {
    /// What happened.
    pub event_type: &'m EventTypeName,
    /// Which channels it goes to.
    pub channels: &'m [Channel],
    payload: &'m [u8],
    read: Option<Result<Json, FilterError>>,
    steps_left: u32,
}

// === impl Filter ===

impl Filter {
    /// Parses what a client gave.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        if text.len() > FILTER_BYTES_MAX {
            return Err(Violation::new(
                "value_error.length",
                format!("must be at most {FILTER_BYTES_MAX} bytes"),
            ));
        }
        Ok(Self(Arc::new(Checked {
            source: text.to_owned(),
            program: program::read(text)?,
        })))
    }

    /// The expression.
    pub fn as_str(&self) -> &str {
        &self.0.source
    }

    /// Whether a message passes.
    pub fn passes(&self, candidate: &mut Candidate<'_>) -> Result<bool, FilterError> {
        candidate.read_payload()?;
        let Some(Ok(payload)) = &candidate.read else {
            return Err(FilterError::NotJson);
        };
        let steps = STEPS_MAX.min(candidate.steps_left);
        let mut run = Run::new(candidate.event_type, candidate.channels, payload, steps);
        let passes = run.decide(&self.0.program);
        let taken = steps - run.steps_left();
        candidate.steps_left -= taken;
        passes
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Filter {}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Filter").field(&self.as_str()).finish()
    }
}

// === impl FilterError ===

impl FilterError {
    /// Stable name, for metrics and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PayloadTooLarge => "payload_too_large",
            Self::NotJson => "not_json",
            Self::TooCostly => "too_costly",
            Self::NoSuchField => "no_such_field",
            Self::WrongType => "wrong_type",
            Self::OutOfRange => "out_of_range",
            Self::NotBool => "not_bool",
        }
    }
}

// === impl Candidate ===

impl<'m> Candidate<'m> {
    /// A message whose payload nobody has looked at.
    pub fn new(event_type: &'m EventTypeName, channels: &'m [Channel], payload: &'m [u8]) -> Self {
        Self {
            event_type,
            channels,
            payload,
            read: None,
            steps_left: MESSAGE_STEPS_MAX,
        }
    }

    fn read_payload(&mut self) -> Result<(), FilterError> {
        let payload = self.payload;
        let read = self.read.get_or_insert_with(|| {
            if payload.len() > FILTERED_PAYLOAD_BYTES_MAX {
                return Err(FilterError::PayloadTooLarge);
            }
            serde_json::from_slice(payload).map_err(|_| FilterError::NotJson)
        });
        match read {
            Ok(_) => Ok(()),
            Err(error) => Err(*error),
        }
    }
}
