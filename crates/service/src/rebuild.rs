//! Metadata made anew from what the blobs say of themselves: the last resort.
//!
//! Of each key the newest object that is whole comes back, private and owned by the root account.
//! What no blob tells stays lost: tags, names of server-side copies, markers, deletions, versions.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use blobs::{BlobId, CopyAt, CopyReport, FoundCopy, Location, Wish};
use metadata::{NamedContent, NewContent, NewVersion, PartBlob};
use model::{
    AccountId, Condition,
    names::{BucketId, BucketName, ContentId, ObjectKey},
    policy::Action,
    records::{Bucket, Content, ContentPart, ObjectData, Versioning},
};

use crate::{
    Need, Operation, Permit, Result, Service,
    contents::{Description, part_blob, segments},
};

/// Names told in a report at most; the numbers are exact.
const NAMES_MAX: usize = 1000;
/// More copies of one blob than this are not looked at.
const COPIES_MAX: usize = 16;
/// How often a log line tells how far it is.
const PROGRESS_OBJECTS: u64 = 10_000;

/// Names in empty metadata what lies in the directories. Nothing is removed.
pub struct Rebuild;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct RebuildReport {
    /// Blobs found, and their copies.
    pub blobs: u64,
    pub copies: u64,
    pub buckets: u64,
    pub objects: u64,
    pub object_bytes: u64,
    /// Blobs that a newer one of the same key stands before.
    pub older: u64,
    /// Copies and files whose description cannot be read.
    pub unreadable: u64,
    /// Blobs that were passed over because no copy is whole, or a part is missing.
    pub broken: u64,
    /// Bucket and key of keys whose newest blob was passed over; the first ones.
    pub broken_keys: Vec<(String, String)>,
    /// Keys of which no blob is whole.
    pub lost: u64,
    /// Buckets of a name that a newer bucket has, with all in them.
    pub buckets_left: u64,
}

/// What was found of one blob.
struct Found {
    size_bytes: u64,
    copies: Vec<CopyAt>,
    /// One of the copies has said what it is.
    described: bool,
}

/// A blob that could be an object: the greatest is the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    sequence: u64,
    begun_ms: i64,
    blob: BlobId,
}

/// Everything that was found.
#[derive(Default)]
struct Stock {
    blobs: HashMap<BlobId, Found>,
    buckets: BTreeMap<BucketId, FoundBucket>,
}

/// What blobs say of their bucket.
struct FoundBucket {
    name: String,
    newest: u64,
    /// Its own number of copies, as the newest of them knew it.
    copies: Option<u8>,
    begun_ms: i64,
    keys: BTreeMap<ObjectKey, Vec<Candidate>>,
}

/// An object all of whose bytes are there.
struct Whole {
    object: ObjectData,
    content: NewContent,
    /// Of the parts, and of their manifest, if it is a multipart object.
    parts: Option<(Vec<ContentPart>, Vec<PartBlob>, PartBlob)>,
}

impl Operation for Rebuild {
    type Output = RebuildReport;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(Action::AdminStore)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let owner = permit.caller().account_id().ok_or(Condition::AccessDenied)?;
        let mut report = RebuildReport::default();
        let mut stock = service.take_stock(&mut report).await?;
        let buckets = newest_of_each_name(std::mem::take(&mut stock.buckets), &mut report);
        for (id, bucket) in buckets {
            service.rebuild_bucket(owner, id, bucket, &stock, &mut report).await?;
        }
        Ok(report)
    }
}

/// A bucket that was deleted and made again left blobs of two ids: the newer one has the name.
fn newest_of_each_name(
    buckets: BTreeMap<BucketId, FoundBucket>,
    report: &mut RebuildReport,
) -> BTreeMap<BucketId, FoundBucket> {
    let mut newest: BTreeMap<String, (u64, BucketId)> = BTreeMap::new();
    for (id, bucket) in &buckets {
        let known = newest.entry(bucket.name.clone()).or_insert((bucket.newest, *id));
        *known = (*known).max((bucket.newest, *id));
    }
    let all = buckets.len();
    let is_newest = |id: &BucketId, bucket: &FoundBucket| {
        newest.get(&bucket.name).is_some_and(|(_, newest)| newest == id)
    };
    let kept: BTreeMap<_, _> = buckets.into_iter().filter(|(id, it)| is_newest(id, it)).collect();
    report.buckets_left = (all - kept.len()) as u64;
    kept
}

impl Stock {
    fn add(&mut self, found: FoundCopy, report: &mut RebuildReport) {
        report.copies += 1;
        let description = minicbor::decode::<Description>(&found.description);
        let first = !self.blobs.contains_key(&found.blob);
        let blob = self.blobs.entry(found.blob).or_insert_with(|| {
            let (size_bytes, copies) = (found.size_bytes, Vec::new());
            Found { size_bytes, copies, described: false }
        });
        report.blobs += u64::from(first);
        if blob.size_bytes == found.size_bytes && blob.copies.len() < COPIES_MAX {
            blob.copies.push(found.copy);
        }
        let Ok(description) = description else {
            report.unreadable += 1;
            return;
        };
        if std::mem::replace(&mut blob.described, true) || description.part.is_some() {
            return;
        }
        let Description { sequence, begun_ms, .. } = description;
        let bucket = self.buckets.entry(description.bucket).or_insert_with(|| FoundBucket {
            name: description.bucket_name,
            newest: sequence,
            copies: description.copies,
            begun_ms,
            keys: BTreeMap::new(),
        });
        if sequence >= bucket.newest {
            (bucket.newest, bucket.copies) = (sequence, description.copies);
        }
        bucket.begun_ms = bucket.begun_ms.min(begun_ms);
        let candidate = Candidate { sequence, begun_ms, blob: found.blob };
        bucket.keys.entry(description.key).or_default().push(candidate);
    }

    fn location(&self, blob: BlobId) -> Option<Location> {
        let Found { size_bytes, copies, .. } = self.blobs.get(&blob)?;
        Some(Location { blob, size_bytes: *size_bytes, wish: None, copies: copies.clone() })
    }
}

impl Service {
    async fn take_stock(&self, report: &mut RebuildReport) -> Result<Stock> {
        let mut stock = Stock::default();
        let mut finder = self.blobs.find_all().await?;
        while let Some(page) = finder.next().await? {
            report.unreadable += page.unreadable;
            page.copies.into_iter().for_each(|found| stock.add(found, report));
        }
        tracing::info!(blobs = report.blobs, copies = report.copies, "rebuild: all blobs found");
        Ok(stock)
    }

    async fn rebuild_bucket(
        self: &Arc<Self>,
        owner: &AccountId,
        id: BucketId,
        found: FoundBucket,
        stock: &Stock,
        report: &mut RebuildReport,
    ) -> Result<()> {
        let Ok(name) = BucketName::parse(&found.name) else {
            report.buckets_left += 1;
            return Ok(());
        };
        let regions = found.keys.values().flatten();
        let region = regions.filter_map(|it| self.region_of(&stock.location(it.blob)?)).next();
        let bucket = Bucket {
            id,
            name,
            owner: owner.clone(),
            created_ms: found.begun_ms,
            region: region.unwrap_or_else(|| self.region_for(None)),
            location: None,
            versioning: Versioning::Unversioned,
            storage_class: None,
            redundancy: None,
            documents: Vec::new(),
            access_block: self.new_access_block(),
            copies: None,
            acl: None,
            object_ownership: None,
            mfa_delete: None,
        };
        self.metadata.restore_bucket(&bucket).await?;
        report.buckets += 1;
        for (key, mut candidates) in found.keys {
            candidates.sort_unstable_by(|one, two| two.cmp(one));
            self.rebuild_key(&bucket, &key, &candidates, stock, report).await?;
            if report.objects.is_multiple_of(PROGRESS_OBJECTS) {
                tracing::info!(bucket = %bucket.name, objects = report.objects, "rebuild goes on");
            }
        }
        self.rebuild_copies(&bucket, found.copies).await
    }

    /// Sets the number of copies that a bucket had, as far as there are directories for it; what
    /// it names is brought to it later.
    async fn rebuild_copies(&self, bucket: &Bucket, copies: Option<u8>) -> Result<()> {
        let most = self.blobs.most_copies(&bucket.region).min(usize::from(Wish::MAX));
        let copies = copies.map(|copies| copies.min(u8::try_from(most).unwrap_or(u8::MAX)));
        if copies.is_some_and(|copies| copies > 0) {
            self.metadata.set_copies(bucket, copies).await?;
        }
        Ok(())
    }

    /// Names the newest of `candidates` that is whole.
    async fn rebuild_key(
        self: &Arc<Self>,
        bucket: &Bucket,
        key: &ObjectKey,
        candidates: &[Candidate],
        stock: &Stock,
        report: &mut RebuildReport,
    ) -> Result<()> {
        for (passed, candidate) in candidates.iter().enumerate() {
            let whole = self.whole(bucket, candidate.blob, stock).await?;
            if passed == 0 && whole.is_none() && report.broken_keys.len() < NAMES_MAX {
                report.broken_keys.push((bucket.name.to_string(), key.to_string()));
            }
            let Some(mut whole) = whole else {
                report.broken += 1;
                continue;
            };
            if let Some((parts, blobs, manifest)) = &whole.parts {
                let id = whole.content.id;
                let rows = self.metadata.restore_parts(id, parts, blobs, manifest).await?;
                whole.content.content.part_rows = rows;
            }
            let new = NewVersion {
                key,
                owner: &bucket.owner,
                object: Some(&whole.object),
                content: Some(NamedContent::New(&whole.content)),
                acl: None,
                tags: None,
                now_ms: candidate.begun_ms,
            };
            self.metadata.write_version(bucket, &new, |_, _| Ok(())).await?;
            report.objects += 1;
            report.object_bytes += whole.object.size_bytes;
            report.older += (candidates.len() - passed - 1) as u64;
            return Ok(());
        }
        report.lost += 1;
        Ok(())
    }

    /// The object of a blob, if every byte of it is there.
    async fn whole(
        self: &Arc<Self>,
        bucket: &Bucket,
        blob: BlobId,
        stock: &Stock,
    ) -> Result<Option<Whole>> {
        let Some(location) = self.intact(blob, stock).await else { return Ok(None) };
        let described = self.blobs.describe(&location).await.ok();
        let description = described.and_then(|it| minicbor::decode::<Description>(&it).ok());
        let Some(Description { outcome: Some(outcome), attributes, manifest, .. }) = description
        else {
            return Ok(None);
        };
        let object = ObjectData {
            content: ContentId(blob.0),
            size_bytes: location.size_bytes,
            etag: outcome.etag,
            crc64: outcome.crc64,
            checksum: outcome.checksum,
            attributes,
        };
        if manifest {
            return self.whole_of_parts(bucket, object, &location, stock).await;
        }
        let content = NewContent {
            id: object.content,
            content: Content {
                size_bytes: location.size_bytes,
                location: Some(location.encode()),
                part_rows: 0,
                region: bucket.region.clone(),
                manifest: None,
            },
            segments: segments(&location),
        };
        Ok(Some(Whole { object, content, parts: None }))
    }

    async fn whole_of_parts(
        self: &Arc<Self>,
        bucket: &Bucket,
        object: ObjectData,
        manifest: &Location,
        stock: &Stock,
    ) -> Result<Option<Whole>> {
        let mut list = Vec::new();
        let mut reader = self.blobs.read(manifest.clone(), 0..manifest.size_bytes);
        while let Some(bytes) = reader.next().await {
            list.extend_from_slice(&bytes?);
        }
        let Ok(parts) = minicbor::decode::<Vec<ContentPart>>(&list) else { return Ok(None) };
        let mut blobs = Vec::with_capacity(parts.len());
        for part in &parts {
            let location = self.intact(BlobId(part.blob), stock).await;
            match location.filter(|location| location.size_bytes == part.size_bytes) {
                Some(location) => blobs.push(part_blob(&location)),
                None => return Ok(None),
            }
        }
        let size_bytes = parts.iter().map(|part| part.size_bytes).sum();
        // As a random id of its own would: the manifest has a row of another family.
        let id = ContentId(self.random());
        let content = NewContent {
            id,
            content: Content {
                size_bytes,
                location: None,
                part_rows: 0,
                region: bucket.region.clone(),
                manifest: Some(manifest.blob.0),
            },
            segments: Vec::new(),
        };
        let object = ObjectData { content: id, size_bytes, ..object };
        let parts = Some((parts, blobs, part_blob(manifest)));
        Ok(Some(Whole { object, content, parts }))
    }

    /// Where the copies of a blob lie that are whole; `None` if none is.
    async fn intact(&self, blob: BlobId, stock: &Stock) -> Option<Location> {
        let mut location = stock.location(blob)?;
        let reports = self.blobs.verify(&location).await;
        let mut reports = reports.into_iter().map(|(_, report)| report == CopyReport::Intact);
        location.copies.retain(|_| reports.next().unwrap_or(false));
        // More than one record of a blob may lie in a directory, after a repair or a compaction.
        location.copies.sort_unstable_by_key(|copy| copy.directory);
        location.copies.dedup_by_key(|copy| copy.directory);
        Some(location).filter(|location| !location.copies.is_empty())
    }

    fn region_of(&self, location: &Location) -> Option<String> {
        let directories = self.blobs.directories();
        let of = |copy: &CopyAt| directories.iter().find(|it| it.id == copy.directory);
        location.copies.iter().find_map(of).map(|directory| directory.region.clone())
    }
}
