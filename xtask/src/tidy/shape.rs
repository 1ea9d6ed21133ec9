//! The shape of a Rust file: its head, its name, its length, and tests that are left out.

use crate::tidy::rust_source::RustSource;
use crate::tidy::{Finding, Rule};

/// What a file should not pass, and what it must not, without its tests (house style 1).
const LINES_WANTED_MAX: usize = 400;
const LINES_ALLOWED_MAX: usize = 500;

static HEAD: Rule = Rule {
    name: "head",
    reason: "the first line of every Rust file is `//!`: what the file is and what it must never do",
};
static NO_MOD_RS: Rule = Rule {
    name: "no-mod-rs",
    reason: "a module is foo.rs beside foo/: a dozen tabs called mod.rs tell nothing",
};
static LENGTH: Rule = Rule {
    name: "length",
    reason: "a file is one noun, at most 400 lines without tests (500 is an error): find the second noun",
};
static EVERY_TEST_RUNS: Rule = Rule {
    name: "every-test-runs",
    reason: "a test that is not run, or that any panic satisfies, holds nothing: assert what happens now",
};

pub(super) fn check(source: &RustSource<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !source
        .lines
        .first()
        .is_some_and(|line| line.raw.starts_with("//!"))
    {
        findings.push(Finding::error(&HEAD, 1, "does not begin with `//!`"));
    }
    if source.path.ends_with("/mod.rs") {
        findings.push(Finding::error(&NO_MOD_RS, 1, "is called mod.rs"));
    }
    findings.extend(length(source));
    for (line_number, line) in source.numbered() {
        let code = line.code.trim_start();
        if code.starts_with("#[ignore") || code.contains("should_panic") {
            findings.push(Finding::error(
                &EVERY_TEST_RUNS,
                line_number,
                line.raw.trim(),
            ));
        }
    }
    findings
}

fn length(source: &RustSource<'_>) -> Option<Finding> {
    let lines = source.lines_before_tests;
    if source.is_test_file() || lines <= LINES_WANTED_MAX {
        return None;
    }
    let what = format!("{lines} lines without tests");
    Some(if lines <= LINES_ALLOWED_MAX {
        Finding::warning(&LENGTH, lines, what)
    } else {
        Finding::error(&LENGTH, lines, what)
    })
}

#[cfg(test)]
mod tests {
    use crate::tidy::File;
    use crate::tidy::broken;
    use crate::tidy::findings;

    const PATH: &str = "crates/store/src/row.rs";

    #[test]
    fn a_file_says_what_it_is() {
        assert_eq!(broken(PATH, "//! A row.\n"), [""; 0]);
        assert_eq!(broken(PATH, "\n//! A row.\n"), ["head:1"]);
        assert_eq!(
            broken("crates/store/build.rs", "fn main() {}\n"),
            ["head:1"]
        );
        assert_eq!(broken("crates/store/src/row.sql", "select 1;\n"), [""; 0]);
    }

    #[test]
    fn no_file_is_called_mod() {
        assert_eq!(
            broken("crates/store/src/row/mod.rs", "//! A row.\n"),
            ["no-mod-rs:1"]
        );
    }

    #[test]
    fn a_file_has_an_end() {
        let of = |lines: usize| format!("//! A row.\n{}", "fn a() {}\n".repeat(lines - 1));
        assert_eq!(broken(PATH, &of(500)), [""; 0]);
        assert_eq!(broken(PATH, &of(501)), ["length:501"]);
        assert_eq!(broken("crates/store/tests/it/row.rs", &of(501)), [""; 0]);
        let tested = format!(
            "{}#[cfg(test)]\nmod tests {{\n{}}}\n",
            of(400),
            "fn a() {}\n".repeat(400)
        );
        assert!(
            findings(File {
                path: PATH,
                text: &tested
            })
            .is_empty()
        );
        assert_eq!(
            findings(File {
                path: PATH,
                text: &of(401)
            })
            .len(),
            1,
            "a warning"
        );
    }

    #[test]
    fn no_test_is_left_out() {
        let left_out =
            "//! A row.\n#[test]\n#[ignore = \"slow\"]\nfn a() {}\n#[should_panic]\nfn b() {}\n";
        assert_eq!(
            broken(PATH, left_out),
            ["every-test-runs:3", "every-test-runs:5"]
        );
        assert_eq!(
            broken(PATH, "//! Why #[ignore] and should_panic are out.\n"),
            [""; 0]
        );
    }
}
