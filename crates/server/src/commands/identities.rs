//! `larder user`, `group`, `role` and `policy`: a client of the server's IAM interface.

use std::fmt::Write;
use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::{list, print, print_json, text};
use crate::cli::{
    Group, Holder, Membership, NewEntity, OneKey, OneName, Policy, Remote, Role, User, UserKey,
};
use crate::client::{ask_iam, list_iam};

/// Largest file with a policy.
const POLICY_BYTES_MAX: u64 = 64 * 1024;

/// Does what the command asks for and prints the answer.
pub fn user(command: &User) -> Result<()> {
    match command {
        User::Create(new) => create(new, "User", &[]),
        User::List(remote) => list_all(remote, "User"),
        User::Show(it) => show(it, "User"),
        User::Delete(it) => delete(it, "User"),
        User::Key(key) => user_key(key),
    }
}

pub fn group(command: &Group) -> Result<()> {
    let change = |action: &str, it: &Membership| {
        let parameters = [("GroupName", it.group.as_str()), ("UserName", it.user.as_str())];
        ask_iam(&it.remote, action, &parameters).map(drop)
    };
    match command {
        Group::Create(new) => create(new, "Group", &[]),
        Group::List(remote) => list_all(remote, "Group"),
        Group::Show(it) => show(it, "Group"),
        Group::Add(it) => change("AddUserToGroup", it),
        Group::Remove(it) => change("RemoveUserFromGroup", it),
        Group::Delete(it) => delete(it, "Group"),
    }
}

pub fn role(command: &Role) -> Result<()> {
    match command {
        Role::Create(new) => {
            let trust = match (&new.trust_policy, &new.trust) {
                (Some(file), _) => read(file)?,
                (None, trust) => json!({
                    "Version": "2012-10-17",
                    "Statement": [{
                        "Effect": "Allow",
                        "Principal": { "AWS": trust },
                        "Action": "sts:AssumeRole",
                    }],
                })
                .to_string(),
            };
            create(&new.entity, "Role", &[("AssumeRolePolicyDocument", &trust)])
        }
        Role::List(remote) => list_all(remote, "Role"),
        Role::Show(it) => show(it, "Role"),
        Role::Delete(it) => delete(it, "Role"),
    }
}

pub fn policy(command: &Policy) -> Result<()> {
    match command {
        Policy::Create(new) => {
            let document = read(&new.file)?;
            let parameters = [("PolicyName", new.name.as_str()), ("PolicyDocument", &document)];
            let made = ask_iam(&new.remote, "CreatePolicy", &parameters)?;
            let made = made.get("Policy").unwrap_or(&Value::Null);
            tell(&new.remote, made, |it| format!("{}\n", text(it, "Arn")))
        }
        Policy::List(it) => {
            let scope = if it.all { "All" } else { "Local" };
            let parameters = [("Scope", scope)];
            let found = list_iam(&it.remote, "ListPolicies", &parameters, "Policies")?;
            tell(&it.remote, &Value::Array(found), |found| {
                let lines = found.as_array().into_iter().flatten().map(|it| {
                    let (name, arn) = (text(it, "PolicyName"), text(it, "Arn"));
                    format!("{name:<32}  {arn}  had by {}\n", text(it, "AttachmentCount"))
                });
                lines.collect()
            })
        }
        Policy::Show(it) => show_policy(it),
        Policy::Attach(it) => attach("Attach", &it.remote, &it.policy, &it.holder),
        Policy::Detach(it) => attach("Detach", &it.remote, &it.policy, &it.holder),
        Policy::Delete(it) => {
            let arn = policy_arn(&it.remote, &it.name)?;
            ask_iam(&it.remote, "DeletePolicy", &[("PolicyArn", &arn)]).map(drop)
        }
    }
}

fn user_key(command: &UserKey) -> Result<()> {
    let change = |it: &OneKey, status: &str| {
        let parameters = [
            ("UserName", it.name.as_str()),
            ("AccessKeyId", it.access_key.as_str()),
            ("Status", status),
        ];
        ask_iam(&it.remote, "UpdateAccessKey", &parameters).map(drop)
    };
    match command {
        UserKey::Create(it) => {
            let made = ask_iam(&it.remote, "CreateAccessKey", &[("UserName", &it.name)])?;
            tell(&it.remote, made.get("AccessKey").unwrap_or(&Value::Null), |key| {
                let (name, secret) = (text(key, "AccessKeyId"), text(key, "SecretAccessKey"));
                format!("access key  {name}\nsecret key  {secret}\n")
            })
        }
        UserKey::List(it) => {
            tell(&it.remote, &Value::Array(keys(&it.remote, &it.name)?), |found| {
                found.as_array().into_iter().flatten().map(|it| key_line(it) + "\n").collect()
            })
        }
        UserKey::Disable(it) => change(it, "Inactive"),
        UserKey::Enable(it) => change(it, "Active"),
        UserKey::Delete(it) => {
            let parameters =
                [("UserName", it.name.as_str()), ("AccessKeyId", it.access_key.as_str())];
            ask_iam(&it.remote, "DeleteAccessKey", &parameters).map(drop)
        }
    }
}

fn keys(remote: &Remote, user: &str) -> Result<Vec<Value>> {
    list_iam(remote, "ListAccessKeys", &[("UserName", user)], "AccessKeyMetadata")
}

fn key_line(key: &Value) -> String {
    let part = |name: &str| text(key, name);
    format!("{}  {}  made {}", part("AccessKeyId"), part("Status"), part("CreateDate"))
}

/// Prints an answer: as JSON, or as the words for it.
fn tell(remote: &Remote, answer: &Value, words: impl Fn(&Value) -> String) -> Result<()> {
    match remote.output.json {
        true => print_json(answer),
        false => print(&words(answer)),
    }
}

/// - `kind`: `User`, `Group` or `Role`, as IAM writes it.
fn create(new: &NewEntity, kind: &str, more: &[(&str, &str)]) -> Result<()> {
    let name = format!("{kind}Name");
    let mut parameters = vec![(name.as_str(), new.name.as_str()), ("Path", new.path.as_str())];
    parameters.extend(more);
    let made = ask_iam(&new.remote, &format!("Create{kind}"), &parameters)?;
    let made = made.get(kind).unwrap_or(&Value::Null);
    tell(&new.remote, made, |it| format!("{}\n", text(it, "Arn")))
}

fn list_all(remote: &Remote, kind: &str) -> Result<()> {
    let (action, entries) = (format!("List{kind}s"), format!("{kind}s"));
    let found = list_iam(remote, &action, &[], &entries)?;
    tell(remote, &Value::Array(found), |found| {
        let name = format!("{kind}Name");
        let lines = found.as_array().into_iter().flatten().map(|it| {
            let (name, arn) = (text(it, &name), text(it, "Arn"));
            format!("{name:<32}  {arn}  made {}\n", text(it, "CreateDate"))
        });
        lines.collect()
    })
}

fn delete(it: &OneName, kind: &str) -> Result<()> {
    let name = format!("{kind}Name");
    ask_iam(&it.remote, &format!("Delete{kind}"), &[(&name, &it.name)]).map(drop)
}

/// Shows an entity with all that belongs to it.
fn show(it: &OneName, kind: &str) -> Result<()> {
    let name = format!("{kind}Name");
    let parameters = [(name.as_str(), it.name.as_str())];
    let listed = |action: &str, list: &str| list_iam(&it.remote, action, &parameters, list);
    let found = ask_iam(&it.remote, &format!("Get{kind}"), &parameters)?;
    let mut shown = found.get(kind).cloned().unwrap_or_else(|| json!({}));
    let attached = listed(&format!("ListAttached{kind}Policies"), "AttachedPolicies")?;
    let inline = listed(&format!("List{kind}Policies"), "PolicyNames")?;
    let mut parts = vec![("AttachedPolicies", attached), ("InlinePolicies", inline)];
    match kind {
        "User" => {
            parts.push(("Groups", listed("ListGroupsForUser", "Groups")?));
            parts.push(("AccessKeys", keys(&it.remote, &it.name)?));
        }
        "Group" => parts.push(("Users", listed("GetGroup", "Users")?)),
        _ => {}
    }
    if let Some(shown) = shown.as_object_mut() {
        shown.extend(parts.into_iter().map(|(name, found)| (name.to_owned(), found.into())));
        if let Some(trust) = shown.get_mut("AssumeRolePolicyDocument") {
            *trust = decoded(trust);
        }
    }
    tell(&it.remote, &shown, |shown| words(shown, kind))
}

fn words(shown: &Value, kind: &str) -> String {
    let mut lines = format!("{}\n", text(shown, "Arn"));
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "  {name:<9} {value}");
    };
    line("id", text(shown, &format!("{kind}Id")));
    line("made", text(shown, "CreateDate"));
    if let Some(boundary) = shown.get("PermissionsBoundary") {
        line("boundary", text(boundary, "PermissionsBoundaryArn"));
    }
    for it in list(shown, "AttachedPolicies") {
        line("policy", text(it, "PolicyArn"));
    }
    for it in list(shown, "InlinePolicies") {
        line("policy", &format!("{} (its own)", it.as_str().unwrap_or_default()));
    }
    for it in list(shown, "Groups") {
        line("group", text(it, "GroupName"));
    }
    for it in list(shown, "Users") {
        line("user", text(it, "UserName"));
    }
    for it in list(shown, "AccessKeys") {
        line("key", &key_line(it));
    }
    if let Some(trust) = shown.get("AssumeRolePolicyDocument") {
        line("trust", &trust.to_string());
    }
    lines
}

fn show_policy(it: &OneName) -> Result<()> {
    let arn = policy_arn(&it.remote, &it.name)?;
    let found = ask_iam(&it.remote, "GetPolicy", &[("PolicyArn", &arn)])?;
    let mut shown = found.get("Policy").cloned().unwrap_or_else(|| json!({}));
    let version = text(&shown, "DefaultVersionId").to_owned();
    let parameters = [("PolicyArn", arn.as_str()), ("VersionId", version.as_str())];
    let found = ask_iam(&it.remote, "GetPolicyVersion", &parameters)?;
    let document = found.pointer("/PolicyVersion/Document").map(decoded).unwrap_or_default();
    let parameters = [("PolicyArn", arn.as_str())];
    let holders = ask_iam(&it.remote, "ListEntitiesForPolicy", &parameters)?;
    let kinds = [("PolicyUsers", "UserName"), ("PolicyGroups", "GroupName")];
    let kinds = kinds.into_iter().chain([("PolicyRoles", "RoleName")]);
    let names: Vec<Value> = kinds
        .flat_map(|(entries, name)| {
            list(&holders, entries).iter().filter_map(move |it| it.get(name))
        })
        .cloned()
        .collect();
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("Document".into(), document);
        shown.insert("Holders".into(), names.into());
    }
    tell(&it.remote, &shown, |shown| {
        let mut lines = format!("{}  {}\n", text(shown, "Arn"), text(shown, "DefaultVersionId"));
        for name in list(shown, "Holders") {
            let _ = writeln!(lines, "  had by {}", name.as_str().unwrap_or_default());
        }
        let document = shown.get("Document").unwrap_or(&Value::Null);
        let _ = writeln!(lines, "{document:#}");
        lines
    })
}

fn attach(what: &str, remote: &Remote, policy: &str, holder: &Holder) -> Result<()> {
    let of = [("User", &holder.user), ("Group", &holder.group), ("Role", &holder.role)];
    let found = of.into_iter().find_map(|(kind, name)| Some((kind, name.as_ref()?)));
    let (kind, holder) = found.context("give --user, --group or --role")?;
    let (name, arn) = (format!("{kind}Name"), policy_arn(remote, policy)?);
    let parameters = [(name.as_str(), holder.as_str()), ("PolicyArn", arn.as_str())];
    ask_iam(remote, &format!("{what}{kind}Policy"), &parameters).map(drop)
}

/// The ARN of a policy by its name; an ARN is one already.
fn policy_arn(remote: &Remote, name: &str) -> Result<String> {
    if name.starts_with("arn:") {
        return Ok(name.to_owned());
    }
    let found = list_iam(remote, "ListPolicies", &[("Scope", "All")], "Policies")?;
    let found = found.iter().find(|it| text(it, "PolicyName") == name);
    let found = found.with_context(|| format!("there is no policy {name}"))?;
    Ok(text(found, "Arn").to_owned())
}

/// A policy in an answer, which has it percent-encoded, as JSON.
fn decoded(document: &Value) -> Value {
    let encoded = document.as_str().unwrap_or_default();
    let decoded = percent_decode_str(encoded).decode_utf8_lossy();
    serde_json::from_str(&decoded).unwrap_or_else(|_| Value::String(decoded.into_owned()))
}

/// The text in a file, or on standard input.
fn read(file: &Path) -> Result<String> {
    let mut text = String::new();
    let unreadable = || format!("cannot read {}", file.display());
    if file == Path::new("-") {
        std::io::stdin().take(POLICY_BYTES_MAX).read_to_string(&mut text)?;
    } else {
        let opened = fs::File::open(file).with_context(unreadable)?;
        opened.take(POLICY_BYTES_MAX).read_to_string(&mut text).with_context(unreadable)?;
    }
    Ok(text)
}
