//! `hookseal tls`: transport security of a running server, through its API.

mod anchors;
mod calls;
mod explain;
mod files;
mod identity;
mod pins;
mod policy;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use tokio::runtime::Runtime;
use url::Url;

use hookseal_domain::secret::Secret;

use crate::api_client::{Client, Server};
use crate::cli;
use crate::cli::tls::anchors::Anchors;
use crate::cli::tls::identity::Identity;
use crate::cli::tls::pins::Pins;
use crate::cli::tls::policy::Policy;

/// The variable that holds the token: on the command line others could read it.
const TOKEN_VARIABLE: &str = "HOOKSEAL_TOKEN";
/// The variable that stands for `--server`.
const URL_VARIABLE: &str = "HOOKSEAL_URL";
/// Where a server listens that was not told otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:8071";

/// Look at and change what is demanded of connections to receivers.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,

    /// The API of the server [env: HOOKSEAL_URL] [default: http://127.0.0.1:8071]
    #[arg(long, global = true, value_name = "URL")]
    server: Option<Url>,

    /// Roots to trust in place of the public ones, for an https:// server: a PEM file
    #[arg(long, global = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// A file with the token, which otherwise comes from the variable HOOKSEAL_TOKEN
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Say which policy is in force for an endpoint, what the last handshake showed, and why it
    /// passed or failed.
    Explain {
        /// The endpoint: ep_…
        #[arg(long, value_name = "ID")]
        endpoint: String,
        /// Print what the API answers instead
        #[arg(long)]
        json: bool,
    },
    /// Make a handshake with an endpoint's server now, send nothing, and say what it showed. Ends
    /// with code 1 if the handshake failed.
    Probe {
        /// The endpoint: ep_…
        #[arg(long, value_name = "ID")]
        endpoint: String,
    },
    /// Show an endpoint's own settings and what is in force, or change them.
    Endpoint {
        /// The endpoint: ep_…
        #[arg(long, value_name = "ID")]
        endpoint: String,
        /// A JSON file with changes, such as {"policy": "x", "own": {"pinning": "enforce"}}
        #[arg(long, value_name = "FILE")]
        change: Option<PathBuf>,
    },
    /// The pinned keys of an endpoint.
    Pins {
        /// The endpoint: ep_…
        #[arg(long, value_name = "ID")]
        endpoint: String,
        #[command(subcommand)]
        action: Pins,
    },
    /// Sets of private roots.
    #[command(subcommand)]
    Anchors(Anchors),
    /// The certificates that we present.
    #[command(subcommand)]
    Identity(Identity),
    /// Named transport policies.
    #[command(subcommand)]
    Policy(Policy),
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let client = args.client()?;
    let runtime = Runtime::new().context("the runtime can't start")?;
    let (text, code) = runtime.block_on(args.what.carry_out(&client))?;
    cli::say(text.trim_end());
    Ok(code)
}

// === impl Args ===

impl Args {
    fn client(&self) -> anyhow::Result<Client> {
        let url = match &self.server {
            Some(url) => url.clone(),
            None => std::env::var(URL_VARIABLE)
                .unwrap_or_else(|_| DEFAULT_URL.to_owned())
                .parse()
                .context(URL_VARIABLE)?,
        };
        let roots = self.ca_file.as_deref().map(files::read).transpose()?;
        let server = Server::at(&url, roots.as_deref())?;
        let token = match &self.token_file {
            Some(file) => String::from_utf8(files::read(file)?).context("the token is no text")?,
            None => std::env::var(TOKEN_VARIABLE).map_err(|_| {
                anyhow::anyhow!(
                    "no token: set {TOKEN_VARIABLE}, for example with\n  \
                     export {TOKEN_VARIABLE}=$(hookseal token --org org_…)"
                )
            })?,
        };
        let token = Secret::new(token.trim().to_owned());
        Ok(Client::new(server, token))
    }
}

// === impl What ===

impl What {
    /// Does it; answers what to print, and the code to end with.
    async fn carry_out(&self, client: &Client) -> anyhow::Result<(String, ExitCode)> {
        let text = match self {
            Self::Explain { endpoint, json } => {
                let answer = calls::explain(client, endpoint).await?;
                if *json {
                    calls::pretty(&answer)
                } else {
                    explain::text(&answer)?
                }
            }
            Self::Probe { endpoint } => {
                let (text, is_good) = calls::probe(client, endpoint).await?;
                let code = if is_good {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::FAILURE
                };
                return Ok((text, code));
            }
            Self::Endpoint { endpoint, change } => {
                calls::endpoint(client, endpoint, change.as_deref()).await?
            }
            Self::Pins { endpoint, action } => action.carry_out(client, endpoint).await?,
            Self::Anchors(action) => action.carry_out(client).await?,
            Self::Identity(action) => action.carry_out(client).await?,
            Self::Policy(action) => action.carry_out(client).await?,
        };
        Ok((text, ExitCode::SUCCESS))
    }
}
