//! Tokens as they come in and go out.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use hookseal_domain::access::Principal;
use hookseal_domain::access::portal::PortalGrant;
use hookseal_domain::access::scopes::{Need, Scopes};
use hookseal_domain::application::ApplicationSpec;
use hookseal_domain::limits::{PORTAL_SECS_MAX, TOKEN_GRACE_SECS_MAX};
use hookseal_domain::secret::Secret;
use hookseal_domain::violation::Violation;

use crate::api::application::ApplicationIn;
use crate::api::check::{Fields, Items, number};
use crate::api::error::violations::Violations;
use crate::api::wire::{At, present, text};
use crate::auth::{Authenticated, Source};

/// How long a one-time token may be exchanged: the way from a server's answer through a browser.
pub(crate) const ONE_TIME_TOKEN_LASTS: Duration = Duration::from_hours(1);
/// How long after its end a token may still be taken for good, for clocks that differ.
pub(crate) const TOKEN_LEEWAY: Duration = Duration::from_mins(1);
/// Flags of one token: it is sent with each request, and headers are read up to 8 KiB.
const FEATURE_FLAGS: Items = Items { min: 0, max: 20 };
/// What looking is called.
const VIEW: &str = "ViewBase";
/// What everything else is called that a portal can do.
const MANAGE: [&str; 4] = [
    "ViewEndpointSecret",
    "ManageEndpointSecret",
    "CreateAttempts",
    "ManageEndpoint",
];

/// What a token is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WhoamiOut {
    /// Who made it: `SvixJwt` with the shared secret, `OidcJwt` with the private key of the
    /// configured public one, `RegionalAuthToken` the API.
    #[schema(value_type = String)]
    permission_source: &'static str,
    /// The organisation.
    #[schema(value_type = text::OrganisationId)]
    env_id: String,
    /// The application, if it reaches one only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<text::ApplicationId>)]
    app_id: Option<String>,
    /// What it may do: `full`, `read`, `publish`. An extension of Hookseal, like all that follow.
    #[schema(value_type = Vec<String>)]
    scopes: Vec<&'static str>,
    /// Its id, where the API made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<text::ApiTokenId>)]
    token_id: Option<String>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<At>,
}

/// Which tokens of an application are to end, and when.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ApplicationTokenExpireIn)]
pub(super) struct ExpireTokensIn {
    /// After how many seconds they end.
    #[schema(minimum = 0, maximum = 259_200, default = 0)]
    expiry: Option<i64>,
    /// Must be empty: sessions are not told apart.
    #[serde(default)]
    #[schema(max_items = 0)]
    session_ids: Vec<String>,
}

/// What a portal's token is to allow.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AppPortalAccessIn {
    /// Makes the application in the path if it does not exist.
    application: Option<ApplicationIn>,
    /// Event types that need one of these flags are shown as well.
    #[serde(default)]
    #[schema(value_type = std::collections::HashSet<text::FeatureFlag>, required = false, max_items = 20)]
    feature_flags: Vec<String>,
    /// How long the token lasts, in seconds; a week if not given.
    #[schema(minimum = 1, maximum = 604_800)]
    expiry: Option<i64>,
    /// Only to look, and at no secret.
    read_only: Option<bool>,
    /// Either `ViewBase` alone, which is `readOnly`, or all that a portal can do.
    capabilities: Option<Vec<String>>,
}

/// A portal's token.
#[derive(Serialize, ToSchema)]
pub(super) struct AppPortalAccessOut {
    /// The server's public URL with a one-time token in its fragment.
    #[schema(value_type = text::Url)]
    pub(super) url: String,
    /// A token of the application.
    pub(super) token: String,
}

/// A one-time token.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OneTimeTokenIn {
    /// What stands behind `#key=` in a portal's URL.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required)]
    one_time_token: Option<String>,
}

/// What it was exchanged for.
#[derive(Serialize, ToSchema)]
pub(super) struct OneTimeTokenOut {
    /// What the token may do.
    #[schema(value_type = Vec<String>)]
    capabilities: Vec<&'static str>,
    /// A token of the application.
    token: String,
}

/// What a portal's token is to allow, once it is checked.
pub(super) struct PortalAccess {
    pub(super) application: Option<ApplicationSpec>,
    pub(super) feature_flags: Vec<String>,
    pub(super) scopes: Scopes,
    pub(super) lasts_secs: u32,
}

// === impl WhoamiOut ===

impl WhoamiOut {
    /// As it goes out.
    pub(super) fn of(known: &Authenticated) -> Self {
        let (permission_source, token_id) = match known.grant.source {
            Source::SharedSecret => ("SvixJwt", None),
            Source::PublicKey => ("OidcJwt", None),
            Source::ApiToken(id) => ("RegionalAuthToken", Some(id.to_string())),
        };
        Self {
            permission_source,
            env_id: known.principal.org().to_string(),
            app_id: match known.principal {
                Principal::Organisation(_) => None,
                Principal::Application(_, app) => Some(app.to_string()),
            },
            scopes: known.grant.scopes.names().collect(),
            token_id,
            expires_at: known.grant.ends_at.map(At),
        }
    }
}

// === impl ExpireTokensIn ===

impl ExpireTokensIn {
    /// After what time they end.
    pub(super) fn check(self) -> Result<Duration, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let grace = number(self.expiry.unwrap_or(0), 0, TOKEN_GRACE_SECS_MAX);
        let grace = fields.take("expiry", grace);
        if !self.session_ids.is_empty() {
            let message = "must be empty: tokens of this server have no sessions";
            let violation = Violation::new("value_error.list.max_items", message);
            fields.add("sessionIds", &violation);
        }
        let grace = grace.map(|secs| Duration::from_secs(secs.into()));
        violations.finish(grace)
    }
}

// === impl AppPortalAccessIn ===

impl AppPortalAccessIn {
    /// Checks the body of a request.
    pub(super) fn check(self) -> Result<PortalAccess, Violations> {
        let mut violations = Violations::default();
        let application = self.application.map(|application| {
            application.check(Fields::at(&mut violations, &["body", "application"]))
        });
        let mut fields = Fields::of_body(&mut violations);
        let flags = &self.feature_flags;
        let feature_flags = fields.list("featureFlags", flags, FEATURE_FLAGS, flag);
        let expiry = self.expiry.unwrap_or(PORTAL_SECS_MAX.into());
        let lasts_secs = fields.take("expiry", number(expiry, 1, PORTAL_SECS_MAX));
        let scopes = match &self.capabilities {
            Some(capabilities) => fields.take("capabilities", scopes(capabilities)),
            None => Some(Scopes::FULL),
        };
        let scopes = match self.read_only {
            Some(true) => Some(Scopes::READ),
            Some(false) | None => scopes,
        };
        let read = || {
            Some(PortalAccess {
                application: application.map_or(Some(None), |checked| checked.map(Some))?,
                feature_flags: feature_flags?,
                scopes: scopes?,
                lasts_secs: lasts_secs?,
            })
        };
        let read = read();
        violations.finish(read)
    }
}

/// A flag has the shape of an event type's name.
fn flag(text: &str) -> Result<String, Violation> {
    hookseal_domain::event_type::EventTypeName::parse(text).map(|name| name.as_str().to_owned())
}

/// What the capabilities come to. A token that could do more than was asked for is not made.
fn scopes(capabilities: &[String]) -> Result<Scopes, Violation> {
    let has = |name: &&str| capabilities.iter().any(|given| given == name);
    if has(&VIEW) && capabilities.len() == 1 {
        return Ok(Scopes::READ);
    }
    if has(&VIEW) && MANAGE.iter().all(has) {
        return Ok(Scopes::FULL);
    }
    let message = format!("must be {VIEW} alone, or with all of {}", MANAGE.join(", "));
    Err(Violation::new("value_error.choice", message))
}

// === impl OneTimeTokenIn ===

impl OneTimeTokenIn {
    /// The token.
    pub(super) fn check(self) -> Result<Secret<String>, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let token = fields.required("oneTimeToken", self.one_time_token);
        violations.finish(token.map(Secret::new))
    }
}

// === impl OneTimeTokenOut ===

impl OneTimeTokenOut {
    /// As it goes out.
    pub(super) fn of(grant: &PortalGrant, token: &Secret<String>) -> Self {
        let manage = MANAGE.iter().copied();
        let manage = manage.filter(|_| grant.scopes.allows(Need::Full));
        Self {
            capabilities: std::iter::once(VIEW).chain(manage).collect(),
            token: token.expose().clone(),
        }
    }
}
