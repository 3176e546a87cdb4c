//! The files of one metadata directory, behind a small trait so that tests can cut the power.
//!
//! [`Directory`] is a real one; the other implementation is `super::simulated`.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, FallocateFlags, FlockOperation, StatxFlags};

/// Name of the file whose lock says that a process uses the directory.
const LOCK_FILE: &str = "lock";

/// `STATX_MNT_ID_UNIQUE` (Linux 6.8): a mount id that is never given out again until the next boot.
const STATX_MNT_ID_UNIQUE: u32 = 0x4000;

const ZEROES_BYTES: usize = 1 << 20;

/// One directory of files. Names are plain, without a slash.
pub trait Files: Send + Sync + 'static {
    /// Locks the directory until this value is dropped.
    ///
    /// # Errors
    /// `WouldBlock` if somebody else holds the lock.
    fn lock(&self) -> io::Result<()>;

    /// Names of all files, in no order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Length of a file in bytes.
    fn length(&self, name: &str) -> io::Result<u64>;

    /// Up to `length` bytes from `offset`; fewer only at the end of the file.
    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>>;

    /// An empty file to write to, in place of any other of that name.
    fn create(&self, name: &str) -> io::Result<Box<dyn OpenFile>>;

    /// Opens a file that exists for writing.
    fn open(&self, name: &str) -> io::Result<Box<dyn OpenFile>>;

    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. It is no error if there is none.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes creations, renames and removals in the directory survive a power loss.
    fn sync_dir(&self) -> io::Result<()>;

    /// A token that stays the same only as long as everything written is still readable: the boot
    /// and the mount. `None` if that cannot be told.
    fn mount(&self) -> Option<String>;
}

/// A file open for writing.
pub trait OpenFile: Send {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Reserves room for `bytes` bytes, which read as zeroes.
    ///
    /// - `written`: also write the zeroes, so that later writes change no metadata of the file.
    fn reserve(&mut self, bytes: u64, written: bool) -> io::Result<()>;

    /// Makes all earlier writes survive a power loss. After an error the file must be given up:
    /// the kernel may have dropped its pages, and a second call can report success for them.
    fn sync_data(&mut self) -> io::Result<()>;
}

/// Whether an error only says that the disk is full.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Writes a small file whole: under another name, synced, then renamed, then its name synced.
pub fn replace(files: &dyn Files, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = format!("{name}.tmp");
    let mut file = files.create(&temporary)?;
    file.write_at(0, bytes)?;
    file.sync_data()?;
    drop(file);
    files.rename(&temporary, name)?;
    files.sync_dir()
}

/// Reads a small file whole, at most 1 MiB of it. `None` if there is none.
pub fn read_small(files: &dyn Files, name: &str) -> io::Result<Option<Vec<u8>>> {
    match files.read(name, 0, 1 << 20) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A real directory.
pub struct Directory {
    path: PathBuf,
    lock: Mutex<Option<File>>,
}

impl Directory {
    /// The directory at `path`, made if it is not there.
    pub fn open(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        Ok(Self { path: path.to_owned(), lock: Mutex::new(None) })
    }
}

struct RealFile(File);

impl OpenFile for RealFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn reserve(&mut self, bytes: u64, written: bool) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, bytes.max(1)) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
        if written {
            let zeroes = vec![0; ZEROES_BYTES];
            let mut offset = 0;
            while offset < bytes {
                let part = usize::try_from(bytes - offset).unwrap_or(usize::MAX).min(ZEROES_BYTES);
                self.0.write_all_at(zeroes.get(..part).unwrap_or_default(), offset)?;
                offset += part as u64;
            }
            self.0.sync_all()?;
        }
        Ok(())
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl Files for Directory {
    fn lock(&self) -> io::Result<()> {
        let path = self.path.join(LOCK_FILE);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.extend(entry.file_name().into_string());
            }
        }
        Ok(names)
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(std::fs::metadata(self.path.join(name))?.size())
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path.join(name))?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn OpenFile>> {
        Ok(Box::new(RealFile(File::create(self.path.join(name))?)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn OpenFile>> {
        Ok(Box::new(RealFile(OpenOptions::new().write(true).open(self.path.join(name))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match std::fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn mount(&self) -> Option<String> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let directory = File::open(&self.path).ok()?;
        let wanted = StatxFlags::from_bits_retain(STATX_MNT_ID_UNIQUE);
        let found = rustix::fs::statx(&directory, "", AtFlags::EMPTY_PATH, wanted).ok()?;
        let known = found.stx_mask & STATX_MNT_ID_UNIQUE != 0;
        known.then(|| format!("{} {:x}", boot.trim(), found.stx_mnt_id))
    }
}
