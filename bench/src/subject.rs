//! The server under test: started on a fresh data directory, set up through its API, ended by its
//! process id. Nothing is configured but what lets it reach receivers on this machine.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use serde::Deserialize;
use tempfile::TempDir;

use crate::connection::{Connection, Target};
use crate::cores::Division;
use crate::generator::Call;
use crate::procfs::{self, Memory};
use crate::signature;
use crate::tls::Files;

const ORGANISATION: &str = "org_000000000000000000Benchmark";
const READY_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
/// The server has finished starting before its idle memory is read.
const IDLE_AFTER: Duration = Duration::from_secs(1);
/// How much of the server's log is quoted when it fails.
const LOG_BYTES_QUOTED: usize = 2000;

/// How to start the server.
#[derive(Clone, Debug)]
pub(crate) struct Start<'a> {
    /// The binary.
    pub(crate) hookseal: &'a Path,
    /// Where the data directory is made; it should be on a real disk.
    pub(crate) scratch: &'a Path,
    /// Roots that the server must trust to reach TLS receivers.
    pub(crate) extra_roots: Option<&'a Path>,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Subject {
    child: Child,
    log: PathBuf,
    _directory: TempDir,
    address: SocketAddr,
    authorization: HeaderValue,
}

/// What every object of the API has.
#[derive(Debug, Deserialize)]
struct Created {
    id: String,
}

// === impl Subject ===

impl Subject {
    /// Starts the server and waits until it is ready.
    pub(crate) async fn start(start: &Start<'_>, division: &Division) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("hookseal-bench-")
            .tempdir_in(start.scratch)?;
        let data = directory.path().join("data");
        let log = directory.path().join("log");
        let address = free_address()?;
        let output = File::create(&log)?;
        let mut command = serve_command(start, address, &data)?;
        division.as_server()?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {}", start.hookseal.display()))?;
        division.as_load()?;
        // From here on dropping it ends the process.
        let authorization = HeaderValue::from_static("");
        let mut subject = Self {
            child,
            log,
            _directory: directory,
            address,
            authorization,
        };
        subject.until_ready().await?;
        subject.authorization = token(start.hookseal, &data)?;
        Ok(subject)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its API is.
    pub(crate) fn target(&self) -> Target {
        Target::new(self.address, None)
    }

    /// Its memory before it has done anything.
    pub(crate) async fn idle_memory(&self) -> anyhow::Result<Memory> {
        tokio::time::sleep(IDLE_AFTER).await;
        procfs::settle(self.pid()).await?;
        procfs::memory(self.pid())
    }

    /// Creates applications and endpoints, shared out among them; returns the call that publishes to
    /// them in turn. With `seal` each endpoint trusts the private root only, enforces pins and
    /// presents a certificate.
    pub(crate) async fn set_up(
        &self,
        applications: u16,
        urls: &[String],
        seal: Option<&Files>,
    ) -> anyhow::Result<Call> {
        let mut connection = self.target().connect().await?;
        let mut ids = Vec::new();
        for number in 0..applications {
            let uid = format!("benchmark-{number}");
            let application = serde_json::json!({ "name": "Benchmark", "uid": uid });
            let create = self.create(&mut connection, "/api/v1/app", &application);
            ids.push(create.await?);
        }
        for ((number, url), id) in (0_u16..).zip(urls).zip(ids.iter().cycle()) {
            let secret = signature::endpoint_secret(number);
            let endpoint = serde_json::json!({ "url": url, "secret": secret });
            let path = format!("/api/v1/app/{id}/endpoint");
            let endpoint = self.create(&mut connection, &path, &endpoint).await?;
            if let Some(files) = seal {
                self.seal(&mut connection, &format!("{path}/{endpoint}"), files)
                    .await?;
            }
        }
        Ok(Call::Publish {
            paths: ids
                .iter()
                .map(|id| Uri::try_from(format!("/api/v1/app/{id}/msg?with_content=false")))
                .collect::<Result<_, _>>()?,
            host: self.target().host()?,
            authorization: Some(self.authorization.clone()),
        })
    }

    /// The end of the server's log, for an error message.
    pub(crate) fn log_end(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let end = log
            .get(log.len().saturating_sub(LOG_BYTES_QUOTED)..)
            .unwrap_or_default();
        String::from_utf8_lossy(end).into_owned()
    }

    /// Private root, client certificate and two pins, one of them the backup: the root's.
    async fn seal(
        &self,
        connection: &mut Connection,
        endpoint: &str,
        files: &Files,
    ) -> anyhow::Result<()> {
        let [roots, identity, server] =
            [files.roots(), files.identity(), files.server()].map(std::fs::read_to_string);
        let (roots, identity, server) = (roots?, identity?, server?);
        let puts = [
            ("ca", serde_json::json!({ "cert": roots })),
            ("mtls", serde_json::json!({ "identity": identity })),
        ];
        for (what, body) in puts {
            let path = format!("{endpoint}/{what}");
            self.call(connection, Method::PUT, &path, &body).await?;
        }
        for certificate in [server, roots] {
            let pin = serde_json::json!({ "certificate": certificate });
            let path = format!("{endpoint}/pins");
            self.call(connection, Method::POST, &path, &pin).await?;
        }
        let enforce = serde_json::json!({ "own": { "pinning": "enforce" } });
        let path = format!("{endpoint}/transport");
        self.call(connection, Method::PATCH, &path, &enforce)
            .await?;
        Ok(())
    }

    async fn create(
        &self,
        connection: &mut Connection,
        path: &str,
        object: &serde_json::Value,
    ) -> anyhow::Result<String> {
        let body = self.call(connection, Method::POST, path, object).await?;
        let created: Created = serde_json::from_slice(&body)?;
        Ok(created.id)
    }

    async fn call(
        &self,
        connection: &mut Connection,
        method: Method,
        path: &str,
        object: &serde_json::Value,
    ) -> anyhow::Result<Bytes> {
        let request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header(HOST, self.target().host()?)
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(Full::new(Bytes::from(object.to_string())))?;
        let answer = connection.exchange(request).await?;
        anyhow::ensure!(
            answer.status.is_success(),
            "{method} {path} answered {}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        Ok(answer.body)
    }

    async fn until_ready(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        while !self.is_ready().await {
            if let Some(status) = self.child.try_wait()? {
                anyhow::bail!(
                    "the server ended with {status}; its log:\n{}",
                    self.log_end()
                );
            }
            anyhow::ensure!(
                started.elapsed() < READY_WITHIN,
                "the server was not ready in {READY_WITHIN:?}; its log:\n{}",
                self.log_end()
            );
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    async fn is_ready(&self) -> bool {
        let ping = async {
            let request = Request::builder()
                .uri("/api/v1/health/ping")
                .header(HOST, self.target().host()?)
                .body(Full::default())?;
            let answer = self.target().connect().await?.exchange(request).await?;
            anyhow::Ok(answer.status)
        };
        matches!(ping.await, Ok(StatusCode::NO_CONTENT))
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // The data directory goes with it, so there is nothing to save; it may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve_command(start: &Start<'_>, address: SocketAddr, data: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(start.hookseal);
    command
        .arg("serve")
        .args(["--listen", &address.to_string()])
        .args(["--admin-listen", &free_address()?.to_string()])
        .arg("--data-dir")
        .arg(data)
        .args(["--set", r#"egress.allow_networks=["127.0.0.0/8"]"#]);
    if let Some(roots) = start.extra_roots {
        let roots = roots
            .to_str()
            .context("the path of the roots is not UTF-8")?;
        command.args(["--set", &format!("egress.extra_roots={roots}")]);
    }
    Ok(command)
}

fn token(hookseal: &Path, data: &Path) -> anyhow::Result<HeaderValue> {
    let output = Command::new(hookseal)
        .args(["token", "--org", ORGANISATION, "--data-dir"])
        .arg(data)
        .stderr(Stdio::inherit())
        .output()?;
    anyhow::ensure!(
        output.status.success(),
        "`hookseal token` ended with {}",
        output.status
    );
    let token = String::from_utf8(output.stdout)?;
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A port that was free a moment ago.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?.local_addr()?)
}
