//! Private roots as a client gives them.

use std::time::Duration;

use rustls_pki_types::UnixTime;

use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::anchor_set::Anchor;
use hookseal_domain::violation::Violation;
use hookseal_pki::anchor_set::AnchorCertificate;

use crate::api::check::Fields;
use crate::api::error::violations::Violations;
use crate::api::transport::trust_anchors::body::AnchorsIn;

/// The roots of a PEM text, if each of them may be a private root.
pub(crate) fn given_anchors(pem: &str, now: Timestamp) -> Result<Vec<Anchor>, Violation> {
    let set = AnchorCertificate::parse_set(pem.as_bytes(), unix_time(now));
    let set =
        set.map_err(|error| Violation::new("value_error.trust_anchors", error.to_string()))?;
    Ok(set.iter().map(|one| anchor(one, now)).collect())
}

fn anchor(one: &AnchorCertificate, now: Timestamp) -> Anchor {
    let facts = one.facts();
    Anchor {
        der: one.der().to_vec(),
        sha256: *facts.sha256().as_bytes(),
        spki_sha256: facts.spki_sha256(),
        subject: facts.subject().to_owned(),
        not_before: from_secs(facts.not_before_secs()),
        not_after: from_secs(facts.not_after_secs()),
        added_at: now,
        retiring_since: None,
    }
}

/// A certificate's second as an instant.
pub(crate) fn from_secs(secs: i64) -> Timestamp {
    Timestamp::from_millis(secs.saturating_mul(1000))
}

/// An instant as certificates are judged by.
pub(crate) fn unix_time(now: Timestamp) -> UnixTime {
    let secs = u64::try_from(now.as_secs()).unwrap_or(0);
    UnixTime::since_unix_epoch(Duration::from_secs(secs))
}

// === impl AnchorsIn ===

impl AnchorsIn {
    /// The roots, once they hold to their rules.
    pub(super) fn check(self, now: Timestamp) -> Result<Vec<Anchor>, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let pem = fields.required("pem", self.pem);
        let anchors = pem.and_then(|pem| fields.take("pem", given_anchors(&pem, now)));
        violations.finish(anchors)
    }
}
