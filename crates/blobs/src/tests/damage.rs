//! Rotten, cut, swapped and missing copies: never a wrong byte.

use bytes::Bytes;

use super::{Machine, content, get, put, remove_copy, seeds};
use crate::faulty::{EIO, Operation, Random};
use crate::files::file_name;
use crate::{BlobId, CopyReport, Damage, Error, FileLayout, Finding, Place};

const SMALL: usize = 200_000;
const LARGE: usize = 1_500_000;

fn file_of(blob: BlobId) -> String {
    file_name(blob, FileLayout::Contiguous)
}

/// One flipped bit anywhere in one copy: every read is right, and the copy is queued for repair.
#[tokio::test]
async fn a_flipped_bit_in_one_copy_is_never_served() {
    let mut queued = 0;
    for seed in seeds(200) {
        let mut random = Random(seed);
        let mut machine = Machine::new(2, seed);
        let blobs = machine.start().await;
        let size = if seed % 4 == 0 { LARGE } else { 1 + random.below(SMALL as u64) as usize };
        let content = content(seed, size);
        let location = put(&blobs, BlobId([9; 16]), &content).await.unwrap();
        let flipped = random.below(2) as usize;
        let (file, _) = machine.disks[flipped].files()[0].clone();
        let length = match location.copies[0].place {
            Place::File(_) => size as u64,
            Place::Segment { length, .. } => length,
        };
        machine.disks[flipped].flip_bit(&file, random.below(length), random.below(8) as u8);
        for _ in 0..2 {
            assert_eq!(get(&blobs, &location).await.unwrap(), content, "SEED={seed}");
        }
        for finding in blobs.take_damaged() {
            assert_eq!(finding.blob, location.blob, "SEED={seed}");
            assert_eq!(finding.directory.0[0] as usize, flipped, "SEED={seed}");
            queued += 1;
        }
        let reports = blobs.verify(&location).await;
        let bad = reports.iter().filter(|(_, report)| *report != CopyReport::Intact).count();
        assert!(bad <= 1, "SEED={seed}");
        let repaired = blobs.repair(&location).await.unwrap();
        for (_, report) in blobs.verify(&repaired).await {
            assert_eq!(report, CopyReport::Intact, "SEED={seed}");
        }
    }
    assert!(queued > 30 || std::env::var("SEED").is_ok(), "{queued} of 200 were seen by reads");
}

#[tokio::test]
async fn a_blob_that_is_damaged_in_every_copy_is_refused() {
    for size in [1000, LARGE] {
        let mut machine = Machine::new(2, 1);
        let blobs = machine.start().await;
        let content = content(1, size);
        let location = put(&blobs, BlobId([9; 16]), &content).await.unwrap();
        for disk in &machine.disks {
            let (file, _) = disk.files()[0].clone();
            // Within the payload, in the fourth chunk of the large one.
            disk.flip_bit(&file, 500.max(size as u64 / 3), 3);
        }
        let refused = get(&blobs, &location).await;
        assert!(matches!(refused, Err(Error::Damaged(_))), "{size}: {refused:?}");
        assert!(matches!(blobs.repair(&location).await, Err(Error::Damaged(_))));
        assert_eq!(blobs.take_damaged().len(), 2);
        if size == LARGE {
            let before = super::read(&blobs, &location, 0..300_000).await.unwrap();
            assert_eq!(before, content[..300_000], "chunks before the damage are served");
        }
    }
}

#[tokio::test]
async fn copies_damaged_in_different_chunks_make_one_whole() {
    let mut machine = Machine::new(2, 1);
    let blobs = machine.start().await;
    let content = content(1, LARGE);
    let location = put(&blobs, BlobId([9; 16]), &content).await.unwrap();
    machine.disks[0].flip_bit(&file_of(location.blob), 1000, 0);
    machine.disks[1].flip_bit(&file_of(location.blob), 1_000_000, 0);
    assert_eq!(get(&blobs, &location).await.unwrap(), content);
    assert_eq!(blobs.take_damaged().len(), 2);
    let repaired = blobs.repair(&location).await.unwrap();
    assert_eq!(repaired.copies.len(), 2);
    for (_, report) in blobs.verify(&repaired).await {
        assert_eq!(report, CopyReport::Intact);
    }
    assert_eq!(get(&blobs, &repaired).await.unwrap(), content);
}

#[tokio::test]
async fn swapped_files_are_seen() {
    let mut machine = Machine::new(2, 1);
    let blobs = machine.start().await;
    let (one, other) = (content(1, LARGE), content(2, LARGE));
    let first = put(&blobs, BlobId([1; 16]), &one).await.unwrap();
    let second = put(&blobs, BlobId([2; 16]), &other).await.unwrap();
    machine.disks[0].swap(&file_of(first.blob), &file_of(second.blob));
    assert_eq!(get(&blobs, &first).await.unwrap(), one);
    assert_eq!(get(&blobs, &second).await.unwrap(), other);
    machine.disks[1].swap(&file_of(first.blob), &file_of(second.blob));
    assert!(matches!(get(&blobs, &first).await, Err(Error::Damaged(_))));
}

#[tokio::test]
async fn a_cut_file_is_seen_wherever_it_was_cut() {
    let mut machine = Machine::new(2, 1);
    let blobs = machine.start().await;
    let content = content(1, LARGE);
    for (number, cut) in
        [0, 63, 64, 65, 131_136, 131_140, 700_000, LARGE, LARGE + 100].iter().enumerate()
    {
        let location = put(&blobs, BlobId([number as u8; 16]), &content).await.unwrap();
        machine.disks[0].truncate(&file_of(location.blob), *cut as u64);
        assert_eq!(get(&blobs, &location).await.unwrap(), content, "cut at {cut}");
        let reports = blobs.verify(&location).await;
        let bad: Vec<u8> =
            reports.iter().filter(|r| r.1 == CopyReport::Corrupt).map(|r| r.0.0[0]).collect();
        assert_eq!(bad, [0], "cut at {cut}");
    }
}

#[tokio::test]
async fn an_unreadable_sector_is_read_from_the_other_copy() {
    let mut machine = Machine::new(2, 1);
    let blobs = machine.start().await;
    let content = content(1, LARGE);
    let location = put(&blobs, BlobId([1; 16]), &content).await.unwrap();
    for disk in &machine.disks {
        disk.fail(Operation::Read, 0, EIO);
    }
    // The second run of chunks still has one good copy, as each disk fails one read only.
    let read = super::read(&blobs, &location, 0..10).await;
    assert!(matches!(read, Err(Error::Damaged(_))), "{read:?}");
    assert_eq!(get(&blobs, &location).await.unwrap(), content);
    assert_eq!(blobs.directories()[0].errors, 1);
    assert_eq!(blobs.directories()[0].state, crate::DirectoryState::Healthy);
}

#[tokio::test]
async fn a_missing_copy_is_queued_and_an_old_location_is_not() {
    let mut machine = Machine::new(2, 1);
    let blobs = machine.start().await;
    let content = content(1, LARGE);
    let location = put(&blobs, BlobId([1; 16]), &content).await.unwrap();
    let directory = location.copies[0].directory;
    remove_copy(&blobs, &location, directory).await;
    assert_eq!(get(&blobs, &location).await.unwrap(), content);
    let finding = Finding { blob: location.blob, directory, what: Damage::Missing };
    assert_eq!(blobs.take_damaged(), [finding]);
    blobs.remove(&location).await.unwrap();
    blobs.remove(&location).await.expect("twice does no harm");
    assert!(matches!(get(&blobs, &location).await, Err(Error::Missing(_))));
    assert_eq!(blobs.take_damaged(), []);
}

#[tokio::test]
async fn a_location_that_names_the_record_of_another_blob_is_old() {
    let blobs = Machine::new(1, 1).start().await;
    let content = Bytes::from_static(b"small");
    let mut location = put(&blobs, BlobId([1; 16]), &content).await.unwrap();
    location.blob = BlobId([2; 16]);
    assert!(matches!(get(&blobs, &location).await, Err(Error::Missing(_))));
}

/// No location, however wrong, makes the reader panic or hand out bytes of another blob.
#[tokio::test]
async fn wrong_locations_are_errors() {
    let mut machine = Machine::new(2, 1);
    let blobs = machine.start().await;
    let right = put(&blobs, BlobId([1; 16]), &content(1, 5000)).await.unwrap();
    let large = put(&blobs, BlobId([2; 16]), &content(1, LARGE)).await.unwrap();
    for seed in seeds(300) {
        let mut random = Random(seed);
        let mut location = if seed % 2 == 0 { right.clone() } else { large.clone() };
        match random.below(3) {
            0 => location.size_bytes = random.below(3_000_000),
            1 => location.size_bytes = u64::MAX - random.below(10),
            _ => {}
        }
        for copy in &mut location.copies {
            if let Place::Segment { offset, length, .. } = &mut copy.place {
                *offset = random.below(u64::MAX) >> random.below(64);
                *length = random.below(u64::MAX) >> random.below(64);
            } else if location.size_bytes == LARGE as u64 {
                location.size_bytes += 1 + random.below(10);
            }
        }
        let end = location.size_bytes.min(10_000_000);
        let start = end.saturating_sub(200_000);
        let expected = location == right && end == 5000;
        assert_eq!(
            super::read(&blobs, &location, start..end).await.is_ok(),
            expected || start == end,
            "SEED={seed} {location:?}"
        );
        blobs.verify(&location).await;
        assert!(
            blobs.describe(&location).await.is_err() || expected || location.segments().len() == 2,
            "SEED={seed}"
        );
    }
}
