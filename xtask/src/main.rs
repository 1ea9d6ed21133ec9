//! The project's chores: `cargo xtask <chore>`. Builds nothing that ships; must never be needed at run time.

mod bench;
mod command;
mod gate;
mod limbo;
mod snapshots;
mod tally;
mod tidy;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::command::Cargo;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's chores")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Everything that must hold before a commit is shared: format, tidy, lints, dependencies, docs, tests.
    Test,
    /// The rules about the tree that no compiler checks.
    Tidy,
    /// Writes the generated files: openapi.json, config.default.toml, docs/reference.
    Gen,
    /// The benchmark, in release; what follows is handed to it.
    Bench {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Judges the cases of a file in the format of C2SP/x509-limbo, and says where we disagree with it.
    Limbo { file: PathBuf },
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    let root = workspace_root()?;
    match &cli.chore {
        Chore::Test => gate::run(&root),
        Chore::Tidy => tidy::run(&root),
        Chore::Gen => {
            Cargo::new(
                &root,
                [
                    "run",
                    "--package",
                    "hookseal",
                    "--",
                    "generate",
                    "--dir",
                    ".",
                ],
            )
            .run()?;
            Ok(ExitCode::SUCCESS)
        }
        Chore::Bench { arguments } => bench::run(&root, arguments),
        Chore::Limbo { file } => limbo::run(file),
    }
}

/// The folder above this crate: chores work the same from any folder of the project.
fn workspace_root() -> anyhow::Result<PathBuf> {
    let here = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent()
        .map(Path::to_path_buf)
        .context("xtask lies inside the workspace")
}
