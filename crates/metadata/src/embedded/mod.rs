//! The engine on local directories: a journal that is the truth, and an index beside it.
//!
//! Every metadata directory holds the whole journal and the snapshots that shorten it; one, at
//! first the first, also holds the index, which can be rebuilt from any of them. If it fails while
//! serving it is rebuilt on another directory, where it stays, and callers wait.
//!
//! | file | what lives there |
//! |---|---|
//! | `files` | the files of a directory, real; `simulated` the other kind |
//! | `journal`, `snapshot`, `members`, `marks` | the formats |
//! | `log` | one log from all copies of the journal |
//! | `recover`, `carry`, `loading` | the start |
//! | `supervisor`, `serving` | starts within the process, and what serves between two |
//! | `commit`, `team`, `room` | commits: the thread, the members, the space |
//! | `maintain` | taking snapshots |
//! | `export`, `import` | an exact copy as one stream, and the way back |
//! | `index` | sled |

mod carry;
mod commit;
#[cfg(feature = "counting")]
#[doc(hidden)]
pub mod counting;
mod export;
mod fields;
pub mod files;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod import;
mod index;
mod journal;
mod loading;
mod log;
mod maintain;
mod marks;
mod members;
mod recover;
mod room;
mod serving;
mod shared;
#[cfg(any(test, feature = "simulation"))]
pub mod simulated;
mod snapshot;
mod supervisor;
mod team;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;

use self::commit::Reply;
use self::files::Files;
use self::index::Index;
pub use self::members::{MemberId, has_begun};
pub use self::recover::RecoveryReport;
use self::supervisor::{Core, Order, Origin, Supervisor};
pub use crate::engine::MetadataDirectory;
use crate::engine::{
    Commit, CommitError, Direction, Engine, EngineError, EngineStatus, ExportStream, Page, Row,
    ScanRange, Sequence, SnapshotReport,
};

/// Memory for the index's cache unless told otherwise. A row that is not in it costs a read of the
/// page cache.
pub const CACHE_BYTES: u64 = 32 << 20;

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
    /// What a start gathers in memory before it puts it into the index.
    pub load_bytes: usize,
    /// A snapshot is wanted after this much journal, or after as much as the last snapshot was
    /// long, whichever is more.
    pub snapshot_after_bytes: u64,
    /// A directory that takes longer for a write or a sync is given up.
    pub io_timeout: Duration,
    /// The same while starting, when a directory may have to be filled.
    pub start_timeout: Duration,
    /// How long a full disk is left alone before room is looked for again.
    pub full_retry: Duration,
    /// A start within the process that did not help is tried again after so long; each further one
    /// doubles it, up to 256 times.
    pub retry_after: Duration,
    /// An export whose reader takes no piece for so long is given up.
    pub export_patience: Duration,
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
            cache_bytes: CACHE_BYTES,
            load_bytes: 32 << 20,
            snapshot_after_bytes: 256 << 20,
            io_timeout: Duration::from_secs(15),
            start_timeout: Duration::from_secs(24 * 3_600),
            full_retry: Duration::from_secs(1),
            retry_after: Duration::from_secs(2),
            export_patience: Duration::from_secs(60),
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
/// It serves from one start to the next. Most starts are those of the process; but when the index
/// fails, when a directory that failed works again, or when other directories are to hold the
/// metadata, it starts anew within the process, by the same steps, while reads and commits wait.
///
/// Dropping it without [`Engine::close`] loses nothing; the next start only takes longer. Either
/// way the drop waits for a write that is under way.
pub struct Embedded {
    core: Arc<Core>,
    supervisor: Mutex<Option<JoinHandle<()>>>,
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
        let origins = settings.directories.iter().cloned().map(Origin::Real).collect();
        Self::start(settings, origins, progress)
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
        let origins = found.into_iter().map(|(id, files)| Origin::Given {
            id,
            files,
            index: indexes.join(members::name(&id)),
        });
        Self::start(settings, origins.collect(), progress)
    }

    fn start(
        settings: &EmbeddedSettings,
        origins: Vec<Origin>,
        mut progress: impl FnMut(Progress),
    ) -> Result<(Self, RecoveryReport), EngineError> {
        let mut supervisor = Supervisor::new(settings.clone(), origins);
        let report = supervisor.start(&mut progress)?;
        let core = supervisor.core();
        let builder = std::thread::Builder::new().name("metadata-start".to_owned());
        let thread = builder.spawn(move || supervisor.run());
        let thread = thread.map_err(|error| EngineError::io("starting a thread", error))?;
        Ok((Self { core, supervisor: Mutex::new(Some(thread)) }, report))
    }

    /// Reads from the index that serves now; one that cannot be read is made anew elsewhere.
    async fn read<T>(
        &self,
        run: impl Fn(&Index) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let serving = self.core.serving().await?;
        match run(&serving.index) {
            Err(EngineError::Damaged(_)) if self.core.cannot_read(serving.generation) => {}
            answer => return answer,
        }
        drop(serving);
        run(&self.core.serving().await?.index)
    }
}

#[async_trait]
impl Engine for Embedded {
    async fn get(&self, key: &[u8]) -> Result<Option<Row>, EngineError> {
        self.read(|index| index.get(key)).await
    }

    async fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Row>>, EngineError> {
        self.read(|index| index.get_many(keys)).await
    }

    async fn scan(
        &self,
        range: &ScanRange,
        limit: usize,
        direction: Direction,
    ) -> Result<Page, EngineError> {
        self.read(|index| index.scan(range, limit, direction)).await
    }

    async fn commit(&self, mut commit: Commit) -> Result<Sequence, CommitError> {
        commit.check()?;
        loop {
            match self.core.serving().await?.commit(commit).await {
                Reply::Done(outcome) => return outcome,
                Reply::Returned(again) => commit = again,
            }
        }
    }

    fn sequence(&self) -> Sequence {
        self.core.sequence()
    }

    async fn snapshot(&self) -> Result<SnapshotReport, EngineError> {
        self.core.serving().await?.snapshot().await
    }

    fn export(&self, origin: [u8; 16]) -> ExportStream {
        match self.core.now() {
            Some(serving) => serving.export(origin),
            None => {
                let none = EngineError::Unavailable("metadata is not served now".to_owned());
                export::refused(none)
            }
        }
    }

    fn wants_snapshot(&self) -> bool {
        self.core.now().is_some_and(|serving| serving.wants_snapshot())
    }

    fn status(&self) -> EngineStatus {
        self.core.status()
    }

    async fn set_directories(&self, wanted: &[MetadataDirectory]) -> Result<(), EngineError> {
        let (answer, answered) = oneshot::channel();
        self.core.order(Order::Directories(wanted.to_vec(), answer))?;
        answered.await.unwrap_or(Err(EngineError::Closed))
    }

    async fn close(&self) -> Result<(), EngineError> {
        let (answer, answered) = oneshot::channel();
        self.core.order(Order::Close(answer))?;
        answered.await.unwrap_or(Err(EngineError::Closed))
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        let _ = self.core.order(Order::Stop);
        let supervisor = self.supervisor.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(supervisor) = supervisor {
            let _ = supervisor.join();
        }
    }
}
