//! Reads the tree and names what breaks a rule that no compiler checks. Must never change a file.

mod dependency_cut;
mod imports;
mod purity;
mod rust_source;
mod shape;
mod sql;
mod text;
pub(crate) mod tree;
mod waiting;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::tidy::rust_source::RustSource;

/// A rule of the house, told together with its reason to whoever breaks it.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Rule {
    name: &'static str,
    reason: &'static str,
}

/// One place where a rule is broken.
#[derive(Debug)]
struct Finding {
    rule: &'static Rule,
    line_number: usize,
    what: String,
    weight: Weight,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Weight {
    Error,
    Warning,
}

/// A file of the tree: where it is, below the root and with `/`, and what stands in it.
#[derive(Clone, Copy)]
struct File<'a> {
    path: &'a str,
    text: &'a str,
}

pub(crate) fn run(root: &Path) -> anyhow::Result<ExitCode> {
    let mut broken = BTreeSet::new();
    let mut files = 0_usize;
    for path in tree::files(root).context("cannot read the tree")? {
        let bytes = fs::read(root.join(&path)).with_context(|| format!("cannot read {path}"))?;
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        files += 1;
        for finding in findings(File {
            path: &path,
            text: &text,
        }) {
            let Finding {
                rule,
                line_number,
                what,
                weight,
            } = finding;
            match weight {
                Weight::Warning => println!("warning: {path}:{line_number}: {what}"),
                Weight::Error => {
                    println!("{path}:{line_number}: [{}] {what}", rule.name);
                    broken.insert(rule);
                }
            }
        }
    }
    for rule in &broken {
        println!("\n[{}] {}", rule.name, rule.reason);
    }
    println!("tidy read {files} files");
    Ok(if broken.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn findings(file: File<'_>) -> Vec<Finding> {
    let mut findings = text::check(file);
    if file.path.ends_with(".rs") {
        let source = RustSource::read(file);
        findings.extend(shape::check(&source));
        findings.extend(imports::check(&source));
        findings.extend(purity::check(&source));
        findings.extend(sql::check_source(&source));
        findings.extend(waiting::check(&source));
    }
    if file.path.ends_with(".sql") {
        findings.extend(sql::check_file(file));
    }
    // Below a tests folder lie programs of their own, which are no part of the workspace.
    if file.path.ends_with("Cargo.toml") && !file.path.contains("/tests/") {
        findings.extend(dependency_cut::check(file));
    }
    findings
}

// === impl Finding ===

impl Finding {
    fn error(rule: &'static Rule, line_number: usize, what: impl Into<String>) -> Self {
        Self {
            rule,
            line_number,
            what: what.into(),
            weight: Weight::Error,
        }
    }

    fn warning(rule: &'static Rule, line_number: usize, what: impl Into<String>) -> Self {
        Self {
            rule,
            line_number,
            what: what.into(),
            weight: Weight::Warning,
        }
    }
}

/// What the tests of the rules share: the names and lines of the rules that a sample breaks.
#[cfg(test)]
fn broken(path: &str, text: &str) -> Vec<String> {
    let named = |finding: &Finding| format!("{}:{}", finding.rule.name, finding.line_number);
    let errors = findings(File { path, text });
    errors
        .iter()
        .filter(|finding| finding.weight == Weight::Error)
        .map(named)
        .collect()
}
