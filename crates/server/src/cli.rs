//! The command line. Decides what is printed where and which code the process ends with; the work
//! is done elsewhere.

mod demo;
mod doctor;
mod generate;
mod listen;
mod migrate;
mod serve;
mod sources;
mod tls;
mod token;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::config::error::ConfigErrors;
use crate::serve::StartError;

/// The command line can't be understood (EX_USAGE of sysexits).
const USAGE: u8 = 64;
/// The configuration can't be used (EX_CONFIG of sysexits).
const CONFIG: u8 = 78;

/// Webhooks delivered sealed: signed, to verified servers, never lost.
#[derive(Parser)]
#[command(name = "hookseal", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Publish events to three receivers on this machine and show every delivery.
    Demo(demo::Args),
    /// Run the server.
    Serve(serve::Args),
    /// Receive webhooks on this machine, verify them and show what arrives.
    Listen(listen::Args),
    /// Look at and change what is demanded of connections to receivers.
    Tls(tls::Args),
    /// Print a bearer token for the API.
    Token(token::Args),
    /// Bring the database's schema up to date.
    Migrate(migrate::Args),
    /// Check the configuration and its surroundings, and say what to do.
    Doctor(doctor::Args),
    /// Write the files that are generated from the code.
    #[command(hide = true)]
    Generate(generate::Args),
}

/// Reads the command line, does what it says, and gives the code to end with.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to standard output, errors to standard error; either may be closed.
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(USAGE),
            };
        }
    };
    match run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            exit_code(&error)
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Listen(args) => listen::run(&args),
        Command::Tls(args) => tls::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Migrate(args) => migrate::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Generate(args) => generate::run(&args),
    }
}

/// Prints a line to standard output. Whoever reads there may have read enough and gone.
fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn exit_code(error: &anyhow::Error) -> ExitCode {
    let of_start = matches!(error.downcast_ref(), Some(StartError::Config(_)));
    if of_start || error.is::<ConfigErrors>() {
        ExitCode::from(CONFIG)
    } else {
        ExitCode::FAILURE
    }
}
