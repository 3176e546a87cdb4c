//! Looks for what nothing names: files of ended incarnations, and segments mostly dead.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use blobs::{BlobId, FileCursor, SegmentInfo, SegmentKey, StrayFile};

use super::{Progress, Worker, origins::Origins};
use crate::{Result, Service};

/// Files or records looked at in one step.
const STEP_ENTRIES: usize = 500;
/// A sealed segment with less than this share of live bytes is compacted.
const LIVE_PERCENT_MIN: i64 = 50;
/// How long the answer of a completed upload is remembered.
const FINISHED_MS: i64 = 24 * 3600 * 1000;

/// Walks all files once per start, and all segments at every look.
#[derive(Default)]
pub struct Sweep {
    files: FileWalk,
    queue: Vec<SegmentInfo>,
    known: HashMap<SegmentKey, Known>,
    origins: Origins,
}

/// What is remembered of a sealed segment from look to look.
#[derive(Clone, Copy)]
struct Known {
    /// Writes that began before this may still name a record in it.
    sealed_at: u64,
    /// Live bytes after it was compacted as far as it goes.
    compacted_to: Option<i64>,
    /// Queued for removal.
    retired: bool,
}

#[derive(Default)]
enum FileWalk {
    #[default]
    Begin,
    At(FileCursor),
    Done,
}

#[async_trait(?Send)]
impl Worker for Sweep {
    fn name(&self) -> &'static str {
        "sweep"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn step(&mut self, service: &Arc<Service>) -> Result<Progress> {
        if !matches!(self.files, FileWalk::Done) {
            self.walk_files(service).await?;
            return Ok(Progress::More);
        }
        if let Some(segment) = self.queue.pop() {
            self.tend_segment(service, &segment).await?;
            return Ok(Progress::More);
        }
        while service.metadata.forget_finished(service.now_ms() - FINISHED_MS).await? {}
        self.look(service).await?;
        Ok(Progress::Idle)
    }
}

impl Sweep {
    /// Removes files that an ended incarnation wrote and nothing names.
    async fn walk_files(&mut self, service: &Service) -> Result<()> {
        let from = match self.files {
            FileWalk::Begin => None,
            FileWalk::At(cursor) => Some(cursor),
            FileWalk::Done => return Ok(()),
        };
        let page = service.blobs.orphan_candidates(from, STEP_ENTRIES).await?;
        for file in page.files {
            // A file that does not tell who wrote it is damage to be looked at, not an orphan.
            let Some(incarnation) = file.incarnation else { continue };
            if self.origins.may_lose_file(service, incarnation).await? {
                service.remove_stray(&file).await?;
            }
        }
        self.files = page.next.map_or(FileWalk::Done, FileWalk::At);
        Ok(())
    }
}

impl Sweep {
    /// Looks which segments there are, for the steps to come.
    async fn look(&mut self, service: &Service) -> Result<()> {
        let segments = service.blobs.sealed_segments().await?;
        let new = Known { sealed_at: service.writers.mark(), compacted_to: None, retired: false };
        let known: HashMap<_, _> = segments
            .iter()
            .map(|segment| (segment.key, self.known.get(&segment.key).copied().unwrap_or(new)))
            .collect();
        self.known = known;
        self.queue = segments;
        Ok(())
    }

    /// Retires a sealed segment without live bytes, and compacts a sparse one.
    async fn tend_segment(&mut self, service: &Service, segment: &SegmentInfo) -> Result<()> {
        let Some(known) = self.known.get_mut(&segment.key) else { return Ok(()) };
        if known.retired || !service.writers.all_after(known.sealed_at) {
            return Ok(());
        }
        if !self.origins.may_lose_segment(service, segment.key).await? {
            return Ok(());
        }
        let key = segment.key.encode();
        let live = service.metadata.segment_live_bytes(&key).await?;
        let size = i64::try_from(segment.size_bytes).unwrap_or(i64::MAX);
        if live <= 0 {
            known.retired = service.metadata.retire_segment(&key, service.now_ms()).await?;
            service.garbage_queued.notify_one();
        } else if live < size / 100 * LIVE_PERCENT_MIN && known.compacted_to != Some(live) {
            service.compact(segment).await?;
            known.compacted_to = Some(service.metadata.segment_live_bytes(&key).await?);
        }
        Ok(())
    }
}

impl Service {
    /// Removes a file unless it is a copy that counts.
    async fn remove_stray(&self, file: &StrayFile) -> Result<()> {
        let _turn = self.turns.take(file.blob.0).await;
        if !self.counts(file).await? {
            self.blobs.remove_stray(file).await?;
        }
        Ok(())
    }

    /// Moves the live records of a segment elsewhere.
    async fn compact(&self, segment: &SegmentInfo) -> Result<()> {
        let mut from = 0;
        loop {
            let page = self.blobs.segment_records(segment.key, from, STEP_ENTRIES).await?;
            for record in &page.records {
                self.move_record(record.blob, segment).await?;
            }
            match page.next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    async fn move_record(&self, blob: BlobId, segment: &SegmentInfo) -> Result<()> {
        let (_reading, _writing) = (self.begin_read(), self.writers.begin());
        let _turn = self.turns.take(blob.0).await;
        let Some(encoded) = self.metadata.blob_location(&blob.0).await? else { return Ok(()) };
        let location = self.decode_location(&encoded)?;
        let moved = self.blobs.move_from_segment(&location, segment.key).await?;
        self.move_blob(&location, &moved).await?;
        Ok(())
    }
}
