//! The bytes that an attempt's facts are sealed as, with the response's body as it came.

use std::borrow::Cow;
use std::net::IpAddr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use hookseal_domain::delivery::attempt::{AttemptFacts, ConnectionFacts, TlsFacts};
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::failure::TlsFailure;

use crate::seal::document;

const FORMAT: u8 = 1;

/// All but the body. The keys are short, since each attempt has them.
#[derive(Deserialize, Serialize)]
struct Head<'a> {
    #[serde(rename = "u")]
    url: Cow<'a, str>,
    #[serde(rename = "b", default, skip_serializing_if = "is_false")]
    has_body: bool,
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    tls_failure: Option<Cow<'a, str>>,
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    batch: Option<Cow<'a, str>>,
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    remote_ip: Option<IpAddr>,
    #[serde(rename = "f", default, skip_serializing_if = "is_empty")]
    refused: Cow<'a, [(IpAddr, String)]>,
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    http_version: Option<Cow<'a, str>>,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    tls: Option<Tls<'a>>,
}

#[derive(Deserialize, Serialize)]
pub(crate) struct Tls<'a> {
    #[serde(rename = "v")]
    version: Cow<'a, str>,
    #[serde(rename = "c")]
    cipher_suite: Cow<'a, str>,
    #[serde(rename = "g")]
    key_exchange_group: Cow<'a, str>,
    #[serde(rename = "p")]
    peer_spki_sha256: Cow<'a, str>,
    #[serde(rename = "e")]
    certificate_expires_ms: i64,
}

/// The bytes to seal.
pub(crate) fn encode(facts: &AttemptFacts) -> Vec<u8> {
    let body = facts.response_body.as_deref().unwrap_or_default();
    document::encode(FORMAT, &Head::of(facts), &[body])
}

/// The facts; `None` for bytes that no version of ours wrote.
pub(crate) fn decode(bytes: &Bytes) -> Option<AttemptFacts> {
    let (head, body) = document::decode::<Head<'_>>(FORMAT, bytes)?;
    let body = head.has_body.then(|| bytes.slice_ref(body.rest()));
    Some(head.into_facts(body))
}

impl<'a> Head<'a> {
    fn of(facts: &'a AttemptFacts) -> Self {
        let connection = &facts.connection;
        Self {
            url: Cow::Borrowed(&facts.url),
            has_body: facts.response_body.is_some(),
            reason: facts.reason.as_deref().map(Cow::Borrowed),
            tls_failure: facts
                .tls_failure
                .map(|failure| Cow::Borrowed(failure.as_str())),
            batch: facts.batch.as_deref().map(Cow::Borrowed),
            remote_ip: connection.remote_ip,
            refused: Cow::Borrowed(&connection.refused),
            http_version: connection.http_version.as_deref().map(Cow::Borrowed),
            tls: connection.tls.as_ref().map(Tls::of),
        }
    }

    fn into_facts(self, response_body: Option<Bytes>) -> AttemptFacts {
        AttemptFacts {
            url: self.url.into_owned(),
            response_body,
            reason: self.reason.map(Cow::into_owned),
            // A name that only a newer version knows is as good as none: the reason says it too.
            tls_failure: self.tls_failure.and_then(|name| TlsFailure::parse(&name)),
            batch: self.batch.map(Cow::into_owned),
            connection: ConnectionFacts {
                remote_ip: self.remote_ip,
                refused: self.refused.into_owned(),
                http_version: self.http_version.map(Cow::into_owned),
                tls: self.tls.map(Tls::into_facts),
            },
        }
    }
}

impl<'a> Tls<'a> {
    pub(crate) fn of(tls: &'a TlsFacts) -> Self {
        Self {
            version: Cow::Borrowed(&tls.version),
            cipher_suite: Cow::Borrowed(&tls.cipher_suite),
            key_exchange_group: Cow::Borrowed(&tls.key_exchange_group),
            peer_spki_sha256: Cow::Borrowed(&tls.peer_spki_sha256),
            certificate_expires_ms: tls.certificate_expires_at.as_millis(),
        }
    }

    pub(crate) fn into_facts(self) -> TlsFacts {
        TlsFacts {
            version: self.version.into_owned(),
            cipher_suite: self.cipher_suite.into_owned(),
            key_exchange_group: self.key_exchange_group.into_owned(),
            peer_spki_sha256: self.peer_spki_sha256.into_owned(),
            certificate_expires_at: Timestamp::from_millis(self.certificate_expires_ms),
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
pub(super) fn is_false(value: &bool) -> bool {
    !*value
}

fn is_empty(refused: &[(IpAddr, String)]) -> bool {
    refused.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(facts: &AttemptFacts) {
        let bytes = Bytes::from(encode(facts));
        assert_eq!(decode(&bytes).as_ref(), Some(facts));
        for cut in 0..bytes.len() - facts.response_body.as_ref().map_or(0, Bytes::len) {
            assert_eq!(decode(&bytes.slice(..cut)), None, "cut at {cut}");
        }
    }

    #[test]
    fn round_trips() {
        check(&AttemptFacts::default());
        check(&AttemptFacts {
            url: "https://example.com/hook?a=\"b\"".to_owned(),
            response_body: Some(Bytes::from_static(b"\0\xff{}")),
            reason: Some("it said no".to_owned()),
            tls_failure: Some(TlsFailure::PinMismatch),
            batch: Some("batch_0123".to_owned()),
            connection: ConnectionFacts {
                remote_ip: "192.0.2.1".parse().ok(),
                refused: vec![("::1".parse().unwrap(), "loopback".to_owned())],
                http_version: Some("HTTP/2".to_owned()),
                tls: Some(TlsFacts {
                    version: "TLSv1.3".to_owned(),
                    cipher_suite: "TLS_AES_256_GCM_SHA384".to_owned(),
                    key_exchange_group: "X25519MLKEM768".to_owned(),
                    peer_spki_sha256: "sha256/abc=".to_owned(),
                    certificate_expires_at: Timestamp::from_millis(1_795_422_000_123),
                }),
            },
        });
        check(&AttemptFacts {
            response_body: Some(Bytes::new()),
            ..AttemptFacts::default()
        });
    }

    #[test]
    fn other_formats_are_not_guessed() {
        assert_eq!(decode(&Bytes::from_static(b"")), None);
        assert_eq!(decode(&Bytes::from_static(b"\x02\0\0\0\x02{}")), None);
        assert_eq!(decode(&Bytes::from_static(b"\x01\xff\xff\xff\xff{}")), None);
    }
}
