//! Frees what was unnamed: walks the reclaim queue, oldest entries first, several at a time.
//!
//! An entry is left alone while a read that began before it is still in progress.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use blobs::{Location, SegmentKey};
use futures_util::{StreamExt as _, stream};
use metadata::{FreedBlob, QueuedGarbage};
use model::{UploadId, records::Garbage};
use tokio::sync::Notify;

use super::{Progress, Worker, moving::strays};
use crate::{Error, Result, Service};

/// Entries looked at in one step.
const STEP_ENTRIES: usize = 500;
/// Entries freed side by side, so that one sync makes many of them durable.
const AT_ONCE: usize = 32;
/// How long entries gather before a walk: what is deleted one by one is freed together.
const GATHERING: Duration = Duration::from_millis(100);
/// Parts of an upload freed in one commit.
const STEP_PARTS: usize = 100;

/// Walks the queue from end to end, over entries that have to wait or cannot be freed now.
#[derive(Default)]
pub struct Reclaim {
    after: Option<QueuedGarbage>,
    freed_in_walk: usize,
    failure: Option<Error>,
}

#[async_trait(?Send)]
impl Worker for Reclaim {
    fn name(&self) -> &'static str {
        "reclaim"
    }

    fn woken_by<'s>(&self, service: &'s Service) -> Option<&'s Notify> {
        Some(&service.garbage_queued)
    }

    fn gathering(&self) -> Duration {
        GATHERING
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
        let free = async |those: Vec<&QueuedGarbage>| {
            let mut outcomes = Vec::with_capacity(those.len());
            for entry in those {
                outcomes.push(service.free(entry).await);
            }
            outcomes
        };
        let free = unrelated(service, &entries).into_iter().map(free);
        let mut freeing = stream::iter(free).buffer_unordered(AT_ONCE);
        while let Some(outcomes) = freeing.next().await {
            for outcome in outcomes {
                match outcome {
                    Ok(freed) => self.freed_in_walk += usize::from(freed),
                    Err(error) => self.failure = Some(error),
                }
            }
        }
        drop(freeing);
        self.after = entries.into_iter().last();
        if self.after.is_some() {
            return Ok(Progress::More);
        }
        // The end of the queue. What was freed may have queued more.
        let freed = std::mem::take(&mut self.freed_in_walk);
        match self.failure.take() {
            Some(error) => Err(error),
            None if freed > 0 => Ok(Progress::Pause(GATHERING)),
            None => Ok(Progress::Idle),
        }
    }
}

/// The entries that may be freed now, those that change the same rows one after the other.
fn unrelated<'e>(service: &Service, entries: &'e [QueuedGarbage]) -> Vec<Vec<&'e QueuedGarbage>> {
    let mut related: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (place, entry) in entries.iter().enumerate() {
        if service.readers.all_after(entry.since) {
            let of = entry.releases().map_or((Some(place), None), |id| (None, Some(id)));
            related.entry(of).or_default().push(entry);
        }
    }
    related.into_values().collect()
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
            Garbage::Blob(location) => self.free_blobs(entry, [location.as_slice()]).await?,
            Garbage::Blobs(locations) => {
                self.free_blobs(entry, locations.iter().map(|it| it.as_slice())).await?;
            }
            Garbage::Unnamed(location) => {
                let location = self.decode_location(location)?;
                let Some(_turn) = self.turns.try_take(location.blob.0) else { return Ok(false) };
                let named = self.metadata.blob_location(&location.blob.0).await?;
                let named = named.map(|named| self.decode_location(&named)).transpose()?;
                self.blobs.remove(&strays(&location, named.as_ref())).await?;
                self.metadata.dequeue(entry, &[]).await?;
            }
            Garbage::Upload(upload) => {
                self.free_parts(*upload, &HashSet::new()).await?;
                self.metadata.forget_upload(entry, *upload).await?;
            }
            Garbage::Leftovers { upload, content } => {
                let parts = self.metadata.content_parts(*content).await?;
                let kept = parts.iter().map(|part| part.blob).collect();
                self.free_parts(*upload, &kept).await?;
                self.metadata.forget_upload(entry, *upload).await?;
            }
            Garbage::Draft { content, rows, incarnation } => {
                if !self.metadata.has_ended(incarnation).await? {
                    return Ok(false);
                }
                let named = *incarnation == [0; 16];
                for row in 0..(*rows).max(1) {
                    let last = row + 1 >= *rows;
                    self.metadata.forget_parts(entry, *content, row, named, last).await?;
                }
            }
            Garbage::Segment(segment) => {
                if let Ok(key) = SegmentKey::decode(segment) {
                    self.blobs.remove_segment(key).await?;
                }
                self.metadata.dequeue(entry, &[]).await?;
            }
        }
        Ok(true)
    }

    async fn free_blobs<'b>(
        &self,
        entry: &QueuedGarbage,
        locations: impl IntoIterator<Item = &'b [u8]>,
    ) -> Result<()> {
        let mut freed = Vec::new();
        for location in locations {
            let location = self.decode_location(location)?;
            self.blobs.remove(&location).await?;
            freed.push(FreedBlob { segments: self.left_segments(&location) });
        }
        Ok(self.metadata.dequeue(entry, &freed).await?)
    }

    /// Unnames the parts of an ended upload but those whose blobs a content took over.
    async fn free_parts(&self, upload: UploadId, kept: &HashSet<[u8; 16]>) -> Result<()> {
        loop {
            let (parts, _) = self.metadata.parts(upload, 0, STEP_PARTS).await?;
            if parts.is_empty() {
                return Ok(());
            }
            self.metadata.remove_parts(upload, &parts, kept).await?;
        }
    }
}
