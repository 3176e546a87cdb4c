//! New copies in the place of bad, unwanted or missing ones. The caller commits the new location.
//!
//! A file of an old copy stays until [`Blobs::remove`], a record until its segment goes.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::copying::copy_file;
use crate::error::{Error, Result};
use crate::files::Over;
use crate::format::Record;
use crate::identifiers::{DirectoryId, SegmentKey};
use crate::location::{CopyAt, Location, Place, Wanted};
use crate::reader::BlobReader;
use crate::scrub::check_copy;
use crate::store::{Blobs, Inner, Member};

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
        self.complete(location, keep, &description, HashSet::new()).await
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
        let mut keep = location.copies.clone();
        keep.retain(|copy| !in_it(copy));
        if keep.len() == location.copies.len() {
            return Ok(location.clone());
        }
        let description = self.describe(location).await?;
        self.complete(location, keep, &description, HashSet::new()).await
    }

    /// What decides where copies are to lie. As long as it stays the same, a settled blob stays so.
    pub fn layout(&self) -> Vec<u8> {
        let mut members: Vec<_> = self.inner.members().iter().map(Arc::clone).collect();
        members.sort_by_key(|member| member.volume.id());
        let mut layout = Vec::new();
        for Member { volume, .. } in members.iter().map(|member| &**member) {
            layout.extend(volume.id().0);
            let (wanted, _) = self.inner.copies(&Wanted::usual(&volume.identity.region));
            layout.push(u8::from(volume.is_draining()));
            layout.push(u8::try_from(wanted).unwrap_or(u8::MAX));
        }
        layout
    }

    /// Whether a blob has as many copies as it shall have, all in directories that are to keep
    /// them, and in as many zones as there is room in. Reads nothing.
    pub fn is_settled(&self, location: &Location) -> bool {
        let Some(aim) = wanted_of(&self.inner, location) else { return false };
        let (wanted, _) = self.inner.copies(&aim);
        let staying = self.staying(location);
        let right = wanted == location.copies.len() && staying.copies.len() == wanted;
        right && (staying.zones.len() == wanted || self.free_zones(&aim, &staying) == 0)
    }

    /// Gives a blob the copies that it shall have: new ones for those in directories that are to be
    /// emptied or are no longer known, and for those that share a zone while another has none; and
    /// no more than are wanted.
    ///
    /// Returns the location to commit; the same if nothing was to be done.
    ///
    /// # Errors
    /// As of [`Self::repair`]; unlike there, all copies must be possible.
    pub async fn settle(&self, location: &Location) -> Result<Location> {
        if self.is_settled(location) {
            return Ok(location.clone());
        }
        let aim = wanted_of(&self.inner, location).ok_or(Error::Unavailable(location.blob))?;
        let (wanted, _) = self.inner.copies(&aim);
        let staying = self.staying(location);
        let kept = staying.zones.len().max(wanted.saturating_sub(self.free_zones(&aim, &staying)));
        let mut keep = staying.copies;
        keep.truncate(wanted);
        let left: HashSet<_> =
            keep.split_off(kept.min(keep.len())).iter().map(|copy| copy.directory).collect();
        if keep.len() == wanted {
            return Ok(Location { copies: keep, ..location.clone() });
        }
        let description = self.describe(location).await?;
        let settled = self.complete(location, keep, &description, left).await?;
        match settled.copies.len() {
            possible if possible < wanted => Err(self.inner.too_few(&aim.region, possible, wanted)),
            _ => Ok(settled),
        }
    }

    /// The copies in directories that are to keep them.
    fn staying(&self, location: &Location) -> Staying {
        let mut copies: Vec<(CopyAt, Arc<Member>)> = Vec::new();
        for copy in &location.copies {
            let Some(member) = self.inner.member(copy.directory) else { continue };
            let again = copies.iter().any(|(other, _)| other.directory == copy.directory);
            if !member.volume.is_draining() && !again {
                copies.push((*copy, member));
            }
        }
        copies.sort_by_key(|(_, member)| member.volume.is_failed());
        let mut zones = HashSet::new();
        let mut second = Vec::new();
        let mut first = Vec::new();
        for (copy, member) in &copies {
            let fresh = zones.insert(member.volume.identity.zone.as_str());
            if fresh { first.push(*copy) } else { second.push(*copy) }
        }
        first.extend(second);
        Staying { copies: first, zones: zones.into_iter().map(str::to_owned).collect() }
    }

    /// Zones that could take a copy and have none of these.
    fn free_zones(&self, aim: &Wanted, staying: &Staying) -> usize {
        let members = self.inner.in_region(&aim.region);
        let with_room = members.iter().filter(|member| member.volume.room().is_some());
        let zones: HashSet<_> = with_room.map(|it| it.volume.identity.zone.as_str()).collect();
        zones.into_iter().filter(|zone| !staying.zones.contains(*zone)).count()
    }

    /// `keep` and as many new copies as the blob needs, none of them in `tried`.
    async fn complete(
        &self,
        location: &Location,
        keep: Vec<CopyAt>,
        description: &Bytes,
        mut tried: HashSet<DirectoryId>,
    ) -> Result<Location> {
        self.inner.check_open()?;
        let inner = &self.inner;
        let aim = wanted_of(inner, location).ok_or(Error::Unavailable(location.blob))?;
        let (wanted, needed) = inner.copies(&aim);
        let mut copies = keep;
        while copies.len() < wanted {
            let held: Vec<_> = copies.iter().map(|copy| copy.directory).collect();
            let again = self.same_directory(location, &held, &tried);
            let directory = match again {
                Some(directory) => directory,
                None => {
                    let chosen = inner.choose(&aim.region, location.blob, 1, &held, &tried).await;
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
        inner.check_enough(&aim.region, copies.len(), needed)?;
        Ok(Location { copies, ..location.clone() })
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
        if location.copies.iter().all(|copy| copy.place.is_file()) {
            let volume = Arc::clone(&member.volume);
            let over = Over::DamagedCopy;
            let copy = copy_file(&self.inner, location, description, volume, over).await?;
            return Ok(copy.at());
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

/// The copies of a blob that may stay where they are: those to keep first come first, one for each
/// of their zones.
struct Staying {
    copies: Vec<CopyAt>,
    zones: HashSet<String>,
}

fn wanted_of(inner: &Inner, location: &Location) -> Option<Wanted> {
    let member = location.copies.iter().find_map(|copy| inner.member(copy.directory))?;
    Some(Wanted { region: member.volume.identity.region.clone(), copies: location.wish })
}
