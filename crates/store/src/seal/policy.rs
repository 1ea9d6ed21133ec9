//! The bytes that transport policies and what endpoints say themselves are sealed as.

use serde::{Deserialize, Serialize};

use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::{
    Choice, KeyExchangeGroup, KeyExchangeGroups, Pinning, PlainHttpUse, RevocationMode, TlsVersion,
    TransportPolicy, Trust,
};

use crate::seal::document;

const FORMAT: u8 = 1;

/// One layer, in the words of the API. What is left out is not decided.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Layer {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tls_min_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_exchange_groups: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trust: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trust_anchors: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pinning: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_identity: Option<Chosen>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revocation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crl_urls: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proxy: Option<Chosen>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plain_http: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Chosen {
    Nothing,
    Named(String),
}

/// An endpoint's own layer and the policy that it names.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct OfEndpoint {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    own: Layer,
}

/// The bytes to seal of a policy.
pub(crate) fn encode(policy: &TransportPolicy) -> Vec<u8> {
    document::encode(FORMAT, &Layer::of(policy), &[])
}

/// The policy; `None` for bytes that no version of ours wrote.
pub(crate) fn decode(bytes: &[u8]) -> Option<TransportPolicy> {
    let (layer, tail) = document::decode::<Layer>(FORMAT, bytes)?;
    tail.end()?;
    layer.into_policy()
}

/// The bytes to seal of what an endpoint says itself.
pub(crate) fn encode_of_endpoint(policy: Option<&Name>, own: &TransportPolicy) -> Vec<u8> {
    let object = OfEndpoint {
        policy: policy.map(Name::to_string),
        own: Layer::of(own),
    };
    document::encode(FORMAT, &object, &[])
}

/// The policy that an endpoint names and its own layer; `None` for bytes that no version of ours
/// wrote.
pub(crate) fn decode_of_endpoint(bytes: &[u8]) -> Option<(Option<Name>, TransportPolicy)> {
    let (object, tail) = document::decode::<OfEndpoint>(FORMAT, bytes)?;
    tail.end()?;
    Some((
        parsed(object.policy, Name::parse)?,
        object.own.into_policy()?,
    ))
}

// === impl Layer ===

impl Layer {
    fn of(policy: &TransportPolicy) -> Self {
        let groups = policy.key_exchange_groups.as_ref();
        let groups = groups.map(|groups| groups.as_slice().iter().map(|group| group.as_str()));
        Self {
            tls_min_version: text(policy.tls_min_version, TlsVersion::as_str),
            key_exchange_groups: groups.map(|names| names.map(str::to_owned).collect()),
            trust: text(policy.trust, Trust::as_str),
            trust_anchors: policy.trust_anchors.as_ref().map(Name::to_string),
            pinning: text(policy.pinning, Pinning::as_str),
            client_identity: policy.client_identity.as_ref().map(Chosen::of),
            revocation: text(policy.revocation, RevocationMode::as_str),
            crl_urls: policy.crl_urls.clone(),
            server_name: policy.server_name.clone(),
            proxy: policy.proxy.as_ref().map(Chosen::of),
            plain_http: text(policy.plain_http, PlainHttpUse::as_str),
        }
    }

    fn into_policy(self) -> Option<TransportPolicy> {
        let groups = |names: Vec<String>| {
            let groups: Result<_, _> = names.iter().map(|n| KeyExchangeGroup::parse(n)).collect();
            groups.and_then(KeyExchangeGroups::new)
        };
        Some(TransportPolicy {
            tls_min_version: parsed(self.tls_min_version, TlsVersion::parse)?,
            key_exchange_groups: self.key_exchange_groups.map(groups).transpose().ok()?,
            trust: parsed(self.trust, Trust::parse)?,
            trust_anchors: parsed(self.trust_anchors, Name::parse)?,
            pinning: parsed(self.pinning, Pinning::parse)?,
            client_identity: chosen(self.client_identity)?,
            revocation: parsed(self.revocation, RevocationMode::parse)?,
            crl_urls: self.crl_urls,
            server_name: self.server_name,
            proxy: chosen(self.proxy)?,
            plain_http: parsed(self.plain_http, PlainHttpUse::parse)?,
        })
    }
}

// === impl Chosen ===

impl Chosen {
    fn of(choice: &Choice) -> Self {
        match choice {
            Choice::Nothing => Self::Nothing,
            Choice::Named(name) => Self::Named(name.to_string()),
        }
    }
}

fn text<T>(value: Option<T>, name: fn(T) -> &'static str) -> Option<String> {
    value.map(|value| name(value).to_owned())
}

/// `Some(None)` for nothing, `None` for what can't be parsed.
fn parsed<T, E>(text: Option<String>, parse: fn(&str) -> Result<T, E>) -> Option<Option<T>> {
    text.map(|text| parse(&text)).transpose().ok()
}

fn chosen(chosen: Option<Chosen>) -> Option<Option<Choice>> {
    let choice = |chosen| match chosen {
        Chosen::Nothing => Ok(Choice::Nothing),
        Chosen::Named(name) => Name::parse(&name).map(Choice::Named),
    };
    chosen.map(choice).transpose().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn full() -> TransportPolicy {
        TransportPolicy {
            tls_min_version: Some(TlsVersion::Tls12),
            key_exchange_groups: Some(
                KeyExchangeGroups::new(vec![
                    KeyExchangeGroup::Secp256r1,
                    KeyExchangeGroup::X25519MlKem768,
                ])
                .unwrap(),
            ),
            trust: Some(Trust::Both),
            trust_anchors: Some(name("theirs")),
            pinning: Some(Pinning::Enforce),
            client_identity: Some(Choice::Named(name("nothing"))),
            revocation: Some(RevocationMode::Hard),
            crl_urls: Some(vec!["http://crl.example/a?b".to_owned()]),
            server_name: Some("inner.example".to_owned()),
            proxy: Some(Choice::Nothing),
            plain_http: Some(PlainHttpUse::Never),
        }
    }

    #[test]
    fn round_trips() {
        for policy in [full(), TransportPolicy::default()] {
            let bytes = encode(&policy);
            assert_eq!(decode(&bytes), Some(policy.clone()));
            for cut in 0..bytes.len() {
                assert_eq!(decode(&bytes[..cut]), None, "cut at {cut}");
            }
            for named in [None, Some(name("strict"))] {
                let bytes = encode_of_endpoint(named.as_ref(), &policy);
                assert_eq!(decode_of_endpoint(&bytes), Some((named, policy.clone())));
            }
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let check = |object: serde_json::Value, known: bool| {
            let bytes = document::encode(FORMAT, &object, &[]);
            assert_eq!(decode(&bytes).is_some(), known, "{object}");
        };
        check(serde_json::json!({}), true);
        check(serde_json::json!({"trust": "both"}), true);
        check(serde_json::json!({"trust": "all"}), false);
        check(serde_json::json!({"key_exchange_groups": []}), false);
        check(serde_json::json!({"proxy": {"named": "a b"}}), false);
        check(serde_json::json!({"proxy": "direct"}), false);
        check(serde_json::json!({"from_a_newer_version": 1}), false);
        let longer = document::encode(FORMAT, &Layer::of(&full()), &[b"more"]);
        assert_eq!(decode(&longer), None);
        assert_eq!(decode(b"\x02\0\0\0\x02{}"), None);
    }
}
