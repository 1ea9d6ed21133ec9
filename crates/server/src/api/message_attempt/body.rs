//! An attempt as it goes out.

use serde::Serialize;
use utoipa::ToSchema;

use hookseal_domain::delivery::Trigger;
use hookseal_domain::delivery::attempt::{Attempt, ConnectionFacts, TlsFacts};
use hookseal_domain::delivery::outcome::Outcome;
use hookseal_store::inspect::Content;

use crate::api::transport::failure::FailureOut;
use crate::api::wire::{At, StatusText, numbers, text};

/// What stands for a response that was expunged.
const EXPUNGED: &str = "EXPUNGED";
/// What stands for the URL of an attempt that had none: the contract wants one.
const NO_URL: &str = "about:blank";

/// One try of a delivery.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MessageAttemptOut)]
pub(crate) struct AttemptOut {
    /// Its id.
    #[schema(value_type = text::AttemptId)]
    id: String,
    /// What was delivered.
    #[schema(value_type = text::MessageId)]
    msg_id: String,
    /// Whom to.
    #[schema(value_type = text::EndpointId)]
    endpoint_id: String,
    /// The URL as it was then; `about:blank` where nothing was sent, since the endpoint was deleted
    /// before.
    #[schema(value_type = text::Url)]
    url: String,
    /// When it began.
    timestamp: At,
    /// Whether it was accepted: 0 or 2.
    #[schema(value_type = numbers::MessageStatus)]
    status: u8,
    /// The same in a word.
    status_text: StatusText,
    /// The status code of the response; 0 for none.
    response_status_code: u16,
    /// The first bytes of the response's body.
    response: String,
    /// From start to end, in milliseconds.
    response_duration_ms: u32,
    /// Why the delivery exists.
    #[schema(value_type = numbers::MessageAttemptTriggerType)]
    trigger_type: u8,
    /// Which try of the delivery it was, from 1. An extension of Hookseal, like all that follow.
    attempt_number: u32,
    /// What it meant: `accepted`, `retry`, `parked`, `gone`, `not_trusted`, `blocked`,
    /// `unreachable`, `timed_out`, `internal` or `unsendable`.
    outcome: &'static str,
    /// Why it failed, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What it means, where TLS failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_failure: Option<FailureOut>,
    /// How the delivery ended, if with this attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<&'static str>,
    /// The `webhook-id` of the batch that it was a part of, if it was not sent alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_id: Option<String>,
    /// The connection.
    #[serde(skip_serializing_if = "ConnectionOut::is_empty")]
    #[schema(required = false)]
    connection: ConnectionOut,
}

/// What is known of a connection.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AttemptConnection)]
struct ConnectionOut {
    /// The address that it went to.
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_ip: Option<String>,
    /// Addresses of the same name that the address policy refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    refused: Vec<RefusedOut>,
    /// `HTTP/1.1` or `HTTP/2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    http_version: Option<String>,
    /// The TLS session.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<TlsOut>,
}

/// An address that the address policy refused.
#[derive(Serialize, ToSchema)]
#[schema(as = RefusedAddress)]
struct RefusedOut {
    /// The address.
    ip: String,
    /// Why: the reason's stable name.
    reason: String,
}

/// What is known of a TLS session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AttemptTls)]
pub(crate) struct TlsOut {
    /// `TLSv1.2` or `TLSv1.3`.
    version: String,
    /// Name of the cipher suite.
    cipher_suite: String,
    /// Name of the key-exchange group.
    key_exchange_group: String,
    /// SHA-256 of the server's public key, as `sha256/` and base64 (RFC 7469).
    peer_spki_sha256: String,
    /// When the server's certificate expires.
    certificate_expires_at: At,
}

// === impl AttemptOut ===

impl AttemptOut {
    /// As it goes out.
    pub(crate) fn of(attempt: Attempt, content: Content) -> Self {
        let status = match attempt.outcome {
            Outcome::Accepted => StatusText::Success,
            _ => StatusText::Fail,
        };
        let response = match (content, attempt.facts.response_body) {
            (Content::Without, _) => String::new(),
            (Content::With, Some(body)) => String::from_utf8_lossy(&body).into_owned(),
            (Content::With, None) => EXPUNGED.to_owned(),
        };
        Self {
            id: attempt.id.to_string(),
            msg_id: attempt.key.message.to_string(),
            endpoint_id: attempt.key.endpoint.to_string(),
            url: shown_url(attempt.facts.url),
            timestamp: At(attempt.id.created_at()),
            status: status.number(),
            status_text: status,
            response_status_code: attempt.status_code.unwrap_or(0),
            response,
            response_duration_ms: attempt.duration_ms,
            trigger_type: match attempt.trigger {
                Trigger::Publish => 0,
                Trigger::Resend => 1,
            },
            attempt_number: attempt.number,
            outcome: attempt.outcome.as_str(),
            reason: attempt.facts.reason,
            tls_failure: attempt.facts.tls_failure.map(FailureOut::of),
            ended: attempt.ended.map(|ended| ended.as_str()),
            batch_id: attempt.facts.batch,
            connection: ConnectionOut::of(attempt.facts.connection),
        }
    }
}

fn shown_url(url: String) -> String {
    if url.is_empty() {
        return NO_URL.to_owned();
    }
    url
}

// === impl ConnectionOut ===

impl ConnectionOut {
    fn of(facts: ConnectionFacts) -> Self {
        let refused = |(ip, reason): (std::net::IpAddr, String)| RefusedOut {
            ip: ip.to_string(),
            reason,
        };
        Self {
            remote_ip: facts.remote_ip.map(|ip| ip.to_string()),
            refused: facts.refused.into_iter().map(refused).collect(),
            http_version: facts.http_version,
            tls: facts.tls.map(TlsOut::of),
        }
    }

    fn is_empty(&self) -> bool {
        self.remote_ip.is_none()
            && self.refused.is_empty()
            && self.http_version.is_none()
            && self.tls.is_none()
    }
}

// === impl TlsOut ===

impl TlsOut {
    /// As it goes out.
    pub(crate) fn of(facts: TlsFacts) -> Self {
        Self {
            version: facts.version,
            cipher_suite: facts.cipher_suite,
            key_exchange_group: facts.key_exchange_group,
            peer_spki_sha256: facts.peer_spki_sha256,
            certificate_expires_at: At(facts.certificate_expires_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use hookseal_domain::delivery::attempt::AttemptFacts;
    use hookseal_domain::delivery::{DeliveryKey, Ended};
    use hookseal_domain::id::{AttemptId, EndpointId, MessageId};
    use hookseal_domain::time::Timestamp;
    use hookseal_domain::transport::failure::TlsFailure;

    use super::*;

    #[test]
    fn all_that_was_seen_is_told() {
        let mut attempt = Attempt {
            id: AttemptId::from_raw(1),
            key: DeliveryKey {
                message: MessageId::from_raw(2),
                endpoint: EndpointId::from_raw(3),
            },
            trigger: Trigger::Resend,
            number: 4,
            outcome: Outcome::Parked,
            status_code: Some(422),
            duration_ms: 12,
            ended: Some(Ended::Parked),
            facts: AttemptFacts {
                url: "https://example.com/".to_owned(),
                response_body: Some(bytes::Bytes::from_static(b"no \xff")),
                reason: Some("status 422".to_owned()),
                tls_failure: Some(TlsFailure::HttpNoCertificate),
                batch: Some("batch_1".to_owned()),
                connection: ConnectionFacts {
                    remote_ip: Some([192, 0, 2, 1].into()),
                    refused: vec![([10, 0, 0, 1].into(), "private".to_owned())],
                    http_version: Some("HTTP/2".to_owned()),
                    tls: Some(TlsFacts {
                        version: "TLSv1.3".to_owned(),
                        cipher_suite: "TLS_AES_256_GCM_SHA384".to_owned(),
                        key_exchange_group: "X25519MLKEM768".to_owned(),
                        peer_spki_sha256: "sha256/AAAA".to_owned(),
                        certificate_expires_at: Timestamp::from_millis(0),
                    }),
                },
            },
        };
        let out = AttemptOut::of(attempt.clone(), Content::With);
        let out = serde_json::to_value(out).unwrap();
        let ids = (&out["id"], &out["msgId"], &out["endpointId"]);
        let expect = json!({
            "id": ids.0, "msgId": ids.1, "endpointId": ids.2, "url": "https://example.com/",
            "timestamp": "2014-05-13T16:53:20.000Z", "status": 2, "statusText": "fail",
            "responseStatusCode": 422, "response": "no \u{fffd}", "responseDurationMs": 12,
            "triggerType": 1, "attemptNumber": 4, "outcome": "parked", "reason": "status 422",
            "tlsFailure": {
                "code": "http_no_certificate", "fault": "us", "retry": "later",
                "advice": TlsFailure::HttpNoCertificate.advice(),
            },
            "ended": "parked",
            "batchId": "batch_1",
            "connection": {
                "remoteIp": "192.0.2.1",
                "refused": [{"ip": "10.0.0.1", "reason": "private"}],
                "httpVersion": "HTTP/2",
                "tls": {
                    "version": "TLSv1.3", "cipherSuite": "TLS_AES_256_GCM_SHA384",
                    "keyExchangeGroup": "X25519MLKEM768", "peerSpkiSha256": "sha256/AAAA",
                    "certificateExpiresAt": "1970-01-01T00:00:00.000Z",
                },
            },
        });
        assert_eq!(out, expect);
        attempt.facts.url.clear();
        assert_eq!(AttemptOut::of(attempt, Content::With).url, "about:blank");
    }
}
