//! Where we agree with the cases and where not. Must never hide a divergence: each is listed by name.

use std::collections::BTreeMap;
use std::fmt;

use crate::limbo::judge::Judgement;
use crate::limbo::suite::{Case, Expected};

/// What came of a file of cases.
#[derive(Debug, Default)]
pub(crate) struct Report {
    agree: usize,
    /// Accepted by us, and not by the suite.
    accepted: Vec<String>,
    /// Refused by us, and not by the suite: names and our reasons.
    refused: Vec<(String, String)>,
    skipped: BTreeMap<&'static str, Vec<String>>,
}

// === impl Report ===

impl Report {
    pub(crate) fn add(&mut self, case: &Case, judgement: Judgement) {
        let id = case.id.clone();
        match (judgement, case.expected_result) {
            (Judgement::Skipped(reason), _) => self.skipped.entry(reason).or_default().push(id),
            (Judgement::Accepted, Expected::Failure) => self.accepted.push(id),
            (Judgement::Refused(reason), Expected::Success) => self.refused.push((id, reason)),
            (Judgement::Accepted, Expected::Success)
            | (Judgement::Refused(_), Expected::Failure) => self.agree += 1,
        }
    }

    /// Whether nothing was accepted that the suite rejects.
    pub(crate) fn is_good(&self) -> bool {
        self.accepted.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for id in &self.accepted {
            writeln!(f, "DIVERGES {id}: expected FAILURE, and we accept it")?;
        }
        for (id, reason) in &self.refused {
            writeln!(
                f,
                "DIVERGES {id}: expected SUCCESS, and we refuse it: {reason}"
            )?;
        }
        for (reason, ids) in &self.skipped {
            writeln!(f, "SKIPS {}: {reason}", ids.len())?;
            for id in ids {
                writeln!(f, "  {id}")?;
            }
        }
        let diverge = self.accepted.len() + self.refused.len();
        let skip: usize = self.skipped.values().map(Vec::len).sum();
        write!(f, "agree {}, diverge {diverge}, skip {skip}", self.agree)
    }
}
