//! A directory of a real file system: opened, locked, and served by threads of its own.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustix::fs::{AtFlags, Dir, FallocateFlags, FileType, Mode, OFlags};

use crate::buffers::Buffer;
use crate::direct;
use crate::disk::{Disk, DiskFuture, Entry, Progress, Space, Step};
use crate::error::{DirectoryError, Result};
use crate::identifiers::{DirectoryId, StoreId};
use crate::identity::{self, Identity};
use crate::lane::{Asker, Lane};
use crate::piece::Unchanged;

const READ_THREADS: usize = 4;
const WRITE_THREADS: usize = 4;
/// Files kept open for reading.
const OPEN_FILES_MAX: usize = 128;
/// Slices given to the kernel in one call; Linux takes 1 024.
const SLICES_MAX: usize = 512;

/// Where a directory is and what it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectorySpec {
    pub path: PathBuf,
    pub zone: String,
    pub region: String,
}

/// A directory that is ours: identity checked, locked, ready for `Blobs::open`.
pub struct Directory {
    pub(crate) identity: Identity,
    pub(crate) path: PathBuf,
    /// `None` for a known directory that is absent.
    pub(crate) disk: Option<Arc<dyn Disk>>,
}

impl Directory {
    /// Opens a directory that belongs to `store`.
    ///
    /// # Errors
    /// [`DirectoryError`] says which of the many ways it is not ours; nothing is changed then.
    pub fn open(path: &Path, store: StoreId) -> Result<Self, DirectoryError> {
        let lock = identity::lock(path)?;
        let identity = identity::read(path)?;
        if identity.store != store {
            return Err(DirectoryError::Foreign { path: path.into(), found: identity.store });
        }
        Self::with_lock(path, identity, lock)
    }

    /// Opens a known directory again, if what stands at its path is that one.
    pub(crate) fn reopen(path: &Path, known: &Identity) -> Result<Self, DirectoryError> {
        let found = identity::read(path)?;
        if found.directory != known.directory {
            return Err(DirectoryError::Another { path: path.into(), found: found.directory });
        }
        Self::open(path, known.store)
    }

    /// Makes an empty (or not yet existing) directory ours, with all folders and the identity.
    ///
    /// # Errors
    /// [`DirectoryError::NotEmpty`] if there is anything in it.
    pub fn initialise(
        spec: &DirectorySpec,
        store: StoreId,
        directory: DirectoryId,
        holds_metadata: bool,
    ) -> Result<Self, DirectoryError> {
        let identity = Identity {
            store,
            directory,
            region: spec.region.clone(),
            zone: spec.zone.clone(),
            holds_metadata,
        };
        let lock = identity::initialise(&spec.path, &identity)?;
        Self::with_lock(&spec.path, identity, lock)
    }

    /// A known directory that was not found: it counts, but holds nothing that can be reached.
    pub fn absent(identity: Identity, path: &Path) -> Self {
        Self { identity, path: path.into(), disk: None }
    }

    /// Any other [`Disk`] in the place of a directory.
    pub fn with_disk(identity: Identity, disk: Arc<dyn Disk>) -> Self {
        Self { identity, path: PathBuf::new(), disk: Some(disk) }
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn with_lock(path: &Path, identity: Identity, lock: File) -> Result<Self, DirectoryError> {
        let disk = DirectoryDisk::new(path, lock)
            .map_err(|source| DirectoryError::Io { path: path.into(), source })?;
        Ok(Self { identity, path: path.into(), disk: Some(Arc::new(disk)) })
    }
}

/// [`Disk`] over a folder of a file system.
struct DirectoryDisk {
    shared: Arc<Shared>,
    reads: Lane,
    writes: Lane,
}

struct Shared {
    /// Where it was found. Only what was opened there is used: should another file system be
    /// mounted over the path, or this one be taken away, nothing is written to the wrong one.
    path: PathBuf,
    root: File,
    writing: Mutex<HashMap<String, Arc<Writing>>>,
    reading: Mutex<ReadFiles>,
    /// Held for as long as the disk is in use.
    _lock: File,
}

struct Writing {
    file: File,
    /// The same file past the page cache, once that was worth it; `None` inside if it cannot be.
    direct: Mutex<Option<Option<Arc<File>>>>,
    /// The folder has been synced since the file got its name.
    name_synced: Mutex<bool>,
}

#[derive(Default)]
struct ReadFiles {
    files: HashMap<String, (Arc<ReadFile>, u64)>,
    uses: u64,
}

struct ReadFile {
    file: Arc<File>,
    /// Reading notes no time of access, for which the disk might have to be waited for.
    leaves_no_trace: bool,
}

impl DirectoryDisk {
    fn new(path: &Path, lock: File) -> io::Result<Self> {
        let shared = Shared {
            path: path.into(),
            root: File::open(path)?,
            writing: Mutex::default(),
            reading: Mutex::default(),
            _lock: lock,
        };
        Ok(Self {
            shared: Arc::new(shared),
            reads: Lane::new("blob-read", READ_THREADS)?,
            writes: Lane::new("blob-write", WRITE_THREADS)?,
        })
    }

    fn write<T: Send + 'static>(
        &self,
        file: &str,
        job: impl FnOnce(&Shared, &str) -> io::Result<T> + Send + 'static,
    ) -> DiskFuture<T> {
        let (shared, file) = (Arc::clone(&self.shared), file.to_owned());
        self.writes.run(move |_| job(&shared, &file))
    }

    fn read<T: Send + 'static>(
        &self,
        file: &str,
        job: impl FnOnce(&Shared, &str) -> io::Result<T> + Send + 'static,
    ) -> DiskFuture<T> {
        let (shared, file) = (Arc::clone(&self.shared), file.to_owned());
        self.reads.run(move |_| job(&shared, &file))
    }
}

impl Disk for DirectoryDisk {
    fn change(&self, file: &str, steps: Vec<Step>, progress: &Arc<Progress>) -> DiskFuture<()> {
        let (shared, mut name) = (Arc::clone(&self.shared), file.to_owned());
        let progress = Arc::clone(progress);
        self.writes.run(move |asker| {
            for step in steps {
                // Who gave this up counts on it that nothing more happens to the file.
                if asker.is_closed() {
                    held(&shared.writing).remove(&name);
                    return Err(io::ErrorKind::TimedOut.into());
                }
                match step {
                    Step::Create => shared.create(&name)?,
                    Step::Resize { size_bytes } => {
                        resize(&shared.writing(&name)?.file, size_bytes)?
                    }
                    Step::Write { offset, parts } => shared.write(&name, offset, &parts)?,
                    Step::Rename { to } => {
                        shared.rename(&name, &to)?;
                        name = to;
                    }
                    Step::Sync => shared.sync(&name)?,
                }
                progress.note();
            }
            Ok(())
        })
    }

    fn close(&self, file: &str) {
        held(&self.shared.writing).remove(file);
    }

    fn read_at(&self, file: &str, offset: u64, length: usize) -> DiskFuture<Bytes> {
        let (shared, reads) = (Arc::clone(&self.shared), self.reads.clone());
        let name = file.to_owned();
        Box::pin(async move {
            let mut buffer = Buffer::new(length);
            // What is in memory is handed out by this thread; only a disk is waited for elsewhere.
            if let Some(file) = shared.opened(&name).filter(|file| file.leaves_no_trace)
                && buffer.read_cached(&file.file, offset)
            {
                return Ok(buffer.freeze());
            }
            let rest = move |_: &Asker<Bytes>| {
                buffer.read(&shared.reading(&name)?.file, offset)?;
                Ok(buffer.freeze())
            };
            reads.run(rest).await
        })
    }

    fn sendable(&self, file: &str) -> Option<Unchanged> {
        let found = self.shared.opened(file).filter(|found| found.leaves_no_trace)?;
        Unchanged::new(Arc::clone(&found.file))
    }

    fn remove(&self, file: &str) -> DiskFuture<()> {
        self.write(file, |shared, name| {
            held(&shared.writing).remove(name);
            held(&shared.reading).files.remove(name);
            Ok(rustix::fs::unlinkat(&shared.root, name, AtFlags::empty())?)
        })
    }

    fn list(&self, folder: &str) -> DiskFuture<Vec<Entry>> {
        self.read(folder, |shared, name| {
            let folder = shared.open(name, OFlags::DIRECTORY)?;
            let mut entries = Vec::new();
            for entry in Dir::read_from(&folder)? {
                let entry = entry?;
                let Ok(name) = entry.file_name().to_str() else { continue };
                match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(about) if FileType::from_raw_mode(about.st_mode).is_file() => {
                        let size_bytes = u64::try_from(about.st_size).unwrap_or_default();
                        entries.push(Entry { name: name.to_owned(), size_bytes });
                    }
                    Ok(_) | Err(rustix::io::Errno::NOENT) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(entries)
        })
    }

    fn space(&self) -> DiskFuture<Space> {
        self.read("", |shared, _| {
            let about = rustix::fs::fstatvfs(&shared.root)?;
            Ok(Space {
                free_bytes: about.f_bavail.saturating_mul(about.f_frsize),
                total_bytes: about.f_blocks.saturating_mul(about.f_frsize),
            })
        })
    }

    fn is_in_place(&self) -> DiskFuture<bool> {
        self.read("", |shared, _| {
            let ours = shared.root.metadata()?;
            match fs::metadata(&shared.path) {
                Ok(found) => Ok((found.dev(), found.ino()) == (ours.dev(), ours.ino())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(error),
            }
        })
    }
}

impl Shared {
    fn open(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(rustix::fs::openat(&self.root, name, flags | OFlags::CLOEXEC, mode)?.into())
    }

    fn create(&self, name: &str) -> io::Result<()> {
        let file = self.open(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?;
        let (direct, name_synced) = (Mutex::default(), Mutex::new(false));
        let writing = Writing { file, direct, name_synced };
        held(&self.writing).insert(name.to_owned(), Arc::new(writing));
        Ok(())
    }

    fn write(&self, name: &str, offset: u64, parts: &[Bytes]) -> io::Result<()> {
        let writing = self.writing(name)?;
        if direct::is_worth_it(parts.iter().map(Bytes::len).sum())
            && let Some(direct) = self.direct(name, &writing)
        {
            if !direct::write_all(&writing.file, &direct, offset, parts)? {
                *held(&writing.direct) = Some(None);
            }
            return Ok(());
        }
        write_all(&writing.file, offset, parts)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        rustix::fs::renameat(&self.root, from, &self.root, to)?;
        held(&self.reading).files.remove(to);
        let mut writing = held(&self.writing);
        if let Some(file) = writing.remove(from) {
            *held(&file.name_synced) = false;
            writing.insert(to.to_owned(), file);
        }
        Ok(())
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        let writing = self.writing(name)?;
        writing.file.sync_data()?;
        let mut name_synced = held(&writing.name_synced);
        if !*name_synced {
            self.sync_folder(name)?;
            *name_synced = true;
        }
        Ok(())
    }

    fn writing(&self, name: &str) -> io::Result<Arc<Writing>> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "file is not open for writing");
        held(&self.writing).get(name).cloned().ok_or_else(missing)
    }

    /// A file that is being written, past the page cache; `None` if the file system cannot do that.
    fn direct(&self, name: &str, writing: &Writing) -> Option<Arc<File>> {
        let open = || Some(Arc::new(self.open(name, OFlags::WRONLY | OFlags::DIRECT).ok()?));
        held(&writing.direct).get_or_insert_with(open).clone()
    }

    /// A file that is open for reading already.
    fn opened(&self, name: &str) -> Option<Arc<ReadFile>> {
        let mut reading = held(&self.reading);
        reading.uses += 1;
        let now = reading.uses;
        let (file, used) = reading.files.get_mut(name)?;
        *used = now;
        Some(Arc::clone(file))
    }

    fn reading(&self, name: &str) -> io::Result<Arc<ReadFile>> {
        if let Some(file) = self.opened(name) {
            return Ok(file);
        }
        let file = Arc::new(self.open_to_read(name)?);
        let mut reading = held(&self.reading);
        let now = reading.uses;
        if reading.files.len() >= OPEN_FILES_MAX {
            let oldest = reading.files.iter().min_by_key(|(_, (_, used))| *used);
            let oldest = oldest.map(|(name, _)| name.clone()).unwrap_or_default();
            reading.files.remove(&oldest);
        }
        reading.files.insert(name.to_owned(), (Arc::clone(&file), now));
        Ok(file)
    }

    fn open_to_read(&self, name: &str) -> io::Result<ReadFile> {
        match self.open(name, OFlags::RDONLY | OFlags::NOATIME) {
            Ok(file) => Ok(ReadFile { file: Arc::new(file), leaves_no_trace: true }),
            // Only the owner of a file may ask for that.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let file = Arc::new(self.open(name, OFlags::RDONLY)?);
                Ok(ReadFile { file, leaves_no_trace: false })
            }
            Err(error) => Err(error),
        }
    }

    fn sync_folder(&self, name: &str) -> io::Result<()> {
        let folder = name.rsplit_once('/').map_or(".", |(folder, _)| folder);
        self.open(folder, OFlags::DIRECTORY)?.sync_all()
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn resize(file: &File, size_bytes: u64) -> io::Result<()> {
    let length = file.metadata()?.len();
    if size_bytes <= length {
        return file.set_len(size_bytes);
    }
    let flags = FallocateFlags::empty();
    match rustix::fs::fallocate(file, flags, length, size_bytes - length) {
        // Some file systems cannot allocate ahead; then the file grows as it is written.
        Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
        result => Ok(result?),
    }
}

fn write_all(file: &File, mut offset: u64, parts: &[Bytes]) -> io::Result<()> {
    for group in parts.chunks(SLICES_MAX) {
        let mut slices: Vec<IoSlice<'_>> = group.iter().map(|part| IoSlice::new(part)).collect();
        let mut left = slices.as_mut_slice();
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            let written = match rustix::io::pwritev(file, left, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Err(rustix::io::Errno::INTR) => 0,
                result => result?,
            };
            offset += written as u64;
            IoSlice::advance_slices(&mut left, written);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use futures_util::FutureExt as _;
    use futures_util::future::join_all;

    use super::*;

    /// Makes all threads that write meet, so that all jobs before have ended; what they wait for
    /// is the last to come.
    fn occupy(disk: &DirectoryDisk, barrier: &Arc<Barrier>) -> Vec<DiskFuture<()>> {
        let job = || {
            let barrier = Arc::clone(barrier);
            let mut job = disk.writes.run(move |_| {
                barrier.wait();
                Ok(())
            });
            assert!((&mut job).now_or_never().is_none());
            job
        };
        (0..WRITE_THREADS).map(|_| job()).collect()
    }

    /// A disk that hung must not, when it goes on, rename what was given up over another copy.
    #[tokio::test]
    async fn a_change_that_was_given_up_does_nothing_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = File::create_new(folder.path().join("lock")).expect("a file");
        let disk = DirectoryDisk::new(folder.path(), lock).expect("a disk");
        let gate = Arc::new(Barrier::new(WRITE_THREADS + 1));
        let hanging = occupy(&disk, &gate);
        let write = Step::Write { offset: 0, parts: vec![Bytes::from_static(b"late")] };
        let steps = vec![Step::Create, write, Step::Rename { to: "final".into() }, Step::Sync];
        let given_up = disk.change("one", steps.clone(), &Arc::default());
        assert!(given_up.now_or_never().is_none());
        let mut waited_for = disk.change("two", vec![Step::Create], &Arc::default());
        assert!((&mut waited_for).now_or_never().is_none());
        let last = occupy(&disk, &Arc::new(Barrier::new(WRITE_THREADS)));
        gate.wait();
        join_all(hanging.into_iter().chain(last)).await;
        waited_for.await.expect("made");
        let names = disk.list(".").await.expect("listed").into_iter().map(|entry| entry.name);
        let mut names: Vec<_> = names.collect();
        names.sort();
        assert_eq!(names, ["lock", "two"]);
        assert_eq!(held(&disk.shared.writing).keys().collect::<Vec<_>>(), ["two"]);
        disk.change("one", steps, &Arc::default()).await.expect("made");
        assert_eq!(fs::read(folder.path().join("final")).expect("read"), b"late");
    }
}
