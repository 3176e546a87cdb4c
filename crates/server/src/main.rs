//! `larder`: see `larder --help`.

use std::process::ExitCode;

use clap::Parser;
use tikv_jemallocator::Jemalloc;

/// Many small values die on another thread than they were made on, and memory of a peak is to go
/// back: docs/benchmarks.md has what the allocators took.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    server::run(server::cli::Cli::parse())
}
