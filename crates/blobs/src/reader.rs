//! Verified reading: [`BlobReader`], and the fetch of a run of chunks from the best copies.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{self, FuturesUnordered, StreamExt as _};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::damage::{Damage, Finding};
use crate::error::{Error, Result};
use crate::files::file_name;
use crate::format::{
    CHUNK_BYTES, CRC_BYTES, FileLayout, RecordHeader, checked_chunks, checksum_offset, chunk_count,
    chunk_crc, chunk_length,
};
use crate::identifiers::DirectoryId;
use crate::location::{CopyAt, Location, Place};
use crate::piece::{Kept, Piece, Unchanged};
use crate::store::Inner;
use crate::volume::{Volume, is_shortage};

/// Chunks read at once from a disk that is waited for: 1 MiB. One run is read ahead while the one
/// before is handed out.
const RUN_CHUNKS: u64 = 8;
/// Chunks read at once as long as the bytes come from memory: few enough that the processor still
/// has them at hand when they are checked and sent. Nothing is read ahead then.
const READY_RUN_CHUNKS: u64 = 2;

/// Chunks given to the kernel at once that were found intact a moment ago.
const KNOWN_RUN_CHUNKS: u64 = 8;

/// Times `slow_read` after which another copy is asked even if its directory is slow too.
const SLOW_ROUNDS: u32 = 10;

/// A range of a blob on its way out.
pub struct BlobReader {
    inner: Arc<Inner>,
    location: Arc<Location>,
    range: Range<u64>,
    /// Chunks that have not been asked for.
    chunks: Range<u64>,
    /// First byte of the next chunk to be handed out.
    position: u64,
    /// Copies in the order in which they are asked, by index.
    order: Vec<usize>,
    ready: VecDeque<Piece>,
    failure: Option<Error>,
    /// The last run was there without waiting.
    at_hand: bool,
    ahead: Option<JoinHandle<Run>>,
}

/// What a run of chunks came to: intact chunks up to the first that no copy has.
struct Run {
    chunks: Vec<Bytes>,
    failure: Option<Error>,
    order: Vec<usize>,
    /// The copy that gave all of them, if no other was asked.
    only: Option<usize>,
    at_hand: bool,
}

impl BlobReader {
    pub(crate) fn new(
        inner: Arc<Inner>,
        location: impl Into<Arc<Location>>,
        range: Range<u64>,
    ) -> Self {
        let location = location.into();
        let valid = range.start <= range.end && range.end <= location.size_bytes;
        let chunk = CHUNK_BYTES as u64;
        let chunks = match valid && range.start < range.end {
            true => range.start / chunk..range.end.div_ceil(chunk),
            false => 0..0,
        };
        let rank = |copy: &CopyAt| inner.member(copy.directory).map_or(3, |m| m.volume.read_rank());
        let mut order: Vec<usize> = (0..location.copies.len()).collect();
        order.sort_by_key(|index| location.copies.get(*index).map(rank));
        Self {
            inner,
            location,
            range,
            position: chunks.start * chunk,
            chunks,
            order,
            ready: VecDeque::new(),
            failure: (!valid).then_some(Error::InvalidRange),
            at_hand: true,
            ahead: None,
        }
    }

    /// The next bytes of the range, checked; `None` at the end and after an error.
    ///
    /// Yields slices in order, each of at most [`CHUNK_BYTES`] (128 KiB).
    ///
    /// # Errors
    /// [`Error::Damaged`] when no copy of a chunk is intact, [`Error::Missing`] when none is where
    /// the location says, [`Error::Unavailable`] when a directory that may have it does not answer.
    /// Chunks already yielded were intact.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        match self.next_read().await? {
            Ok(mut piece) => piece.next().await,
            Err(error) => Some(Err(error)),
        }
    }

    /// As [`Self::next`], for who can let the kernel send bytes. A chunk that the kernel has in
    /// memory and that was found intact a moment ago is not read again.
    pub async fn next_piece(&mut self) -> Option<Result<Piece>> {
        match self.next_known() {
            Some(piece) => Some(Ok(piece)),
            None => self.next_read().await,
        }
    }

    async fn next_read(&mut self) -> Option<Result<Piece>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(Ok(piece));
            }
            match self.next_batch().await? {
                Ok(batch) => self.ready.extend(batch),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// As [`Self::next`], up to 1 MiB at once.
    pub(crate) async fn next_batch(&mut self) -> Option<Result<Vec<Piece>>> {
        if let Some(error) = self.failure.take() {
            self.chunks = 0..0;
            return Some(Err(error));
        }
        // Looked at before the read: what is written after that shows.
        let mut file = None;
        let run = match self.ahead.take() {
            Some(ahead) => ahead.await.unwrap_or_else(|_| Run {
                chunks: Vec::new(),
                failure: Some(Error::Unavailable(self.location.blob)),
                order: Vec::new(),
                only: None,
                at_hand: false,
            }),
            None => {
                file = self.sendable();
                let chunks = self.next_run()?;
                fetch(&self.inner, &self.location, chunks, self.order.clone()).await
            }
        };
        self.order = run.order;
        self.failure = run.failure;
        self.at_hand = run.at_hand;
        if self.failure.is_none() && !self.at_hand {
            self.read_ahead();
        }
        let file = file.filter(|file| run.at_hand && run.only == Some(file.copy));
        let cut = |chunk| self.cut(chunk, file.as_ref());
        let cut: Vec<Piece> = run.chunks.into_iter().map(cut).collect();
        match cut.is_empty() {
            true => self.failure.take().map(Err),
            false => Some(Ok(cut)),
        }
    }

    fn next_run(&mut self) -> Option<Range<u64>> {
        let start = self.chunks.start;
        let most = if self.at_hand { READY_RUN_CHUNKS } else { RUN_CHUNKS };
        let end = self.chunks.end.min(start + most);
        self.chunks.start = end;
        (start < end).then_some(start..end)
    }

    fn read_ahead(&mut self) {
        let Some(chunks) = self.next_run() else { return };
        let (inner, location) = (Arc::clone(&self.inner), Arc::clone(&self.location));
        let order = self.order.clone();
        self.ahead = Some(
            self.inner.runtime.spawn(async move { fetch(&inner, &location, chunks, order).await }),
        );
    }

    /// The next chunks, if nothing has to be read to know that they are intact.
    fn next_known(&mut self) -> Option<Piece> {
        let next = self.ready.is_empty() && self.ahead.is_none() && self.failure.is_none();
        if !next || self.chunks.is_empty() {
            return None;
        }
        let file = self.sendable()?;
        let most = match file.layout {
            FileLayout::Interleaved => 1,
            FileLayout::Contiguous => KNOWN_RUN_CHUNKS,
        };
        let start = self.chunks.start;
        let run = start..self.chunks.end.min(start + most);
        let at = |chunk| (self.location.blob, file.directory, file.layout, chunk);
        let (count, checked) =
            self.inner.verdicts.checked(run.map(at), file.unchanged.changed())?;
        let end = start + count;
        let bytes = self.wanted_of(start).start..self.wanted_of(end - 1).end;
        let kept = self.kept_at(&file, start, checked);
        let length = usize::try_from(bytes.end - bytes.start).ok()?;
        let (inner, location) = (Arc::clone(&self.inner), Arc::clone(&self.location));
        let again = move |skipped: usize| {
            let reader = Self::new(inner, location, bytes.start + skipped as u64..bytes.end);
            stream::unfold(reader, |mut reader| async { Some((reader.next().await?, reader)) })
                .boxed()
        };
        self.chunks.start = end;
        self.position = end * CHUNK_BYTES as u64;
        Some(Piece::known(length, kept, Box::new(again)))
    }

    /// The file of the copy that is asked first, if the kernel can send from that.
    fn sendable(&self) -> Option<Sendable> {
        let copy = self.order.first().copied()?;
        let CopyAt { directory, place: Place::File(layout) } = *self.location.copies.get(copy)?
        else {
            return None;
        };
        let volume = &self.inner.member(directory)?.volume;
        let unchanged = volume.sendable(&file_name(self.location.blob, layout))?;
        Some(Sendable { copy, directory, layout, unchanged })
    }

    /// The bytes of a chunk that are in the range.
    fn wanted_of(&self, chunk: u64) -> Range<u64> {
        let start = chunk * CHUNK_BYTES as u64;
        let end = start + chunk_length(self.location.size_bytes, chunk) as u64;
        start.max(self.range.start)..end.min(self.range.end)
    }

    /// Where the file has the wanted bytes from a chunk on.
    fn kept_at(&self, file: &Sendable, chunk: u64, checked: Instant) -> Kept {
        let skipped = self.wanted_of(chunk).start - chunk * CHUNK_BYTES as u64;
        Kept::new(file.unchanged.clone(), file.layout.chunk_offset(chunk) + skipped, checked)
    }

    /// The part of the next chunk that lies in the range; the file of a copy has it too.
    fn cut(&mut self, bytes: Bytes, file: Option<&Sendable>) -> Piece {
        let chunk = self.position / CHUNK_BYTES as u64;
        let wanted = self.wanted_of(chunk);
        let kept = file.map(|file| {
            let at = (self.location.blob, file.directory, file.layout, chunk);
            self.inner.verdicts.note(at, file.unchanged.changed());
            self.kept_at(file, chunk, Instant::now())
        });
        // Both fit: a chunk is small, and the range touches it.
        let wanted = (wanted.start - self.position) as usize..(wanted.end - self.position) as usize;
        self.position += bytes.len() as u64;
        Piece::new(bytes.slice(wanted), kept)
    }
}

/// The file of a copy that the kernel can send from.
struct Sendable {
    /// By index.
    copy: usize,
    directory: DirectoryId,
    layout: FileLayout,
    unchanged: Unchanged,
}

/// Why a copy gave no chunk at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Missing,
    Corrupt,
    /// The directory is absent or does not answer, or the process is short of something: nothing
    /// is known of the copy.
    Unavailable,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::TimedOut | io::ErrorKind::NotConnected => Self::Unavailable,
            _ if is_shortage(&error) => Self::Unavailable,
            _ => Self::Corrupt,
        }
    }
}

/// Chunks of one copy; `None` for those that are damaged.
pub(crate) type Fetched = std::result::Result<Vec<Option<Bytes>>, Failure>;

/// Reads a run of chunks, and notes whether it came without waiting.
async fn fetch(inner: &Inner, location: &Location, chunks: Range<u64>, order: Vec<usize>) -> Run {
    let mut run = pin!(fetch_best(inner, location, chunks, order));
    match run.as_mut().now_or_never() {
        Some(run) => Run { at_hand: true, ..run },
        None => run.await,
    }
}

/// Reads a run of chunks, from further copies as far as the first ones fail or are slow.
async fn fetch_best(
    inner: &Inner,
    location: &Location,
    chunks: Range<u64>,
    order: Vec<usize>,
) -> Run {
    let length = usize::try_from(chunks.end - chunks.start).unwrap_or(0);
    let mut whole: Vec<Option<Bytes>> = vec![None; length];
    let mut failures: Vec<(usize, Failure)> = Vec::new();
    let mut waiting: VecDeque<usize> = order.iter().copied().collect();
    let mut running: FuturesUnordered<BoxFuture<'_, (usize, Fetched)>> = FuturesUnordered::new();
    let mut slow: Vec<usize> = Vec::new();
    let mut asked = Vec::new();
    let mut patience = SLOW_ROUNDS;
    while whole.iter().any(Option::is_none) {
        if running.is_empty() {
            let Some(next) = waiting.pop_front() else { break };
            asked.push(next);
            running.push(Box::pin(ask(inner, location, next, chunks.clone())));
        }
        tokio::select! {
            Some((index, fetched)) = running.next() => {
                asked.retain(|other| *other != index);
                if let Err(failure) = merge(&mut whole, fetched) {
                    failures.push((index, failure));
                }
            }
            () = sleep(inner.settings.slow_read), if !waiting.is_empty() => {
                for index in asked.iter().filter(|index| !slow.contains(index)) {
                    note_slow(inner, location, *index);
                }
                slow.extend(&asked);
                patience = patience.saturating_sub(1);
                let quick = |index: &usize| patience == 0 || is_quick(inner, location, *index);
                let Some(next) = waiting.pop_front_if(|index| quick(index)) else { continue };
                asked.push(next);
                running.push(Box::pin(ask(inner, location, next, chunks.clone())));
            }
        }
    }
    drop(running);
    let one = failures.is_empty() && waiting.len() + 1 == order.len();
    let only = order.first().copied().filter(|_| one);
    let complete = whole.iter().all(Option::is_some);
    let failure = (!complete).then(|| verdict(location, &failures));
    report(inner, location, &failures, complete);
    let bad = |index: &usize| slow.contains(index) || failures.iter().any(|(i, _)| i == index);
    let (last, mut order): (Vec<usize>, Vec<usize>) = order.into_iter().partition(bad);
    order.extend(last);
    Run {
        chunks: whole.into_iter().map_while(|chunk| chunk).collect(),
        failure,
        order,
        only,
        at_hand: false,
    }
}

async fn ask(
    inner: &Inner,
    location: &Location,
    index: usize,
    chunks: Range<u64>,
) -> (usize, Fetched) {
    let copy = location.copies.get(index);
    let found = copy.and_then(|copy| Some((copy, inner.member(copy.directory)?)));
    let fetched = match found {
        Some((copy, member)) => fetch_copy(&member.volume, location, copy, chunks).await,
        None => Err(Failure::Unavailable),
    };
    (index, fetched)
}

/// Fills the gaps of `whole`; a failure if this copy had a damaged chunk.
fn merge(whole: &mut [Option<Bytes>], fetched: Fetched) -> std::result::Result<(), Failure> {
    let fetched = fetched?;
    let damaged = fetched.iter().any(Option::is_none);
    for (slot, chunk) in whole.iter_mut().zip(fetched) {
        if slot.is_none() {
            *slot = chunk;
        }
    }
    if damaged { Err(Failure::Corrupt) } else { Ok(()) }
}

fn note_slow(inner: &Inner, location: &Location, index: usize) {
    let copy = location.copies.get(index);
    if let Some(member) = copy.and_then(|copy| inner.member(copy.directory)) {
        member.volume.note_slow();
    }
}

/// When all directories are slow they are overloaded, and asking them twice would make it worse.
fn is_quick(inner: &Inner, location: &Location, index: usize) -> bool {
    let copy = location.copies.get(index);
    copy.and_then(|copy| inner.member(copy.directory)).is_some_and(|m| m.volume.read_rank() == 0)
}

/// What to say when a chunk was to be had nowhere.
fn verdict(location: &Location, failures: &[(usize, Failure)]) -> Error {
    let any = |wanted| failures.iter().any(|(_, failure)| *failure == wanted);
    match () {
        () if any(Failure::Unavailable) => Error::Unavailable(location.blob),
        () if any(Failure::Corrupt) => Error::Damaged(location.blob),
        () => Error::Missing(location.blob),
    }
}

/// Queues bad copies for repair. A location of which no copy is there is merely old.
fn report(inner: &Inner, location: &Location, failures: &[(usize, Failure)], complete: bool) {
    let corrupt = failures.iter().any(|(_, failure)| *failure == Failure::Corrupt);
    for (index, failure) in failures {
        let what = match failure {
            Failure::Corrupt => Damage::Corrupt,
            Failure::Missing if complete || corrupt => Damage::Missing,
            _ => continue,
        };
        if let Some(copy) = location.copies.get(*index) {
            let (blob, directory) = (location.blob, copy.directory);
            inner.damage.push(Finding { blob, directory, what });
        }
    }
}

/// Reads and checks a run of chunks of one copy.
pub(crate) async fn fetch_copy(
    volume: &Volume,
    location: &Location,
    copy: &CopyAt,
    chunks: Range<u64>,
) -> Fetched {
    match copy.place {
        Place::File(layout) => fetch_from_file(volume, location, layout, chunks).await,
        Place::Segment { .. } => {
            let (_, record, header) = read_record(volume, location, copy).await?;
            let Some((_, checksums)) = header.front(&record) else { return Err(Failure::Corrupt) };
            let first = usize::try_from(chunks.start).map_err(|_| Failure::Corrupt)?;
            let start = header.payload_offset() + first.saturating_mul(CHUNK_BYTES);
            let payload = record.slice(start.min(record.len())..);
            let checksums = checksums.get(first * CRC_BYTES..).unwrap_or_default();
            Ok(checked_chunks(location.blob, location.size_bytes, chunks, payload, checksums))
        }
    }
}

async fn fetch_from_file(
    volume: &Volume,
    location: &Location,
    layout: FileLayout,
    chunks: Range<u64>,
) -> Fetched {
    let Location { blob, size_bytes, .. } = *location;
    if chunks.end > chunk_count(size_bytes) {
        return Err(Failure::Corrupt);
    }
    let file = file_name(blob, layout);
    let lengths = chunks.clone().map(|chunk| chunk_length(size_bytes, chunk));
    let offset = layout.chunk_offset(chunks.start);
    match layout {
        FileLayout::Contiguous => {
            let count = usize::try_from(chunks.end - chunks.start).unwrap_or(0);
            let payload = (offset, lengths.sum());
            let checksums = (checksum_offset(size_bytes, chunks.start), count * CRC_BYTES);
            let (payload, checksums) = volume.read_both(&file, payload, checksums).await?;
            Ok(checked_chunks(blob, size_bytes, chunks, payload, &checksums))
        }
        FileLayout::Interleaved => {
            let lengths = lengths.map(|length| length + CRC_BYTES);
            let mut bytes = volume.read_at(&file, offset, lengths.clone().sum()).await?;
            let next = |(chunk, length): (u64, usize)| {
                let mut data = bytes.split_to(length.min(bytes.len()));
                let checksum = data.split_off(length.checked_sub(CRC_BYTES)?.min(data.len()));
                let right = checksum == chunk_crc(blob, chunk, &data).to_le_bytes()[..];
                right.then_some(data)
            };
            Ok(chunks.zip(lengths).map(next).collect())
        }
    }
}

/// Description, whole record and header of a copy in a segment; the payload is not checked yet.
///
/// A record of another blob, or none, means that the location is old.
pub(crate) async fn read_record(
    volume: &Volume,
    location: &Location,
    copy: &CopyAt,
) -> std::result::Result<(Bytes, Bytes, RecordHeader), Failure> {
    let Place::Segment { segment, offset, length } = copy.place else {
        return Err(Failure::Missing);
    };
    // A location is from metadata, but its length must not decide how much memory is taken.
    let limit =
        location.size_bytes.saturating_add(64 * 1024).saturating_add(location.size_bytes / 64);
    let length = usize::try_from(length.min(limit)).map_err(|_| Failure::Corrupt)?;
    let record = volume.read_at(&segment.file(), offset, length).await?;
    let Some(header) = RecordHeader::decode(&record) else { return Err(Failure::Corrupt) };
    if header.blob != location.blob {
        return Err(Failure::Missing);
    }
    let here = header.segment == segment
        && header.offset == offset
        && u64::from(header.payload_bytes) == location.size_bytes;
    let (description, _) = header.front(&record).filter(|_| here).ok_or(Failure::Corrupt)?;
    Ok((description, record, header))
}
