//! What holds for one endpoint, and which layer says so.

use serde::Serialize;
use utoipa::ToSchema;

use hookseal_domain::transport::book::TransportBook;
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::{
    DEFAULT_POLICY, EndpointTransport, KeyExchangeGroups, Pinning, PlainHttpUse, RevocationMode,
    TransportDefaults, TransportPolicy, Trust,
};

use crate::api::transport::layer::{NOTHING, choice_text, group_names};

/// What holds for one endpoint, and which layer says so.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EffectiveTransport)]
pub(crate) struct EffectiveOut {
    /// The lowest TLS version that is spoken.
    tls_min_version: Setting,
    /// Which key exchanges are offered, preferred first.
    key_exchange_groups: ListSetting,
    /// Which roots count.
    trust: Setting,
    /// The trust anchor set with the private roots, or `none`.
    trust_anchors: Setting,
    /// What the endpoint's pins do.
    pinning: Setting,
    /// The client identity that is presented, or `none`.
    client_identity: Setting,
    /// Whether revocation is looked up.
    revocation: Setting,
    /// Revocation lists to read beside those that certificates name.
    crl_urls: ListSetting,
    /// The name to verify instead of the URL's host; empty for that host.
    server_name: Setting,
    /// The operator's proxy that is gone through, or `none`.
    proxy: Setting,
    /// Whether plain HTTP may be used.
    plain_http: Setting,
}

/// A value and the layer that says it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EffectiveSetting)]
pub(crate) struct Setting {
    /// The value.
    value: String,
    /// `endpoint`, `policy` (the one that the endpoint names), `default_policy` (the organisation's
    /// policy named `default`), or `operator` (configuration and built-in values).
    from: &'static str,
}

/// A list and the layer that says it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EffectiveListSetting)]
pub(crate) struct ListSetting {
    /// The list.
    value: Vec<String>,
    /// The layer, as in the other settings.
    from: &'static str,
}

/// The layers that may lie over each other, the uppermost first.
struct Layers<'b>([(&'static str, Option<&'b TransportPolicy>); 3]);

/// What no policy says anything about.
const OPERATOR: &str = "operator";

// === impl EffectiveOut ===

impl EffectiveOut {
    /// What holds for an endpoint. A name that leads nowhere stands as it was given.
    pub(crate) fn of(
        book: &TransportBook,
        endpoint: &EndpointTransport,
        defaults: &TransportDefaults,
    ) -> Self {
        let layers = Layers::of(book, endpoint);
        let version = |layer: &TransportPolicy| Some(layer.tls_min_version?.as_str().to_owned());
        let groups = |layer: &TransportPolicy| Some(texts(layer.key_exchange_groups.as_ref()?));
        let anchors = |layer: &TransportPolicy| Some(layer.trust_anchors.as_ref()?.to_string());
        let identity = |layer: &TransportPolicy| layer.client_identity.as_ref().map(choice_text);
        let revocation = |layer: &TransportPolicy| Some(layer.revocation?.as_str().to_owned());
        let pinning = |layer: &TransportPolicy| Some(layer.pinning?.as_str().to_owned());
        let proxy = |layer: &TransportPolicy| layer.proxy.as_ref().map(choice_text);
        let trust = |layer: &TransportPolicy| Some(layer.trust?.as_str().to_owned());
        let plain_http = |layer: &TransportPolicy| Some(layer.plain_http?.as_str().to_owned());
        let own_proxy = defaults.proxy.as_ref().map_or(NOTHING, Name::as_str);
        Self {
            tls_min_version: layers.word(version, defaults.tls_min_version.as_str()),
            key_exchange_groups: layers.list(groups, || texts(&KeyExchangeGroups::default())),
            trust: layers.word(trust, Trust::default().as_str()),
            trust_anchors: layers.word(anchors, NOTHING),
            pinning: layers.word(pinning, Pinning::default().as_str()),
            client_identity: layers.word(identity, NOTHING),
            revocation: layers.word(revocation, RevocationMode::default().as_str()),
            crl_urls: layers.list(|layer| layer.crl_urls.clone(), Vec::new),
            server_name: layers.word(|layer| layer.server_name.clone(), ""),
            proxy: layers.word(proxy, own_proxy),
            plain_http: layers.word(plain_http, PlainHttpUse::default().as_str()),
        }
    }
}

fn texts(groups: &KeyExchangeGroups) -> Vec<String> {
    let names = group_names(groups).into_iter();
    names.map(str::to_owned).collect()
}

// === impl Layers ===

impl<'b> Layers<'b> {
    fn of(book: &'b TransportBook, endpoint: &'b EndpointTransport) -> Self {
        let named = endpoint.policy.as_ref();
        let mut policies = book.policies.iter();
        let lowest = policies.find(|(name, _)| name.as_str() == DEFAULT_POLICY);
        Self([
            ("endpoint", Some(&endpoint.own)),
            ("policy", named.and_then(|name| book.policies.get(name))),
            ("default_policy", lowest.map(|(_, policy)| policy)),
        ])
    }

    /// What the uppermost layer says that says anything.
    fn first<T>(&self, of: impl Fn(&TransportPolicy) -> Option<T>) -> Option<(T, &'static str)> {
        let mut layers = self.0.iter();
        layers.find_map(|(from, layer)| Some((of((*layer)?)?, *from)))
    }

    fn word(&self, of: impl Fn(&TransportPolicy) -> Option<String>, otherwise: &str) -> Setting {
        let found = self.first(of);
        let (value, from) = found.unwrap_or_else(|| (otherwise.to_owned(), OPERATOR));
        Setting { value, from }
    }

    fn list(
        &self,
        of: impl Fn(&TransportPolicy) -> Option<Vec<String>>,
        otherwise: impl FnOnce() -> Vec<String>,
    ) -> ListSetting {
        let found = self.first(of);
        let (value, from) = found.unwrap_or_else(|| (otherwise(), OPERATOR));
        ListSetting { value, from }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_setting_names_its_layer() {
        let name = |text| Name::parse(text).unwrap();
        let mut book = TransportBook::default();
        let lowest = TransportPolicy {
            trust: Some(Trust::Private),
            trust_anchors: Some(name("partners")),
            ..TransportPolicy::default()
        };
        let strict = TransportPolicy {
            revocation: Some(RevocationMode::Hard),
            pinning: Some(Pinning::Report),
            ..TransportPolicy::default()
        };
        book.policies.insert(name("default"), lowest);
        book.policies.insert(name("strict"), strict);
        let endpoint = EndpointTransport {
            policy: Some(name("strict")),
            own: TransportPolicy {
                pinning: Some(Pinning::Enforce),
                ..TransportPolicy::default()
            },
            ..EndpointTransport::default()
        };
        let defaults = TransportDefaults::default();
        let out = serde_json::to_value(EffectiveOut::of(&book, &endpoint, &defaults)).unwrap();
        let check = |field: &str, value: &str, from: &str| {
            assert_eq!(out[field], json!({"value": value, "from": from}), "{field}");
        };
        check("pinning", "enforce", "endpoint");
        check("revocation", "hard", "policy");
        check("trustAnchors", "partners", "default_policy");
        check("tlsMinVersion", "1.3", "operator");
        check("clientIdentity", "none", "operator");
        assert_eq!(out["crlUrls"], json!({"value": [], "from": "operator"}));
        assert_eq!(out["keyExchangeGroups"]["value"][0], "X25519MLKEM768");
    }
}
