//! `/_larder/audit`: who changed what may be done by whom.

use std::sync::Arc;

use model::audit::AuditEntry;
use serde::{Deserialize, Serialize};
use service::{
    Service,
    audit::{AuditPage, ReadAudit},
};

use super::json;
use crate::{
    wire::{Reply, Request, Result},
    xml::date,
};

/// Which entries are wanted; what is absent is no condition.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    after: u64,
    since_ms: Option<i64>,
    until_ms: Option<i64>,
    who: Option<String>,
    what: Option<String>,
}

#[derive(Serialize)]
struct Page {
    entries: Vec<Entry>,
    /// To be given as `after` for the next page; `None` at the end.
    next: Option<u64>,
}

#[derive(Serialize)]
struct Entry {
    number: u64,
    time: String,
    who: String,
    access_key: Option<String>,
    account: Option<String>,
    address: Option<String>,
    user_agent: Option<String>,
    request_id: String,
    action: String,
    resource: String,
    details: Vec<Detail>,
}

#[derive(Serialize)]
struct Detail {
    name: String,
    value: String,
}

/// `POST /_larder/audit`
pub async fn read(request: &mut Request, service: &Arc<Service>) -> Result<Reply> {
    let Wanted { after, since_ms, until_ms, who, what } = super::read(request).await?;
    let read = ReadAudit { after, since_ms, until_ms, who, what };
    let AuditPage { entries, next } = service.call(&request.caller, read).await?;
    json(200, &Page { entries: entries.into_iter().map(entry).collect(), next })
}

fn entry((number, entry): (u64, AuditEntry)) -> Entry {
    let details = entry.details.into_iter().map(|(name, value)| Detail { name, value });
    Entry {
        number,
        time: date(entry.at_ms),
        who: entry.who,
        access_key: entry.access_key,
        account: entry.account.map(|account| account.to_string()),
        address: entry.address,
        user_agent: entry.user_agent,
        request_id: entry.request_id,
        action: entry.action,
        resource: entry.resource,
        details: details.collect(),
    }
}
