//! Large blobs, a file each: written under `tmp/`, renamed to the blob's name, then synced.
//!
//! The rename comes before the one sync of contents and name, so a power loss in between may leave
//! an incomplete file under the final name. Its trailer is missing and no location names it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

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

/// A file that is being written: one copy of a blob, in the layout of today.
pub(crate) struct FileCopy {
    pub volume: Arc<Volume>,
    name: String,
    blob: BlobId,
    end: u64,
    synced: u64,
    _open: OwnedSemaphorePermit,
}

impl FileCopy {
    /// `attempt` tells apart the files that one process writes for one blob.
    pub async fn create(
        volume: Arc<Volume>,
        blob: BlobId,
        incarnation: IncarnationId,
        attempt: u64,
    ) -> io::Result<Self> {
        let name = format!("tmp/{incarnation}-{blob}-{attempt:x}");
        let open = volume.one_more_file()?;
        volume.create(&name).await?;
        Ok(Self { volume, name, blob, end: 0, synced: 0, _open: open })
    }

    pub fn at(&self) -> CopyAt {
        CopyAt { directory: self.volume.id(), place: Place::File(FileLayout::Contiguous) }
    }

    pub async fn append(&mut self, parts: Vec<Bytes>) -> io::Result<()> {
        let length: usize = parts.iter().map(Bytes::len).sum();
        self.volume.write_at(&self.name, self.end, parts).await?;
        self.end += length as u64;
        if self.end - self.synced >= SYNC_BYTES {
            self.volume.sync(&self.name).await?;
            self.synced = self.end;
        }
        Ok(())
    }

    /// Makes contents and final name durable; there was no file of that name before.
    pub async fn publish(&mut self) -> io::Result<()> {
        self.rename().await?;
        self.volume.sync(&self.name).await?;
        self.volume.close(&self.name);
        Ok(())
    }

    /// As [`Self::publish`], over a file that may still hold the only intact bytes of some chunk.
    pub async fn publish_over_old(&mut self) -> io::Result<()> {
        self.volume.sync(&self.name).await?;
        self.publish().await
    }

    async fn rename(&mut self) -> io::Result<()> {
        let name = file_name(self.blob, FileLayout::Contiguous);
        self.volume.rename(&self.name, &name).await?;
        self.name = name;
        Ok(())
    }

    /// Removes what was written, as far as the disk lets.
    pub async fn discard(self) {
        self.volume.close(&self.name);
        if self.volume.is_failed() {
            return;
        }
        if let Err(error) = self.volume.remove(&self.name).await {
            tracing::warn!(file = %self.name, %error, "unfinished file stays for now");
        }
    }
}
