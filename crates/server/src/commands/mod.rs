//! What each command does.

mod account;
mod check;
mod env;
mod health;
mod operations;
mod serve;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;

use crate::cli::{Cli, Command, Serve};

/// Runs the command of the command line, and tells on standard error why it failed.
pub fn run(cli: Cli) -> ExitCode {
    let directories = Default::default();
    let command = cli.command.unwrap_or(Command::Serve(Serve { directories, flags: cli.flags }));
    let done = match command {
        Command::Serve(serve) => serve::run(serve),
        Command::Env(arguments) => env::run(arguments),
        Command::Check(arguments) => return check::run(arguments),
        Command::Account(account) => account::run(&account),
        Command::Health(remote) => return health::run(&remote),
        Command::Operations(output) => operations::run(&output),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("larder: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints to standard output. A reader that went away is no reason to fail.
fn print(text: &str) -> Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
