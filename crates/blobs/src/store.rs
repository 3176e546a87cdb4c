//! [`Blobs`]: the opened store, and how directories are chosen for copies.

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::runtime::Handle;

use crate::damage::{DamageQueue, Finding};
use crate::directory::Directory;
use crate::error::{DirectoryError, Error, Result};
use crate::files::file_name;
use crate::identifiers::{BlobId, DirectoryId, IncarnationId, StoreId};
use crate::identity;
use crate::location::{Location, Place, Wanted, Wish};
use crate::placement::{Candidate, choose};
use crate::reader::BlobReader;
use crate::room::Room;
use crate::segments::Appender;
use crate::settings::Settings;
use crate::verdicts::Verdicts;
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
    pub store: StoreId,
    pub settings: Settings,
    pub incarnation: IncarnationId,
    members: RwLock<Arc<[Arc<Member>]>>,
    /// Of the next segment; no two of this incarnation have the same.
    segments: Arc<AtomicU64>,
    pub damage: DamageQueue,
    pub room: Arc<Room>,
    pub verdicts: Verdicts,
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
        let store = directories.first().map(|directory| directory.identity.store);
        let inner = Inner {
            store: store.unwrap_or(StoreId([0; 16])),
            damage: DamageQueue::new(settings.damaged_queue_length),
            room: Room::new(settings.waiting_bytes_max),
            verdicts: Verdicts::default(),
            settings,
            incarnation,
            members: RwLock::new(Arc::new([])),
            segments: Arc::default(),
            runtime: Handle::current(),
            closed: AtomicBool::new(false),
            attempts: AtomicU64::new(0),
        };
        let members: Vec<_> = directories.into_iter().map(|it| inner.member_of(it)).collect();
        join_all(members.iter().map(|member| prepare(&member.volume))).await;
        *inner.members.write().unwrap_or_else(PoisonError::into_inner) = members.into();
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Uses one more directory from now on.
    ///
    /// # Errors
    /// [`DirectoryError::Duplicate`], or [`DirectoryError::Foreign`] if it is of another store.
    pub async fn add(&self, directory: Directory) -> Result<()> {
        let member = self.inner.member_of(directory);
        prepare(&member.volume).await;
        self.inner.change_members(|members| {
            let identity = &member.volume.identity;
            let path = || member.volume.path().to_owned();
            let same = |other: &Arc<Member>| other.volume.id() == identity.directory;
            if members.iter().any(same) {
                return Err(DirectoryError::Duplicate(path()));
            }
            if self.inner.store != identity.store {
                return Err(DirectoryError::Foreign { path: path(), found: identity.store });
            }
            members.push(Arc::clone(&member));
            Ok(())
        })?;
        Ok(())
    }

    /// How many copies a new blob gets.
    pub fn copies(&self, wanted: &Wanted) -> usize {
        self.inner.copies(wanted).0
    }

    /// How many copies a blob of a region can have: one in each directory that is to keep them.
    pub fn most_copies(&self, region: &str) -> usize {
        self.inner.most_copies(region)
    }

    /// Whether the other directories of its region suffice for the copies wanted now, and for
    /// `most`, if blobs of the region are to have so many.
    pub fn can_spare(&self, directory: DirectoryId, most: Option<Wish>) -> bool {
        let Some(member) = self.inner.member(directory) else { return true };
        let region = member.volume.identity.region.clone();
        let leaving = usize::from(!member.volume.is_draining());
        let others = self.inner.most_copies(&region).saturating_sub(leaving);
        let wanted = |copies| self.inner.copies(&Wanted { region: region.clone(), copies }).0;
        others >= wanted(None).max(wanted(most))
    }

    /// Marks a directory as no longer of the store, on its disk.
    ///
    /// # Errors
    /// When it is not where it was, or its disk refuses.
    pub async fn disown(&self, directory: DirectoryId) -> Result<()> {
        let Some(member) = self.inner.member(directory) else { return Ok(()) };
        self.on_disk(&member, identity::disown).await
    }

    /// Does something where a directory is, if it still is there.
    async fn on_disk(
        &self,
        member: &Member,
        act: impl FnOnce(&Path) -> Result<(), DirectoryError> + Send + 'static,
    ) -> Result<()> {
        if !member.volume.is_in_place().await? {
            return Err(Error::Io(io::ErrorKind::NotFound.into()));
        }
        let path = member.volume.path().to_owned();
        let acting = self.inner.runtime.spawn_blocking(move || act(&path));
        Ok(acting.await.map_err(io::Error::other)??)
    }

    /// Notes on a directory's disk whether it holds metadata, and makes the folder for that.
    ///
    /// # Errors
    /// When it is not where it was, or its disk refuses.
    pub async fn note_metadata(&self, directory: DirectoryId, holds: bool) -> Result<()> {
        let unknown = || io::Error::from(io::ErrorKind::NotFound);
        let member = self.inner.member(directory).ok_or_else(unknown)?;
        self.on_disk(&member, move |path| identity::note_metadata(path, directory, holds)).await
    }

    /// Whether a directory is to be emptied: it takes nothing new then, and counts no longer when
    /// copies are counted.
    pub fn set_draining(&self, directory: DirectoryId, draining: bool) {
        if let Some(member) = self.inner.member(directory) {
            member.volume.set_draining(draining);
        }
    }

    /// Whether a directory is one of the store, absent or not.
    pub fn knows(&self, directory: DirectoryId) -> bool {
        self.inner.member(directory).is_some()
    }

    /// Uses a directory no longer, whatever is in it.
    pub async fn forget(&self, directory: DirectoryId) {
        let Some(member) = self.inner.member(directory) else { return };
        member.appender.close().await;
        let forgotten: Result<(), DirectoryError> = self.inner.change_members(|members| {
            members.retain(|member| member.volume.id() != directory);
            Ok(())
        });
        drop(forgotten);
        member.volume.attach(None);
    }

    /// Starts a blob.
    ///
    /// - `id`: random and new; it names the blob for ever.
    /// - `description`: what the blob is, to rebuild metadata from blobs alone; at most
    ///   [`DESCRIPTION_BYTES_MAX`](crate::DESCRIPTION_BYTES_MAX), checked when it is finished.
    pub fn create(&self, wanted: &Wanted, id: BlobId, description: Bytes) -> BlobWriter {
        BlobWriter::new(Arc::clone(&self.inner), wanted.clone(), id, description)
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
        for copy in &location.copies {
            let Place::File(layout) = copy.place else { continue };
            let Some(member) = self.inner.member(copy.directory) else { continue };
            if !member.volume.is_failed() {
                member.volume.remove(&file_name(location.blob, layout)).await?;
            }
        }
        Ok(())
    }

    pub fn store(&self) -> StoreId {
        self.inner.store
    }

    pub fn directories(&self) -> Vec<DirectoryStatus> {
        let status = |member: &Arc<Member>| {
            member.volume.refresh_space_soon(&self.inner.runtime);
            member.volume.status()
        };
        self.inner.members().iter().map(status).collect()
    }

    /// What reads found wrong since the last call, for repair. Look up the location anew first:
    /// the blob may have moved or gone since.
    pub fn take_damaged(&self) -> Vec<Finding> {
        self.inner.damage.take()
    }

    /// Seals the segments. Writes that are still running may fail; reads go on.
    pub async fn close(&self) {
        self.inner.closed.store(true, Ordering::Release);
        join_all(self.inner.members().iter().map(|member| member.appender.close())).await;
    }
}

impl Inner {
    /// The directories as they are now; others may come and go meanwhile.
    pub fn members(&self) -> Arc<[Arc<Member>]> {
        Arc::clone(&self.members.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn member(&self, directory: DirectoryId) -> Option<Arc<Member>> {
        let members = self.members.read().unwrap_or_else(PoisonError::into_inner);
        members.iter().find(|member| member.volume.id() == directory).cloned()
    }

    /// Those that answer.
    pub fn answering(&self) -> Vec<Arc<Member>> {
        let members = self.members();
        members.iter().filter(|member| !member.volume.is_failed()).cloned().collect()
    }

    fn member_of(&self, directory: Directory) -> Arc<Member> {
        let volume = Arc::new(Volume::new(directory, &self.settings));
        let numbers = Arc::clone(&self.segments);
        let segments = (self.incarnation, numbers);
        let appender =
            Appender::start(Arc::clone(&volume), segments, &self.settings, &self.runtime);
        Arc::new(Member { volume, appender })
    }

    fn change_members<E>(
        &self,
        change: impl FnOnce(&mut Vec<Arc<Member>>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = members.to_vec();
        change(&mut changed)?;
        *members = changed.into();
        Ok(())
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

    /// How many copies a blob shall have, and how many it must have. To be asked once for each
    /// attempt: directories come and go meanwhile.
    pub fn copies(&self, wanted: &Wanted) -> (usize, usize) {
        let directories = || self.most_copies(&wanted.region).min(2);
        let usual = self.settings.copies.unwrap_or_else(directories).max(1);
        let copies = wanted.copies.map_or(usual, |wish| wish.of(usual));
        (copies, self.settings.min_copies.unwrap_or(copies).clamp(1, copies))
    }

    /// Directories of a region that are not being emptied.
    pub fn most_copies(&self, region: &str) -> usize {
        let stays = |member: &&Arc<Member>| !member.volume.is_draining();
        self.in_region(region).iter().filter(stays).count()
    }

    pub fn in_region(&self, region: &str) -> Vec<Arc<Member>> {
        let here = |member: &&Arc<Member>| member.volume.identity.region == region;
        self.members().iter().filter(here).cloned().collect()
    }

    /// Up to `wanted` directories for further copies of `blob`.
    ///
    /// - `held`: directories that hold a copy already. `tried`: those that failed to.
    pub async fn choose(
        &self,
        region: &str,
        blob: BlobId,
        wanted: usize,
        held: &[DirectoryId],
        tried: &HashSet<DirectoryId>,
    ) -> Vec<Arc<Member>> {
        let mut fresh = self.in_region(region);
        fresh.retain(|member| {
            let id = member.volume.id();
            !held.contains(&id) && !tried.contains(&id)
        });
        fresh.iter().for_each(|member| member.volume.refresh_space_soon(&self.runtime));
        if fresh.iter().filter(|member| member.volume.room().is_some()).count() < wanted {
            let full = fresh.iter().filter(|member| member.volume.is_full());
            join_all(full.map(|member| member.volume.refresh_space())).await;
        }
        let with_room: Vec<(&Arc<Member>, u64)> =
            fresh.iter().filter_map(|member| Some((member, member.volume.room()?))).collect();
        let candidates: Vec<Candidate<'_>> = with_room
            .iter()
            .map(|(member, room)| Candidate {
                zone: &member.volume.identity.zone,
                free_bytes: *room,
            })
            .collect();
        let holders: Vec<_> = held.iter().filter_map(|id| self.member(*id)).collect();
        let zones: Vec<&str> = holders.iter().map(|it| it.volume.identity.zone.as_str()).collect();
        let [a, b, c, d, e, f, g, h, ..] = blob.0;
        // The id is random, so placement needs no randomness of its own.
        let seed = u64::from_le_bytes([a, b, c, d, e, f, g, h]) ^ (tried.len() as u64);
        let picked = choose(&candidates, wanted, &zones, seed);
        picked.iter().filter_map(|i| Some(Arc::clone(with_room.get(*i)?.0))).collect()
    }

    /// An error if only `possible` of the `needed` copies were stored.
    pub fn check_enough(&self, region: &str, possible: usize, needed: usize) -> Result<()> {
        if possible >= needed {
            return Ok(());
        }
        self.check_open()?;
        Err(self.too_few(region, possible, needed))
    }

    /// Why only `possible` copies were stored.
    pub fn too_few(&self, region: &str, possible: usize, needed: usize) -> Error {
        match self.in_region(region).iter().any(|member| member.volume.is_full()) {
            false => Error::TooFewCopies { possible, needed },
            true => Error::NoSpace,
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
pub(crate) async fn prepare(volume: &Volume) {
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
