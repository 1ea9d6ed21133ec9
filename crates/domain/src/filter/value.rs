//! What an expression's parts come to, and how CEL compares and calculates with it.

use std::cmp::Ordering;
use std::rc::Rc;

use serde_json::{Map, Value as Json};

use crate::channel::Channel;
use crate::filter::FilterError;
use crate::filter::program::Calculation;

/// A value; of the payload it is only a reference.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(&'a str),
    List(&'a [Json]),
    Map(&'a Map<String, Json>),
    Channels(&'a [Channel]),
    /// A list that stands in the expression.
    Listed(Rc<[Self]>),
}

// === impl Value ===

impl<'a> Value<'a> {
    /// A value of the payload. Whole numbers are `int`, or `uint` beyond its range, others `double`.
    pub(super) fn of(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => {
                if let Some(int) = number.as_i64() {
                    Self::Int(int)
                } else if let Some(uint) = number.as_u64() {
                    Self::Uint(uint)
                } else {
                    Self::Double(number.as_f64().unwrap_or(f64::NAN))
                }
            }
            Json::String(text) => Self::Text(text),
            Json::Array(list) => Self::List(list),
            Json::Object(map) => Self::Map(map),
        }
    }

    /// The element of a list; `None` beyond its end, or if it is no list.
    pub(super) fn element(&self, index: usize) -> Option<Self> {
        match self {
            Self::List(list) => list.get(index).map(Self::of),
            Self::Channels(list) => list.get(index).map(|channel| Self::Text(channel.as_str())),
            Self::Listed(list) => list.get(index).cloned(),
            _ => None,
        }
    }

    /// How many elements a list has.
    pub(super) fn elements(&self) -> Option<usize> {
        match self {
            Self::List(list) => Some(list.len()),
            Self::Channels(list) => Some(list.len()),
            Self::Listed(list) => Some(list.len()),
            _ => None,
        }
    }

    /// How two values compare where they can be ordered; `None` with what is not a number.
    pub(super) fn compared(&self, other: &Self) -> Result<Option<Ordering>, FilterError> {
        Ok(match (self, other) {
            (Self::Bool(one), Self::Bool(other)) => Some(one.cmp(other)),
            (Self::Text(one), Self::Text(other)) => Some(one.cmp(other)),
            _ => match (Number::of(self), Number::of(other)) {
                (Some(one), Some(other)) => one.compared(other),
                _ => return Err(FilterError::WrongType),
            },
        })
    }

    /// Whether two values that hold no others are the same. Those of different types are not, but
    /// numbers are compared as such.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::Text(one), Self::Text(other)) => one == other,
            _ => match (Number::of(self), Number::of(other)) {
                (Some(one), Some(other)) => one.compared(other) == Some(Ordering::Equal),
                _ => false,
            },
        }
    }

    /// CEL calculates with two numbers of one type only.
    pub(super) fn calculated(&self, how: Calculation, other: &Self) -> Result<Self, FilterError> {
        match (self, other) {
            (Self::Int(one), Self::Int(other)) => {
                let made = match how {
                    Calculation::Add => one.checked_add(*other),
                    Calculation::Subtract => one.checked_sub(*other),
                    Calculation::Multiply => one.checked_mul(*other),
                    Calculation::Divide => one.checked_div(*other),
                    Calculation::Remainder => one.checked_rem(*other),
                };
                made.map(Self::Int).ok_or(FilterError::OutOfRange)
            }
            (Self::Uint(one), Self::Uint(other)) => {
                let made = match how {
                    Calculation::Add => one.checked_add(*other),
                    Calculation::Subtract => one.checked_sub(*other),
                    Calculation::Multiply => one.checked_mul(*other),
                    Calculation::Divide => one.checked_div(*other),
                    Calculation::Remainder => one.checked_rem(*other),
                };
                made.map(Self::Uint).ok_or(FilterError::OutOfRange)
            }
            (Self::Double(one), Self::Double(other)) => Ok(Self::Double(match how {
                Calculation::Add => one + other,
                Calculation::Subtract => one - other,
                Calculation::Multiply => one * other,
                Calculation::Divide => one / other,
                Calculation::Remainder => return Err(FilterError::WrongType),
            })),
            _ => Err(FilterError::WrongType),
        }
    }

    /// As an `int`: a double loses what is behind its point.
    pub(super) fn to_int(&self) -> Result<i64, FilterError> {
        match self {
            Self::Int(int) => Ok(*int),
            Self::Uint(uint) => i64::try_from(*uint).map_err(|_| FilterError::OutOfRange),
            Self::Double(double) => whole(*double).ok_or(FilterError::OutOfRange),
            Self::Text(text) => text.parse().map_err(|_| FilterError::WrongType),
            _ => Err(FilterError::WrongType),
        }
    }

    /// As a `double`.
    pub(super) fn to_double(&self) -> Result<f64, FilterError> {
        match self {
            Self::Text(text) => text.parse().map_err(|_| FilterError::WrongType),
            _ => match Number::of(self) {
                Some(number) => Ok(number.double()),
                None => Err(FilterError::WrongType),
            },
        }
    }
}

#[derive(Clone, Copy)]
enum Number {
    Whole(i128),
    Double(f64),
}

// === impl Number ===

impl Number {
    fn of(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::Int(int) => Some(Self::Whole(i128::from(*int))),
            Value::Uint(uint) => Some(Self::Whole(i128::from(*uint))),
            Value::Double(double) => Some(Self::Double(*double)),
            _ => None,
        }
    }

    #[expect(
        clippy::as_conversions,
        reason = "rounds to the next double, which is what CEL's double() does"
    )]
    fn double(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Double(double) => double,
        }
    }

    /// Where one of them is a double, whole numbers beyond 2^53 are compared as the next double.
    fn compared(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => Some(one.cmp(&other)),
            _ => self.double().partial_cmp(&other.double()),
        }
    }
}

#[expect(
    clippy::as_conversions,
    reason = "the range is looked at before; what is behind the point is meant to go"
)]
fn whole(double: f64) -> Option<i64> {
    // Both ends are doubles, and the upper one is the first that does not fit.
    const END: f64 = 9_223_372_036_854_775_808.0;
    (-END < double && double < END).then_some(double as i64)
}
