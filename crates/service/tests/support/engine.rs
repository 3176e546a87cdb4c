//! The engine in memory with the liberties its trait grants: answers come late, so that concurrent
//! operations overtake each other differently with each seed, and pages are short.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use blobs::faulty::Random;
use metadata::engine::{
    Commit, CommitError, Direction, Engine, EngineError, EngineStatus, Page, Row, ScanRange,
    Sequence, SnapshotReport, memory::Memory,
};

pub struct Uneven {
    rows: Memory,
    random: Mutex<Random>,
    in_step: AtomicBool,
}

impl Uneven {
    pub fn new(seed: u64) -> Self {
        let random = Mutex::new(Random(seed));
        Self { rows: Memory::default(), random, in_step: AtomicBool::new(false) }
    }

    /// From now on concurrent operations go in step: all read the same, then one after another
    /// commits, as they do when many commits share one sync.
    pub fn keep_in_step(&self) {
        self.in_step.store(true, Ordering::SeqCst);
    }

    fn draw(&self, below: u64) -> u64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).below(below)
    }

    async fn wait(&self) {
        let turns = if self.in_step.load(Ordering::SeqCst) { 1 } else { self.draw(4) };
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
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
        self.wait().await;
        self.rows.commit(commit).await
    }

    fn sequence(&self) -> Sequence {
        self.rows.sequence()
    }

    async fn snapshot(&self) -> Result<SnapshotReport, EngineError> {
        self.rows.snapshot().await
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
