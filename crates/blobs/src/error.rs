//! What can go wrong with blobs and with the directories that hold them.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::identifiers::{BlobId, DirectoryId, StoreId};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, Error)]
pub enum Error {
    /// Too few directories have room. Comes back by itself when space does.
    #[error("no space left in enough directories")]
    NoSpace,
    #[error("only {possible} of {needed} copies could be stored")]
    TooFewCopies { possible: usize, needed: usize },
    /// Too much waits to be written already.
    #[error("too much waits to be written")]
    Overloaded,
    /// No copy of some chunk is intact.
    #[error("blob {0} is damaged in every copy")]
    Damaged(BlobId),
    /// Nowhere where the location says; a newer location may exist.
    #[error("blob {0} is not where its location says")]
    Missing(BlobId),
    /// Directories that hold a copy do not answer or are absent; the bytes may still be there.
    #[error("no directory that holds blob {0} can be read now")]
    Unavailable(BlobId),
    #[error("input or output failed")]
    Io(#[from] io::Error),
    #[error("invalid format: {0}")]
    InvalidFormat(&'static str),
    #[error("range is not inside the blob")]
    InvalidRange,
    #[error("description is longer than 16 KiB")]
    DescriptionTooLong,
    #[error("segment is still being written")]
    SegmentInUse,
    #[error("the blob store is closed")]
    Closed,
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// Why a directory is refused. None of these is ever repaired silently.
#[derive(Debug, Error)]
pub enum DirectoryError {
    #[error("{0} does not exist")]
    NotFound(PathBuf),
    /// A known directory that is empty is a lost or unmounted one, not a new one.
    #[error("{0} is empty: a disk may not be mounted there")]
    Empty(PathBuf),
    #[error("{0} holds files but no identity")]
    NoIdentity(PathBuf),
    #[error("{0} is not empty, so it is not initialised")]
    NotEmpty(PathBuf),
    #[error("{path} belongs to the store {found}")]
    Foreign { path: PathBuf, found: StoreId },
    #[error("{path} is another directory, {found}")]
    Another { path: PathBuf, found: DirectoryId },
    #[error("{0} was removed from its store")]
    Removed(PathBuf),
    #[error("{path} has format version {version}, which is newer than this program")]
    Newer { path: PathBuf, version: u16 },
    #[error("the identity file of {0} is damaged")]
    DamagedIdentity(PathBuf),
    #[error("{path} is in use by process {}", pid.map_or("unknown".into(), |p| p.to_string()))]
    Locked { path: PathBuf, pid: Option<u32> },
    #[error("{0} can be written by every user of this machine")]
    WritableByOthers(PathBuf),
    #[error("{0} was given twice")]
    Duplicate(PathBuf),
    #[error("{path} cannot be used")]
    Io { path: PathBuf, source: io::Error },
}
