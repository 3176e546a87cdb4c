//! `larder audit`: who changed what may be done by whom.

use std::fmt::Write;

use anyhow::Result;
use model::environment::{Clock, unix_ms};
use serde_json::{Value, json};

use super::{harmless, list, text};
use crate::cli::{Audit, Instant};
use crate::client::ask;
use crate::environment::SystemClock;

/// Asks page by page and prints the entries as they come; JSON is one entry a line.
pub fn run(command: &Audit) -> Result<()> {
    let mut wish = json!({
        "after": 0,
        "since_ms": command.since.map(moment),
        "until_ms": command.until.map(moment),
        "who": command.who,
        "what": command.what,
    });
    loop {
        let page = ask(&command.remote, "POST", "/_larder/audit", wish.to_string().as_bytes())?;
        let mut lines = String::new();
        for entry in list(&page, "entries") {
            let line = match command.remote.output.json {
                true => entry.to_string(),
                false => line(&harmless(entry)),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(lines, "{line}");
        }
        super::print(&lines)?;
        match (page.get("next"), wish.get_mut("after")) {
            (Some(next), Some(after)) if next.is_number() => *after = next.clone(),
            _ => return Ok(()),
        }
    }
}

fn moment(instant: Instant) -> i64 {
    match instant {
        Instant::UnixMs(ms) => ms,
        Instant::AgoMs(ms) => unix_ms(SystemClock.now()).saturating_sub(ms),
    }
}

fn line(entry: &Value) -> String {
    let part = |name: &str| text(entry, name);
    let mut line = format!("{}  {}  {}", part("time"), part("who"), part("action"));
    let _ = write!(line, "  {}", part("resource"));
    for detail in list(entry, "details") {
        let _ = write!(line, "  {}={}", text(detail, "name"), text(detail, "value"));
    }
    for (name, before) in [("access_key", "key "), ("address", "from "), ("request_id", "request ")]
    {
        if !part(name).is_empty() {
            let _ = write!(line, "  {before}{}", part(name));
        }
    }
    line
}
