//! What a document means for the event types that there are.

use std::collections::HashSet;

use hookseal_catalogue::import::{EXTENSION, Fault, ImportedType, Skipped};
use hookseal_catalogue::limits::FAULTS_MAX;
use hookseal_catalogue::schema_set::SchemaSet;
use hookseal_domain::event_type::validation::ValidationMode;
use hookseal_domain::event_type::{EventTypeName, EventTypeSpec};
use hookseal_domain::violation::Violation;

use crate::api::event_type::body::{DESCRIPTION, FEATURE_FLAGS_MAX, check_flag};

/// Event types as they are to be.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// To make or replace.
    pub(super) put: Vec<(EventTypeName, EventTypeSpec)>,
    /// To archive.
    pub(super) archive: Vec<EventTypeName>,
    /// What of the document is not used.
    pub(super) skipped: Vec<Skipped>,
    /// What of it can't be used: where there is any, nothing is changed.
    pub(super) faults: Vec<Fault>,
    /// Bytes of schemas that are to be written.
    pub(super) schemas_bytes: usize,
    /// All that the document names: nothing of it is archived.
    named: HashSet<EventTypeName>,
}

// === impl Plan ===

impl Plan {
    pub(super) fn of(skipped: Vec<Skipped>) -> Self {
        Self {
            skipped,
            ..Self::default()
        }
    }

    /// Takes in an event type of the document, and what there was. Takes up to some seconds for large
    /// schemas.
    pub(super) fn take(mut self, given: &ImportedType, before: Option<EventTypeSpec>) -> Self {
        self.named.insert(given.name.clone());
        match after(given, before.clone()) {
            Ok(after) if Some(&after) == before.as_ref() => {}
            Ok(after) => {
                let schemas = after.schemas.as_ref().map_or(0, String::len);
                self.schemas_bytes = self.schemas_bytes.saturating_add(schemas);
                self.put.push((given.name.clone(), after));
            }
            Err(fault) if self.faults.len() < FAULTS_MAX => self.faults.push(fault),
            Err(_) => {}
        }
        self
    }

    /// Takes in names of event types that there are: those that the document does not name are to be
    /// archived.
    pub(super) fn archive_others(&mut self, names: impl Iterator<Item = EventTypeName>) {
        let others = names.filter(|name| !self.named.contains(name));
        self.archive.extend(others);
    }

    /// Whether it changes nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.put.is_empty() && self.archive.is_empty()
    }
}

/// What becomes of an event type. What the document says nothing of stays.
fn after(given: &ImportedType, before: Option<EventTypeSpec>) -> Result<EventTypeSpec, Fault> {
    let before = before.unwrap_or_else(|| EventTypeSpec {
        description: String::new(),
        archived: false,
        deprecated: false,
        feature_flags: Vec::new(),
        group_name: None,
        schemas: None,
        validation: ValidationMode::Off,
    });
    let at = given.pointer.as_str();
    let fault = |at: &str, what: &str, violation: &Violation| {
        Fault::at(at, format!("has a {what} that {violation}"))
    };
    let description = DESCRIPTION.checked(given.description.clone());
    let description = description.map_err(|violation| fault(at, "description", &violation))?;
    let own = &given.own;
    if let Some(flags) = &own.feature_flags {
        let at = format!("{at}/{EXTENSION}/featureFlags");
        if flags.len() > FEATURE_FLAGS_MAX {
            let rule = format!("must have at most {FEATURE_FLAGS_MAX} items");
            return Err(Fault::at(&at, rule));
        }
        for flag in flags {
            check_flag(flag).map_err(|violation| fault(&at, "flag", &violation))?;
        }
    }
    if let Some(Some(name)) = &own.group_name {
        let at = format!("{at}/{EXTENSION}/groupName");
        check_flag(name).map_err(|violation| fault(&at, "name", &violation))?;
    }
    let known = before.schemas.as_deref().map(SchemaSet::parse);
    let known = known.and_then(Result::ok).unwrap_or_default();
    let schemas = match given.schemas.merged(&known)? {
        Some(changed) => Some(changed.to_text()),
        None => before.schemas,
    };
    Ok(EventTypeSpec {
        description,
        archived: false,
        deprecated: given.deprecated.unwrap_or(before.deprecated),
        feature_flags: own.feature_flags.clone().unwrap_or(before.feature_flags),
        group_name: own.group_name.clone().unwrap_or(before.group_name),
        schemas,
        validation: own.validation.unwrap_or(before.validation),
    })
}
