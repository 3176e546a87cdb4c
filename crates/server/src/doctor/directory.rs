//! What is looked at in each data directory: identity, lock, owner, space, clock, how it syncs.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use blobs::DirectoryError;
use blobs::identity::{self, FORMAT_VERSION, Identity, LOCK_FILE};
use model::environment::Clock;
use rustix::fs::{FallocateFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::{Finding, Look, finding, fine, mounts, problem, warning};
use crate::config::Config;
use crate::environment::SystemClock;
use crate::sealed::MasterKey;

const MIB: u64 = 1024 * 1024;
/// A directory with less takes no new objects.
const RESERVE_BYTES: u64 = 256 * MIB;
/// Below this share of space or inodes a directory will soon be full.
const FREE_PERCENT_LOW: u64 = 10;
const INODES_MIN: u64 = 1000;
const CLOCK_SKEW: Duration = Duration::from_secs(60);
/// What is written before each measured sync.
const PROBE_BYTES: usize = 4096;
const PROBES_MAX: usize = 32;
const PROBE_TIME: Duration = Duration::from_secs(2);
const SYNC_SLOW: Duration = Duration::from_millis(50);

/// A look at one directory that exists.
type Check = (&'static str, fn(&Path) -> Look);

const CHECKS: &[Check] = &[
    ("lock", lock),
    ("permissions", permissions),
    ("space", space),
    ("inodes", inodes),
    ("file system", mounts::file_system),
    ("clock", clock),
    ("sync", sync),
];

pub fn examine(path: &Path) -> Vec<Finding> {
    let about = |check, look| finding(check, path.display(), look);
    let mut findings = vec![about("identity", identity(path))];
    if path.is_dir() {
        findings.extend(CHECKS.iter().map(|(check, look)| about(check, look(path))));
    }
    findings
}

fn identity(path: &Path) -> Look {
    match identity::read(path) {
        Ok(Identity { directory, region, zone, holds_metadata, .. }) => {
            let role = if holds_metadata { "metadata and objects" } else { "objects" };
            fine(format!(
                "directory {directory} with {role}, region {region}, zone {zone}, \
                 format {FORMAT_VERSION}"
            ))
        }
        Err(error @ (DirectoryError::NotFound(_) | DirectoryError::Empty(_))) => {
            warning(error.to_string(), "right before the first start only; else mount the disk")
        }
        Err(error) => problem(error.to_string(), "no server starts with this directory"),
    }
}

/// The process that holds a directory, as far as it is known.
pub fn holder(path: &Path) -> Option<Option<u32>> {
    let file = File::open(path.join(LOCK_FILE)).ok()?;
    // Shared and at once given back: a server that starts in this very moment would be refused.
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => {
            let note = fs::read_to_string(path.join(LOCK_FILE)).unwrap_or_default();
            Some(note.trim().parse().ok())
        }
        _ => None,
    }
}

fn lock(path: &Path) -> Look {
    match holder(path) {
        Some(Some(process)) => fine(format!("held by process {process}")),
        Some(None) => fine("held by a process"),
        None => fine("held by no process"),
    }
}

fn permissions(path: &Path) -> Look {
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) => return unreadable(&error),
    };
    let (mode, user) = (about.permissions().mode() & 0o7777, about.uid());
    let finding = format!("mode {mode:o}, owner {user}");
    let me = rustix::process::geteuid().as_raw();
    match mode {
        mode if mode & 0o002 != 0 => problem(finding, "everybody may write here: chmod 700"),
        _ if user != me => warning(finding, "run as the user that the server runs as, or chown"),
        mode if mode & 0o077 != 0 => warning(finding, "others may look in: chmod 700"),
        mode if mode & 0o700 != 0o700 => problem(finding, "the owner may not write: chmod 700"),
        _ => fine(finding),
    }
}

fn unreadable(error: &io::Error) -> Look {
    problem(format!("it cannot be read: {error}"), "look at the disk and its permissions")
}

fn space(path: &Path) -> Look {
    let about = match rustix::fs::statvfs(path) {
        Ok(about) => about,
        Err(error) => return unreadable(&error.into()),
    };
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    let total = about.f_blocks.saturating_mul(about.f_frsize);
    let text = format!("{} MiB of {} MiB are free", free / MIB, total / MIB);
    match free {
        free if free < RESERVE_BYTES => problem(text, "no new objects fit: delete or add a disk"),
        free if free < total / 100 * FREE_PERCENT_LOW => warning(text, "plan for more space"),
        _ => fine(text),
    }
}

fn inodes(path: &Path) -> Look {
    let about = match rustix::fs::statvfs(path) {
        Ok(about) => about,
        Err(error) => return unreadable(&error.into()),
    };
    let (free, total) = (about.f_favail, about.f_files);
    let text = format!("{free} of {total} inodes are free");
    match free {
        // Such as btrfs: it makes them as they are needed.
        _ if total == 0 => fine("inodes are not limited"),
        free if free < INODES_MIN => problem(text, "no new files can be made: delete or reformat"),
        free if free < total / 100 * FREE_PERCENT_LOW => warning(text, "inodes run out soon"),
        _ => fine(text),
    }
}

/// The newest of the files that a running store touches must not be from the future.
fn clock(path: &Path) -> Look {
    let folders = [path.to_owned(), path.join("meta"), path.join("segments")];
    let files = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let times = files.filter_map(|file| file.metadata().ok()?.modified().ok());
    let now = SystemTime::from(SystemClock.now());
    match times.max().and_then(|newest| newest.duration_since(now).ok()) {
        Some(ahead) if ahead > CLOCK_SKEW => problem(
            format!("the newest file is {} s ahead of the clock", ahead.as_secs()),
            "set the clock, and keep it with NTP",
        ),
        _ => fine("no file is ahead of the clock"),
    }
}

/// Allocates, writes and syncs in a file without a name, which leaves nothing behind.
fn sync(path: &Path) -> Look {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => File::from(file),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
            return warning("not measured: no file without a name here", "use ext4 or xfs");
        }
        Err(error) => {
            let error = io::Error::from(error);
            return problem(format!("nothing can be written: {error}"), "no object can be stored");
        }
    };
    let allocated = rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, MIB);
    match measure(&file) {
        Err(error) => problem(format!("writing and syncing fails: {error}"), "replace the disk"),
        Ok(_) if allocated.is_err() => {
            warning("space cannot be allocated ahead", "use ext4 or xfs: a full disk shows late")
        }
        Ok(median) => {
            let text = format!("a synced write of 4 KiB takes {} µs", median.as_micros());
            match median > SYNC_SLOW {
                true => warning(text, "each write waits so long: use a faster disk"),
                false => fine(text),
            }
        }
    }
}

/// The median time of a write with its sync.
fn measure(mut file: &File) -> io::Result<Duration> {
    let began = Instant::now();
    let mut times = Vec::new();
    file.write_all(&[0; PROBE_BYTES])?;
    file.sync_all()?;
    while times.len() < PROBES_MAX && began.elapsed() < PROBE_TIME {
        let before = Instant::now();
        file.write_all_at(&[times.len() as u8; PROBE_BYTES], 0)?;
        file.sync_data()?;
        times.push(before.elapsed());
    }
    times.sort();
    Ok(times.get(times.len() / 2).copied().unwrap_or_else(|| began.elapsed()))
}

/// What only shows when the directories are looked at together.
pub fn together(paths: &[PathBuf], config: &Config) -> Vec<Finding> {
    let read = |path: &PathBuf| identity::read(path).ok().map(|it| (path.clone(), it));
    let found: Vec<_> = paths.iter().filter_map(read).collect();
    if found.is_empty() {
        return Vec::new();
    }
    let stores: BTreeSet<_> = found.iter().map(|(_, it)| it.store.to_string()).collect();
    let distinct: BTreeSet<_> = found.iter().map(|(_, it)| it.directory.to_string()).collect();
    let store = match (stores.len(), distinct.len() == found.len()) {
        (1, true) => fine(format!("{} directories of one store", found.len())),
        (1, false) => problem("two of them are the same directory", "name each one once"),
        _ => problem("they belong to different stores", "name the directories of one store only"),
    };
    vec![finding("one store", "", store), finding("master key", "", master_key(&found, config))]
}

fn master_key(found: &[(PathBuf, Identity)], config: &Config) -> Look {
    let holding = found.iter().filter(|(_, it)| it.holds_metadata);
    let paths: Vec<PathBuf> = holding.map(|(path, _)| path.clone()).collect();
    if paths.is_empty() {
        return problem("none of the directories holds metadata", "name one that does");
    }
    match MasterKey::find(&paths, config.storage.master_key.as_ref()) {
        Ok(Some(_)) => fine(format!("metadata in {} directories, master key known", paths.len())),
        Ok(None) => problem(
            "no metadata directory has a master.key",
            "bring it back from a backup or set LARDER_MASTER_KEY: secrets are sealed with it",
        ),
        Err(error) => problem(format!("{error:#}"), "a server does not start with it"),
    }
}
