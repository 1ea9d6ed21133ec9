//! A filter's expression as it is run: read by the parser of the `cel` crate, and made of nothing
//! but what can be bounded.
//!
//! **Invariant:** whatever is not known here is refused when it is saved, with its name and place.

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue};
use cel::parser::PrattParser;

use crate::violation::Violation;

/// Most levels of an expression: evaluation goes down so deep.
const LEVELS_MAX: usize = 40;
/// The same for the parser's own brackets and arguments.
const PARSED_LEVELS_MAX: u16 = 24;

/// A part of an expression.
#[derive(Debug)]
pub(super) enum Node {
    Constant(Constant),
    /// What the message has.
    Variable(Variable),
    /// An element of what a quantifier runs over, counted from the outermost quantifier.
    Element(usize),
    Select(Box<Self>, String),
    Has(Box<Self>, String),
    Index(Box<Self>, Box<Self>),
    List(Vec<Self>),
    Not(Box<Self>),
    Negate(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    If(Box<[Self; 3]>),
    Compare(Comparison, Box<Self>, Box<Self>),
    Calculate(Calculation, Box<Self>, Box<Self>),
    In(Box<Self>, Box<Self>),
    Convert(Conversion, Box<Self>),
    Search(Search, Box<Self>, Box<Self>),
    Quantify(Quantifier, Box<Self>, Box<Self>),
}

/// What stands in the expression itself.
#[derive(Debug)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Variable {
    Payload,
    EventType,
    Channels,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Calculation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Conversion {
    Size,
    Int,
    Double,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Search {
    StartsWith,
    EndsWith,
    Contains,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Quantifier {
    All,
    Exists,
    ExistsOne,
}

/// Reads an expression.
pub(super) fn read(text: &str) -> Result<Node, Violation> {
    let parser = PrattParser::new()
        .max_recursion_depth(PARSED_LEVELS_MAX)
        .error_recovery_limit(1);
    let parsed = parser.parse(text).map_err(|errors| {
        if errors
            .errors
            .iter()
            .any(|error| error.msg.contains("recursion limit"))
        {
            let said = format!("it is nested deeper than {PARSED_LEVELS_MAX} brackets");
            return refusal(None, &said);
        }
        // The first that has a place; what has none is about the whole.
        let placed = errors.errors.iter().find(|error| error.pos.0 > 0);
        let error = placed.or_else(|| errors.errors.first());
        let said = error.map_or("syntax error", |error| error.msg.as_str());
        match placed {
            Some(error) => refusal(Some(error.pos), said),
            None => refusal(None, said),
        }
    })?;
    let mut reader = Reader {
        text,
        elements: Vec::new(),
        level: 0,
    };
    let node = reader.read(&parsed)?;
    if !node.may_be_bool() {
        return Err(refusal(None, "the result must be true or false"));
    }
    Ok(node)
}

fn refusal(place: Option<(isize, isize)>, said: &str) -> Violation {
    let message = match place {
        Some((line, column)) => {
            format!("must be a CEL expression: line {line}, column {column}: {said}")
        }
        None => format!("must be a CEL expression: {said}"),
    };
    Violation::new("value_error.filter", message)
}

struct Reader<'t> {
    text: &'t str,
    /// The names of elements in scope, outermost first.
    elements: Vec<String>,
    level: usize,
}

// === impl Reader ===

impl Reader<'_> {
    fn read(&mut self, expr: &IdedExpr) -> Result<Node, Violation> {
        if self.level >= LEVELS_MAX {
            let said = format!("it is nested deeper than {LEVELS_MAX} levels");
            return Err(refusal(None, &said));
        }
        self.level += 1;
        let node = self.read_level(expr);
        self.level -= 1;
        node
    }

    fn read_level(&mut self, expr: &IdedExpr) -> Result<Node, Violation> {
        match &expr.expr {
            Expr::Literal(literal) => self.constant(literal).map(Node::Constant),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => {
                let of = Box::new(self.read(&select.operand)?);
                let field = select.field.clone();
                Ok(if select.test {
                    Node::Has(of, field)
                } else {
                    Node::Select(of, field)
                })
            }
            Expr::List(list) => {
                let items = list.elements.iter().map(|item| self.read(item));
                items.collect::<Result<_, _>>().map(Node::List)
            }
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.quantifier(comprehension),
            Expr::Map(_) | Expr::Struct(_) => {
                Err(self.unknown("{", "maps and messages can't be made in a filter"))
            }
            Expr::Unspecified => Err(refusal(None, "something is missing")),
        }
    }

    fn constant(&self, literal: &LiteralValue) -> Result<Constant, Violation> {
        Ok(match literal {
            LiteralValue::Null => Constant::Null,
            LiteralValue::Boolean(value) => Constant::Bool(*value.inner()),
            LiteralValue::Int(value) => Constant::Int(*value.inner()),
            LiteralValue::UInt(value) => Constant::Uint(*value.inner()),
            LiteralValue::Double(value) => Constant::Double(*value.inner()),
            LiteralValue::String(value) => Constant::Text(value.inner().to_owned()),
            LiteralValue::Bytes(_) => {
                return Err(self.unknown("b", "JSON has no bytes to compare with"));
            }
        })
    }

    fn name(&self, name: &str) -> Result<Node, Violation> {
        if let Some(index) = self.elements.iter().rposition(|known| known == name) {
            return Ok(Node::Element(index));
        }
        Ok(Node::Variable(match name {
            "payload" => Variable::Payload,
            "eventType" => Variable::EventType,
            "channels" => Variable::Channels,
            _ => {
                let said = format!(
                    "there is no {name}; a filter knows payload (payload.{name}), eventType and channels"
                );
                return Err(self.unknown(name, &said));
            }
        }))
    }

    fn call(&mut self, call: &CallExpr) -> Result<Node, Violation> {
        let name = call.func_name.as_str();
        let given: Vec<&IdedExpr> = call
            .target
            .as_deref()
            .into_iter()
            .chain(&call.args)
            .collect();
        let mut read = Vec::with_capacity(given.len());
        for part in given {
            read.push(self.read(part)?);
        }
        let is_method = call.target.is_some();
        let made = match <[Node; 1]>::try_from(read) {
            Ok([of]) => unary(name, of),
            Err(read) => match <[Node; 2]>::try_from(read) {
                Ok([left, right]) => binary(name, is_method, left, right),
                Err(read) => match <[Node; 3]>::try_from(read) {
                    Ok(parts) if name == "_?_:_" => Some(Node::If(Box::new(parts))),
                    _ => None,
                },
            },
        };
        let node = made.ok_or_else(|| self.unknown_call(name))?;
        if let Node::Calculate(_, left, right) = &node
            && !(left.may_be_number() && right.may_be_number())
        {
            let said = "a filter calculates with numbers only";
            return Err(refusal(None, said));
        }
        Ok(node)
    }

    fn quantifier(&mut self, given: &ComprehensionExpr) -> Result<Node, Violation> {
        let step = match &given.loop_step.expr {
            Expr::Call(step) => step.args.as_slice(),
            _ => &[],
        };
        let found = match (&given.accu_init.expr, step) {
            (Expr::Literal(LiteralValue::Boolean(init)), [_, condition]) => {
                let quantifier = if *init.inner() {
                    Quantifier::All
                } else {
                    Quantifier::Exists
                };
                Some((quantifier, condition))
            }
            (Expr::Literal(LiteralValue::Int(_)), [condition, _, _]) => {
                Some((Quantifier::ExistsOne, condition))
            }
            _ => None,
        };
        let Some((quantifier, condition)) = found.filter(|_| given.iter_var2.is_none()) else {
            let said =
                "map() and filter() make lists, which a filter does not: use exists() or all()";
            return Err(refusal(None, said));
        };
        let over = self.read(&given.iter_range)?;
        self.elements.push(given.iter_var.clone());
        let condition = self.read(condition);
        self.elements.pop();
        Ok(Node::Quantify(
            quantifier,
            Box::new(over),
            Box::new(condition?),
        ))
    }

    fn unknown_call(&self, name: &str) -> Violation {
        match name {
            "matches" => {
                let said =
                    "regular expressions are not offered: use startsWith, endsWith, contains or in";
                self.unknown(name, said)
            }
            name => {
                let said = format!("{name} is not offered in a filter with these arguments");
                self.unknown(name, &said)
            }
        }
    }

    /// What is wrong with something that stands at the first place where this stands as a word of
    /// its own.
    fn unknown(&self, word: &str, said: &str) -> Violation {
        refusal(place_of(self.text, word), said)
    }
}

// === impl Node ===

impl Node {
    /// Whether it can come to true or false, as far as its shape tells.
    fn may_be_bool(&self) -> bool {
        match self {
            Self::Constant(constant) => matches!(constant, Constant::Bool(_)),
            Self::Variable(variable) => matches!(variable, Variable::Payload),
            Self::List(_) | Self::Negate(_) | Self::Calculate(..) | Self::Convert(..) => false,
            Self::If(parts) => {
                let [_, yes, no] = parts.as_ref();
                yes.may_be_bool() && no.may_be_bool()
            }
            _ => true,
        }
    }

    fn may_be_number(&self) -> bool {
        match self {
            Self::Constant(constant) => matches!(
                constant,
                Constant::Int(_) | Constant::Uint(_) | Constant::Double(_)
            ),
            Self::Variable(Variable::EventType | Variable::Channels) | Self::List(_) => false,
            _ => true,
        }
    }
}

fn unary(name: &str, of: Node) -> Option<Node> {
    let of = Box::new(of);
    Some(match name {
        "!_" => Node::Not(of),
        "-_" => Node::Negate(of),
        "size" => Node::Convert(Conversion::Size, of),
        "int" => Node::Convert(Conversion::Int, of),
        "double" => Node::Convert(Conversion::Double, of),
        _ => return None,
    })
}

fn binary(name: &str, is_method: bool, left: Node, right: Node) -> Option<Node> {
    let (left, right) = (Box::new(left), Box::new(right));
    Some(match name {
        "_==_" => Node::Compare(Comparison::Equal, left, right),
        "_!=_" => Node::Compare(Comparison::Unequal, left, right),
        "_<_" => Node::Compare(Comparison::Less, left, right),
        "_<=_" => Node::Compare(Comparison::AtMost, left, right),
        "_>_" => Node::Compare(Comparison::Greater, left, right),
        "_>=_" => Node::Compare(Comparison::AtLeast, left, right),
        "_&&_" => Node::And(left, right),
        "_||_" => Node::Or(left, right),
        "_[_]" => Node::Index(left, right),
        "@in" => Node::In(left, right),
        "_+_" => Node::Calculate(Calculation::Add, left, right),
        "_-_" => Node::Calculate(Calculation::Subtract, left, right),
        "_*_" => Node::Calculate(Calculation::Multiply, left, right),
        "_/_" => Node::Calculate(Calculation::Divide, left, right),
        "_%_" => Node::Calculate(Calculation::Remainder, left, right),
        "startsWith" if is_method => Node::Search(Search::StartsWith, left, right),
        "endsWith" if is_method => Node::Search(Search::EndsWith, left, right),
        "contains" if is_method => Node::Search(Search::Contains, left, right),
        _ => return None,
    })
}

/// Line and column of a word, both from one.
fn place_of(text: &str, word: &str) -> Option<(isize, isize)> {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let stands_alone = |start: usize| {
        let before = text.get(..start).and_then(|text| text.chars().next_back());
        let after = text.get(start + word.len()..);
        let after = after.and_then(|text| text.chars().next());
        !word.starts_with(part_of_word)
            || !(before.is_some_and(part_of_word) || after.is_some_and(part_of_word))
    };
    let (start, _) = text
        .match_indices(word)
        .find(|(start, _)| stands_alone(*start))?;
    let before = text.get(..start)?;
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    Some((isize::try_from(line).ok()?, isize::try_from(column).ok()?))
}
