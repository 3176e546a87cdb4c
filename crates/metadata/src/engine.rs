//! The ordered store below all metadata: what an engine promises, and the types it speaks in.
//!
//! Keys are byte strings in order, values are small. A caller reads rows with their versions, then
//! commits changes together with what it expects to be unchanged; the engine refuses the commit if
//! that no longer holds. Nothing here borrows from the engine and nothing names one, so that a
//! remote database can stand behind the same trait. No caller may assume it is the only process.
//!
//! Engines: [`memory`] (tests), `crate::embedded` (a journal and an index on local directories).

#[cfg(any(test, feature = "simulation"))]
pub mod conformance;
pub mod memory;
pub(crate) mod resolve;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;

/// The longest key, in bytes. A 1 024-byte key of NULs doubles when escaped, and the b-tree of
/// `PostgreSQL` ends at 2 704.
pub const KEY_BYTES_MAX: usize = 2_304;

/// The longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 64 << 10;

/// The most changes (puts, deletes and adds together) of one commit.
pub const COMMIT_CHANGES_MAX: usize = 1_000;

/// The most expectations of one commit.
pub const COMMIT_EXPECTATIONS_MAX: usize = 2_000;

/// The most bytes of one commit: keys and values of its changes together.
pub const COMMIT_BYTES_MAX: usize = 1 << 20;

/// The most rows of one page, whatever the caller asks for.
pub const PAGE_ROWS_MAX: usize = 1_000;

/// A page ends after the row that brings its keys and values to this many bytes.
pub const PAGE_BYTES_MAX: usize = 8 << 20;

/// The number of a commit. Later commits have higher numbers; 0 stands before the first one.
pub type Sequence = u64;

/// A value as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The sequence of the commit that wrote the row last.
    pub version: Sequence,
    pub value: Bytes,
}

/// Keys from `start` (inclusive) to `end` (exclusive). Empty unless `start < end`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanRange {
    pub start: Vec<u8>,
    pub end: Vec<u8>,
}

impl ScanRange {
    /// Whether no key can lie in the range.
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// What is left of the range once `last` was handed out, `None` if nothing can be.
    pub fn after(&self, last: &[u8], direction: Direction) -> Option<Self> {
        let mut rest = self.clone();
        match direction {
            Direction::Forward => {
                rest.start = last.to_vec();
                rest.start.push(0);
            }
            Direction::Backward => rest.end = last.to_vec(),
        }
        (!rest.is_empty()).then_some(rest)
    }
}

/// Which end of a range a scan begins at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Backward,
}

/// Some rows of a range, in the direction of the scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub rows: Vec<(Vec<u8>, Row)>,
    /// What is left to scan; `None` at the end. Only this says that the end is reached: a page may
    /// hold fewer rows than the limit, and the rest may turn out to be empty.
    pub next: Option<ScanRange>,
}

/// What a commit relies on; it is refused with [`CommitError::Conflict`] if it no longer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The row still has the version that was read.
    Version { key: Vec<u8>, version: Sequence },
    /// There is no such row.
    Absent { key: Vec<u8> },
    /// There is no row in the range.
    EmptyRange { range: ScanRange },
}

/// A change to a counter row: 8 bytes, a big-endian `i64`; an absent row counts as 0.
///
/// Adds commute, so they never conflict with each other. A result outside `minimum..=maximum`, or
/// outside `i64`, refuses the commit with [`CommitError::OutOfBounds`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Add {
    pub key: Vec<u8>,
    pub amount: i64,
    pub minimum: Option<i64>,
    pub maximum: Option<i64>,
}

/// Changes that happen together or not at all.
///
/// No key may occur twice among `put`, `delete`, `add` and the beginnings in `append`. Deleting an
/// absent row is no error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    pub expect: Vec<Expect>,
    pub put: Vec<(Vec<u8>, Vec<u8>)>,
    pub delete: Vec<Vec<u8>>,
    pub add: Vec<Add>,
    /// Rows in the order of commits: (beginning of the key, value). The key ends with the number
    /// that the commit gets, in 8 bytes, big-endian.
    pub append: Vec<(Vec<u8>, Vec<u8>)>,
    /// Set by commits that give space back (deletes, aborts, compaction). On a full disk these may
    /// use the reserve; all others are refused with [`CommitError::NoSpace`].
    pub reclaims: bool,
}

impl Commit {
    /// How many rows the commit changes.
    pub fn changes(&self) -> usize {
        self.put.len() + self.delete.len() + self.add.len() + self.append.len()
    }

    /// Refuses a commit that is over a limit or changes one key twice. Every engine calls this
    /// first.
    ///
    /// # Errors
    /// [`CommitError::TooLarge`] or [`CommitError::DuplicateKey`].
    pub fn check(&self) -> Result<(), CommitError> {
        if self.changes() > COMMIT_CHANGES_MAX || self.expect.len() > COMMIT_EXPECTATIONS_MAX {
            return Err(CommitError::TooLarge);
        }
        let puts = self.put.iter().map(|(key, value)| (key, value.len()));
        let deletes = self.delete.iter().map(|key| (key, 0));
        let adds = self.add.iter().map(|add| (&add.key, 8));
        let appends = self.append.iter().map(|(key, value)| (key, 8 + value.len()));

        let mut seen = BTreeSet::new();
        let mut bytes = 0;
        for (key, value_bytes) in puts.chain(deletes).chain(adds).chain(appends) {
            if key.len() > KEY_BYTES_MAX || value_bytes > VALUE_BYTES_MAX {
                return Err(CommitError::TooLarge);
            }
            bytes += key.len() + value_bytes;
            if !seen.insert(key) {
                return Err(CommitError::DuplicateKey { key: key.clone() });
            }
        }
        if bytes > COMMIT_BYTES_MAX {
            return Err(CommitError::TooLarge);
        }
        Ok(())
    }
}

/// Why an engine could not answer.
#[derive(Clone, Debug, Error)]
pub enum EngineError {
    /// What is stored contradicts its checksum or its form.
    #[error("metadata is damaged: {0}")]
    Damaged(String),
    /// A file could not be read or written.
    #[error("metadata files: {what}: {source}")]
    Io { what: String, source: Arc<std::io::Error> },
    /// The engine may not start like this; the text names what is missing.
    #[error("{0}")]
    Refused(String),
    /// Another process holds the directory.
    #[error("{0} is in use by another process")]
    InUse(String),
    /// An [`Add`] met a row that is not 8 bytes long.
    #[error("row {0:?} is not a counter")]
    NotACounter(Vec<u8>),
    /// Too few journals are left, or the outcome of the last group is unknown.
    #[error("metadata is unavailable: {0}")]
    Unavailable(String),
    /// No room is left for this.
    #[error("no space left for metadata")]
    NoSpace,
    /// The engine was closed.
    #[error("the metadata engine is closed")]
    Closed,
}

impl EngineError {
    /// An input or output error, with what was being done.
    pub fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io { what: what.into(), source: Arc::new(source) }
    }
}

/// Why a commit did not happen.
#[derive(Clone, Debug, Error)]
pub enum CommitError {
    /// An expectation does not hold any more. Read again and retry.
    #[error("the row {key:?} changed meanwhile")]
    Conflict {
        /// The row, or the start of the range.
        key: Vec<u8>,
    },
    /// The counter would leave its bounds.
    #[error("the counter {key:?} would leave its bounds")]
    OutOfBounds { key: Vec<u8> },
    /// One of the limits of this module is exceeded.
    #[error("the commit is too large")]
    TooLarge,
    /// The commit changes one key twice.
    #[error("the commit changes {key:?} twice")]
    DuplicateKey { key: Vec<u8> },
    /// Too few journals are left. The commit may or may not have happened.
    #[error("metadata is unavailable; whether the commit happened is unknown")]
    Unavailable,
    /// The disk is full, and the commit does not reclaim space. It did not happen.
    #[error("no space left for metadata")]
    NoSpace,
    /// The commit did not happen.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// What a snapshot wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotReport {
    /// The snapshot with the journal from here to [`Self::end`] is exact.
    pub start: Sequence,
    /// The last commit of which the snapshot may show something.
    pub end: Sequence,
    pub entries: u64,
    /// Size of one copy.
    pub bytes: u64,
    /// How many directories hold a verified copy.
    pub copies: usize,
}

/// How one journal directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// Every acknowledged commit is in its journal.
    Active,
    /// A write or sync failed; it takes no part until the next start.
    Failed,
    /// Known, but not found at the start.
    Missing,
}

/// One journal directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    pub id: [u8; 16],
    pub state: MemberState,
}

/// A directory that holds metadata.
#[derive(Clone, Debug)]
pub struct MetadataDirectory {
    /// Where the engine's files are; made if absent. Nothing else may be kept there.
    pub path: PathBuf,
    /// The directory's identity, which the caller keeps and checks.
    pub id: [u8; 16],
}

/// Figures for metrics and health.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineStatus {
    pub members: Vec<MemberStatus>,
    /// Whether commits are taken: enough journals, and no group of unknown outcome.
    pub writable: bool,
    /// Whether only commits that reclaim space are taken.
    pub full: bool,
    pub epoch: u64,
    pub sequence: Sequence,
    pub journal_bytes_since_snapshot: u64,
    pub last_snapshot: Sequence,
    /// Seconds since the Unix epoch, 0 if there is none.
    pub last_snapshot_unix_s: u64,
    /// Since the start: commits that wrote something, groups they went in, synced journal writes.
    pub commits: u64,
    pub groups: u64,
    pub syncs: u64,
}

/// An export, piece by piece. An error is the last thing in it; without one it is whole.
pub type ExportStream = tokio::sync::mpsc::Receiver<Result<Bytes, EngineError>>;

/// An ordered store of small rows with optimistic commits.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Reads one row. Whoever has seen a change of a commit sees all of them in later reads.
    async fn get(&self, key: &[u8]) -> Result<Option<Row>, EngineError>;

    /// Reads rows at one moment: of every commit all or nothing is seen. Answers in the order of
    /// `keys`.
    async fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Row>>, EngineError>;

    /// Reads up to `limit` rows at one moment; see [`Page::next`] for the rest. At least one row is
    /// returned if there is one, and at most [`PAGE_ROWS_MAX`].
    async fn scan(
        &self,
        range: &ScanRange,
        limit: usize,
        direction: Direction,
    ) -> Result<Page, EngineError>;

    /// Checks the expectations and makes the changes, both at one moment. Durable and visible to
    /// every later read once answered.
    ///
    /// A commit without changes only checks, and answers with the sequence it was checked at.
    async fn commit(&self, commit: Commit) -> Result<Sequence, CommitError>;

    /// The last commit that is durable and visible.
    fn sequence(&self) -> Sequence;

    /// Writes a snapshot and removes the journals it makes needless. One at a time.
    async fn snapshot(&self) -> Result<SnapshotReport, EngineError>;

    /// An exact copy of all rows at one moment between now and its end, as a stream for
    /// `embedded::import`; commits go on meanwhile. Dropping it breaks it off, and so does leaving
    /// it unread for long. One at a time.
    ///
    /// - `origin`: whose rows these are; an import asks for the same.
    fn export(&self, origin: [u8; 16]) -> ExportStream;

    /// Whether the journal has grown enough since the last snapshot to be worth one.
    fn wants_snapshot(&self) -> bool;

    fn status(&self) -> EngineStatus;

    /// Keeps the metadata in these directories from now on. Reads and commits wait meanwhile.
    ///
    /// # Errors
    /// [`EngineError::Refused`] by an engine that has no directories; else what stands in the way,
    /// and then it is where it was.
    async fn set_directories(&self, wanted: &[MetadataDirectory]) -> Result<(), EngineError> {
        let count = wanted.len();
        Err(EngineError::Refused(format!("this metadata cannot be put in {count} directories")))
    }

    /// Finishes what was begun, refuses everything later, and leaves the mark of a clean end.
    async fn close(&self) -> Result<(), EngineError>;
}

/// Reads the value of a counter row.
///
/// # Errors
/// [`EngineError::NotACounter`] if it is not 8 bytes long.
pub fn read_counter(key: &[u8], value: &[u8]) -> Result<i64, EngineError> {
    let bytes = value.try_into().map_err(|_| EngineError::NotACounter(key.to_vec()))?;
    Ok(i64::from_be_bytes(bytes))
}
