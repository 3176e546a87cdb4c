//! Bytes: immutable blobs, copied to several directories, checksummed, verified on read.
//!
//! [`Blobs`] is the door; the layouts on disk are in `format.rs` and `docs/on-disk-format.md`.
//! This crate knows nothing of objects: what a blob belongs to is an opaque description that the
//! caller supplies, and where its copies lie is a [`Location`] that the caller keeps.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod buffers;
mod copying;
mod damage;
mod direct;
mod directory;
mod disk;
mod error;
#[cfg(any(test, feature = "simulation"))]
pub mod faulty;
mod files;
mod format;
mod found;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod identifiers;
pub mod identity;
mod lane;
mod location;
mod orphans;
mod piece;
pub mod placement;
mod reader;
mod repair;
mod room;
mod scrub;
mod segments;
mod settings;
mod store;
mod tend;
mod verdicts;
mod volume;
mod writer;

pub use damage::{Damage, Finding};
pub use directory::{Directory, DirectorySpec};
pub use disk::{Disk, DiskFuture, Entry, Progress, Space, Step};
pub use error::{DirectoryError, Error, Result};
pub use format::{CHUNK_BYTES, DESCRIPTION_BYTES_MAX, FileLayout};
pub use found::{Finder, FoundCopy, FoundPage};
pub use identifiers::{BlobId, DirectoryId, IncarnationId, SegmentId, SegmentKey, StoreId};
pub use location::{CopyAt, Location, Place, Wanted, Wish};
pub use orphans::{FileCursor, FilePage, StrayFile};
pub use piece::{Piece, Unchanged};
pub use reader::BlobReader;
pub use room::{Held, Room};
pub use scrub::{CopyReport, RecordPage, SegmentInfo, SegmentRecord};
pub use settings::Settings;
pub use store::Blobs;
pub use volume::{DirectoryState, DirectoryStatus};
pub use writer::BlobWriter;

#[cfg(test)]
mod tests;
