//! Fills an index at a start: many rows at a time, by several threads, while nobody reads it.
//!
//! Rows are gathered until they take [`super::EmbeddedSettings::load_bytes`], so that one that
//! changes with every commit is written once for thousands of them, and go in in the order of their
//! keys. The index's mark follows when all of them are in: a process killed before leaves an index
//! that lacks nothing up to its mark, and what it holds beyond comes again. Only what some journal
//! calls durable surely does: before the rest is put in, the note goes that makes an index be
//! trusted.

use std::collections::BTreeMap;
use std::thread;

use super::index::{Entry, Index, stored};
use super::journal::Record;
use crate::engine::{EngineError, Sequence};

/// More would only be in each other's way.
const THREADS_MAX: usize = 4;
/// Fewer rows than this are not worth another thread.
const THREAD_ROWS: usize = 1_000;
/// What a gathered row takes beside its bytes, about.
const ROW_BYTES: usize = 96;

/// A row as the index keeps it; `None` removes it.
type Stored = (Vec<u8>, Option<Vec<u8>>);

/// What an index is filled through.
pub struct Loader<'i> {
    index: &'i Index,
    epoch: u64,
    bytes_max: usize,
    threads: usize,
    rows: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    bytes: usize,
    /// The last record that was gathered.
    last: Option<Sequence>,
    written: u64,
}

impl<'i> Loader<'i> {
    /// - `epoch`: of the marks.
    /// - `bytes_max`: what is gathered takes so much memory, or a record more.
    pub fn new(index: &'i Index, epoch: u64, bytes_max: usize) -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        let (rows, bytes, last, written) = (BTreeMap::new(), 0, None, 0);
        Self { index, epoch, bytes_max, threads, rows, bytes, last, written }
    }

    /// Adds a row of a snapshot.
    pub fn row(&mut self, entry: Entry) -> Result<(), EngineError> {
        let value = stored(entry.row.version, &entry.row.value);
        self.gather(entry.key, Some(value));
        self.flush_if_many()
    }

    /// Adds what a record changed. Records come in order.
    pub fn record(&mut self, record: Record) -> Result<(), EngineError> {
        for (key, value) in record.changes {
            self.gather(key, value.map(|value| stored(record.sequence, &value)));
        }
        self.last = Some(record.sequence);
        self.flush_if_many()
    }

    /// Writes the rest. Answers how many rows were written in all.
    pub fn finish(mut self) -> Result<u64, EngineError> {
        self.flush()?;
        Ok(self.written)
    }

    fn gather(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let length = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
        let (key_bytes, value_bytes) = (key.len(), length(&value));
        match self.rows.insert(key, value) {
            Some(before) => self.bytes = self.bytes.saturating_sub(length(&before)) + value_bytes,
            None => self.bytes += key_bytes + value_bytes + ROW_BYTES,
        }
    }

    fn flush_if_many(&mut self) -> Result<(), EngineError> {
        if self.bytes < self.bytes_max { Ok(()) } else { self.flush() }
    }

    /// Writes all that was gathered so far.
    pub fn flush(&mut self) -> Result<(), EngineError> {
        let rows: Vec<Stored> = std::mem::take(&mut self.rows).into_iter().collect();
        self.bytes = 0;
        self.written += rows.len() as u64;
        let share = rows.len().div_ceil(self.threads).max(THREAD_ROWS);
        let mut shares = rows.chunks(share);
        let own = shares.next().unwrap_or_default();
        let index = self.index;
        thread::scope(|scope| {
            let mut threads = Vec::new();
            for share in shares {
                let builder = thread::Builder::new().name("metadata-load".to_owned());
                let thread = builder.spawn_scoped(scope, move || index.write_rows(share));
                threads.push(thread.map_err(|error| EngineError::io("a thread", error))?);
            }
            index.write_rows(own)?;
            let stopped = |_| Err(EngineError::Damaged("a loading thread stopped".to_owned()));
            threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(stopped))
        })?;
        match self.last.take() {
            Some(last) => self.index.note(self.epoch, last),
            None => Ok(()),
        }
    }
}
