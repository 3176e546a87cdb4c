//! Space kept ready in a metadata directory: the next journal file, and a reserve for a full disk.
//!
//! Writing into a file that has its space already cannot run out of it. When no next file can be
//! made the disk counts as full: then only commits that reclaim space go on, with files taken from
//! the reserve. Parts of it are also given up so that the index and a snapshot can grow.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::files::{Files, OpenFile, is_full};

const NEXT: &str = "next.room";
const TEMPORARY: &str = "room.tmp";
/// A little room is this part of a journal file.
const LITTLE_ROOM: u64 = 8;

/// The space of one directory. Shared by those who take and those who refill.
pub struct Room {
    files: Arc<dyn Files>,
    journal_bytes: u64,
    reserves: u64,
    state: Mutex<()>,
}

impl Room {
    pub fn new(files: Arc<dyn Files>, journal_bytes: u64, reserve_bytes: u64) -> Self {
        let reserves = (reserve_bytes / journal_bytes.max(1)).clamp(2, 64);
        Self { files, journal_bytes, reserves, state: Mutex::new(()) }
    }

    /// Makes what is missing: the next file and the reserve.
    ///
    /// # Errors
    /// `StorageFull` if there is no room for it.
    pub fn prepare(&self) -> io::Result<()> {
        let make = |name: &str, written| match self.has_free_beside(self.journal_bytes) {
            true => self.make(name, written),
            false => Err(io::ErrorKind::StorageFull.into()),
        };
        let _alone = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let present = self.files.list()?;
        let absent = |name: &String| !present.contains(name);
        if absent(&NEXT.to_owned()) {
            make(NEXT, true)?;
        }
        for name in (0..self.reserves).map(reserve).filter(absent) {
            make(&name, false)?;
        }
        Ok(())
    }

    /// Turns space into a file to write to, still under the name [`Self::taken`].
    ///
    /// - `use_reserve`: rather take from the reserve than fail, or than leave nothing for others.
    ///
    /// # Errors
    /// `StorageFull` if there is none.
    pub fn take(&self, use_reserve: bool) -> io::Result<Box<dyn OpenFile>> {
        let _alone = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let present = self.files.list()?;
        if present.iter().any(|name| name == NEXT) {
            self.files.rename(NEXT, TAKEN)?;
            return self.files.open(TAKEN);
        }
        if !use_reserve || self.has_free_beside(self.journal_bytes) {
            match self.make(TAKEN, false) {
                Err(error) if is_full(&error) && use_reserve => {}
                Err(error) => return Err(error),
                Ok(()) => return self.files.open(TAKEN),
            }
        }
        let name = (0..self.reserves).map(reserve).find(|name| present.contains(name));
        let name = name.ok_or(io::ErrorKind::StorageFull)?;
        self.files.rename(&name, TAKEN)?;
        self.files.open(TAKEN)
    }

    /// Gives a part of the reserve back if there is less than a little room, which the index and
    /// small files need for each deletion, and to write what was taken already. Answers whether
    /// it did.
    pub fn release_if_short(&self) -> bool {
        !self.has_free_beside(0) && self.release().unwrap_or(false)
    }

    /// Gives one part of the reserve back to the file system; `false` if all but one are gone.
    pub fn release(&self) -> io::Result<bool> {
        let _alone = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let present = self.files.list()?;
        let mut left = (0..self.reserves).map(reserve).filter(|name| present.contains(name));
        // The last one is for the journal, without which nothing can be deleted.
        let (Some(name), Some(_)) = (left.next(), left.next()) else { return Ok(false) };
        self.files.remove(&name)?;
        self.files.sync_dir()?;
        Ok(true)
    }

    /// Whether the disk has room for so much and a little beside, as far as one can tell.
    fn has_free_beside(&self, bytes: u64) -> bool {
        let wanted = bytes.saturating_add(self.journal_bytes / LITTLE_ROOM);
        self.files.free_bytes().is_none_or(|free| free >= wanted)
    }

    fn make(&self, name: &str, written: bool) -> io::Result<()> {
        let made = self.files.create(TEMPORARY).and_then(|mut file| {
            file.reserve(self.journal_bytes, written)?;
            file.sync_data()
        });
        if let Err(error) = made {
            self.files.remove(TEMPORARY)?;
            return Err(error);
        }
        self.files.rename(TEMPORARY, name)
    }
}

/// Under this name a file is filled before it becomes a journal file.
pub const TAKEN: &str = "journal.tmp";

fn reserve(number: u64) -> String {
    format!("reserve-{number:02}.room")
}
