//! An event type as it comes in and goes out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use hookseal_domain::event_type::validation::ValidationMode;
use hookseal_domain::event_type::{EventType, EventTypeName, EventTypeSpec};
use hookseal_domain::limits::{DESCRIPTION_BYTES_MAX, SCHEMAS_BYTES_MAX};
use hookseal_domain::violation::Violation;
use hookseal_store::inspect::Content;

use crate::api::check::{Fields, Items, Length};
use crate::api::error::violations::Violations;
use crate::api::wire::{At, Patch, present, text};

/// The bounds of a description.
pub(super) const DESCRIPTION: Length = Length {
    min: 0,
    max: DESCRIPTION_BYTES_MAX,
};
/// Most feature flags of one event type: more say nothing any more.
pub(super) const FEATURE_FLAGS_MAX: usize = 50;

/// An event type to make.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EventTypeIn)]
pub(crate) struct EventTypeIn<'a> {
    /// Its name, unique in the organisation.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = text::EventTypeName, required)]
    name: Option<String>,
    /// For people.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required, max_length = 4096)]
    description: Option<String>,
    /// Not offered any more.
    #[serde(default)]
    #[schema(default = false)]
    archived: bool,
    /// Offered with a warning.
    #[serde(default)]
    #[schema(default = false)]
    deprecated: bool,
    /// Older form of `featureFlags`, with one flag.
    #[schema(value_type = Option<text::FeatureFlag>)]
    feature_flag: Option<String>,
    /// Offered only to applications with one of these flags.
    #[schema(value_type = Option<std::collections::HashSet<text::FeatureFlag>>, min_items = 1, max_items = 50)]
    feature_flags: Option<Vec<String>>,
    /// The group that it is shown in.
    #[schema(value_type = Option<text::EventTypeName>)]
    group_name: Option<String>,
    /// JSON schemas by version.
    #[serde(borrow)]
    #[schema(value_type = Option<BTreeMap<String, Object>>)]
    schemas: Option<&'a RawValue>,
    /// What becomes of payloads that do not match the newest schema: `off`, `warn` or `enforce`. An
    /// extension of Hookseal.
    #[schema(value_type = Option<String>, default = "off")]
    validation: Option<String>,
}

/// An event type to replace.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EventTypeUpdate)]
pub(crate) struct EventTypeUpdate<'a> {
    /// For people.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required, max_length = 4096)]
    description: Option<String>,
    /// Not offered any more.
    #[serde(default)]
    #[schema(default = false)]
    archived: bool,
    /// Offered with a warning.
    #[serde(default)]
    #[schema(default = false)]
    deprecated: bool,
    /// Older form of `featureFlags`, with one flag.
    #[schema(value_type = Option<text::FeatureFlag>)]
    feature_flag: Option<String>,
    /// Offered only to applications with one of these flags.
    #[schema(value_type = Option<std::collections::HashSet<text::FeatureFlag>>, min_items = 1, max_items = 50)]
    feature_flags: Option<Vec<String>>,
    /// The group that it is shown in.
    #[schema(value_type = Option<text::EventTypeName>)]
    group_name: Option<String>,
    /// JSON schemas by version.
    #[serde(borrow)]
    #[schema(value_type = Option<BTreeMap<String, Object>>)]
    schemas: Option<&'a RawValue>,
    /// What becomes of payloads that do not match the newest schema: `off`, `warn` or `enforce`. Stays
    /// as it is where nothing is given. An extension of Hookseal.
    #[schema(value_type = Option<String>)]
    validation: Option<String>,
}

/// Changes of an event type: what is absent stays, `null` clears.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EventTypePatch)]
pub(crate) struct EventTypePatch<'a> {
    /// For people.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, max_length = 4096)]
    description: Option<String>,
    /// Not offered any more.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false)]
    archived: Option<bool>,
    /// Offered with a warning.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false)]
    deprecated: Option<bool>,
    /// Older form of `featureFlags`, with one flag.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<text::FeatureFlag>)]
    feature_flag: Patch<String>,
    /// Offered only to applications with one of these flags.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<std::collections::HashSet<text::FeatureFlag>>, max_items = 50)]
    feature_flags: Patch<Vec<String>>,
    /// The group that it is shown in.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<text::EventTypeName>)]
    group_name: Patch<String>,
    /// JSON schemas by version.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schema(value_type = Option<BTreeMap<String, Object>>)]
    schemas: Patch<&'a RawValue>,
    /// What becomes of payloads that do not match the newest schema: `off`, `warn` or `enforce`. An
    /// extension of Hookseal.
    #[schema(value_type = Option<String>)]
    validation: Option<String>,
}

/// An event type.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventTypeOut {
    /// Its name.
    #[schema(value_type = text::EventTypeName)]
    name: String,
    /// For people.
    description: String,
    /// Not offered any more.
    #[schema(value_type = bool, required = false, default = false)]
    archived: bool,
    /// Offered with a warning.
    deprecated: bool,
    /// The flag, where there is exactly one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<text::FeatureFlag>)]
    feature_flag: Option<String>,
    /// Offered only to applications with one of these flags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = std::collections::HashSet<text::FeatureFlag>, required = false)]
    feature_flags: Vec<String>,
    /// The group that it is shown in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<text::EventTypeName>)]
    group_name: Option<String>,
    /// JSON schemas by version, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, Object>>)]
    schemas: Option<Box<RawValue>>,
    /// What becomes of payloads that do not match the newest schema, unless that is `off`: `warn` or
    /// `enforce`. An extension of Hookseal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    validation: Option<&'static str>,
    /// When it was made.
    created_at: At,
    /// When it was last changed.
    updated_at: At,
}

// === impl EventTypeIn ===

impl EventTypeIn<'_> {
    /// Checks the body of a request.
    pub(crate) fn check(self) -> Result<(EventTypeName, EventTypeSpec), Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let (name, spec) = self.apart(&mut fields);
        let spec = spec.check_fields(&mut fields, ValidationMode::Off);
        violations.finish(name.zip(spec))
    }
}

impl<'a> EventTypeIn<'a> {
    /// The name, checked, and the rest, which can be held against what there is.
    pub(crate) fn named(self) -> Result<(EventTypeName, EventTypeUpdate<'a>), Violations> {
        let mut violations = Violations::default();
        let (name, rest) = self.apart(&mut Fields::of_body(&mut violations));
        violations.finish(name.map(|name| (name, rest)))
    }

    fn apart(self, fields: &mut Fields<'_>) -> (Option<EventTypeName>, EventTypeUpdate<'a>) {
        let name = fields.required("name", self.name);
        let name = name.and_then(|name| fields.take("name", EventTypeName::parse(&name)));
        let rest = EventTypeUpdate {
            description: self.description,
            archived: self.archived,
            deprecated: self.deprecated,
            feature_flag: self.feature_flag,
            feature_flags: self.feature_flags,
            group_name: self.group_name,
            schemas: self.schemas,
            validation: self.validation,
        };
        (name, rest)
    }
}

// === impl EventTypeUpdate ===

impl EventTypeUpdate<'_> {
    /// Checks the body of a request; `validation` is the mode so far.
    pub(crate) fn check(self, validation: ValidationMode) -> Result<EventTypeSpec, Violations> {
        let mut violations = Violations::default();
        let spec = self.check_fields(&mut Fields::of_body(&mut violations), validation);
        violations.finish(spec)
    }

    fn check_fields(
        self,
        fields: &mut Fields<'_>,
        validation: ValidationMode,
    ) -> Option<EventTypeSpec> {
        let description = fields.required("description", self.description);
        let description =
            description.and_then(|text| fields.take("description", DESCRIPTION.checked(text)));
        let flags = match (self.feature_flags, self.feature_flag) {
            (Some(flags), _) => check_flags(fields, &flags, 1),
            (None, Some(flag)) => fields
                .take("featureFlag", check_flag(&flag))
                .map(|f| vec![f]),
            (None, None) => Some(Vec::new()),
        };
        let group_name = fields.optional("groupName", self.group_name, |name| check_flag(&name));
        let schemas = fields.optional("schemas", self.schemas, check_schemas);
        let given = fields.optional("validation", self.validation, |name| check_mode(&name));
        Some(EventTypeSpec {
            description: description?,
            archived: self.archived,
            deprecated: self.deprecated,
            feature_flags: flags?,
            group_name: group_name?,
            schemas: schemas?,
            validation: given?.unwrap_or(validation),
        })
    }
}

// === impl EventTypePatch ===

impl EventTypePatch<'_> {
    /// What the event type becomes.
    pub(crate) fn apply(self, mut spec: EventTypeSpec) -> Result<EventTypeSpec, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        if let Some(text) = self.description {
            let text = fields.take("description", DESCRIPTION.checked(text));
            spec.description = text.unwrap_or_default();
        }
        spec.archived = self.archived.unwrap_or(spec.archived);
        spec.deprecated = self.deprecated.unwrap_or(spec.deprecated);
        if let Some(flag) = self.feature_flag {
            let flag = fields.optional("featureFlag", flag, |flag| check_flag(&flag));
            spec.feature_flags = flag.flatten().into_iter().collect();
        }
        if let Some(flags) = self.feature_flags {
            let flags = check_flags(&mut fields, &flags.unwrap_or_default(), 0);
            spec.feature_flags = flags.unwrap_or_default();
        }
        if let Some(name) = self.group_name {
            let name = fields.optional("groupName", name, |name| check_flag(&name));
            spec.group_name = name.flatten();
        }
        if let Some(schemas) = self.schemas {
            let schemas = fields.optional("schemas", schemas, check_schemas);
            spec.schemas = schemas.flatten();
        }
        if let Some(name) = self.validation {
            let mode = fields.take("validation", check_mode(&name));
            spec.validation = mode.unwrap_or_default();
        }
        violations.finish(Some(spec))
    }
}

// === impl EventTypeOut ===

impl EventTypeOut {
    /// As it goes out.
    pub(crate) fn of(event_type: EventType, content: Content) -> Self {
        let spec = event_type.spec;
        let feature_flag = match spec.feature_flags.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        };
        // What was stored was checked to be JSON.
        let schemas = spec.schemas.filter(|_| content == Content::With);
        let schemas = schemas.and_then(|text| RawValue::from_string(text).ok());
        let is_on = spec.validation != ValidationMode::Off;
        let mode = is_on.then(|| spec.validation.as_str());
        Self {
            name: event_type.name.to_string(),
            description: spec.description,
            archived: spec.archived,
            deprecated: spec.deprecated,
            feature_flag,
            feature_flags: spec.feature_flags,
            group_name: spec.group_name,
            schemas,
            validation: mode,
            created_at: At(event_type.created_at),
            updated_at: At(event_type.updated_at),
        }
    }
}

/// Flags and groups have the shape of event type names.
pub(super) fn check_flag(text: &str) -> Result<String, Violation> {
    EventTypeName::parse(text).map(|name| name.to_string())
}

fn check_flags(fields: &mut Fields<'_>, given: &[String], min: usize) -> Option<Vec<String>> {
    let items = Items {
        min,
        max: FEATURE_FLAGS_MAX,
    };
    fields.list("featureFlags", given, items, check_flag)
}

fn check_mode(name: &str) -> Result<ValidationMode, Violation> {
    ValidationMode::parse(name)
        .ok_or_else(|| Violation::new("value_error.choice", "must be off, warn or enforce"))
}

/// An object of objects, kept as it was given.
fn check_schemas(given: &RawValue) -> Result<String, Violation> {
    if given.get().len() > SCHEMAS_BYTES_MAX {
        let message = format!("must be at most {SCHEMAS_BYTES_MAX} bytes");
        return Err(Violation::new("value_error.length", message));
    }
    let versions: Result<BTreeMap<String, &RawValue>, _> = serde_json::from_str(given.get());
    match versions {
        Ok(versions)
            if versions
                .values()
                .all(|schema| schema.get().starts_with('{')) =>
        {
            Ok(given.get().to_owned())
        }
        _ => Err(Violation::new(
            "type_error",
            "must be an object of JSON schemas, each an object",
        )),
    }
}
