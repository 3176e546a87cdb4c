//! The table as data and as compatibility pages.

use std::fmt::Write as _;

use model::policy::Vocabulary;
use serde::Serialize;

use super::table;
use crate::{
    address,
    dialect::Dialect,
    wire::{Entry, Handler, Target},
};

/// One operation of one protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OperationRow {
    /// `s3` or `oss`.
    pub dialect: &'static str,
    pub name: &'static str,
    pub method: &'static str,
    /// `service`, `bucket` or `object`.
    pub target: &'static str,
    /// Query keys it requires.
    pub query: &'static [&'static str],
    /// Headers it requires, in full.
    pub headers: Vec<String>,
    /// What a policy must allow, as the protocol calls it; for a copy the target first. With a
    /// version id it is the action of that name with `Version` in it.
    pub actions: Vec<String>,
    pub served: bool,
    /// How far it is served, or why it is not.
    pub reason: &'static str,
    /// The client test that shows it.
    pub test: Option<&'static str>,
}

/// Every operation, once for each protocol that has it, ordered by protocol and name.
pub fn list() -> Vec<OperationRow> {
    let mut rows: Vec<OperationRow> = [Dialect::S3, Dialect::Oss]
        .into_iter()
        .flat_map(|dialect| {
            let entries = table().iter();
            entries.filter_map(move |entry| row(entry, dialect))
        })
        .collect();
    rows.sort_by_key(|row| (row.dialect == "oss", row.name, row.method, row.query));
    rows
}

fn row(entry: &Entry, dialect: Dialect) -> Option<OperationRow> {
    let route = &entry.route;
    let (served, reason) = match entry.handler {
        Handler::Operation { .. } => (true, ""),
        Handler::Absent(_) => (true, "answers that none is set"),
        Handler::Refused(reason) => (false, reason),
    };
    let words = match dialect {
        Dialect::S3 => Vocabulary::S3,
        Dialect::Oss => Vocabulary::Oss,
    };
    let full = |suffix: &&str| format!("{}{suffix}", dialect.header_prefix());
    route.dialects.include(dialect).then(|| OperationRow {
        dialect: match dialect {
            Dialect::S3 => "s3",
            Dialect::Oss => "oss",
        },
        name: route.name_in(dialect),
        method: route.method,
        target: match route.target {
            Target::Service => "service",
            Target::Bucket => "bucket",
            Target::Object => "object",
        },
        query: route.query,
        headers: route.headers.iter().map(full).collect(),
        actions: route.actions_in(dialect).into_iter().map(|it| it.word_in(words)).collect(),
        served,
        reason,
        test: match dialect {
            Dialect::S3 => route.s3_test,
            Dialect::Oss => route.oss_test,
        },
    })
}

/// The compatibility page of a protocol, in Markdown.
pub fn page(dialect: Dialect) -> String {
    let (short, title) = match dialect {
        Dialect::S3 => ("s3", "Amazon S3"),
        Dialect::Oss => ("oss", "Alibaba OSS"),
    };
    let mut page = format!(
        "# {title}: what is served\n\n\
         Generated from the operation table; do not edit.\n\n\
         *Served* operations work. *None is set*: reading the document answers as if nobody had \
         set it, deleting it succeeds. *Refused* operations answer 501 `NotImplemented`.\n\n\
         *Action* is what a policy must allow to those who do not own the bucket.\n\n\
         | Operation | Request | Action | State | Client test |\n\
         | --- | --- | --- | --- | --- |\n"
    );
    for row in list().iter().filter(|row| row.dialect == short) {
        let state = match (row.served, row.reason) {
            (true, "") => "served".to_owned(),
            (true, _) => "none is set".to_owned(),
            (false, reason) => format!("refused: {reason}"),
        };
        let test = row.test.map(|test| format!("`{test}`")).unwrap_or_default();
        // Writing to a String cannot fail.
        let action = row.actions.join(", ");
        let line = request_line(row);
        let _ = writeln!(page, "| {} | `{line}` | {action} | {state} | {test} |", row.name);
    }
    page
}

fn request_line(row: &OperationRow) -> String {
    if row.dialect == "s3" && row.target == "service" && row.query == ["publicAccessBlock"] {
        return format!("{} {}", row.method, address::CONTROL_BLOCK);
    }
    let path = match row.target {
        "service" => "/",
        "bucket" => "/{bucket}",
        _ => "/{bucket}/{key}",
    };
    let query =
        if row.query.is_empty() { String::new() } else { format!("?{}", row.query.join("&")) };
    let headers: String = row.headers.iter().map(|header| format!(" + {header}")).collect();
    format!("{} {path}{query}{headers}", row.method)
}
