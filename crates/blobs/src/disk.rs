//! The seam to storage: [`Disk`], with a directory and a simulation behind it.

use std::io;
use std::pin::Pin;

use bytes::Bytes;

use crate::piece::Unchanged;

/// What a [`Disk`] answers with. Dropping it does not stop the operation.
pub type DiskFuture<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// A place that keeps files through a power loss once they are synced.
///
/// File names are relative, with `/` between folders; the folders exist already. Operations on
/// one file are sent one after another by the caller, except reads.
pub trait Disk: Send + Sync + 'static {
    /// Makes an empty file for writing. Fails if the name is taken.
    fn create(&self, file: &str) -> DiskFuture<()>;

    /// Cuts a created file, or lengthens it with zeroes whose space is allocated.
    fn resize(&self, file: &str, size_bytes: u64) -> DiskFuture<()>;

    /// Writes `parts` one after another from `offset` on. Not durable until [`Self::sync`].
    fn write_at(&self, file: &str, offset: u64, parts: Vec<Bytes>) -> DiskFuture<()>;

    /// Makes all earlier writes to a created file, and its name, survive a power loss.
    ///
    /// After an error the file must be thrown away: the kernel may have dropped its dirty pages,
    /// and a second call can report success for bytes that are gone.
    fn sync(&self, file: &str) -> DiskFuture<()>;

    /// Ends writing to a created file and frees what that held.
    fn close(&self, file: &str);

    /// Up to `length` bytes from `offset` on; fewer only at the end of the file.
    fn read_at(&self, file: &str, offset: u64, length: usize) -> DiskFuture<Bytes>;

    /// A file that is open for reading, for the kernel to send from; `None` where it cannot, and of
    /// a file that was changed a moment ago.
    fn sendable(&self, _file: &str) -> Option<Unchanged> {
        None
    }

    /// Gives a file a new name, in place of a file that has it. Durable after [`Self::sync`] of
    /// the new name.
    fn rename(&self, from: &str, to: &str) -> DiskFuture<()>;

    /// Removes a name. May come back after a power loss.
    fn remove(&self, file: &str) -> DiskFuture<()>;

    /// The files in a folder, in no order.
    fn list(&self, folder: &str) -> DiskFuture<Vec<Entry>>;

    fn space(&self) -> DiskFuture<Space>;

    /// Whether this disk still stands where it was found: another may have been mounted over it.
    fn is_in_place(&self) -> DiskFuture<bool>;
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
