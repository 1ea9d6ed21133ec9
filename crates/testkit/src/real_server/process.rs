//! A process and those that it starts, in a group of their own, which ends when this is dropped.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::TcpStream;

use crate::wait::until;

/// A running server.
pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

// === impl Process ===

impl Process {
    /// Starts `command` in `folder`; what it says goes to a file there.
    pub(super) fn start(command: &mut Command, folder: &Path, log: &str) -> anyhow::Result<Self> {
        let log = folder.join(log);
        let file = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?);
        Self::spawn(command.stderr(file), folder, log)
    }

    /// Starts `command` with pipes to its input and from its output.
    pub(super) fn start_piped(
        command: &mut Command,
        folder: &Path,
        log: &str,
    ) -> anyhow::Result<Self> {
        let log = folder.join(log);
        let file = File::create(&log)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self::spawn(command.stderr(file), folder, log)
    }

    fn spawn(command: &mut Command, folder: &Path, log: PathBuf) -> anyhow::Result<Self> {
        let child = command
            .current_dir(folder)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self { child, log })
    }

    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// What it said so far.
    pub(super) fn log(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Fails if it has ended.
    pub(super) fn still_runs(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => anyhow::bail!("it ended with {status}: {}", self.log()),
            None => Ok(()),
        }
    }

    /// Waits until it takes connections.
    pub(super) async fn until_listening(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        until("it listens", async || {
            let connected = TcpStream::connect(address).await;
            // In this order: whoever else took the port in between makes it end.
            self.still_runs()?;
            Ok(connected.ok().map(drop))
        })
        .await
        .with_context(|| self.log())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            // It may have ended already.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}
