//! A directory in use: its disk under a time limit, its health and its counters.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::directory::Directory;
use crate::disk::{Disk, DiskFuture, Entry, Progress, Space, Step};
use crate::identifiers::DirectoryId;
use crate::identity::Identity;
use crate::piece::Unchanged;
use crate::settings::Settings;

/// Reads that fail one after another before the directory counts as failed: one bad sector must
/// not take a whole disk away.
const READ_ERRORS_MAX: u32 = 16;
/// A directory that was slow once is asked last for so long.
const SLOW_PENALTY: Duration = Duration::from_secs(10);

/// Time limits that an operation may take on a disk that is busy with others.
const BUSY_ROUNDS: usize = 4;

/// How often the pause before a failed directory is tried again doubles.
const RETRY_DOUBLINGS: u32 = 7;

const ENOMEM: i32 = 12;
const EEXIST: i32 = 17;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const EDQUOT: i32 = 122;

/// The process, not the disk, is short of something: that says nothing about what is on the disk.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(ENOMEM | ENFILE | EMFILE))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryState {
    Healthy,
    /// Takes no new blobs until space returns; reads and removals go on.
    Full,
    /// Takes no new blobs, until it can be written again.
    ReadOnly,
    /// Takes no new blobs and is read last, until it is found to work again.
    Failed {
        reason: String,
    },
}

/// What is known of a directory, for status pages and metrics.
#[derive(Clone, Debug)]
pub struct DirectoryStatus {
    pub id: DirectoryId,
    pub path: PathBuf,
    pub zone: String,
    pub region: String,
    pub state: DirectoryState,
    /// It is being emptied.
    pub draining: bool,
    pub space: Space,
    pub errors: u64,
    pub read_bytes: u64,
    pub written_bytes: u64,
}

/// A disk may hang for one kind of operations and answer others.
#[derive(Clone, Copy)]
enum Kind {
    Read,
    Change,
    Look,
}

struct Health {
    state: DirectoryState,
    space: Space,
    space_known_at: Option<Instant>,
    read_errors: u32,
    slow_until: Option<Instant>,
    /// How often it failed, and when it may be tried again.
    failures: u32,
    retry_at: Option<Instant>,
}

impl Health {
    /// Puts the next attempt off, the longer the more there were.
    fn put_off(&mut self, pause: Duration) {
        let pause = pause.saturating_mul(1 << self.failures.min(RETRY_DOUBLINGS));
        self.failures += 1;
        self.retry_at = Some(Instant::now() + pause);
    }

    /// True if only space is wanting.
    fn lacks_space(&self, reserve_bytes: u64) -> bool {
        match self.state {
            DirectoryState::Full => true,
            DirectoryState::Healthy => self.space.free_bytes <= reserve_bytes,
            DirectoryState::ReadOnly | DirectoryState::Failed { .. } => false,
        }
    }
}

pub(crate) struct Volume {
    pub identity: Identity,
    path: PathBuf,
    /// `None` while the directory is absent.
    disk: RwLock<Option<Arc<dyn Disk>>>,
    writing_files: Arc<Semaphore>,
    health: Mutex<Health>,
    /// Is being emptied: takes nothing new.
    draining: AtomicBool,
    refreshing: AtomicBool,
    /// Of each kind of operation.
    progress: [Arc<Progress>; 3],
    errors: AtomicU64,
    read_bytes: AtomicU64,
    written_bytes: AtomicU64,
    operation_timeout: Duration,
    retry_after: Duration,
    space_refresh: Duration,
    reserve_bytes: u64,
}

impl Volume {
    pub fn new(directory: Directory, settings: &Settings) -> Self {
        let state = match directory.disk {
            Some(_) => DirectoryState::Healthy,
            None => DirectoryState::Failed { reason: "not found".into() },
        };
        Self {
            identity: directory.identity,
            path: directory.path,
            disk: RwLock::new(directory.disk),
            writing_files: Arc::new(Semaphore::new(settings.writing_files_max)),
            health: Mutex::new(Health {
                state,
                space: Space::default(),
                space_known_at: None,
                read_errors: 0,
                slow_until: None,
                failures: 0,
                retry_at: None,
            }),
            draining: AtomicBool::new(false),
            refreshing: AtomicBool::new(false),
            progress: Default::default(),
            errors: AtomicU64::new(0),
            read_bytes: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            operation_timeout: settings.operation_timeout,
            retry_after: settings.retry_after,
            space_refresh: settings.space_refresh,
            reserve_bytes: settings.reserve_bytes,
        }
    }

    pub fn id(&self) -> DirectoryId {
        self.identity.directory
    }

    pub fn status(&self) -> DirectoryStatus {
        let health = self.health();
        DirectoryStatus {
            id: self.id(),
            path: self.path.clone(),
            zone: self.identity.zone.clone(),
            region: self.identity.region.clone(),
            state: health.state.clone(),
            draining: self.is_draining(),
            space: health.space,
            errors: self.errors.load(Ordering::Relaxed),
            read_bytes: self.read_bytes.load(Ordering::Relaxed),
            written_bytes: self.written_bytes.load(Ordering::Relaxed),
        }
    }

    /// Free bytes above the reserve; `None` if no new blob may go here.
    pub fn room(&self) -> Option<u64> {
        let health = self.health();
        let healthy = health.state == DirectoryState::Healthy && !self.is_draining();
        health.space.free_bytes.checked_sub(self.reserve_bytes).filter(|room| healthy && *room > 0)
    }

    /// True if only space is wanting.
    pub fn is_full(&self) -> bool {
        self.health().lacks_space(self.reserve_bytes)
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub fn set_draining(&self, draining: bool) {
        self.draining.store(draining, Ordering::Release);
    }

    pub fn is_failed(&self) -> bool {
        matches!(self.health().state, DirectoryState::Failed { .. })
    }

    /// Readers go to lower ranks first.
    pub fn read_rank(&self) -> u8 {
        let health = self.health();
        let slow = health.slow_until.is_some_and(|until| Instant::now() < until);
        match health.state {
            DirectoryState::Failed { .. } => 2,
            _ => u8::from(slow),
        }
    }

    pub fn note_slow(&self) {
        self.health().slow_until = Some(Instant::now() + SLOW_PENALTY);
    }

    /// Asks for the free space; a full directory that has room again is healthy.
    pub async fn refresh_space(&self) {
        let answer =
            self.bounded(Kind::Look, &["space"], self.disk().map(|disk| disk.space())).await;
        let mut health = self.health();
        let was_known = health.space_known_at.replace(Instant::now()).is_some();
        let Ok(space) = answer else { return };
        let was_full = was_known && health.lacks_space(self.reserve_bytes);
        health.space = space;
        if health.state == DirectoryState::Full && space.free_bytes > self.reserve_bytes {
            health.state = DirectoryState::Healthy;
        }
        let (path, free_bytes) = (self.path.display(), space.free_bytes);
        match (was_full, health.lacks_space(self.reserve_bytes)) {
            (false, true) => tracing::error!(%path, free_bytes, "directory is full"),
            (true, false) => tracing::warn!(%path, free_bytes, "directory has room again"),
            _ => {}
        }
    }

    /// Starts [`Self::refresh_space`] in the background if the figures are old.
    pub fn refresh_space_soon(self: &Arc<Self>, runtime: &tokio::runtime::Handle) {
        let known_at = self.health().space_known_at;
        let stale = known_at.is_none_or(|at| at.elapsed() >= self.space_refresh);
        if stale && !self.is_failed() && !self.refreshing.swap(true, Ordering::AcqRel) {
            let volume = Arc::clone(self);
            runtime.spawn(async move {
                volume.refresh_space().await;
                volume.refreshing.store(false, Ordering::Release);
            });
        }
    }

    /// Whether it is of no use for writing, for want of something other than space.
    pub fn is_down(&self) -> bool {
        matches!(self.health().state, DirectoryState::ReadOnly | DirectoryState::Failed { .. })
    }

    pub fn fail(&self, reason: &str) {
        self.degrade(Some(DirectoryState::Failed { reason: reason.to_owned() }));
    }

    /// Whether it is time to try it again; the time after this is then put off.
    pub fn may_retry(&self) -> bool {
        let mut health = self.health();
        let due = health.retry_at.is_none_or(|at| at <= Instant::now());
        if due {
            health.put_off(self.retry_after);
        }
        due
    }

    /// Takes it for healthy again.
    pub fn recover(&self) {
        let mut health = self.health();
        health.state = DirectoryState::Healthy;
        health.read_errors = 0;
    }

    /// Whether what is used still stands at the path; an error if nothing is.
    pub async fn is_in_place(&self) -> io::Result<bool> {
        self.bounded(Kind::Look, &["look"], self.disk().map(|disk| disk.is_in_place())).await
    }

    /// Uses `disk` from now on; `None` lets go of what was used.
    pub fn attach(&self, disk: Option<Arc<dyn Disk>>) {
        *self.disk.write().unwrap_or_else(PoisonError::into_inner) = disk;
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leave to have one more file open for writing.
    ///
    /// # Errors
    /// As if the process had no descriptor left, before it really has none for anything else.
    pub fn one_more_file(&self) -> io::Result<OwnedSemaphorePermit> {
        let leave = Arc::clone(&self.writing_files).try_acquire_owned();
        leave.map_err(|_| io::Error::from_raw_os_error(EMFILE))
    }

    /// As [`Disk::change`]. A failure says that the directory can no longer be written.
    pub async fn change(
        &self,
        file: &str,
        steps: impl IntoIterator<Item = Step>,
    ) -> io::Result<()> {
        let steps: Vec<Step> = steps.into_iter().collect();
        let names: Vec<_> = steps.iter().map(Step::name).collect();
        for step in &steps {
            if let Step::Write { parts, .. } = step {
                let length: usize = parts.iter().map(Bytes::len).sum();
                self.written_bytes.fetch_add(length as u64, Ordering::Relaxed);
            }
        }
        let progress = self.progress(Kind::Change);
        let operation = self.disk().map(|disk| disk.change(file, steps, progress));
        let result = self.bounded(Kind::Change, &names, operation).await;
        if let Err(error) = &result {
            let state = match error.raw_os_error() {
                Some(ENOSPC | EDQUOT) => Some(DirectoryState::Full),
                Some(EROFS) => Some(DirectoryState::ReadOnly),
                _ if is_shortage(error) => None,
                Some(EEXIST) => None,
                // Marked already if it was the disk's fault.
                None if error.kind() == io::ErrorKind::TimedOut => None,
                _ => {
                    let reason = format!("{}: {error}", names.join(", "));
                    Some(DirectoryState::Failed { reason })
                }
            };
            self.degrade(state);
        }
        result
    }

    pub fn close(&self, file: &str) {
        if let Ok(disk) = self.disk() {
            disk.close(file);
        }
    }

    /// Removes a file. Whether it was there.
    pub async fn remove(&self, file: &str) -> io::Result<bool> {
        let operation = self.disk().map(|disk| disk.remove(file));
        match self.tolerating(Kind::Change, "remove", operation).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            result => result.map(|()| true),
        }
    }

    pub async fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        self.reading("list", self.disk().map(|disk| disk.list(folder))).await
    }

    pub async fn read_at(&self, file: &str, offset: u64, length: usize) -> io::Result<Bytes> {
        let operation = self.disk().map(|disk| disk.read_at(file, offset, length));
        let bytes = self.reading("read", operation).await?;
        self.read_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes)
    }

    /// Two reads of one file, each as of [`Self::read_at`], that fail or succeed as one.
    pub async fn read_both(
        &self,
        file: &str,
        one: (u64, usize),
        other: (u64, usize),
    ) -> io::Result<(Bytes, Bytes)> {
        let operation = self.disk().map(|disk| -> DiskFuture<_> {
            let read = |(offset, length)| disk.read_at(file, offset, length);
            let (one, other) = (read(one), read(other));
            Box::pin(async { tokio::try_join!(one, other) })
        });
        let (one, other) = self.reading("read", operation).await?;
        self.read_bytes.fetch_add((one.len() + other.len()) as u64, Ordering::Relaxed);
        Ok((one, other))
    }

    /// As [`Disk::sendable`].
    pub fn sendable(&self, file: &str) -> Option<Unchanged> {
        self.disk().ok()?.sendable(file)
    }

    fn disk(&self) -> io::Result<Arc<dyn Disk>> {
        let absent = || io::Error::new(io::ErrorKind::NotConnected, "directory is absent");
        self.disk.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(absent)
    }

    async fn reading<T>(&self, what: &str, operation: io::Result<DiskFuture<T>>) -> io::Result<T> {
        self.tolerating(Kind::Read, what, operation).await
    }

    /// An operation that may fail for one file without the whole directory being bad.
    async fn tolerating<T>(
        &self,
        kind: Kind,
        what: &str,
        operation: io::Result<DiskFuture<T>>,
    ) -> io::Result<T> {
        let result = self.bounded(kind, &[what], operation).await;
        let mut health = self.health();
        match &result {
            Ok(_) => health.read_errors = 0,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
            Err(error) if is_shortage(error) => {}
            Err(error) => {
                health.read_errors += 1;
                if health.read_errors >= READ_ERRORS_MAX {
                    let reason = format!("{what}: {error}, {READ_ERRORS_MAX} times in a row");
                    drop(health);
                    self.degrade(Some(DirectoryState::Failed { reason }));
                }
            }
        }
        result
    }

    fn progress(&self, kind: Kind) -> &Arc<Progress> {
        let [reads, changes, looks] = &self.progress;
        match kind {
            Kind::Read => reads,
            Kind::Change => changes,
            Kind::Look => looks,
        }
    }

    /// Waits for the disk, but not for ever.
    ///
    /// A disk that finishes others of the kind meanwhile, or steps of this one, is busy, not
    /// broken: then only this operation is given up, and only after several times the limit for
    /// each step.
    async fn bounded<T>(
        &self,
        kind: Kind,
        what: &[&str],
        operation: io::Result<DiskFuture<T>>,
    ) -> io::Result<T> {
        let mut operation = operation?;
        let progress = self.progress(kind);
        for _ in 0..BUSY_ROUNDS.saturating_mul(what.len()) {
            if let Ok(result) = timeout(self.operation_timeout, &mut operation).await {
                progress.note();
                if result.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
                    self.errors.fetch_add(1, Ordering::Relaxed);
                }
                return result;
            }
            if progress.idle() >= self.operation_timeout {
                let reason =
                    format!("{}: no answer in {:?}", what.join(", "), self.operation_timeout);
                self.degrade(Some(DirectoryState::Failed { reason }));
                break;
            }
        }
        self.errors.fetch_add(1, Ordering::Relaxed);
        Err(io::ErrorKind::TimedOut.into())
    }

    /// Only ever from better to worse: a failed directory does not become merely full.
    fn degrade(&self, state: Option<DirectoryState>) {
        let Some(state) = state else { return };
        let rank = |state: &DirectoryState| match state {
            DirectoryState::Healthy => 0,
            DirectoryState::Full => 1,
            DirectoryState::ReadOnly => 2,
            DirectoryState::Failed { .. } => 3,
        };
        let mut health = self.health();
        if rank(&state) > rank(&health.state) {
            tracing::error!(directory = %self.id(), path = %self.path.display(), ?state,
                "directory takes no new blobs");
            if rank(&state) >= rank(&DirectoryState::ReadOnly) {
                health.put_off(self.retry_after);
            }
            health.state = state;
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
