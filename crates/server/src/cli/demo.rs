//! `hookseal demo`: a whole server with receivers, for a first look.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use tokio::runtime::Runtime;

use crate::demo::cast::Cast;
use crate::demo::events::{self, Event, FILE_BYTES_MAX, SAMPLE};
use crate::demo::mutual::{self, MutualError};
use crate::demo::screen::Screen;
use crate::demo::stage::Stage;
use crate::demo::{DemoError, invitation, mutual_invitation, play};
use crate::runtime::signals::StopSignals;
use crate::serve::RuntimeParts;

/// Publish events to three receivers on this machine and show every delivery.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The events to publish: a file of JSON lines, {"eventType": …, "payload": {…}}, or - for
    /// standard input; without it, those that come with the program
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,

    /// Show mutual TLS instead: a private CA, pins, and both sides' keys replaced under way
    #[arg(long, conflicts_with = "events")]
    mtls: bool,

    /// End after the deliveries; the exit code is 0 only if everything arrived and verified
    #[arg(long)]
    once: bool,

    /// Address and port of the API, on loopback; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = loopback)]
    listen: SocketAddr,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let events = match &args.events {
        None => events::parse(SAMPLE.as_bytes())?,
        Some(path) => read_events(path)?,
    };
    let runtime = Runtime::new().context("the runtime can't start")?;
    runtime.block_on(demonstrate(args, &events))
}

async fn demonstrate(args: &Args, events: &[Event]) -> anyhow::Result<ExitCode> {
    let mut signals = StopSignals::listen().context("signals can't be listened to")?;
    let stage = Stage::set(args.listen, RuntimeParts::system()).await?;
    let shown = tokio::select! {
        shown = show(args, &stage, events) => Some(shown),
        reason = stage.failed() => Some(Err(anyhow::anyhow!("the store failed: {reason}"))),
        _ = signals.next() => None,
    };
    signals.end_at_next();
    stage
        .strike()
        .await
        .context("the temporary directory can't be removed")?;
    match shown {
        Some(Ok(code)) => Ok(code),
        Some(Err(error)) => Err(error),
        // Stopped on request: that is how a demo ends which goes on.
        None if !args.once => Ok(ExitCode::SUCCESS),
        None => Ok(ExitCode::FAILURE),
    }
}

async fn show(args: &Args, stage: &Stage, events: &[Event]) -> anyhow::Result<ExitCode> {
    let mut screen = Screen::stdout();
    if args.mtls {
        return match mutual::play(stage, &mut screen).await {
            Ok(played) => {
                let invitation = mutual_invitation(stage);
                conclude(args, verdict(&played.problems), &invitation, &mut screen).await
            }
            Err(MutualError::Screen(error)) if is_closed(&error) => Ok(ExitCode::FAILURE),
            Err(error) => Err(error.into()),
        };
    }
    let cast = Cast::start(stage).await?;
    match play(stage, &cast, events, &mut screen).await {
        Ok(problems) => conclude(args, verdict(&problems), &invitation(stage), &mut screen).await,
        // Whoever was watching has gone, as in `hookseal demo | head`.
        Err(DemoError::Screen(error)) if is_closed(&error) => Ok(ExitCode::FAILURE),
        Err(error) => Err(error.into()),
    }
}

/// Ends with the verdict, or goes on for whoever wants to try more.
async fn conclude(
    args: &Args,
    verdict: ExitCode,
    invitation: &str,
    screen: &mut Screen,
) -> anyhow::Result<ExitCode> {
    if args.once {
        return Ok(verdict);
    }
    match screen.show(invitation) {
        Ok(()) => std::future::pending().await,
        Err(error) if is_closed(&error) => Ok(ExitCode::FAILURE),
        Err(error) => Err(error.into()),
    }
}

fn verdict<T>(problems: &[T]) -> ExitCode {
    if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn loopback(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .ok()
        .filter(|address: &SocketAddr| address.ip().is_loopback())
        .ok_or("must be a loopback address with a port, such as 127.0.0.1:8071")
}

fn is_closed(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

fn read_events(path: &Path) -> anyhow::Result<Vec<Event>> {
    let is_stdin = path == Path::new("-");
    let name = if is_stdin {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    let read = || {
        let source: Box<dyn Read> = if is_stdin {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path)?)
        };
        // One byte more, so that a file that is too long is seen to be.
        let bound = u64::try_from(FILE_BYTES_MAX + 1).unwrap_or(u64::MAX);
        let mut bytes = Vec::new();
        source.take(bound).read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(bytes)
    };
    let bytes = read().with_context(|| format!("can't read {name}"))?;
    events::parse(&bytes).context(name)
}
