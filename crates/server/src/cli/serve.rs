//! `hookseal serve`.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use tracing::{error, info};

use crate::cli::sources::SourceArgs;
use crate::config::Config;
use crate::runtime::signals::StopSignals;
use crate::serve::{self, RuntimeParts};
use crate::telemetry;

/// How long work that nobody waits for any more may hold up the end of the process.
const LEFTOVERS_TIMEOUT: Duration = Duration::from_secs(1);

/// Run the server.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Address and port of the HTTP API: `server.listen`
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,

    /// Address and port of metrics and health: `server.admin_listen`
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<String>,

    #[command(flatten)]
    sources: SourceArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let flags = [
        ("--listen", "server.listen", &args.listen),
        ("--admin-listen", "server.admin_listen", &args.admin_listen),
    ];
    let flags = flags
        .into_iter()
        .filter_map(|(flag, key, value)| Some((flag, key, value.clone()?)));
    let config = args.sources.load(flags.collect())?;
    telemetry::init(&config.log);
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores)
        .enable_all()
        .build()
        .context("the runtime can't start")?;
    let ended = runtime.block_on(serve_until_stopped(&config));
    // Whatever still blocks a thread now is not worth waiting for: all that counts is durable.
    runtime.shutdown_timeout(LEFTOVERS_TIMEOUT);
    ended
}

async fn serve_until_stopped(config: &Config) -> anyhow::Result<ExitCode> {
    let mut signals = StopSignals::listen().context("signals can't be listened to")?;
    let server = serve::start(config, RuntimeParts::system()).await?;
    let scheme = if config.server.tls_files().is_some() {
        "https"
    } else {
        "http"
    };
    let api = server.api_address();
    let url = format!("{scheme}://{api}");
    // Nobody has to be reading; the log says the same.
    let _ = writeln!(
        io::stdout(),
        "The API is at {url}, its documentation at {url}/docs"
    );
    info!(
        api.address = %api,
        admin.address = %server.admin_address(),
        version = env!("CARGO_PKG_VERSION"),
        "Serving the API on {url}"
    );
    tokio::select! {
        signal = signals.next() => {
            info!("Got {signal}, stopping");
            signals.end_at_next();
            server.shutdown().await;
            Ok(ExitCode::SUCCESS)
        }
        reason = server.failed() => {
            error!("The store can't be trusted any more, ending: {reason}");
            Ok(ExitCode::FAILURE)
        }
    }
}
