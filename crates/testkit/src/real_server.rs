//! Servers that others wrote, as processes of their own: each demands a client certificate and
//! answers every POST with 200.
//!
//! **Invariant:** they listen on free ports of 127.0.0.1, work in a folder of their own, and end
//! when this is dropped, by their process ids.

mod config;
mod openssl;
mod process;
mod software;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::Context;
use hookseal_domain::transport::policy::TlsVersion;
use tempfile::TempDir;

use crate::fake_endpoint::FakeEndpoint;
use crate::real_server::process::Process;
use crate::test_ca::{Leaf, TestCa};
use crate::wait::until;

pub use openssl::OpensslServer;
pub use software::Software;

/// Between finding free ports and listening on them somebody else can take one; seldom twice.
const STARTS_MAX: usize = 4;

/// A server of others. It speaks TLS 1.2 on one port and TLS 1.3 on the other.
pub struct RealServer {
    software: Software,
    addresses: Addresses,
    evidence: Evidence,
    processes: Vec<Process>,
    _folder: TempDir,
}

/// Where one listens.
#[derive(Clone, Copy, Debug)]
struct Addresses {
    tls12: SocketAddr,
    tls13: SocketAddr,
}

/// What tells which requests got through.
enum Evidence {
    /// The server passes them on to this one.
    Backend(FakeEndpoint),
    /// We answer them in the server's name.
    Piped(Vec<OpensslServer>),
    /// The first process writes a line with this for each.
    Log(&'static str),
}

/// What a server is started with.
struct Files {
    folder: PathBuf,
    /// The server's chain, its key, and both in one file.
    chain: PathBuf,
    key: PathBuf,
    both: PathBuf,
    /// The root of the clients.
    clients: PathBuf,
}

// === impl RealServer ===

impl RealServer {
    /// Starts one that shows `leaf` and accepts the clients that the root of `clients` issued, and
    /// waits until it listens. `None` if this machine does not have it.
    pub async fn start(
        software: Software,
        leaf: &Leaf,
        clients: &TestCa,
    ) -> anyhow::Result<Option<Self>> {
        if software.version()?.is_none() {
            return Ok(None);
        }
        let mut last = None;
        for _ in 0..STARTS_MAX {
            match Self::start_once(software, leaf, clients).await {
                Ok(server) => return Ok(Some(server)),
                Err(error) if format!("{error:#}").contains("in use") => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.context("it was not started")?)
    }

    /// What it is.
    pub fn software(&self) -> Software {
        self.software
    }

    /// Where it listens for this version of TLS and no other.
    pub fn address(&self, version: TlsVersion) -> SocketAddr {
        match version {
            TlsVersion::Tls12 => self.addresses.tls12,
            TlsVersion::Tls13 => self.addresses.tls13,
        }
    }

    /// How many requests got through so far.
    pub fn requests(&self) -> usize {
        match &self.evidence {
            Evidence::Backend(backend) => backend.received().len(),
            Evidence::Piped(servers) => servers.iter().map(OpensslServer::requests).sum(),
            Evidence::Log(word) => {
                let log = self.processes.first().map(Process::log).unwrap_or_default();
                log.lines().filter(|line| line.contains(word)).count()
            }
        }
    }

    /// What its processes said, for a message.
    pub fn log(&self) -> String {
        self.processes.iter().map(Process::log).collect()
    }

    async fn start_once(software: Software, leaf: &Leaf, clients: &TestCa) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("hookseal-test-")
            .tempdir()?;
        let files = Files::write(folder.path(), leaf, clients)?;
        let (addresses, evidence, processes) = match software {
            Software::OpensslServer => piped(&files).await?,
            Software::Nginx | Software::Haproxy | Software::Stunnel | Software::Hitch => {
                configured(software, &files).await?
            }
            Software::GnutlsServ
            | Software::Python
            | Software::Node
            | Software::JavaHttpsServer
            | Software::JavaSslServerSocket => scripted(software, &files).await?,
        };
        Ok(Self {
            software,
            addresses,
            evidence,
            processes,
            _folder: folder,
        })
    }
}

type Started = (Addresses, Evidence, Vec<Process>);

/// Reads its configuration from a file and passes requests on.
async fn configured(software: Software, files: &Files) -> anyhow::Result<Started> {
    let backend = FakeEndpoint::plain([200]).await?;
    let addresses = Addresses::free()?;
    let mut command = software.command(files)?;
    std::fs::write(
        files.folder.join("config"),
        software.config(files, addresses, backend.address()),
    )?;
    let mut process = Process::start(&mut command, &files.folder, "log")?;
    for address in [addresses.tls12, addresses.tls13] {
        process.until_listening(address).await?;
    }
    Ok((addresses, Evidence::Backend(backend), vec![process]))
}

/// Chooses its ports itself and says which.
async fn scripted(software: Software, files: &Files) -> anyhow::Result<Started> {
    let mut command = software.command(files)?;
    let mut process = Process::start(&mut command, &files.folder, "log")?;
    let ready = until("a line with READY", async || {
        process.still_runs()?;
        let log = process.log();
        let line = log.lines().find_map(|line| line.strip_prefix("READY "));
        Ok(line.map(str::to_owned))
    })
    .await
    .with_context(|| format!("{}: {}", software.name(), process.log()))?;
    let mut ports = ready.split(' ').map(str::parse);
    let mut next = || anyhow::Ok((Ipv4Addr::LOCALHOST, ports.next().context("no port")??).into());
    let addresses = Addresses {
        tls12: next()?,
        tls13: next()?,
    };
    let evidence = Evidence::Log(software.evidence());
    Ok((addresses, evidence, vec![process]))
}

async fn piped(files: &Files) -> anyhow::Result<Started> {
    let start = async |version: &str| {
        let mut options = vec![version.to_owned(), "-cert".to_owned()];
        options.extend([path(&files.chain), "-key".to_owned(), path(&files.key)]);
        options.extend(["-Verify", "1", "-verify_return_error", "-CAfile"].map(str::to_owned));
        options.push(path(&files.clients));
        OpensslServer::start(&options, &files.folder).await
    };
    let servers = vec![start("-tls1_2").await?, start("-tls1_3").await?];
    let addresses: Vec<_> = servers.iter().map(OpensslServer::address).collect();
    let &[tls12, tls13] = addresses.as_slice() else {
        anyhow::bail!("one for each version");
    };
    let addresses = Addresses { tls12, tls13 };
    Ok((addresses, Evidence::Piped(servers), Vec::new()))
}

// === impl Addresses ===

impl Addresses {
    /// Two that were free a moment ago.
    fn free() -> anyhow::Result<Self> {
        let tls12 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let tls13 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(Self {
            tls12: tls12.local_addr()?,
            tls13: tls13.local_addr()?,
        })
    }
}

// === impl Files ===

impl Files {
    fn write(folder: &Path, leaf: &Leaf, clients: &TestCa) -> anyhow::Result<Self> {
        let own = leaf.write(folder, "server")?;
        let files = Self {
            folder: folder.to_owned(),
            chain: own.chain,
            key: own.key,
            both: folder.join("both.pem"),
            clients: folder.join("clients.pem"),
        };
        std::fs::write(&files.both, leaf.chain_pem() + &leaf.key_pem())?;
        std::fs::write(&files.clients, clients.root_pem())?;
        Ok(files)
    }
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
