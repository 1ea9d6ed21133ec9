//! Event types out of a document that describes an API, whatever kind it is.
//!
//! **Invariant:** what can't be used as it is makes the whole document useless, and is told with its
//! place; what is only not ours is told too. Nothing disappears silently.

pub mod asyncapi;
mod follow;
pub mod openapi;
mod own;
pub mod schemas;

use std::collections::BTreeMap;

use serde_json::Value;

use hookseal_domain::event_type::EventTypeName;

use crate::import::own::Own;
use crate::import::schemas::ImportedSchemas;
use crate::limits::{FAULTS_MAX, IMPORT_EVENT_TYPES_MAX};
use crate::room::Room;

pub use crate::import::own::EXTENSION;

/// What a document holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// The event types, each once.
    pub event_types: Vec<ImportedType>,
    /// What the document has besides them.
    pub skipped: Vec<Skipped>,
}

/// An event type as a document describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedType {
    /// Its name.
    pub name: EventTypeName,
    /// Where it stands.
    pub pointer: String,
    /// For people.
    pub description: String,
    /// Whether it is offered with a warning, if the document says so.
    pub deprecated: Option<bool>,
    /// What the document says in words of this server's own.
    pub own: Own,
    /// Its schemas.
    pub schemas: ImportedSchemas,
}

/// Something that is not sent, and so no event type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Skipped {
    /// What it is called there.
    pub name: String,
    /// Where it stands there, as a JSON pointer.
    pub pointer: String,
    /// Why.
    pub reason: String,
}

/// Something in a document that can't be used as it is.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("at `{pointer}`: {rule}")]
pub struct Fault {
    /// Where, as a JSON pointer.
    pub pointer: String,
    /// What it breaks, completing "it …".
    pub rule: String,
}

/// A document that is of no use.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WrongDocument {
    /// It is another kind of document, or of another version.
    #[error("is no document of {0}")]
    Kind(&'static str),
    /// It describes nothing that is sent.
    #[error("has nothing in {0}")]
    Empty(&'static str),
    /// Some of it can't be used.
    #[error("has {} faults", .0.len())]
    Faults(Vec<Fault>),
}

/// A document while it is read.
#[derive(Debug)]
pub(crate) struct Reader<'d> {
    pub(crate) document: &'d Value,
    event_types: Vec<ImportedType>,
    /// Where an event type is among those.
    known: BTreeMap<EventTypeName, usize>,
    skipped: Vec<Skipped>,
    faults: Vec<Fault>,
    /// How much its schemas may still have, with what they refer to.
    pub(crate) room: Room,
}

// === impl Fault ===

impl Fault {
    /// A fault at a place in the document.
    pub fn at(pointer: &str, rule: impl Into<String>) -> Self {
        Self {
            pointer: pointer.to_owned(),
            rule: rule.into(),
        }
    }

    /// A reference that leads out of the document.
    pub(crate) fn outside(pointer: &str, to: &str) -> Self {
        let rule = format!("refers to `{to}`, which is not in the document; nothing is fetched");
        Self::at(pointer, rule)
    }
}

// === impl Reader ===

impl<'d> Reader<'d> {
    pub(crate) fn new(document: &'d Value) -> Self {
        Self {
            document,
            event_types: Vec::new(),
            known: BTreeMap::new(),
            skipped: Vec::new(),
            faults: Vec::new(),
            room: Room::default(),
        }
    }

    /// Takes an event type down, or why it can't be used.
    pub(crate) fn take(&mut self, read: Result<ImportedType, Fault>) {
        let read = match read {
            Ok(read) => read,
            Err(fault) => return self.refuse(fault),
        };
        let known = self.known.get(&read.name);
        match known.and_then(|known| self.event_types.get(*known)) {
            Some(known) if known.says_the_same(&read) => {}
            Some(known) => {
                let name = &read.name;
                let rule = format!("describes `{name}`, and so does `{}`", known.pointer);
                self.refuse(Fault::at(&read.pointer, rule));
            }
            None if self.event_types.len() >= IMPORT_EVENT_TYPES_MAX => {
                let rule =
                    format!("is one event type too many: there may be {IMPORT_EVENT_TYPES_MAX}");
                self.refuse(Fault::at(&read.pointer, rule));
            }
            None => {
                self.known.insert(read.name.clone(), self.event_types.len());
                self.event_types.push(read);
            }
        }
    }

    /// Takes down what can't be used.
    pub(crate) fn refuse(&mut self, fault: Fault) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        }
    }

    /// Whether more faults would not be told.
    pub(crate) fn has_seen_enough(&self) -> bool {
        self.faults.len() >= FAULTS_MAX
    }

    /// Takes down what is no event type.
    pub(crate) fn skip(&mut self, name: &str, pointer: &str, reason: &str) {
        // There are never more than things in the document; nobody reads so many.
        if self.skipped.len() < IMPORT_EVENT_TYPES_MAX {
            self.skipped.push(Skipped {
                name: name.to_owned(),
                pointer: pointer.to_owned(),
                reason: reason.to_owned(),
            });
        }
    }

    /// What was read, unless something can't be used, or there is nothing in `place`.
    pub(crate) fn finish(self, place: &'static str) -> Result<Imported, WrongDocument> {
        if !self.faults.is_empty() {
            return Err(WrongDocument::Faults(self.faults));
        }
        if self.event_types.is_empty() {
            return Err(WrongDocument::Empty(place));
        }
        Ok(Imported {
            event_types: self.event_types,
            skipped: self.skipped,
        })
    }
}

// === impl ImportedType ===

impl ImportedType {
    fn says_the_same(&self, other: &Self) -> bool {
        self.description == other.description
            && self.deprecated == other.deprecated
            && self.own == other.own
            && self.schemas.say_the_same(&other.schemas)
    }
}

/// The first of these texts that is one and not empty.
pub(crate) fn first_text(of: &[&Value], keywords: &[&str]) -> String {
    let mut found = of
        .iter()
        .flat_map(|map| keywords.iter().map(|keyword| map.get(*keyword)));
    let text = found.find_map(|value| value?.as_str().filter(|text| !text.is_empty()));
    text.unwrap_or_default().to_owned()
}

/// The name of an event type that stands at a pointer.
pub(crate) fn event_type_name(name: &str, pointer: &str) -> Result<EventTypeName, Fault> {
    EventTypeName::parse(name).map_err(|violation| {
        let rule = format!("has a name that no event type can have: it {violation}");
        Fault::at(pointer, rule)
    })
}
