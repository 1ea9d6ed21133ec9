//! The published benchmark: load generator, receivers, report.
//!
//! It never links the server: it starts its binary, as an operator would.

mod clock;
mod connection;
mod cores;
mod delivery;
mod generator;
mod helper;
mod lean;
mod ledger;
mod misfits;
mod payload;
mod procfs;
mod quantile;
mod receiver;
mod relay;
mod report;
mod run;
mod scenario;
mod signature;
mod subject;
mod tarpit;
mod tls;
mod trial;

use std::process::ExitCode;

use clap::Parser;

/// The allocator that the server uses too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures a webhook server against what its machine can do at all.
#[derive(Debug, Parser)]
#[command(name = "hookseal-bench")]
enum Command {
    Run(run::Run),
    Receiver(receiver::Receive),
    Relay(relay::Relaying),
    Misfits(misfits::Misfits),
}

fn main() -> anyhow::Result<ExitCode> {
    match Command::parse() {
        Command::Run(run) => run.run(),
        Command::Receiver(receive) => receive.run().map(|()| ExitCode::SUCCESS),
        Command::Relay(relaying) => relaying.run().map(|()| ExitCode::SUCCESS),
        Command::Misfits(misfits) => misfits.run().map(|()| ExitCode::SUCCESS),
    }
}
