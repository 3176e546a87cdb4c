//! Copies made from what is there: records appended to several directories, files copied over.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;

use crate::error::Result;
use crate::files::{End, FileCopy, Over};
use crate::format::{FileEncoder, Record};
use crate::identifiers::{BlobId, DirectoryId};
use crate::location::{CopyAt, Location, Wanted};
use crate::piece::Piece;
use crate::reader::BlobReader;
use crate::store::{Inner, Member};
use crate::volume::Volume;

/// Stores copies by `store`, until the blob has `most` or no directory is left to try.
///
/// - `held`: directories that have a copy already. Returns only the new copies.
async fn store_copies<T, E, F: Future<Output = Result<T, E>>>(
    inner: &Inner,
    region: &str,
    blob: BlobId,
    (most, held): (usize, &[DirectoryId]),
    store: impl Fn(Arc<Member>) -> F,
) -> Vec<T> {
    let mut holders = held.to_vec();
    let mut tried = HashSet::new();
    let mut stored = Vec::new();
    while holders.len() < most && inner.check_open().is_ok() {
        let missing = most - holders.len();
        let chosen = inner.choose(region, blob, missing, &holders, &tried).await;
        if chosen.is_empty() {
            break;
        }
        let attempts = chosen.into_iter().map(|member| {
            let directory = member.volume.id();
            let copy = store(member);
            async move { (directory, copy.await) }
        });
        for (directory, result) in join_all(attempts).await {
            match result {
                Ok(copy) => {
                    holders.push(directory);
                    stored.push(copy);
                }
                Err(_) => {
                    tried.insert(directory);
                }
            }
        }
    }
    stored
}

/// Appends `record` to so many directories that the blob has all its copies.
///
/// - `held`: as of [`store_copies`].
pub(crate) async fn append_record(
    inner: &Inner,
    wanted: &Wanted,
    record: Record,
    held: &[DirectoryId],
) -> Result<Vec<CopyAt>> {
    let append = |member: Arc<Member>| {
        let record = record.clone();
        async move {
            let place = member.appender.append(record).await?;
            io::Result::Ok(CopyAt { directory: member.volume.id(), place })
        }
    };
    let (most, needed) = inner.copies(wanted);
    let stored = store_copies(inner, &wanted.region, record.blob, (most, held), append).await;
    inner.check_enough(&wanted.region, held.len() + stored.len(), needed)?;
    Ok(stored)
}

/// Appends `parts` to all files of a large blob; the copies that are still good after it. The first
/// parts are written to so many directories that the blob has all its copies.
///
/// - `copies`: `None` before the first parts.
pub(crate) async fn write_files(
    inner: &Inner,
    wanted: &Wanted,
    blob: BlobId,
    copies: Option<Vec<FileCopy>>,
    parts: Vec<Bytes>,
    end: End,
) -> Result<Vec<FileCopy>> {
    let Some(copies) = copies else { return begin_files(inner, wanted, blob, parts, end).await };
    let write = |copy: FileCopy| copy.write(parts.clone(), end);
    Ok(join_all(copies.into_iter().map(write)).await.into_iter().flatten().collect())
}

async fn begin_files(
    inner: &Inner,
    wanted: &Wanted,
    blob: BlobId,
    parts: Vec<Bytes>,
    end: End,
) -> Result<Vec<FileCopy>> {
    let begin = |member: Arc<Member>| {
        let (parts, attempt) = (parts.clone(), inner.next_attempt());
        async move {
            let volume = Arc::clone(&member.volume);
            FileCopy::new(volume, blob, inner.incarnation, attempt)?.write(parts, end).await
        }
    };
    let (most, needed) = inner.copies(wanted);
    let copies = store_copies(inner, &wanted.region, blob, (most, &[]), begin).await;
    enough_or_discarded(inner, &wanted.region, copies, needed).await
}

/// All `copies`, unless the blob must have more.
async fn enough_or_discarded(
    inner: &Inner,
    region: &str,
    copies: Vec<FileCopy>,
    needed: usize,
) -> Result<Vec<FileCopy>> {
    if let Err(error) = inner.check_enough(region, copies.len(), needed) {
        join_all(copies.into_iter().map(FileCopy::discard)).await;
        return Err(error);
    }
    Ok(copies)
}

/// Copies a large blob to further directories until it has all its copies or none is left to try;
/// all its copies then.
///
/// `known` says where the good copies are; `copies` are the same, as files of this writer.
pub(crate) async fn store_missing_copies(
    inner: &Arc<Inner>,
    wanted: &Wanted,
    known: &Location,
    description: &Bytes,
    mut copies: Vec<FileCopy>,
) -> Result<Vec<FileCopy>> {
    let (most, needed) = inner.copies(wanted);
    let held: Vec<_> = copies.iter().map(|copy| copy.volume.id()).collect();
    let copy = |member: Arc<Member>| async move {
        let volume = Arc::clone(&member.volume);
        copy_file(inner, known, description, volume, Over::Nothing).await
    };
    if !held.is_empty() {
        let count = (most, &*held);
        copies.extend(store_copies(inner, &wanted.region, known.blob, count, copy).await);
    }
    enough_or_discarded(inner, &wanted.region, copies, needed).await
}

/// Writes one more file of a large blob, durably, from verified chunks of the other copies.
pub(crate) async fn copy_file(
    inner: &Arc<Inner>,
    source: &Location,
    description: &Bytes,
    target: Arc<Volume>,
    over: Over,
) -> Result<FileCopy> {
    let (blob, attempt) = (source.blob, inner.next_attempt());
    let mut copy = FileCopy::new(target, blob, inner.incarnation, attempt)?;
    let mut encoder = FileEncoder::new(blob, inner.incarnation);
    let mut reader = BlobReader::new(Arc::clone(inner), source.clone(), 0..source.size_bytes);
    while let Some(batch) = reader.next_batch().await {
        let parts = match encoded(batch, &mut encoder).await {
            Ok(parts) => parts,
            Err(error) => {
                copy.discard().await;
                return Err(error);
            }
        };
        copy = copy.write(parts, End::Open).await?;
    }
    let mut end = Vec::new();
    encoder.finish(description, &mut end);
    Ok(copy.write(end, End::Durable(over)).await?)
}

async fn encoded(batch: Result<Vec<Piece>>, encoder: &mut FileEncoder) -> Result<Vec<Bytes>> {
    let mut parts = Vec::new();
    for mut piece in batch? {
        while let Some(bytes) = piece.next().await {
            encoder.push(bytes?, &mut parts);
        }
    }
    Ok(parts)
}
