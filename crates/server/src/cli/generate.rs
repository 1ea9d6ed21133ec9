//! `hookseal generate`: the files that are made from the code, so that they can't say anything
//! else. For `cargo xtask gen`, and for the test that compares them.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

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
fn files() -> [(&'static str, String); 4] {
    [
        ("openapi.json", api::openapi_json()),
        ("config.default.toml", reference::default_toml()),
        ("docs/reference/configuration.md", reference::markdown()),
        ("docs/reference/errors.md", api::errors_markdown()),
    ]
}
