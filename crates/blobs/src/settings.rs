//! Numbers that the operator may turn.

use std::time::Duration;

/// How blobs are stored. Plain data; the defaults suit a server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Copies of each blob; `None` means min(2, directories of the region).
    ///
    /// Absent directories count, so give them to `Blobs::open` as `Directory::absent`; else a
    /// start with a missing directory would quietly lower the number.
    pub copies: Option<usize>,
    /// Copies without which a write is refused; `None` means all of `copies`.
    pub min_copies: Option<usize>,
    /// Blobs of at most this size are packed in segments.
    pub small_blob_bytes: usize,
    /// A segment is sealed before it grows beyond this.
    pub segment_bytes: u64,
    /// Space that is allocated ahead in the current segment.
    pub preallocate_bytes: u64,
    /// A directory with less free space than this takes no new blobs.
    pub reserve_bytes: u64,
    /// A disk that answers nothing for so long, while it is asked, fails its directory.
    pub operation_timeout: Duration,
    /// A directory that failed is tried again after so long; each further failure doubles it, up to
    /// 128 times.
    pub retry_after: Duration,
    /// A read without an answer for so long is also asked of the next copy.
    pub slow_read: Duration,
    /// How old a known figure of free space may be.
    pub space_refresh: Duration,
    /// Bytes that wait to be written, all writers together, beyond which nothing large is begun.
    pub waiting_bytes_max: usize,
    /// Files of large blobs that are written at the same time, in each directory.
    pub writing_files_max: usize,
    /// Findings kept for repair; more are counted and dropped.
    pub damaged_queue_length: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            copies: None,
            min_copies: None,
            small_blob_bytes: 256 * 1024,
            segment_bytes: 256 * 1024 * 1024,
            preallocate_bytes: 16 * 1024 * 1024,
            reserve_bytes: 256 * 1024 * 1024,
            operation_timeout: Duration::from_secs(15),
            retry_after: Duration::from_secs(5),
            slow_read: Duration::from_millis(100),
            space_refresh: Duration::from_secs(1),
            waiting_bytes_max: 64 * 1024 * 1024,
            writing_files_max: 4096,
            damaged_queue_length: 4096,
        }
    }
}
