//! Takes a snapshot, proves it readable, then removes the journals it makes needless.

use std::io;
use std::sync::Arc;

use super::files::{Files, OpenFile, is_full};
use super::index::Index;
use super::journal::FileId;
use super::members::{MemberId, name};
use super::room::Room;
use super::shared::{Shared, SnapshotFacts};
use super::snapshot::{self, SnapshotId, TEMPORARY, Writer};
use crate::engine::{EngineError, MemberState, Sequence, SnapshotReport};

pub const SNAPSHOTS_KEPT: usize = 2;
const DUMP_ROWS: usize = 500;

/// One directory as snapshots see it.
pub struct Place {
    pub id: MemberId,
    pub files: Arc<dyn Files>,
    pub room: Arc<Room>,
}

/// A copy being written.
struct Copy<'a> {
    place: &'a Place,
    file: Box<dyn OpenFile>,
    offset: u64,
}

/// Writes a snapshot to every active member. Directories that fail simply get none.
///
/// # Errors
/// If no directory holds a verified copy in the end.
pub fn take(
    places: &[Place],
    index: &Index,
    shared: &Shared,
) -> Result<SnapshotReport, EngineError> {
    match attempt(places, index, shared) {
        Err(EngineError::NoSpace) => {}
        other => return other,
    }
    // Snapshots let journals go, so they may use the reserve.
    let released = places.iter().any(|place| place.room.release().unwrap_or(false));
    if released { attempt(places, index, shared) } else { Err(EngineError::NoSpace) }
}

fn attempt(
    places: &[Place],
    index: &Index,
    shared: &Shared,
) -> Result<SnapshotReport, EngineError> {
    let status = shared.status(0);
    let active = |place: &&Place| {
        let found = status.members.iter().find(|member| member.id == place.id);
        found.is_some_and(|member| member.state == MemberState::Active)
    };
    let mut copies = Copies { copies: Vec::new(), full: false, error: None };
    for place in places.iter().filter(active) {
        copies.begin(place);
    }
    let journal_bytes = shared.journal_bytes();
    let created = std::time::UNIX_EPOCH.elapsed().map_or(0, |now| now.as_secs());
    let (id, entries) = write_rows(index, (shared.epoch(), created), &mut |bytes| {
        copies.write(bytes);
        copies.or_none_left()
    })?;
    let (kept, bytes) = copies.finish(id)?;
    let facts = SnapshotFacts { end: id.end, epoch: id.epoch, unix_s: created, bytes };
    shared.note_snapshot(facts, journal_bytes);
    for place in &kept {
        if let Err(error) = clean_up(&*place.files, shared.journal_wanted()) {
            tracing::warn!(directory = name(&place.id), %error, "old journals stay");
        }
    }
    Ok(SnapshotReport { start: id.start, end: id.end, entries, bytes, copies: kept.len() })
}

/// Hands a snapshot of the index to `write`, in pieces. Answers its name and how many rows it has.
pub fn write_rows(
    index: &Index,
    (epoch, created_unix_s): (u64, u64),
    write: &mut dyn FnMut(&[u8]) -> Result<(), EngineError>,
) -> Result<(SnapshotId, u64), EngineError> {
    let (mut entries, start) = index.dump(&[], DUMP_ROWS)?;
    let (mut writer, header) = Writer::new(start, epoch, created_unix_s);
    write(&header)?;
    let mut end = start;
    while let Some(last) = entries.last() {
        let mut next = last.key.clone();
        next.push(0);
        for entry in &entries {
            if let Some(frame) = writer.push(entry).map_err(failed)? {
                write(&frame)?;
            }
        }
        (entries, end) = index.dump(&next, DUMP_ROWS)?;
    }
    let (rest, id, rows) = writer.finish(end).map_err(failed)?;
    write(&rest)?;
    Ok((id, rows))
}

struct Copies<'a> {
    copies: Vec<Copy<'a>>,
    full: bool,
    error: Option<io::Error>,
}

impl<'a> Copies<'a> {
    fn begin(&mut self, place: &'a Place) {
        match place.files.create(TEMPORARY) {
            Ok(file) => self.copies.push(Copy { place, file, offset: 0 }),
            Err(error) => self.note(place, error),
        }
    }

    fn note(&mut self, place: &Place, error: io::Error) {
        tracing::warn!(directory = name(&place.id), %error, "no snapshot in this directory");
        let _ = place.files.remove(TEMPORARY);
        self.full |= is_full(&error);
        self.error = Some(error);
    }

    fn write(&mut self, bytes: &[u8]) {
        self.keep_if(|copy| {
            copy.file.write_at(copy.offset, bytes)?;
            copy.offset += bytes.len() as u64;
            Ok(())
        });
    }

    fn keep_if(&mut self, mut run: impl FnMut(&mut Copy<'a>) -> io::Result<()>) {
        for mut copy in std::mem::take(&mut self.copies) {
            match run(&mut copy) {
                Ok(()) => self.copies.push(copy),
                Err(error) => self.note(copy.place, error),
            }
        }
    }

    fn or_none_left(&mut self) -> Result<(), EngineError> {
        if !self.copies.is_empty() {
            return Ok(());
        }
        if self.full {
            return Err(EngineError::NoSpace);
        }
        let error = self.error.take().unwrap_or_else(|| io::Error::other("no directory"));
        Err(failed(error))
    }

    /// Syncs, reads back and names the copies. Answers where they are and how long one is.
    fn finish(mut self, id: SnapshotId) -> Result<(Vec<&'a Place>, u64), EngineError> {
        self.keep_if(|copy| {
            copy.file.sync_data()?;
            let files = &*copy.place.files;
            snapshot::read::<io::Error>(files, (TEMPORARY, id), &mut |_| Ok(()))?;
            files.rename(TEMPORARY, &id.name())?;
            files.sync_dir()
        });
        self.or_none_left()?;
        let bytes = self.copies.first().map_or(0, |copy| copy.offset);
        Ok((self.copies.iter().map(|copy| copy.place).collect(), bytes))
    }
}

/// Keeps the newest snapshots and the journal from the oldest of these on.
///
/// - `wanted`: somebody reads the journal from this record on.
fn clean_up(files: &dyn Files, wanted: Option<Sequence>) -> io::Result<()> {
    let snapshots = snapshot::list(files)?;
    for old in snapshots.iter().skip(SNAPSHOTS_KEPT) {
        files.remove(&old.name())?;
    }
    let Some(oldest) = snapshots.get(SNAPSHOTS_KEPT - 1) else { return Ok(()) };
    let mut journals: Vec<_> =
        files.list()?.iter().filter_map(|name| FileId::parse(name)).collect();
    journals.sort_unstable();
    let from = wanted.map_or(oldest.start, |wanted| wanted.min(oldest.start));
    // From the last file that begins at or before that record, all are needed.
    let needed = journals.iter().rposition(|file| file.base <= from).unwrap_or(0);
    for old in journals.iter().take(needed) {
        files.remove(&old.name())?;
    }
    files.sync_dir()
}

fn failed(error: io::Error) -> EngineError {
    EngineError::io("writing a snapshot", error)
}
