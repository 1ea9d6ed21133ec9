//! `hookseal migrate`: brings the database's schema up to date, or says whether it is.

use std::process::ExitCode;

use anyhow::Context;

use hookseal_store::sqlite::{SqliteOptions, SqliteStore};

use crate::cli;
use crate::cli::sources::SourceArgs;
use crate::config::store::StoreUrl;
use crate::keys;

/// Bring the database's schema up to date. The server does so too when it starts.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Only say whether there is something to do; ends with code 1 if there is
    #[arg(long)]
    check: bool,

    #[command(flatten)]
    sources: SourceArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = args.sources.load(Vec::new())?;
    let StoreUrl::Sqlite(path) = config.store_url();
    let name = path.display().to_string();
    let schema = SqliteStore::check(&path).with_context(|| format!("{name} can't be read"))?;
    if schema.current == schema.wanted {
        cli::say(format_args!(
            "{name}: schema {} is up to date",
            schema.current
        ));
        return Ok(ExitCode::SUCCESS);
    }
    if args.check {
        cli::say(format_args!(
            "{name}: schema {} is to become {}; run hookseal migrate",
            schema.current, schema.wanted
        ));
        return Ok(ExitCode::FAILURE);
    }
    let key = keys::master_key(&config)?;
    SqliteStore::open(SqliteOptions::new(path), key)
        .with_context(|| format!("{name} can't be migrated"))?;
    cli::say(format_args!(
        "{name}: schema {} became {}",
        schema.current, schema.wanted
    ));
    Ok(ExitCode::SUCCESS)
}
