//! The number of copies of a bucket's bytes, and the walk that brings all of them to it.
//!
//! As long as a bucket has a row here, a worker walks what it names. Every commit that names
//! something and was decided when the number was another one puts the row back to the beginning,
//! so that a walk that ends has missed nothing.

use minicbor::{Decode, Encode};
use model::names::{BucketId, BucketName, ContentId, ObjectKey, UploadId, VersionId};
use model::records::Bucket;

use crate::{
    Guard, Metadata, Result,
    engine::{Direction, read_counter},
    keys,
    transaction::{Draft, Try, decode_row},
};

/// A bucket whose bytes are being brought to its number of copies, and how far that is.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Recount {
    #[n(0)]
    pub id: BucketId,
    #[n(1)]
    pub bucket: BucketName,
    /// Where this pass stands.
    #[n(2)]
    pub place: RecountPlace,
    /// Blobs that were changed, and the bytes written for it.
    #[n(3)]
    pub changed: u64,
    #[n(4)]
    pub bytes: u64,
    /// In this pass: blobs that were changed, and those that could not be.
    #[n(5)]
    pub changed_in_pass: u64,
    #[n(6)]
    pub stuck_in_pass: u64,
    /// Those that could not be in the pass before.
    #[n(7)]
    pub stuck: u64,
}

/// The last thing that was looked at. Uploads come first: what is completed meanwhile is met again
/// among the versions.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RecountPlace {
    #[n(0)]
    Uploads(#[n(0)] Option<(ObjectKey, UploadId)>),
    #[n(1)]
    Versions(#[n(0)] Option<(ObjectKey, VersionId)>),
}

impl Recount {
    fn begin(bucket: &Bucket) -> Self {
        Self {
            id: bucket.id,
            bucket: bucket.name.clone(),
            place: RecountPlace::Uploads(None),
            changed: 0,
            bytes: 0,
            changed_in_pass: 0,
            stuck_in_pass: 0,
            stuck: 0,
        }
    }
}

/// Has the bucket walked from the beginning.
pub(crate) fn begin_recount(draft: &mut Draft, bucket: &Bucket) {
    draft.put(keys::recount(bucket.id), &Recount::begin(bucket));
}

impl Metadata {
    /// Sets how many copies the bytes of a bucket shall have, and has it walked.
    ///
    /// - `copies`: `None` means as many as all others.
    pub async fn set_copies(&self, known: &Bucket, copies: Option<u8>) -> Result<()> {
        self.transact(async || {
            let mut draft = Draft::default();
            let bucket = self.rebind_as(&mut draft, known).await?;
            let bucket = Bucket { copies, ..bucket };
            draft.put(keys::bucket(&bucket.name), &bucket);
            begin_recount(&mut draft, &bucket);
            Ok(Try::Commit(draft, ()))
        })
        .await
    }

    /// Has all buckets walked.
    pub async fn recount_all(&self) -> Result<()> {
        let mut after = None;
        while let Some(bucket) = self.next_bucket(after.as_ref()).await? {
            self.transact(async || {
                let mut draft = Draft::reclaiming();
                begin_recount(&mut draft, &bucket);
                Ok(Try::Commit(draft, ()))
            })
            .await?;
            after = Some(bucket.name);
        }
        Ok(())
    }

    /// How far a bucket is; `None` if nothing is to be done.
    pub async fn recount(&self, bucket: BucketId) -> Result<Option<Recount>> {
        Ok(self.record(&keys::recount(bucket)).await?.map(|(recount, _)| recount))
    }

    /// The first bucket after `after` that is to be walked.
    pub async fn next_recount(&self, after: Option<BucketId>) -> Result<Option<(Recount, Guard)>> {
        let mut range = keys::within(vec![keys::RECOUNT]);
        if let Some(after) = after {
            range.start = keys::recount(after);
            range.start.push(0);
        }
        let page = self.engine.scan(&range, 1, Direction::Forward).await?;
        let Some((key, row)) = page.rows.first() else { return Ok(None) };
        let guard = Guard { key: key.clone(), version: row.version };
        Ok(Some((decode_row(key, row)?, guard)))
    }

    /// Notes how far a walk is, or that it has ended (`None`), unless it was begun anew meanwhile:
    /// then it returns `false`.
    pub async fn note_recount(&self, guard: &Guard, recount: Option<&Recount>) -> Result<bool> {
        self.transact(async || {
            let row = self.engine.get(&guard.key).await?;
            if row.is_none_or(|row| row.version != guard.version) {
                return Ok(Try::Done(false));
            }
            let mut draft = Draft::reclaiming();
            draft.expect(guard);
            match recount {
                Some(recount) => draft.put(guard.key.clone(), recount),
                None => draft.delete(guard.key.clone()),
            }
            Ok(Try::Commit(draft, true))
        })
        .await
    }

    /// Whether several versions name a content.
    pub async fn is_shared(&self, content: ContentId) -> Result<bool> {
        let key = keys::references(content);
        let row = self.engine.get(&key).await?;
        let others = row.map_or(Ok(0), |row| read_counter(&key, &row.value))?;
        Ok(others > 0)
    }
}
