//! Push-style writing: [`BlobWriter`].
//!
//! Bytes are kept in memory until they are too many for a segment; from then on they go to files
//! in all chosen directories at once, one batch being written while the next one is gathered.

use std::mem;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::future::join_all;
use tokio::task::JoinHandle;

use crate::copying::{append_record, store_missing_copies, write_files};
use crate::error::{Error, Result};
use crate::files::{End, FileCopy, Over};
use crate::format::{DESCRIPTION_BYTES_MAX, FileEncoder, PAGE_BYTES, Record};
use crate::identifiers::BlobId;
use crate::location::{CopyAt, Location, Wanted};
use crate::room::Held;
use crate::store::Inner;

/// Bytes beyond which what was gathered is written, while there is room; twice this and the last
/// piece is held by a writer at most.
const BATCH_BYTES: usize = 1024 * 1024;
/// Pieces shorter than this are copied together, or the list of pieces would outweigh them.
const SHORT_PIECE_BYTES: usize = 4096;

/// A blob that is being written. Dropped before [`Self::finish`], it leaves nothing.
pub struct BlobWriter {
    inner: Arc<Inner>,
    wanted: Wanted,
    blob: BlobId,
    description: Bytes,
    size_bytes: u64,
    pieces: Pieces,
    /// Counts `pieces`.
    held: Held,
    large: Option<LargeWriter>,
}

impl BlobWriter {
    pub(crate) fn new(inner: Arc<Inner>, wanted: Wanted, blob: BlobId, description: Bytes) -> Self {
        let pieces = Pieces::default();
        let held = inner.room.hold();
        Self { inner, wanted, blob, description, size_bytes: 0, pieces, held, large: None }
    }

    /// Replaces the description. It is written last, so it may tell what the bytes turned out to
    /// be.
    pub fn set_description(&mut self, description: Bytes) {
        self.description = description;
    }

    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Adds `bytes` to the blob. Waits while the directories are behind.
    ///
    /// # Errors
    /// Any error is final: drop the writer.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.inner.check_open()?;
        self.size_bytes += bytes.len() as u64;
        self.held.add(bytes.len());
        self.pieces.push(bytes);
        let room = &self.inner.room;
        let small_bytes = room.share(self.inner.settings.small_blob_bytes);
        if self.large.is_none() && self.pieces.bytes > small_bytes {
            if room.is_used_up() {
                return Err(Error::Overloaded);
            }
            self.large = Some(LargeWriter::new(&self.inner, &self.wanted, self.blob));
        }
        match &mut self.large {
            Some(large) if self.pieces.bytes > self.inner.room.share(BATCH_BYTES) => {
                let pieces = self.pieces.take_pages();
                let held = self.held.take();
                self.held.add(self.pieces.bytes);
                large.write(pieces, held).await?;
                match self.inner.room.is_used_up() {
                    true => large.settle().await,
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Makes the blob durable in all its copies and tells where they are.
    ///
    /// # Errors
    /// [`Error::TooFewCopies`] or [`Error::NoSpace`]: nothing counts as stored.
    pub async fn finish(mut self) -> Result<Location> {
        self.inner.check_open()?;
        if self.description.len() > DESCRIPTION_BYTES_MAX {
            return Err(Error::DescriptionTooLong);
        }
        let pieces = self.pieces.take();
        let copies = match &mut self.large {
            None => {
                let record = Record::new(self.blob, &self.description, pieces);
                append_record(&self.inner, &self.wanted, record, &[]).await?
            }
            Some(large) => {
                large.finish(pieces, self.held.take(), self.size_bytes, &self.description).await?
            }
        };
        let Self { blob, size_bytes, .. } = self;
        Ok(Location { blob, size_bytes, wish: self.wanted.copies, copies })
    }
}

/// Bytes that wait, without copying those that are worth a slice of their own.
#[derive(Default)]
struct Pieces {
    pieces: Vec<Bytes>,
    short: BytesMut,
    bytes: usize,
}

impl Pieces {
    fn push(&mut self, piece: Bytes) {
        self.bytes += piece.len();
        if piece.len() < SHORT_PIECE_BYTES {
            self.short.extend_from_slice(&piece);
            return;
        }
        self.end_short();
        self.pieces.push(piece);
    }

    fn take(&mut self) -> Vec<Bytes> {
        self.end_short();
        self.bytes = 0;
        mem::take(&mut self.pieces)
    }

    /// What there is but the last part of a page, which stays: batches then begin where pages do.
    fn take_pages(&mut self) -> Vec<Bytes> {
        let mut rest = self.bytes % PAGE_BYTES;
        let mut pieces = self.take();
        let mut staying = Vec::new();
        while rest > 0 {
            let Some(mut last) = pieces.pop() else { break };
            let end = last.split_off(last.len() - rest.min(last.len()));
            rest -= end.len();
            staying.push(end);
            pieces.extend(Some(last).filter(|last| !last.is_empty()));
        }
        staying.into_iter().rev().for_each(|piece| self.push(piece));
        pieces
    }

    fn end_short(&mut self) {
        if !self.short.is_empty() {
            self.pieces.push(self.short.split().freeze());
        }
    }
}

/// The copies that are still good after a step; the others have been discarded.
type Copies = Vec<FileCopy>;

/// Writes one file in each of several directories. Steps run in tasks of their own, so that
/// dropping the writer never leaves a half-done one behind.
struct LargeWriter {
    inner: Arc<Inner>,
    wanted: Wanted,
    blob: BlobId,
    encoder: FileEncoder,
    /// `None` before the first write.
    copies: Option<Copies>,
    step: Option<JoinHandle<Result<Copies>>>,
}

impl LargeWriter {
    fn new(inner: &Arc<Inner>, wanted: &Wanted, blob: BlobId) -> Self {
        Self {
            inner: Arc::clone(inner),
            wanted: wanted.clone(),
            blob,
            encoder: FileEncoder::new(blob, inner.incarnation),
            copies: None,
            step: None,
        }
    }

    async fn write(&mut self, pieces: Vec<Bytes>, held: Held) -> Result<()> {
        let mut parts = Vec::with_capacity(pieces.len());
        pieces.into_iter().for_each(|piece| self.encoder.push(piece, &mut parts));
        self.settle().await?;
        let (inner, wanted, blob) = (Arc::clone(&self.inner), self.wanted.clone(), self.blob);
        let copies = self.copies.take();
        self.step = Some(self.inner.runtime.spawn(async move {
            let copies = write_files(&inner, &wanted, blob, copies, parts, End::Open).await;
            drop(held);
            copies
        }));
        Ok(())
    }

    /// Waits for the running step.
    async fn settle(&mut self) -> Result<()> {
        if let Some(step) = &mut self.step {
            let result = step.await;
            self.step = None;
            // A step that failed or panicked left nothing that could be used.
            self.copies = Some(Vec::new());
            if let Ok(copies) = result {
                self.copies = Some(copies?);
            }
        }
        match &self.copies {
            Some(copies) if copies.is_empty() => {
                let (_, needed) = self.inner.copies(&self.wanted);
                self.inner.check_enough(&self.wanted.region, 0, needed)
            }
            _ => Ok(()),
        }
    }

    async fn finish(
        &mut self,
        pieces: Vec<Bytes>,
        held: Held,
        size_bytes: u64,
        description: &Bytes,
    ) -> Result<Vec<CopyAt>> {
        let mut end = Vec::with_capacity(pieces.len() + 5);
        pieces.into_iter().for_each(|piece| self.encoder.push(piece, &mut end));
        self.encoder.finish(description, &mut end);
        self.settle().await?;
        let (inner, wanted, blob) = (Arc::clone(&self.inner), self.wanted.clone(), self.blob);
        let (copies, description) = (self.copies.take(), description.clone());
        self.step = Some(self.inner.runtime.spawn(async move {
            let (whole, durable) = (copies.is_none(), End::Durable(Over::Nothing));
            let copies = write_files(&inner, &wanted, blob, copies, end, durable).await?;
            drop(held);
            if whole {
                return Ok(copies);
            }
            let (wish, copies_at) = (wanted.copies, places(&copies));
            let known = Location { blob, size_bytes, wish, copies: copies_at };
            store_missing_copies(&inner, &wanted, &known, &description, copies).await
        }));
        self.settle().await?;
        Ok(places(&self.copies.take().unwrap_or_default()))
    }
}

impl Drop for LargeWriter {
    fn drop(&mut self) {
        let (step, copies) = (self.step.take(), self.copies.take().unwrap_or_default());
        if step.is_none() && copies.is_empty() {
            return;
        }
        self.inner.runtime.spawn(async move {
            let running = match step {
                Some(step) => step.await.ok().and_then(Result::ok).unwrap_or_default(),
                None => Vec::new(),
            };
            join_all(running.into_iter().chain(copies).map(FileCopy::discard)).await;
        });
    }
}

fn places(copies: &[FileCopy]) -> Vec<CopyAt> {
    copies.iter().map(FileCopy::at).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn batches_are_whole_pages_and_lose_no_byte(
            lengths in proptest::collection::vec((0..20_000_usize, any::<bool>()), 1..40),
        ) {
            let mut pieces = Pieces::default();
            let (mut given, mut taken) = (Vec::new(), Vec::new());
            for (length, takes) in lengths {
                let bytes = given.len()..given.len() + length;
                let piece: Vec<u8> = bytes.map(|at| (at % 251) as u8).collect();
                given.extend_from_slice(&piece);
                pieces.push(piece.into());
                if takes {
                    let batch = pieces.take_pages().concat();
                    prop_assert_eq!(batch.len() % PAGE_BYTES, 0);
                    taken.extend(batch);
                    prop_assert!(pieces.bytes < PAGE_BYTES);
                    prop_assert_eq!(taken.len() + pieces.bytes, given.len());
                }
            }
            taken.extend(pieces.take().concat());
            prop_assert!(taken == given);
        }
    }
}
