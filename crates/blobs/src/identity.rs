//! The identity file of a directory, and the lock that keeps a second process out.
//!
//! The path on the command line is only where to look; what a directory *is* stands here. Metadata
//! lies under `meta/` of directories that hold it, blobs under `blobs/`, `segments/` and `tmp/`.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use bytes::{Buf, BufMut};
use crc_fast::{CrcAlgorithm, checksum};
use rustix::fs::FlockOperation;

use crate::error::{DirectoryError, Result};
use crate::identifiers::{DirectoryId, StoreId};

/// Name of the identity file.
pub const IDENTITY_FILE: &str = "larder.id";
/// Name of the lock file; it holds the process id of the last holder in decimal.
pub const LOCK_FILE: &str = "larder.lock";
/// What the identity file is called in a directory that was removed from its store.
pub const REMOVED_FILE: &str = "larder.id.removed";
/// Below each directory that holds metadata; nothing else is kept there.
pub const METADATA_FOLDER: &str = "meta";
/// Newest format that this program knows.
pub const FORMAT_VERSION: u16 = 1;

const MAGIC: &[u8; 8] = b"LARDERID";
const FLAG_HOLDS_METADATA: u16 = 1;
/// An identity file is far shorter.
const IDENTITY_BYTES_MAX: u64 = 64 * 1024;
const FRESH_IDENTITY_FILE: &str = "larder.id.new";
/// Made by the file system, not by a user, or by [`initialise`] before the identity.
const IGNORED_NAMES: [&str; 3] = ["lost+found", LOCK_FILE, FRESH_IDENTITY_FILE];
/// The same as long as there is no file in them.
const FOLDERS: [&str; 4] = ["blobs", "segments", "tmp", METADATA_FOLDER];

/// Who a directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub store: StoreId,
    pub directory: DirectoryId,
    pub region: String,
    pub zone: String,
    pub holds_metadata: bool,
}

impl Identity {
    /// Magic, version, flags, store, directory, region and zone with their lengths, CRC-32C.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.region.len() + self.zone.len());
        bytes.put_slice(MAGIC);
        bytes.put_u16_le(FORMAT_VERSION);
        bytes.put_u16_le(if self.holds_metadata { FLAG_HOLDS_METADATA } else { 0 });
        bytes.put_slice(&self.store.0);
        bytes.put_slice(&self.directory.0);
        for text in [&self.region, &self.zone] {
            bytes.put_u16_le(text.len() as u16);
            bytes.put_slice(text.as_bytes());
        }
        let seal = checksum(CrcAlgorithm::Crc32Iscsi, &bytes) as u32;
        bytes.put_u32_le(seal);
        bytes
    }

    pub(crate) fn decode(path: &Path, bytes: &[u8]) -> Result<Self, DirectoryError> {
        let damaged = || DirectoryError::DamagedIdentity(path.into());
        let version = bytes.strip_prefix(MAGIC).and_then(|b| b.first_chunk()).copied();
        let version = u16::from_le_bytes(version.ok_or_else(damaged)?);
        let (body, seal) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
        if version > FORMAT_VERSION {
            return Err(DirectoryError::Newer { path: path.into(), version });
        }
        if checksum(CrcAlgorithm::Crc32Iscsi, body) as u32 != u32::from_le_bytes(*seal) {
            return Err(damaged());
        }
        Self::decode_body(body).ok_or_else(damaged)
    }

    fn decode_body(body: &[u8]) -> Option<Self> {
        let mut rest = body.get(MAGIC.len() + 2..)?;
        let flags = rest.try_get_u16_le().ok()?;
        let (store, mut rest) = rest.split_first_chunk()?;
        let (directory, after) = rest.split_first_chunk()?;
        rest = after;
        let mut text = || {
            let length = usize::from(rest.try_get_u16_le().ok()?);
            let (text, after) = rest.split_at_checked(length)?;
            rest = after;
            String::from_utf8(text.into()).ok()
        };
        Some(Self {
            store: StoreId(*store),
            directory: DirectoryId(*directory),
            region: text()?,
            zone: text()?,
            holds_metadata: flags & FLAG_HOLDS_METADATA != 0,
        })
    }
}

/// Reads who a directory is, changing and locking nothing.
///
/// # Errors
/// [`DirectoryError`]: absent, empty, without identity, removed, damaged or of a newer format.
pub fn read(path: &Path) -> Result<Identity, DirectoryError> {
    check_folder(path)?;
    match File::open(path.join(IDENTITY_FILE)) {
        Ok(file) => {
            let mut bytes = Vec::new();
            file.take(IDENTITY_BYTES_MAX).read_to_end(&mut bytes).map_err(wrap(path))?;
            Identity::decode(path, &bytes)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if path.join(REMOVED_FILE).exists() {
                return Err(DirectoryError::Removed(path.into()));
            }
            let empty = is_empty(path).map_err(wrap(path))?;
            let path = path.into();
            Err(if empty { DirectoryError::Empty(path) } else { DirectoryError::NoIdentity(path) })
        }
        Err(error) => Err(wrap(path)(error)),
    }
}

/// Replaces the identity of a directory that the caller has locked, durably and in one step.
pub fn write(path: &Path, identity: &Identity) -> Result<(), DirectoryError> {
    let replace = || {
        let fresh = path.join(FRESH_IDENTITY_FILE);
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(&identity.encode())?;
        file.sync_all()?;
        fs::rename(&fresh, path.join(IDENTITY_FILE))?;
        File::open(path)?.sync_all()
    };
    replace().map_err(wrap(path))
}

/// Notes in a directory that the caller has locked whether it holds metadata.
pub(crate) fn note_metadata(
    path: &Path,
    directory: DirectoryId,
    holds: bool,
) -> Result<(), DirectoryError> {
    let found = read(path)?;
    if found.directory != directory {
        return Err(DirectoryError::Another { path: path.into(), found: found.directory });
    }
    if holds {
        let folder = path.join(METADATA_FOLDER);
        let made = DirBuilder::new().mode(0o700).recursive(true).create(folder);
        made.map_err(wrap(path))?;
    }
    write(path, &Identity { holds_metadata: holds, ..found })
}

/// Marks a directory that the caller has locked as removed from its store.
pub(crate) fn disown(path: &Path) -> Result<(), DirectoryError> {
    let mark = || {
        fs::rename(path.join(IDENTITY_FILE), path.join(REMOVED_FILE))?;
        File::open(path)?.sync_all()
    };
    mark().map_err(wrap(path))
}

/// Identities of all `paths`, each with its own refusal; for a start that must find its members.
pub fn enumerate<'a>(
    paths: impl IntoIterator<Item = &'a Path>,
) -> Vec<(&'a Path, Result<Identity, DirectoryError>)> {
    paths.into_iter().map(|path| (path, read(path))).collect()
}

/// Locks a directory until the returned file is dropped.
///
/// # Errors
/// [`DirectoryError::Locked`] names the process that holds it.
pub fn lock(path: &Path) -> Result<File, DirectoryError> {
    check_folder(path)?;
    // A directory that is not ours must not get a lock file.
    if !path.join(IDENTITY_FILE).exists() {
        read(path)?;
    }
    take_lock(path)
}

/// Makes folders and identity in an empty directory and returns its lock.
///
/// The identity is written last: a directory without it was never finished. What an initialisation
/// that broke off has left is used again.
pub(crate) fn initialise(path: &Path, identity: &Identity) -> Result<File, DirectoryError> {
    let folder = |path: &Path| DirBuilder::new().mode(0o700).recursive(true).create(path);
    if !path.exists() {
        folder(path).map_err(wrap(path))?;
    }
    check_folder(path)?;
    let demand_empty = || match is_empty(path) {
        Ok(true) => Ok(()),
        Ok(false) => Err(DirectoryError::NotEmpty(path.into())),
        Err(error) => Err(wrap(path)(error)),
    };
    demand_empty()?;
    let lock = take_lock(path)?;
    // Somebody else may have finished it before the lock was ours.
    demand_empty()?;
    let make = || {
        for name in ["blobs", "segments", "tmp"] {
            folder(&path.join(name))?;
        }
        if identity.holds_metadata {
            folder(&path.join(METADATA_FOLDER))?;
        }
        for fan_out in 0..=u8::MAX {
            folder(&path.join(format!("blobs/{fan_out:02x}")))?;
        }
        File::open(path.join("blobs"))?.sync_all()?;
        File::open(path)?.sync_all()?;
        match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    };
    make().map_err(wrap(path))?;
    write(path, identity)?;
    Ok(lock)
}

fn take_lock(path: &Path) -> Result<File, DirectoryError> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(path.join(LOCK_FILE)).map_err(wrap(path))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            let note = || {
                file.set_len(0)?;
                file.write_all(std::process::id().to_string().as_bytes())
            };
            // The note only helps people; a full disk must not keep the store from starting.
            let noted: io::Result<()> = { note }();
            noted.unwrap_or_else(|error| tracing::warn!(%error, "process id was not noted"));
            Ok(file)
        }
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            let known = file.take(20).read_to_string(&mut holder).is_ok();
            let pid = holder.trim().parse().ok().filter(|_| known);
            Err(DirectoryError::Locked { path: path.into(), pid })
        }
        Err(error) => Err(wrap(path)(error.into())),
    }
}

fn check_folder(path: &Path) -> Result<(), DirectoryError> {
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(DirectoryError::NotFound(path.into()));
        }
        Err(error) => return Err(wrap(path)(error)),
    };
    if about.is_dir() && about.permissions().mode() & 0o002 != 0 {
        return Err(DirectoryError::WritableByOthers(path.into()));
    }
    Ok(())
}

/// Whether nothing is there but what [`initialise`] makes before the identity.
fn is_empty(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let one_of = |names: &[&str]| names.iter().any(|known| name == *known);
        let unused = one_of(&IGNORED_NAMES) || (one_of(&FOLDERS) && has_no_file(&entry.path())?);
        if !unused {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether `path` is a folder, not a link, with nothing but such folders in it.
fn has_no_file(path: &Path) -> io::Result<bool> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return Ok(false);
    }
    for entry in fs::read_dir(path)? {
        if !has_no_file(&entry?.path())? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn wrap(path: &Path) -> impl Fn(io::Error) -> DirectoryError {
    let path = path.to_owned();
    move |source| DirectoryError::Io { path: path.clone(), source }
}
