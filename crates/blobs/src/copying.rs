//! Copies made from what is there: records appended to several directories, files copied over.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;

use crate::error::{Error, Result};
use crate::files::FileCopy;
use crate::format::{FileEncoder, Record};
use crate::identifiers::DirectoryId;
use crate::location::{CopyAt, Location, Wanted};
use crate::reader::BlobReader;
use crate::store::{Inner, Member};
use crate::volume::Volume;

/// Appends `record` to so many directories that the blob has all its copies.
///
/// - `held`: directories that have a copy already. Returns only the new copies.
pub(crate) async fn append_record(
    inner: &Inner,
    wanted: &Wanted,
    record: Record,
    held: &[DirectoryId],
) -> Result<Vec<CopyAt>> {
    let (most, needed) = inner.copies(wanted);
    let region = &wanted.region;
    let mut holders = held.to_vec();
    let mut tried = HashSet::new();
    let mut stored = Vec::new();
    while holders.len() < most {
        let missing = most - holders.len();
        let chosen = inner.choose(region, record.blob, missing, &holders, &tried).await;
        if chosen.is_empty() {
            break;
        }
        let append = |member: Arc<Member>, record: Record| async move {
            (member.volume.id(), member.appender.append(record).await)
        };
        let appends = chosen.into_iter().map(|member| append(member, record.clone()));
        for (directory, result) in join_all(appends).await {
            match result {
                Ok(place) => {
                    holders.push(directory);
                    stored.push(CopyAt { directory, place });
                }
                Err(_) => {
                    inner.check_open()?;
                    tried.insert(directory);
                }
            }
        }
    }
    match holders.len() {
        enough if enough >= needed => Ok(stored),
        possible => Err(inner.too_few(region, possible, needed)),
    }
}

/// Copies a large blob to further directories until it has all its copies or none is left to try.
///
/// `known` says where the good copies are; `copies` are the same, as files of this writer.
pub(crate) async fn store_missing_copies(
    inner: &Arc<Inner>,
    wanted: &Wanted,
    known: &Location,
    description: &Bytes,
    mut copies: Vec<FileCopy>,
) -> Vec<FileCopy> {
    let (most, _) = inner.copies(wanted);
    let mut tried = HashSet::new();
    while copies.len() < most && !copies.is_empty() {
        let held: Vec<_> = copies.iter().map(|copy| copy.volume.id()).collect();
        let chosen = inner.choose(&wanted.region, known.blob, 1, &held, &tried).await;
        let Some(member) = chosen.first() else { break };
        let volume = Arc::clone(&member.volume);
        match copy_file(inner, known, description, volume, Over::Nothing).await {
            Ok(copy) => copies.push(copy),
            Err(_) => {
                tried.insert(member.volume.id());
            }
        }
    }
    copies
}

/// What stands at the place of a new file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Nothing,
    DamagedCopy,
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
    let mut copy = FileCopy::create(target, blob, inner.incarnation, attempt).await?;
    match fill(inner, source, description, &mut copy, over).await {
        Ok(()) => Ok(copy),
        Err(error) => {
            copy.discard().await;
            Err(error)
        }
    }
}

async fn fill(
    inner: &Arc<Inner>,
    source: &Location,
    description: &Bytes,
    copy: &mut FileCopy,
    over: Over,
) -> Result<()> {
    let mut encoder = FileEncoder::new(source.blob, inner.incarnation);
    let mut reader = BlobReader::new(Arc::clone(inner), source.clone(), 0..source.size_bytes);
    while let Some(batch) = reader.next_batch().await {
        let mut parts = Vec::new();
        for mut piece in batch? {
            while let Some(bytes) = piece.next().await {
                encoder.push(bytes?, &mut parts);
            }
        }
        copy.append(parts).await?;
    }
    let mut end = Vec::new();
    encoder.finish(description, &mut end);
    copy.append(end).await?;
    match over {
        Over::Nothing => copy.publish().await,
        Over::DamagedCopy => copy.publish_over_old().await,
    }
    .map_err(Error::Io)
}
