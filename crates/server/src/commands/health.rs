//! `larder health`: readiness as an exit code.

use std::process::ExitCode;

use crate::cli::Remote;
use crate::client::Client;

/// Asks `/_larder/ready`: 0 if the server can take writes, 1 if it says no or nothing.
pub fn run(remote: &Remote) -> ExitCode {
    let answer = Client::new(remote).and_then(|it| it.send("GET", "/_larder/ready", b"", None));
    let (ready, reason) = match answer {
        Ok(answer) => (answer.status == 200, format!("status {}", answer.status)),
        Err(error) => (false, format!("{error:#}")),
    };
    let text = match (remote.output.json, ready) {
        (true, _) => format!("{}\n", serde_json::json!({ "ready": ready, "reason": reason })),
        (false, true) => "ready\n".to_owned(),
        (false, false) => format!("not ready: {reason}\n"),
    };
    match super::print(&text) {
        Ok(()) if ready => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
