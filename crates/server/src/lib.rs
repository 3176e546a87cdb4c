//! The program: command line, configuration, wiring, and the commands.
//!
//! [`commands::run`] is all that `main` calls. The library exists so that tests can make the
//! generated pages.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod backup;
pub mod cli;
mod client;
mod commands;
pub mod config;
mod descriptors;
mod directories;
mod doctor;
mod environment;
mod metrics;
mod outbound;
mod paste;
mod progress;
mod sealed;
mod tls;
mod wiring;

pub use commands::run;
