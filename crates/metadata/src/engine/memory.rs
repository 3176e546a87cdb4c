//! An engine that keeps everything in memory and forgets it at the end. For tests.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;
use bytes::Bytes;

use super::resolve::{View, resolve};
use super::{
    Commit, CommitError, Direction, Engine, EngineError, EngineStatus, ExportStream,
    PAGE_BYTES_MAX, PAGE_ROWS_MAX, Page, Row, ScanRange, Sequence, SnapshotReport,
};

/// Rows in a map under a lock. Cheap to make; nothing is shared between two of them.
#[derive(Debug, Default)]
pub struct Memory {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    rows: BTreeMap<Vec<u8>, Row>,
    sequence: Sequence,
    commits: u64,
    closed: bool,
}

impl Memory {
    fn read(&self) -> Result<RwLockReadGuard<'_, State>, EngineError> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if state.closed { Err(EngineError::Closed) } else { Ok(state) }
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View for State {
    fn row(&self, key: &[u8]) -> Result<Option<Row>, EngineError> {
        Ok(self.rows.get(key).cloned())
    }

    fn any_row(&self, range: &ScanRange) -> Result<bool, EngineError> {
        Ok(self.rows_of(range).next().is_some())
    }
}

impl State {
    fn rows_of(&self, range: &ScanRange) -> impl DoubleEndedIterator<Item = (&Vec<u8>, &Row)> {
        // A range whose start lies behind its end is empty here and a panic in `BTreeMap`.
        let start = range.start.as_slice().min(&range.end);
        let bounds = (Bound::Included(start), Bound::Excluded(range.end.as_slice()));
        self.rows.range::<[u8], _>(if range.is_empty() {
            (Bound::Included(start), Bound::Excluded(start))
        } else {
            bounds
        })
    }
}

#[async_trait]
impl Engine for Memory {
    async fn get(&self, key: &[u8]) -> Result<Option<Row>, EngineError> {
        self.read()?.row(key)
    }

    async fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Row>>, EngineError> {
        let state = self.read()?;
        keys.iter().map(|key| state.row(key)).collect()
    }

    async fn scan(
        &self,
        range: &ScanRange,
        limit: usize,
        direction: Direction,
    ) -> Result<Page, EngineError> {
        let state = self.read()?;
        let mut rows = state.rows_of(range);
        let mut page = Page::default();
        let mut bytes = 0;
        while let Some((key, row)) = match direction {
            Direction::Forward => rows.next(),
            Direction::Backward => rows.next_back(),
        } {
            bytes += key.len() + row.value.len();
            page.rows.push((key.clone(), row.clone()));
            if page.rows.len() >= limit.clamp(1, PAGE_ROWS_MAX) || bytes >= PAGE_BYTES_MAX {
                page.next = range.after(key, direction);
                break;
            }
        }
        Ok(page)
    }

    async fn commit(&self, commit: Commit) -> Result<Sequence, CommitError> {
        commit.check()?;
        let mut state = self.write();
        if state.closed {
            return Err(EngineError::Closed.into());
        }
        let changes = resolve(commit, &*state, state.sequence + 1)?;
        if changes.is_empty() {
            return Ok(state.sequence);
        }
        state.sequence += 1;
        state.commits += 1;
        let version = state.sequence;
        for (key, value) in changes {
            match value {
                Some(value) => {
                    state.rows.insert(key, Row { version, value: Bytes::from(value) });
                }
                None => {
                    state.rows.remove(&key);
                }
            }
        }
        Ok(version)
    }

    fn sequence(&self) -> Sequence {
        self.state.read().unwrap_or_else(PoisonError::into_inner).sequence
    }

    async fn snapshot(&self) -> Result<SnapshotReport, EngineError> {
        let state = self.read()?;
        let (start, end) = (state.sequence, state.sequence);
        Ok(SnapshotReport {
            start,
            end,
            entries: state.rows.len() as u64,
            ..SnapshotReport::default()
        })
    }

    /// What nothing keeps cannot be carried elsewhere either: refused.
    fn export(&self, _: [u8; 16]) -> ExportStream {
        let (pieces, stream) = tokio::sync::mpsc::channel(1);
        let refused = EngineError::Unavailable("memory is not exported".to_owned());
        let _ = pieces.try_send(Err(refused));
        stream
    }

    fn wants_snapshot(&self) -> bool {
        false
    }

    fn status(&self) -> EngineStatus {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        EngineStatus {
            writable: !state.closed,
            sequence: state.sequence,
            commits: state.commits,
            groups: state.commits,
            ..EngineStatus::default()
        }
    }

    async fn close(&self) -> Result<(), EngineError> {
        self.write().closed = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::conformance::conformance;

    #[tokio::test(flavor = "multi_thread")]
    async fn memory_conforms() {
        conformance(|| async { Memory::default() }).await;
    }
}
