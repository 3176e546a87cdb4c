//! `larder access`: who may do what, asked without doing it.

use std::fmt::Write;

use anyhow::Result;
use serde_json::{Value, json};

use super::{explain, list, text};
use crate::cli::{Access, Question};
use crate::client::ask;

/// Sends the question and prints the answer.
pub fn run(command: &Access) -> Result<()> {
    match command {
        Access::WhoCan(it) => who_can(&it.question),
        Access::Simulate(it) => simulate(&it.principal, &it.question),
    }
}

fn wish(question: &Question, name: &str, value: &Value) -> Vec<u8> {
    let resource = match question.resource.as_str() {
        arn if arn == "*" || arn.starts_with("arn:") => arn.to_owned(),
        path => format!("arn:aws:s3:::{}", path.trim_start_matches("s3://")),
    };
    let wish = json!({
        "action": question.action,
        "resource": resource,
        "facts": question.facts,
        name: value,
    });
    wish.to_string().into_bytes()
}

fn simulate(principal: &str, question: &Question) -> Result<()> {
    let wish = wish(question, "principal", &principal.into());
    let answer = ask(&question.remote, "POST", "/_larder/access/simulate", &wish)?;
    match question.remote.output.json {
        true => super::print_json(&answer),
        false => super::print(&explain::text_of(&super::harmless(&answer))),
    }
}

/// Asks page by page; JSON is one entry a line.
fn who_can(question: &Question) -> Result<()> {
    let mut after = Value::Null;
    loop {
        let wish = wish(question, "after", &after);
        let page = ask(&question.remote, "POST", "/_larder/access/who-can", &wish)?;
        let mut lines = String::new();
        for able in list(&page, "able") {
            let line = match question.remote.output.json {
                true => able.to_string(),
                false => line(able),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(lines, "{line}");
        }
        super::print(&lines)?;
        match page.get("next") {
            Some(next) if next.is_string() => after = next.clone(),
            _ => return Ok(()),
        }
    }
}

fn line(able: &Value) -> String {
    let reason = able.get("why").map(|why| text(why, "reason")).unwrap_or_default();
    let keys: Vec<&str> = list(able, "depends_on").iter().filter_map(Value::as_str).collect();
    let depends = match keys.is_empty() {
        true => String::new(),
        false => format!("  (depends on {})", keys.join(", ")),
    };
    format!("{:<7}  {}  {reason}{depends}", text(able, "can"), text(able, "arn"))
}
