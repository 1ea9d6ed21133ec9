//! An application as it comes in and goes out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use hookseal_domain::application::{Application, ApplicationSpec};
use hookseal_domain::id::AppId;
use hookseal_domain::limits::DESCRIPTION_BYTES_MAX;
use hookseal_domain::uid::Uid;

use crate::api::check::{Fields, Length, number};
use crate::api::error::violations::Violations;
use crate::api::wire::{At, Patch, present, text};

/// The bounds of a name.
const NAME: Length = Length {
    min: 1,
    max: DESCRIPTION_BYTES_MAX,
};

/// An application to make.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationIn {
    /// What people call it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required, min_length = 1, max_length = 4096)]
    name: Option<String>,
    /// Your own name of it, unique in the organisation.
    #[schema(value_type = Option<text::Uid>)]
    uid: Option<String>,
    /// Most messages per second over all its endpoints. Older name: `rateLimit`.
    #[serde(alias = "rateLimit")]
    #[schema(minimum = 1, maximum = 65_535)]
    throttle_rate: Option<i64>,
    /// Your notes: at most 50.
    #[serde(default)]
    #[schema(default = json!({}))]
    metadata: BTreeMap<String, String>,
}

/// Changes of an application: what is absent stays, `null` clears.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationPatch {
    /// What people call it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 4096)]
    name: Option<String>,
    /// Your own name of it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<text::Uid>)]
    uid: Patch<String>,
    /// Most messages per second over all its endpoints; 0 is no limit.
    #[serde(alias = "rateLimit", default, deserialize_with = "present")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 65_535)]
    throttle_rate: Patch<i64>,
    /// Your notes, all of them.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = BTreeMap<String, String>, required = false)]
    metadata: Option<BTreeMap<String, String>>,
}

/// An application.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationOut {
    /// Its id.
    #[schema(value_type = text::ApplicationId)]
    id: String,
    /// What people call it.
    name: String,
    /// Your own name of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<text::Uid>)]
    uid: Option<String>,
    /// Most messages per second over all its endpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    throttle_rate: Option<u16>,
    /// Your notes.
    metadata: BTreeMap<String, String>,
    /// When it was made.
    created_at: At,
    /// When it was last changed.
    updated_at: At,
}

// === impl ApplicationIn ===

impl ApplicationIn {
    /// The same, with this uid where it has none.
    pub(crate) fn named(mut self, uid: &str) -> Self {
        self.uid.get_or_insert_with(|| uid.to_owned());
        self
    }

    /// Checks the body of a request.
    pub(crate) fn spec(self) -> Result<ApplicationSpec, Violations> {
        let mut violations = Violations::default();
        let spec = self.check(Fields::of_body(&mut violations));
        violations.finish(spec)
    }

    /// Checks it where it stands.
    pub(crate) fn check(self, mut fields: Fields<'_>) -> Option<ApplicationSpec> {
        let name = fields.required("name", self.name);
        let name = name.and_then(|name| fields.take("name", NAME.checked(name)));
        let uid = fields.optional("uid", self.uid, |uid| Uid::parse(&uid, AppId::PREFIX));
        let throttle_rate = fields.optional("throttleRate", self.throttle_rate, |rate| {
            number(rate, 1, u16::MAX)
        });
        let metadata = fields.metadata(self.metadata);
        Some(ApplicationSpec {
            name: name?,
            uid: uid?,
            throttle_rate: throttle_rate?,
            metadata: metadata?,
        })
    }
}

// === impl ApplicationPatch ===

impl ApplicationPatch {
    /// What the application becomes.
    pub(crate) fn apply(self, mut spec: ApplicationSpec) -> Result<ApplicationSpec, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        if let Some(name) = self.name {
            spec.name = fields.take("name", NAME.checked(name)).unwrap_or_default();
        }
        if let Some(uid) = self.uid {
            let uid = fields.optional("uid", uid, |uid| Uid::parse(&uid, AppId::PREFIX));
            spec.uid = uid.flatten();
        }
        if let Some(rate) = self.throttle_rate {
            let rate = fields.optional("throttleRate", rate, |rate| number(rate, 0, u16::MAX));
            spec.throttle_rate = rate.flatten().filter(|rate| *rate > 0);
        }
        if let Some(metadata) = self.metadata {
            spec.metadata = fields.metadata(metadata).unwrap_or_default();
        }
        violations.finish(Some(spec))
    }
}

// === impl ApplicationOut ===

impl ApplicationOut {
    /// As it goes out.
    pub(crate) fn of(app: Application) -> Self {
        Self {
            id: app.id.to_string(),
            name: app.spec.name,
            uid: app.spec.uid.map(|uid| uid.to_string()),
            throttle_rate: app.spec.throttle_rate,
            metadata: app.spec.metadata,
            created_at: At(app.id.created_at()),
            updated_at: At(app.updated_at),
        }
    }
}
