//! The seam to storage: [`Disk`], with a directory and a simulation behind it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::piece::Unchanged;

/// What a [`Disk`] answers with. Dropping it does not stop the operation; a change ends with the
/// step that runs.
pub type DiskFuture<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// A place that keeps files through a power loss once they are synced.
///
/// File names are relative, with `/` between folders; the folders exist already. Operations on
/// one file are sent one after another by the caller, except reads.
pub trait Disk: Send + Sync + 'static {
    /// Does `steps` one after another, as one job: each way to the disk's threads and back costs
    /// as much as a small write. The first that fails ends it. `progress` is told of each that is
    /// done.
    fn change(&self, file: &str, steps: Vec<Step>, progress: &Arc<Progress>) -> DiskFuture<()>;

    /// Ends writing to a created file and frees what that held.
    fn close(&self, file: &str);

    /// Up to `length` bytes from `offset` on; fewer only at the end of the file.
    fn read_at(&self, file: &str, offset: u64, length: usize) -> DiskFuture<Bytes>;

    /// A file that is open for reading, for the kernel to send from; `None` where it cannot, and of
    /// a file that was changed a moment ago.
    fn sendable(&self, _file: &str) -> Option<Unchanged> {
        None
    }

    /// Removes a name. May come back after a power loss.
    fn remove(&self, file: &str) -> DiskFuture<()>;

    /// The files in a folder, in no order.
    fn list(&self, folder: &str) -> DiskFuture<Vec<Entry>>;

    fn space(&self) -> DiskFuture<Space>;

    /// Whether this disk still stands where it was found: another may have been mounted over it.
    fn is_in_place(&self) -> DiskFuture<bool>;
}

/// One step of a change to a file that is being written.
#[derive(Clone, Debug)]
pub enum Step {
    /// Makes an empty file for writing. Fails if the name is taken.
    Create,
    /// Cuts a created file, or lengthens it with zeroes whose space is allocated.
    Resize { size_bytes: u64 },
    /// Writes `parts` one after another from `offset` on. Not durable until [`Self::Sync`].
    Write { offset: u64, parts: Vec<Bytes> },
    /// Gives the file a new name, in place of a file that has it; later steps mean the new name.
    /// Durable after [`Self::Sync`].
    Rename { to: String },
    /// Makes all earlier writes to a created file, and its name, survive a power loss.
    ///
    /// After an error the file must be thrown away: the kernel may have dropped its dirty pages,
    /// and a second call can report success for bytes that are gone.
    Sync,
}

impl Step {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Resize { .. } => "resize",
            Self::Write { .. } => "write",
            Self::Rename { .. } => "rename",
            Self::Sync => "sync",
        }
    }
}

/// When something was last done, which tells a busy disk from one that hangs.
#[derive(Debug)]
pub struct Progress {
    since: Instant,
    done_at_ms: AtomicU64,
}

impl Default for Progress {
    fn default() -> Self {
        Self { since: Instant::now(), done_at_ms: AtomicU64::new(0) }
    }
}

impl Progress {
    pub fn note(&self) {
        let now_ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.done_at_ms.store(now_ms, Ordering::Relaxed);
    }

    /// How long nothing has been done.
    pub fn idle(&self) -> Duration {
        let done_at = Duration::from_millis(self.done_at_ms.load(Ordering::Relaxed));
        self.since.elapsed().saturating_sub(done_at)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Without the folder.
    pub name: String,
    pub size_bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    pub free_bytes: u64,
    pub total_bytes: u64,
}
