//! Accounts and access keys.

use std::sync::atomic::{AtomicBool, Ordering};

use model::{
    Condition,
    audit::AuditEntry,
    names::AccountId,
    records::{AccessBlock, AccessKey, Account},
};

use crate::{
    Metadata, Result,
    engine::Direction,
    keys,
    transaction::{Draft, Try},
    usage::Scope,
};

impl Metadata {
    pub async fn account(&self, id: &AccountId) -> Result<Option<Account>> {
        Ok(self.record(&keys::account(id)).await?.map(|(account, _)| account))
    }

    pub async fn access_key(&self, name: &str) -> Result<Option<AccessKey>> {
        if name.len() > 128 {
            return Ok(None);
        }
        Ok(self.record(&keys::access_key(name)).await?.map(|(key, _)| key))
    }

    /// All accounts, in order of id.
    pub async fn accounts(&self) -> Result<Vec<Account>> {
        self.all(keys::within(vec![keys::ACCOUNT])).await
    }

    /// All access keys, in order of name.
    pub async fn access_keys(&self) -> Result<Vec<AccessKey>> {
        self.all(keys::within(vec![keys::ACCESS_KEY])).await
    }

    /// Creates an account with its keys.
    ///
    /// # Errors
    /// [`Condition::AccountAlreadyExists`] when the id or one of the keys is taken.
    pub async fn create_account(
        &self,
        account: &Account,
        access_keys: &[AccessKey],
        by: &AuditEntry,
    ) -> Result<()> {
        self.transact(async || {
            let mut draft = Draft::default();
            let row = keys::account(&account.id);
            let taken = self.engine.get(&row).await?;
            draft.expect_row(&row, taken.as_ref());
            let mut exists = taken.is_some();
            draft.put(row, account);
            for key in access_keys {
                let row = keys::access_key(&key.access_key);
                let taken = self.engine.get(&row).await?;
                draft.expect_row(&row, taken.as_ref());
                exists |= taken.is_some();
                draft.put(row, key);
            }
            if exists {
                return Err(Condition::AccountAlreadyExists.into());
            }
            draft.audit(by);
            Ok(Try::Commit(draft, ()))
        })
        .await
    }

    /// Sets what an account keeps from all its buckets.
    ///
    /// # Errors
    /// [`Condition::NoSuchAccount`].
    pub async fn set_account_block(
        &self,
        id: &AccountId,
        access_block: Option<AccessBlock>,
        by: &AuditEntry,
    ) -> Result<()> {
        self.transact(async || {
            let row = keys::account(id);
            let found = self.record::<Account>(&row).await?;
            let (account, guard) = found.ok_or(Condition::NoSuchAccount)?;
            if account.access_block == access_block {
                return Ok(Try::Done(()));
            }
            let mut draft = Draft::default();
            draft.expect(&guard);
            draft.put(row, &Account { access_block, ..account });
            draft.audit(by);
            Ok(Try::Commit(draft, ()))
        })
        .await
    }

    /// Deletes an account with its keys, users, groups, roles and policies.
    ///
    /// # Errors
    /// [`Condition::NoSuchAccount`]; [`Condition::BucketNotEmpty`] while it owns a bucket;
    /// [`Condition::InvalidRequest`] for the root account.
    pub async fn delete_account(&self, id: &AccountId, by: &AuditEntry) -> Result<()> {
        // The first of its commits tells.
        let told = AtomicBool::new(false);
        self.transact(async || {
            let (account, guard) = self
                .record::<Account>(&keys::account(id))
                .await?
                .ok_or(Condition::NoSuchAccount)?;
            if account.root {
                return Err(Condition::InvalidRequest.into());
            }
            let owned = keys::within(keys::owned(id, ""));
            if !self.engine.scan(&owned, 1, Direction::Forward).await?.rows.is_empty() {
                return Err(Condition::BucketNotEmpty.into());
            }
            let all_of_it = keys::of_account(id);
            for range in &all_of_it {
                if !self.engine.scan(range, 1, Direction::Forward).await?.rows.is_empty() {
                    self.delete_entities(id, by, &told).await?;
                }
            }
            let mut draft = Draft::reclaiming();
            draft.expect(&guard);
            draft.expect_empty(owned);
            all_of_it.into_iter().for_each(|range| draft.expect_empty(range));
            draft.delete(keys::account(id));
            draft.delete(keys::entity_revision(id));
            if !told.load(Ordering::Relaxed) {
                draft.audit(by);
            }
            for key in self.access_keys().await? {
                if key.account == *id {
                    draft.delete(keys::access_key(&key.access_key));
                    draft.delete(keys::key_use(&key.access_key));
                }
            }
            Scope::Account(id.clone()).keys().into_iter().for_each(|key| draft.delete(key));
            Ok(Try::Commit(draft, ()))
        })
        .await
    }
}
