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

/// What users are called now, with their paths, by id: of the accounts that were asked for.
#[derive(Default)]
pub(crate) struct UsersNow(HashMap<AccountId, HashMap<String, String>>);

impl UsersNow {
    async fn name(&mut self, service: &Service, named: &NamedEntity) -> Result<Option<String>> {
        if !self.0.contains_key(&named.account) {
            let all = service.metadata.entities(&named.account, EntityKind::User).await?;
            let by_id = all.into_iter().map(|user| (user.id.clone(), user.full_name()));
            self.0.insert(named.account.clone(), by_id.collect());
        }
        let of_account = self.0.get(&named.account);
        Ok(of_account.zip(named.id.as_ref()).and_then(|(users, id)| users.get(id)).cloned())
    }
}

impl Service {
    async fn named(&self, named: &NamedEntity) -> Result<Option<Entity>> {
        Ok(self.metadata.entity(&named.account, named.kind, named.last_name()).await?)
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
    pub(crate) async fn shown(
        &self,
        text: &str,
        noted: &[NamedEntity],
        users: &mut UsersNow,
    ) -> Result<String> {
        let mut now = Vec::new();
        for named in noted {
            let is = |found: &Entity| named.id.as_ref() == Some(&found.id);
            let name = match self.named(named).await?.filter(is) {
                // A role keeps its name.
                Some(_) if named.kind != EntityKind::User => continue,
                Some(found) => Some(found.full_name()),
                None if named.kind != EntityKind::User => None,
                None => users.name(self, named).await?,
            };
            if name.as_ref() != Some(&named.name) {
                now.push((named.clone(), name));
            }
        }
        Ok(show_named(text, &now))
    }

    /// Has roles, and whatever else is among them, trust whom they mean by their present names.
    ///
    /// # Errors
    /// When metadata cannot be read.
    pub async fn show_roles(&self, entities: &mut [Entity]) -> Result<()> {
        let mut users = UsersNow::default();
        for facts in entities.iter_mut().filter_map(|entity| entity.role.as_mut()) {
            facts.trust = self.shown(&facts.trust, &facts.named, &mut users).await?;
            // What is in memory is read without a pause, and there may be many.
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

/// The policy that says who may take on a role; `None` if it is none, or cannot be read.
pub(crate) fn trust_of(role: &Entity) -> Option<Document> {
    let facts = role.role.as_ref()?;
    Some(Document::parse(&facts.trust, Kind::Trust).ok()?.meaning(&facts.named))
}
