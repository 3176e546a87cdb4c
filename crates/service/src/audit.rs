//! The audit trail: what is told of a change, and the trail as the root account reads it.
//!
//! Each entry is written by `metadata` in the commit of its change.

use std::sync::Arc;

use model::{
    acl::{Acl, Grant, Grantee},
    audit::AuditEntry,
    checksums::Algorithm,
    names::BucketName,
    policy::{Action, Document, Principal},
    records::AccessBlock,
};

use crate::{Caller, Need, Operation, Permit, Result, Service, explain::cut_at};

/// Longest text in an entry, in bytes, and most details.
const TEXT_BYTES_MAX: usize = 512;
const DETAILS_MAX: usize = 16;

/// Entries looked at for one page.
const LOOKED_AT_MAX: usize = 1000;

/// What is told of a change.
///
/// - `action`: as policies name it.
/// - `details`: never a secret.
pub(crate) fn entry(
    caller: &Caller,
    action: &str,
    resource: &str,
    details: &[(&'static str, String)],
) -> AuditEntry {
    let facts = &caller.facts;
    let cut = |text: &str| cut_at(text.to_owned(), TEXT_BYTES_MAX);
    let details = details.iter().take(DETAILS_MAX);
    AuditEntry {
        at_ms: facts.now_ms,
        who: match &facts.principal {
            Principal::System(worker) => format!("server:{worker}"),
            principal => principal.caller_arn().unwrap_or_else(|| "anonymous".to_owned()),
        },
        access_key: facts.access_key.clone(),
        account: caller.account_id().cloned(),
        address: facts.source.map(|source| source.to_string()),
        user_agent: facts.user_agent.as_deref().map(cut),
        request_id: caller.request_id.clone(),
        action: action.to_owned(),
        resource: cut(resource),
        details: details.map(|(name, value)| ((*name).to_owned(), cut(value))).collect(),
    }
}

/// What is told besides: names with values.
pub(crate) type Details = Vec<(&'static str, String)>;

/// What is told of an access control list.
pub(crate) fn acl_details(acl: Option<&Acl>) -> Details {
    match acl {
        None => vec![("Acl", "private".to_owned())],
        Some(Acl::Word(word)) => vec![("Acl", word.name().to_owned())],
        Some(Acl::Grants(grants)) => {
            let grant = |Grant { grantee, permission }: &Grant| {
                let who = match grantee {
                    Grantee::Account(account) => account.as_str(),
                    Grantee::Everybody => "AllUsers",
                    Grantee::Authenticated => "AuthenticatedUsers",
                    Grantee::LogDelivery => "LogDelivery",
                };
                ("Grant", format!("{} {who}", permission.name()))
            };
            // To strangers first: the rest may be too much to tell.
            let stranger = |grant: &&Grant| !matches!(grant.grantee, Grantee::Account(_));
            let (strangers, accounts): (Vec<_>, Vec<_>) = grants.iter().partition(stranger);
            let count = [("Grants", grants.len().to_string())];
            count.into_iter().chain(strangers.into_iter().chain(accounts).map(grant)).collect()
        }
    }
}

/// What is told of a policy: never its text.
pub(crate) fn policy_details(text: &str, document: &Document) -> Details {
    let hash = hex::encode(Algorithm::Sha256.hash(text.as_bytes()));
    vec![("Statements", document.statements.len().to_string()), ("Sha256", hash)]
}

/// What is told of a public access block.
pub(crate) fn block_details(block: Option<AccessBlock>) -> Details {
    let told = block.map_or_else(|| "none".to_owned(), |block| format!("{block:?}"));
    vec![("AccessBlock", told)]
}

impl<O: ?Sized> Permit<'_, O> {
    /// What is told of a change of a bucket.
    pub(crate) fn audit(&self, action: Action, bucket: &BucketName) -> AuditEntry {
        self.audit_with(action, bucket, &[])
    }

    /// The same with more to tell.
    pub(crate) fn audit_with(
        &self,
        action: Action,
        bucket: &BucketName,
        details: &[(&'static str, String)],
    ) -> AuditEntry {
        entry(self.caller(), &action.word(), &format!("arn:aws:s3:::{bucket}"), details)
    }
}

/// Reads the audit trail, from the oldest entry on.
#[derive(Clone, Debug, Default)]
pub struct ReadAudit {
    /// Only what was committed after this number.
    pub after: u64,
    pub since_ms: Option<i64>,
    /// Not included.
    pub until_ms: Option<i64>,
    /// A part of the ARN, the access key or the address of whoever asked.
    pub who: Option<String>,
    /// A part of the action or of the ARN of what was changed.
    pub what: Option<String>,
}

/// A part of the audit trail.
#[derive(Clone, Debug)]
pub struct AuditPage {
    /// Each with the number of its commit.
    pub entries: Vec<(u64, AuditEntry)>,
    /// Where to go on; `None` at the end.
    pub next: Option<u64>,
}

impl ReadAudit {
    fn wants(&self, entry: &AuditEntry) -> bool {
        let part = |wanted: &Option<String>, texts: &[Option<&String>]| {
            wanted.as_ref().is_none_or(|wanted| {
                let wanted = wanted.to_lowercase();
                texts.iter().flatten().any(|text| text.to_lowercase().contains(&wanted))
            })
        };
        let who = [Some(&entry.who), entry.access_key.as_ref(), entry.address.as_ref()];
        self.since_ms.is_none_or(|since_ms| entry.at_ms >= since_ms)
            && self.until_ms.is_none_or(|until_ms| entry.at_ms < until_ms)
            && part(&self.who, &who)
            && part(&self.what, &[Some(&entry.action), Some(&entry.resource)])
    }
}

impl Operation for ReadAudit {
    type Output = AuditPage;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(Action::AdminStore)
    }

    async fn run(self, _: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let mut entries = service.metadata.audit_trail(self.after, LOOKED_AT_MAX).await?;
        let next = entries.last().map(|(number, _)| *number);
        entries.retain(|(_, entry)| self.wants(entry));
        Ok(AuditPage { entries, next })
    }
}
