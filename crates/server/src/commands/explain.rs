//! `larder explain`: why a running server refused a request.

use std::fmt::Write;

use anyhow::Result;
use serde_json::Value;

use super::{list, number, text};
use crate::cli::Explain;
use crate::client::ask;

/// Asks for the request and prints what is known of it.
pub fn run(command: &Explain) -> Result<()> {
    let path = format!("/_larder/explain/{}", command.request_id);
    let answer = ask(&command.remote, "GET", &path, b"")?;
    match command.remote.output.json {
        true => super::print_json(&answer),
        false => super::print(&text_of(&super::harmless(&answer))),
    }
}

/// What is known of a decision, for people.
pub fn text_of(answer: &Value) -> String {
    let mut lines = String::new();
    // Writing to a String cannot fail.
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(lines, "{name:<11} {value}");
        }
    };
    line("decision", &format!("{}: {}", text(answer, "decision"), text(answer, "reason")));
    line("time", text(answer, "time"));
    line("who", &who(answer.get("who").unwrap_or(&Value::Null)));
    line("action", text(answer, "action"));
    line("resource", text(answer, "resource"));
    line("owner", text(answer, "resource_owner"));
    for (place, told) in list(answer, "statements").iter().enumerate() {
        line(if place == 0 { "statements" } else { "" }, &statement(told));
    }
    for (place, fact) in list(answer, "facts").iter().enumerate() {
        line(if place == 0 { "facts" } else { "" }, &values(fact));
    }
    for grant in list(answer, "grants") {
        line("would help", &format!("in {}:", text(grant, "to")));
        line("", text(grant, "statement"));
    }
    if answer.get("obstacle").is_some_and(Value::is_string) {
        line("no grant", &format!("helps against this: {}", text(answer, "obstacle")));
    }
    lines
}

fn who(who: &Value) -> String {
    let arn = match text(who, "arn") {
        "" => "somebody unknown",
        arn => arn,
    };
    let parts = [("access_key", ", key "), ("address", ", from ")];
    let rest = parts.iter().filter(|(name, _)| !text(who, name).is_empty());
    let rest = rest.map(|(name, before)| format!("{before}{}", text(who, name)));
    format!("{arn}{}", rest.collect::<String>())
}

fn statement(told: &Value) -> String {
    let which = match text(told, "sid") {
        "" => format!("number {}", number(told, "number")),
        sid => sid.to_owned(),
    };
    let applies = match text(told, "unmet") {
        "" => "applies".to_owned(),
        key => format!("does not apply: its condition on {key} does not hold"),
    };
    let (effect, policy) = (text(told, "effect"), text(told, "policy"));
    format!("{effect} {which} of {policy} {applies}")
}

fn values(fact: &Value) -> String {
    let key = text(fact, "key");
    match fact.get("values").and_then(Value::as_array) {
        None => format!("{key} is not shown"),
        Some(values) if values.is_empty() => format!("{key} is absent"),
        Some(values) => {
            let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
            format!("{key} = {}", values.join(", "))
        }
    }
}
