//! The engine on local directories: a journal that is the truth, and an index beside it.
//!
//! Every metadata directory holds the whole journal and the snapshots that shorten it; the first
//! one also holds the index, which can be rebuilt from any of them. (A second index that stands by
//! on another directory is not built yet: if the index's disk fails while serving, commits stop
//! until the next start.)
//!
//! | file | what lives there |
//! |---|---|
//! | `files` | the files of a directory, real; `simulated` the other kind |
//! | `journal`, `snapshot`, `members`, `marks` | the formats |
//! | `log` | one log from all copies of the journal |
//! | `recover`, `carry` | the start |
//! | `commit`, `team`, `room` | commits: the thread, the members, the space |
//! | `maintain` | taking snapshots |
//! | `index` | sled |

mod carry;
mod commit;
mod fields;
pub mod files;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod index;
mod journal;
mod log;
mod maintain;
mod marks;
mod members;
mod recover;
mod room;
mod shared;
#[cfg(any(test, feature = "simulation"))]
pub mod simulated;
mod snapshot;
mod team;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use self::commit::{Committer, Request};
use self::files::{Directory, Files};
use self::index::Index;
use self::maintain::Place;
pub use self::members::{MemberId, has_begun};
pub use self::recover::RecoveryReport;
use self::recover::{Found, Recovered, recover};
use self::shared::{Shared, SnapshotFacts};
use crate::engine::{
    Commit, CommitError, Direction, Engine, EngineError, EngineStatus, Page, Row, ScanRange,
    Sequence, SnapshotReport,
};

/// Each epoch leaves a journal file with its space, however little is in it. So many are kept for a
/// snapshot at most, or a server that starts again and again would fill its disks.
const EPOCHS_PER_SNAPSHOT: u64 = 8;

/// How many commits may wait for the committer.
const QUEUE_COMMITS: usize = 1_024;

/// A directory that holds metadata.
#[derive(Clone, Debug)]
pub struct MetadataDirectory {
    /// Where the engine's files are; made if absent. Nothing else may be kept there.
    pub path: PathBuf,
    /// The directory's identity, which the caller keeps and checks.
    pub id: MemberId,
}

/// How to open the engine.
#[derive(Clone, Debug)]
pub struct EmbeddedSettings {
    /// The directories that were found. The first one has the index.
    pub directories: Vec<MetadataDirectory>,
    /// Nothing was ever stored here: metadata may begin. Else it must be found, or the open is
    /// refused: a store whose metadata has gone must not look like an empty one.
    pub first_start: bool,
    /// How many journals a commit needs; `None` for more than half of the known directories.
    pub min_journals: Option<usize>,
    /// A journal file is left for the next one at this size.
    pub journal_bytes: u64,
    /// Kept free in every directory for deletions on a full disk.
    pub reserve_bytes: u64,
    /// Directories given up by the operator, with whatever only they held.
    pub accept_loss: Vec<MemberId>,
    /// Memory for the index's cache.
    pub cache_bytes: u64,
    /// A snapshot is wanted after this much journal, or after as much as the last snapshot was
    /// long, whichever is more.
    pub snapshot_after_bytes: u64,
    /// A directory that takes longer for a write or a sync is given up.
    pub io_timeout: Duration,
    /// The same while starting, when a directory may have to be filled.
    pub start_timeout: Duration,
    /// How long a full disk is left alone before room is looked for again.
    pub full_retry: Duration,
}

impl EmbeddedSettings {
    /// The defaults, for a store that was begun before.
    pub fn new(directories: Vec<MetadataDirectory>) -> Self {
        Self {
            directories,
            first_start: false,
            min_journals: None,
            journal_bytes: 64 << 20,
            reserve_bytes: 256 << 20,
            accept_loss: Vec::new(),
            cache_bytes: 256 << 20,
            snapshot_after_bytes: 256 << 20,
            io_timeout: Duration::from_secs(30),
            start_timeout: Duration::from_secs(24 * 3_600),
            full_retry: Duration::from_secs(1),
        }
    }
}

/// How a start is getting on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    ReadingJournals { directories: usize },
    LoadingSnapshot { entries: u64 },
    Replaying { sequence: Sequence, last: Sequence },
}

/// The embedded engine.
///
/// Dropping it without [`Engine::close`] loses nothing; the next start only takes longer. Either
/// way the drop waits for a write that is under way.
pub struct Embedded {
    index: Arc<Index>,
    shared: Arc<Shared>,
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    committer: Mutex<Option<JoinHandle<()>>>,
    places: Arc<Vec<Place>>,
    snapshots: Arc<tokio::sync::Mutex<()>>,
    snapshot_after_bytes: u64,
    closed: AtomicBool,
}

impl Embedded {
    /// Opens the metadata in the directories of `settings`, recovering it if need be. Blocks;
    /// `progress` is called now and then.
    ///
    /// # Errors
    /// [`EngineError::Refused`] if directories are missing that may know more, too few are here, or
    /// none of them holds metadata and this is no first start; [`EngineError::Damaged`] if
    /// something durable is intact nowhere; [`EngineError::InUse`] if another process has a
    /// directory.
    pub fn open(
        settings: &EmbeddedSettings,
        progress: impl FnMut(Progress),
    ) -> Result<(Self, RecoveryReport), EngineError> {
        let mut found = Vec::new();
        for directory in &settings.directories {
            match Directory::open(&directory.path) {
                Ok(files) => found.push(Found {
                    id: directory.id,
                    files: Arc::new(files),
                    index: directory.path.join("index"),
                    clean: None,
                }),
                Err(error) => {
                    let id = members::name(&directory.id);
                    tracing::error!(directory = id, %error, "metadata directory cannot be used");
                }
            }
        }
        Self::recover(settings, found, progress)
    }

    /// Opens the metadata in the given files. [`EmbeddedSettings::directories`] is not looked at.
    ///
    /// - `indexes`: a real directory; the index lies in it, under the id of the first of `found`.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_with(
        settings: &EmbeddedSettings,
        found: Vec<(MemberId, Arc<dyn Files>)>,
        indexes: &Path,
        progress: impl FnMut(Progress),
    ) -> Result<(Self, RecoveryReport), EngineError> {
        let found = found.into_iter().map(|(id, files)| Found {
            id,
            files,
            index: indexes.join(members::name(&id)),
            clean: None,
        });
        Self::recover(settings, found.collect(), progress)
    }

    fn recover(
        settings: &EmbeddedSettings,
        found: Vec<Found>,
        mut progress: impl FnMut(Progress),
    ) -> Result<(Self, RecoveryReport), EngineError> {
        let (recovered, report) = recover(settings, found, &mut progress)?;
        Ok((Self::serve(settings, recovered)?, report))
    }

    fn serve(settings: &EmbeddedSettings, recovered: Recovered) -> Result<Self, EngineError> {
        let Recovered { index, team, file, position, journal_bytes, rooms, index_files } =
            recovered;
        let thread_failed = |error| EngineError::io("starting a thread", error);
        let index = Arc::new(index);
        let shared = Arc::new(Shared::default());
        let places: Vec<_> = team
            .members()
            .iter()
            .map(|member| Place {
                id: member.id,
                files: Arc::clone(&member.files),
                room: Arc::clone(&member.room),
            })
            .collect();
        shared.publish(team.epoch(), team.is_enough(), team.status());
        shared.note_snapshot(newest_snapshot(&places), 0);
        shared.set_journal_bytes(journal_bytes);
        shared.start_preparer(rooms).map_err(thread_failed)?;
        shared.prepare_rooms();

        let (requests, inbox) = mpsc::channel(QUEUE_COMMITS);
        let committer = Committer {
            requests: inbox,
            index: Arc::clone(&index),
            team,
            file,
            position,
            journal_bytes: settings.journal_bytes,
            shared: Arc::clone(&shared),
            index_files,
            full_retry: settings.full_retry,
            full_since: None,
            halted: false,
        };
        let builder = std::thread::Builder::new().name("metadata-commit".to_owned());
        let committer = builder.spawn(move || committer.run()).map_err(thread_failed)?;
        Ok(Self {
            index,
            shared,
            requests: Mutex::new(Some(requests)),
            committer: Mutex::new(Some(committer)),
            places: Arc::new(places),
            snapshots: Arc::default(),
            snapshot_after_bytes: settings.snapshot_after_bytes,
            closed: AtomicBool::new(false),
        })
    }

    fn readable(&self) -> Result<&Index, EngineError> {
        if self.closed.load(Ordering::Acquire) { Err(EngineError::Closed) } else { Ok(&self.index) }
    }

    fn sender(&self) -> Option<mpsc::Sender<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Engine for Embedded {
    async fn get(&self, key: &[u8]) -> Result<Option<Row>, EngineError> {
        self.readable()?.get(key)
    }

    async fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Row>>, EngineError> {
        self.readable()?.get_many(keys)
    }

    async fn scan(
        &self,
        range: &ScanRange,
        limit: usize,
        direction: Direction,
    ) -> Result<Page, EngineError> {
        self.readable()?.scan(range, limit, direction)
    }

    async fn commit(&self, commit: Commit) -> Result<Sequence, CommitError> {
        commit.check()?;
        let requests = self.sender().ok_or(EngineError::Closed)?;
        let (answer, answered) = oneshot::channel();
        let sent = requests.send(Request::Commit(commit, answer)).await;
        sent.map_err(|_| EngineError::Closed)?;
        drop(requests);
        answered.await.unwrap_or(Err(CommitError::Unavailable))
    }

    fn sequence(&self) -> Sequence {
        self.index.applied()
    }

    async fn snapshot(&self) -> Result<SnapshotReport, EngineError> {
        self.readable()?;
        let alone = Arc::clone(&self.snapshots).lock_owned().await;
        let (places, index) = (Arc::clone(&self.places), Arc::clone(&self.index));
        let shared = Arc::clone(&self.shared);
        let task = tokio::task::spawn_blocking(move || {
            let _alone = alone;
            maintain::take(&places, &index, &shared)
        });
        task.await.unwrap_or_else(|_| Err(EngineError::Unavailable("snapshot stopped".into())))
    }

    fn wants_snapshot(&self) -> bool {
        let last = self.shared.snapshot();
        self.shared.journal_bytes() > last.bytes.max(self.snapshot_after_bytes)
            || self.shared.epoch().saturating_sub(last.epoch) > EPOCHS_PER_SNAPSHOT
    }

    fn status(&self) -> EngineStatus {
        self.shared.status(self.index.applied())
    }

    async fn close(&self) -> Result<(), EngineError> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(requests) = requests else { return Err(EngineError::Closed) };
        let _no_snapshot = Arc::clone(&self.snapshots).lock_owned().await;
        let (answer, answered) = oneshot::channel();
        let sent = requests.send(Request::Close(answer)).await;
        self.closed.store(true, Ordering::Release);
        sent.map_err(|_| EngineError::Closed)?;
        answered.await.unwrap_or(Err(EngineError::Closed))
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        drop(self.requests.lock().unwrap_or_else(PoisonError::into_inner).take());
        let committer = self.committer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(committer) = committer {
            let _ = committer.join();
        }
        self.shared.stop_preparer();
    }
}

fn newest_snapshot(places: &[Place]) -> SnapshotFacts {
    let newest = |place: &Place| {
        let id = *snapshot::list(&*place.files).ok()?.first()?;
        let unix_s = snapshot::created_unix_s(&*place.files, id).unwrap_or(0);
        let bytes = place.files.length(&id.name()).unwrap_or(0);
        Some(SnapshotFacts { end: id.end, epoch: id.epoch, unix_s, bytes })
    };
    places.iter().filter_map(newest).max_by_key(|facts| facts.end).unwrap_or_default()
}
