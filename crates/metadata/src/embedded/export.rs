//! An exact copy of all rows at one moment, as one stream: a snapshot, and the journal that makes
//! it exact.
//!
//! Both have the form they have on disk, cut into pieces that chain a checksum, with an end that
//! says what there should have been. The layout byte by byte is in
//! `docs/on-disk-format-metadata.md`; the way back is in `super::import`.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::commit::random;
use super::fields::{Fields, checksum, length32, sealed, verified};
use super::index::Index;
use super::journal::{FileId, Reader};
use super::log::{Log, MemberFiles};
use super::maintain::{Place, write_rows};
use super::members::name;
use super::shared::Shared;
use crate::engine::{EngineError, ExportStream, MemberState, Sequence};

pub const HEADER_BYTES: usize = 60;
const HEADER_MAGIC: &[u8; 8] = b"LRDEXPT\0";
const FORMAT: u32 = 1;
pub const PIECE_HEADER_BYTES: usize = 12;
/// The largest piece is a group of the journal.
pub const PIECE_BYTES_MAX: u32 = 16 << 20;

/// What a piece holds. They come in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Snapshot = 1,
    Journal = 2,
    End = 3,
}

/// What an export begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whose rows these are.
    pub origin: [u8; 16],
    /// The epoch in which they were read.
    pub epoch: u64,
    /// Of the journal file.
    pub nonce: u64,
    pub created_unix_s: u64,
}

/// What an export ends with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// The export is what there was after this commit, and before the next one.
    pub sequence: Sequence,
    /// Of the snapshot; the journal file has the records after it.
    pub start: Sequence,
    /// In the snapshot.
    pub rows: u64,
    /// Of the two files.
    pub snapshot_bytes: u64,
    pub journal_bytes: u64,
}

impl Header {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = HEADER_MAGIC.to_vec();
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend(self.origin);
        for number in [self.epoch, self.nonce, self.created_unix_s] {
            bytes.extend(number.to_le_bytes());
        }
        sealed(bytes)
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(verified(bytes)?);
        (fields.bytes(8)? == HEADER_MAGIC && fields.u32()? == FORMAT).then_some(())?;
        fields.u32()?;
        let origin = fields.id()?;
        let (epoch, nonce, created_unix_s) = (fields.u64()?, fields.u64()?, fields.u64()?);
        Some(Self { origin, epoch, nonce, created_unix_s })
    }
}

impl End {
    pub fn encode(&self) -> Vec<u8> {
        let Self { sequence, start, rows, snapshot_bytes, journal_bytes } = *self;
        let numbers = [sequence, start, rows, snapshot_bytes, journal_bytes];
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let (sequence, start, rows) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let (snapshot_bytes, journal_bytes) = (fields.u64()?, fields.u64()?);
        let end = Self { sequence, start, rows, snapshot_bytes, journal_bytes };
        fields.0.is_empty().then_some(end)
    }
}

impl Kind {
    pub fn parse(number: u32) -> Option<Self> {
        [Self::Snapshot, Self::Journal, Self::End].into_iter().find(|kind| *kind as u32 == number)
    }
}

/// The chain over a piece, whose header begins with `fixed`.
pub fn chained(chain: u32, fixed: &[u8], content: &[u8]) -> u32 {
    checksum(&[&chain.to_le_bytes(), fixed, content])
}

/// Who takes the export, piece by piece.
pub type Taker<'a> = &'a mut dyn FnMut(Bytes) -> Result<(), EngineError>;

struct Writer<'a> {
    take: Taker<'a>,
    chain: u32,
}

impl Writer<'_> {
    fn piece(&mut self, kind: Kind, content: &[u8]) -> Result<(), EngineError> {
        let mut piece = Vec::with_capacity(PIECE_HEADER_BYTES + content.len());
        piece.extend((kind as u32).to_le_bytes());
        piece.extend(length32(content.len()).to_le_bytes());
        self.chain = chained(self.chain, &piece, content);
        piece.extend(self.chain.to_le_bytes());
        piece.extend(content);
        (self.take)(piece.into())
    }
}

/// An export that did not begin.
pub fn refused(error: EngineError) -> ExportStream {
    let (pieces, stream) = tokio::sync::mpsc::channel(1);
    let _ = pieces.try_send(Err(error));
    stream
}

/// Hands an export to `take`, while commits and snapshots go on.
///
/// - `origin`: whose rows these are; an import asks for the same.
///
/// # Errors
/// The first error of `take`, or when the rows or the journal cannot be read. What was handed out
/// by then has no end, and is refused by every import.
pub fn write(
    (places, index, shared): (&[Place], &Index, &Arc<Shared>),
    origin: [u8; 16],
    take: Taker<'_>,
) -> Result<End, EngineError> {
    let _wanted = shared.want_journal(index.applied());
    let created_unix_s = std::time::UNIX_EPOCH.elapsed().map_or(0, |now| now.as_secs());
    let header = Header { origin, epoch: shared.epoch(), nonce: random(), created_unix_s };
    let bytes = header.encode();
    let mut writer = Writer { chain: checksum(&[&bytes]), take };
    (writer.take)(bytes.into())?;

    let mut end = End::default();
    let (snapshot, rows) = write_rows(index, (header.epoch, created_unix_s), &mut |bytes| {
        end.snapshot_bytes += bytes.len() as u64;
        writer.piece(Kind::Snapshot, bytes)
    })?;
    (end.sequence, end.start, end.rows) = (snapshot.end, snapshot.start, rows);

    let file = FileId { epoch: header.epoch, base: end.start, nonce: header.nonce };
    let log = log_of(places, shared, (end.start, end.sequence))?;
    let mut journal = |bytes: &[u8]| {
        end.journal_bytes += bytes.len() as u64;
        writer.piece(Kind::Journal, bytes)
    };
    journal(&file.header(end.sequence))?;
    log.copy(file, &mut journal)?;
    writer.piece(Kind::End, &end.encode())?;
    Ok(end)
}

/// The log from `start` to `end`, from whichever directories have it.
fn log_of(
    places: &[Place],
    shared: &Shared,
    (start, end): (Sequence, Sequence),
) -> Result<Log, EngineError> {
    let status = shared.status(end);
    let mut members = Vec::new();
    for place in places {
        let found = status.members.iter().find(|member| member.id == place.id);
        if found.is_none_or(|member| member.state != MemberState::Active) {
            continue;
        }
        match journals(place, (start, end)) {
            Ok(files) => members.push(files),
            Err(error) => {
                tracing::warn!(directory = name(&place.id), %error, "not read for an export");
            }
        }
    }
    let mut log = Log::merge(members, end)?;
    log.end_at(end);
    Ok(log)
}

/// What a directory has of the log from `start` to `end`.
fn journals(place: &Place, (start, end): (Sequence, Sequence)) -> io::Result<MemberFiles> {
    let names = place.files.list()?;
    let mut ids: Vec<_> = names.iter().filter_map(|name| FileId::parse(name)).collect();
    ids.sort_unstable();
    let first = ids.iter().rposition(|file| file.base <= start).unwrap_or(0);
    let mut files = MemberFiles {
        id: place.id,
        files: Arc::clone(&place.files),
        current: true,
        summaries: Default::default(),
    };
    for id in ids.into_iter().skip(first) {
        let mut summary = Reader::new(&*place.files, id).summary()?;
        // What lies beyond may be half written at this moment: no gap in it is damage.
        summary.durable = summary.durable.min(end);
        files.summaries.insert(id, summary);
    }
    Ok(files)
}
