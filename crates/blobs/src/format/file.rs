//! Large files, one for each copy of a large blob.

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    CHUNK_BYTES, CRC_BYTES, ChunkEncoder, DESCRIPTION_BYTES_MAX, PAGE_BYTES, PART_DESCRIPTION,
    PART_HEADER, PART_TRAILER, checksums_bytes, chunk_count, crc, field, sealed, u32_at, u64_at,
};
use crate::identifiers::{BlobId, IncarnationId};

pub(crate) const FILE_HEADER_BYTES: usize = 64;
pub(crate) const FILE_TRAILER_BYTES: usize = 64;
/// Most bytes of a large file from its description on.
pub(crate) const FILE_END_BYTES_MAX: usize =
    DESCRIPTION_BYTES_MAX + PAGE_BYTES + FILE_TRAILER_BYTES;

static ZEROES: [u8; PAGE_BYTES] = [0; PAGE_BYTES];

const INTERLEAVED_MAGIC: &[u8; 4] = b"LBf1";
const INTERLEAVED_TRAILER_MAGIC: &[u8; 4] = b"LBt1";
const CONTIGUOUS_TRAILER_MAGIC: &[u8; 4] = b"LBt2";

/// How the bytes of a blob lie in a large file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileLayout {
    /// A header, and behind each chunk its checksum. No file is written so any more.
    Interleaved,
    /// The payload as it is, so that the kernel can send any part of it, then all checksums.
    Contiguous,
}

impl FileLayout {
    /// Where chunk number `chunk` starts.
    pub(crate) fn chunk_offset(self, chunk: u64) -> u64 {
        match self {
            Self::Interleaved => {
                let step = (CHUNK_BYTES + CRC_BYTES) as u64;
                (FILE_HEADER_BYTES as u64).saturating_add(chunk.saturating_mul(step))
            }
            Self::Contiguous => chunk.saturating_mul(CHUNK_BYTES as u64),
        }
    }

    /// Where the description starts.
    pub(crate) fn description_offset(self, size_bytes: u64) -> u64 {
        let header = match self {
            Self::Interleaved => FILE_HEADER_BYTES as u64,
            Self::Contiguous => 0,
        };
        header.saturating_add(size_bytes).saturating_add(checksums_bytes(size_bytes))
    }

    /// Bytes between description and trailer: a contiguous file is whole pages, so that its end can
    /// be written past the page cache too.
    fn padding(self, size_bytes: u64, description_bytes: usize) -> usize {
        match self {
            Self::Interleaved => 0,
            Self::Contiguous => {
                let rest = (description_bytes + FILE_TRAILER_BYTES) as u64;
                let length = self.description_offset(size_bytes).saturating_add(rest);
                (PAGE_BYTES - (length % PAGE_BYTES as u64) as usize) % PAGE_BYTES
            }
        }
    }
}

/// Where the checksum of chunk number `chunk` stands in a contiguous file of `size_bytes` payload.
pub(crate) fn checksum_offset(size_bytes: u64, chunk: u64) -> u64 {
    size_bytes.saturating_add(chunk.saturating_mul(CRC_BYTES as u64))
}

/// The front of an interleaved file.
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
#[cfg(any(test, feature = "fuzzing"))]
fn interleaved_header(blob: BlobId, incarnation: IncarnationId) -> Bytes {
    let mut bytes = BytesMut::with_capacity(FILE_HEADER_BYTES);
    bytes.put_slice(INTERLEAVED_MAGIC);
    bytes.put_slice(&[1, 0, 0, 0]);
    bytes.put_slice(&blob.0);
    bytes.put_slice(&incarnation.0);
    bytes.put_u32_le(CHUNK_BYTES as u32);
    bytes.put_bytes(0, 16);
    let seal = crc(blob, PART_HEADER, &bytes);
    bytes.put_u32_le(seal);
    bytes.freeze()
}

/// Blob and incarnation of an interleaved file; `None` for anything else.
pub(crate) fn decode_file_header(bytes: &[u8]) -> Option<(BlobId, IncarnationId)> {
    let blob = sealed(bytes, INTERLEAVED_MAGIC, FILE_HEADER_BYTES, PART_HEADER)?;
    let known = u32_at(bytes, 40)? as usize == CHUNK_BYTES;
    Some((blob, IncarnationId(field(bytes, 24)?))).filter(|_| known)
}

/// The last bytes of a large file.
///
/// Of a contiguous one:
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 4 | magic `LBt2` |
/// | 4 | 1 | version, 1 |
/// | 5 | 3 | zero |
/// | 8 | 16 | blob id |
/// | 24 | 16 | incarnation |
/// | 40 | 8 | payload bytes |
/// | 48 | 4 | chunk bytes, 131 072 |
/// | 52 | 4 | description bytes |
/// | 56 | 4 | checksum of the description |
/// | 60 | 4 | checksum of bytes 0–59 |
///
/// Of an interleaved one:
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileTrailer {
    pub blob: BlobId,
    /// An interleaved file has it in its header.
    pub incarnation: Option<IncarnationId>,
    size_bytes: u64,
    description_bytes: u32,
    description_crc: u32,
}

impl FileTrailer {
    fn of(
        blob: BlobId,
        incarnation: Option<IncarnationId>,
        size_bytes: u64,
        description: &[u8],
    ) -> Self {
        let description_crc = crc(blob, PART_DESCRIPTION, description);
        let description_bytes = description.len() as u32;
        Self { blob, incarnation, size_bytes, description_bytes, description_crc }
    }

    fn layout(&self) -> FileLayout {
        match self.incarnation {
            None => FileLayout::Interleaved,
            Some(_) => FileLayout::Contiguous,
        }
    }

    fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(FILE_TRAILER_BYTES);
        bytes.put_slice(match self.layout() {
            FileLayout::Interleaved => INTERLEAVED_TRAILER_MAGIC,
            FileLayout::Contiguous => CONTIGUOUS_TRAILER_MAGIC,
        });
        bytes.put_slice(&[1, 0, 0, 0]);
        bytes.put_slice(&self.blob.0);
        match self.incarnation {
            Some(incarnation) => {
                bytes.put_slice(&incarnation.0);
                bytes.put_u64_le(self.size_bytes);
                bytes.put_u32_le(CHUNK_BYTES as u32);
            }
            None => {
                bytes.put_u64_le(self.size_bytes);
                bytes.put_u64_le(chunk_count(self.size_bytes));
            }
        }
        bytes.put_u32_le(self.description_bytes);
        bytes.put_u32_le(self.description_crc);
        bytes.resize(FILE_TRAILER_BYTES - CRC_BYTES, 0);
        let seal = crc(self.blob, PART_TRAILER, &bytes);
        bytes.put_u32_le(seal);
        bytes.freeze()
    }

    /// `None` for anything that was not written as a trailer.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let seal = |magic| sealed(bytes, magic, FILE_TRAILER_BYTES, PART_TRAILER);
        if let Some(blob) = seal(CONTIGUOUS_TRAILER_MAGIC) {
            let known = u32_at(bytes, 48)? as usize == CHUNK_BYTES;
            return known.then_some(Self {
                blob,
                incarnation: Some(IncarnationId(field(bytes, 24)?)),
                size_bytes: u64_at(bytes, 40)?,
                description_bytes: u32_at(bytes, 52)?,
                description_crc: u32_at(bytes, 56)?,
            });
        }
        let blob = seal(INTERLEAVED_TRAILER_MAGIC)?;
        let size_bytes = u64_at(bytes, 24)?;
        (u64_at(bytes, 32)? == chunk_count(size_bytes)).then_some(Self {
            blob,
            incarnation: None,
            size_bytes,
            description_bytes: u32_at(bytes, 40)?,
            description_crc: u32_at(bytes, 44)?,
        })
    }

    /// Bytes of the file from the description on; `None` for more than any file of ours has.
    fn end_bytes(&self) -> Option<usize> {
        let description = usize::try_from(self.description_bytes).ok()?;
        let padding = self.layout().padding(self.size_bytes, description);
        (description <= DESCRIPTION_BYTES_MAX).then_some(description + padding + FILE_TRAILER_BYTES)
    }
}

/// The description out of `end`: all bytes of a large file from the description on.
pub(crate) fn decode_file_end(
    blob: BlobId,
    layout: FileLayout,
    size_bytes: u64,
    end: &Bytes,
) -> Option<Bytes> {
    let body = end.get(..end.len().checked_sub(FILE_TRAILER_BYTES)?)?;
    let trailer = FileTrailer::decode(end.get(body.len()..)?)?;
    let (description, padding) = body.split_at_checked(trailer.description_bytes as usize)?;
    let right = (trailer.blob, trailer.layout()) == (blob, layout)
        && trailer.size_bytes == size_bytes
        && trailer.end_bytes() == Some(end.len())
        && padding.iter().all(|byte| *byte == 0)
        && crc(blob, PART_DESCRIPTION, description) == trailer.description_crc;
    right.then(|| end.slice(..description.len()))
}

/// Payload size and description of a large file of `file_bytes`, out of its last bytes.
pub(crate) fn decode_file_tail(
    blob: BlobId,
    layout: FileLayout,
    file_bytes: u64,
    tail: &Bytes,
) -> Option<(u64, Bytes)> {
    let trailer = tail.get(tail.len().checked_sub(FILE_TRAILER_BYTES)?..)?;
    let trailer = FileTrailer::decode(trailer)?;
    let (size_bytes, end_bytes) = (trailer.size_bytes, trailer.end_bytes()?);
    let start = layout.description_offset(size_bytes);
    // Beyond the file no size is one of ours.
    let fits = start.checked_add(end_bytes as u64) == Some(file_bytes);
    let end = tail.slice(tail.len().checked_sub(end_bytes)?..);
    let description = decode_file_end(blob, layout, size_bytes, &end).filter(|_| fits)?;
    Some((size_bytes, description))
}

/// Makes the bytes of a contiguous file out of those of a blob, copying no payload.
pub(crate) struct FileEncoder {
    blob: BlobId,
    incarnation: IncarnationId,
    chunks: ChunkEncoder,
    /// Of the payload that is out.
    checksums: BytesMut,
    size_bytes: u64,
}

impl FileEncoder {
    pub fn new(blob: BlobId, incarnation: IncarnationId) -> Self {
        let (chunks, checksums) = (ChunkEncoder::new(blob), BytesMut::new());
        Self { blob, incarnation, chunks, checksums, size_bytes: 0 }
    }

    /// Adds what `piece` makes the file longer by to `parts`.
    pub fn push(&mut self, piece: Bytes, parts: &mut Vec<Bytes>) {
        self.size_bytes += piece.len() as u64;
        self.chunks.measure(&piece).for_each(|checksum| self.checksums.put_u32_le(checksum));
        parts.push(piece);
    }

    /// Adds the rest of the file, from the last byte of the blob on.
    pub fn finish(&mut self, description: &Bytes, parts: &mut Vec<Bytes>) {
        if let Some(checksum) = self.chunks.finish() {
            self.checksums.put_u32_le(checksum);
        }
        parts.push(self.checksums.split().freeze());
        parts.push(description.clone());
        let padding = FileLayout::Contiguous.padding(self.size_bytes, description.len());
        parts.push(Bytes::from_static(ZEROES.get(..padding).unwrap_or_default()));
        let trailer =
            FileTrailer::of(self.blob, Some(self.incarnation), self.size_bytes, description);
        parts.push(trailer.encode());
    }
}

/// A whole interleaved file, as earlier versions wrote it.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn interleaved(
    blob: BlobId,
    incarnation: IncarnationId,
    payload: &[u8],
    description: &Bytes,
) -> Bytes {
    let mut file = BytesMut::from(&interleaved_header(blob, incarnation)[..]);
    for (number, chunk) in (0..).zip(payload.chunks(CHUNK_BYTES)) {
        file.put_slice(chunk);
        file.put_u32_le(super::chunk_crc(blob, number, chunk));
    }
    file.put_slice(description);
    file.put_slice(&FileTrailer::of(blob, None, payload.len() as u64, description).encode());
    file.freeze()
}
