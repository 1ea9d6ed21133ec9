//! A program with others' libraries, which judges deliveries or drives the API. It is installed once, below the target folder, and never
//! looked for anywhere else.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use hookseal_testkit::wait::until_within;
use serde_json::Value;

/// Installing takes less, even with a slow network.
const RUN_WITHIN: Duration = Duration::from_secs(280);

/// Whether a peer can be had on this machine.
pub(crate) enum Peer {
    /// How to start it.
    Ready(Command),
    /// It can't be had, and why.
    Missing(String),
}

/// Where a peer's parts are, and where it is installed.
struct Place {
    sources: PathBuf,
    installed: PathBuf,
    /// Held while it is being installed, so that two runs of the tests do not do it at once.
    _lock: File,
}

// === impl Peer ===

impl Peer {
    /// A script of `python/`, with its libraries from PyPI in an environment of its own.
    pub(crate) async fn python(script: &str) -> anyhow::Result<Self> {
        Self::python_of("python", script).await
    }

    /// The same of another folder, whose libraries don't go with those.
    pub(crate) async fn python_of(folder: &str, script: &str) -> anyhow::Result<Self> {
        if let Err(error) = run(
            Command::new("python3").args(["-c", "import ensurepip, venv"]),
            "",
        )
        .await
        {
            return Ok(Self::Missing(format!("no python3 with venv: {error:#}")));
        }
        let place = Place::of(folder)?;
        let wanted = place.sources.join("requirements.txt");
        if !place.has_installed(&wanted)? {
            let fresh = place.emptied()?;
            run(Command::new("python3").args(["-m", "venv"]).arg(fresh), "").await?;
            let mut install = Command::new(fresh.join("bin/python"));
            install.args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--requirement",
            ]);
            if let Err(error) = run(install.arg(&wanted), "").await {
                return Ok(Self::Missing(format!("{error:#}")));
            }
            place.note_installed(&wanted)?;
        }
        let mut python = Command::new(place.installed.join("bin/python"));
        python.arg("-B").arg(place.sources.join(script));
        Ok(Self::Ready(python))
    }

    /// A script of `node/`, with its libraries from npm.
    pub(crate) async fn node(script: &str) -> anyhow::Result<Self> {
        for tool in ["node", "npm"] {
            if let Err(error) = run(Command::new(tool).arg("--version"), "").await {
                return Ok(Self::Missing(format!("no {tool}: {error:#}")));
            }
        }
        let place = Place::of("node")?;
        let wanted = place.sources.join("package-lock.json");
        let installed = &place.installed;
        if !place.has_installed(&wanted)? {
            place.emptied()?;
            for file in ["package.json", "package-lock.json"] {
                std::fs::copy(place.sources.join(file), installed.join(file))?;
            }
            let mut install = Command::new("npm");
            install.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
            if let Err(error) = run(install.current_dir(installed), "").await {
                return Ok(Self::Missing(format!("{error:#}")));
            }
            place.note_installed(&wanted)?;
        }
        // Node looks for libraries beside the script.
        let installed_script = installed.join(script);
        std::fs::copy(place.sources.join(script), &installed_script)?;
        let mut node = Command::new("node");
        node.arg(installed_script);
        Ok(Self::Ready(node))
    }

    /// A program of `rust/`, with its libraries from crates.io.
    pub(crate) async fn rust(program: &str) -> anyhow::Result<Self> {
        let place = Place::of("rust")?;
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--locked", "--manifest-path"]);
        build.arg(place.sources.join("Cargo.toml"));
        build.arg("--target-dir").arg(&place.installed);
        if let Err(error) = run(&mut build, "").await {
            return Ok(Self::Missing(format!("{error:#}")));
        }
        let program = place.installed.join("debug").join(program);
        Ok(Self::Ready(Command::new(program)))
    }

    /// Starts it with `input` and returns what it says, or says that the test is skipped and returns `None`. In CI
    /// nothing is skipped.
    pub(crate) async fn ask(self, what: &str, input: &Value) -> anyhow::Result<Option<String>> {
        match self {
            Self::Ready(mut command) => run(&mut command, &input.to_string()).await.map(Some),
            Self::Missing(why) => {
                anyhow::ensure!(std::env::var_os("CI").is_none(), "{what}: {why}");
                println!("SKIPPED {what}: {}", why.replace('\n', " "));
                Ok(None)
            }
        }
    }
}

// === impl Place ===

impl Place {
    fn of(language: &str) -> anyhow::Result<Self> {
        let interop = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop");
        std::fs::create_dir_all(&interop)?;
        let lock = File::create(interop.join(format!("{language}.lock")))?;
        lock.lock()?;
        Ok(Self {
            sources: Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/interop")
                .join(language),
            installed: interop.join(language),
            _lock: lock,
        })
    }

    /// Whether what is installed is what `wanted` says.
    fn has_installed(&self, wanted: &Path) -> anyhow::Result<bool> {
        let noted = std::fs::read(self.installed.join("installed"));
        Ok(noted.is_ok_and(|noted| std::fs::read(wanted).is_ok_and(|wanted| wanted == noted)))
    }

    fn note_installed(&self, wanted: &Path) -> anyhow::Result<()> {
        std::fs::copy(wanted, self.installed.join("installed"))?;
        Ok(())
    }

    fn emptied(&self) -> anyhow::Result<&Path> {
        if self.installed.exists() {
            std::fs::remove_dir_all(&self.installed)?;
        }
        std::fs::create_dir_all(&self.installed)?;
        Ok(&self.installed)
    }
}

/// Runs a command to its end with `input` as standard input; returns its standard output.
async fn run(command: &mut Command, input: &str) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    File::create(path("in"))?.write_all(input.as_bytes())?;
    let mut child = command
        .stdin(File::open(path("in"))?)
        .stdout(Stdio::from(File::create(path("out"))?))
        .stderr(Stdio::from(File::create(path("err"))?))
        .spawn()?;
    let ended = until_within(RUN_WITHIN, "the command ends", async || {
        Ok(child.try_wait()?)
    })
    .await;
    if ended.is_err() {
        child.kill()?;
        child.wait()?;
    }
    let told = std::fs::read_to_string(path("err")).unwrap_or_default();
    let ended: ExitStatus = ended.with_context(|| format!("{command:?}: {told}"))?;
    anyhow::ensure!(ended.success(), "{command:?} ended with {ended}: {told}");
    Ok(std::fs::read_to_string(path("out"))?)
}
