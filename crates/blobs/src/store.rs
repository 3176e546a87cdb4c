//! [`Blobs`]: the opened store, and how directories are chosen for copies.

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::runtime::Handle;

use crate::damage::{DamageQueue, Finding};
use crate::directory::Directory;
use crate::error::{DirectoryError, Error, Result};
use crate::files::file_name;
use crate::identifiers::{BlobId, DirectoryId, IncarnationId};
use crate::location::{Location, Place};
use crate::placement::{Candidate, choose};
use crate::reader::BlobReader;
use crate::room::Room;
use crate::segments::Appender;
use crate::settings::Settings;
use crate::volume::{DirectoryStatus, Volume};
use crate::writer::BlobWriter;

/// A record is held in memory and read in one piece.
const SMALL_BLOB_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Blobs in a set of directories. Cheap to clone; all clones are the same store.
#[derive(Clone)]
pub struct Blobs {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub settings: Settings,
    pub incarnation: IncarnationId,
    pub members: Vec<Member>,
    pub damage: DamageQueue,
    pub room: Arc<Room>,
    pub runtime: Handle,
    closed: AtomicBool,
    attempts: AtomicU64,
}

/// A directory and the appender of its current segment.
pub(crate) struct Member {
    pub volume: Arc<Volume>,
    pub appender: Appender,
}

impl Blobs {
    /// Opens the store. Background tasks run on the runtime that calls this.
    ///
    /// - `directories`: all known ones; those not found as [`Directory::absent`].
    /// - `incarnation`: drawn anew by the caller at each process start.
    ///
    /// # Errors
    /// [`DirectoryError::Duplicate`], or [`DirectoryError::Foreign`] if they are of two stores.
    pub async fn open(
        mut settings: Settings,
        directories: Vec<Directory>,
        incarnation: IncarnationId,
    ) -> Result<Self> {
        settings.small_blob_bytes = settings.small_blob_bytes.min(SMALL_BLOB_BYTES_MAX);
        check_members(&directories)?;
        let runtime = Handle::current();
        let member = |directory| {
            let volume = Arc::new(Volume::new(directory, &settings));
            let appender = Appender::start(Arc::clone(&volume), incarnation, &settings, &runtime);
            Member { volume, appender }
        };
        let members: Vec<Member> = directories.into_iter().map(member).collect();
        join_all(members.iter().map(|member| prepare(&member.volume))).await;
        let inner = Inner {
            damage: DamageQueue::new(settings.damaged_queue_length),
            room: Room::new(settings.waiting_bytes_max),
            settings,
            incarnation,
            members,
            runtime,
            closed: AtomicBool::new(false),
            attempts: AtomicU64::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Starts a blob in `region`.
    ///
    /// - `id`: random and new; it names the blob for ever.
    /// - `description`: what the blob is, to rebuild metadata from blobs alone; at most
    ///   [`DESCRIPTION_BYTES_MAX`](crate::DESCRIPTION_BYTES_MAX), checked when it is finished.
    pub fn create(&self, region: &str, id: BlobId, description: Bytes) -> BlobWriter {
        BlobWriter::new(Arc::clone(&self.inner), region, id, description)
    }

    /// The memory that all writers share.
    pub fn room(&self) -> &Arc<Room> {
        &self.inner.room
    }

    /// Reads `range` of a blob, checking every chunk before it is handed out.
    ///
    /// - `range`: byte offsets, `start <= end <= size_bytes`; the end is exclusive.
    pub fn read(&self, location: Location, range: Range<u64>) -> BlobReader {
        BlobReader::new(Arc::clone(&self.inner), location, range)
    }

    /// Removes the files of a blob. Copies in segments stay until their segment goes.
    ///
    /// A copy in a directory that is absent or failed stays too; when the directory comes back it
    /// shows up in [`Self::orphan_candidates`].
    ///
    /// # Errors
    /// [`Error::Io`] if a working directory refused; call again later.
    pub async fn remove(&self, location: &Location) -> Result<()> {
        let file = file_name(location.blob);
        for copy in &location.copies {
            let Some(member) = self.inner.member(copy.directory) else { continue };
            if copy.place == Place::File && !member.volume.is_failed() {
                member.volume.remove(&file).await?;
            }
        }
        Ok(())
    }

    pub fn directories(&self) -> Vec<DirectoryStatus> {
        let members = self.inner.members.iter();
        members
            .map(|member| {
                member.volume.refresh_space_soon(&self.inner.runtime);
                member.volume.status()
            })
            .collect()
    }

    /// What reads found wrong since the last call, for repair. Look up the location anew first:
    /// the blob may have moved or gone since.
    pub fn take_damaged(&self) -> Vec<Finding> {
        self.inner.damage.take()
    }

    /// Seals the segments. Writes that are still running may fail; reads go on.
    pub async fn close(&self) {
        self.inner.closed.store(true, Ordering::Release);
        join_all(self.inner.members.iter().map(|member| member.appender.close())).await;
    }
}

impl Inner {
    pub fn member(&self, directory: DirectoryId) -> Option<&Member> {
        self.members.iter().find(|member| member.volume.id() == directory)
    }

    pub fn check_open(&self) -> Result<()> {
        match self.closed.load(Ordering::Acquire) {
            true => Err(Error::Closed),
            false => Ok(()),
        }
    }

    pub fn next_attempt(&self) -> u64 {
        self.attempts.fetch_add(1, Ordering::Relaxed)
    }

    /// How many copies a blob of `region` shall have, and how many it must have.
    pub fn copies(&self, region: &str) -> (usize, usize) {
        let directories = self.in_region(region).count();
        let copies = self.settings.copies.unwrap_or(directories.min(2)).max(1);
        (copies, self.settings.min_copies.unwrap_or(copies).clamp(1, copies))
    }

    pub fn in_region<'a>(&'a self, region: &str) -> impl Iterator<Item = &'a Member> {
        self.members.iter().filter(move |member| member.volume.identity.region == region)
    }

    /// Up to `wanted` directories for further copies of `blob`.
    ///
    /// - `held`: directories that hold a copy already. `tried`: those that failed to.
    pub async fn choose<'a>(
        &'a self,
        region: &str,
        blob: BlobId,
        wanted: usize,
        held: &[DirectoryId],
        tried: &HashSet<DirectoryId>,
    ) -> Vec<&'a Member> {
        let possible = |member: &&Member| {
            let id = member.volume.id();
            !held.contains(&id) && !tried.contains(&id)
        };
        let fresh: Vec<&'a Member> = self.in_region(region).filter(possible).collect();
        fresh.iter().for_each(|member| member.volume.refresh_space_soon(&self.runtime));
        if fresh.iter().filter(|member| member.volume.room().is_some()).count() < wanted {
            let full = fresh.iter().filter(|member| member.volume.is_full());
            join_all(full.map(|member| member.volume.refresh_space())).await;
        }
        let with_room: Vec<(&'a Member, u64)> =
            fresh.iter().filter_map(|member| Some((*member, member.volume.room()?))).collect();
        let candidates: Vec<Candidate<'_>> = with_room
            .iter()
            .map(|(member, room)| Candidate {
                zone: &member.volume.identity.zone,
                free_bytes: *room,
            })
            .collect();
        let zones: Vec<&str> = held
            .iter()
            .filter_map(|id| Some(self.member(*id)?.volume.identity.zone.as_str()))
            .collect();
        let [a, b, c, d, e, f, g, h, ..] = blob.0;
        // The id is random, so placement needs no randomness of its own.
        let seed = u64::from_le_bytes([a, b, c, d, e, f, g, h]) ^ (tried.len() as u64);
        let picked = choose(&candidates, wanted, &zones, seed);
        picked.iter().filter_map(|i| Some(with_room.get(*i)?.0)).collect()
    }

    /// Why only `possible` copies were stored.
    pub fn too_few(&self, region: &str, possible: usize, needed: usize) -> Error {
        let full = self.in_region(region).filter(|member| member.volume.is_full()).count();
        match full {
            0 => Error::TooFewCopies { possible, needed },
            _ => Error::NoSpace,
        }
    }
}

fn check_members(directories: &[Directory]) -> Result<(), DirectoryError> {
    let mut seen = HashSet::new();
    let store = directories.first().map(|directory| directory.identity.store);
    for directory in directories {
        if !seen.insert(directory.identity.directory) {
            return Err(DirectoryError::Duplicate(directory.path.clone()));
        }
        if Some(directory.identity.store) != store {
            let (path, found) = (directory.path.clone(), directory.identity.store);
            return Err(DirectoryError::Foreign { path, found });
        }
    }
    Ok(())
}

/// Looks at the space and removes what ended processes left unfinished. The directory is locked,
/// so nobody else writes there.
async fn prepare(volume: &Volume) {
    if volume.is_failed() {
        return;
    }
    volume.refresh_space().await;
    let sweep = async {
        for entry in volume.list("tmp").await? {
            volume.remove(&format!("tmp/{}", entry.name)).await?;
        }
        io::Result::Ok(())
    };
    if let Err(error) = sweep.await {
        tracing::warn!(directory = %volume.id(), %error, "unfinished files were not removed");
    }
}
