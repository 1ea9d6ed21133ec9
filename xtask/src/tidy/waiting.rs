//! Tests that wait by the clock.

use crate::tidy::rust_source::RustSource;
use crate::tidy::{Finding, Rule};

static NO_SLEEPING: Rule = Rule {
    name: "no-sleeping",
    reason: "a test that sleeps is slow when it passes and flaky when it does not (house style 34): wait for the \
             event itself, or say why not in a comment `// sleep: <why>`",
};

/// Functions by which code waits for a time to pass.
const SLEEPS: [&str; 4] = ["sleep", "sleep_ms", "sleep_until", "park_timeout"];

pub(super) fn check(source: &RustSource<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line_number, line) in source.numbered() {
        let is_waiting = source.is_test(line_number) && calls_sleep(&line.code);
        if is_waiting && !source.is_excused(line_number, "sleep:") {
            findings.push(Finding::error(&NO_SLEEPING, line_number, line.raw.trim()));
        }
    }
    findings
}

/// `thread::sleep(…)`, `sleep(…)`, but not a function of ours that is named so, at its definition.
fn calls_sleep(code: &str) -> bool {
    let mut calls = code.match_indices('(').filter_map(|(at, _)| code.get(..at));
    calls.any(|before| {
        let start = before
            .rfind(|c: char| !c.is_alphanumeric() && c != '_')
            .map_or(0, |at| at + 1);
        let (before, word) = before.split_at(start);
        SLEEPS.contains(&word) && !before.ends_with("fn ")
    })
}

#[cfg(test)]
mod tests {
    use crate::tidy::broken;

    #[track_caller]
    fn check(path: &str, code: &str, expect: &[&str]) {
        assert_eq!(
            broken(path, &format!("//! A thing.\n{code}")),
            expect,
            "{code}"
        );
    }

    #[test]
    fn tests_do_not_sleep() {
        let sleep = "async fn a() { tokio::time::sleep(b).await; }\n";
        check("crates/engine/tests/it/a.rs", sleep, &["no-sleeping:2"]);
        check("crates/engine/src/a.rs", sleep, &[]);
        check(
            "crates/engine/src/a.rs",
            &format!("#[cfg(test)]\nmod tests {{\n{sleep}}}\n"),
            &["no-sleeping:4"],
        );
        check(
            "crates/engine/tests/it/a.rs",
            "fn a() { thread::sleep(b) } // sleep: the peer stalls\n",
            &[],
        );
        check(
            "crates/engine/tests/it/a.rs",
            "// sleep: the peer stalls\nfn a() { thread::sleep(b) }\n",
            &[],
        );
        check(
            "crates/engine/tests/it/a.rs",
            "fn sleep() { oversleep(1); }\n",
            &[],
        );
    }
}
