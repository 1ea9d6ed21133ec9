//! `hookseal listen`: receives webhooks on this machine, verifies them and shows what arrives.

use std::convert::Infallible;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use http::StatusCode;
use ipnet::IpNet;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use hookseal_domain::secret::Secret;
use hookseal_engine::clock::Clock;

use crate::receiver::authority::{Clients, LocalAuthority};
use crate::receiver::inbox::{Entry, Inbox};
use crate::receiver::transcript::{Verification, transcript};
use crate::receiver::verify::Verifier;
use crate::receiver::{Receiver, Transport};
use crate::runtime::clock::SystemClock;
use crate::runtime::signals::StopSignals;

/// Receive webhooks on this machine, verify them and show what arrives.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    addr: SocketAddr,
    /// Speak TLS 1.3, with a certificate of an authority that is made for this run.
    #[arg(long)]
    tls: bool,
    /// Where to write that authority's certificate, for the sender to trust.
    #[arg(long, value_name = "FILE", default_value = "hookseal-listen-ca.pem")]
    ca_file: PathBuf,
    /// What to verify with: the endpoint's whsec_ secret, or its whpk_ public key. What does not
    /// verify is answered with 401. Without it nothing is verified.
    #[arg(long, value_name = "KEY", value_parser = read_secret)]
    secret: Option<Secret<String>>,
    /// What to answer: a status code.
    #[arg(long, value_name = "STATUS", default_value = "200", value_parser = read_status)]
    reply: StatusCode,
    /// End after this many requests; the exit code is 1 if any of them did not verify.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// What was found in what came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    AllVerified,
    SomeRefused,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = Runtime::new().context("the runtime can't start")?;
    runtime.block_on(args.listen(&mut io::stdout()))
}

// === impl Args ===

impl Args {
    /// Receives until a signal, or until enough has come.
    async fn listen(&self, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let mut signals = StopSignals::listen().context("signals can't be listened to")?;
        let verifier = match &self.secret {
            Some(key) => Some(Verifier::parse(key.expose()).context("--secret")?),
            None => None,
        };
        let transport = self.transport()?;
        let (inbox, waiting) = Inbox::new(verifier, self.reply);
        let receiver =
            Receiver::start(self.addr, transport, Arc::new(inbox), Arc::new(SystemClock))
                .await
                .with_context(|| format!("can't listen on {}", self.addr))?;
        let introduction = self.introduction(&receiver);
        let shown = tokio::select! {
            shown = self.show(&introduction, waiting, out) => Some(shown),
            _ = signals.next() => None,
        };
        signals.end_at_next();
        receiver.stop().await;
        match shown {
            Some(Ok(Verdict::AllVerified)) | None => Ok(ExitCode::SUCCESS),
            Some(Ok(Verdict::SomeRefused)) => Ok(ExitCode::FAILURE),
            // Whoever was watching has gone.
            Some(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
            Some(Err(error)) => Err(error.into()),
        }
    }

    fn transport(&self) -> anyhow::Result<Transport> {
        if !self.tls {
            return Ok(Transport::Plain);
        }
        let authority = LocalAuthority::make("Hookseal listen", SystemClock.now())?;
        let names = vec![
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            "::1".to_owned(),
            self.addr.ip().to_string(),
        ];
        let config = authority.server(names)?.config(Clients::Anybody)?;
        std::fs::write(&self.ca_file, authority.pem())
            .with_context(|| format!("can't write {}", self.ca_file.display()))?;
        Ok(Transport::Tls(config))
    }

    fn introduction(&self, receiver: &Receiver) -> String {
        let network = match self.addr.ip() {
            IpAddr::V4(ip) if ip.is_loopback() => "127.0.0.0/8".to_owned(),
            ip => IpNet::from(ip).to_string(),
        };
        let mut text = format!("Listening on {}\n", receiver.url());
        let mut trust = format!("--set egress.allow_networks={network}");
        if self.tls {
            let ca_file = absolute(&self.ca_file);
            trust.push_str(&format!(" --set egress.extra_roots={}", ca_file.display()));
            text.push_str("Its certificate comes from an authority that was made for this run.\n");
        }
        text.push_str(&format!(
            "A server delivers here that was started with\n  hookseal serve {trust}\n"
        ));
        if self.secret.is_none() {
            text.push_str("Nothing is verified: give the endpoint's key with --secret.\n");
        }
        text.push('\n');
        text
    }

    /// Shows what comes, until enough has come.
    async fn show(
        &self,
        introduction: &str,
        mut waiting: mpsc::Receiver<Entry>,
        out: &mut impl Write,
    ) -> io::Result<Verdict> {
        out.write_all(introduction.as_bytes())?;
        let mut verdict = Verdict::AllVerified;
        let mut shown = 0;
        while let Some(entry) = waiting.recv().await {
            if let Verification::Refused(_) = entry.verification {
                verdict = Verdict::SomeRefused;
            }
            let text = transcript(&entry.arrival, &entry.verification, entry.answered);
            out.write_all(format!("{text}\n").as_bytes())?;
            out.flush()?;
            shown += 1;
            if self.count == Some(shown) {
                break;
            }
        }
        Ok(verdict)
    }
}

fn read_secret(text: &str) -> Result<Secret<String>, Infallible> {
    Ok(Secret::new(text.to_owned()))
}

fn read_status(text: &str) -> Result<StatusCode, &'static str> {
    text.parse()
        .ok()
        .filter(|status: &StatusCode| (200..600).contains(&status.as_u16()))
        .ok_or("must be a status code from 200 to 599")
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
