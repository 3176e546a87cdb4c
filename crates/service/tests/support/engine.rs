//! The engine in memory with the liberties its trait grants: answers come late, so that concurrent
//! operations overtake each other differently with each seed, and pages are short.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use async_trait::async_trait;
use blobs::faulty::Random;
use metadata::engine::{
    Commit, CommitError, Direction, Engine, EngineError, EngineStatus, ExportStream, Page, Row,
    ScanRange, Sequence, SnapshotReport, memory::Memory,
};
use tokio::sync::Notify;

pub struct Uneven {
    rows: Memory,
    random: Mutex<Random>,
    in_step: AtomicBool,
    /// How many commits came, and how many went, since operations go in step.
    came: AtomicU64,
    went: AtomicU64,
    hold_next: AtomicBool,
    held: Notify,
    released: Notify,
}

impl Uneven {
    pub fn new(seed: u64) -> Self {
        Self {
            rows: Memory::default(),
            random: Mutex::new(Random(seed)),
            in_step: AtomicBool::new(false),
            came: AtomicU64::new(0),
            went: AtomicU64::new(0),
            hold_next: AtomicBool::new(false),
            held: Notify::new(),
            released: Notify::new(),
        }
    }

    /// From now on concurrent operations go in step: all read the same, then they commit in the
    /// order they came, as they do when many commits share one sync.
    pub fn keep_in_step(&self) {
        self.in_step.store(true, Ordering::SeqCst);
    }

    /// Keeps the next commit waiting until [`Self::release`].
    pub fn hold_next_commit(&self) {
        self.hold_next.store(true, Ordering::SeqCst);
    }

    /// Waits until a commit is held.
    pub async fn holding(&self) {
        self.held.notified().await;
    }

    pub fn release(&self) {
        self.released.notify_one();
    }

    fn draw(&self, below: u64) -> u64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).below(below)
    }

    async fn wait(&self) {
        if self.in_step.load(Ordering::SeqCst) {
            return;
        }
        for _ in 0..self.draw(4) {
            tokio::task::yield_now().await;
        }
    }

    async fn wait_to_commit(&self) {
        if self.in_step.load(Ordering::SeqCst) {
            let place = self.came.fetch_add(1, Ordering::SeqCst);
            // At least once, so that all others come to this point.
            loop {
                tokio::task::yield_now().await;
                if self.went.load(Ordering::SeqCst) == place {
                    break;
                }
            }
            self.went.fetch_add(1, Ordering::SeqCst);
        }
        if self.hold_next.swap(false, Ordering::SeqCst) {
            self.held.notify_one();
            self.released.notified().await;
        }
        self.wait().await;
    }
}

#[async_trait]
impl Engine for Uneven {
    async fn get(&self, key: &[u8]) -> Result<Option<Row>, EngineError> {
        self.wait().await;
        self.rows.get(key).await
    }

    async fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Row>>, EngineError> {
        self.wait().await;
        self.rows.get_many(keys).await
    }

    async fn scan(
        &self,
        range: &ScanRange,
        limit: usize,
        direction: Direction,
    ) -> Result<Page, EngineError> {
        self.wait().await;
        let short = self.draw(3) == 0;
        let limit = if short { 1 + self.draw(limit as u64) as usize } else { limit };
        self.rows.scan(range, limit, direction).await
    }

    async fn commit(&self, commit: Commit) -> Result<Sequence, CommitError> {
        self.wait_to_commit().await;
        self.rows.commit(commit).await
    }

    fn sequence(&self) -> Sequence {
        self.rows.sequence()
    }

    async fn snapshot(&self) -> Result<SnapshotReport, EngineError> {
        self.rows.snapshot().await
    }

    fn export(&self, origin: [u8; 16]) -> ExportStream {
        self.rows.export(origin)
    }

    fn wants_snapshot(&self) -> bool {
        self.rows.wants_snapshot()
    }

    fn status(&self) -> EngineStatus {
        self.rows.status()
    }

    async fn close(&self) -> Result<(), EngineError> {
        self.rows.close().await
    }
}
