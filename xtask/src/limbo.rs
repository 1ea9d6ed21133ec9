//! Runs the public certificate path validation cases of C2SP/x509-limbo through `pki::verify`. The cases are the
//! caller's file; must never skip one without a reason that is listed here.

mod judge;
mod report;
mod suite;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, bail};
use rustls_pki_types::UnixTime;

use self::report::Report;
use self::suite::Suite;

/// Longest file of cases, in bytes: the public one has 32 million.
const SUITE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Judges every case of a file, and prints where we agree with it and where not. A case without a time of its own is
/// judged at the time at which the file was made.
pub(crate) fn run(file: &Path) -> anyhow::Result<ExitCode> {
    let shown = file.display();
    let metadata = fs::metadata(file).with_context(|| format!("cannot read {shown}"))?;
    if metadata.len() > SUITE_BYTES_MAX {
        bail!(
            "{shown} has {} bytes, more than {SUITE_BYTES_MAX}",
            metadata.len()
        );
    }
    let made = metadata.modified()?.duration_since(UNIX_EPOCH)?;
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let report = judge_all(&text, UnixTime::since_unix_epoch(made))
        .with_context(|| format!("{shown} holds no cases"))?;
    println!("{report}");
    Ok(match report.is_good() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn judge_all(text: &str, now: UnixTime) -> anyhow::Result<Report> {
    let suite: Suite = serde_json::from_str(text)?;
    if suite.version != 1 {
        bail!("version {} of the format is not known; 1 is", suite.version);
    }
    let mut report = Report::default();
    for case in &suite.testcases {
        report.add(case, judge::judge(case, now));
    }
    Ok(report)
}
