//! What the committer's thread, snapshots and callers all see.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::files::is_full;
use super::maintain::SNAPSHOTS_KEPT;
use super::room::Room;
use super::serving::join_within;
use crate::engine::{EngineStatus, MemberStatus, Sequence};

/// How long making room may take when it is no longer wanted.
const PREPARER_PATIENCE: Duration = Duration::from_secs(5);

/// Figures and flags.
#[derive(Default)]
pub struct Shared {
    full: Arc<AtomicBool>,
    /// Snapshots taken since the disk got full.
    snapshots_when_full: AtomicU64,
    commits: AtomicU64,
    groups: AtomicU64,
    syncs: AtomicU64,
    journal_bytes: AtomicU64,
    published: Mutex<Published>,
    /// From where on each reader of the journal still needs it.
    wanted: Mutex<Vec<Sequence>>,
    preparer: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
}

#[derive(Clone, Default)]
struct Published {
    epoch: u64,
    writable: bool,
    members: Vec<MemberStatus>,
    snapshot: SnapshotFacts,
}

/// The newest snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotFacts {
    pub end: Sequence,
    pub epoch: u64,
    pub unix_s: u64,
    pub bytes: u64,
}

impl Shared {
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    pub fn set_full(&self, full: bool) {
        note_full(&self.full, full);
        if !full {
            self.snapshots_when_full.store(0, Ordering::Release);
        }
    }

    /// Whether snapshots could make room, if they are of different moments: only with two new
    /// ones all older journals go.
    pub fn is_full_of_journals(&self) -> bool {
        let taken = self.snapshots_when_full.load(Ordering::Acquire);
        self.is_full() && taken < SNAPSHOTS_KEPT as u64
    }

    pub fn count_group(&self, commits: u64, syncs: u64, bytes: u64) {
        self.commits.fetch_add(commits, Ordering::Relaxed);
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.syncs.fetch_add(syncs, Ordering::Relaxed);
        self.journal_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Journal written since the last snapshot.
    pub fn journal_bytes(&self) -> u64 {
        self.journal_bytes.load(Ordering::Relaxed)
    }

    /// Notes a snapshot that was begun when [`Self::journal_bytes`] was `bytes_before`.
    pub fn note_snapshot(&self, facts: SnapshotFacts, bytes_before: u64) {
        self.published().snapshot = facts;
        if self.is_full() {
            self.snapshots_when_full.fetch_add(1, Ordering::AcqRel);
        }
        self.journal_bytes.fetch_sub(bytes_before.min(self.journal_bytes()), Ordering::Relaxed);
    }

    pub fn set_journal_bytes(&self, bytes: u64) {
        self.journal_bytes.store(bytes, Ordering::Relaxed);
    }

    pub fn snapshot(&self) -> SnapshotFacts {
        self.published().snapshot
    }

    pub fn publish(&self, epoch: u64, writable: bool, members: Vec<MemberStatus>) {
        let mut published = self.published();
        published.epoch = epoch;
        published.writable = writable;
        published.members = members;
    }

    pub fn epoch(&self) -> u64 {
        self.published().epoch
    }

    pub fn status(&self, sequence: Sequence) -> EngineStatus {
        let published = self.published().clone();
        EngineStatus {
            members: published.members,
            writable: published.writable,
            full: self.is_full(),
            epoch: published.epoch,
            sequence,
            journal_bytes_since_snapshot: self.journal_bytes(),
            last_snapshot: published.snapshot.end,
            last_snapshot_unix_s: published.snapshot.unix_s,
            commits: self.commits.load(Ordering::Relaxed),
            groups: self.groups.load(Ordering::Relaxed),
            syncs: self.syncs.load(Ordering::Relaxed),
        }
    }

    /// Starts the thread that keeps `rooms` ready.
    pub fn start_preparer(&self, rooms: Vec<Arc<Room>>) -> std::io::Result<()> {
        let (wake, wakes) = channel::<()>();
        let full = Arc::clone(&self.full);
        let builder = std::thread::Builder::new().name("metadata-room".to_owned());
        let thread = builder.spawn(move || {
            for () in wakes {
                for room in &rooms {
                    match room.prepare() {
                        Ok(()) => {}
                        Err(error) if is_full(&error) => note_full(&full, true),
                        Err(error) => {
                            tracing::warn!(%error, "no room for the next journal file");
                        }
                    }
                }
            }
        })?;
        *self.preparer.lock().unwrap_or_else(PoisonError::into_inner) = Some((wake, thread));
        Ok(())
    }

    pub fn prepare_rooms(&self) {
        let preparer = self.preparer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((wake, _)) = &*preparer {
            let _ = wake.send(());
        }
    }

    pub fn stop_preparer(&self) {
        let preparer = self.preparer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((wake, thread)) = preparer {
            drop(wake);
            join_within(thread, PREPARER_PATIENCE);
        }
    }

    /// Journal files with records after `from` stay until the answer is dropped.
    pub fn want_journal(self: &Arc<Self>, from: Sequence) -> WantedJournal {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).push(from);
        WantedJournal { shared: Arc::clone(self), from }
    }

    /// From where on somebody reads the journal.
    pub fn journal_wanted(&self) -> Option<Sequence> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).iter().min().copied()
    }

    fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says once that a disk is full, and once that none is any more.
fn note_full(noted: &AtomicBool, full: bool) {
    match (noted.swap(full, Ordering::AcqRel), full) {
        (false, true) => tracing::error!("a disk with metadata is full: what adds is refused"),
        (true, false) => tracing::warn!("there is room for metadata again"),
        _ => {}
    }
}

/// Somebody reads the journal.
pub struct WantedJournal {
    shared: Arc<Shared>,
    from: Sequence,
}

impl Drop for WantedJournal {
    fn drop(&mut self) {
        let mut wanted = self.shared.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = wanted.iter().position(|from| *from == self.from) {
            wanted.swap_remove(number);
        }
    }
}
