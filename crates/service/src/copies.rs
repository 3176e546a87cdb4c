//! How many copies the bytes of one bucket have: set by the operator, kept by every write, and
//! brought to what was there before by `workers::recount`.

use std::sync::Arc;

use blobs::{BlobId, Location, Wanted, Wish};
use metadata::{Guard, OnlyVersion, Scope, Usage};
pub use metadata::{Recount, RecountPlace};
use model::{
    Condition,
    names::{BucketName, ContentId},
    policy::Action,
    records::{Bucket, Content},
};

use crate::{
    Error, Need, Operation, Permit, Result, Service,
    contents::{content_is_missing, wanted},
    disks::refused,
};

/// What the operator sees of a bucket.
pub struct ShowBucket(pub BucketName);

/// Sets how many copies the bytes of a bucket shall have.
pub struct SetCopies {
    pub bucket: BucketName,
    /// `None` means as many as all others.
    pub copies: Option<u8>,
}

/// A bucket, and how far its bytes are where they are to lie.
pub struct ShownBucket {
    pub bucket: Bucket,
    /// Those that a blob written now gets.
    pub copies: usize,
    pub usage: Usage,
    /// `None` when nothing is to be done.
    pub recount: Option<Recount>,
}

impl Operation for ShowBucket {
    type Output = ShownBucket;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(Action::AdminStore)
    }

    async fn run(self, _: Permit<'_, Self>, service: &Arc<Service>) -> Result<ShownBucket> {
        let bucket = service.any_bucket(&self.0).await?;
        Ok(ShownBucket {
            copies: service.blobs.copies(&wanted(&bucket)),
            usage: service.metadata.usage(&Scope::Bucket(bucket.id)).await?,
            recount: service.metadata.recount(bucket.id).await?,
            bucket,
        })
    }
}

impl Operation for SetCopies {
    type Output = ();

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(Action::AdminStore)
    }

    async fn run(self, _: Permit<'_, Self>, service: &Arc<Service>) -> Result<()> {
        // No directory goes meanwhile.
        let _alone = service.disk_changes.lock().await;
        let bucket = service.any_bucket(&self.bucket).await?;
        if let Some(copies) = self.copies {
            let most = service.blobs.most_copies(&bucket.region).min(usize::from(Wish::MAX));
            if Wish::exactly(copies).is_none() || usize::from(copies) > most {
                let region = &bucket.region;
                return Err(refused(format!(
                    "A bucket in the region {region} can have 1 to {most} copies: one in each of \
                     its directories that is not being emptied."
                )));
            }
        }
        service.metadata.set_copies(&bucket, self.copies).await?;
        tracing::info!(bucket = %bucket.name, copies = self.copies, "bucket has other copies now");
        Ok(())
    }
}

/// The blobs of a content: where its first one lies decides with whom it can be shared.
pub(crate) struct Pieces {
    pub lead: BlobId,
    pub others: Vec<BlobId>,
}

/// What became of one blob.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Recounted {
    pub changed: bool,
    /// Written for it.
    pub bytes: u64,
}

impl Service {
    async fn any_bucket(&self, name: &BucketName) -> Result<Bucket> {
        let found = self.metadata.bucket(name).await?;
        found.map(|(bucket, _)| bucket).ok_or_else(|| Condition::NoSuchBucket.into())
    }

    /// The most copies that a bucket of a region wants.
    pub(crate) async fn most_wanted(&self, region: &str) -> Result<Option<Wish>> {
        let (mut most, mut after) = (None, None);
        while let Some(bucket) = self.metadata.next_bucket(after.as_ref()).await? {
            if bucket.region == region {
                most = most.max(bucket.copies);
            }
            after = Some(bucket.name);
        }
        Ok(most.and_then(Wish::exactly))
    }

    /// Whether a version in `bucket` may name a content that others name already: it lies where,
    /// and in as many copies as, new bytes of the bucket would. The guard is of what was read.
    pub(crate) async fn can_share(&self, id: ContentId, bucket: &Bucket) -> Result<Option<Guard>> {
        let found = self.metadata.content_as_read(id).await?;
        let (content, guard) = found.ok_or_else(content_is_missing)?;
        let (location, guard) = match &content.location {
            Some(location) => (location.clone(), guard),
            None => {
                let lead = self.pieces(id, &content).await?.lead.0;
                let found = self.metadata.part_blobs(&[lead]).await?.pop().flatten();
                let lead = found.ok_or_else(content_is_missing)?;
                (lead.location, lead.guard)
            }
        };
        let wish = self.decode_location(&location)?.wish;
        let Wanted { region, copies } = wanted(bucket);
        Ok((content.region == region && wish == copies).then_some(guard))
    }

    /// All blobs of a content.
    pub(crate) async fn pieces(&self, id: ContentId, content: &Content) -> Result<Pieces> {
        if content.location.is_some() {
            return Ok(Pieces { lead: BlobId(id.0), others: Vec::new() });
        }
        let parts = self.metadata.content_parts(id).await?;
        let mut blobs = content.manifest.into_iter().chain(parts.iter().map(|part| part.blob));
        let lead = blobs.next().map(BlobId).ok_or_else(content_is_missing)?;
        Ok(Pieces { lead, others: blobs.map(BlobId).collect() })
    }

    /// Brings a content to the number of copies of a bucket that has `version`, which names it.
    ///
    /// Whoever would share it looks at the lead: that has never more copies than the others.
    pub(crate) async fn recount_content(
        &self,
        version: OnlyVersion,
        wanted: &Wanted,
    ) -> Result<Vec<Result<Recounted>>> {
        let _reading = self.begin_read();
        let id = version.content;
        let Some(content) = self.metadata.content(id).await? else { return Ok(Vec::new()) };
        let Pieces { lead, others } = self.pieces(id, &content).await?;
        let fewer = match self.metadata.blob_location(&lead.0).await? {
            Some(location) => {
                let wish = self.decode_location(&location)?.wish;
                let now = Wanted { copies: wish, ..wanted.clone() };
                self.blobs.copies(wanted) < self.blobs.copies(&now)
            }
            None => false,
        };
        let (first, last) = if fewer { (Some(lead), None) } else { (None, Some(lead)) };
        let mut recounted = Vec::new();
        for blob in first.into_iter().chain(others).chain(last) {
            recounted.push(self.recount_blob(blob, wanted.copies, Some(&version)).await);
        }
        Ok(recounted)
    }

    /// Notes how many copies a blob shall have, and sees to it that it has.
    ///
    /// - `version`: one that names the content it belongs to. While others may name that too, the
    ///   blob gets what satisfies all of them.
    ///
    /// # Errors
    /// When there is no place for the copies.
    pub(crate) async fn recount_blob(
        &self,
        blob: BlobId,
        wish: Option<Wish>,
        version: Option<&OnlyVersion>,
    ) -> Result<Recounted> {
        let (_reading, _writing) = (self.begin_read(), self.writers.begin());
        let _turn = self.turns.take(blob.0).await;
        let Some(encoded) = self.metadata.blob_location(&blob.0).await? else {
            return Ok(Recounted::default());
        };
        let location = self.decode_location(&encoded)?;
        let only = match version {
            Some(version) if self.metadata.is_shared(version.content).await? => None,
            version => version,
        };
        let wish = match version.is_some() && only.is_none() {
            true => Wish::of_both(location.wish, wish),
            false => wish,
        };
        if wish == location.wish {
            return Ok(Recounted::default());
        }
        let settled = self.blobs.settle(&Location { wish, ..location.clone() }).await?;
        let new = settled.copies.iter().filter(|copy| !location.copies.contains(copy)).count();
        self.commit_move(&location, &settled, only).await?;
        // Also if it came to nothing, because the version went or moved: then all are met again.
        Ok(Recounted { changed: true, bytes: location.size_bytes.saturating_mul(new as u64) })
    }
}

impl Error {
    /// Whether what was read to decide changed before the commit.
    pub(crate) fn is_overtaken(&self) -> bool {
        self.condition == Condition::SlowDown
    }
}
