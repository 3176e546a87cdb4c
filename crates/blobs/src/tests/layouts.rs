//! Large files in both layouts: byte by byte, and those of the older one beside the new.

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};

use super::{Machine, content, get, put, read};
use crate::faulty::Keep;
use crate::files::file_name;
use crate::format::FileEncoder;
use crate::{BlobId, Blobs, CopyReport, Disk as _, FileLayout, IncarnationId, Location, Place};

const BLOB: BlobId = BlobId([9; 16]);
const INCARNATION: IncarnationId = IncarnationId([1; 16]);
const CHUNK: usize = 131_072;
const SIZE: usize = 1_500_000;

/// The four bytes of a checksum as `docs/on-disk-format-blobs.md` tells it.
fn checksum(part: u64, bytes: &[u8]) -> Vec<u8> {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(&BLOB.0);
    digest.update(&part.to_le_bytes());
    digest.update(bytes);
    (digest.finalize() as u32).to_le_bytes().to_vec()
}

/// `fields` in a row, zeroes up to 60 bytes, and their checksum.
fn sealed(fields: &[&[u8]], part: u64) -> Vec<u8> {
    let mut bytes = fields.concat();
    bytes.resize(60, 0);
    let seal = checksum(part, &bytes);
    [bytes, seal].concat()
}

fn encoded(layout: FileLayout, payload: &Bytes, description: &Bytes) -> Vec<u8> {
    let mut encoder = FileEncoder::new(layout, BLOB, INCARNATION);
    let mut parts = Vec::new();
    for piece in payload.chunks(100_000) {
        encoder.push(payload.slice_ref(piece), &mut parts);
    }
    encoder.finish(description, &mut parts);
    parts.concat()
}

#[test]
fn both_layouts_are_as_documented() {
    let (payload, what) = (content(1, 300_000), Bytes::from_static(b"what it is"));
    let chunks: Vec<&[u8]> = payload.chunks(CHUNK).collect();
    let checksums: Vec<_> = (0..).zip(&chunks).map(|(n, chunk)| checksum(n, chunk)).collect();
    let what_checksum = checksum(u64::MAX, &what);
    let size = 300_000_u64.to_le_bytes();
    let of_description = [&10_u32.to_le_bytes()[..], &what_checksum].concat();
    let chunk_bytes = (CHUNK as u32).to_le_bytes();

    let start: [&[u8]; 4] = [b"LBt2", &[1, 0, 0, 0], &BLOB.0, &INCARNATION.0];
    let trailer = [&start[..], &[&size, &chunk_bytes, &of_description]].concat();
    let trailer = sealed(&trailer, u64::MAX - 2);
    let mut expected = [&payload[..], &checksums.concat(), &what].concat();
    expected.resize(expected.len().next_multiple_of(4096) - 64, 0);
    expected.extend(trailer);
    assert!(encoded(FileLayout::Contiguous, &payload, &what) == expected);

    let start: [&[u8]; 4] = [b"LBf1", &[1, 0, 0, 0], &BLOB.0, &INCARNATION.0];
    let header = sealed(&[&start[..], &[&chunk_bytes]].concat(), u64::MAX - 1);
    let start: [&[u8]; 4] = [b"LBt1", &[1, 0, 0, 0], &BLOB.0, &size];
    let count = 3_u64.to_le_bytes();
    let trailer = sealed(&[&start[..], &[&count, &of_description]].concat(), u64::MAX - 2);
    let chunks = chunks.iter().zip(&checksums).map(|(chunk, sum)| [*chunk, sum].concat());
    let chunks: Vec<_> = chunks.collect();
    let expected = [&header[..], &chunks.concat(), &what, &trailer].concat();
    assert!(encoded(FileLayout::Interleaved, &payload, &what) == expected);
}

/// Whatever fills the last page.
#[test]
fn a_contiguous_file_is_whole_pages() {
    for spare in [0, 1, 63, 64, 65, 4095] {
        let payload = content(1, 2 * 4096 + 4096 - 64 - 4 - 4 - spare);
        let file = encoded(FileLayout::Contiguous, &payload, &Bytes::from_static(b"what"));
        assert_eq!(file.len() % 4096, 0);
        assert!(file.len() < payload.len() + 4 + 4 + 64 + 4096);
    }
}

/// Lays out a file of a copy as earlier versions did.
async fn make_interleaved(
    machine: &Machine,
    blobs: &Blobs,
    location: &mut Location,
    copy: usize,
    content: &Bytes,
) {
    let description = blobs.describe(location).await.unwrap();
    let copy = &mut location.copies[copy];
    let (disk, file) = (&machine.disks[copy.directory.0[0] as usize], file_name(BLOB));
    disk.remove(&file).await.unwrap();
    disk.create(&file).await.unwrap();
    let bytes = encoded(FileLayout::Interleaved, content, &description).into();
    disk.write_at(&file, 0, vec![bytes]).await.unwrap();
    disk.sync(&file).await.unwrap();
    disk.close(&file);
    copy.place = Place::File(FileLayout::Interleaved);
}

async fn assert_intact(blobs: &Blobs, location: &Location, content: &Bytes) {
    assert_eq!(get(blobs, location).await.unwrap(), content);
    for range in [0..1, 131_071..131_073, 131_072..262_144, 200_000..1_499_999, 7..7] {
        let found = read(blobs, location, range.clone()).await.unwrap();
        assert_eq!(found, content[range.start as usize..range.end as usize]);
    }
    assert_eq!(blobs.describe(location).await.unwrap(), format!("what {BLOB} is"));
    let reports = blobs.verify(location).await;
    assert_eq!(reports.len(), 2);
    assert!(reports.iter().all(|(_, report)| *report == CopyReport::Intact), "{reports:?}");
}

#[tokio::test]
async fn files_of_the_older_layout_are_read_found_and_mended() {
    let mut machine = Machine::new(2, 1);
    let blobs = machine.start().await;
    let content = content(1, SIZE);
    let mut location = put(&blobs, BLOB, &content).await.unwrap();
    let new = location.clone();
    make_interleaved(&machine, &blobs, &mut location, 0, &content).await;
    assert_intact(&blobs, &location, &content).await;
    make_interleaved(&machine, &blobs, &mut location, 1, &content).await;
    assert_intact(&blobs, &location, &content).await;
    assert!(get(&blobs, &new).await.is_err(), "the location says how a file is to be read");

    machine.restart(Keep::Nothing);
    let blobs = machine.start().await;
    assert_intact(&blobs, &location, &content).await;
    let page = blobs.orphan_candidates(None, 1000).await.unwrap();
    assert!(page.files.iter().all(|file| file.incarnation == Some(INCARNATION)));
    let (mut finder, mut found) = (blobs.find_all().await.unwrap(), Vec::new());
    while let Some(page) = finder.next().await.unwrap() {
        found.extend(page.copies.into_iter().map(|found| found.copy));
    }
    found.sort_by_key(|copy| copy.directory);
    let mut copies = location.copies.clone();
    copies.sort_by_key(|copy| copy.directory);
    assert_eq!(found, copies);

    // A damaged file is mended as it was: the location that says so is committed already.
    let damaged = location.copies[0].directory;
    machine.disks[damaged.0[0] as usize].flip_bit(&file_name(BLOB), 700_000, 3);
    assert_eq!(get(&blobs, &location).await.unwrap(), content);
    let mut repaired = blobs.repair(&location).await.unwrap();
    repaired.copies.sort_by_key(|copy| copy.directory);
    assert_eq!(repaired.copies, copies);
    assert_intact(&blobs, &repaired, &content).await;

    // Elsewhere it is laid out anew, and both make one blob.
    repaired.copies.truncate(1);
    let both = blobs.repair(&repaired).await.unwrap();
    let places: Vec<_> = both.copies.iter().map(|copy| copy.place).collect();
    let layouts = [FileLayout::Interleaved, FileLayout::Contiguous];
    assert_eq!(places, layouts.map(Place::File));
    assert_intact(&blobs, &both, &content).await;
    for (copy, byte) in both.copies.iter().zip([300_000, 900_000]) {
        machine.disks[copy.directory.0[0] as usize].flip_bit(&file_name(BLOB), byte, 3);
    }
    assert_eq!(get(&blobs, &both).await.unwrap(), content);
}
