//! Webhooks delivered sealed: signed, to verified servers, never lost.

use std::process::ExitCode;

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    hookseal::cli::main()
}
