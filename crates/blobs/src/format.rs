//! The layout of segment records and large files, byte by byte. No I/O here.
//!
//! Numbers are little endian. Every checksum is CRC-32C (Castagnoli) over the blob id, a number
//! that says which part it is, and the part itself, so that bytes which belong elsewhere never
//! pass as ours.

mod file;
mod record;

use std::iter;
use std::ops::Range;

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};

pub use self::file::FileLayout;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::file::interleaved;
pub(crate) use self::file::{
    FILE_END_BYTES_MAX, FILE_HEADER_BYTES, FILE_TRAILER_BYTES, FileEncoder, FileTrailer,
    checksum_offset, decode_file_end, decode_file_header, decode_file_tail,
};
#[cfg(feature = "fuzzing")]
pub(crate) use self::record::reseal;
pub(crate) use self::record::{
    RECORD_ALIGNMENT, RECORD_HEADER_BYTES, RECORD_MAGIC, Record, RecordHeader,
};
use crate::identifiers::BlobId;

/// Bytes of payload under one checksum.
pub const CHUNK_BYTES: usize = 128 * 1024;
/// What file systems and devices deal in: what they take past the page cache begins and ends at
/// multiples of this, in memory and in the file.
pub(crate) const PAGE_BYTES: usize = 4096;
/// Longest description of a blob.
pub const DESCRIPTION_BYTES_MAX: usize = 16 * 1024;

pub(crate) const CRC_BYTES: usize = 4;

/// Part numbers of checksums that are not of a payload chunk; chunks count from 0.
const PART_DESCRIPTION: u64 = u64::MAX;
const PART_HEADER: u64 = u64::MAX - 1;
const PART_TRAILER: u64 = u64::MAX - 2;

/// CRC-32C bound to the blob and to the part of it.
fn digest(blob: BlobId, part: u64) -> Digest {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(&blob.0);
    digest.update(&part.to_le_bytes());
    digest
}

fn crc(blob: BlobId, part: u64, bytes: &[u8]) -> u32 {
    let mut digest = digest(blob, part);
    digest.update(bytes);
    digest.finalize() as u32
}

pub(crate) fn chunk_crc(blob: BlobId, chunk: u64, bytes: &[u8]) -> u32 {
    crc(blob, chunk, bytes)
}

pub(crate) fn chunk_count(size_bytes: u64) -> u64 {
    size_bytes.div_ceil(CHUNK_BYTES as u64)
}

/// Payload bytes of chunk number `chunk`.
pub(crate) fn chunk_length(size_bytes: u64, chunk: u64) -> usize {
    let start = chunk.saturating_mul(CHUNK_BYTES as u64);
    usize::try_from(size_bytes.saturating_sub(start)).unwrap_or(usize::MAX).min(CHUNK_BYTES)
}

/// Bytes that the checksums of a payload take.
fn checksums_bytes(size_bytes: u64) -> u64 {
    chunk_count(size_bytes).saturating_mul(CRC_BYTES as u64)
}

/// Cuts `payload` into `chunks` of a blob of `size_bytes`; `None` for those that do not fit their
/// checksum, which stand in `checksums` in a row.
pub(crate) fn checked_chunks(
    blob: BlobId,
    size_bytes: u64,
    chunks: Range<u64>,
    mut payload: Bytes,
    checksums: &[u8],
) -> Vec<Option<Bytes>> {
    let mut checksums = checksums.chunks(CRC_BYTES);
    let mut next = |chunk| {
        let length = chunk_length(size_bytes, chunk);
        let data = payload.split_to(length.min(payload.len()));
        let right = checksums.next() == Some(&chunk_crc(blob, chunk, &data).to_le_bytes());
        (right && data.len() == length).then_some(data)
    };
    chunks.map(&mut next).collect()
}

fn field<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk::<N>().copied()
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    field(bytes, offset).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    field(bytes, offset).map(u64::from_le_bytes)
}

/// True if the header in front of `bytes` has this magic and ends in its own checksum.
fn sealed(bytes: &[u8], magic: &[u8; 4], length: usize, part: u64) -> Option<BlobId> {
    let blob = BlobId(field(bytes, 8)?);
    let right = bytes.starts_with(magic)
        && bytes.get(4) == Some(&1)
        && u32_at(bytes, length - CRC_BYTES)? == crc(blob, part, bytes.get(..length - CRC_BYTES)?);
    right.then_some(blob)
}

/// The checksums of the chunks of a payload that comes in pieces.
struct ChunkEncoder {
    blob: BlobId,
    chunk: u64,
    filled: usize,
    digest: Digest,
}

impl ChunkEncoder {
    fn new(blob: BlobId) -> Self {
        Self { blob, chunk: 0, filled: 0, digest: digest(blob, 0) }
    }

    /// The checksums of the chunks that `piece` ends, as far as they are asked for.
    fn measure(&mut self, mut piece: &[u8]) -> impl Iterator<Item = u32> {
        iter::from_fn(move || {
            let (taken, rest) = piece.split_at(piece.len().min(CHUNK_BYTES - self.filled));
            self.digest.update(taken);
            self.filled += taken.len();
            piece = rest;
            (self.filled == CHUNK_BYTES).then(|| self.end_chunk())
        })
    }

    /// The checksum of the last, shorter chunk.
    fn finish(&mut self) -> Option<u32> {
        (self.filled > 0).then(|| self.end_chunk())
    }

    fn end_chunk(&mut self) -> u32 {
        let checksum = self.digest.finalize() as u32;
        self.chunk += 1;
        self.filled = 0;
        self.digest = digest(self.blob, self.chunk);
        checksum
    }
}
