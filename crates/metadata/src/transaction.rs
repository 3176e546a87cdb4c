//! The one retry loop, and the commit being put together in it.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use model::{Condition, limits::COMMIT_TRIES_MAX, names::BucketName, records::Bucket};

use crate::{
    Error, Metadata, Result, codec,
    engine::{Add, Commit, CommitError, Engine, Expect, Row, Sequence},
    keys,
    recount::begin_recount,
    usage::Change,
};

/// A row as it was read: a commit that takes it along is refused if the row changed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    pub(crate) key: Vec<u8>,
    pub(crate) version: Sequence,
}

/// Changes gathered for one commit.
#[derive(Default)]
pub(crate) struct Draft {
    commit: Commit,
    adds: BTreeMap<Vec<u8>, i64>,
    bounds: BTreeMap<Vec<u8>, Bound>,
}

/// The most a counter may reach, and what it means to be over that.
struct Bound {
    maximum: i64,
    over: Condition,
}

impl Draft {
    /// For changes that give space back.
    pub fn reclaiming() -> Self {
        Self { commit: Commit { reclaims: true, ..Commit::default() }, ..Self::default() }
    }

    pub fn expect(&mut self, guard: &Guard) {
        let Guard { key, version } = guard.clone();
        self.commit.expect.push(Expect::Version { key, version });
    }

    /// Expects a row as read: of that version, or absent.
    pub fn expect_row(&mut self, key: &[u8], row: Option<&Row>) {
        let key = key.to_vec();
        self.commit.expect.push(match row {
            Some(row) => Expect::Version { key, version: row.version },
            None => Expect::Absent { key },
        });
    }

    pub fn expect_empty(&mut self, range: crate::engine::ScanRange) {
        self.commit.expect.push(Expect::EmptyRange { range });
    }

    pub fn put<T: Encode<()>>(&mut self, key: Vec<u8>, record: &T) {
        self.commit.put.push((key, codec::encode(record)));
    }

    /// Adds a record to a log: its key ends with the number of the commit.
    pub fn append<T: Encode<()>>(&mut self, start: Vec<u8>, record: &T) {
        self.commit.append.push((start, codec::encode(record)));
    }

    /// Puts bytes that have an encoding of their own.
    pub fn put_bytes(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.commit.put.push((key, value));
    }

    pub fn delete(&mut self, key: Vec<u8>) {
        self.commit.delete.push(key);
    }

    /// Takes a delete back, because the row is put after all.
    pub fn undelete(&mut self, key: &[u8]) {
        self.commit.delete.retain(|deleted| deleted != key);
    }

    pub fn add(&mut self, key: Vec<u8>, amount: i64) {
        *self.adds.entry(key).or_default() += amount;
    }

    /// Adds, unless the counter would go over `maximum`: then the change is refused with `over`.
    pub fn add_up_to(&mut self, key: Vec<u8>, amount: i64, maximum: i64, over: Condition) {
        self.bounds.insert(key.clone(), Bound { maximum, over });
        self.add(key, amount);
    }

    pub fn count(&mut self, change: Change) {
        change.adds().for_each(|(key, amount)| self.add(key, amount));
    }

    /// Whether all would be as it is: it only puts what is there, and deletes what is not.
    pub async fn changes_nothing(&self, engine: &dyn Engine) -> Result<bool> {
        let Commit { put, delete, append, .. } = &self.commit;
        if !append.is_empty() || self.adds.values().any(|amount| *amount != 0) {
            return Ok(false);
        }
        for (key, value) in put {
            if engine.get(key).await?.is_none_or(|there| there.value != *value) {
                return Ok(false);
            }
        }
        for key in delete {
            if engine.get(key).await?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn finish(mut self) -> (Commit, BTreeMap<Vec<u8>, Bound>) {
        let adds = self.adds.into_iter().filter(|(_, amount)| *amount != 0);
        self.commit.add.extend(adds.map(|(key, amount)| {
            let maximum = self.bounds.get(&key).map(|bound| bound.maximum);
            Add { key, amount, minimum: None, maximum }
        }));
        (self.commit, self.bounds)
    }
}

/// What one try of a change leads to.
pub(crate) enum Try<T> {
    /// Commit this; the value is the answer if it goes through.
    Commit(Draft, T),
    /// Nothing to change.
    Done(T),
}

impl Metadata {
    /// Runs `attempt` until its commit meets no conflict; bounded, then [`Error::Busy`].
    pub(crate) async fn transact<T>(&self, attempt: impl AsyncFn() -> Result<Try<T>>) -> Result<T> {
        for _ in 0..COMMIT_TRIES_MAX {
            let (draft, value) = match attempt().await? {
                Try::Commit(draft, value) => (draft, value),
                Try::Done(value) => return Ok(value),
            };
            let (commit, mut bounds) = draft.finish();
            match self.engine.commit(commit).await {
                Ok(_) => return Ok(value),
                Err(CommitError::OutOfBounds { key }) if bounds.contains_key(&key) => {
                    let bound = bounds.remove(&key);
                    return Err(bound.map_or(Error::Busy, |bound| bound.over.into()));
                }
                Err(CommitError::Conflict { .. }) => {}
                Err(CommitError::NoSpace) => return Err(Error::NoSpace),
                Err(CommitError::Unavailable) => return Err(Error::Unavailable),
                Err(CommitError::Engine(error)) => return Err(error.into()),
                Err(error) => return Err(Error::Impossible(error)),
            }
        }
        Err(Error::Busy)
    }

    /// Reads a record.
    pub(crate) async fn record<T: for<'b> Decode<'b, ()>>(
        &self,
        key: &[u8],
    ) -> Result<Option<(T, Guard)>> {
        let Some(row) = self.engine.get(key).await? else { return Ok(None) };
        let record = decode_row(key, &row)?;
        Ok(Some((record, Guard { key: key.to_vec(), version: row.version })))
    }

    /// Reads a bucket anew and makes the draft expect it; it must still be the one of `known`.
    ///
    /// What was decided when the bucket wanted another number of copies has it walked once more.
    pub(crate) async fn rebind(&self, draft: &mut Draft, known: &Bucket) -> Result<Bucket> {
        let bucket = self.rebind_as(draft, known).await?;
        if bucket.copies != known.copies {
            begin_recount(draft, &bucket);
        }
        Ok(bucket)
    }

    /// As [`Self::rebind`], for a change of the number itself.
    pub(crate) async fn rebind_as(&self, draft: &mut Draft, known: &Bucket) -> Result<Bucket> {
        let found = self.bucket(&known.name).await?.filter(|(bucket, _)| bucket.id == known.id);
        let (bucket, guard) = found.ok_or(Condition::NoSuchBucket)?;
        draft.expect(&guard);
        Ok(bucket)
    }

    /// Reads a bucket by name, with what a commit expects of it.
    pub async fn bucket(&self, name: &BucketName) -> Result<Option<(Bucket, Guard)>> {
        self.record(&keys::bucket(name)).await
    }
}

/// Decodes a row, whose family is the first byte of its key.
pub(crate) fn decode_row<T: for<'b> Decode<'b, ()>>(key: &[u8], row: &Row) -> Result<T> {
    codec::decode(key.first().copied().unwrap_or_default(), &row.value)
}
