//! Counts tests from what nextest and cargo's own runner print. Must never guess: a line it does not know counts
//! nothing.

use std::fmt;
use std::ops::AddAssign;

/// What a test begins the line with when a tool it needs (python3, node) is missing and it checked nothing.
const SKIP_MARK: &str = "SKIPPED ";

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

/// What runs the tests. nextest shows what failed in cargo's words, which must not count twice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Runner {
    Cargo,
    Nextest,
}

/// A line of a test runner that matters here.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Line {
    /// The counts of one test program, or of the whole run.
    Counts(Tally),
    /// A test said that it checked nothing, and why.
    Skip(String),
}

// === impl Tally ===

impl Tally {
    /// A test that skipped itself returned without an error, so its runner called it passed.
    pub(crate) fn move_to_skipped(&mut self, tests: usize) {
        self.passed = self.passed.saturating_sub(tests);
        self.skipped += tests;
    }

    fn of_parts<'a>(parts: impl Iterator<Item = &'a str>) -> Self {
        let mut tally = Self::default();
        for part in parts {
            // "3 passed (1 slow)": what stands in brackets is counted already.
            let mut words = part.split_whitespace();
            let number = words.next().and_then(|word| word.parse::<usize>().ok());
            match (number, words.next()) {
                (Some(number), Some("passed")) => tally.passed += number,
                (Some(number), Some("failed" | "exec" | "timed")) => tally.failed += number,
                (Some(number), Some("skipped" | "ignored")) => tally.skipped += number,
                _ => {}
            }
        }
        tally
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        write!(
            formatter,
            "{passed} passed, {failed} failed, {skipped} skipped"
        )
    }
}

// === impl Runner ===

impl Runner {
    /// What a line that this runner prints says, if it matters.
    pub(crate) fn read(self, line: &str) -> Option<Line> {
        match self {
            Self::Cargo => cargo_counts(line)
                .map(Line::Counts)
                .or_else(|| skip_reason(line).map(|reason| Line::Skip(reason.to_owned()))),
            Self::Nextest => nextest_counts(line).map(Line::Counts),
        }
    }
}

fn cargo_counts(line: &str) -> Option<Tally> {
    let (_, counts) = line
        .trim()
        .strip_prefix("test result: ")?
        .split_once(". ")?;
    Some(Tally::of_parts(counts.split("; ")))
}

fn nextest_counts(line: &str) -> Option<Tally> {
    let (_, counts) = line
        .trim()
        .strip_prefix("Summary [")?
        .split_once(" run: ")?;
    Some(Tally::of_parts(counts.split(", ")))
}

/// The rest of a line by which a test says that it was skipped; in nextest's report a tag may stand in front.
pub(crate) fn skip_reason(line: &str) -> Option<&str> {
    let line = line.trim();
    let line = line.strip_prefix("<system-out>").unwrap_or(line);
    let line = line.strip_prefix("<system-err>").unwrap_or(line);
    line.strip_prefix(SKIP_MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(runner: Runner, line: &str, expect: Option<[usize; 3]>) {
        let tally = |[passed, failed, skipped]: [usize; 3]| Tally {
            passed,
            failed,
            skipped,
        };
        assert_eq!(
            runner.read(line),
            expect.map(tally).map(Line::Counts),
            "{line}"
        );
    }

    #[test]
    fn counts_what_nextest_prints() {
        let counts = "     Summary [   0.090s] 3 tests run: 2 passed, 1 failed, 1 skipped";
        check(Runner::Nextest, counts, Some([2, 1, 1]));
        let one = "     Summary [   0.090s] 1 test run: 1 passed, 0 skipped";
        check(Runner::Nextest, one, Some([1, 0, 0]));
        let many = "Summary [ 90.1s] 9 tests run: 5 passed (2 slow, 1 leaky), 2 timed out, \
                    1 exec failed, 1 failed, 3 skipped";
        check(Runner::Nextest, many, Some([5, 4, 3]));
        check(
            Runner::Nextest,
            "        PASS [   0.005s] (1/3) s tests::a",
            None,
        );
        check(Runner::Nextest, "error: test run failed", None);
        check(Runner::Nextest, "Summary [ of something else", None);
    }

    #[test]
    fn counts_what_cargo_prints() {
        let counts = "test result: FAILED. 1 passed; 2 failed; 3 ignored; 0 measured; \
                      7 filtered out; finished in 0.07s";
        check(Runner::Cargo, counts, Some([1, 2, 3]));
        check(Runner::Nextest, counts, None);
        check(Runner::Cargo, "test result: unknown", None);
    }

    #[test]
    fn a_test_that_skipped_itself_did_not_pass() {
        let skip = Runner::Cargo.read("SKIPPED receivers in Python: no python3");
        assert_eq!(
            skip,
            Some(Line::Skip("receivers in Python: no python3".to_owned()))
        );
        assert_eq!(
            skip_reason("            <system-err>SKIPPED no node"),
            Some("no node")
        );
        assert_eq!(skip_reason("it was SKIPPED by hand"), None);
        let mut tally = Tally {
            passed: 4,
            failed: 1,
            skipped: 0,
        };
        tally.move_to_skipped(1);
        assert_eq!(tally.to_string(), "3 passed, 1 failed, 1 skipped");
    }
}
