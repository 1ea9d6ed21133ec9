//! Where we agree with the cases and where not. Must never hide a divergence: each is listed by name.

use std::collections::BTreeMap;
use std::fmt;

use hookseal_pki::inspection::Finding;

use crate::limbo::judge::Judgement;
use crate::limbo::suite::{Case, Expected};

/// Why we refuse cases that the suite accepts.
const KNOWN_REFUSALS: &[(&str, &str)] = &[
    (
        "pathlen::validation-ignores-pathlen-in-leaf",
        "a CA's own certificate is no server's, as the suite's webpki::ca-as-leaf says too",
    ),
    (
        "rfc5280::ca-as-leaf",
        "a CA's own certificate is no server's, as the suite's webpki::ca-as-leaf says too",
    ),
    (
        "pathlen::self-issued-certs-pathlen",
        "webpki counts self-issued certificates too (RFC 5280 §6.1.4(l)); what a CA issues to itself is rare",
    ),
    (
        "rfc5280::nc::permitted-self-issued",
        "webpki constrains names of self-issued certificates too (RFC 5280 §6.1.3(b)); they are rare",
    ),
];

/// What came of a file of cases.
#[derive(Debug, Default)]
pub(crate) struct Report {
    agree: usize,
    /// Accepted by both, though inspection finds something in it.
    agree_with_findings: usize,
    /// Accepted by us and not by the suite, with what inspection finds.
    accepted: Vec<(String, Vec<Finding>)>,
    /// Refused by us and not by the suite, with our reason.
    refused: Vec<(String, String)>,
    skipped: BTreeMap<&'static str, Vec<String>>,
}

// === impl Report ===

impl Report {
    pub(crate) fn add(&mut self, case: &Case, judgement: Judgement) {
        let id = case.id.clone();
        match (judgement, case.expected_result) {
            (Judgement::Skipped(reason), _) => self.skipped.entry(reason).or_default().push(id),
            (Judgement::Accepted(found), Expected::Failure) => self.accepted.push((id, found)),
            (Judgement::Refused(reason), Expected::Success) => self.refused.push((id, reason)),
            (Judgement::Accepted(found), Expected::Success) => {
                self.agree += 1;
                self.agree_with_findings += usize::from(!found.is_empty());
            }
            (Judgement::Refused(_), Expected::Failure) => self.agree += 1,
        }
    }

    /// Whether nothing was accepted that the suite rejects and that no rule of inspection finds.
    pub(crate) fn is_good(&self) -> bool {
        self.accepted.iter().all(|(_, found)| !found.is_empty())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, found) in &self.accepted {
            let found: Vec<_> = found.iter().map(|finding| finding.as_str()).collect();
            let found = match found.is_empty() {
                true => "and no rule of inspection finds it".to_owned(),
                false => format!("inspection finds {}", found.join(", ")),
            };
            writeln!(f, "DIVERGES {id}: expected FAILURE, accepted; {found}")?;
        }
        for (id, reason) in &self.refused {
            writeln!(f, "DIVERGES {id}: expected SUCCESS, refused: {reason}")?;
            if let Some((_, why)) = KNOWN_REFUSALS.iter().find(|(known, _)| known == id) {
                writeln!(f, "  {why}")?;
            }
        }
        for (reason, ids) in &self.skipped {
            writeln!(f, "SKIPS {}: {reason}", ids.len())?;
            for id in ids {
                writeln!(f, "  {id}")?;
            }
        }
        if self.agree_with_findings > 0 {
            let found = self.agree_with_findings;
            writeln!(
                f,
                "Inspection finds something in {found} cases that both accept."
            )?;
        }
        let diverge = self.accepted.len() + self.refused.len();
        let skip: usize = self.skipped.values().map(Vec::len).sum();
        write!(f, "agree {}, diverge {diverge}, skip {skip}", self.agree)
    }
}
