//! Runs an expression against one message, step by step.
//!
//! **Invariant:** every visit of a part, every element and every 64 bytes that are compared take a
//! step; when there is none left, the run ends.

use std::rc::Rc;

use serde_json::Value as Json;

use crate::channel::Channel;
use crate::event_type::EventTypeName;
use crate::filter::FilterError;
use crate::filter::program::{
    Comparison, Constant, Conversion, Node, Quantifier, Search, Variable,
};
use crate::filter::value::Value;

/// Bytes of text that one step goes through.
const STEP_BYTES: usize = 64;

/// One evaluation.
pub(super) struct Run<'a> {
    event_type: &'a EventTypeName,
    channels: &'a [Channel],
    payload: &'a Json,
    /// What quantifiers run over has this element now, outermost first.
    elements: Vec<Value<'a>>,
    steps_left: u32,
}

// === impl Run ===

impl<'a> Run<'a> {
    pub(super) fn new(
        event_type: &'a EventTypeName,
        channels: &'a [Channel],
        payload: &'a Json,
        steps: u32,
    ) -> Self {
        Self {
            event_type,
            channels,
            payload,
            elements: Vec::new(),
            steps_left: steps,
        }
    }

    /// How many steps it did not take.
    pub(super) fn steps_left(&self) -> u32 {
        self.steps_left
    }

    /// Whether the expression holds.
    pub(super) fn decide(&mut self, node: &'a Node) -> Result<bool, FilterError> {
        match self.value(node)? {
            Value::Bool(value) => Ok(value),
            _ => Err(FilterError::NotBool),
        }
    }

    fn step(&mut self, steps: usize) -> Result<(), FilterError> {
        let left = u32::try_from(steps)
            .ok()
            .and_then(|steps| self.steps_left.checked_sub(steps));
        // Whatever is asked for after that must not go on with the few that are left.
        self.steps_left = left.unwrap_or(0);
        left.map(|_| ()).ok_or(FilterError::TooCostly)
    }

    fn value(&mut self, node: &'a Node) -> Result<Value<'a>, FilterError> {
        self.step(1)?;
        match node {
            Node::Constant(constant) => Ok(constant_value(constant)),
            Node::Variable(Variable::Payload) => Ok(Value::of(self.payload)),
            Node::Variable(Variable::EventType) => Ok(Value::Text(self.event_type.as_str())),
            Node::Variable(Variable::Channels) => Ok(Value::Channels(self.channels)),
            Node::Element(index) => {
                let element = self.elements.get(*index);
                element.cloned().ok_or(FilterError::NoSuchField)
            }
            Node::Select(of, field) => match self.value(of)? {
                Value::Map(map) => map
                    .get(field)
                    .map(Value::of)
                    .ok_or(FilterError::NoSuchField),
                _ => Err(FilterError::WrongType),
            },
            Node::Has(of, field) => match self.value(of)? {
                Value::Map(map) => Ok(Value::Bool(map.contains_key(field))),
                _ => Err(FilterError::WrongType),
            },
            Node::Index(of, at) => self.index(of, at),
            Node::List(items) => {
                let items = items.iter().map(|item| self.value(item));
                Ok(Value::Listed(items.collect::<Result<Rc<[_]>, _>>()?))
            }
            Node::Not(of) => self.truth(of).map(|value| Value::Bool(!value)),
            Node::Negate(of) => match self.value(of)? {
                Value::Int(int) => {
                    let negated = int.checked_neg().ok_or(FilterError::OutOfRange)?;
                    Ok(Value::Int(negated))
                }
                Value::Double(double) => Ok(Value::Double(-double)),
                _ => Err(FilterError::WrongType),
            },
            Node::And(left, right) => self.either(left, right, Deciding::False),
            Node::Or(left, right) => self.either(left, right, Deciding::True),
            Node::If(parts) => {
                let [condition, yes, no] = parts.as_ref();
                let taken = if self.truth(condition)? { yes } else { no };
                self.value(taken)
            }
            Node::Compare(how, left, right) => self.compare(*how, left, right),
            Node::Calculate(how, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                left.calculated(*how, &right)
            }
            Node::In(what, within) => self.is_in(what, within),
            Node::Convert(to, of) => self.convert(*to, of),
            Node::Search(how, text, part) => self.search(*how, text, part),
            Node::Quantify(quantifier, over, condition) => {
                self.quantify(*quantifier, over, condition)
            }
        }
    }

    fn truth(&mut self, node: &'a Node) -> Result<bool, FilterError> {
        match self.value(node)? {
            Value::Bool(value) => Ok(value),
            _ => Err(FilterError::WrongType),
        }
    }

    /// `&&` and `||`: one side that decides is enough, whatever is wrong with the other (CEL,
    /// "Logical operators").
    fn either(
        &mut self,
        left: &'a Node,
        right: &'a Node,
        deciding: Deciding,
    ) -> Result<Value<'a>, FilterError> {
        let decides = matches!(deciding, Deciding::True);
        let left = self.truth(left);
        if left == Ok(decides) {
            return Ok(Value::Bool(decides));
        }
        let right = self.truth(right);
        if right == Ok(decides) {
            return Ok(Value::Bool(decides));
        }
        left.and(right).map(Value::Bool)
    }

    fn index(&mut self, of: &'a Node, at: &'a Node) -> Result<Value<'a>, FilterError> {
        let (of, at) = (self.value(of)?, self.value(at)?);
        match (&of, &at) {
            (Value::Map(map), Value::Text(key)) => {
                map.get(*key).map(Value::of).ok_or(FilterError::NoSuchField)
            }
            (Value::Map(_), _) => Err(FilterError::NoSuchField),
            (Value::List(_) | Value::Channels(_) | Value::Listed(_), at) => {
                let index = match at {
                    Value::Int(_) | Value::Uint(_) => at.to_int()?,
                    _ => return Err(FilterError::WrongType),
                };
                let index = usize::try_from(index).map_err(|_| FilterError::OutOfRange)?;
                of.element(index).ok_or(FilterError::OutOfRange)
            }
            _ => Err(FilterError::WrongType),
        }
    }

    fn compare(
        &mut self,
        how: Comparison,
        left: &'a Node,
        right: &'a Node,
    ) -> Result<Value<'a>, FilterError> {
        let (left, right) = (self.value(left)?, self.value(right)?);
        let held = match how {
            Comparison::Equal => self.are_equal(&left, &right)?,
            Comparison::Unequal => !self.are_equal(&left, &right)?,
            Comparison::Less | Comparison::AtMost | Comparison::Greater | Comparison::AtLeast => {
                self.step(text_steps(&left))?;
                let ordering = left.compared(&right)?;
                ordering.is_some_and(|ordering| match how {
                    Comparison::Less => ordering.is_lt(),
                    Comparison::AtMost => ordering.is_le(),
                    Comparison::Greater => ordering.is_gt(),
                    _ => ordering.is_ge(),
                })
            }
        };
        Ok(Value::Bool(held))
    }

    fn are_equal(&mut self, one: &Value<'a>, other: &Value<'a>) -> Result<bool, FilterError> {
        self.step(1 + text_steps(one))?;
        if let (Value::Map(one), Value::Map(other)) = (one, other) {
            if one.len() != other.len() {
                return Ok(false);
            }
            for (key, value) in *one {
                let Some(same) = other.get(key) else {
                    return Ok(false);
                };
                if !self.are_equal(&Value::of(value), &Value::of(same))? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        let (Some(elements), Some(others)) = (one.elements(), other.elements()) else {
            return Ok(one.is_same(other));
        };
        if elements != others {
            return Ok(false);
        }
        for index in 0..elements {
            let (Some(one), Some(other)) = (one.element(index), other.element(index)) else {
                return Ok(false);
            };
            if !self.are_equal(&one, &other)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_in(&mut self, what: &'a Node, within: &'a Node) -> Result<Value<'a>, FilterError> {
        let (what, within) = (self.value(what)?, self.value(within)?);
        if let Value::Map(map) = &within {
            return match what {
                Value::Text(key) => Ok(Value::Bool(map.contains_key(key))),
                // Keys of JSON are texts; what can't be a key at all is a mistake.
                Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) => {
                    Ok(Value::Bool(false))
                }
                _ => Err(FilterError::WrongType),
            };
        }
        let elements = within.elements().ok_or(FilterError::WrongType)?;
        for index in 0..elements {
            if let Some(element) = within.element(index)
                && self.are_equal(&element, &what)?
            {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    }

    fn convert(&mut self, to: Conversion, of: &'a Node) -> Result<Value<'a>, FilterError> {
        let of = self.value(of)?;
        self.step(text_steps(&of))?;
        match to {
            Conversion::Int => of.to_int().map(Value::Int),
            Conversion::Double => of.to_double().map(Value::Double),
            Conversion::Size => {
                let size = match &of {
                    Value::Text(text) => text.chars().count(),
                    Value::Map(map) => map.len(),
                    of => of.elements().ok_or(FilterError::WrongType)?,
                };
                let size = i64::try_from(size).map_err(|_| FilterError::OutOfRange)?;
                Ok(Value::Int(size))
            }
        }
    }

    fn search(
        &mut self,
        how: Search,
        text: &'a Node,
        part: &'a Node,
    ) -> Result<Value<'a>, FilterError> {
        let (text, part) = (self.value(text)?, self.value(part)?);
        // Finding a part in a text takes time in proportion to the sum of both (Two-Way).
        self.step(text_steps(&text) + text_steps(&part))?;
        let (Value::Text(text), Value::Text(part)) = (text, part) else {
            return Err(FilterError::WrongType);
        };
        Ok(Value::Bool(match how {
            Search::StartsWith => text.starts_with(part),
            Search::EndsWith => text.ends_with(part),
            Search::Contains => text.contains(part),
        }))
    }

    fn quantify(
        &mut self,
        quantifier: Quantifier,
        over: &'a Node,
        condition: &'a Node,
    ) -> Result<Value<'a>, FilterError> {
        let over = self.value(over)?;
        let mut held = 0_usize;
        let mut failed = None;
        let mut one = |run: &mut Self, element: Value<'a>| {
            run.elements.push(element);
            let truth = run.truth(condition);
            run.elements.pop();
            let decided = match (quantifier, &truth) {
                (Quantifier::All, Ok(false)) | (Quantifier::Exists, Ok(true)) => true,
                // Where it counts, nothing makes up for an error; nor for steps that are used up.
                (Quantifier::ExistsOne, Err(_)) | (_, Err(FilterError::TooCostly)) => true,
                _ => false,
            };
            match truth {
                Ok(truth) => held += usize::from(truth),
                Err(error) => failed = failed.or(Some(error)),
            }
            decided
        };
        let decided = match &over {
            // CEL runs over the keys of a map.
            Value::Map(map) => map.keys().any(|key| one(self, Value::Text(key))),
            over => {
                let elements = over.elements().ok_or(FilterError::WrongType)?;
                (0..elements).any(|index| {
                    over.element(index)
                        .is_some_and(|element| one(self, element))
                })
            }
        };
        let by_decision = match quantifier {
            Quantifier::All => Some(false),
            Quantifier::Exists => Some(true),
            Quantifier::ExistsOne => None,
        };
        match (by_decision, failed) {
            (_, Some(FilterError::TooCostly)) => Err(FilterError::TooCostly),
            (Some(value), _) if decided => Ok(Value::Bool(value)),
            (_, Some(error)) => Err(error),
            (Some(value), None) => Ok(Value::Bool(!value)),
            (None, None) => Ok(Value::Bool(held == 1)),
        }
    }
}

/// Which of its sides' values decides an operator.
#[derive(Clone, Copy)]
enum Deciding {
    True,
    False,
}

fn constant_value(constant: &Constant) -> Value<'_> {
    match constant {
        Constant::Null => Value::Null,
        Constant::Bool(value) => Value::Bool(*value),
        Constant::Int(value) => Value::Int(*value),
        Constant::Uint(value) => Value::Uint(*value),
        Constant::Double(value) => Value::Double(*value),
        Constant::Text(value) => Value::Text(value),
    }
}

fn text_steps(value: &Value<'_>) -> usize {
    match value {
        Value::Text(text) => text.len() / STEP_BYTES,
        _ => 0,
    }
}
