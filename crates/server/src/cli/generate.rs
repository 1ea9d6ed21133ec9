//! `hookseal generate`: the files that are made from the code, so that they can't say anything
//! else. For `cargo xtask gen`, and for the test that compares them.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use hookseal_domain::delivery::outcome::{Again, Fault};
use hookseal_domain::transport::failure::TlsFailure;

use crate::api;
use crate::config::reference;

/// Write the files that are generated from the code.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The project's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,

    /// Only compare; ends with code 1 if a file is not up to date
    #[arg(long)]
    check: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut stale = Vec::new();
    for (name, text) in files() {
        let path = args.dir.join(name);
        if fs::read_to_string(&path).is_ok_and(|found| found == text) {
            continue;
        }
        if args.check {
            stale.push(name);
            continue;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        println!("wrote {name}");
    }
    if stale.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "not up to date, run `cargo xtask gen`: {}",
        stale.join(", ")
    );
    Ok(ExitCode::FAILURE)
}

/// Each file below the project's folder, with what belongs in it.
fn files() -> [(&'static str, String); 5] {
    [
        ("openapi.json", api::openapi_json()),
        ("config.default.toml", reference::default_toml()),
        ("docs/reference/configuration.md", reference::markdown()),
        ("docs/reference/errors.md", api::errors_markdown()),
        ("docs/reference/tls-failures.md", tls_failures_markdown()),
    ]
}

/// Every way in which TLS with a receiver fails.
fn tls_failures_markdown() -> String {
    let mut text = "# TLS failures\n\nGenerated from the code by `cargo xtask gen`.\n\nWhat \
        `tlsFailure` of an attempt and the metric `hookseal_tls_failures` say. *Again* tells how \
        soon another attempt makes sense: soon, by the schedule; or later, at its long steps, \
        since a person has to mend something first.\n\n\
        | Code | Fault | Again | What to do |\n| --- | --- | --- | --- |\n"
        .to_owned();
    for failure in TlsFailure::ALL {
        let fault = match failure.fault() {
            Fault::Receiver => "receiver",
            Fault::Us => "us",
            Fault::Network => "network",
        };
        let again = match failure.again() {
            Again::Soon => "soon",
            Again::Later => "later",
            Again::Never => "never",
        };
        let (code, advice) = (failure.as_str(), failure.advice());
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "| `{code}` | {fault} | {again} | {advice} |");
    }
    text
}
