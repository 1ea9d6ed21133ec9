//! Programs of others that tests start or call.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use hookseal_testkit::wait::until;
use tokio::net::{TcpListener, TcpStream};

/// A running program; ends when dropped.
pub(crate) struct Running(Child);

/// Whether the program is there. Without it the test is skipped, which is said, and is an error in
/// CI.
pub(crate) fn is_there(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null());
    let ran = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    match ran {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            skip(&format!("{program} is not installed"));
            false
        }
        ran => {
            ran.unwrap();
            true
        }
    }
}

/// Says that a test is skipped; an error in CI.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    eprintln!("SKIPPED {why}");
}

/// Runs a program to its end, which must be a success.
pub(crate) fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// An address that is free, as far as anybody can tell.
pub(crate) async fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    listener.local_addr().unwrap()
}

impl Running {
    /// Starts a program that listens at `address`, and waits until it does.
    pub(crate) async fn start(command: &mut Command, folder: &Path, address: SocketAddr) -> Self {
        let log = std::fs::File::create(folder.join("log")).unwrap();
        command.current_dir(folder).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let mut running = Self(command.spawn().unwrap());
        until("it listens", async || {
            let connected = TcpStream::connect(address).await;
            let ended = running.0.try_wait()?;
            assert!(
                ended.is_none(),
                "{}",
                std::fs::read_to_string(folder.join("log"))?
            );
            Ok(connected.ok().map(drop))
        })
        .await
        .unwrap();
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}
