//! Two small notes: that the engine was closed cleanly, and what the index belongs to.

use std::io;

use super::fields::{Fields, sealed, verified};
use super::files::{Files, read_small, replace};
use crate::engine::Sequence;

const CLEAN_FILE: &str = "clean";
const CLEAN_MAGIC: &[u8; 8] = b"LRDCLEA\0";
const SESSION_FILE: &str = "session";
const SESSION_MAGIC: &[u8; 8] = b"LRDSESS\0";

/// Written last when the engine is closed, on every member, and removed first at the next start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanMark {
    pub epoch: u64,
    /// The last commit: durable, and in the synced index.
    pub sequence: Sequence,
    /// Journal written since the last snapshot.
    pub journal_bytes: u64,
}

impl CleanMark {
    pub fn write(&self, files: &dyn Files) -> io::Result<()> {
        let mut bytes = CLEAN_MAGIC.to_vec();
        for number in [self.epoch, self.sequence, self.journal_bytes] {
            bytes.extend(number.to_le_bytes());
        }
        replace(files, CLEAN_FILE, &sealed(bytes))
    }

    /// `None` if there is no good mark.
    pub fn read(files: &dyn Files) -> Option<Self> {
        let bytes = read_small(files, CLEAN_FILE).ok()??;
        let mut fields = Fields(verified(&bytes)?);
        (fields.bytes(8)? == CLEAN_MAGIC).then_some(())?;
        let (epoch, sequence) = (fields.u64()?, fields.u64()?);
        Some(Self { epoch, sequence, journal_bytes: fields.u64()? })
    }

    pub fn remove(files: &dyn Files) -> io::Result<()> {
        files.remove(CLEAN_FILE)?;
        files.sync_dir()
    }
}

/// Says in which epoch, boot and mount the index was last written to. As long as these are the
/// same, the kernel still has all of it, whatever ended the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session;

impl Session {
    /// Without the note the index is rebuilt at the next unclean start, so a failure costs time.
    pub fn write(files: &dyn Files, epoch: u64) {
        let Some(mount) = files.mount() else { return };
        let mut bytes = SESSION_MAGIC.to_vec();
        bytes.extend(epoch.to_le_bytes());
        bytes.extend(mount.as_bytes());
        if let Err(error) = replace(files, SESSION_FILE, &sealed(bytes)) {
            tracing::warn!(%error, "the index session could not be noted");
        }
    }

    /// The index there is not to be used again.
    pub fn forget(files: &dyn Files) {
        if let Err(error) = files.remove(SESSION_FILE).and_then(|()| files.sync_dir()) {
            tracing::warn!(%error, "the index session could not be removed");
        }
    }

    /// Whether the index was last written to in `epoch`.
    pub fn is_of(files: &dyn Files, epoch: u64) -> bool {
        Self::mount_in(files, epoch).is_some()
    }

    /// Whether the index was last written to in `epoch`, this boot and this mount.
    pub fn matches(files: &dyn Files, epoch: u64) -> bool {
        let noted = Self::mount_in(files, epoch);
        noted.is_some_and(|noted| files.mount().is_some_and(|mount| noted == mount.as_bytes()))
    }

    /// Boot and mount, if the note is of `epoch`.
    fn mount_in(files: &dyn Files, epoch: u64) -> Option<Vec<u8>> {
        let bytes = read_small(files, SESSION_FILE).ok()??;
        let mut fields = Fields(verified(&bytes)?);
        (fields.bytes(8)? == SESSION_MAGIC && fields.u64()? == epoch).then(|| fields.0.to_vec())
    }
}
