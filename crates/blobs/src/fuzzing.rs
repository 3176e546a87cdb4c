//! Doors for the fuzz targets in `tests/fuzz`: built only with the feature `fuzzing`.
//!
//! Each function panics when a promise is broken, and answers whether it came to a rare place,
//! where the control of `tests/fuzz` plants a bug.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a fuzz target says that it found something"
)]

use std::path::Path;

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, checksum};

use crate::format::{self, FileEncoder, FileLayout, RECORD_HEADER_BYTES, Record, RecordHeader};
use crate::identifiers::{BlobId, IncarnationId, SegmentId, SegmentKey};
use crate::identity::Identity;
use crate::location::Location;

const BLOB: BlobId = BlobId([0xab; 16]);
const SEGMENT: SegmentId = SegmentId { incarnation: IncarnationId([0xcd; 16]), number: 7 };

/// Place, and the byte that comes there.
pub type Edit = (u16, u8);

/// What reads as a location is written the same way.
pub fn location(bytes: &[u8]) -> bool {
    let Ok(location) = Location::decode(bytes) else { return false };
    assert_eq!(location.encode(), bytes);
    let in_files = location.copies.iter().filter(|copy| copy.place.is_file()).count();
    location.segments().len() == 2 && in_files == 1
}

/// Names and keys have one spelling.
pub fn names(text: &str, bytes: &[u8]) {
    if let Some(segment) = SegmentId::parse(text) {
        assert_eq!(segment.file(), format!("segments/{text}"));
    }
    if let Ok(blob) = text.parse::<BlobId>() {
        assert_eq!(blob.to_string(), text);
    }
    if let Ok(key) = SegmentKey::decode(bytes) {
        assert_eq!(key.encode(), bytes);
    }
}

/// The identity file of a directory, with a right checksum.
pub fn identity(bytes: &[u8]) {
    let seal = checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32;
    let sealed = [bytes, &seal.to_le_bytes()].concat();
    if let Ok(identity) = Identity::decode(Path::new("dir"), &sealed) {
        let again = Identity::decode(Path::new("dir"), &identity.encode());
        assert_eq!(again.expect("what we wrote reads"), identity);
    }
}

/// A record in a segment reads back; an edited one is refused, or with `reseal` does no harm.
pub fn record(description: &[u8], payload: &[u8], edits: &[Edit], reseal: bool) -> bool {
    let description = Bytes::copy_from_slice(description);
    let record = Record::new(BLOB, &description, vec![Bytes::copy_from_slice(payload)]);
    let mut parts = Vec::new();
    record.encode(SEGMENT, 4096, &mut parts);
    let whole = parts.concat();
    assert_eq!(whole.len() as u64, record.length());
    let edited = Bytes::from(edit(whole.clone(), edits, reseal));
    let Some(header) = RecordHeader::decode(&edited) else {
        assert!(whole != edited, "what was written does not read back");
        return false;
    };
    assert!(header.payload_offset() as u64 <= header.length());
    let front = header.front(&edited);
    if reseal {
        return front.is_some() && header.offset != 4096;
    }
    assert_eq!((header.blob, header.segment, header.offset), (BLOB, SEGMENT, 4096));
    if whole == edited {
        let (found, checksums) = front.expect("what was written reads back");
        assert_eq!(found, description);
        let payload_crc = format::chunk_crc(BLOB, 0, payload).to_le_bytes();
        assert!(payload.is_empty() || checksums == payload_crc[..]);
    } else {
        assert!(front.is_none_or(|(found, _)| found == description), "damage was not seen");
    }
    false
}

/// A large file reads back in both layouts, and an edited one is refused.
pub fn file(size_bytes: u64, description: &[u8], edits: &[Edit], reseal: bool) {
    let description = Bytes::copy_from_slice(description);
    let payload = Bytes::from(vec![7; (size_bytes % 300_000) as usize]);
    let mut encoder = FileEncoder::new(BLOB, SEGMENT.incarnation);
    let mut parts = Vec::new();
    encoder.push(payload.clone(), &mut parts);
    encoder.finish(&description, &mut parts);
    let contiguous = Bytes::from(parts.concat());
    let interleaved = format::interleaved(BLOB, SEGMENT.incarnation, &payload, &description);
    let files = [(FileLayout::Interleaved, interleaved), (FileLayout::Contiguous, contiguous)];
    for (layout, whole) in files {
        let (file_bytes, length) = (whole.len() as u64, payload.len() as u64);
        let found = format::decode_file_tail(BLOB, layout, file_bytes, &whole);
        assert_eq!(found.expect("what was written reads back"), (length, description.clone()));
        let end = whole.slice(layout.description_offset(length) as usize..);
        let edited = Bytes::from(edit(end.to_vec(), edits, false));
        let found = format::decode_file_end(BLOB, layout, length, &edited);
        assert_eq!(found.is_some(), edited == end, "damage was not seen");
        assert_eq!(
            format::decode_file_tail(BLOB, layout, file_bytes, &edited).is_some(),
            edited == end
        );
        let offset = layout.description_offset(size_bytes);
        assert!(offset >= size_bytes.min(u64::MAX - 64));
        let header = whole.slice(..format::FILE_HEADER_BYTES.min(whole.len()));
        let edited = edit(header.to_vec(), edits, false);
        let interleaved = layout == FileLayout::Interleaved && edited == header;
        assert_eq!(format::decode_file_header(&edited).is_some(), interleaved);
    }
    let raw = Bytes::from(edit(description.to_vec(), &[], reseal));
    let _ = (RecordHeader::decode(&raw), format::decode_file_header(&raw));
    let _ = format::decode_file_tail(BLOB, FileLayout::Contiguous, size_bytes, &raw);
    let last = format::chunk_count(size_bytes).saturating_sub(1);
    let lengths = last * format::CHUNK_BYTES as u64 + format::chunk_length(size_bytes, last) as u64;
    assert_eq!(lengths, size_bytes);
}

/// With `reseal` the header's checksum is right again.
fn edit(mut bytes: Vec<u8>, edits: &[Edit], reseal: bool) -> Vec<u8> {
    let length = bytes.len();
    for (at, byte) in edits.iter().filter(|_| length > 0) {
        bytes[usize::from(*at) % length] = *byte;
    }
    if reseal && length >= RECORD_HEADER_BYTES {
        format::reseal(&mut bytes);
    }
    bytes
}
