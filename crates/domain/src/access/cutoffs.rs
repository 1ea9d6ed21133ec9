//! Up to when tokens of an application were issued that hold no more, and from when on.
//!
//! **Invariant:** a token that has died, or has a time to die at, never gets a later one; what is
//! issued once a cutoff was said is dated after it, also in the same millisecond.

use std::time::Duration;

use crate::time::Timestamp;

/// Most cutoffs that are kept apart; with one more, the two latest become one, which is the stricter.
const CUTOFFS_MAX: usize = 8;

/// What a person said once: all that was issued by then is to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cutoff {
    /// Tokens issued up to and in this millisecond end.
    pub issued_until: Timestamp,
    /// When they end.
    pub at: Timestamp,
}

/// All that was said, earliest first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cutoffs(Vec<Cutoff>);

// === impl Cutoffs ===

impl Cutoffs {
    /// As they were kept.
    pub fn from_stored(cutoffs: Vec<Cutoff>) -> Self {
        Self(cutoffs)
    }

    /// To be kept.
    pub fn as_slice(&self) -> &[Cutoff] {
        &self.0
    }

    /// Whether a token has ended. One that does not say when it was issued counts as the oldest.
    pub fn ended(&self, issued_at: Option<Timestamp>, now: Timestamp) -> bool {
        let issued_at = issued_at.unwrap_or_default();
        let ends = |cutoff: &&Cutoff| issued_at <= cutoff.issued_until;
        self.0.iter().filter(ends).any(|cutoff| cutoff.at <= now)
    }

    /// When a token counts as issued that is issued now: after all that was said, so that it is not
    /// born dead.
    pub fn dated(&self, now: Timestamp) -> Timestamp {
        let last = self.0.iter().map(|cutoff| cutoff.issued_until).max();
        last.map_or(now, |last| now.max(last.plus(Duration::from_millis(1))))
    }

    /// Adds one, which ends what was issued since the others, too, if it was in the same millisecond.
    /// What it makes superfluous is dropped: an earlier one that ends fewer tokens no sooner.
    #[must_use]
    pub fn with(mut self, mut new: Cutoff) -> Self {
        new.issued_until = self.dated(new.issued_until);
        let superfluous = |old: &Cutoff| old.at >= new.at;
        self.0.retain(|old| !superfluous(old));
        self.0.push(new);
        while self.0.len() > CUTOFFS_MAX {
            let last = self.0.pop();
            if let (Some(merged), Some(last)) = (self.0.last_mut(), last) {
                merged.issued_until = merged.issued_until.max(last.issued_until);
                merged.at = merged.at.min(last.at);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    fn cutoff(issued_until: i64, ends: i64) -> Cutoff {
        Cutoff {
            issued_until: at(issued_until),
            at: at(ends),
        }
    }

    fn check(cutoffs: &Cutoffs, issued: i64, now: i64, expect: bool) {
        let ended = cutoffs.ended(Some(at(issued)), at(now));
        assert_eq!(ended, expect, "issued {issued}, now {now}");
    }

    #[test]
    fn what_was_issued_by_then_ends() {
        let cutoffs = Cutoffs::default().with(cutoff(100, 100));
        check(&cutoffs, 99, 100, true);
        check(&cutoffs, 100, 100, true);
        check(&cutoffs, 101, 101, false);
        check(&cutoffs, 99, 99, false);
        assert!(cutoffs.ended(None, at(100)), "older than all");
        assert!(!Cutoffs::default().ended(None, at(100)));
    }

    #[test]
    fn a_later_word_revives_nothing() {
        let cutoffs = Cutoffs::default()
            .with(cutoff(100, 100))
            .with(cutoff(200, 3800));
        check(&cutoffs, 99, 200, true);
        check(&cutoffs, 150, 200, false);
        check(&cutoffs, 150, 3800, true);
        let sooner = cutoffs.with(cutoff(300, 300));
        check(&sooner, 150, 300, true);
        assert_eq!(
            sooner.as_slice().len(),
            2,
            "the one with grace is superfluous"
        );
    }

    #[test]
    fn there_are_few_and_the_stricter_counts() {
        let mut cutoffs = Cutoffs::default();
        for n in 1..100 {
            cutoffs = cutoffs.with(cutoff(n * 10, n * 10 + 1000));
        }
        assert_eq!(cutoffs.as_slice().len(), CUTOFFS_MAX);
        check(&cutoffs, 989, 1990, true);
        check(&cutoffs, 9, 1010, true);
        check(&cutoffs, 991, 9999, false);
    }

    #[test]
    fn what_is_issued_in_the_same_millisecond_lives_until_the_next_word() {
        let now = at(100);
        let mut cutoffs = Cutoffs::default();
        assert_eq!(cutoffs.dated(now), now);
        for _ in 0..3 {
            let issued = cutoffs.dated(now);
            assert!(!cutoffs.ended(Some(issued), now), "born dead: {cutoffs:?}");
            cutoffs = cutoffs.with(cutoff(100, 100));
            assert!(cutoffs.ended(Some(issued), now), "{cutoffs:?}");
        }
        assert_eq!(cutoffs.as_slice().len(), 1);
        let later = at(200);
        assert_eq!(cutoffs.dated(later), later);
    }
}
