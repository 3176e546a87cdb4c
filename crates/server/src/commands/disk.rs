//! `larder disk`: the data directories of a running server.

use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{number, text};
use crate::cli::{AddDisk, Disk, Remote};
use crate::client::ask;

const PATH: &str = "/_larder/disks";
const ASK_EVERY: Duration = Duration::from_millis(200);
/// Steps of the progress bar.
const STEPS: f64 = 1000.0;

/// Sends what the command asks for and prints the answer.
pub fn run(command: &Disk) -> Result<()> {
    match command {
        Disk::List(remote) => {
            let answer = ask(remote, "GET", PATH, b"")?;
            match remote.output.json {
                true => super::print(&format!("{}\n", serde_json::to_string_pretty(&answer)?)),
                false => super::print(&text_of(&answer)),
            }
        }
        Disk::Add(add) => {
            let id = added(add)?;
            super::print(&format!("{id}\n"))
        }
        Disk::Drain(it) => {
            let id = find(&it.remote, &it.disk)?;
            change(&it.remote, &id, "drain", &json!({ "then_remove": it.then_remove }))?;
            if it.wait { wait(&it.remote, &id) } else { Ok(()) }
        }
        Disk::Keep(it) => change(&it.remote, &find(&it.remote, &it.disk)?, "keep", &json!({})),
        Disk::Replace(it) => {
            let old = find(&it.add.remote, &it.disk)?;
            let (zone, region) = place(&it.add.remote, &old)?;
            let add = AddDisk {
                zone: it.add.zone.clone().or(zone),
                region: it.add.region.clone().or(region),
                ..it.add.clone()
            };
            let new = added(&add)?;
            let wish = json!({ "then_remove": true, "successor": new });
            change(&it.add.remote, &old, "drain", &wish)?;
            super::print(&format!("{new}\n"))?;
            if it.wait { wait(&it.add.remote, &old) } else { Ok(()) }
        }
        Disk::Remove(it) => {
            let id = find(&it.remote, &it.disk)?;
            change(&it.remote, &id, "remove", &json!({ "accept_loss": it.accept_loss }))
        }
    }
}

fn added(add: &AddDisk) -> Result<String> {
    let path = std::path::absolute(&add.path)?;
    let wish = json!({
        "path": path,
        "zone": add.zone,
        "region": add.region,
        "holds_metadata": add.metadata,
    });
    let answer = ask(&add.remote, "POST", PATH, wish.to_string().as_bytes())?;
    let id = answer.get("id").and_then(Value::as_str);
    Ok(id.context("the server did not answer with an id")?.to_owned())
}

fn change(remote: &Remote, id: &str, what: &str, wish: &Value) -> Result<()> {
    ask(remote, "POST", &format!("{PATH}/{id}/{what}"), wish.to_string().as_bytes()).map(drop)
}

fn listed(answer: &Value) -> impl Iterator<Item = &Value> {
    answer.get("disks").and_then(Value::as_array).into_iter().flatten()
}

fn is(value: &Value, name: &str) -> bool {
    value.get(name) == Some(&Value::Bool(true))
}

/// The id of the directory that somebody named by its id or its path.
fn find(remote: &Remote, disk: &str) -> Result<String> {
    let answer = ask(remote, "GET", PATH, b"")?;
    let path = std::path::absolute(disk)?;
    let same = |place: &str| std::path::absolute(place).is_ok_and(|place| place == path);
    let mut found = listed(&answer).filter(|it| text(it, "id") == disk || same(text(it, "path")));
    match (found.next(), found.next()) {
        (Some(it), None) => Ok(text(it, "id").to_owned()),
        (None, _) => bail!("{disk} is no directory of this store"),
        _ => bail!("several directories had the path {disk}; name one by its id"),
    }
}

/// Zone and region of a directory.
fn place(remote: &Remote, id: &str) -> Result<(Option<String>, Option<String>)> {
    let answer = ask(remote, "GET", PATH, b"")?;
    let it = listed(&answer).find(|it| text(it, "id") == id);
    let field = |name| it.map(|it| text(it, name).to_owned());
    Ok((field("zone"), field("region")))
}

/// Shows how far it is until a directory is empty or gone.
fn wait(remote: &Remote, id: &str) -> Result<()> {
    let bar = bar();
    loop {
        let answer = ask(remote, "GET", PATH, b"")?;
        let it = listed(&answer).find(|it| text(it, "id") == id);
        let Some(it) = it.filter(|it| !is(it, "empty")) else { break };
        if !is(it, "draining") {
            bail!("it is no longer being emptied");
        }
        if let Some(placement) = answer.get("placement") {
            let progress = placement.get("progress").and_then(Value::as_f64).unwrap_or_default();
            bar.set_position((progress * STEPS) as u64);
            bar.set_message(placement_text(placement));
        }
        sleep(ASK_EVERY);
    }
    bar.finish_and_clear();
    Ok(())
}

fn bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(STEPS as u64);
    match ProgressStyle::with_template("moving {bar:30} {percent}% {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn placement_text(placement: &Value) -> String {
    let bytes = HumanBytes(number(placement, "moved_bytes"));
    let mut text = format!("{} blobs, {bytes} moved", number(placement, "moved"));
    let stuck = number(placement, "stuck");
    if stuck > 0 {
        let _ = write!(text, ", {stuck} cannot be moved: see the log");
    }
    text
}

fn text_of(answer: &Value) -> String {
    let mut lines = String::new();
    for it in listed(answer) {
        let free = HumanBytes(number(it, "free_bytes"));
        let total = HumanBytes(number(it, "total_bytes"));
        let _ = write!(lines, "{}  {}", text(it, "id"), text(it, "state"));
        let draining = match (is(it, "empty"), is(it, "draining")) {
            (true, _) => ", empty",
            (_, true) => ", being emptied",
            _ => "",
        };
        let metadata = if is(it, "holds_metadata") { ", metadata" } else { "" };
        let _ = writeln!(lines, "{draining}{metadata}  {}", text(it, "path"));
        let (region, zone) = (text(it, "region"), text(it, "zone"));
        let errors = number(it, "errors");
        let _ = write!(lines, "  {free} free of {total}, zone {zone}, region {region}");
        let _ = writeln!(lines, ", {errors} errors {}", text(it, "reason"));
    }
    match answer.get("placement") {
        Some(placement) if placement.is_object() && !is(placement, "settled") => {
            let percent =
                placement.get("progress").and_then(Value::as_f64).unwrap_or_default() * 100.0;
            let _ = writeln!(lines, "moving: {percent:.1} %, {}", placement_text(placement));
        }
        _ => {}
    }
    lines
}
