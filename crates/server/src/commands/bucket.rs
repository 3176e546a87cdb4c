//! `larder bucket`: what only the operator may see and set of a bucket.

use std::fmt::Write;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::{number, text};
use crate::cli::{Bucket, Copies, Remote};
use crate::client::ask;

const ASK_EVERY: Duration = Duration::from_millis(200);

/// Sends what the command asks for and prints the answer.
pub fn run(command: &Bucket) -> Result<()> {
    match command {
        Bucket::Show(it) => {
            let answer = show(&it.remote, &it.bucket)?;
            match it.remote.output.json {
                true => super::print(&format!("{}\n", serde_json::to_string_pretty(&answer)?)),
                false => super::print(&text_of(&answer)),
            }
        }
        Bucket::Copies(it) => {
            let copies = match it.copies {
                Copies::Default => None,
                Copies::Exactly(copies) => Some(copies),
            };
            let wish = json!({ "copies": copies }).to_string();
            ask(&it.remote, "POST", &path(&it.bucket), wish.as_bytes())?;
            while it.wait && is_at_work(&show(&it.remote, &it.bucket)?) {
                sleep(ASK_EVERY);
            }
            Ok(())
        }
    }
}

fn path(bucket: &str) -> String {
    format!("/_larder/buckets/{bucket}")
}

fn show(remote: &Remote, bucket: &str) -> Result<Value> {
    ask(remote, "GET", &path(bucket), b"")
}

fn is_at_work(answer: &Value) -> bool {
    answer.get("recount").is_some_and(Value::is_object)
}

fn text_of(answer: &Value) -> String {
    let bytes = HumanBytes(number(answer, "object_bytes"));
    let mut lines = format!("{}, owner {}", text(answer, "name"), text(answer, "owner"));
    let _ = writeln!(lines, ", region {}", text(answer, "region"));
    let _ = write!(lines, "  {} versions, {bytes}", number(answer, "objects"));
    let _ = writeln!(lines, ", {} uploads under way", number(answer, "uploads"));
    let set = answer.get("copies").is_some_and(Value::is_number);
    let why = if set { "set for this bucket" } else { "as everywhere" };
    let _ = writeln!(lines, "  copies: {} ({why})", number(answer, "copies_now"));
    if let Some(recount) = answer.get("recount").filter(|recount| recount.is_object()) {
        let (changed, bytes) = (number(recount, "changed"), number(recount, "bytes"));
        let (walks, key) = (text(recount, "walks"), text(recount, "key"));
        let _ = write!(lines, "  being brought to that: {changed} blobs changed, ");
        let _ = writeln!(lines, "{} written; at {walks} {key}", HumanBytes(bytes));
        let stuck = number(recount, "stuck");
        if stuck > 0 {
            let _ = writeln!(lines, "  {stuck} blobs cannot get their copies: see the log");
        }
    }
    lines
}
