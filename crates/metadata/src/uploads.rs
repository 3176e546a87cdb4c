//! Multipart uploads and their parts.

use std::collections::HashSet;

use model::{
    Condition,
    limits::PARTS_PER_ROW,
    names::{BucketId, ContentId, ObjectKey, UploadId},
    records::{Bucket, Content, ContentPart, FinishedUpload, Garbage, Part, Upload},
};

use crate::{
    Guard, Metadata, NamedContent, NewVersion, Result, WrittenVersion,
    blobs::PartBlob,
    engine::{Direction, ScanRange, VALUE_BYTES_MAX, read_counter},
    keys,
    transaction::{Draft, Try, decode_row},
    usage::Change,
};

/// A part about to be named.
#[derive(Clone, Debug)]
pub struct PartWritten {
    pub part: Part,
    pub blob: PartBlob,
}

/// The content a completed upload becomes.
#[derive(Clone, Debug)]
pub struct CompletedContent {
    pub id: ContentId,
    pub size_bytes: u64,
    pub region: String,
    pub parts: Vec<ContentPart>,
    /// Lists the parts for the day when these rows are lost.
    pub manifest: PartBlob,
    /// [`Metadata::part_writes`] from before the parts were read.
    pub seen: Guard,
    /// Tells a repeated request for the same parts from one for others.
    pub parts_digest: [u8; 16],
}

/// An incarnation that never was, and so has ended.
const NOBODY: [u8; 16] = [u8::MAX; 16];

impl Metadata {
    /// Begins an upload.
    pub async fn create_upload(&self, known: &Bucket, upload: &Upload) -> Result<()> {
        self.transact(async || {
            let mut draft = Draft::default();
            let bucket = self.rebind(&mut draft, known).await?;
            let row = keys::upload(bucket.id, &upload.key, upload.id);
            draft.expect_row(&row, None);
            draft.put(row, upload);
            let mut change = Change::new(&bucket);
            change.usage.uploads = 1;
            draft.count(change);
            Ok(Try::Commit(draft, ()))
        })
        .await
    }

    pub async fn upload(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        id: UploadId,
    ) -> Result<Option<(Upload, Guard)>> {
        self.record(&keys::upload(bucket, key, id)).await
    }

    /// Names a part. What had its number is queued to be freed.
    ///
    /// # Errors
    /// [`Condition::NoSuchUpload`] when the upload ended meanwhile.
    pub async fn put_part(
        &self,
        known: &Bucket,
        upload: &Upload,
        written: &PartWritten,
        now_ms: i64,
    ) -> Result<()> {
        self.transact(async || {
            let mut draft = Draft::default();
            let bucket = self.rebind(&mut draft, known).await?;
            let (_, guard) = self
                .upload(bucket.id, &upload.key, upload.id)
                .await?
                .ok_or(Condition::NoSuchUpload)?;
            draft.expect(&guard);
            draft.expect(&self.incarnation.guard);
            let row = keys::part(upload.id, written.part.number);
            match self.record::<Part>(&row).await? {
                Some((replaced, guard)) => {
                    draft.expect(&guard);
                    self.unname_parts(&mut draft, &[replaced.blob], now_ms).await?;
                }
                None => {
                    draft.expect_row(&row, None);
                    draft.add(keys::part_count(upload.id), 1);
                    let mut change = Change::new(&bucket);
                    change.usage.parts = 1;
                    draft.count(change);
                }
            }
            draft.put(row, &written.part);
            written.blob.name(&mut draft);
            draft.add(keys::part_writes(upload.id), 1);
            Ok(Try::Commit(draft, ()))
        })
        .await
    }

    /// Parts after number `after`, at most `limit`; and whether there are more.
    pub async fn parts(
        &self,
        upload: UploadId,
        after: u32,
        limit: usize,
    ) -> Result<(Vec<Part>, bool)> {
        let mut parts = Vec::new();
        let ScanRange { end, .. } = keys::within(keys::join(keys::PART, &[&upload.0]));
        let start = keys::part(upload, after.saturating_add(1));
        let mut rest = Some(ScanRange { start, end });
        while let Some(range) = rest {
            let page = self.engine.scan(&range, 1000, Direction::Forward).await?;
            for (key, row) in &page.rows {
                if parts.len() >= limit {
                    return Ok((parts, true));
                }
                parts.push(decode_row(key, row)?);
            }
            rest = page.next;
        }
        Ok((parts, false))
    }

    /// How many part writes an upload has seen: completing expects it unchanged.
    pub async fn part_writes(&self, upload: UploadId) -> Result<Option<Guard>> {
        let key = keys::part_writes(upload);
        Ok(self.engine.get(&key).await?.map(|row| Guard { key, version: row.version }))
    }

    async fn part_count(&self, draft: &mut Draft, upload: UploadId) -> Result<i64> {
        let key = keys::part_count(upload);
        let row = self.engine.get(&key).await?;
        draft.expect_row(&key, row.as_ref());
        let count = row.as_ref().map_or(Ok(0), |row| read_counter(&key, &row.value))?;
        if row.is_some() {
            draft.delete(key);
        }
        Ok(count)
    }

    /// Takes an upload out of the listing, in the commit being put together.
    async fn end_upload(&self, draft: &mut Draft, bucket: &Bucket, upload: &Upload) -> Result<()> {
        let (_, guard) =
            self.upload(bucket.id, &upload.key, upload.id).await?.ok_or(Condition::NoSuchUpload)?;
        draft.expect(&guard);
        draft.delete(keys::upload(bucket.id, &upload.key, upload.id));
        let mut change = Change::new(bucket);
        change.usage.uploads = -1;
        change.usage.parts = -self.part_count(draft, upload.id).await?;
        draft.count(change);
        Ok(())
    }

    /// Throws an upload away; its parts are queued to be freed.
    ///
    /// # Errors
    /// [`Condition::NoSuchUpload`].
    pub async fn abort_upload(&self, known: &Bucket, upload: &Upload, now_ms: i64) -> Result<()> {
        self.transact(async || {
            let mut draft = Draft::reclaiming();
            let bucket = self.rebind(&mut draft, known).await?;
            self.end_upload(&mut draft, &bucket, upload).await?;
            self.enqueue(&mut draft, &Garbage::Upload(upload.id), now_ms);
            Ok(Try::Commit(draft, ()))
        })
        .await
    }

    /// Makes the version an upload was for.
    ///
    /// The rows of the parts are written first; one commit then names the content, ends the upload
    /// and remembers the answer.
    ///
    /// # Errors
    /// [`Condition::NoSuchUpload`] when it ended meanwhile, [`Condition::WriteConflict`] when a
    /// part was written meanwhile, or what `decide` returns.
    pub async fn complete_upload(
        &self,
        known: &Bucket,
        upload: &Upload,
        content: &CompletedContent,
        new: &NewVersion<'_>,
        decide: impl Fn(&Bucket, Option<&model::records::Version>) -> Result<(), Condition>,
    ) -> Result<WrittenVersion> {
        let rows = self.draft_parts(content, new.now_ms).await?;
        let completing = self.transact(async || {
            let mut draft = Draft::default();
            let bucket = self.rebind(&mut draft, known).await?;
            self.end_upload(&mut draft, &bucket, upload).await?;
            let seen = &content.seen;
            if self.part_writes(upload.id).await?.as_ref() != Some(seen) {
                return Err(Condition::WriteConflict.into());
            }
            draft.expect(seen);
            draft.delete(seen.key.clone());
            draft.expect(&rows);
            draft.delete(rows.key.clone());
            let named = crate::NewContent {
                id: content.id,
                content: Content {
                    size_bytes: content.size_bytes,
                    location: None,
                    part_rows: row_count(content),
                    region: content.region.clone(),
                    manifest: Some(content.manifest.id),
                },
                segments: Vec::new(),
            };
            content.manifest.name(&mut draft);
            let new = NewVersion { content: Some(NamedContent::New(&named)), ..new.clone() };
            let version = self.draft_version(&mut draft, &bucket, &new, &decide).await?;
            let written = WrittenVersion { version, versioning: bucket.versioning };
            let finished = FinishedUpload {
                bucket: bucket.id,
                key: upload.key.clone(),
                version: written.version.clone(),
                parts_digest: content.parts_digest,
                finished_ms: new.now_ms,
                versioned: bucket.versioning != model::records::Versioning::Unversioned,
                initiator: upload.initiator.clone(),
            };
            draft.put(keys::finished(upload.id), &finished);
            let leftovers = Garbage::Leftovers { upload: upload.id, content: content.id };
            self.enqueue(&mut draft, &leftovers, new.now_ms);
            Ok(Try::Commit(draft, written))
        });
        let completed = completing.await;
        if completed.is_err() {
            self.abandon_parts(content, &rows).await;
        }
        completed
    }

    /// Lets the rows of a content that got no name be freed now, and not only when this
    /// incarnation has ended.
    async fn abandon_parts(&self, content: &CompletedContent, entry: &Guard) {
        let (content, rows) = (content.id, row_count(content));
        let abandoned = Garbage::Draft { content, rows, incarnation: NOBODY };
        let queued = self.transact(async || {
            let mut draft = Draft::reclaiming();
            draft.expect(entry);
            draft.put(entry.key.clone(), &abandoned);
            Ok(Try::Commit(draft, ()))
        });
        if let Err(error) = queued.await {
            tracing::warn!(%content, %error, "the rows of a refused completion stay for now");
        }
    }

    /// Writes the rows of a content's parts, not named by anything yet, with a queue entry that
    /// frees the rows should the process end before they are named. Returns that entry.
    async fn draft_parts(&self, content: &CompletedContent, now_ms: i64) -> Result<Guard> {
        let entry = keys::garbage(now_ms, self.random());
        let draft_of = Garbage::Draft {
            content: content.id,
            rows: row_count(content),
            incarnation: self.incarnation.id,
        };
        self.transact(async || {
            let mut draft = Draft::default();
            draft.expect(&self.incarnation.guard);
            draft.put(entry.clone(), &draft_of);
            Ok(Try::Commit(draft, ()))
        })
        .await?;
        for (row, parts) in (0..).zip(rows_of(content)) {
            self.transact(async || {
                let mut draft = Draft::default();
                draft.expect(&self.incarnation.guard);
                draft.put(keys::content_parts(content.id, row), &parts.to_vec());
                Ok(Try::Commit(draft, ()))
            })
            .await?;
        }
        let row = self.engine.get(&entry).await?.ok_or(crate::Error::Busy)?;
        Ok(Guard { key: entry, version: row.version })
    }

    /// The answer of an upload completed before.
    pub async fn finished_upload(&self, id: UploadId) -> Result<Option<FinishedUpload>> {
        Ok(self.record(&keys::finished(id)).await?.map(|(finished, _)| finished))
    }

    /// Forgets parts of an ended upload, and unnames their blobs but those that a content took over
    /// (`kept`).
    pub async fn remove_parts(
        &self,
        upload: UploadId,
        parts: &[Part],
        kept: &HashSet<[u8; 16]>,
    ) -> Result<()> {
        let freed = parts.iter().map(|part| part.blob).filter(|blob| !kept.contains(blob));
        let freed: Vec<_> = freed.collect();
        self.transact(async || {
            let mut draft = Draft::reclaiming();
            // One that nothing names went with its content, whose entry came up before this one.
            self.unname_parts(&mut draft, &freed, 0).await?;
            parts.iter().for_each(|part| draft.delete(keys::part(upload, part.number)));
            Ok(Try::Commit(draft, ()))
        })
        .await
    }

    /// Forgets the answers of uploads completed before `before_ms`; at most 500 at a time.
    /// Returns whether there may be more.
    pub async fn forget_finished(&self, before_ms: i64) -> Result<bool> {
        let [_, _, before @ ..] = before_ms.max(0).to_be_bytes();
        // An upload's id begins with the time it was begun, and it was not completed before that.
        let end = keys::join(keys::FINISHED, &[&before]);
        let mut rest = Some(ScanRange { start: vec![keys::FINISHED], end });
        let mut old = Vec::new();
        while let Some(range) = rest.filter(|_| old.len() < 500) {
            let page = self.engine.scan(&range, 500, Direction::Forward).await?;
            for (key, row) in &page.rows {
                let finished: FinishedUpload = decode_row(key, row)?;
                if finished.finished_ms < before_ms {
                    old.push(key.clone());
                }
            }
            rest = page.next;
        }
        if old.is_empty() {
            return Ok(false);
        }
        self.transact(async || {
            let mut draft = Draft::reclaiming();
            old.iter().take(500).for_each(|key| draft.delete(key.clone()));
            Ok(Try::Commit(draft, ()))
        })
        .await?;
        Ok(old.len() >= 500)
    }

    /// Forgets what counted an aborted upload's parts.
    pub async fn forget_upload(
        &self,
        entry: &crate::QueuedGarbage,
        upload: UploadId,
    ) -> Result<()> {
        self.transact(async || {
            let mut draft = Draft::reclaiming();
            draft.delete(keys::part_writes(upload));
            draft.delete(entry.guard.key.clone());
            Ok(Try::Commit(draft, ()))
        })
        .await
    }
}

fn row_count(content: &CompletedContent) -> u32 {
    u32::try_from(rows_of(content).len()).unwrap_or(u32::MAX)
}

/// What a part takes in a row at most.
const PART_BYTES: usize = 192;
const _: () = assert!(PARTS_PER_ROW * PART_BYTES < VALUE_BYTES_MAX);

/// The parts row by row.
fn rows_of(content: &CompletedContent) -> Vec<&[ContentPart]> {
    content.parts.chunks(PARTS_PER_ROW).collect()
}
