//! `hookseal token`: prints a bearer token, and nothing else, on standard output.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use hookseal_domain::access::Principal;
use hookseal_domain::id::{AppId, OrgId};
use hookseal_engine::clock::Clock;

use crate::auth::jwt;
use crate::cli::sources::SourceArgs;
use crate::config;
use crate::keys;
use crate::runtime::clock::SystemClock;

/// Print a bearer token for the API.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The organisation that it speaks for: `org_` and 27 letters and digits
    #[arg(long, value_name = "ORG", value_parser = organisation)]
    org: OrgId,

    /// The only application that it may touch; without it, all of the organisation
    #[arg(long, value_name = "APP", value_parser = application)]
    app: Option<AppId>,

    /// How long it is valid, such as 30d; without it, for ever
    #[arg(long, value_name = "DURATION", value_parser = validity)]
    expires: Option<Duration>,

    #[command(flatten)]
    sources: SourceArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = args.sources.load(Vec::new())?;
    let principal = match args.app {
        Some(app) => Principal::Application(args.org, app),
        None => Principal::Organisation(args.org),
    };
    let secret = keys::jwt_secret(&config)?;
    let now = SystemClock.now();
    let ends_at = args.expires.map(|validity| now.plus(validity));
    let token = jwt::mint(&secret, principal, now, ends_at).context("no token was made")?;
    writeln!(io::stdout(), "{}", token.expose()).context("the token was not printed")?;
    Ok(ExitCode::SUCCESS)
}

/// Tokens tell time in seconds.
fn validity(text: &str) -> Result<Duration, String> {
    let validity = config::duration(text)?;
    if validity.as_secs() == 0 {
        return Err("must be at least 1s".to_owned());
    }
    Ok(validity)
}

fn organisation(text: &str) -> Result<OrgId, &'static str> {
    OrgId::parse(text).ok_or("must be org_ and 27 letters and digits")
}

fn application(text: &str) -> Result<AppId, &'static str> {
    AppId::parse(text).ok_or("must be the id of an application, as the API gives it: app_…")
}
