//! The load generator of the benchmark: reads a job from standard input, prints a report.
//!
//! One thread, so that it takes little of the machine that it shares with the server. Any answer
//! that is not exactly as expected ends the run with an error. What to run is in `bench.py`.

// It is a tool for tests: it may ask the machine for the time.
#![allow(clippy::disallowed_methods)]

mod connection;
mod content;
mod job;
mod load;
mod requests;
mod sign;

use std::io;

use anyhow::{Context, Result};
use requests::Work;

fn main() -> Result<()> {
    let job = serde_json::from_reader(io::stdin()).context("reading the job")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(load::run(Work::new(job)))?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
