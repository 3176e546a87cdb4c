//! What lies on the disks, whoever named it: to find again what metadata has lost.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::error::Result;
use crate::files::{file_name, parse_file_name};
use crate::format::{FILE_END_BYTES_MAX, decode_file_tail};
use crate::identifiers::{BlobId, DirectoryId, SegmentKey};
use crate::location::{CopyAt, Place};
use crate::store::Blobs;

/// Records looked at in one page at most.
const PAGE_RECORDS: usize = 500;

/// A copy of a blob, as it describes itself. Its payload has not been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundCopy {
    pub blob: BlobId,
    pub size_bytes: u64,
    pub copy: CopyAt,
    /// Empty if it is damaged.
    pub description: Bytes,
}

/// Some of the copies on the disks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundPage {
    pub copies: Vec<FoundCopy>,
    /// Files that do not say what they are.
    pub unreadable: u64,
}

/// A walk over all copies in all directories that answer.
pub struct Finder {
    blobs: Blobs,
    folders: VecDeque<(DirectoryId, u8)>,
    segments: VecDeque<(SegmentKey, u64)>,
}

impl Blobs {
    /// Begins to look at everything that is stored.
    ///
    /// # Errors
    /// If a directory cannot be listed.
    pub async fn find_all(&self) -> Result<Finder> {
        let members = self.inner.answering().into_iter();
        let folders = members
            .map(|member| member.volume.id())
            .flat_map(|directory| (0..=u8::MAX).map(move |number| (directory, number)));
        let segments = self.segments().await?;
        Ok(Finder {
            blobs: self.clone(),
            folders: folders.collect(),
            segments: segments.into_iter().map(|info| (info.key, 0)).collect(),
        })
    }
}

impl Finder {
    /// The next copies, perhaps none; `None` when all have been seen.
    ///
    /// # Errors
    /// If a directory cannot be listed or a segment not be read.
    pub async fn next(&mut self) -> Result<Option<FoundPage>> {
        if let Some((directory, folder)) = self.folders.pop_front() {
            return self.files(directory, folder).await.map(Some);
        }
        let Some((key, from)) = self.segments.pop_front() else { return Ok(None) };
        let page = self.blobs.segment_records(key, from, PAGE_RECORDS).await?;
        if let Some(next) = page.next {
            self.segments.push_front((key, next));
        }
        let copies = page.records.into_iter().map(|record| FoundCopy {
            blob: record.blob,
            size_bytes: record.payload_bytes,
            copy: CopyAt { directory: key.directory, place: record.place },
            description: record.description,
        });
        Ok(Some(FoundPage { copies: copies.collect(), unreadable: 0 }))
    }

    async fn files(&self, directory: DirectoryId, folder: u8) -> Result<FoundPage> {
        let mut page = FoundPage::default();
        let Some(member) = self.blobs.inner.member(directory) else { return Ok(page) };
        for entry in member.volume.list(&format!("blobs/{folder:02x}")).await? {
            let Some((blob, layout)) = parse_file_name(&entry.name) else { continue };
            let length = FILE_END_BYTES_MAX;
            let offset = entry.size_bytes.saturating_sub(length as u64);
            let tail = member.volume.read_at(&file_name(blob, layout), offset, length).await;
            let known =
                tail.ok().and_then(|tail| decode_file_tail(blob, layout, entry.size_bytes, &tail));
            match known {
                Some((size_bytes, description)) => {
                    let copy = CopyAt { directory, place: Place::File(layout) };
                    page.copies.push(FoundCopy { blob, size_bytes, copy, description });
                }
                None => page.unreadable += 1,
            }
        }
        Ok(page)
    }
}
