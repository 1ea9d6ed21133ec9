//! The bytes that a handshake's report is sealed as: it names hosts and certificates of consumers.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::handshake::{
    ClientCertificate, Failed, HINTS_MAX, HandshakeReport, PinVerdict, PresentDecision, Presented,
    RevocationFinding, RevocationWord, SeenCertificate,
};
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::Pinning;
use hookseal_pki::certificate::SpkiSha256;

use crate::seal::document::{self, Sha256};
use crate::seal::facts::{Tls, is_false};

const FORMAT: u8 = 1;
/// Most certificates of a chain that are kept: more are no chain that anybody verifies.
const CHAIN_MAX: usize = 16;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Report<'r> {
    at_ms: i64,
    duration_ms: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remote_ip: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proxy: Option<String>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    tls: Option<Tls<'r>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    observed: Vec<Certificate>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    verified: Vec<Certificate>,
    pinning: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    matched: Vec<Sha256>,
    requested: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ca_hints: Vec<String>,
    decision: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    presented: Option<Shown>,
    /// Not in reports of before it was known.
    #[serde(default, skip_serializing_if = "is_false")]
    accepted: bool,
    revocation: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revocation_detail: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Certificate {
    subject: String,
    issuer: String,
    spki_sha256: Sha256,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<Sha256>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_before_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_after_ms: Option<i64>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    identity: String,
    number: u32,
    sha256: Sha256,
    not_after_ms: i64,
}

/// The bytes to seal.
pub(crate) fn encode(report: &HandshakeReport) -> Vec<u8> {
    document::encode(FORMAT, &Report::of(report), &[])
}

/// The report; `None` for bytes that no version of ours wrote.
pub(crate) fn decode(bytes: &[u8]) -> Option<HandshakeReport> {
    let (report, tail) = document::decode::<Report<'_>>(FORMAT, bytes)?;
    tail.end()?;
    report.into_report()
}

// === impl Report ===

impl<'r> Report<'r> {
    fn of(report: &'r HandshakeReport) -> Self {
        let failed = report.failure.as_ref();
        let client = &report.client;
        let chain = |chain: &[SeenCertificate]| {
            let first = chain.iter().take(CHAIN_MAX);
            first.map(Certificate::of).collect()
        };
        let matched = report.pins.matched.iter().take(CHAIN_MAX);
        Self {
            at_ms: report.at.as_millis(),
            duration_ms: report.duration_ms,
            failure: failed.map(|failed| failed.failure.as_str().to_owned()),
            reason: failed.map(|failed| failed.reason.clone()),
            remote_ip: report.remote_ip,
            proxy: report.proxy.as_ref().map(Name::to_string),
            tls: report.tls.as_ref().map(Tls::of),
            observed: chain(&report.observed),
            verified: chain(&report.verified),
            pinning: report.pins.pinning.as_str().to_owned(),
            matched: matched.map(|key| Sha256(*key.as_bytes())).collect(),
            requested: client.requested,
            ca_hints: client.ca_hints.iter().take(HINTS_MAX).cloned().collect(),
            decision: client.decision.as_str().to_owned(),
            presented: client.presented.as_ref().map(Shown::of),
            accepted: client.accepted,
            revocation: report.revocation.status.as_str().to_owned(),
            revocation_detail: report.revocation.detail.clone(),
        }
    }

    fn into_report(self) -> Option<HandshakeReport> {
        let chain = |chain: Vec<Certificate>| chain.into_iter().map(Certificate::into_seen);
        let failure = match (self.failure, self.reason) {
            (Some(failure), Some(reason)) => Some(Failed {
                failure: TlsFailure::parse(&failure)?,
                reason,
            }),
            (None, None) => None,
            _ => return None,
        };
        let matched = self.matched.into_iter();
        let decision = |one: &PresentDecision| one.as_str() == self.decision;
        let status = |one: &RevocationWord| one.as_str() == self.revocation;
        Some(HandshakeReport {
            at: Timestamp::from_millis(self.at_ms),
            duration_ms: self.duration_ms,
            failure,
            remote_ip: self.remote_ip,
            proxy: match self.proxy {
                Some(name) => Some(Name::parse(&name).ok()?),
                None => None,
            },
            tls: self.tls.map(Tls::into_facts),
            observed: chain(self.observed).collect(),
            verified: chain(self.verified).collect(),
            pins: PinVerdict {
                pinning: Pinning::parse(&self.pinning).ok()?,
                matched: matched.map(|key| SpkiSha256::from_bytes(key.0)).collect(),
            },
            client: ClientCertificate {
                requested: self.requested,
                ca_hints: self.ca_hints,
                decision: PresentDecision::ALL.into_iter().find(decision)?,
                presented: match self.presented {
                    Some(shown) => Some(shown.into_presented()?),
                    None => None,
                },
                accepted: self.accepted,
            },
            revocation: RevocationFinding {
                status: RevocationWord::ALL.into_iter().find(status)?,
                detail: self.revocation_detail,
            },
        })
    }
}

// === impl Certificate ===

impl Certificate {
    fn of(seen: &SeenCertificate) -> Self {
        Self {
            subject: seen.subject.clone(),
            issuer: seen.issuer.clone(),
            spki_sha256: Sha256(*seen.spki_sha256.as_bytes()),
            sha256: seen.sha256.map(Sha256),
            not_before_ms: seen.not_before.map(Timestamp::as_millis),
            not_after_ms: seen.not_after.map(Timestamp::as_millis),
        }
    }

    fn into_seen(self) -> SeenCertificate {
        SeenCertificate {
            subject: self.subject,
            issuer: self.issuer,
            spki_sha256: SpkiSha256::from_bytes(self.spki_sha256.0),
            sha256: self.sha256.map(|hash| hash.0),
            not_before: self.not_before_ms.map(Timestamp::from_millis),
            not_after: self.not_after_ms.map(Timestamp::from_millis),
        }
    }
}

// === impl Shown ===

impl Shown {
    fn of(presented: &Presented) -> Self {
        Self {
            identity: presented.identity.to_string(),
            number: presented.number,
            sha256: Sha256(presented.sha256),
            not_after_ms: presented.not_after.as_millis(),
        }
    }

    fn into_presented(self) -> Option<Presented> {
        Some(Presented {
            identity: Name::parse(&self.identity).ok()?,
            number: self.number,
            sha256: self.sha256.0,
            not_after: Timestamp::from_millis(self.not_after_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use hookseal_domain::delivery::attempt::TlsFacts;

    use super::*;

    fn seen(byte: u8) -> SeenCertificate {
        SeenCertificate {
            subject: "CN=\"receiver\"".to_owned(),
            issuer: "CN=root".to_owned(),
            spki_sha256: SpkiSha256::from_bytes([byte; 32]),
            sha256: Some([byte; 32]),
            not_before: Some(Timestamp::from_millis(1)),
            not_after: None,
        }
    }

    fn full() -> HandshakeReport {
        HandshakeReport {
            at: Timestamp::from_millis(1_795_422_000_123),
            duration_ms: 42,
            failure: Some(Failed {
                failure: TlsFailure::PinMismatch,
                reason: "no pin matches".to_owned(),
            }),
            remote_ip: "2001:db8::1".parse().ok(),
            proxy: Name::parse("out").ok(),
            tls: Some(TlsFacts {
                version: "TLSv1.3".to_owned(),
                cipher_suite: "TLS_AES_256_GCM_SHA384".to_owned(),
                key_exchange_group: "X25519MLKEM768".to_owned(),
                peer_spki_sha256: "sha256/abc=".to_owned(),
                certificate_expires_at: Timestamp::from_millis(5),
            }),
            observed: vec![seen(1), seen(2)],
            verified: vec![seen(1), seen(3)],
            pins: PinVerdict {
                pinning: Pinning::Report,
                matched: vec![SpkiSha256::from_bytes([3; 32])],
            },
            client: ClientCertificate {
                requested: true,
                ca_hints: vec!["CN=clients".to_owned()],
                decision: PresentDecision::FellBack,
                presented: Some(Presented {
                    identity: Name::parse("us").unwrap(),
                    number: 2,
                    sha256: [8; 32],
                    not_after: Timestamp::from_millis(9),
                }),
                accepted: true,
            },
            revocation: RevocationFinding {
                status: RevocationWord::Unknown,
                detail: Some("no answer".to_owned()),
            },
        }
    }

    fn empty() -> HandshakeReport {
        HandshakeReport {
            at: Timestamp::from_millis(0),
            duration_ms: 0,
            failure: None,
            remote_ip: None,
            proxy: None,
            tls: None,
            observed: vec![],
            verified: vec![],
            pins: PinVerdict::default(),
            client: ClientCertificate::default(),
            revocation: RevocationFinding::default(),
        }
    }

    #[test]
    fn round_trips() {
        for report in [full(), empty()] {
            let bytes = encode(&report);
            assert_eq!(decode(&bytes), Some(report));
            for cut in 0..bytes.len() {
                assert_eq!(decode(&bytes[..cut]), None, "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_report_of_before_acceptance_was_known_reads_as_not_accepted() {
        let mut old = full();
        old.client.accepted = false;
        let bytes = encode(&old);
        let word = b"accepted";
        assert!(!bytes.windows(word.len()).any(|part| part == word));
        assert_eq!(decode(&bytes), Some(old));
    }

    #[test]
    fn keeps_so_much_of_a_chain_and_no_more() {
        let report = HandshakeReport {
            observed: vec![seen(1); 40],
            client: ClientCertificate {
                ca_hints: vec!["CN=clients".to_owned(); 40],
                ..ClientCertificate::default()
            },
            ..empty()
        };
        let read = decode(&encode(&report)).unwrap();
        assert_eq!(read.observed, vec![seen(1); 16]);
        assert_eq!(read.client.ca_hints.len(), HINTS_MAX);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let check = |change: fn(&mut Report<'_>)| {
            let full = full();
            let mut object = Report::of(&full);
            change(&mut object);
            assert_eq!(decode(&document::encode(FORMAT, &object, &[])), None);
        };
        check(|report| report.failure = Some("bad_luck".to_owned()));
        check(|report| report.reason = None);
        check(|report| report.pinning = "maybe".to_owned());
        check(|report| report.decision = "guessed".to_owned());
        check(|report| report.revocation = "perhaps".to_owned());
        check(|report| report.proxy = Some("a b".to_owned()));
    }
}
