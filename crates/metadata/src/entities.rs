//! Users, groups, roles, managed policies and their access keys: all that an account gives rights
//! to.
//!
//! Every change of one account's entities writes its revision row anew and expects the one it read:
//! changes come one after the other, and whoever reads the revision knows what was in force.

use std::sync::atomic::{AtomicBool, Ordering};

use minicbor::{Decode, Encode};
use model::{
    Condition,
    audit::AuditEntry,
    entities::{Entity, EntityKind, KeyUse, ManagedPolicy, NamedEntity, OidcProvider},
    limits::PROVIDER_URL_BYTES_MAX,
    names::AccountId,
    records::AccessKey,
};

use crate::{
    Error, Guard, Metadata, Result,
    engine::Direction,
    keys,
    transaction::{Draft, Try, decode_row},
};

/// Entities of an account that goes, deleted in one commit with the keys of each.
const DELETED_AT_ONCE: usize = 100;

/// The state of an account's entities.
#[derive(Clone, Copy, Debug, Encode, Decode)]
struct Revision {
    /// Random, new with each change.
    #[n(0)]
    number: u64,
}

/// Changes of one account's entities, put together in one commit.
pub struct EntityChanges {
    pub(crate) account: AccountId,
    pub(crate) draft: Draft,
    /// Whether it is a change that the trail tells of, and caches are made anew for.
    pub(crate) told: bool,
}

/// Longer ones no entity has.
const ENTITY_NAME_BYTES_MAX: usize = 128;

impl EntityChanges {
    /// It is only noted that something was tried: nothing changes for anybody.
    pub fn only_note(&mut self) {
        self.told = false;
    }

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

    /// Writes a provider, over the one of that place if there is one.
    pub fn put_provider(&mut self, provider: &OidcProvider) {
        self.draft.put(keys::oidc_provider(&self.account, provider.place()), provider);
    }

    pub fn delete_provider(&mut self, provider: &OidcProvider) {
        self.draft.delete(keys::oidc_provider(&self.account, provider.place()));
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
        Ok(self.read_entity(account, kind, name).await?.map(|(entity, _)| entity))
    }

    async fn read_entity(
        &self,
        account: &AccountId,
        kind: EntityKind,
        name: &str,
    ) -> Result<Option<(Entity, Guard)>> {
        if name.len() > ENTITY_NAME_BYTES_MAX {
            return Ok(None);
        }
        self.record(&keys::entity(account, kind, name)).await
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
        if name.len() > ENTITY_NAME_BYTES_MAX {
            return Ok(None);
        }
        Ok(self.record(&keys::managed_policy(account, name)).await?.map(|(policy, _)| policy))
    }

    /// All of an account, in order of name.
    pub async fn managed_policies(&self, account: &AccountId) -> Result<Vec<ManagedPolicy>> {
        self.all(keys::managed_policies(account)).await
    }

    /// The provider of this host and path.
    pub async fn oidc_provider(
        &self,
        account: &AccountId,
        place: &str,
    ) -> Result<Option<OidcProvider>> {
        if place.len() > PROVIDER_URL_BYTES_MAX {
            return Ok(None);
        }
        let found = self.record(&keys::oidc_provider(account, place)).await?;
        Ok(found.map(|(provider, _)| provider))
    }

    /// All of an account, in order of host and path.
    pub async fn oidc_providers(&self, account: &AccountId) -> Result<Vec<OidcProvider>> {
        self.all(keys::oidc_providers(account)).await
    }

    /// Changes an account's entities.
    ///
    /// - `by`: what the audit trail tells of it.
    /// - `decide`: reads what there is and says what becomes of it; may run several times. What it
    ///   reads is what the commit is made on.
    ///
    /// # Errors
    /// [`Condition::NoSuchAccount`], and what `decide` says.
    pub async fn change_entities<T, E: From<Error>>(
        &self,
        account: &AccountId,
        by: &AuditEntry,
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
            let mut changes = EntityChanges { account: account.clone(), draft, told: true };
            match decide(&mut changes).await {
                Err(error) => Ok(Try::Done(Err(error))),
                Ok(value) => {
                    let EntityChanges { mut draft, told, .. } = changes;
                    if draft.changes_nothing(self.engine.as_ref()).await? {
                        return Ok(Try::Done(Ok(value)));
                    }
                    if told {
                        let number = u64::from_be_bytes(self.random());
                        draft.put(revision_row, &Revision { number });
                        draft.audit(by);
                    }
                    Ok(Try::Commit(draft, Ok(value)))
                }
            }
        });
        decided.await?
    }

    /// Finds out which users and roles a policy names: `draft` expects that they stay.
    ///
    /// # Errors
    /// [`Condition::MalformedPolicy`] for one that is not there.
    pub(crate) async fn note_named(
        &self,
        draft: &mut Draft,
        named: &[NamedEntity],
    ) -> Result<Vec<NamedEntity>> {
        let mut noted = Vec::with_capacity(named.len());
        for entity in named {
            let name = entity.last_name();
            let found = self.read_entity(&entity.account, entity.kind, name).await?;
            let found = found.filter(|(found, _)| found.name == name);
            let (found, guard) = found.ok_or(Condition::MalformedPolicy)?;
            draft.expect(&guard);
            noted.push(NamedEntity { id: Some(found.id), ..entity.clone() });
        }
        Ok(noted)
    }

    /// The same for the trust policy of a role that is changed.
    ///
    /// # Errors
    /// As there.
    pub async fn note_trusted(
        &self,
        changes: &mut EntityChanges,
        named: &[NamedEntity],
    ) -> Result<Vec<NamedEntity>> {
        self.note_named(&mut changes.draft, named).await
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

    /// Deletes the entities of an account that goes, some at a time, with their keys.
    ///
    /// - `told`: whether the trail tells of it already; then it does.
    pub(crate) async fn delete_entities(
        &self,
        account: &AccountId,
        by: &AuditEntry,
        told: &AtomicBool,
    ) -> Result<()> {
        for range in keys::of_account(account) {
            let mut rest = Some(range);
            while let Some(range) = rest {
                let page = self.engine.scan(&range, DELETED_AT_ONCE, Direction::Forward).await?;
                self.transact(async || {
                    let mut draft = Draft::reclaiming();
                    for (key, row) in &page.rows {
                        draft.delete(key.clone());
                        if key.first() == Some(&keys::ENTITY) {
                            let entity: Entity = decode_row(key, row)?;
                            for name in &entity.keys {
                                draft.delete(keys::access_key(name));
                                draft.delete(keys::key_use(name));
                            }
                        }
                    }
                    let number = u64::from_be_bytes(self.random());
                    draft.put(keys::entity_revision(account), &Revision { number });
                    if !told.load(Ordering::Relaxed) {
                        draft.audit(by);
                    }
                    Ok(Try::Commit(draft, ()))
                })
                .await?;
                told.store(true, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, LazyLock};

    use model::{environment::Entropy, records::Account};

    use super::*;
    use crate::engine::memory::Memory;

    static BY: LazyLock<AuditEntry> = LazyLock::new(AuditEntry::default);

    struct Counting(std::sync::Mutex<u8>);

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            let mut next = self.0.lock().expect("no other test");
            *next = next.wrapping_add(1);
            bytes.fill(*next);
        }
    }

    async fn metadata() -> (Metadata, AccountId) {
        let (engine, entropy) = (Arc::new(Memory::default()), Counting(0.into()));
        let metadata = Metadata::open(engine, Arc::new(entropy), [7; 16], 1).await;
        let (metadata, id) = (metadata.expect("it opens"), AccountId::parse("1").expect("an id"));
        let account = Account {
            id: id.clone(),
            canonical_id: "c".into(),
            name: "n".into(),
            email: None,
            created_ms: 1,
            root: false,
            access_block: None,
        };
        metadata.create_account(&account, &[], &BY).await.expect("it is made");
        (metadata, id)
    }

    fn key(account: &AccountId, name: &str, user: &str) -> AccessKey {
        AccessKey {
            access_key: name.into(),
            account: account.clone(),
            sealed_secret: vec![1],
            created_ms: 1,
            user: Some(user.into()),
            inactive: false,
        }
    }

    async fn put(metadata: &Metadata, account: &AccountId, name: &str) {
        let put = metadata.change_entities::<_, Error>(account, &BY, async |changes| {
            let access_key = format!("K{name}");
            changes.put_key(&key(account, &access_key, name));
            let keys = vec![access_key];
            let entity = Entity { name: name.into(), keys, ..Entity::default() };
            changes.put(EntityKind::User, &entity);
            Ok(())
        });
        put.await.expect("it is put");
    }

    #[tokio::test]
    async fn every_change_has_a_revision_of_its_own() {
        let (metadata, account) = metadata().await;
        let mut seen = vec![metadata.entity_revision(&account).await.expect("it is read")];
        for name in ["ann", "ben"] {
            put(&metadata, &account, name).await;
            let revision = metadata.entity_revision(&account).await.expect("it is read");
            assert!(!seen.contains(&revision), "{name}");
            seen.push(revision);
        }
        let refused = metadata.change_entities::<(), Error>(&account, &BY, async |changes| {
            changes.delete(EntityKind::User, "ann");
            Err(Condition::NoSuchEntity.into())
        });
        assert!(refused.await.is_err());
        let last = metadata.entity_revision(&account).await.expect("it is read");
        assert_eq!(Some(&last), seen.last());
        let found = metadata.entity(&account, EntityKind::User, "ANN").await.expect("it is read");
        assert_eq!(found.map(|entity| entity.name), Some("ann".to_owned()));
    }

    #[tokio::test]
    async fn an_account_that_goes_takes_everything_along() {
        let (metadata, account) = metadata().await;
        let (used, policy) = (
            KeyUse { at_ms: 1, service: "s3".into(), region: "r".into() },
            ManagedPolicy { name: "p".into(), path: "/".into(), ..ManagedPolicy::default() },
        );
        for number in 0..=DELETED_AT_ONCE {
            put(&metadata, &account, &format!("u{number}")).await;
        }
        metadata.note_key_use("Ku1", &used).await.expect("it is noted");
        let provider = OidcProvider { url: "https://idp/x".into(), ..OidcProvider::default() };
        let put = metadata.change_entities::<_, Error>(&account, &BY, async |changes| {
            changes.put_provider(&provider);
            changes.put_policy(&policy);
            Ok(())
        });
        put.await.expect("it is put");
        let by = AuditEntry { action: "delete".into(), ..AuditEntry::default() };
        metadata.delete_account(&account, &by).await.expect("it goes");
        let trail = metadata.audit_trail(0, 1000).await.expect("it is read");
        let told = trail.iter().filter(|(_, entry)| entry.action == "delete").count();
        assert_eq!(told, 1, "one entry, however many commits");
        assert_eq!(metadata.access_keys().await.expect("they are read"), []);
        assert_eq!(metadata.key_use("Ku1").await.expect("it is read"), None);
        let users = metadata.entities(&account, EntityKind::User).await;
        assert_eq!(users.expect("they are read"), []);
        assert_eq!(metadata.managed_policies(&account).await.expect("they are read"), []);
        assert_eq!(metadata.oidc_providers(&account).await.expect("they are read"), []);
        assert_eq!(metadata.entity_revision(&account).await.expect("it is read"), 0);
        let late = metadata.change_entities::<_, Error>(&account, &BY, async |_| Ok(()));
        assert!(matches!(late.await, Err(Error::Refused(Condition::NoSuchAccount))));
    }
}
