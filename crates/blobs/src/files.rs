//! Large blobs, a file each: written under `tmp/`, renamed to the blob's name, then synced.
//!
//! The rename comes before the one sync of contents and name, so a power loss in between may leave
//! an incomplete file under the final name. Its trailer is missing and no location names it.

use std::sync::Arc;
use std::{io, mem};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use crate::disk::Step;
use crate::format::FileLayout;
use crate::identifiers::{BlobId, IncarnationId};
use crate::location::{CopyAt, Place};
use crate::volume::Volume;

/// Bytes after which a growing file is synced, so that no single sync has long to do: a long one
/// looks like a hanging disk.
const SYNC_BYTES: u64 = 32 * 1024 * 1024;

/// Name of a large blob's file: fan-out folder, then the id and what tells the layout. Whoever has
/// a name never finds another layout under it.
pub(crate) fn file_name(blob: BlobId, layout: FileLayout) -> String {
    let fan_out = blob.0.first().copied().unwrap_or_default();
    match layout {
        FileLayout::Interleaved => format!("blobs/{fan_out:02x}/{blob}"),
        FileLayout::Contiguous => format!("blobs/{fan_out:02x}/{blob}{CONTIGUOUS_SUFFIX}"),
    }
}

const CONTIGUOUS_SUFFIX: &str = ".2";

/// The blob of a file in a fan-out folder; `None` for what is no file of ours.
pub(crate) fn parse_file_name(name: &str) -> Option<(BlobId, FileLayout)> {
    let (blob, layout) = match name.strip_suffix(CONTIGUOUS_SUFFIX) {
        Some(blob) => (blob, FileLayout::Contiguous),
        None => (name, FileLayout::Interleaved),
    };
    Some((blob.parse().ok()?, layout))
}

/// What stands at the place of a new file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Nothing,
    /// A copy that may still hold the only intact bytes of some chunk.
    DamagedCopy,
}

/// What a write leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// A file that goes on.
    Open,
    /// The whole file, durably and under its final name.
    Durable(Over),
}

/// A file that is being written: one copy of a blob, in the layout of today. It is made by the
/// first write.
pub(crate) struct FileCopy {
    pub volume: Arc<Volume>,
    blob: BlobId,
    /// What it is called now.
    name: String,
    /// What stood at its final name, once it was to get that.
    renaming: Option<Over>,
    made: bool,
    end: u64,
    synced: u64,
    _open: OwnedSemaphorePermit,
}

impl FileCopy {
    /// `attempt` tells apart the files that one process writes for one blob.
    pub fn new(
        volume: Arc<Volume>,
        blob: BlobId,
        incarnation: IncarnationId,
        attempt: u64,
    ) -> io::Result<Self> {
        let name = format!("tmp/{incarnation}-{blob}-{attempt:x}");
        let _open = volume.one_more_file()?;
        Ok(Self { volume, blob, name, renaming: None, made: false, end: 0, synced: 0, _open })
    }

    pub fn at(&self) -> CopyAt {
        CopyAt { directory: self.volume.id(), place: Place::File(FileLayout::Contiguous) }
    }

    /// Appends `parts`. A file whose write or sync failed is thrown away, never tried again.
    pub async fn write(mut self, parts: Vec<Bytes>, end: End) -> io::Result<Self> {
        let result = match end {
            End::Open => self.append(parts).await,
            End::Durable(over) => self.finish(parts, over).await,
        };
        match result {
            Ok(()) => Ok(self),
            Err(error) => {
                self.discard().await;
                Err(error)
            }
        }
    }

    async fn append(&mut self, parts: Vec<Bytes>) -> io::Result<()> {
        let mut steps = self.writing(parts);
        if self.end - self.synced >= SYNC_BYTES {
            steps.push(Step::Sync);
            self.synced = self.end;
        }
        self.volume.change(&self.name, steps).await
    }

    async fn finish(&mut self, parts: Vec<Bytes>, over: Over) -> io::Result<()> {
        let mut steps = self.writing(parts);
        let name = file_name(self.blob, FileLayout::Contiguous);
        if over == Over::DamagedCopy {
            steps.push(Step::Sync);
        }
        self.renaming = Some(over);
        steps.extend([Step::Rename { to: name.clone() }, Step::Sync]);
        self.volume.change(&self.name, steps).await?;
        self.volume.close(&name);
        (self.name, self.renaming) = (name, None);
        Ok(())
    }

    fn writing(&mut self, parts: Vec<Bytes>) -> Vec<Step> {
        // With what may follow.
        let mut steps = Vec::with_capacity(5);
        if !mem::replace(&mut self.made, true) {
            steps.push(Step::Create);
        }
        let offset = self.end;
        self.end += parts.iter().map(|part| part.len() as u64).sum::<u64>();
        steps.push(Step::Write { offset, parts });
        steps
    }

    /// Removes what was written, as far as the disk lets.
    pub async fn discard(self) {
        let final_name = file_name(self.blob, FileLayout::Contiguous);
        self.volume.close(&self.name);
        if self.renaming.is_some() {
            self.volume.close(&final_name);
        }
        if self.volume.is_failed() {
            return;
        }
        let removed = match (self.volume.remove(&self.name).await, self.renaming) {
            // It has its new name already. What took the place of a damaged copy is whole.
            (Ok(false), Some(Over::Nothing)) => self.volume.remove(&final_name).await,
            (result, _) => result,
        };
        if let Err(error) = removed {
            tracing::warn!(file = %self.name, %error, "unfinished file stays for now");
        }
    }
}
