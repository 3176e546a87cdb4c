//! Doors for the instruction counts in `tests/counts`: built only with the feature `counting`.

use std::path::Path;

use super::index::{Entry, Index};
use super::journal::{FileId, GroupWriter, Record};
use super::loading::Loader;
use crate::engine::{Direction, EngineError, Page, Row, ScanRange};

type Put = (Vec<u8>, Vec<u8>);

/// Commits ready for the journal: keys with the values put there.
pub struct Group(Vec<Record>);

impl Group {
    pub fn new(commits: Vec<Vec<Put>>) -> Self {
        let record = |(changes, sequence): (Vec<Put>, u64)| {
            let changes = changes.into_iter().map(|(key, value)| (key, Some(value))).collect();
            Record { sequence, changes }
        };
        Self(commits.into_iter().zip(1..).map(record).collect())
    }

    /// The bytes that are written and synced for the group.
    pub fn encode(&self) -> Vec<u8> {
        let id = FileId { epoch: 1, base: 0, nonce: 7 };
        let mut writer = GroupWriter::new(id, id.seed(), 0);
        self.0.iter().for_each(|record| writer.push(record));
        writer.finish().0
    }
}

/// An index on disk.
pub struct Rows(Index);

impl Rows {
    /// # Errors
    /// When the index cannot be made.
    pub fn new(path: &Path, rows: Vec<Put>) -> Result<Self, EngineError> {
        let index = Index::open(path, 64 << 20)?;
        let mut loader = Loader::new(&index, 1, 1 << 20);
        for (key, value) in rows {
            loader.row(Entry { key, row: Row { version: 1, value: value.into() } })?;
        }
        loader.finish()?;
        Ok(Self(index))
    }

    /// # Errors
    /// When the index is damaged.
    pub fn scan(&self, range: &ScanRange, limit: usize) -> Result<Page, EngineError> {
        self.0.scan(range, limit, Direction::Forward)
    }
}
