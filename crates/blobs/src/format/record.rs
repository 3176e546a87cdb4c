//! Segments: records of small blobs.

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    CRC_BYTES, ChunkEncoder, PART_DESCRIPTION, PART_HEADER, checksums_bytes, crc, field, sealed,
    u32_at, u64_at,
};
use crate::identifiers::{BlobId, IncarnationId, SegmentId};

pub(crate) const RECORD_HEADER_BYTES: usize = 72;
pub(crate) const RECORD_ALIGNMENT: u64 = 8;
pub(crate) const RECORD_MAGIC: &[u8; 4] = b"LBr1";

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
        let checksums = checksums_bytes(u64::from(self.payload_bytes)) as usize;
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
        payload.iter().for_each(|piece| checksums.extend(encoder.measure(piece)));
        checksums.extend(encoder.finish());
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
