//! The layout of segment records and large files, byte by byte. No I/O here.
//!
//! Numbers are little endian. Every checksum is CRC-32C (Castagnoli) over the blob id, a number
//! that says which part it is, and the part itself, so that bytes which belong elsewhere never
//! pass as ours.

use bytes::{BufMut, Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, Digest};

use crate::identifiers::{BlobId, IncarnationId, SegmentId};

/// Bytes of payload under one checksum.
pub const CHUNK_BYTES: usize = 128 * 1024;
/// Longest description of a blob.
pub const DESCRIPTION_BYTES_MAX: usize = 16 * 1024;

pub(crate) const RECORD_HEADER_BYTES: usize = 72;
pub(crate) const RECORD_ALIGNMENT: u64 = 8;
pub(crate) const FILE_HEADER_BYTES: usize = 64;
pub(crate) const FILE_TRAILER_BYTES: usize = 64;
pub(crate) const CRC_BYTES: usize = 4;

pub(crate) const RECORD_MAGIC: &[u8; 4] = b"LBr1";
const FILE_MAGIC: &[u8; 4] = b"LBf1";
const TRAILER_MAGIC: &[u8; 4] = b"LBt1";

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

/// Where chunk number `chunk` starts in a large file.
pub(crate) fn chunk_offset(chunk: u64) -> u64 {
    FILE_HEADER_BYTES as u64 + chunk.saturating_mul((CHUNK_BYTES + CRC_BYTES) as u64)
}

/// Where the description starts in a large file.
pub(crate) fn data_end(size_bytes: u64) -> u64 {
    let checksums = chunk_count(size_bytes).saturating_mul(CRC_BYTES as u64);
    (FILE_HEADER_BYTES as u64).saturating_add(size_bytes).saturating_add(checksums)
}

fn field<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk::<N>().copied()
}

pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
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

/// Makes the checksum of a record header right, whatever stands in the header.
#[cfg(feature = "fuzzing")]
pub(crate) fn reseal(record: &mut [u8]) {
    let sealed = RECORD_HEADER_BYTES - CRC_BYTES;
    let Some(blob) = field(record, 8).map(BlobId) else { return };
    let Some(seal) = record.get(..sealed).map(|body| crc(blob, PART_HEADER, body)) else { return };
    if let Some(place) = record.get_mut(sealed..RECORD_HEADER_BYTES) {
        place.copy_from_slice(&seal.to_le_bytes());
    }
}

/// The front of a record in a segment.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 4 | magic `LBr1` |
/// | 4 | 1 | version, 1 |
/// | 5 | 3 | zero |
/// | 8 | 16 | blob id |
/// | 24 | 16 | incarnation of the segment |
/// | 40 | 8 | number of the segment |
/// | 48 | 8 | offset of the record in the segment |
/// | 56 | 4 | description bytes |
/// | 60 | 4 | payload bytes |
/// | 64 | 4 | checksum of description and chunk checksums |
/// | 68 | 4 | checksum of bytes 0–67 |
///
/// Then: description, chunk checksums (4 bytes each), payload, zeroes up to a multiple of 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub blob: BlobId,
    pub segment: SegmentId,
    pub offset: u64,
    pub description_bytes: u32,
    pub payload_bytes: u32,
    pub front_crc: u32,
}

impl RecordHeader {
    pub fn encode(&self) -> BytesMut {
        let mut bytes = BytesMut::with_capacity(RECORD_HEADER_BYTES);
        bytes.put_slice(RECORD_MAGIC);
        bytes.put_slice(&[1, 0, 0, 0]);
        bytes.put_slice(&self.blob.0);
        bytes.put_slice(&self.segment.incarnation.0);
        bytes.put_u64_le(self.segment.number);
        bytes.put_u64_le(self.offset);
        bytes.put_u32_le(self.description_bytes);
        bytes.put_u32_le(self.payload_bytes);
        bytes.put_u32_le(self.front_crc);
        let seal = crc(self.blob, PART_HEADER, &bytes);
        bytes.put_u32_le(seal);
        bytes
    }

    /// `None` for anything that was not written as a record header.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let blob = sealed(bytes, RECORD_MAGIC, RECORD_HEADER_BYTES, PART_HEADER)?;
        let incarnation = IncarnationId(field(bytes, 24)?);
        Some(Self {
            blob,
            segment: SegmentId { incarnation, number: u64_at(bytes, 40)? },
            offset: u64_at(bytes, 48)?,
            description_bytes: u32_at(bytes, 56)?,
            payload_bytes: u32_at(bytes, 60)?,
            front_crc: u32_at(bytes, 64)?,
        })
    }

    /// Where the payload starts, counted from the record.
    pub fn payload_offset(&self) -> usize {
        let checksums = chunk_count(u64::from(self.payload_bytes)) as usize * CRC_BYTES;
        RECORD_HEADER_BYTES + self.description_bytes as usize + checksums
    }

    /// The whole record with its padding.
    pub fn length(&self) -> u64 {
        let bare = self.payload_offset() as u64 + u64::from(self.payload_bytes);
        bare.next_multiple_of(RECORD_ALIGNMENT)
    }

    /// Description and chunk checksums, checked. `record` starts at the header.
    pub fn front(&self, record: &Bytes) -> Option<(Bytes, Bytes)> {
        let description_end = RECORD_HEADER_BYTES + self.description_bytes as usize;
        let front = record.get(RECORD_HEADER_BYTES..self.payload_offset())?;
        if crc(self.blob, PART_DESCRIPTION, front) != self.front_crc {
            return None;
        }
        let description = record.slice(RECORD_HEADER_BYTES..description_end);
        Some((description, record.slice(description_end..self.payload_offset())))
    }
}

/// A small blob made ready for any segment: all but where it will lie.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub blob: BlobId,
    front: Bytes,
    front_crc: u32,
    description_bytes: u32,
    payload: Vec<Bytes>,
    payload_bytes: u32,
}

impl Record {
    pub fn new(blob: BlobId, description: &Bytes, payload: Vec<Bytes>) -> Self {
        let mut encoder = ChunkEncoder::new(blob);
        let mut checksums = Vec::new();
        payload.iter().for_each(|piece| encoder.measure(piece, &mut checksums));
        encoder.finish_measure(&mut checksums);
        let mut front = BytesMut::with_capacity(description.len() + checksums.len() * CRC_BYTES);
        front.put_slice(description);
        checksums.iter().for_each(|checksum| front.put_u32_le(*checksum));
        Self {
            blob,
            front_crc: crc(blob, PART_DESCRIPTION, &front),
            front: front.freeze(),
            description_bytes: description.len() as u32,
            payload_bytes: payload.iter().map(Bytes::len).sum::<usize>() as u32,
            payload,
        }
    }

    fn header(&self, segment: SegmentId, offset: u64) -> RecordHeader {
        RecordHeader {
            blob: self.blob,
            segment,
            offset,
            description_bytes: self.description_bytes,
            payload_bytes: self.payload_bytes,
            front_crc: self.front_crc,
        }
    }

    pub fn length(&self) -> u64 {
        let nowhere = SegmentId { incarnation: IncarnationId([0; 16]), number: 0 };
        self.header(nowhere, 0).length()
    }

    /// Adds the bytes of the record at its place to `parts`.
    pub fn encode(&self, segment: SegmentId, offset: u64, parts: &mut Vec<Bytes>) {
        let header = self.header(segment, offset);
        let mut front = header.encode();
        front.put_slice(&self.front);
        parts.push(front.freeze());
        parts.extend(self.payload.iter().cloned());
        let bare = header.payload_offset() as u64 + u64::from(self.payload_bytes);
        let padding = (header.length() - bare) as usize;
        parts.push(Bytes::from_static(&[0; RECORD_ALIGNMENT as usize]).slice(..padding));
    }
}

/// The front of a large file.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 4 | magic `LBf1` |
/// | 4 | 1 | version, 1 |
/// | 5 | 3 | zero |
/// | 8 | 16 | blob id |
/// | 24 | 16 | incarnation |
/// | 40 | 4 | chunk bytes, 131 072 |
/// | 44 | 16 | zero |
/// | 60 | 4 | checksum of bytes 0–59 |
pub(crate) fn file_header(blob: BlobId, incarnation: IncarnationId) -> Bytes {
    let mut bytes = BytesMut::with_capacity(FILE_HEADER_BYTES);
    bytes.put_slice(FILE_MAGIC);
    bytes.put_slice(&[1, 0, 0, 0]);
    bytes.put_slice(&blob.0);
    bytes.put_slice(&incarnation.0);
    bytes.put_u32_le(CHUNK_BYTES as u32);
    bytes.put_bytes(0, 16);
    let seal = crc(blob, PART_HEADER, &bytes);
    bytes.put_u32_le(seal);
    bytes.freeze()
}

/// Blob and incarnation of a large file; `None` for anything else.
pub(crate) fn decode_file_header(bytes: &[u8]) -> Option<(BlobId, IncarnationId)> {
    let blob = sealed(bytes, FILE_MAGIC, FILE_HEADER_BYTES, PART_HEADER)?;
    let known = u32_at(bytes, 40)? as usize == CHUNK_BYTES;
    Some((blob, IncarnationId(field(bytes, 24)?))).filter(|_| known)
}

/// The end of a large file: the description, then the trailer.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 4 | magic `LBt1` |
/// | 4 | 1 | version, 1 |
/// | 5 | 3 | zero |
/// | 8 | 16 | blob id |
/// | 24 | 8 | payload bytes |
/// | 32 | 8 | chunks |
/// | 40 | 4 | description bytes |
/// | 44 | 4 | checksum of the description |
/// | 48 | 12 | zero |
/// | 60 | 4 | checksum of bytes 0–59 |
pub(crate) fn file_trailer(blob: BlobId, size_bytes: u64, description: &Bytes) -> Bytes {
    let mut bytes = BytesMut::with_capacity(FILE_TRAILER_BYTES);
    bytes.put_slice(TRAILER_MAGIC);
    bytes.put_slice(&[1, 0, 0, 0]);
    bytes.put_slice(&blob.0);
    bytes.put_u64_le(size_bytes);
    bytes.put_u64_le(chunk_count(size_bytes));
    bytes.put_u32_le(description.len() as u32);
    bytes.put_u32_le(crc(blob, PART_DESCRIPTION, description));
    bytes.put_bytes(0, 12);
    let seal = crc(blob, PART_TRAILER, &bytes);
    bytes.put_u32_le(seal);
    bytes.freeze()
}

/// The description out of `end`: all bytes of a large file after its last chunk.
pub(crate) fn decode_file_end(blob: BlobId, size_bytes: u64, end: &Bytes) -> Option<Bytes> {
    let description = end.slice(..end.len().checked_sub(FILE_TRAILER_BYTES)?);
    let trailer = end.get(description.len()..)?;
    let right = sealed(trailer, TRAILER_MAGIC, FILE_TRAILER_BYTES, PART_TRAILER)? == blob
        && u64_at(trailer, 24)? == size_bytes
        && u64_at(trailer, 32)? == chunk_count(size_bytes)
        && u32_at(trailer, 40)? as usize == description.len()
        && u32_at(trailer, 44)? == crc(blob, PART_DESCRIPTION, &description);
    right.then_some(description)
}

/// Payload size and description of a large file of `file_bytes`, out of its last bytes.
pub(crate) fn decode_file_tail(
    blob: BlobId,
    file_bytes: u64,
    tail: &Bytes,
) -> Option<(u64, Bytes)> {
    let trailer = tail.get(tail.len().checked_sub(FILE_TRAILER_BYTES)?..)?;
    sealed(trailer, TRAILER_MAGIC, FILE_TRAILER_BYTES, PART_TRAILER)?;
    let size_bytes = u64_at(trailer, 24)?;
    let end_bytes = (u32_at(trailer, 40)? as usize).checked_add(FILE_TRAILER_BYTES)?;
    let end = tail.slice(tail.len().checked_sub(end_bytes)?..);
    // Beyond this no size is one of ours, and the next sum could overflow.
    let fits = size_bytes <= file_bytes && data_end(size_bytes) + end_bytes as u64 == file_bytes;
    Some((size_bytes, decode_file_end(blob, size_bytes, &end)?)).filter(|_| fits)
}

/// Cuts a stream of bytes into chunks and puts the checksum behind each, copying no payload.
pub(crate) struct ChunkEncoder {
    blob: BlobId,
    chunk: u64,
    filled: usize,
    digest: Digest,
}

impl ChunkEncoder {
    pub fn new(blob: BlobId) -> Self {
        Self { blob, chunk: 0, filled: 0, digest: digest(blob, 0) }
    }

    /// Adds slices of `piece`, and the checksum of each chunk that it ends, to `parts`.
    pub fn push(&mut self, mut piece: Bytes, parts: &mut Vec<Bytes>) {
        while !piece.is_empty() {
            let taken = piece.split_to(piece.len().min(CHUNK_BYTES - self.filled));
            self.take(&taken);
            parts.push(taken);
            if self.filled == CHUNK_BYTES {
                parts.push(self.end_chunk_bytes());
            }
        }
    }

    /// Ends the last, shorter chunk.
    pub fn finish(&mut self, parts: &mut Vec<Bytes>) {
        if self.filled > 0 {
            parts.push(self.end_chunk_bytes());
        }
    }

    fn measure(&mut self, mut piece: &[u8], checksums: &mut Vec<u32>) {
        while !piece.is_empty() {
            let (taken, rest) = piece.split_at(piece.len().min(CHUNK_BYTES - self.filled));
            self.take(taken);
            piece = rest;
            if self.filled == CHUNK_BYTES {
                checksums.push(self.end_chunk());
            }
        }
    }

    fn finish_measure(&mut self, checksums: &mut Vec<u32>) {
        if self.filled > 0 {
            checksums.push(self.end_chunk());
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.filled += bytes.len();
    }

    fn end_chunk(&mut self) -> u32 {
        let checksum = self.digest.finalize() as u32;
        self.chunk += 1;
        self.filled = 0;
        self.digest = digest(self.blob, self.chunk);
        checksum
    }

    fn end_chunk_bytes(&mut self) -> Bytes {
        Bytes::copy_from_slice(&self.end_chunk().to_le_bytes())
    }
}
