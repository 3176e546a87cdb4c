//! Users, groups, roles, managed policies and their access keys: all that an account gives rights
//! to.
//!
//! Every change of one account's entities writes its revision row anew and expects the one it read:
//! changes come one after the other, and whoever reads the revision knows what was in force.

use minicbor::{Decode, Encode};
use model::{
    Condition,
    entities::{Entity, EntityKind, KeyUse, ManagedPolicy},
    names::AccountId,
    records::AccessKey,
};

use crate::{
    Error, Metadata, Result,
    engine::Direction,
    keys,
    transaction::{Draft, Try, decode_row},
};

/// Entities of an account that goes, deleted in one commit.
const DELETED_AT_ONCE: usize = 500;

/// The state of an account's entities.
#[derive(Clone, Copy, Debug, Encode, Decode)]
struct Revision {
    /// Random, new with each change.
    #[n(0)]
    number: u64,
}

/// Changes of one account's entities, put together in one commit.
pub struct EntityChanges {
    account: AccountId,
    draft: Draft,
}

impl EntityChanges {
    /// Writes an entity, over the one of that name if there is one.
    pub fn put(&mut self, kind: EntityKind, entity: &Entity) {
        self.draft.put(keys::entity(&self.account, kind, &entity.name), entity);
    }

    pub fn delete(&mut self, kind: EntityKind, name: &str) {
        self.draft.delete(keys::entity(&self.account, kind, name));
    }

    pub fn put_policy(&mut self, policy: &ManagedPolicy) {
        self.draft.put(keys::managed_policy(&self.account, &policy.name), policy);
    }

    pub fn delete_policy(&mut self, name: &str) {
        self.draft.delete(keys::managed_policy(&self.account, name));
    }

    /// Writes a key; which name it has must be free, or its own.
    pub fn put_key(&mut self, key: &AccessKey) {
        self.draft.put(keys::access_key(&key.access_key), key);
    }

    pub fn delete_key(&mut self, name: &str) {
        self.draft.delete(keys::access_key(name));
        self.draft.delete(keys::key_use(name));
    }
}

impl Metadata {
    /// What changes whenever an entity of the account or a policy of one does; 0 before the first.
    pub async fn entity_revision(&self, account: &AccountId) -> Result<u64> {
        let found = self.record::<Revision>(&keys::entity_revision(account)).await?;
        Ok(found.map_or(0, |(revision, _)| revision.number))
    }

    /// The entity of a name, in whatever case of letters.
    pub async fn entity(
        &self,
        account: &AccountId,
        kind: EntityKind,
        name: &str,
    ) -> Result<Option<Entity>> {
        if name.len() > 128 {
            return Ok(None);
        }
        Ok(self.record(&keys::entity(account, kind, name)).await?.map(|(entity, _)| entity))
    }

    /// All of a kind, in order of name.
    pub async fn entities(&self, account: &AccountId, kind: EntityKind) -> Result<Vec<Entity>> {
        self.all(keys::entities(account, kind)).await
    }

    pub async fn managed_policy(
        &self,
        account: &AccountId,
        name: &str,
    ) -> Result<Option<ManagedPolicy>> {
        if name.len() > 128 {
            return Ok(None);
        }
        Ok(self.record(&keys::managed_policy(account, name)).await?.map(|(policy, _)| policy))
    }

    /// All of an account, in order of name.
    pub async fn managed_policies(&self, account: &AccountId) -> Result<Vec<ManagedPolicy>> {
        self.all(keys::managed_policies(account)).await
    }

    /// Changes an account's entities.
    ///
    /// - `decide`: reads what there is and says what becomes of it; may run several times. What it
    ///   reads is what the commit is made on.
    ///
    /// # Errors
    /// [`Condition::NoSuchAccount`], and what `decide` says.
    pub async fn change_entities<T, E: From<Error>>(
        &self,
        account: &AccountId,
        decide: impl AsyncFn(&mut EntityChanges) -> Result<T, E>,
    ) -> Result<T, E> {
        let decided = self.transact(async || {
            let (account_row, revision_row) =
                (keys::account(account), keys::entity_revision(account));
            let found = self.engine.get_many(&[account_row.clone(), revision_row.clone()]).await?;
            let [owner, revision] = found.as_slice() else { return Err(Error::Busy) };
            if owner.is_none() {
                return Err(Condition::NoSuchAccount.into());
            }
            let mut draft = Draft::default();
            draft.expect_row(&account_row, owner.as_ref());
            draft.expect_row(&revision_row, revision.as_ref());
            let mut changes = EntityChanges { account: account.clone(), draft };
            match decide(&mut changes).await {
                Err(error) => Ok(Try::Done(Err(error))),
                Ok(value) => {
                    let mut draft = changes.draft;
                    let number = u64::from_be_bytes(self.random());
                    draft.put(revision_row, &Revision { number });
                    Ok(Try::Commit(draft, Ok(value)))
                }
            }
        });
        decided.await?
    }

    pub async fn key_use(&self, access_key: &str) -> Result<Option<KeyUse>> {
        Ok(self.record(&keys::key_use(access_key)).await?.map(|(used, _)| used))
    }

    /// Notes that a key was used, if it is still there.
    pub async fn note_key_use(&self, access_key: &str, used: &KeyUse) -> Result<()> {
        self.transact(async || {
            let found = self.record::<AccessKey>(&keys::access_key(access_key)).await?;
            let Some((_, guard)) = found else { return Ok(Try::Done(())) };
            let mut draft = Draft::default();
            draft.expect(&guard);
            draft.put(keys::key_use(access_key), used);
            Ok(Try::Commit(draft, ()))
        })
        .await
    }

    /// Deletes the entities of an account that goes, some at a time.
    pub(crate) async fn delete_entities(&self, account: &AccountId) -> Result<()> {
        for range in [keys::account_entities(account), keys::managed_policies(account)] {
            let mut rest = Some(range);
            while let Some(range) = rest {
                let page = self.engine.scan(&range, DELETED_AT_ONCE, Direction::Forward).await?;
                self.transact(async || {
                    let mut draft = Draft::reclaiming();
                    page.rows.iter().for_each(|(key, _)| draft.delete(key.clone()));
                    let number = u64::from_be_bytes(self.random());
                    draft.put(keys::entity_revision(account), &Revision { number });
                    Ok(Try::Commit(draft, ()))
                })
                .await?;
                rest = page.next;
            }
        }
        Ok(())
    }

    pub(crate) async fn all<T: for<'b> Decode<'b, ()>>(
        &self,
        range: crate::engine::ScanRange,
    ) -> Result<Vec<T>> {
        let mut records = Vec::new();
        let mut rest = Some(range);
        while let Some(range) = rest {
            let page = self.engine.scan(&range, 500, Direction::Forward).await?;
            for (key, row) in &page.rows {
                records.push(decode_row(key, row)?);
            }
            rest = page.next;
        }
        Ok(records)
    }
}
