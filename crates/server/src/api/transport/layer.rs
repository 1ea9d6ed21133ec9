//! One layer of transport policy as it comes in and goes out: a named policy, or what an endpoint
//! says itself.
//!
//! **Invariant:** a field that is not known is refused: one that is spelled wrong would leave a
//! connection less protected than was asked for.

use rustls_pki_types::ServerName;
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::{
    CRL_URLS_MAX, Choice, KeyExchangeGroup, KeyExchangeGroups, Pinning, PlainHttpUse,
    RevocationMode, TlsVersion, TransportPolicy, Trust,
};
use hookseal_domain::violation::Violation;

use crate::api::check::{Fields, Items};
use crate::api::wire::{Patch, present, text};

/// What stands for explicitly nothing where a name could stand.
pub(crate) const NOTHING: &str = "none";
/// Longest URL of a revocation list, in bytes: certificates have shorter ones.
const CRL_URL_BYTES_MAX: usize = 1024;

/// One layer of transport policy, all of it. What is absent or `null` is left to the layer below.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = TransportPolicyIn)]
pub(crate) struct LayerIn {
    /// The lowest TLS version that is spoken: `1.2` or `1.3`.
    tls_min_version: Option<String>,
    /// Which key exchanges are offered, preferred first: `X25519MLKEM768`, `x25519`, `secp256r1`,
    /// `secp384r1`.
    #[schema(min_items = 1, max_items = 4)]
    key_exchange_groups: Option<Vec<String>>,
    /// Which roots count: `public`, `private` (those of `trustAnchors` only), or `both`.
    trust: Option<String>,
    /// Name of the trust anchor set with the private roots.
    #[schema(value_type = Option<text::TransportName>)]
    trust_anchors: Option<String>,
    /// What the endpoint's pins do: `off`, `report` or `enforce`.
    pinning: Option<String>,
    /// Name of the client identity that is presented, or `none`.
    #[schema(value_type = Option<text::TransportName>)]
    client_identity: Option<String>,
    /// Whether revocation is looked up: `off`, `soft`, or `hard` (what can't be found out is not
    /// sent to).
    revocation: Option<String>,
    /// URLs of revocation lists to read beside those that certificates name: `http`, not `https`.
    #[schema(max_items = 8)]
    crl_urls: Option<Vec<String>>,
    /// The name that the certificate has to be valid for and that SNI tells, instead of the URL's
    /// host: a DNS name or an IP address.
    server_name: Option<String>,
    /// Name of the operator's proxy that is gone through, or `none`.
    #[schema(value_type = Option<text::TransportName>)]
    proxy: Option<String>,
    /// `never` forbids plain HTTP; `as_operator` allows it where the operator does.
    plain_http: Option<String>,
}

/// Changes of one layer: what is absent stays, `null` leaves it to the layer below.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = TransportPolicyPatch)]
pub(crate) struct LayerPatch {
    /// The lowest TLS version that is spoken.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    tls_min_version: Patch<String>,
    /// Which key exchanges are offered, preferred first.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<String>>, min_items = 1, max_items = 4)]
    key_exchange_groups: Patch<Vec<String>>,
    /// Which roots count.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    trust: Patch<String>,
    /// Name of the trust anchor set with the private roots.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<text::TransportName>)]
    trust_anchors: Patch<String>,
    /// What the endpoint's pins do.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pinning: Patch<String>,
    /// Name of the client identity that is presented, or `none`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<text::TransportName>)]
    client_identity: Patch<String>,
    /// Whether revocation is looked up.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    revocation: Patch<String>,
    /// Revocation lists to read beside those that certificates name.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<String>>, max_items = 8)]
    crl_urls: Patch<Vec<String>>,
    /// The name to verify instead of the URL's host.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    server_name: Patch<String>,
    /// Name of the operator's proxy that is gone through, or `none`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<text::TransportName>)]
    proxy: Patch<String>,
    /// Whether plain HTTP may be used.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    plain_http: Patch<String>,
}

/// One layer of transport policy. What is absent is left to the layer below.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TransportPolicyLayer)]
pub(crate) struct LayerOut {
    /// Its name, where it is a named policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<text::TransportName>)]
    name: Option<String>,
    /// The lowest TLS version that is spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_min_version: Option<&'static str>,
    /// Which key exchanges are offered, preferred first.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_exchange_groups: Option<Vec<&'static str>>,
    /// Which roots count.
    #[serde(skip_serializing_if = "Option::is_none")]
    trust: Option<&'static str>,
    /// Name of the trust anchor set with the private roots.
    #[serde(skip_serializing_if = "Option::is_none")]
    trust_anchors: Option<String>,
    /// What the endpoint's pins do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pinning: Option<&'static str>,
    /// Name of the client identity that is presented, or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_identity: Option<String>,
    /// Whether revocation is looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    revocation: Option<&'static str>,
    /// Revocation lists to read beside those that certificates name.
    #[serde(skip_serializing_if = "Option::is_none")]
    crl_urls: Option<Vec<String>>,
    /// The name to verify instead of the URL's host.
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<String>,
    /// Name of the operator's proxy that is gone through, or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<String>,
    /// Whether plain HTTP may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    plain_http: Option<&'static str>,
}

// === impl LayerIn ===

impl LayerIn {
    /// The layer, once every field holds to its rule.
    pub(crate) fn check(self, fields: &mut Fields<'_>) -> TransportPolicy {
        let all = LayerPatch {
            tls_min_version: Some(self.tls_min_version),
            key_exchange_groups: Some(self.key_exchange_groups),
            trust: Some(self.trust),
            trust_anchors: Some(self.trust_anchors),
            pinning: Some(self.pinning),
            client_identity: Some(self.client_identity),
            revocation: Some(self.revocation),
            crl_urls: Some(self.crl_urls),
            server_name: Some(self.server_name),
            proxy: Some(self.proxy),
            plain_http: Some(self.plain_http),
        };
        all.apply(TransportPolicy::default(), fields)
    }
}

// === impl LayerPatch ===

impl LayerPatch {
    /// What the layer becomes; a broken rule is noted, so that what is returned then does not
    /// matter.
    pub(crate) fn apply(
        self,
        mut layer: TransportPolicy,
        fields: &mut Fields<'_>,
    ) -> TransportPolicy {
        let to = &mut layer;
        let groups = self.key_exchange_groups;
        replace(
            fields,
            "tlsMinVersion",
            &mut to.tls_min_version,
            self.tls_min_version,
            version,
        );
        replace(
            fields,
            "keyExchangeGroups",
            &mut to.key_exchange_groups,
            groups,
            groups_of,
        );
        replace(fields, "trust", &mut to.trust, self.trust, |text| {
            Trust::parse(&text)
        });
        replace(
            fields,
            "trustAnchors",
            &mut to.trust_anchors,
            self.trust_anchors,
            reference,
        );
        replace(fields, "pinning", &mut to.pinning, self.pinning, |text| {
            Pinning::parse(&text)
        });
        replace(
            fields,
            "clientIdentity",
            &mut to.client_identity,
            self.client_identity,
            choice,
        );
        replace(
            fields,
            "revocation",
            &mut to.revocation,
            self.revocation,
            revocation,
        );
        replace(
            fields,
            "serverName",
            &mut to.server_name,
            self.server_name,
            server_name,
        );
        replace(fields, "proxy", &mut to.proxy, self.proxy, choice);
        replace(
            fields,
            "plainHttp",
            &mut to.plain_http,
            self.plain_http,
            plain_http,
        );
        if let Some(urls) = self.crl_urls {
            layer.crl_urls = urls.and_then(|urls| crl_urls(fields, &urls));
        }
        layer
    }
}

fn replace<G, T>(
    fields: &mut Fields<'_>,
    field: &str,
    slot: &mut Option<T>,
    given: Patch<G>,
    parse: impl FnOnce(G) -> Result<T, Violation>,
) {
    if let Some(given) = given {
        *slot = fields.optional(field, given, parse).flatten();
    }
}

fn version(text: String) -> Result<TlsVersion, Violation> {
    TlsVersion::parse(&text)
}

fn revocation(text: String) -> Result<RevocationMode, Violation> {
    RevocationMode::parse(&text)
}

fn plain_http(text: String) -> Result<PlainHttpUse, Violation> {
    PlainHttpUse::parse(&text)
}

/// The name of something. That it exists is checked elsewhere.
fn reference(text: String) -> Result<Name, Violation> {
    Name::parse(&text)
}

fn choice(text: String) -> Result<Choice, Violation> {
    if text == NOTHING {
        return Ok(Choice::Nothing);
    }
    Name::parse(&text).map(Choice::Named)
}

fn groups_of(names: Vec<String>) -> Result<KeyExchangeGroups, Violation> {
    let groups: Result<_, _> = names
        .iter()
        .map(|name| KeyExchangeGroup::parse(name))
        .collect();
    KeyExchangeGroups::new(groups?)
}

fn server_name(text: String) -> Result<String, Violation> {
    match ServerName::try_from(text.as_str()) {
        Ok(_) => Ok(text),
        Err(_) => Err(Violation::new(
            "value_error.server_name",
            "must be a DNS name or an IP address, without scheme and port",
        )),
    }
}

fn crl_urls(fields: &mut Fields<'_>, given: &[String]) -> Option<Vec<String>> {
    let items = Items {
        min: 0,
        max: CRL_URLS_MAX,
    };
    fields.list("crlUrls", given, items, crl_url)
}

/// Revocation lists are signed, and fetching one over TLS would need a look at revocation first
/// (RFC 5280 §8), so that only `http://` is used.
fn crl_url(text: &str) -> Result<String, Violation> {
    let wrong = |message: &'static str| Violation::new("value_error.crl_url", message);
    if text.len() > CRL_URL_BYTES_MAX {
        return Err(wrong("must be at most 1024 bytes"));
    }
    let url = Url::parse(text).map_err(|_| wrong("must be an absolute URL"))?;
    if url.scheme() != "http" {
        return Err(wrong(
            "must begin with http://: lists are signed, and are not fetched over TLS",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(wrong("must have no user name, password or fragment"));
    }
    Ok(text.to_owned())
}

// === impl LayerOut ===

impl LayerOut {
    /// A named policy, as it goes out.
    pub(crate) fn named(name: &Name, layer: &TransportPolicy) -> Self {
        Self {
            name: Some(name.to_string()),
            ..Self::of(layer)
        }
    }

    /// An endpoint's own settings, as they go out.
    pub(crate) fn of(layer: &TransportPolicy) -> Self {
        Self {
            name: None,
            tls_min_version: layer.tls_min_version.map(TlsVersion::as_str),
            key_exchange_groups: layer.key_exchange_groups.as_ref().map(group_names),
            trust: layer.trust.map(Trust::as_str),
            trust_anchors: layer.trust_anchors.as_ref().map(Name::to_string),
            pinning: layer.pinning.map(Pinning::as_str),
            client_identity: layer.client_identity.as_ref().map(choice_text),
            revocation: layer.revocation.map(RevocationMode::as_str),
            crl_urls: layer.crl_urls.clone(),
            server_name: layer.server_name.clone(),
            proxy: layer.proxy.as_ref().map(choice_text),
            plain_http: layer.plain_http.map(PlainHttpUse::as_str),
        }
    }
}

/// Groups by their IANA names.
pub(crate) fn group_names(groups: &KeyExchangeGroups) -> Vec<&'static str> {
    groups
        .as_slice()
        .iter()
        .map(|group| group.as_str())
        .collect()
}

/// A name, or `none`.
pub(crate) fn choice_text(choice: &Choice) -> String {
    match choice {
        Choice::Nothing => NOTHING.to_owned(),
        Choice::Named(name) => name.to_string(),
    }
}
