//! The users and roles that the policies of buckets and roles name: they must be there when it is
//! written, and it shows them as they are called now.
//!
//! Which they are is noted by `metadata` in the commit that writes the policy; what that means is
//! in `model::policy::named`.

use std::collections::HashMap;

use model::{
    entities::{Entity, EntityKind, NamedEntity},
    limits::POLICY_ENTITIES_MAX,
    names::AccountId,
    policy::{Document, Kind, Who, show_named},
};

use crate::{Result, Service, policies::malformed};

impl Service {
    async fn named(&self, named: &NamedEntity) -> Result<Option<Entity>> {
        let last = named.name.rsplit('/').next().unwrap_or_default();
        Ok(self.metadata.entity(&named.account, named.kind, last).await?)
    }

    /// Refuses principals that do not exist. The users and roles that are named.
    pub(crate) async fn check_principals(&self, document: &Document) -> Result<Vec<NamedEntity>> {
        let named = document.named_entities();
        if named.len() > POLICY_ENTITIES_MAX {
            let detail = format!("Policies name at most {POLICY_ENTITIES_MAX} users and roles");
            return Err(malformed(detail));
        }
        for who in document.statements.iter().flat_map(|statement| statement.named()) {
            let (exists, named) = match who {
                Who::Account(id) => (self.metadata.account(id).await?.is_some(), id.as_str()),
                Who::Canonical(id) => {
                    let accounts = self.metadata.accounts().await?;
                    (accounts.iter().any(|account| account.canonical_id == *id), id.as_str())
                }
                Who::Entity(named) => {
                    let found = self.named(named).await?;
                    let exists = found.is_some_and(|found| found.full_name() == named.name);
                    (exists, named.name.as_str())
                }
                // A session is named without the path of its role.
                Who::Session { role, .. } => {
                    let found = self.named(role).await?;
                    (found.is_some_and(|found| found.name == role.name), role.name.as_str())
                }
                Who::Everybody | Who::Federated(_) | Who::Service(_) => continue,
            };
            if !exists {
                return Err(malformed(format!("Invalid principal in policy: {named}")));
            }
        }
        Ok(named)
    }

    /// A policy as it is shown: with the users and roles it means as they are called now.
    pub(crate) async fn shown(&self, text: &str, noted: &[NamedEntity]) -> Result<String> {
        let mut users: HashMap<&AccountId, Vec<Entity>> = HashMap::new();
        let mut now = Vec::new();
        for named in noted {
            let is = |found: &Entity| named.id.as_ref() == Some(&found.id);
            let found = match self.named(named).await?.filter(is) {
                Some(found) => Some(found),
                // A role keeps its name.
                None if named.kind != EntityKind::User => None,
                None => {
                    if !users.contains_key(&named.account) {
                        let all = self.metadata.entities(&named.account, named.kind).await?;
                        users.insert(&named.account, all);
                    }
                    let all = users.get(&named.account).into_iter().flatten();
                    all.into_iter().find(|user| is(user)).cloned()
                }
            };
            match found.map(|found| found.full_name()) {
                Some(name) if name == named.name || named.kind != EntityKind::User => {}
                other => now.push((named.clone(), other)),
            }
        }
        Ok(show_named(text, &now))
    }

    /// A role as it is shown.
    pub(crate) async fn shown_role(&self, mut role: Entity) -> Result<Entity> {
        if let Some(facts) = &mut role.role {
            facts.trust = self.shown(&facts.trust, &facts.named).await?;
        }
        Ok(role)
    }
}

/// The policy that says who may take on a role; `None` if it is none, or cannot be read.
pub(crate) fn trust_of(role: &Entity) -> Option<Document> {
    let facts = role.role.as_ref()?;
    Some(Document::parse(&facts.trust, Kind::Trust).ok()?.meaning(&facts.named))
}
