//! `cargo xtask test`: what must hold before a commit is shared, step by step. The same for a stranger and for CI, so
//! it must never need a tool that Rust does not bring: what is missing is skipped and said, except in CI.

use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::command::Cargo;
use crate::snapshots::References;
use crate::tally::{Line, Runner, Tally, skip_reason};
use crate::tidy;

/// Where nextest writes what every test printed (`.config/nextest.toml`).
const NEXTEST_REPORT: &str = "target/nextest/default/junit.xml";

/// A run of all steps.
struct Gate<'a> {
    root: &'a Path,
    in_ci: bool,
    tally: Tally,
    skips: Vec<String>,
}

/// The end of a step that did not fail.
enum Done {
    Held,
    Skipped,
}

type Step<'a> = fn(&mut Gate<'a>) -> anyhow::Result<Done>;

/// Runs all steps up to the first that fails; the last line printed counts the tests.
pub(crate) fn run(root: &Path) -> anyhow::Result<ExitCode> {
    let in_ci = env::var("CI").is_ok_and(|value| value == "true");
    let mut gate = Gate {
        root,
        in_ci,
        tally: Tally::default(),
        skips: Vec::new(),
    };
    let started = Instant::now();
    let failed = gate.first_failure();
    for reason in &gate.skips {
        println!("skipped test: {reason}");
    }
    println!("== all: {}", seconds(started.elapsed()));
    if failed.is_some() && gate.tally.failed == 0 {
        // The step counts as what failed where no test did.
        gate.tally.failed = 1;
    }
    println!("{}", gate.tally);
    Ok(if failed.is_some() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

// === impl Gate ===

impl<'a> Gate<'a> {
    /// The name of the step that failed, if one did.
    fn first_failure(&mut self) -> Option<&'static str> {
        let steps: [(&str, Step<'a>); 7] = [
            ("format", Self::format),
            ("tidy", Self::tidy),
            ("lints", Self::lints),
            ("dependencies", Self::dependencies),
            ("docs", Self::docs),
            ("tests", Self::tests),
            ("examples in docs", Self::doc_tests),
        ];
        for (name, step) in steps {
            println!("== {name}");
            let started = Instant::now();
            let end = match step(self) {
                Ok(Done::Held) => "held",
                Ok(Done::Skipped) => "skipped",
                Err(error) => {
                    eprintln!("error: {error:#}");
                    "FAILED"
                }
            };
            println!("== {name}: {end} ({})", seconds(started.elapsed()));
            if end == "FAILED" {
                return Some(name);
            }
        }
        None
    }

    fn cargo<'b>(&self, arguments: impl IntoIterator<Item = &'b str>) -> Cargo {
        Cargo::new(self.root, arguments)
    }

    fn format(&mut self) -> anyhow::Result<Done> {
        self.cargo(["fmt", "--all", "--check"]).run()?;
        Ok(Done::Held)
    }

    fn tidy(&mut self) -> anyhow::Result<Done> {
        if tidy::run(self.root)? != ExitCode::SUCCESS {
            bail!("the tree is not tidy");
        }
        Ok(Done::Held)
    }

    fn lints(&mut self) -> anyhow::Result<Done> {
        let clippy = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ];
        self.cargo(clippy).run()?;
        Ok(Done::Held)
    }

    fn dependencies(&mut self) -> anyhow::Result<Done> {
        if !self.cargo(["deny", "--version"]).succeeds() {
            if self.in_ci {
                bail!("cargo-deny is missing, and CI does not go on without it");
            }
            println!("cargo-deny is not installed: `cargo install cargo-deny --locked`");
            return Ok(Done::Skipped);
        }
        let deny = ["deny", "check", "--hide-inclusion-graph"];
        self.cargo(deny.into_iter().chain(["bans", "licenses", "sources"]))
            .run()?;
        if self.cargo(["deny", "fetch", "db"]).succeeds() {
            self.cargo(deny.into_iter().chain(["--disable-fetch", "advisories"]))
                .run()?;
        } else {
            println!("advisories were not checked: their database cannot be reached");
        }
        Ok(Done::Held)
    }

    fn docs(&mut self) -> anyhow::Result<Done> {
        let docs = self.cargo(["doc", "--workspace", "--no-deps"]);
        docs.env("RUSTDOCFLAGS", "-D warnings").run()?;
        Ok(Done::Held)
    }

    fn tests(&mut self) -> anyhow::Result<Done> {
        let references = References::start(self.root)?;
        let (runner, tests) = if self.cargo(["nextest", "--version"]).succeeds() {
            remove_report(self.root)?;
            (
                Runner::Nextest,
                self.cargo(["nextest", "run", "--workspace"]),
            )
        } else {
            println!(
                "cargo-nextest is not installed: tests run with `cargo test`, which is slower"
            );
            let tests = [
                "test",
                "--workspace",
                "--lib",
                "--bins",
                "--tests",
                "--no-fail-fast",
            ];
            (
                Runner::Cargo,
                self.cargo(tests.into_iter().chain(["--", "--show-output"])),
            )
        };
        // A snapshot that differs fails; it is looked at, and accepted by hand.
        let tests = tests.env("INSTA_UPDATE", "no");
        let tests = tests.env("INSTA_SNAPSHOT_REFERENCES_FILE", references.file());
        self.count(runner, tests)?;
        references.check(self.root)?;
        Ok(Done::Held)
    }

    /// nextest does not run the examples in documentation; both ways this step does.
    fn doc_tests(&mut self) -> anyhow::Result<Done> {
        let examples = self.cargo(["test", "--workspace", "--doc"]);
        self.count(Runner::Cargo, examples)?;
        Ok(Done::Held)
    }

    fn count(&mut self, runner: Runner, tests: Cargo) -> anyhow::Result<()> {
        let heard = tests.hear(|line| runner.read(line))?;
        let mut counts = Tally::default();
        let mut skips = Vec::new();
        for line in heard.kept {
            match line {
                Line::Counts(more) => counts += more,
                Line::Skip(reason) => skips.push(reason),
            }
        }
        if runner == Runner::Nextest {
            skips = reported_skips(self.root)?;
        }
        counts.move_to_skipped(skips.len());
        self.tally += counts;
        self.skips.extend(skips);
        if !heard.succeeded {
            bail!("tests failed, or could not be built");
        }
        Ok(())
    }
}

/// An old report would count again.
fn remove_report(root: &Path) -> anyhow::Result<()> {
    match fs::remove_file(root.join(NEXTEST_REPORT)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).context("cannot remove the last report of nextest")
        }
        _ => Ok(()),
    }
}

/// nextest shows what a passing test printed only in its report, which is missing where nothing could be built.
fn reported_skips(root: &Path) -> anyhow::Result<Vec<String>> {
    match fs::read_to_string(root.join(NEXTEST_REPORT)) {
        Ok(report) => Ok(report
            .lines()
            .filter_map(skip_reason)
            .map(str::to_owned)
            .collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).context("cannot read the report of nextest"),
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
