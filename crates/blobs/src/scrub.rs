//! Looking at what is stored: whole copies checked, segments listed and walked record by record.

use bytes::Bytes;
use futures_util::future::join_all;

use crate::error::{Error, Result};
use crate::files::file_name;
use crate::format::{
    FILE_END_BYTES_MAX, FILE_HEADER_BYTES, FileLayout, RECORD_ALIGNMENT, RECORD_HEADER_BYTES,
    RECORD_MAGIC, RecordHeader, chunk_count, decode_file_end, decode_file_header,
};
use crate::identifiers::{BlobId, DirectoryId, SegmentId, SegmentKey};
use crate::location::{CopyAt, Location, Place};
use crate::reader::{Failure, fetch_copy, read_record};
use crate::store::{Blobs, Inner};
use crate::volume::Volume;

/// Chunks checked at once: 1 MiB.
const RUN_CHUNKS: u64 = 8;
/// Bytes of a segment looked at in one read.
const WINDOW_BYTES: usize = 256 * 1024;
/// Records in one page at most, so that a step is bounded.
const PAGE_RECORDS_MAX: usize = 1000;

/// How one copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyReport {
    Intact,
    Corrupt,
    Missing,
    /// The directory is absent or does not answer.
    Unavailable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    pub key: SegmentKey,
    /// Length of the file; more than its records if the segment was never sealed.
    pub size_bytes: u64,
    /// Nothing will be appended any more.
    pub sealed: bool,
}

/// A record found in a segment. Its payload has not been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRecord {
    pub blob: BlobId,
    pub description: Bytes,
    pub place: Place,
    pub payload_bytes: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordPage {
    pub records: Vec<SegmentRecord>,
    /// Where to go on; `None` at the end of the segment.
    pub next: Option<u64>,
    /// Bytes passed over in search of the next record. Unused space at the end counts too.
    pub skipped_bytes: u64,
}

impl Blobs {
    /// Reads every copy in full: header, all chunks, trailer. One report per copy, in order.
    pub async fn verify(&self, location: &Location) -> Vec<(DirectoryId, CopyReport)> {
        let check = |copy| async move {
            let report = match check_copy(&self.inner, location, copy).await {
                Ok(_) => CopyReport::Intact,
                Err(Failure::Corrupt) => CopyReport::Corrupt,
                Err(Failure::Missing) => CopyReport::Missing,
                Err(Failure::Unavailable) => CopyReport::Unavailable,
            };
            (copy.directory, report)
        };
        join_all(location.copies.iter().map(check)).await
    }

    /// What the blob was described as when it was written.
    ///
    /// # Errors
    /// As of reading.
    pub async fn describe(&self, location: &Location) -> Result<Bytes> {
        let mut failure = Failure::Missing;
        for copy in &location.copies {
            match read_description(&self.inner, location, copy).await {
                Ok(description) => return Ok(description),
                Err(Failure::Missing) => {}
                Err(worse) => failure = worse,
            }
        }
        Err(match failure {
            Failure::Missing => Error::Missing(location.blob),
            Failure::Corrupt => Error::Damaged(location.blob),
            Failure::Unavailable => Error::Unavailable(location.blob),
        })
    }

    /// All segments of all directories that answer. `sealed` ones may be compacted or removed.
    pub async fn segments(&self) -> Result<Vec<SegmentInfo>> {
        let mut segments = Vec::new();
        for member in self.inner.answering().into_iter() {
            for entry in member.volume.list("segments").await? {
                let Some(segment) = SegmentId::parse(&entry.name) else { continue };
                let key = SegmentKey { directory: member.volume.id(), segment };
                let ours = segment.incarnation == self.inner.incarnation;
                let sealed = !(ours && member.appender.is_current(segment));
                segments.push(SegmentInfo { key, size_bytes: entry.size_bytes, sealed });
            }
        }
        Ok(segments)
    }

    /// [`Self::segments`] without those that are still written.
    pub async fn sealed_segments(&self) -> Result<Vec<SegmentInfo>> {
        let mut segments = self.segments().await?;
        segments.retain(|info| info.sealed);
        Ok(segments)
    }

    /// Removes a segment with everything in it; one that is not there is fine.
    ///
    /// # Errors
    /// [`Error::SegmentInUse`] if it is still being written.
    pub async fn remove_segment(&self, key: SegmentKey) -> Result<()> {
        let Some(member) = self.inner.member(key.directory) else { return Ok(()) };
        if member.appender.is_current(key.segment) {
            return Err(Error::SegmentInUse);
        }
        // As with files: what a failed directory keeps shows up again when it comes back.
        if member.volume.is_failed() {
            return Ok(());
        }
        member.volume.remove(&key.segment.file()).await?;
        Ok(())
    }

    /// The records of a segment from offset `from` on (0, or the page before's `next`).
    ///
    /// - `limit`: records in the page, at most 1 000; fewer do not mean the end.
    ///
    /// Damaged places are passed over: whatever carries a valid header at its own offset is found.
    pub async fn segment_records(
        &self,
        key: SegmentKey,
        from: u64,
        limit: usize,
    ) -> Result<RecordPage> {
        let Some(member) = self.inner.member(key.directory) else {
            return Ok(RecordPage::default());
        };
        let file = key.segment.file();
        let window = member.volume.read_at(&file, from, WINDOW_BYTES).await?;
        Ok(records_in(&window, key.segment, from, limit.clamp(1, PAGE_RECORDS_MAX)))
    }
}

/// Walks one window of a segment that starts at offset `from`.
fn records_in(window: &Bytes, segment: SegmentId, from: u64, limit: usize) -> RecordPage {
    let mut page = RecordPage::default();
    let at_end = window.len() < WINDOW_BYTES;
    let mut position = 0;
    while position < window.len() && page.records.len() < limit {
        let offset = from + position as u64;
        let rest = window.slice(position..);
        let header = RecordHeader::decode(&rest)
            .filter(|header| header.segment == segment && header.offset == offset);
        match header {
            Some(header) if rest.len() < header.payload_offset() && !at_end && position > 0 => {
                break;
            }
            Some(header) => {
                // A damaged description is no reason to lose sight of the record.
                let description = header.front(&rest).map(|front| front.0).unwrap_or_default();
                let length = header.length();
                page.records.push(SegmentRecord {
                    blob: header.blob,
                    description,
                    place: Place::Segment { segment, offset, length },
                    payload_bytes: u64::from(header.payload_bytes),
                });
                position += usize::try_from(length).unwrap_or(usize::MAX);
            }
            None if rest.len() < RECORD_HEADER_BYTES && !at_end && position > 0 => break,
            None => {
                let skip = next_candidate(&rest);
                page.skipped_bytes += skip as u64;
                position += skip;
            }
        }
    }
    page.next = (!at_end || position < window.len()).then_some(from + position as u64);
    page
}

/// How far it is to the next place that looks like a record. Ends short of the window's end, where
/// a header could begin that the next window shows whole.
fn next_candidate(rest: &Bytes) -> usize {
    let step = RECORD_ALIGNMENT as usize;
    let places = rest.chunks(step).skip(1).position(|place| place.starts_with(RECORD_MAGIC));
    places.map_or(rest.len(), |position| (position + 1) * step)
}

/// Checks a copy in full and returns its description.
pub(crate) async fn check_copy(
    inner: &Inner,
    location: &Location,
    copy: &CopyAt,
) -> std::result::Result<Bytes, Failure> {
    let member = inner.member(copy.directory).ok_or(Failure::Unavailable)?;
    let description = read_description(inner, location, copy).await?;
    if copy.place == Place::File(FileLayout::Interleaved) {
        check_file_header(&member.volume, location.blob).await?;
    }
    let count = chunk_count(location.size_bytes);
    let mut start = 0;
    while start < count {
        let end = count.min(start + RUN_CHUNKS);
        let chunks = fetch_copy(&member.volume, location, copy, start..end).await?;
        if chunks.iter().any(Option::is_none) {
            return Err(Failure::Corrupt);
        }
        start = end;
    }
    Ok(description)
}

async fn check_file_header(volume: &Volume, blob: BlobId) -> std::result::Result<(), Failure> {
    let bytes =
        volume.read_at(&file_name(blob, FileLayout::Interleaved), 0, FILE_HEADER_BYTES).await?;
    match decode_file_header(&bytes) {
        Some((found, _)) if found == blob => Ok(()),
        _ => Err(Failure::Corrupt),
    }
}

pub(crate) async fn read_description(
    inner: &Inner,
    location: &Location,
    copy: &CopyAt,
) -> std::result::Result<Bytes, Failure> {
    let member = inner.member(copy.directory).ok_or(Failure::Unavailable)?;
    let Place::File(layout) = copy.place else {
        return read_record(&member.volume, location, copy).await.map(|(text, ..)| text);
    };
    let Location { blob, size_bytes, .. } = *location;
    let offset = layout.description_offset(size_bytes);
    // One byte more than can be, so that a file which is too long is seen.
    let end =
        member.volume.read_at(&file_name(blob, layout), offset, FILE_END_BYTES_MAX + 1).await?;
    decode_file_end(blob, layout, size_bytes, &end).ok_or(Failure::Corrupt)
}
