//! The server as a process of its own, on a folder of its own. It is ended by its process id, at the
//! latest when this is dropped.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use http::StatusCode;
use tempfile::TempDir;

use crate::api_client::{ApiClient, Whereabouts};
use crate::wait::until_within;

/// Between finding a free port and listening on it somebody else can take it; seldom twice.
const STARTS_MAX: usize = 4;
/// A start that takes longer has failed.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// A graceful stop that takes longer has failed: well above the server's own bound.
const STOPPED_WITHIN: Duration = Duration::from_secs(60);
/// How much of the log is quoted when something fails.
const LOG_BYTES_QUOTED: usize = 4000;

/// A server's process.
#[derive(Debug)]
pub struct ServerProcess {
    binary: PathBuf,
    settings: Vec<String>,
    disk: Disk,
    folder: TempDir,
    child: Option<Child>,
    whereabouts: Whereabouts,
    admin_address: SocketAddr,
}

/// What the data folder is on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Disk {
    /// What temporary folders are on.
    Usual,
    /// A file system in memory of this many MiB, for this process alone. It is gone when the process
    /// ends, and [`Disk::can_be_small`] says whether it can be had.
    Small(u32),
}

// === impl Disk ===

impl Disk {
    /// Whether a process can be given a small disk: that takes root, or what is as good.
    pub fn can_be_small() -> bool {
        let tried = Command::new("unshare").args(["-m", "true"]).output();
        tried.is_ok_and(|tried| tried.status.success())
    }
}

// === impl ServerProcess ===

impl ServerProcess {
    /// Starts `binary` on an empty data folder and waits until it is ready. Each setting is a
    /// `--set key=value`.
    pub async fn start(binary: &Path, settings: Vec<String>, disk: Disk) -> anyhow::Result<Self> {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut server = Self {
            binary: binary.to_owned(),
            settings,
            disk,
            folder: tempfile::Builder::new()
                .prefix("hookseal-test-")
                .tempdir()?,
            child: None,
            whereabouts: Whereabouts::new(nowhere),
            admin_address: nowhere,
        };
        server.start_again().await?;
        Ok(server)
    }

    /// Starts it on the same data folder, on other ports, and waits until it is ready.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(self.child.is_none(), "the server is running already");
        for _ in 0..STARTS_MAX {
            let log_bytes_before = self.log().len();
            self.spawn()?;
            match self.until_ready().await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    let log = self.log();
                    let new = log.get(log_bytes_before..).unwrap_or_default();
                    self.kill()?;
                    if !new.contains("in use") {
                        return Err(error);
                    }
                }
            }
        }
        anyhow::bail!("every port was taken, {STARTS_MAX} times");
    }

    /// `kill -9`: it has no time to do anything.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Asks it to stop (SIGTERM); nothing is awaited.
    pub fn ask_to_stop(&self) -> anyhow::Result<()> {
        let pid = self.pid()?.to_string();
        let script = r#"kill -TERM "$1""#;
        let status = Command::new("sh")
            .args(["-c", script, "sh", &pid])
            .status()?;
        anyhow::ensure!(status.success(), "cannot send SIGTERM to {pid}");
        Ok(())
    }

    /// Asks it to stop and waits until it has.
    pub async fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        self.ask_to_stop()?;
        let stopped = self.stopped().await;
        stopped.with_context(|| format!("its log:\n{}", self.log_end()))
    }

    /// Waits until it has ended by itself.
    pub async fn stopped(&mut self) -> anyhow::Result<ExitStatus> {
        let child = self.child.as_mut().context("the server is not running")?;
        let ended = async || Ok(child.try_wait()?);
        let status = until_within(STOPPED_WITHIN, "the server stops", ended).await?;
        self.child = None;
        Ok(status)
    }

    /// Its process id.
    pub fn pid(&self) -> anyhow::Result<u32> {
        let child = self.child.as_ref().context("the server is not running")?;
        Ok(child.id())
    }

    /// Where it listens; follows restarts.
    pub fn whereabouts(&self) -> Whereabouts {
        self.whereabouts.clone()
    }

    /// Where its metrics are.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Its data folder, as it can be reached from here.
    pub fn data_dir(&self) -> PathBuf {
        let path = self.folder.path().join("data");
        match (self.disk, &self.child) {
            (Disk::Small(_), Some(child)) => {
                let seen_by_it = PathBuf::from(format!("/proc/{}/root", child.id()));
                seen_by_it.join(path.strip_prefix("/").unwrap_or(&path))
            }
            _ => path,
        }
    }

    /// All it logged so far, over all starts.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// The end of its log, for a message.
    pub fn log_end(&self) -> String {
        let log = self.log();
        let start = log.ceil_char_boundary(log.len().saturating_sub(LOG_BYTES_QUOTED));
        log.get(start..).unwrap_or_default().to_owned()
    }

    /// A token for everything in an organisation, or for one of its applications.
    pub fn token(&self, org: &str, app: Option<&str>) -> anyhow::Result<String> {
        let mut command = unconfigured(&self.binary);
        command
            .args(["token", "--org", org, "--data-dir"])
            .arg(self.data_dir());
        if let Some(app) = app {
            command.args(["--app", app]);
        }
        let output = command.output()?;
        anyhow::ensure!(
            output.status.success(),
            "`hookseal token` ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// The most memory it ever had at once, in bytes, as Linux counts it (`VmHWM`).
    pub fn memory_peak_bytes(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line
            .context("no VmHWM in /proc")?
            .trim()
            .trim_end_matches(" kB");
        Ok(kibibytes.parse::<u64>()? * 1024)
    }

    fn spawn(&mut self) -> anyhow::Result<()> {
        let [listen, admin_listen] = free_addresses()?;
        let data = self.folder.path().join("data");
        let mut command = match self.disk {
            Disk::Usual => unconfigured(&self.binary),
            Disk::Small(mib) => {
                let mut command = unconfigured(Path::new("unshare"));
                let script = r#"mkdir -p "$2" && mount -t tmpfs -o "size=$1m,mode=700" tmpfs "$2" && shift 2 && exec "$@""#;
                command.args(["-m", "sh", "-c", script, "sh", &mib.to_string()]);
                command.arg(&data).arg(&self.binary);
                command
            }
        };
        command
            .args(["serve", "--listen", &listen.to_string()])
            .args(["--admin-listen", &admin_listen.to_string()])
            .arg("--data-dir")
            .arg(data);
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        let log: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.binary.display()))?;
        self.child = Some(child);
        self.whereabouts.moved_to(listen);
        self.admin_address = admin_listen;
        Ok(())
    }

    async fn until_ready(&mut self) -> anyhow::Result<()> {
        let client = ApiClient::new(self.whereabouts.clone(), None);
        let log_path = self.log_path();
        let child = self.child.as_mut().context("the server is not running")?;
        let ready = until_within(READY_WITHIN, "the server is ready", async || {
            if let Some(status) = child.try_wait()? {
                anyhow::bail!("the server ended with {status}");
            }
            let answer = client.get("/api/v1/health/ping").await;
            let is_ready = answer.is_ok_and(|answer| answer.status == StatusCode::NO_CONTENT);
            Ok(is_ready.then_some(()))
        });
        let ready = ready.await;
        ready.with_context(|| format!("{}:\n{}", log_path.display(), self.log_end()))
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Test runners show it where a test failed.
        eprintln!("the server's log ends with:\n{}", self.log_end());
        // Its folder goes with it, so there is nothing to save; it may have ended already.
        let _ = self.kill();
    }
}

/// A command that whoever runs the tests has not configured by the environment.
fn unconfigured(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HOOKSEAL_") {
            command.env_remove(name);
        }
    }
    command
}

/// Two addresses that were free a moment ago.
fn free_addresses() -> anyhow::Result<[SocketAddr; 2]> {
    let listeners = [
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?,
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?,
    ];
    let [first, second] = listeners;
    Ok([first.local_addr()?, second.local_addr()?])
}
