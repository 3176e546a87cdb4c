//! The ordered index: sled, and the only file that knows it.
//!
//! It can be thrown away and rebuilt at any time, so it is never synced while serving. What it
//! holds is only ever what the journal made durable before. Damage shows as an error or a panic
//! inside sled; both come out as [`EngineError::Damaged`].

use std::fs::{self, File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{RwLock, RwLockReadGuard};

use super::fields::Fields;
use super::journal::Record;
use crate::engine::resolve::View;
use crate::engine::{
    Direction, EngineError, PAGE_BYTES_MAX, PAGE_ROWS_MAX, Page, Row, ScanRange, Sequence,
};

/// Values and index nodes above a quarter of this would go to files that sled never syncs.
const SEGMENT_BYTES: usize = 2 << 20;
/// Also drives sled's garbage collection.
const FLUSH_EVERY_MS: u64 = 500;
const MARK: &[u8] = b"applied";
/// How long a closed index may hold its files on; sled's threads let go of them when they end.
const LETTING_GO: Duration = Duration::from_secs(10);
/// How long a reader waits for a group to be written; the next ones then wait no longer.
const READER_PATIENCE: Duration = Duration::from_millis(500);

/// Rows by key. Every row begins with its version, 8 bytes little-endian.
pub struct Index {
    path: PathBuf,
    db: sled::Db,
    rows: sled::Tree,
    marks: sled::Tree,
    /// Held to write a group, shared by readers of several rows.
    group: RwLock<()>,
    applied: AtomicU64,
    opened: Instant,
    /// When the group began that is being written, in ms since `opened` and one; 0 if none is.
    applying_ms: AtomicU64,
    /// A group was written in part: nothing can be read any more.
    broken: AtomicBool,
}

/// A row with its key, on the way into or out of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: Vec<u8>,
    pub row: Row,
}

impl Index {
    /// Opens the index at `path`, or makes an empty one.
    pub fn open(path: &Path, cache_bytes: u64) -> Result<Self, EngineError> {
        fs::create_dir_all(path).map_err(|error| EngineError::io("the index", error))?;
        remove_unfinished(path).map_err(|error| EngineError::io("the index", error))?;
        await_release(path).map_err(|error| EngineError::io("the index", error))?;
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(cache_bytes)
            .segment_size(SEGMENT_BYTES)
            .flush_every_ms(Some(FLUSH_EVERY_MS));
        guard(|| {
            let db = config.open()?;
            let rows = db.open_tree("rows")?;
            let marks = db.open_tree("marks")?;
            let index = Self {
                path: path.to_owned(),
                db,
                rows,
                marks,
                group: RwLock::new(()),
                applied: AtomicU64::new(0),
                opened: Instant::now(),
                applying_ms: AtomicU64::new(0),
                broken: AtomicBool::new(false),
            };
            let applied = index.read_mark()?.map_or(0, |(_, applied)| applied);
            index.applied.store(applied, Ordering::Release);
            Ok(index)
        })
    }

    /// Puts whatever is at `path` out of the way, replacing what was put away before.
    pub fn set_aside(path: &Path) -> io::Result<()> {
        let aside = path.with_extension("aside");
        if fs::symlink_metadata(path).is_err() {
            return Ok(());
        }
        remove_aside(path)?;
        fs::rename(path, aside)
    }

    /// Puts whatever is at `path` out of the way, for a thread of its own to remove: its disk may
    /// be one that hung a moment ago.
    pub fn discard(path: &Path) -> io::Result<()> {
        let aside = path.with_extension("aside");
        match fs::rename(path, &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // An older one is being removed. Nobody takes this one for the index of a later epoch.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            moved => moved?,
        }
        if fs::symlink_metadata(aside).is_ok() {
            let path = path.to_owned();
            let remove = move || {
                if let Err(error) = remove_aside(&path) {
                    tracing::warn!(path = %path.display(), %error, "an old index stays");
                }
            };
            std::thread::Builder::new().name("index-removal".to_owned()).spawn(remove)?;
        }
        Ok(())
    }

    /// The epoch and sequence of the last [`Self::mark`], if there is one.
    pub fn marked(&self) -> Result<Option<(u64, Sequence)>, EngineError> {
        guard(|| self.read_mark())
    }

    /// The last group that is wholly visible.
    pub fn applied(&self) -> Sequence {
        self.applied.load(Ordering::Acquire)
    }

    /// Makes a group visible at one moment to readers of several rows.
    pub fn apply(&self, epoch: u64, records: &[Record]) -> Result<(), EngineError> {
        let Some(last) = records.last() else { return Ok(()) };
        let _alone = self.group.write();
        self.check()?;
        self.applying_ms.store(self.now_ms() + 1, Ordering::Release);
        let applied = guard(|| {
            for record in records {
                self.apply_record(record)?;
            }
            self.write_mark(epoch, last.sequence)
        });
        if applied.is_err() {
            self.broken.store(true, Ordering::Release);
        }
        self.applying_ms.store(0, Ordering::Release);
        applied
    }

    /// For how long a group has been written by now: far too long, if the disk hangs.
    pub fn applying_for(&self) -> Duration {
        match self.applying_ms.load(Ordering::Acquire) {
            0 => Duration::ZERO,
            begun => Duration::from_millis(self.now_ms().saturating_sub(begun - 1)),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Sees no group half written.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`] while one is being written for too long.
    fn between_groups(&self) -> Result<RwLockReadGuard<'_, ()>, EngineError> {
        let patience = READER_PATIENCE.saturating_sub(self.applying_for());
        let late = || EngineError::Unavailable("the index takes too long".to_owned());
        let between = self.group.try_read_for(patience).ok_or_else(late)?;
        self.check()?;
        Ok(between)
    }

    /// Notes what the index holds, while nobody reads it yet. Its files know it then, so that a
    /// process killed a moment later is followed by one that keeps the index.
    pub fn mark(&self, epoch: u64, sequence: Sequence) -> Result<(), EngineError> {
        guard(|| {
            self.write_mark(epoch, sequence)?;
            self.db.flush()?;
            Ok(())
        })
    }

    /// Puts rows in, as [`stored`] makes them, or takes them out. Not for an index that is read:
    /// see `super::loading`.
    pub fn write_rows(&self, rows: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), EngineError> {
        guard(|| {
            for (key, value) in rows {
                match value {
                    Some(value) => self.rows.insert(key, value.as_slice())?,
                    None => self.rows.remove(key)?,
                };
            }
            Ok(())
        })
    }

    /// Notes that the index holds all up to `sequence`. It is in the files after what was written
    /// before it.
    pub fn note(&self, epoch: u64, sequence: Sequence) -> Result<(), EngineError> {
        guard(|| self.write_mark(epoch, sequence))
    }

    /// Waits for the rest of a group that is half written, if the row is of it: whoever has seen a
    /// row sees all that was written with it from then on.
    pub fn get(&self, key: &[u8]) -> Result<Option<Row>, EngineError> {
        let row = self.read(key)?;
        if self.is_settled(row.as_ref()) {
            return Ok(row);
        }
        let _shared = self.between_groups()?;
        self.read(key)
    }

    pub fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Row>>, EngineError> {
        let _shared = self.between_groups()?;
        keys.iter().map(|key| self.read(key)).collect()
    }

    pub fn scan(
        &self,
        range: &ScanRange,
        limit: usize,
        direction: Direction,
    ) -> Result<Page, EngineError> {
        let mut page = Page::default();
        if range.is_empty() {
            return Ok(page);
        }
        self.check()?;
        let _shared = self.between_groups()?;
        guard(|| {
            let mut rows = self.rows.range(range.start.as_slice()..range.end.as_slice());
            let mut bytes = 0;
            while let Some(found) = match direction {
                Direction::Forward => rows.next(),
                Direction::Backward => rows.next_back(),
            } {
                let (key, stored) = found?;
                bytes += key.len() + stored.len();
                page.rows.push((key.to_vec(), decode(&stored)?));
                if page.rows.len() >= limit.clamp(1, PAGE_ROWS_MAX) || bytes >= PAGE_BYTES_MAX {
                    page.next = range.after(&key, direction);
                    break;
                }
            }
            Ok(page)
        })
    }

    /// Whether the range holds a row for which `counts` says yes.
    pub fn any_row(
        &self,
        range: &ScanRange,
        counts: impl Fn(&[u8]) -> bool,
    ) -> Result<bool, EngineError> {
        if range.is_empty() {
            return Ok(false);
        }
        guard(|| {
            for found in self.rows.range(range.start.as_slice()..range.end.as_slice()) {
                if counts(&found?.0) {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// Up to `limit` rows from `start` on, and the sequence they were read at.
    pub fn dump(&self, start: &[u8], limit: usize) -> Result<(Vec<Entry>, Sequence), EngineError> {
        let _shared = self.between_groups()?;
        guard(|| {
            let mut entries = Vec::new();
            for found in self.rows.range(start..).take(limit) {
                let (key, stored) = found?;
                entries.push(Entry { key: key.to_vec(), row: decode(&stored)? });
            }
            Ok((entries, self.applied()))
        })
    }

    /// Makes the whole index survive a power loss: every file of it and their directories.
    pub fn sync(&self) -> Result<(), EngineError> {
        guard(|| Ok(self.db.flush()?))?;
        sync_tree(&self.path).map_err(|error| EngineError::io("syncing the index", error))
    }

    fn check(&self) -> Result<(), EngineError> {
        match self.broken.load(Ordering::Acquire) {
            true => Err(EngineError::Damaged("the index holds half a group".to_owned())),
            false => Ok(()),
        }
    }

    /// From now on nothing can be read or written.
    #[cfg(test)]
    pub fn break_it(&self) {
        self.broken.store(true, Ordering::Release);
    }

    fn read(&self, key: &[u8]) -> Result<Option<Row>, EngineError> {
        self.check()?;
        guard(|| self.rows.get(key)?.map(|stored| decode(&stored)).transpose())
    }

    /// Whether what was read a moment ago cannot be of a group that is half written.
    fn is_settled(&self, row: Option<&Row>) -> bool {
        match row {
            Some(row) => row.version <= self.applied(),
            // That group may be what removed it.
            None => self.applying_ms.load(Ordering::Acquire) == 0,
        }
    }

    fn apply_record(&self, record: &Record) -> Result<(), Trouble> {
        for (key, value) in &record.changes {
            match value {
                Some(value) => self.rows.insert(key, stored(record.sequence, value))?,
                None => self.rows.remove(key)?,
            };
        }
        Ok(())
    }

    fn write_mark(&self, epoch: u64, sequence: Sequence) -> Result<(), Trouble> {
        let mut mark = epoch.to_le_bytes().to_vec();
        mark.extend(sequence.to_le_bytes());
        self.marks.insert(MARK, mark)?;
        self.applied.store(sequence, Ordering::Release);
        Ok(())
    }

    fn read_mark(&self) -> Result<Option<(u64, Sequence)>, Trouble> {
        let Some(mark) = self.marks.get(MARK)? else { return Ok(None) };
        let mut fields = Fields(&mark);
        match (fields.u64(), fields.u64()) {
            (Some(epoch), Some(sequence)) => Ok(Some((epoch, sequence))),
            _ => Err(Trouble::Form),
        }
    }
}

impl View for Index {
    fn row(&self, key: &[u8]) -> Result<Option<Row>, EngineError> {
        self.get(key)
    }

    fn any_row(&self, range: &ScanRange) -> Result<bool, EngineError> {
        Self::any_row(self, range, |_| true)
    }
}

/// Removes what [`Index::set_aside`] put away from `path`.
pub fn remove_aside(path: &Path) -> io::Result<()> {
    let aside = path.with_extension("aside");
    match fs::symlink_metadata(&aside) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(aside),
        Ok(_) => fs::remove_file(aside),
        Err(_) => Ok(()),
    }
}

enum Trouble {
    Sled(sled::Error),
    Form,
}

impl From<sled::Error> for Trouble {
    fn from(error: sled::Error) -> Self {
        Self::Sled(error)
    }
}

/// Runs something of sled's, which panics on bad data.
fn guard<T>(run: impl FnOnce() -> Result<T, Trouble>) -> Result<T, EngineError> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Trouble::Sled(error))) => Err(EngineError::Damaged(format!("the index: {error}"))),
        Ok(Err(Trouble::Form)) => Err(EngineError::Damaged("a row of the index".to_owned())),
        Err(_) => Err(EngineError::Damaged("the index cannot be read".to_owned())),
    }
}

/// A row as it lies in the index.
pub fn stored(version: Sequence, value: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(8 + value.len());
    stored.extend(version.to_le_bytes());
    stored.extend(value);
    stored
}

fn decode(stored: &[u8]) -> Result<Row, Trouble> {
    let (version, value) = stored.split_first_chunk().ok_or(Trouble::Form)?;
    let version = u64::from_le_bytes(*version);
    Ok(Row { version, value: Bytes::copy_from_slice(value) })
}

/// Waits until sled has let go of the index that was open at `path` before. Only this process can
/// have had it, since the directory's own lock is held.
fn await_release(path: &Path) -> io::Result<()> {
    let file = match File::open(path.join("db")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if began.elapsed() < LETTING_GO => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// A crash can leave these behind, and sled then refuses to open.
fn remove_unfinished(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn sync_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            match File::open(entry.path()) {
                Ok(file) => file.sync_all()?,
                // sled's own thread removes old snapshot files meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    File::open(path)?.sync_all()
}
