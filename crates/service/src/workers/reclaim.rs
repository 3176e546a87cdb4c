//! Frees what was unnamed: walks the reclaim queue, oldest entries first.
//!
//! An entry is left alone while a read that began before it is still in progress.

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use blobs::{Location, SegmentKey};
use metadata::{FreedBlob, QueuedGarbage};
use model::{ContentId, UploadId, records::Garbage};

use super::{Progress, Worker};
use crate::{Error, Result, Service, contents::segments};

/// Entries looked at in one step.
const STEP_ENTRIES: usize = 500;
/// Parts of an upload freed in one commit.
const STEP_PARTS: usize = 100;

/// Walks the queue from end to end, over entries that have to wait or cannot be freed now.
#[derive(Default)]
pub struct Reclaim {
    after: Option<QueuedGarbage>,
    freed_in_walk: usize,
    failure: Option<Error>,
}

impl Reclaim {
    pub const NAME: &'static str = "reclaim";
}

#[async_trait(?Send)]
impl Worker for Reclaim {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn every(&self) -> Duration {
        Duration::from_secs(10)
    }

    async fn step(&mut self, service: &Arc<Service>) -> Result<Progress> {
        while let Some((location, writing)) = service.unnamed.take() {
            service.discard(&location).await?;
            drop(writing);
        }
        let entries = service.metadata.garbage(self.after.as_ref(), STEP_ENTRIES).await?;
        for entry in &entries {
            if !service.readers.all_after(entry.since) {
                continue;
            }
            match service.free(entry).await {
                Ok(true) => self.freed_in_walk += 1,
                Ok(false) => {}
                Err(error) => self.failure = Some(error),
            }
        }
        self.after = entries.into_iter().last();
        if self.after.is_some() {
            return Ok(Progress::More);
        }
        // The end of the queue. What was freed may have queued more.
        let freed = std::mem::take(&mut self.freed_in_walk);
        match self.failure.take() {
            Some(error) => Err(error),
            None if freed > 0 => Ok(Progress::More),
            None => Ok(Progress::Idle),
        }
    }
}

impl Service {
    /// Queues a blob that a failed write left, unless a commit named it after all.
    pub(super) async fn discard(&self, location: &Location) -> Result<()> {
        let (blob, encoded) = (&location.blob.0, location.encode());
        Ok(self.metadata.discard_blob(blob, &encoded, self.now_ms()).await?)
    }

    /// Does what an entry asks for; `false` if it has to wait.
    async fn free(&self, entry: &QueuedGarbage) -> Result<bool> {
        match &entry.garbage {
            Garbage::Content(content) => self.metadata.release(entry, *content).await?,
            Garbage::Blob(location) => {
                let freed = self.free_blob(location).await?;
                self.metadata.dequeue(entry, Some(&freed)).await?;
            }
            Garbage::Unnamed(location) => {
                self.blobs.remove(&self.decode_location(location)?).await?;
                self.metadata.dequeue(entry, None).await?;
            }
            Garbage::Upload(upload) => {
                self.free_parts(*upload, &HashSet::new()).await?;
                self.metadata.forget_upload(entry, *upload).await?;
            }
            Garbage::Leftovers { upload, content } => {
                let parts = self.metadata.content_parts(*content).await?;
                let kept =
                    parts.iter().map(|part| Ok(self.decode_location(&part.location)?.blob.0));
                let kept = kept.collect::<Result<HashSet<_>>>()?;
                self.free_parts(*upload, &kept).await?;
                self.metadata.forget_upload(entry, *upload).await?;
            }
            Garbage::Draft { content, rows, incarnation } => {
                if !self.metadata.has_ended(incarnation).await? {
                    return Ok(false);
                }
                let named = *incarnation == [0; 16];
                self.free_rows(entry, *content, *rows, named).await?;
            }
            Garbage::Segment(segment) => {
                if let Ok(key) = SegmentKey::decode(segment) {
                    self.blobs.remove_segment(key).await?;
                }
                self.metadata.dequeue(entry, None).await?;
            }
        }
        Ok(true)
    }

    async fn free_blob(&self, location: &[u8]) -> Result<FreedBlob> {
        let location = self.decode_location(location)?;
        self.blobs.remove(&location).await?;
        Ok(FreedBlob { id: location.blob.0, segments: segments(&location) })
    }

    /// Frees the parts of an ended upload but those whose blobs a content took over.
    async fn free_parts(&self, upload: UploadId, kept: &HashSet<[u8; 16]>) -> Result<()> {
        loop {
            let (parts, _) = self.metadata.parts(upload, 0, STEP_PARTS).await?;
            if parts.is_empty() {
                return Ok(());
            }
            let (mut freed, mut passed_on) = (Vec::new(), Vec::new());
            for part in &parts {
                let blob = self.decode_location(&part.location)?.blob.0;
                // Nameless, it was freed with its content, whose entry came up before this one.
                if kept.contains(&blob) || !self.metadata.names_blob(&blob).await? {
                    passed_on.push(part.number);
                } else {
                    freed.push((part.number, self.free_blob(&part.location).await?));
                }
            }
            self.metadata.remove_parts(upload, &freed, &passed_on).await?;
        }
    }

    /// Frees the rows of a multipart content, and the blobs too if the content was `named`: those
    /// of a draft still belong to the upload.
    async fn free_rows(
        &self,
        entry: &QueuedGarbage,
        content: ContentId,
        rows: u32,
        named: bool,
    ) -> Result<()> {
        for row in 0..rows.max(1) {
            let mut freed = Vec::new();
            if named {
                for part in self.metadata.part_row(content, row).await? {
                    freed.push(self.free_blob(&part.location).await?);
                }
            }
            let last = row + 1 >= rows;
            self.metadata.forget_parts(entry, content, row, &freed, last).await?;
        }
        Ok(())
    }
}
