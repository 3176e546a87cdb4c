//! The files of one metadata directory, behind a small trait so that tests can cut the power.
//!
//! [`Directory`] is a real one; the other implementation is `super::simulated`.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{
    AtFlags, Dir, FallocateFlags, FileType, FlockOperation, Mode, OFlags, StatxFlags,
};

/// Name of the file whose lock says that a process uses the directory.
const LOCK_FILE: &str = "lock";

/// `STATX_MNT_ID_UNIQUE` (Linux 6.8): a mount id that is never given out again until the next boot.
const STATX_MNT_ID_UNIQUE: u32 = 0x4000;

const ZEROES_BYTES: usize = 1 << 20;

/// One directory of files. Names are plain, without a slash.
pub trait Files: Send + Sync + 'static {
    /// Locks the directory until this value is dropped. Once it is locked this does nothing.
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

    /// Bytes that can still be written to new files; `None` if that cannot be told.
    fn free_bytes(&self) -> Option<u64>;

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

/// A real directory. Only what was opened is used: should another file system be mounted over its
/// path, or this one be taken away, nothing is written to the wrong one.
pub struct Directory {
    root: File,
    lock: Mutex<Option<File>>,
}

impl Directory {
    /// The directory at `path`, made if it is not there.
    pub fn open(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        Ok(Self { root: File::open(path)?, lock: Mutex::new(None) })
    }

    fn open_file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(rustix::fs::openat(&self.root, name, flags | OFlags::CLOEXEC, mode)?.into())
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
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_none() {
            let file = self.open_file(LOCK_FILE, OFlags::CREATE | OFlags::WRONLY)?;
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            *lock = Some(file);
        }
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(self.open_file(".", OFlags::DIRECTORY)?)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            let is_file = match entry.file_type() {
                FileType::Unknown => {
                    let about = rustix::fs::statat(&self.root, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    FileType::from_raw_mode(about.st_mode).is_file()
                }
                kind => kind.is_file(),
            };
            if is_file {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        let about = rustix::fs::statat(&self.root, name, AtFlags::empty())?;
        Ok(u64::try_from(about.st_size).unwrap_or_default())
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut file = self.open_file(name, OFlags::RDONLY)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn OpenFile>> {
        let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY;
        Ok(Box::new(RealFile(self.open_file(name, flags)?)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn OpenFile>> {
        Ok(Box::new(RealFile(self.open_file(name, OFlags::WRONLY)?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.root, from, &self.root, to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.root, name, AtFlags::empty()) {
            Err(rustix::io::Errno::NOENT) => Ok(()),
            other => Ok(other?),
        }
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.root.sync_all()
    }

    fn free_bytes(&self) -> Option<u64> {
        let found = rustix::fs::fstatvfs(&self.root).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn mount(&self) -> Option<String> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let wanted = StatxFlags::from_bits_retain(STATX_MNT_ID_UNIQUE);
        let found = rustix::fs::statx(&self.root, "", AtFlags::EMPTY_PATH, wanted).ok()?;
        let known = found.stx_mask & STATX_MNT_ID_UNIQUE != 0;
        known.then(|| format!("{} {:x}", boot.trim(), found.stx_mnt_id))
    }
}
