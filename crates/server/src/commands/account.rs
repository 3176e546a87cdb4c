//! `larder account`: accounts of a running server, through its admin interface.

use std::fmt::Write;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::cli::{Account, CreateAccount, Remote};
use crate::client::{ask, escaped};

const PATH: &str = "/_larder/accounts";

/// Sends what the command asks for and prints the answer.
pub fn run(command: &Account) -> Result<()> {
    match command {
        Account::Create(create) => {
            let body = description(create).to_string();
            let answer = ask(&create.remote, "POST", PATH, body.as_bytes())?;
            show(&create.remote, &answer)
        }
        Account::List(remote) => {
            let answer = ask(remote, "GET", PATH, b"")?;
            show(remote, &answer)
        }
        Account::Delete(delete) => {
            let id = escaped(&delete.id);
            ask(&delete.remote, "DELETE", &format!("{PATH}/{id}"), b"").map(drop)
        }
        Account::MfaReset(reset) => {
            let path = format!("{PATH}/{}/mfa-reset", escaped(&reset.id));
            let body = json!({ "user": reset.user }).to_string();
            let answer = ask(&reset.remote, "POST", &path, body.as_bytes())?;
            show_reset(&reset.remote, &answer)
        }
    }
}

fn show_reset(remote: &Remote, answer: &Value) -> Result<()> {
    if remote.output.json {
        return super::print(&format!("{}\n", serde_json::to_string_pretty(answer)?));
    }
    let devices = answer.get("deactivated").and_then(Value::as_array).into_iter().flatten();
    let lines = devices.filter_map(Value::as_str).map(|serial| format!("deactivated  {serial}\n"));
    super::print(&lines.collect::<String>())
}

fn description(create: &CreateAccount) -> Value {
    let mut account = json!({ "name": create.name });
    let fields = [("email", &create.email), ("id", &create.id)];
    for (name, value) in fields {
        if let (Some(value), Some(account)) = (value, account.as_object_mut()) {
            account.insert(name.into(), value.as_str().into());
        }
    }
    if let (Some(access), Some(secret)) = (&create.access_key, &create.secret_key)
        && let Some(account) = account.as_object_mut()
    {
        let key = json!({ "access_key": access, "secret_key": secret.reveal() });
        account.insert("keys".into(), json!([key]));
    }
    account
}

fn show(remote: &Remote, answer: &Value) -> Result<()> {
    if remote.output.json {
        return super::print(&format!("{}\n", serde_json::to_string_pretty(answer)?));
    }
    let accounts = match answer {
        Value::Array(accounts) => accounts.as_slice(),
        Value::Object(object) => match object.get("accounts") {
            Some(Value::Array(accounts)) => accounts.as_slice(),
            _ => std::slice::from_ref(answer),
        },
        _ => &[],
    };
    ensure!(answer.is_array() || answer.is_object(), "the server did not answer with accounts");
    let mut text = String::new();
    for account in accounts {
        let field = |name: &str| account.get(name).and_then(Value::as_str).unwrap_or_default();
        let _ = writeln!(text, "{}  {}  {}", field("id"), field("name"), field("email"));
        let _ = writeln!(text, "  canonical id  {}", field("canonical_id"));
        for key in account.get("keys").and_then(Value::as_array).into_iter().flatten() {
            let part = |name: &str| key.get(name).and_then(Value::as_str).unwrap_or_default();
            let access = key.as_str().unwrap_or_else(|| part("access_key"));
            let line = format!("  key           {access} {}", part("secret_key"));
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    super::print(&text)
}
