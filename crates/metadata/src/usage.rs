//! Exact counters, changed in the commit that changes what they count.

use model::names::{AccountId, BucketId};

use crate::{
    Metadata, Result,
    engine::read_counter,
    keys,
    transaction::{Draft, Try},
};

/// Whose usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    Bucket(BucketId),
    Account(AccountId),
}

/// What is stored: exact at the moment it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Versions that are objects, current or not.
    pub objects: i64,
    /// Their bytes; a content that several versions share counts for each.
    pub bytes: i64,
    pub delete_markers: i64,
    /// Uploads under way, and their parts.
    pub uploads: i64,
    pub parts: i64,
}

/// How one commit changes the usage of a bucket and of its owner's account.
pub(crate) struct Change {
    bucket: BucketId,
    owner: AccountId,
    pub usage: Usage,
}

const FIELDS: [u8; 5] = *b"obmup";

/// An account's buckets, whatever they hold.
const BUCKETS: u8 = b'k';

impl Scope {
    fn key(&self, field: u8) -> Vec<u8> {
        match self {
            Self::Bucket(id) => keys::join(keys::USAGE, &[b"b", &id.0.to_be_bytes(), &[field]]),
            Self::Account(id) => keys::join(keys::USAGE, &[b"a", &[field], id.as_str().as_bytes()]),
        }
    }

    fn usage_keys(&self) -> Vec<Vec<u8>> {
        FIELDS.iter().map(|field| self.key(*field)).collect()
    }

    /// The rows of the scope.
    pub(crate) fn keys(&self) -> Vec<Vec<u8>> {
        let mut keys = self.usage_keys();
        if matches!(self, Self::Account(_)) {
            keys.push(self.key(BUCKETS));
        }
        keys
    }

    /// The row that counts the buckets of an account.
    pub(crate) fn buckets_key(account: &AccountId) -> Vec<u8> {
        Self::Account(account.clone()).key(BUCKETS)
    }
}

impl Change {
    pub fn new(bucket: &model::records::Bucket) -> Self {
        Self { bucket: bucket.id, owner: bucket.owner.clone(), usage: Usage::default() }
    }

    /// Counts a version in (`1`) or out (`-1`).
    pub fn version(&mut self, version: &model::records::Version, sign: i64) {
        self.usage.version(version, sign);
    }

    pub fn adds(self) -> impl Iterator<Item = (Vec<u8>, i64)> {
        let Usage { objects, bytes, delete_markers, uploads, parts } = self.usage;
        let amounts = [objects, bytes, delete_markers, uploads, parts];
        let scopes = [Scope::Bucket(self.bucket), Scope::Account(self.owner)];
        scopes.into_iter().flat_map(move |scope| {
            let adds = FIELDS.into_iter().zip(amounts);
            adds.map(move |(field, amount)| (scope.key(field), amount)).collect::<Vec<_>>()
        })
    }
}

impl Usage {
    /// Counts a version.
    pub fn count(&mut self, version: &model::records::Version) {
        self.version(version, 1);
    }

    fn version(&mut self, version: &model::records::Version, sign: i64) {
        match &version.object {
            Some(object) => {
                self.objects += sign;
                let bytes = i64::try_from(object.size_bytes).unwrap_or(i64::MAX);
                self.bytes = self.bytes.saturating_add(sign.saturating_mul(bytes));
            }
            None => self.delete_markers += sign,
        }
    }

    fn minus(&self, other: &Self) -> Self {
        Self {
            objects: self.objects - other.objects,
            bytes: self.bytes - other.bytes,
            delete_markers: self.delete_markers - other.delete_markers,
            uploads: self.uploads - other.uploads,
            parts: self.parts - other.parts,
        }
    }
}

impl Metadata {
    /// Corrects the counters of a bucket, and those of its owner by as much: `stored` should have
    /// been `counted`. What changed since they were read stays counted.
    pub async fn correct_usage(
        &self,
        known: &model::records::Bucket,
        stored: &Usage,
        counted: &Usage,
    ) -> Result<()> {
        self.transact(async || {
            let mut draft = Draft::reclaiming();
            let bucket = self.rebind(&mut draft, known).await?;
            let mut change = Change::new(&bucket);
            change.usage = counted.minus(stored);
            draft.count(change);
            Ok(Try::Commit(draft, ()))
        })
        .await
    }

    /// Reads the counters of a scope, all at one moment.
    pub async fn usage(&self, scope: &Scope) -> Result<Usage> {
        let keys = scope.usage_keys();
        let rows = self.engine.get_many(&keys).await?;
        let mut values = [0; FIELDS.len()];
        for ((value, key), row) in values.iter_mut().zip(&keys).zip(&rows) {
            if let Some(row) = row {
                *value = read_counter(key, &row.value)?;
            }
        }
        let [objects, bytes, delete_markers, uploads, parts] = values;
        Ok(Usage { objects, bytes, delete_markers, uploads, parts })
    }
}
