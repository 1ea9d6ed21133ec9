//! `hookseal doctor`: looks at everything that a start needs, and says what to do. Must never
//! change what it looks at.

mod checks;

use std::fmt;
use std::process::ExitCode;

use hookseal_engine::clock::Clock;

use crate::cli;
use crate::cli::sources::SourceArgs;
use crate::runtime::clock::SystemClock;

/// Check the configuration and its surroundings, and say what to do.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    sources: SourceArgs,
}

/// How one thing is.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Finding {
    /// As it should be.
    Ok(String),
    /// Works, but somebody should look at it.
    Warn(String),
    /// Keeps the server from working.
    Fail(String),
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = match args.sources.load(Vec::new()) {
        Ok(config) => config,
        Err(errors) => {
            for error in &errors.0 {
                cli::say(Finding::Fail(error.to_string()));
            }
            return Ok(ExitCode::from(cli::CONFIG));
        }
    };
    cli::say(Finding::Ok("configuration: can be used".to_owned()));
    let mut failed = false;
    for finding in checks::all(&config, SystemClock.now()) {
        cli::say(&finding);
        failed |= matches!(finding, Finding::Fail(_));
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, text) = match self {
            Self::Ok(text) => ("ok  ", text),
            Self::Warn(text) => ("warn", text),
            Self::Fail(text) => ("fail", text),
        };
        write!(f, "{word}  {text}")
    }
}
