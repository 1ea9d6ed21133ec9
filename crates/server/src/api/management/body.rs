//! API tokens as they come in and go out.
//!
//! **Invariant:** the text of a token stands in [`ApiTokenOut`] only.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use hookseal_domain::access::api_token::{ApiToken, ApiTokenText};
use hookseal_domain::access::scopes::Scopes;
use hookseal_domain::limits::{DESCRIPTION_BYTES_MAX, TOKEN_GRACE_SECS_MAX};
use hookseal_domain::time::Timestamp;
use hookseal_domain::violation::Violation;
use hookseal_store::tokens::ApiTokenChange;

use crate::api::check::{Fields, Length, number};
use crate::api::error::violations::Violations;
use crate::api::wire::{At, Patch, present, text};

/// The bounds of a name.
const NAME: Length = Length {
    min: 0,
    max: DESCRIPTION_BYTES_MAX,
};

/// An API token to make.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiTokenIn {
    /// What people call it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required, max_length = 4096)]
    name: Option<String>,
    /// What it may do: `full`, `read` (to look, but at no secret), `publish`. Full if not given.
    #[schema(min_items = 1)]
    scopes: Option<Vec<String>>,
    /// When it ends; never if not given. An extension of Hookseal.
    #[schema(value_type = Option<At>)]
    expires_at: Option<String>,
}

/// An API token's new name.
#[derive(Default, Deserialize, ToSchema)]
pub(super) struct ApiTokenUpdate {
    /// What people call it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required, max_length = 4096)]
    name: Option<String>,
}

/// Changes of an API token: what is absent stays.
#[derive(Default, Deserialize, ToSchema)]
pub(super) struct ApiTokenPatch {
    /// What people call it; `null` takes the name away.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 4096)]
    name: Patch<String>,
    /// What it may do.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Vec<String>, required = false, min_items = 1)]
    scopes: Option<Vec<String>>,
}

/// When an API token is to end.
#[derive(Default, Deserialize, ToSchema)]
pub(super) struct ApiTokenExpireIn {
    /// After how many seconds.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = i64, required = false, minimum = 0, maximum = 259_200, default = 0)]
    expiry: Option<i64>,
}

/// An API token that was made.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiTokenOut {
    /// Its id.
    #[schema(value_type = text::ApiTokenId)]
    id: String,
    /// The token. It is shown here only.
    token: String,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// What it may do.
    #[schema(value_type = Vec<String>)]
    scopes: Vec<&'static str>,
    /// When it was made.
    created_at: At,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<At>,
}

/// An API token, but for its text.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiTokenCensoredOut {
    /// Its id.
    #[schema(value_type = text::ApiTokenId)]
    id: String,
    /// The end of its text.
    censored_token: String,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// What it may do.
    #[schema(value_type = Vec<String>)]
    scopes: Vec<&'static str>,
    /// When it was made.
    created_at: At,
    /// When it ends, or ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<At>,
    /// When it was last used, to the hour. An extension of Hookseal.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<At>,
}

/// A token to make, once it is checked.
pub(super) struct CheckedToken {
    pub(super) name: String,
    pub(super) scopes: Scopes,
    pub(super) expires_at: Option<Timestamp>,
}

// === impl ApiTokenIn ===

impl ApiTokenIn {
    /// Checks the body of a request that came at `now`.
    pub(super) fn check(self, now: Timestamp) -> Result<CheckedToken, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let name = fields.required("name", self.name);
        let name = name.and_then(|name| fields.take("name", NAME.checked(name)));
        let scopes = fields.optional("scopes", self.scopes, |names| scopes(&names));
        let expires_at = fields.optional("expiresAt", self.expires_at, |text| future(&text, now));
        let read = || {
            Some(CheckedToken {
                name: name?,
                scopes: scopes?.unwrap_or(Scopes::FULL),
                expires_at: expires_at?,
            })
        };
        let read = read();
        violations.finish(read)
    }
}

fn scopes(names: &[String]) -> Result<Scopes, Violation> {
    Scopes::parse(names.iter().map(String::as_str))
}

fn future(text: &str, now: Timestamp) -> Result<Timestamp, Violation> {
    let at = Timestamp::parse_rfc3339(text)
        .map_err(|error| Violation::new("value_error.datetime", error.to_string()))?;
    if at <= now {
        return Err(Violation::new("value_error.datetime", "must not be past"));
    }
    Ok(at)
}

// === impl ApiTokenUpdate ===

impl ApiTokenUpdate {
    /// What is to be different.
    pub(super) fn check(self) -> Result<ApiTokenChange, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let name = fields.required("name", self.name);
        let name = name.and_then(|name| fields.take("name", NAME.checked(name)));
        violations.finish(name.map(|name| ApiTokenChange {
            name: Some(name),
            scopes: None,
        }))
    }
}

// === impl ApiTokenPatch ===

impl ApiTokenPatch {
    /// What is to be different.
    pub(super) fn check(self) -> Result<ApiTokenChange, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let name = self.name.map(Option::unwrap_or_default);
        let name = fields.optional("name", name, |name| NAME.checked(name));
        let scopes = fields.optional("scopes", self.scopes, |names| scopes(&names));
        let read = || {
            let (name, scopes) = (name?, scopes?);
            Some(ApiTokenChange { name, scopes })
        };
        let read = read();
        violations.finish(read)
    }
}

// === impl ApiTokenExpireIn ===

impl ApiTokenExpireIn {
    /// After what time it ends.
    pub(super) fn check(self) -> Result<Duration, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let secs = number(self.expiry.unwrap_or(0), 0, TOKEN_GRACE_SECS_MAX);
        let secs = fields.take("expiry", secs);
        violations.finish(secs.map(|secs| Duration::from_secs(secs.into())))
    }
}

// === impl ApiTokenOut ===

impl ApiTokenOut {
    /// As it goes out, once.
    pub(super) fn of(token: ApiToken, text: &ApiTokenText) -> Self {
        Self {
            id: token.id.to_string(),
            token: text.expose().to_owned(),
            name: named(token.name),
            scopes: token.scopes.names().collect(),
            created_at: At(token.id.created_at()),
            expires_at: token.expires_at.map(At),
        }
    }
}

// === impl ApiTokenCensoredOut ===

impl ApiTokenCensoredOut {
    /// As it goes out.
    pub(super) fn of(token: ApiToken) -> Self {
        Self {
            id: token.id.to_string(),
            censored_token: token.censored(),
            scopes: token.scopes.names().collect(),
            created_at: At(token.id.created_at()),
            expires_at: token.expires_at.map(At),
            last_used_at: token.used_at.map(At),
            name: named(token.name),
        }
    }
}

fn named(name: String) -> Option<String> {
    (!name.is_empty()).then_some(name)
}
