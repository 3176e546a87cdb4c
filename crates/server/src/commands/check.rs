//! `larder check`: every copy of every object is read; and `--rebuild`, the last resort.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use model::BucketName;
use serde_json::{Value, json};
use service::check::CheckWish;
use service::rebuild::RebuildReport;

use crate::cli::Check;
use crate::client::ask;
use crate::sealed::RootKey;
use crate::wiring;

const PATH: &str = "/_larder/check";
const ASK_EVERY: Duration = Duration::from_millis(200);
const COULD_NOT: u8 = 2;

/// Checks, and tells what came of it: 0 if all is well or mended, 1 if not, 2 if it cannot tell.
pub fn run(arguments: Check) -> ExitCode {
    let done = match (arguments.rebuild, arguments.offline) {
        (true, _) => rebuild(arguments).map(|()| true),
        (false, true) => offline(arguments),
        (false, false) => online(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("larder: {error:#}");
            ExitCode::from(COULD_NOT)
        }
    }
}

/// Asks the running server to check, and waits for it.
fn online(arguments: &Check) -> Result<bool> {
    let remote = &arguments.remote;
    let wish = json!({ "bucket": arguments.bucket, "repair": arguments.repair });
    ask(remote, "POST", PATH, wish.to_string().as_bytes())?;
    let bar = bar();
    let report = loop {
        let report = ask(remote, "GET", PATH, b"")?;
        bar.set_position(number(&report, "bytes"));
        bar.set_message(format!("{} objects", number(&report, "objects")));
        if report.get("running") != Some(&Value::Bool(true)) {
            break report;
        }
        sleep(ASK_EVERY);
    };
    bar.finish_and_clear();
    show(remote.output.json, &report)
}

fn offline(arguments: Check) -> Result<bool> {
    let bucket = arguments.bucket.as_deref().map(BucketName::parse).transpose();
    let bucket = bucket.ok().context("this is no name of a bucket")?;
    let config = arguments.flags.configuration(arguments.directories)?;
    super::serve::start_logging(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let wish = CheckWish { bucket, repair: arguments.repair };
    let bar = bar();
    let tell = |report: &service::check::CheckReport| {
        bar.set_position(report.bytes);
        bar.set_message(format!("{} objects", report.objects));
    };
    let report = runtime.block_on(wiring::check(&config, wish, tell))?;
    bar.finish_and_clear();
    show(arguments.remote.output.json, &gateway::report_json(report))
}

fn bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::no_length();
    match ProgressStyle::with_template("checking {spinner} {msg}, {bytes} {bytes_per_sec}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn number(report: &Value, name: &str) -> u64 {
    report.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// Prints a report; whether all is well.
fn show(as_json: bool, report: &Value) -> Result<bool> {
    ensure!(report.is_object(), "the server forgot the check: was it started again?");
    if as_json {
        super::print(&format!("{}\n", serde_json::to_string_pretty(report)?))?;
    } else {
        super::print(&text_of(report))?;
    }
    let failure = report.get("failure").and_then(Value::as_str);
    ensure!(failure.is_none(), "the check broke off: {}", failure.unwrap_or_default());
    Ok(report.get("clean") == Some(&Value::Bool(true)))
}

fn text_of(report: &Value) -> String {
    let number = |name| number(report, name);
    let mut text = format!(
        "{} objects in {} buckets: {} blobs, {} bytes read.\n",
        number("objects"),
        number("buckets"),
        number("blobs"),
        number("bytes")
    );
    for (name, what) in [
        ("lost", "blobs are lost: no copies together make a whole"),
        ("damaged", "blobs have damaged or missing copies: --repair writes them anew"),
        ("repaired", "blobs had bad copies, which were written anew"),
        ("unreachable", "blobs have copies in directories that do not answer"),
        (
            "unnamed_files",
            "files are named by nothing: they go after a start, if their origin is known",
        ),
        ("wrong_counters", "counters were wrong"),
        ("corrected_counters", "of them were corrected"),
    ] {
        if number(name) > 0 {
            text += &format!("{} {what}.\n", number(name));
        }
    }
    for fault in report.get("faults").and_then(Value::as_array).into_iter().flatten() {
        let field = |name| fault.get(name).and_then(Value::as_str).unwrap_or_default();
        let (key, version) = (field("key").escape_debug(), field("version"));
        text += &format!("{}/{key} {version}: {}\n", field("bucket"), field("what"));
    }
    text
}

/// Rebuilds the metadata and tells what came of it.
fn rebuild(arguments: Check) -> Result<()> {
    let config = arguments.flags.configuration(arguments.directories)?;
    super::serve::start_logging(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (report, root) = runtime.block_on(wiring::rebuild(&config))?;
    super::print(&told(&report, &root))
}

fn told(report: &RebuildReport, root: &RootKey) -> String {
    let mut text = format!(
        "{} blobs in {} copies were found, and {} objects of {} bytes in {} buckets named.\n",
        report.blobs, report.copies, report.objects, report.object_bytes, report.buckets
    );
    for (count, what) in [
        (report.lost, "keys are lost: no blob of theirs is whole"),
        (report.broken, "blobs were passed over: no copy is whole, or a part is missing"),
        (report.unreadable, "copies do not say what they are"),
        (report.older, "blobs are of older writes to the same keys"),
        (report.buckets_left, "buckets were left: a newer one has their name"),
    ] {
        if count > 0 {
            text += &format!("{count} {what}.\n");
        }
    }
    for (bucket, key) in &report.broken_keys {
        text += &format!("damaged: {bucket}/{}\n", key.escape_debug());
    }
    text += "All is private and belongs to the root account. Not back: accounts, versioning, older \
             versions, delete\nmarkers, tags and the names of server-side copies. An object that \
             was deleted may be here again.\n";
    text += &format!("Access key of the root account: {}\n", root.access_key);
    text
}
