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
        let _alone = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let present = self.files.list()?;
        let absent = |name: &String| !present.contains(name);
        if absent(&NEXT.to_owned()) {
            self.make(NEXT, true)?;
        }
        for name in (0..self.reserves).map(reserve).filter(absent) {
            self.make(&name, false)?;
        }
        Ok(())
    }

    /// Turns space into a file to write to, still under the name [`Self::taken`].
    ///
    /// - `use_reserve`: rather take from the reserve than fail.
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
        match self.make(TAKEN, false) {
            Err(error) if is_full(&error) && use_reserve => {}
            Err(error) => return Err(error),
            Ok(()) => return self.files.open(TAKEN),
        }
        let name = (0..self.reserves).map(reserve).find(|name| present.contains(name));
        let name = name.ok_or(io::ErrorKind::StorageFull)?;
        self.files.rename(&name, TAKEN)?;
        self.files.open(TAKEN)
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
