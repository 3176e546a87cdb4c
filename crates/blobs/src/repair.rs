//! New copies in the place of bad, unwanted or missing ones. The caller commits the new location.

use std::collections::HashSet;

use bytes::Bytes;

use crate::copying::{Over, copy_file};
use crate::error::{Error, Result};
use crate::format::Record;
use crate::identifiers::{DirectoryId, SegmentKey};
use crate::location::{CopyAt, Location, Place};
use crate::reader::BlobReader;
use crate::scrub::check_copy;
use crate::store::{Blobs, Inner};

impl Blobs {
    /// Checks all copies, writes those anew that are bad, and adds those that are missing.
    ///
    /// Returns where the blob is now: the same location if nothing was to be done. The old copies
    /// in segments stay until their segment goes.
    ///
    /// # Errors
    /// [`Error::Damaged`] if no copies together make a whole; [`Error::TooFewCopies`] or
    /// [`Error::NoSpace`] if there is nowhere to write to. Nothing has changed then.
    pub async fn repair(&self, location: &Location) -> Result<Location> {
        let mut keep = Vec::new();
        let mut description = None;
        for copy in &location.copies {
            if let Ok(text) = check_copy(&self.inner, location, copy).await {
                description = Some(text);
                keep.push(*copy);
            }
        }
        let description = match description {
            Some(description) => description,
            None => self.describe(location).await?,
        };
        self.complete(location, keep, &description, None).await
    }

    /// Moves the copy that lies in segment `from` to a new segment, for compaction.
    ///
    /// Returns the location to commit in the place of `location`; the same if nothing of the blob
    /// is in that segment.
    ///
    /// # Errors
    /// As of [`Self::repair`].
    pub async fn move_from_segment(
        &self,
        location: &Location,
        from: SegmentKey,
    ) -> Result<Location> {
        let in_it = |copy: &CopyAt| {
            let Place::Segment { segment, .. } = copy.place else { return false };
            copy.directory == from.directory && segment == from.segment
        };
        self.move_copies(location, in_it, None).await
    }

    /// Moves the copies that lie in `directory` to others, to empty it.
    ///
    /// A file stays in the old place until [`Self::remove_file`], which the caller calls after
    /// committing the new location.
    ///
    /// # Errors
    /// As of [`Self::repair`].
    pub async fn move_from_directory(
        &self,
        location: &Location,
        directory: DirectoryId,
    ) -> Result<Location> {
        self.move_copies(location, |copy| copy.directory == directory, Some(directory)).await
    }

    async fn move_copies(
        &self,
        location: &Location,
        goes: impl Fn(&CopyAt) -> bool,
        avoid: Option<DirectoryId>,
    ) -> Result<Location> {
        let keep: Vec<CopyAt> = location.copies.iter().filter(|c| !goes(c)).copied().collect();
        if keep.len() == location.copies.len() {
            return Ok(location.clone());
        }
        let description = self.describe(location).await?;
        self.complete(location, keep, &description, avoid).await
    }

    /// `keep` and as many new copies as the blob needs.
    async fn complete(
        &self,
        location: &Location,
        keep: Vec<CopyAt>,
        description: &Bytes,
        avoid: Option<DirectoryId>,
    ) -> Result<Location> {
        self.inner.check_open()?;
        let inner = &self.inner;
        let region = region_of(inner, location).ok_or(Error::Unavailable(location.blob))?;
        let (wanted, needed) = inner.copies(&region);
        let mut copies = keep;
        let mut tried: HashSet<DirectoryId> = avoid.into_iter().collect();
        while copies.len() < wanted {
            let held: Vec<_> = copies.iter().map(|copy| copy.directory).collect();
            let again = self.same_directory(location, &held, &tried);
            let directory = match again {
                Some(directory) => directory,
                None => {
                    let chosen = inner.choose(&region, location.blob, 1, &held, &tried).await;
                    let Some(member) = chosen.first() else { break };
                    member.volume.id()
                }
            };
            match self.write_copy(location, description, directory).await {
                Ok(copy) => copies.push(copy),
                Err(Error::Io(_)) => {
                    tried.insert(directory);
                }
                Err(error) => return Err(error),
            }
        }
        match copies.len() {
            enough if enough >= needed => Ok(Location { copies, ..location.clone() }),
            possible => Err(inner.too_few(&region, possible, needed)),
        }
    }

    /// A directory whose copy is to be replaced, if it can take the new one: zones stay as placed.
    fn same_directory(
        &self,
        location: &Location,
        held: &[DirectoryId],
        tried: &HashSet<DirectoryId>,
    ) -> Option<DirectoryId> {
        let mut directories = location.copies.iter().map(|copy| copy.directory);
        directories.find(|directory| {
            let room = self.inner.member(*directory).and_then(|member| member.volume.room());
            !held.contains(directory) && !tried.contains(directory) && room.is_some()
        })
    }

    async fn write_copy(
        &self,
        location: &Location,
        description: &Bytes,
        directory: DirectoryId,
    ) -> Result<CopyAt> {
        let unavailable = Error::Unavailable(location.blob);
        let member = self.inner.member(directory).ok_or(unavailable)?;
        let packed = location.copies.iter().any(|copy| copy.place != Place::File);
        if !packed {
            let volume = std::sync::Arc::clone(&member.volume);
            let over = Over::DamagedCopy;
            copy_file(&self.inner, location, description, volume, over).await?;
            return Ok(CopyAt { directory, place: Place::File });
        }
        let mut payload = Vec::new();
        let range = 0..location.size_bytes;
        let mut reader = BlobReader::new(self.inner.clone(), location.clone(), range);
        while let Some(chunk) = reader.next().await {
            payload.push(chunk?);
        }
        let record = Record::new(location.blob, description, payload);
        let place = member.appender.append(record).await?;
        Ok(CopyAt { directory, place })
    }
}

fn region_of(inner: &Inner, location: &Location) -> Option<String> {
    let mut members = location.copies.iter().filter_map(|copy| inner.member(copy.directory));
    members.next().map(|member| member.volume.identity.region.clone())
}
