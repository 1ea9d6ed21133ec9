//! What was seen of one handshake, as it goes out.

use serde::Serialize;
use utoipa::ToSchema;

use hookseal_domain::transport::handshake::{
    ClientCertificate, Failed, HandshakeReport, PinVerdict, Presented, RevocationFinding,
    SeenCertificate,
};
use hookseal_domain::transport::name::Name;

use crate::api::message_attempt::TlsOut;
use crate::api::transport::failure::FailureOut;
use crate::api::transport::named::hex;
use crate::api::wire::At;

/// What was seen of one handshake.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TlsHandshake)]
pub(crate) struct HandshakeOut {
    /// When it ended.
    at: At,
    /// How long it took, in milliseconds.
    duration_ms: u32,
    /// `ok`, or the stable name of what failed.
    result: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureOut>,
    /// Why it failed in full, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The address that it went to.
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_ip: Option<String>,
    /// The operator's proxy that it went through.
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<String>,
    /// What the session is made of, where one came about.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<TlsOut>,
    /// The chain that was sent, the server's own certificate first.
    observed: Vec<SeenCertificateOut>,
    /// The verified path, the server's own certificate first, the root last; empty if there is
    /// none.
    verified: Vec<SeenCertificateOut>,
    /// What pins came to.
    pins: PinVerdictOut,
    /// What was said of our own certificate.
    client: ClientCertificateOut,
    /// What is known of revocation.
    revocation: RevocationOut,
}

/// One certificate of a receiver.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SeenCertificate)]
pub(crate) struct SeenCertificateOut {
    /// Whose it is.
    subject: String,
    /// Who issued it; not there where only the name and key of a root are known.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    issuer: String,
    /// Names its key: `sha256/` and base64 (RFC 7469).
    pin: String,
    /// Names the certificate: SHA-256 in hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// Its first second.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<At>,
    /// Its last second.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<At>,
}

/// What pins came to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TlsPinVerdict)]
struct PinVerdictOut {
    /// What they were to do: `off`, `report` or `enforce`.
    pinning: &'static str,
    /// Those that matched a key of the verified path.
    matched: Vec<String>,
}

/// What was said of our own certificate.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TlsClientCertificate)]
struct ClientCertificateOut {
    /// Whether the receiver asked for one.
    requested: bool,
    /// The names of the CAs that it hinted at: the first few.
    ca_hints: Vec<String>,
    /// What we decided: `not_asked`, `no_identity`, `matched`, `no_hint_matches`,
    /// `no_scheme_matches`, `none_valid` or `fell_back`.
    decision: &'static str,
    /// What we presented.
    #[serde(skip_serializing_if = "Option::is_none")]
    presented: Option<PresentedOut>,
    /// Whether the receiver accepted what was presented: it answered 2xx on the connection.
    accepted: bool,
}

/// A certificate of ours that was presented.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TlsPresented)]
struct PresentedOut {
    /// The client identity's name.
    identity: String,
    /// The certificate's number within it; 0 for the operator's own.
    number: u32,
    /// Names it: SHA-256 in hex digits.
    sha256: String,
    /// Its last second.
    not_after: At,
}

/// What is known of revocation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TlsRevocation)]
struct RevocationOut {
    /// `not_checked`, `not_applicable`, `good`, `revoked` or `unknown`.
    status: &'static str,
    /// Where it is known from, or why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

// === impl HandshakeOut ===

impl HandshakeOut {
    /// As it goes out.
    pub(crate) fn of(report: HandshakeReport) -> Self {
        let result = report.result();
        let (failure, reason) = match report.failure {
            Some(Failed { failure, reason }) => (Some(FailureOut::of(failure)), Some(reason)),
            None => (None, None),
        };
        let certificates = |seen: Vec<SeenCertificate>| {
            let seen = seen.into_iter();
            seen.map(SeenCertificateOut::of).collect()
        };
        Self {
            at: At(report.at),
            duration_ms: report.duration_ms,
            result,
            failure,
            reason,
            remote_ip: report.remote_ip.map(|ip| ip.to_string()),
            proxy: report.proxy.as_ref().map(Name::to_string),
            tls: report.tls.map(TlsOut::of),
            observed: certificates(report.observed),
            verified: certificates(report.verified),
            pins: PinVerdictOut::of(&report.pins),
            client: ClientCertificateOut::of(report.client),
            revocation: RevocationOut::of(report.revocation),
        }
    }
}

// === impl SeenCertificateOut ===

impl SeenCertificateOut {
    /// As it goes out.
    pub(crate) fn of(seen: SeenCertificate) -> Self {
        Self {
            subject: seen.subject,
            issuer: seen.issuer,
            pin: seen.spki_sha256.to_string(),
            sha256: seen.sha256.map(|hash| hex(&hash)),
            not_before: seen.not_before.map(At),
            not_after: seen.not_after.map(At),
        }
    }
}

// === impl PinVerdictOut ===

impl PinVerdictOut {
    fn of(verdict: &PinVerdict) -> Self {
        Self {
            pinning: verdict.pinning.as_str(),
            matched: verdict.matched.iter().map(ToString::to_string).collect(),
        }
    }
}

// === impl ClientCertificateOut ===

impl ClientCertificateOut {
    fn of(client: ClientCertificate) -> Self {
        let presented = |presented: Presented| PresentedOut {
            identity: presented.identity.to_string(),
            number: presented.number,
            sha256: hex(&presented.sha256),
            not_after: At(presented.not_after),
        };
        Self {
            requested: client.requested,
            ca_hints: client.ca_hints,
            decision: client.decision.as_str(),
            presented: client.presented.map(presented),
            accepted: client.accepted,
        }
    }
}

// === impl RevocationOut ===

impl RevocationOut {
    fn of(finding: RevocationFinding) -> Self {
        Self {
            status: finding.status.as_str(),
            detail: finding.detail,
        }
    }
}
