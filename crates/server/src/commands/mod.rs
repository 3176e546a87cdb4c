//! What each command does.

mod access;
mod account;
mod audit;
mod bucket;
mod check;
mod disk;
mod doctor;
mod env;
mod explain;
mod export;
mod health;
mod identities;
mod import;
mod operations;
mod serve;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use serde_json::Value;

use crate::cli::{Cli, Command, Serve};

/// Runs the command of the command line, and tells on standard error why it failed.
pub fn run(cli: Cli) -> ExitCode {
    let directories = Default::default();
    let command = cli.command.unwrap_or(Command::Serve(Serve { directories, flags: cli.flags }));
    let succeeded = |()| ExitCode::SUCCESS;
    let done = match command {
        Command::Serve(serve) => serve::run(serve).map(succeeded),
        Command::Env(arguments) => env::run(arguments).map(succeeded),
        Command::Check(arguments) => Ok(check::run(arguments)),
        Command::Export(arguments) => export::run(arguments).map(succeeded),
        Command::Import(arguments) => import::run(arguments).map(succeeded),
        Command::Account(account) => account::run(&account).map(succeeded),
        Command::User(it) => identities::user(&it).map(succeeded),
        Command::Group(it) => identities::group(&it).map(succeeded),
        Command::Role(it) => identities::role(&it).map(succeeded),
        Command::Policy(it) => identities::policy(&it).map(succeeded),
        Command::Access(it) => access::run(&it).map(succeeded),
        Command::Audit(it) => audit::run(&it).map(succeeded),
        Command::Explain(it) => explain::run(&it).map(succeeded),
        Command::Bucket(bucket) => bucket::run(&bucket).map(succeeded),
        Command::Disk(disk) => disk::run(&disk).map(succeeded),
        Command::Health(remote) => Ok(health::run(&remote)),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::Operations(output) => operations::run(&output).map(succeeded),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("larder: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A field of an answer, empty if it is not there.
fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// An answer that can be printed line by line: what others chose, such as keys of objects, may hold
/// what drives a terminal, or what looks like another line.
fn harmless(answer: &Value) -> Value {
    const TURNS_TEXT: [char; 3] = ['\u{61c}', '\u{200e}', '\u{200f}'];
    let turns_text = |c: char| {
        let within = matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        within || TURNS_TEXT.contains(&c)
    };
    let escaped = |c: char| match c.is_control() || turns_text(c) {
        true => c.escape_unicode().to_string(),
        false => c.to_string(),
    };
    match answer {
        Value::String(text) => text.chars().map(escaped).collect::<String>().into(),
        Value::Array(values) => values.iter().map(harmless).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), harmless(value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => answer.clone(),
    }
}

/// A field of an answer, zero if it is not there.
fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// Prints an answer as it is.
fn print_json(answer: &Value) -> Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(answer)?))
}

/// The entries of a list in an answer.
fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Prints to standard output. A reader that went away is no reason to fail.
fn print(text: &str) -> Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::harmless;

    #[test]
    fn what_others_chose_drives_no_terminal_and_makes_no_line() {
        let answer = json!({"resource": "b/k\n\u{1b}[2Jwould help", "n": [1, "\u{202e}x\u{9b}"]});
        let expected = json!({
            "resource": "b/k\\u{a}\\u{1b}[2Jwould help",
            "n": [1, "\\u{202e}x\\u{9b}"],
        });
        assert_eq!(harmless(&answer), expected);
    }
}
