//! A directory of a real file system: opened, locked, and served by threads of its own.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::fs::FallocateFlags;

use crate::disk::{Disk, DiskFuture, Entry, Space};
use crate::error::{DirectoryError, Result};
use crate::identifiers::{DirectoryId, StoreId};
use crate::identity::{self, Identity};
use crate::lane::Lane;

const READ_THREADS: usize = 4;
const WRITE_THREADS: usize = 4;
/// Files kept open for reading.
const OPEN_FILES_MAX: usize = 64;
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
    root: PathBuf,
    writing: Mutex<HashMap<String, Arc<Writing>>>,
    reading: Mutex<ReadFiles>,
    /// Held for as long as the disk is in use.
    _lock: File,
}

struct Writing {
    file: File,
    /// The folder has been synced since the file got its name.
    name_synced: Mutex<bool>,
}

#[derive(Default)]
struct ReadFiles {
    files: HashMap<String, (Arc<File>, u64)>,
    uses: u64,
}

impl DirectoryDisk {
    fn new(root: &Path, lock: File) -> io::Result<Self> {
        let shared = Shared {
            root: root.into(),
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
        self.writes.run(move || job(&shared, &file))
    }

    fn read<T: Send + 'static>(
        &self,
        file: &str,
        job: impl FnOnce(&Shared, &str) -> io::Result<T> + Send + 'static,
    ) -> DiskFuture<T> {
        let (shared, file) = (Arc::clone(&self.shared), file.to_owned());
        self.reads.run(move || job(&shared, &file))
    }
}

impl Disk for DirectoryDisk {
    fn create(&self, file: &str) -> DiskFuture<()> {
        self.write(file, |shared, name| {
            let path = shared.root.join(name);
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            let writing = Writing { file, name_synced: Mutex::new(false) };
            held(&shared.writing).insert(name.to_owned(), Arc::new(writing));
            Ok(())
        })
    }

    fn resize(&self, file: &str, size_bytes: u64) -> DiskFuture<()> {
        self.write(file, move |shared, name| {
            let writing = shared.writing(name)?;
            let length = writing.file.metadata()?.len();
            if size_bytes <= length {
                return writing.file.set_len(size_bytes);
            }
            let flags = FallocateFlags::empty();
            match rustix::fs::fallocate(&writing.file, flags, length, size_bytes - length) {
                // Some file systems cannot allocate ahead; then the file grows as it is written.
                Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
                result => Ok(result?),
            }
        })
    }

    fn write_at(&self, file: &str, offset: u64, parts: Vec<Bytes>) -> DiskFuture<()> {
        self.write(file, move |shared, name| write_all(&shared.writing(name)?.file, offset, &parts))
    }

    fn sync(&self, file: &str) -> DiskFuture<()> {
        self.write(file, |shared, name| {
            let writing = shared.writing(name)?;
            writing.file.sync_data()?;
            let mut name_synced = held(&writing.name_synced);
            if !*name_synced {
                shared.sync_folder(name)?;
                *name_synced = true;
            }
            Ok(())
        })
    }

    fn close(&self, file: &str) {
        held(&self.shared.writing).remove(file);
    }

    fn read_at(&self, file: &str, offset: u64, length: usize) -> DiskFuture<Bytes> {
        self.read(file, move |shared, name| read_up_to(&*shared.reading(name)?, offset, length))
    }

    fn rename(&self, from: &str, to: &str) -> DiskFuture<()> {
        let to = to.to_owned();
        self.write(from, move |shared, from| {
            fs::rename(shared.root.join(from), shared.root.join(&to))?;
            held(&shared.reading).files.remove(&to);
            let mut writing = held(&shared.writing);
            if let Some(file) = writing.remove(from) {
                *held(&file.name_synced) = false;
                writing.insert(to, file);
            }
            Ok(())
        })
    }

    fn remove(&self, file: &str) -> DiskFuture<()> {
        self.write(file, |shared, name| {
            held(&shared.writing).remove(name);
            held(&shared.reading).files.remove(name);
            fs::remove_file(shared.root.join(name))
        })
    }

    fn list(&self, folder: &str) -> DiskFuture<Vec<Entry>> {
        self.read(folder, |shared, name| {
            let mut entries = Vec::new();
            for entry in fs::read_dir(shared.root.join(name))? {
                let entry = entry?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                match entry.metadata() {
                    Ok(about) if about.is_file() => {
                        entries.push(Entry { name, size_bytes: about.len() });
                    }
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(entries)
        })
    }

    fn space(&self) -> DiskFuture<Space> {
        self.read("", |shared, _| {
            let about = rustix::fs::statvfs(&shared.root)?;
            Ok(Space {
                free_bytes: about.f_bavail.saturating_mul(about.f_frsize),
                total_bytes: about.f_blocks.saturating_mul(about.f_frsize),
            })
        })
    }
}

impl Shared {
    fn writing(&self, name: &str) -> io::Result<Arc<Writing>> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "file is not open for writing");
        held(&self.writing).get(name).cloned().ok_or_else(missing)
    }

    fn reading(&self, name: &str) -> io::Result<Arc<File>> {
        let mut reading = held(&self.reading);
        reading.uses += 1;
        let now = reading.uses;
        if let Some((file, used)) = reading.files.get_mut(name) {
            *used = now;
            return Ok(Arc::clone(file));
        }
        drop(reading);
        let file = Arc::new(File::open(self.root.join(name))?);
        let mut reading = held(&self.reading);
        if reading.files.len() >= OPEN_FILES_MAX {
            let oldest = reading.files.iter().min_by_key(|(_, (_, used))| *used);
            let oldest = oldest.map(|(name, _)| name.clone()).unwrap_or_default();
            reading.files.remove(&oldest);
        }
        reading.files.insert(name.to_owned(), (Arc::clone(&file), now));
        Ok(file)
    }

    fn sync_folder(&self, name: &str) -> io::Result<()> {
        let path = self.root.join(name);
        File::open(path.parent().unwrap_or(&self.root))?.sync_all()
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

fn read_up_to(file: &File, offset: u64, length: usize) -> io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let here = offset + bytes.len() as u64;
        match rustix::io::pread(file, spare_capacity(&mut bytes), here) {
            Ok(0) => break,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(length);
    Ok(bytes.into())
}
