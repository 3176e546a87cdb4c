//! Files of large blobs that ended processes wrote: those that metadata does not name are orphans.

use std::io;

use crate::disk::Entry;
use crate::error::{Error, Result};
use crate::files::{file_name, parse_file_name};
use crate::format::{
    FILE_HEADER_BYTES, FILE_TRAILER_BYTES, FileLayout, FileTrailer, decode_file_header,
};
use crate::identifiers::{BlobId, DirectoryId, IncarnationId};
use crate::location::{CopyAt, Place};
use crate::store::Blobs;
use crate::volume::Volume;

/// Files looked at in one page at most, so that a step is bounded.
const PAGE_FILES_MAX: usize = 1000;

/// A file that the present incarnation did not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrayFile {
    pub blob: BlobId,
    /// The copy that the file is or was.
    pub copy: CopyAt,
    /// `None` if the file does not tell: it is incomplete or damaged.
    pub incarnation: Option<IncarnationId>,
}

/// Where a walk over all files stands. Directories are walked in the order of their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileCursor {
    directory: DirectoryId,
    fan_out: u8,
    after: Option<BlobId>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePage {
    pub files: Vec<StrayFile>,
    /// Where to go on; `None` when all directories have been walked.
    pub next: Option<FileCursor>,
}

impl FileCursor {
    pub const ENCODED_BYTES: usize = 33;

    /// Directory id, then the id of the last blob seen or the least one of its folder.
    pub fn encode(&self) -> Vec<u8> {
        let mut encoded = self.directory.0.to_vec();
        encoded.push(self.fan_out);
        encoded.extend(self.after.map_or([0; 16], |blob| blob.0));
        encoded
    }

    /// # Errors
    /// [`Error::InvalidFormat`] unless there are exactly [`Self::ENCODED_BYTES`] bytes.
    pub fn decode(encoded: &[u8]) -> Result<Self> {
        let wrong = Error::InvalidFormat("a file cursor is 33 bytes");
        let Some((directory, rest)) = encoded.split_first_chunk::<16>() else { return Err(wrong) };
        let Some((fan_out, blob)) = rest.split_first() else { return Err(wrong) };
        let Ok(blob) = <[u8; 16]>::try_from(blob) else { return Err(wrong) };
        let after = (blob != [0; 16]).then_some(BlobId(blob));
        Ok(Self { directory: DirectoryId(*directory), fan_out: *fan_out, after })
    }
}

impl Blobs {
    /// A page of files that earlier incarnations wrote, in all directories that answer.
    ///
    /// Metadata decides which are orphans: the incarnation has ended and no location names them.
    /// A page looks into one folder only and may be empty before the end.
    pub async fn orphan_candidates(
        &self,
        from: Option<FileCursor>,
        limit: usize,
    ) -> Result<FilePage> {
        let Some(cursor) = self.start_of(from) else { return Ok(FilePage::default()) };
        let Some(member) = self.inner.member(cursor.directory) else {
            return Ok(FilePage::default());
        };
        let volume = &member.volume;
        let entries = volume.list(&format!("blobs/{:02x}", cursor.fan_out)).await?;
        let file = |entry: Entry| {
            let (blob, layout) = parse_file_name(&entry.name)?;
            cursor.after.is_none_or(|after| blob > after).then_some((blob, layout, entry))
        };
        let mut files: Vec<_> = entries.into_iter().filter_map(file).collect();
        files.sort_unstable_by_key(|(blob, ..)| *blob);
        let limit = limit.clamp(1, PAGE_FILES_MAX);
        let last = files.get(limit - 1).map(|(blob, ..)| *blob);
        // The files of one blob are not parted: the cursor could not tell.
        let more = last.is_some_and(|last| files.iter().any(|(blob, ..)| *blob > last));
        files.retain(|(blob, ..)| last.is_none_or(|last| *blob <= last));
        let mut page = FilePage::default();
        for (blob, layout, entry) in &files {
            let incarnation = match incarnation_of(volume, *blob, *layout, entry.size_bytes).await {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                told => told.ok().flatten(),
            };
            if incarnation != Some(self.inner.incarnation) {
                let copy = CopyAt { directory: cursor.directory, place: Place::File(*layout) };
                page.files.push(StrayFile { blob: *blob, copy, incarnation });
            }
        }
        page.next = match more {
            true => Some(FileCursor { after: last, ..cursor }),
            false => self.next_folder(cursor),
        };
        Ok(page)
    }

    /// Removes a file of a large blob; one that is not there is fine.
    pub async fn remove_stray(&self, file: &StrayFile) -> Result<()> {
        let Place::File(layout) = file.copy.place else { return Ok(()) };
        let Some(member) = self.inner.member(file.copy.directory) else { return Ok(()) };
        member.volume.remove(&file_name(file.blob, layout)).await?;
        Ok(())
    }

    /// The cursor itself, or the start of the next directory if its directory does not answer.
    fn start_of(&self, from: Option<FileCursor>) -> Option<FileCursor> {
        let Some(cursor) = from else { return self.first_of_next(None) };
        let answers = self.inner.member(cursor.directory).is_some_and(|m| !m.volume.is_failed());
        if answers { Some(cursor) } else { self.first_of_next(Some(cursor.directory)) }
    }

    fn next_folder(&self, cursor: FileCursor) -> Option<FileCursor> {
        match cursor.fan_out.checked_add(1) {
            Some(fan_out) => Some(FileCursor { fan_out, after: None, ..cursor }),
            None => self.first_of_next(Some(cursor.directory)),
        }
    }

    fn first_of_next(&self, directory: Option<DirectoryId>) -> Option<FileCursor> {
        let members = self.inner.answering().into_iter();
        let later = members.map(|m| m.volume.id()).filter(|id| directory.is_none_or(|d| *id > d));
        let directory = later.min()?;
        Some(FileCursor { directory, fan_out: 0, after: None })
    }
}

/// Who wrote a file, if it says so and says that it is of this blob.
async fn incarnation_of(
    volume: &Volume,
    blob: BlobId,
    layout: FileLayout,
    file_bytes: u64,
) -> io::Result<Option<IncarnationId>> {
    let name = file_name(blob, layout);
    let told = match layout {
        FileLayout::Interleaved => {
            decode_file_header(&volume.read_at(&name, 0, FILE_HEADER_BYTES).await?)
        }
        FileLayout::Contiguous => {
            let end = file_bytes.saturating_sub(FILE_TRAILER_BYTES as u64);
            let trailer = volume.read_at(&name, end, FILE_TRAILER_BYTES).await?;
            FileTrailer::decode(&trailer)
                .and_then(|trailer| Some((trailer.blob, trailer.incarnation?)))
        }
    };
    Ok(told.filter(|(told, _)| *told == blob).map(|(_, incarnation)| incarnation))
}
