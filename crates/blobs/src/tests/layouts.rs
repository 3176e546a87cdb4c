//! Large files in both layouts: byte by byte, and those of the older one beside the new.

use std::sync::Arc;

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};

use super::{Machine, content, get, put, read, settings};
use crate::disk::{Disk, Step};
use crate::faulty::Keep;
use crate::files::file_name;
use crate::format::{FileEncoder, interleaved};
use crate::{
    BlobId, Blobs, CopyAt, CopyReport, FileLayout, IncarnationId, Location, Place, Settings,
};

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

fn contiguous(payload: &Bytes, description: &Bytes) -> Vec<u8> {
    let mut encoder = FileEncoder::new(BLOB, INCARNATION);
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
    assert!(contiguous(&payload, &what) == expected);

    let start: [&[u8]; 4] = [b"LBf1", &[1, 0, 0, 0], &BLOB.0, &INCARNATION.0];
    let header = sealed(&[&start[..], &[&chunk_bytes]].concat(), u64::MAX - 1);
    let start: [&[u8]; 4] = [b"LBt1", &[1, 0, 0, 0], &BLOB.0, &size];
    let count = 3_u64.to_le_bytes();
    let trailer = sealed(&[&start[..], &[&count, &of_description]].concat(), u64::MAX - 2);
    let chunks = chunks.iter().zip(&checksums).map(|(chunk, sum)| [*chunk, sum].concat());
    let chunks: Vec<_> = chunks.collect();
    let expected = [&header[..], &chunks.concat(), &what, &trailer].concat();
    assert!(interleaved(BLOB, INCARNATION, &payload, &what) == expected);
}

/// Whatever fills the last page.
#[test]
fn a_contiguous_file_is_whole_pages() {
    for spare in [0, 1, 63, 64, 65, 4095] {
        let payload = content(1, 2 * 4096 + 4096 - 64 - 4 - 4 - spare);
        let file = contiguous(&payload, &Bytes::from_static(b"what"));
        assert_eq!(file.len() % 4096, 0);
        assert!(file.len() < payload.len() + 4 + 4 + 64 + 4096);
    }
}

fn file_of(copy: &CopyAt) -> String {
    let Place::File(layout) = copy.place else { panic!("it is in a segment") };
    file_name(BLOB, layout)
}

/// Lays out a copy as earlier versions did.
async fn make_interleaved(
    machine: &Machine,
    blobs: &Blobs,
    location: &mut Location,
    copy: usize,
    content: &Bytes,
) {
    let description = blobs.describe(location).await.unwrap();
    let copy = &mut location.copies[copy];
    let disk = &machine.disks[copy.directory.0[0] as usize];
    disk.remove(&file_of(copy)).await.unwrap();
    copy.place = Place::File(FileLayout::Interleaved);
    let file = file_of(copy);
    let bytes = interleaved(BLOB, INCARNATION, content, &description);
    let write = Step::Write { offset: 0, parts: vec![bytes] };
    disk.change(&file, vec![Step::Create, write, Step::Sync], &Arc::default()).await.unwrap();
    disk.close(&file);
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
async fn files_of_the_older_layout_are_read_found_and_replaced() {
    let mut machine = Machine::new(2, 1);
    let blobs = machine.start().await;
    let content = content(1, SIZE);
    let mut location = put(&blobs, BLOB, &content).await.unwrap();
    for copy in [0, 1] {
        make_interleaved(&machine, &blobs, &mut location, copy, &content).await;
        assert_intact(&blobs, &location, &content).await;
    }
    machine.restart(Keep::Nothing);
    let blobs = machine.start().await;
    assert_intact(&blobs, &location, &content).await;
    assert_eq!(found(&blobs).await, sorted(&location.copies));

    // A damaged one is laid out anew, beside the old file: who still reads that finds it as it was.
    let damaged = location.copies[0];
    machine.disks[damaged.directory.0[0] as usize].flip_bit(&file_of(&damaged), 700_000, 3);
    assert_eq!(get(&blobs, &location).await.unwrap(), content);
    let repaired = blobs.repair(&location).await.unwrap();
    let contiguous = CopyAt { place: Place::File(FileLayout::Contiguous), ..damaged };
    assert_eq!(sorted(&repaired.copies), sorted(&[contiguous, location.copies[1]]));
    assert_intact(&blobs, &repaired, &content).await;
    assert_eq!(get(&blobs, &location).await.unwrap(), content);

    // Both are listed, on one page, and the one that is left goes without the other.
    assert_eq!(found(&blobs).await.len(), 3);
    let mut strays = Vec::new();
    let mut page = blobs.orphan_candidates(None, 1).await.unwrap();
    loop {
        strays.extend(page.files);
        let Some(next) = page.next else { break };
        page = blobs.orphan_candidates(Some(next), 1).await.unwrap();
    }
    // What was written anew is of this start.
    let copies: Vec<_> = strays.iter().map(|file| file.copy).collect();
    assert_eq!(sorted(&copies), sorted(&location.copies));
    assert!(strays.iter().all(|file| file.incarnation == Some(INCARNATION)));
    let left = strays.iter().find(|file| file.copy == damaged).unwrap();
    blobs.remove_stray(left).await.unwrap();
    assert_intact(&blobs, &repaired, &content).await;
    assert_eq!(found(&blobs).await, sorted(&repaired.copies));

    // Both layouts make one blob.
    for (copy, byte) in repaired.copies.iter().zip([300_000, 900_000]) {
        machine.disks[copy.directory.0[0] as usize].flip_bit(&file_of(copy), byte, 3);
    }
    assert_eq!(get(&blobs, &repaired).await.unwrap(), content);
}

/// A copy that comes back to its directory in the other layout does not go with the old one.
#[tokio::test]
async fn a_removed_copy_takes_none_of_another_layout_along() {
    let mut machine = Machine::new(2, 1);
    let blobs = machine.start_with(Settings { copies: Some(1), ..settings() }).await;
    let content = content(1, SIZE);
    let mut first = put(&blobs, BLOB, &content).await.unwrap();
    make_interleaved(&machine, &blobs, &mut first, 0, &content).await;
    let (here, there) = (first.copies[0].directory, |location: &Location| location.copies[0]);
    blobs.set_draining(here, true);
    let away = blobs.settle(&first).await.unwrap();
    assert_ne!(there(&away).directory, here);
    blobs.set_draining(here, false);
    blobs.set_draining(there(&away).directory, true);
    let back = blobs.settle(&away).await.unwrap();
    assert_eq!(there(&back).directory, here);
    blobs.remove(&first).await.unwrap();
    assert_eq!(get(&blobs, &back).await.unwrap(), content);
}

fn sorted(copies: &[CopyAt]) -> Vec<CopyAt> {
    let mut copies = copies.to_vec();
    copies.sort_by_key(|copy| (copy.directory, file_of(copy)));
    copies
}

async fn found(blobs: &Blobs) -> Vec<CopyAt> {
    let (mut finder, mut copies) = (blobs.find_all().await.unwrap(), Vec::new());
    while let Some(page) = finder.next().await.unwrap() {
        copies.extend(page.copies.into_iter().map(|found| found.copy));
    }
    sorted(&copies)
}
