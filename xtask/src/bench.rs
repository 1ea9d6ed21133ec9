//! Runs the benchmark against a release build of the server. Must never build both with one call: the server measured
//! is the one that ships, with its own features only.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use crate::command::Cargo;

/// By which cargo marks its target folder.
const TARGET_MARK: &str = "CACHEDIR.TAG";

pub(crate) fn run(root: &Path, arguments: &[String]) -> anyhow::Result<ExitCode> {
    Cargo::new(root, ["build", "--release", "--package", "hookseal"]).run()?;
    let server = target_folder()?.join("release").join("hookseal");
    let server = server
        .to_str()
        .context("the target folder's path is not UTF-8")?;
    let own = [
        "run",
        "--release",
        "--package",
        "hookseal-bench",
        "--",
        "run",
        "--hookseal",
        server,
    ];
    let handed = arguments.iter().map(String::as_str);
    Cargo::new(root, own.into_iter().chain(handed)).run()?;
    Ok(ExitCode::SUCCESS)
}

/// Where cargo built this very program, which is where it builds the others: however that folder was chosen.
fn target_folder() -> anyhow::Result<PathBuf> {
    let program = env::current_exe().context("cannot find this program's own file")?;
    let folder = program
        .ancestors()
        .find(|folder| folder.join(TARGET_MARK).exists());
    folder
        .map(Path::to_path_buf)
        .context("this program does not lie in a target folder of cargo")
}
