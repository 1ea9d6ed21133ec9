//! Runs cargo and hears what it prints. Must never go through a shell: arguments are passed as they are.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, bail};

/// One call of cargo, in the workspace's folder.
pub(crate) struct Cargo {
    command: Command,
    shown: String,
}

/// What a call left: whether it succeeded, and the lines that the caller asked to keep.
pub(crate) struct Heard<T> {
    pub(crate) succeeded: bool,
    pub(crate) kept: Vec<T>,
}

// === impl Cargo ===

impl Cargo {
    pub(crate) fn new<'a>(root: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let arguments: Vec<&str> = arguments.into_iter().collect();
        let mut command = Command::new(program);
        command.current_dir(root).args(&arguments);
        // Set for this program by the cargo that runs it, and none of the next cargo's business.
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(is_set_for_one_package) {
                command.env_remove(name);
            }
        }
        Self {
            command,
            shown: format!("cargo {}", arguments.join(" ")),
        }
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs with the caller's own output; anything but success is an error.
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        let status = self
            .command
            .status()
            .with_context(|| format!("cannot run {}", self.shown))?;
        if !status.success() {
            bail!("`{}` ended with {status}", self.shown);
        }
        Ok(())
    }

    /// Whether it succeeds, with its output thrown away.
    pub(crate) fn succeeds(mut self) -> bool {
        let quiet = self
            .command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    }

    /// Runs, passing every line on as it comes, and keeps what `pick` makes of the lines.
    pub(crate) fn hear<T: Send>(
        mut self,
        pick: impl Fn(&str) -> Option<T> + Sync,
    ) -> anyhow::Result<Heard<T>> {
        let context = || format!("cannot run {}", self.shown);
        let piped = self
            .command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = piped.spawn().with_context(context)?;
        let stdout = child.stdout.take().with_context(context)?;
        let stderr = child.stderr.take().with_context(context)?;
        let (out, err) = thread::scope(|scope| {
            let out = scope.spawn(|| pass_on(stdout, &pick, |line| println!("{line}")));
            let err = scope.spawn(|| pass_on(stderr, &pick, |line| eprintln!("{line}")));
            (out.join(), err.join())
        });
        let status = child.wait().with_context(context)?;
        let (Ok(out), Ok(err)) = (out, err) else {
            bail!(
                "the output of `{}` could not be read to its end",
                self.shown
            );
        };
        let mut kept = out?;
        kept.extend(err?);
        Ok(Heard {
            succeeded: status.success(),
            kept,
        })
    }
}

fn is_set_for_one_package(name: &str) -> bool {
    name.starts_with("CARGO_PKG_")
        || name.starts_with("CARGO_MANIFEST_")
        || matches!(
            name,
            "CARGO_BIN_NAME" | "CARGO_CRATE_NAME" | "CARGO_PRIMARY_PACKAGE"
        )
}

/// Lossy on purpose: a test may print any bytes.
fn pass_on<T>(
    stream: impl io::Read,
    pick: impl Fn(&str) -> Option<T>,
    show: impl Fn(&str),
) -> io::Result<Vec<T>> {
    let mut kept = Vec::new();
    for line in BufReader::new(stream).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        show(&line);
        kept.extend(pick(&line));
    }
    Ok(kept)
}
