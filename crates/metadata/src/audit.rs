//! The audit trail: entries of changes, each written in the commit of the change it tells of, in
//! the order of commits.

use std::collections::HashMap;

use model::audit::AuditEntry;

use crate::{
    Metadata, Result,
    engine::{Direction, Sequence, read_counter},
    keys,
    transaction::{Draft, Try, decode_row},
};

/// Entries looked at in one step.
const LOOKED_AT_ONCE: usize = 500;

/// Where a walk along the trail stands that takes away what is too old or too much.
#[derive(Clone, Debug, Default)]
pub struct AuditWalk {
    after: Sequence,
    /// How many are too many, by account.
    surplus: HashMap<String, i64>,
}

impl Draft {
    /// Tells of the change in the commit that makes it.
    pub fn audit(&mut self, entry: &AuditEntry) {
        self.append(keys::audit(), entry);
        self.add(keys::audit_count(account_of(entry)), 1);
    }
}

fn account_of(entry: &AuditEntry) -> &str {
    entry.account.as_ref().map_or("", |account| account.as_str())
}

impl Metadata {
    /// The entries after a commit, at most `limit`, each with the number of its commit.
    pub async fn audit_trail(
        &self,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, AuditEntry)>> {
        let mut range = keys::within(keys::audit());
        range.start.extend_from_slice(&after.saturating_add(1).to_be_bytes());
        let page = self.engine.scan(&range, limit, Direction::Forward).await?;
        let entry = |(key, row): &(Vec<u8>, _)| Ok((number(key), decode_row(key, row)?));
        page.rows.iter().map(entry).collect()
    }

    /// Begins a walk that takes away entries, if there are any to take away.
    ///
    /// - `before_ms`: older ones go; and the oldest of each account with more than `most`.
    pub async fn begin_audit_walk(&self, before_ms: i64, most: i64) -> Result<Option<AuditWalk>> {
        let mut surplus = HashMap::new();
        let mut rest = Some(keys::within(keys::audit_count("")));
        while let Some(range) = rest {
            let page = self.engine.scan(&range, LOOKED_AT_ONCE, Direction::Forward).await?;
            for (key, row) in &page.rows {
                let count = read_counter(key, &row.value)?;
                let account = key.get(2..).unwrap_or_default();
                if count > most {
                    surplus.insert(String::from_utf8_lossy(account).into_owned(), count - most);
                }
            }
            rest = page.next;
        }
        let first = self.audit_trail(0, 1).await?;
        let old = first.first().is_some_and(|(_, entry)| entry.at_ms < before_ms);
        Ok((old || !surplus.is_empty()).then_some(AuditWalk { after: 0, surplus }))
    }

    /// Goes on with a walk; whether there is more of it.
    pub async fn walk_audit(&self, walk: &mut AuditWalk, before_ms: i64) -> Result<bool> {
        let entries = self.audit_trail(walk.after, LOOKED_AT_ONCE).await?;
        let Some((last, _)) = entries.last() else { return Ok(false) };
        walk.after = *last;
        let mut goes = Vec::new();
        for (number, entry) in &entries {
            let left = walk.surplus.get_mut(account_of(entry)).filter(|left| **left > 0);
            let surplus = left.is_some();
            if entry.at_ms < before_ms || surplus {
                goes.push((*number, account_of(entry)));
            }
            if let Some(left) = left {
                *left -= 1;
            }
        }
        if !goes.is_empty() {
            self.transact(async || {
                let mut draft = Draft::reclaiming();
                for (number, account) in &goes {
                    let mut key = keys::audit();
                    key.extend_from_slice(&number.to_be_bytes());
                    // Whoever took it away first has counted it.
                    let row = self.engine.get(&key).await?;
                    if row.is_none() {
                        continue;
                    }
                    draft.expect_row(&key, row.as_ref());
                    draft.delete(key);
                    draft.add(keys::audit_count(account), -1);
                }
                Ok(Try::Commit(draft, ()))
            })
            .await?;
        }
        Ok(true)
    }
}

/// The number at the end of the key of an entry.
fn number(key: &[u8]) -> Sequence {
    key.last_chunk().map_or(0, |bytes| Sequence::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{
        Condition,
        entities::{Entity, EntityKind},
        environment::Entropy,
        names::AccountId,
        records::Account,
    };

    use super::*;
    use crate::{Error, engine::memory::Memory};

    struct Sevens;

    impl Entropy for Sevens {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    fn entry(account: &str, at_ms: i64, action: &str) -> AuditEntry {
        let account = AccountId::parse(account);
        AuditEntry { at_ms, account, action: action.to_owned(), ..AuditEntry::default() }
    }

    async fn metadata() -> (Metadata, AccountId) {
        let (engine, id) = (Arc::new(Memory::default()), AccountId::parse("1").expect("an id"));
        let metadata = Metadata::open(engine, Arc::new(Sevens), [7; 16], 1).await;
        let metadata = metadata.expect("it opens");
        let account = Account {
            id: id.clone(),
            canonical_id: "c".into(),
            name: "n".into(),
            email: None,
            created_ms: 1,
            root: false,
            access_block: None,
        };
        let by = entry("1", 0, "create");
        metadata.create_account(&account, &[], &by).await.expect("it is made");
        (metadata, id)
    }

    async fn change(metadata: &Metadata, id: &AccountId, by: &AuditEntry) {
        let entity = Entity { name: by.action.clone(), ..Entity::default() };
        let changed = metadata.change_entities::<_, Error>(id, by, async |changes| {
            changes.put(EntityKind::User, &entity);
            Ok(())
        });
        changed.await.expect("it changes");
    }

    async fn actions(metadata: &Metadata) -> Vec<String> {
        let trail = metadata.audit_trail(0, 1000).await.expect("it is read");
        assert!(trail.is_sorted_by_key(|(number, _)| *number));
        trail.into_iter().map(|(_, entry)| entry.action).collect()
    }

    async fn walk(metadata: &Metadata, before_ms: i64, most: i64) {
        let begun = metadata.begin_audit_walk(before_ms, most).await.expect("it begins");
        let Some(mut walk) = begun else { return };
        while metadata.walk_audit(&mut walk, before_ms).await.expect("it walks") {}
    }

    #[tokio::test]
    async fn only_a_change_that_happens_has_an_entry() {
        let (metadata, id) = metadata().await;
        change(&metadata, &id, &entry("1", 1, "good")).await;
        let bad = entry("1", 2, "bad");
        let refused = metadata
            .change_entities::<(), Error>(&id, &bad, async |_| Err(Condition::NoSuchEntity.into()));
        assert!(refused.await.is_err());
        change(&metadata, &id, &entry("1", 3, "good")).await;
        metadata.set_account_block(&id, None, &entry("1", 4, "bad")).await.expect("it is so");
        assert_eq!(actions(&metadata).await, ["create", "good"]);
        let after = metadata.audit_trail(0, 1).await.expect("it is read").first().map(|it| it.0);
        let rest = metadata.audit_trail(after.unwrap_or(0), 9).await.expect("it is read");
        assert_eq!(rest.len(), 1);
    }

    #[tokio::test]
    async fn old_ones_go_and_one_account_pushes_out_only_its_own() {
        let (metadata, id) = metadata().await;
        for number in 0..5 {
            change(&metadata, &id, &entry("1", 10 + number, &format!("one{number}"))).await;
            change(&metadata, &id, &entry("2", 10 + number, &format!("two{number}"))).await;
        }
        walk(&metadata, 0, 100).await;
        assert_eq!(actions(&metadata).await.len(), 11);
        for number in 5..8 {
            change(&metadata, &id, &entry("2", 10 + number, &format!("two{number}"))).await;
        }
        walk(&metadata, 10, 6).await;
        let left = actions(&metadata).await;
        let of = |name: &str| left.iter().filter(|action| action.starts_with(name)).count();
        assert_eq!((of("create"), of("one"), of("two")), (0, 5, 6));
        assert!(!left.contains(&"two1".to_owned()) && left.contains(&"two2".to_owned()));
        walk(&metadata, 1000, 6).await;
        assert_eq!(actions(&metadata).await, [""; 0]);
        assert!(metadata.begin_audit_walk(1000, 0).await.expect("it is read").is_none());
    }
}
