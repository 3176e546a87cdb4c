//! Compaction, orphans, repair and moving: nothing is lost on the way.

use super::{Machine, content, get, put, settings};
use crate::faulty::Keep;
use crate::files::file_name;
use crate::{
    BlobId, CopyReport, DirectoryId, Error, FileCursor, FileLayout, IncarnationId, Location,
    SegmentInfo, Settings, Wanted, Wish,
};

async fn records(blobs: &crate::Blobs, info: &SegmentInfo) -> Vec<crate::SegmentRecord> {
    let (mut records, mut from) = (Vec::new(), Some(0));
    while let Some(offset) = from {
        let page = blobs.segment_records(info.key, offset, 7).await.unwrap();
        records.extend(page.records);
        from = page.next;
    }
    records
}

#[tokio::test]
async fn segments_seal_at_their_size_and_list_their_records() {
    let mut machine = Machine::new(1, 1);
    let blobs = machine.start().await;
    let content = content(1, 100_000);
    let mut locations = Vec::new();
    for number in 0..25u8 {
        locations.push(put(&blobs, BlobId([number; 16]), &content).await.unwrap());
    }
    let segments = blobs.segments().await.unwrap();
    let sealed = blobs.sealed_segments().await.unwrap();
    assert_eq!((segments.len(), sealed.len()), (3, 2));
    let current = segments.iter().find(|info| !info.sealed).unwrap();
    assert!(matches!(blobs.remove_segment(current.key).await, Err(Error::SegmentInUse)));
    let mut found = Vec::new();
    for info in &segments {
        assert!(info.size_bytes <= 1024 * 1024 + 100_000);
        found.extend(records(&blobs, info).await);
    }
    assert_eq!(found.len(), 25);
    for location in &locations {
        let record = found.iter().find(|record| record.blob == location.blob).unwrap();
        assert_eq!(record.place, location.copies[0].place);
        assert_eq!(record.payload_bytes, 100_000);
        assert_eq!(record.description, format!("what {} is", location.blob));
    }
}

#[tokio::test]
async fn a_damaged_header_hides_only_its_own_record() {
    let mut machine = Machine::new(1, 1);
    let blobs = machine.start().await;
    for number in 0..20u8 {
        put(&blobs, BlobId([number; 16]), &content(1, 30_000)).await.unwrap();
    }
    let file = machine.only_file(0, "segments/");
    let all = blobs.segments().await.unwrap();
    let third = records(&blobs, &all[0]).await[2].clone();
    let crate::Place::Segment { offset, .. } = third.place else { panic!("a segment") };
    machine.disks[0].flip_bit(&file, offset + 60, 1);
    let left = records(&blobs, &all[0]).await;
    assert_eq!(left.len(), 19);
    assert!(left.iter().all(|record| record.blob != third.blob));
}

#[tokio::test]
async fn compaction_moves_live_records_and_frees_the_segment() {
    let mut machine = Machine::new(2, 1);
    let blobs = machine.start().await;
    let mut live = Vec::new();
    for number in 0..10u8 {
        let content = content(number.into(), 10_000);
        live.push((put(&blobs, BlobId([number; 16]), &content).await.unwrap(), content));
    }
    machine.restart(Keep::Nothing);
    let blobs = machine.start().await;
    for info in blobs.sealed_segments().await.unwrap() {
        for (location, _) in &mut live {
            let moved = blobs.move_from_segment(location, info.key).await.unwrap();
            assert_eq!(moved.copies.len(), 2);
            assert_ne!(moved, *location);
            assert!(moved.segments().iter().all(|(key, _)| *key != info.key));
            *location = moved;
        }
        blobs.remove_segment(info.key).await.unwrap();
        blobs.remove_segment(info.key).await.expect("twice does no harm");
    }
    machine.restart(Keep::Nothing);
    let blobs = machine.start().await;
    for (location, content) in &live {
        assert_eq!(get(&blobs, location).await.unwrap(), content);
        assert_eq!(blobs.describe(location).await.unwrap(), format!("what {} is", location.blob));
    }
}

#[tokio::test]
async fn orphans_are_files_of_ended_processes_only() {
    let mut machine = Machine::new(2, 1);
    let blobs = machine.start().await;
    for number in 0..40u8 {
        put(
            &blobs,
            BlobId([number / 4, number, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
            &content(1, 300_000),
        )
        .await
        .unwrap();
    }
    assert_eq!(all_orphans(&blobs).await, []);
    machine.restart(Keep::Nothing);
    let blobs = machine.start().await;
    put(&blobs, BlobId([200; 16]), &content(1, 300_000)).await.unwrap();
    let orphans = all_orphans(&blobs).await;
    assert_eq!(orphans.len(), 80);
    for orphan in &orphans {
        assert_eq!(orphan.incarnation, Some(IncarnationId([1; 16])));
        blobs.remove_stray(orphan).await.unwrap();
    }
    assert_eq!(machine.files(), 2);
    assert_eq!(all_orphans(&blobs).await, []);
}

async fn all_orphans(blobs: &crate::Blobs) -> Vec<crate::StrayFile> {
    let mut page = blobs.orphan_candidates(None, 3).await.unwrap();
    let mut orphans = page.files;
    while let Some(next) = page.next {
        let next = FileCursor::decode(&next.encode()).unwrap();
        page = blobs.orphan_candidates(Some(next), 3).await.unwrap();
        orphans.extend(page.files);
    }
    orphans
}

#[tokio::test]
async fn a_lost_directory_is_healed_on_the_others() {
    for size in [10_000, 1_000_000] {
        let mut machine = Machine::new(3, 1);
        let blobs = machine.start().await;
        let content = content(1, size);
        let location = put(&blobs, BlobId([1; 16]), &content).await.unwrap();
        let lost = location.copies[0].directory.0[0] as usize;
        machine.disks[lost].fail_from(crate::faulty::Operation::Create, 0, crate::faulty::EIO);
        machine.disks[lost].fail_from(crate::faulty::Operation::Write, 0, crate::faulty::EIO);
        machine.disks[lost].lose_everything();
        let healed = blobs.repair(&location).await.unwrap();
        assert_eq!(healed.copies.len(), 2);
        assert!(healed.copies.iter().all(|copy| copy.directory.0[0] as usize != lost));
        for (_, report) in blobs.verify(&healed).await {
            assert_eq!(report, CopyReport::Intact);
        }
        assert_eq!(blobs.repair(&healed).await.unwrap(), healed, "nothing is left to do");
    }
}

#[tokio::test]
async fn repair_adds_copies_that_were_not_made() {
    let mut machine = Machine::new(2, 1);
    let one = Settings { copies: Some(1), ..settings() };
    let blobs = machine.start_with(one).await;
    let small = put(&blobs, BlobId([1; 16]), &content(1, 100)).await.unwrap();
    let large = put(&blobs, BlobId([2; 16]), &content(1, 400_000)).await.unwrap();
    assert_eq!((small.copies.len(), large.copies.len()), (1, 1));
    machine.restart(Keep::Nothing);
    let blobs = machine.start().await;
    for location in [small, large] {
        let repaired = blobs.repair(&location).await.unwrap();
        assert_eq!(repaired.copies.len(), 2);
        for (_, report) in blobs.verify(&repaired).await {
            assert_eq!(report, CopyReport::Intact);
        }
    }
}

#[tokio::test]
async fn directories_given_twice_or_of_two_stores_are_refused() {
    use crate::{Blobs, Directory, DirectoryError, StoreId};
    let directory = |identity| {
        let disk = crate::faulty::SimDisk::new(1, &crate::faulty::Power::default());
        Directory::with_disk(identity, std::sync::Arc::new(disk))
    };
    let twice = vec![directory(super::identity(1)), directory(super::identity(1))];
    let refused = Blobs::open(settings(), twice, IncarnationId([1; 16])).await.err();
    assert!(matches!(refused, Some(Error::Directory(DirectoryError::Duplicate(_)))));
    let other = crate::identity::Identity { store: StoreId([9; 16]), ..super::identity(2) };
    let mixed = vec![directory(super::identity(1)), directory(other)];
    let refused = Blobs::open(settings(), mixed, IncarnationId([1; 16])).await.err();
    assert!(matches!(refused, Some(Error::Directory(DirectoryError::Foreign { .. }))));
}

/// All that metadata could lose is found again, and a torn file is told from a whole one.
#[tokio::test]
async fn every_copy_on_the_disks_is_found_with_what_it_is() {
    let mut machine = Machine::new(2, 1);
    let blobs = machine.start().await;
    let mut expected = Vec::new();
    for (number, length) in [(1u8, 0), (2, 1000), (3, 100_000), (4, 400_000), (5, 700_000)] {
        let location = put(&blobs, BlobId([number; 16]), &content(1, length)).await.unwrap();
        let what = format!("what {} is", location.blob);
        expected.extend(location.copies.iter().map(|copy| (*copy, length as u64, what.clone())));
    }
    let torn = file_name(BlobId([4; 16]), FileLayout::Contiguous);
    let (name, bytes) = machine.disks[0].files().into_iter().find(|it| it.0 == torn).unwrap();
    machine.disks[0].flip_bit(&name, bytes - 70, 0);
    let blobs = machine.start().await;
    let (mut found, mut unreadable) = (Vec::new(), 0);
    let mut finder = blobs.find_all().await.unwrap();
    while let Some(page) = finder.next().await.unwrap() {
        unreadable += page.unreadable;
        found.extend(page.copies);
    }
    let mut found: Vec<_> = found
        .into_iter()
        .map(|it| (it.copy, it.size_bytes, String::from_utf8(it.description.to_vec()).unwrap()))
        .collect();
    expected.retain(|(copy, size, _)| *size != 400_000 || copy.directory != DirectoryId([0; 16]));
    let order = |it: &(crate::CopyAt, u64, String)| (it.1, it.0.directory);
    found.sort_by_key(order);
    expected.sort_by_key(order);
    assert_eq!(found, expected);
    assert_eq!(unreadable, 1);
}

#[tokio::test]
async fn a_blob_gets_and_gives_up_the_copies_it_is_to_have() {
    for size in [10_000, 300_000] {
        let mut machine = Machine::new(3, 1);
        let blobs = machine.start().await;
        let content = content(1, size);
        let mut location = put(&blobs, BlobId([1; 16]), &content).await.unwrap();
        for (wish, copies) in [(Wish::exactly(3), 3), (Wish::exactly(1), 1), (None, 2)] {
            let wished = Location { wish, ..location.clone() };
            assert!(!blobs.is_settled(&wished), "{wish:?}");
            let settled = blobs.settle(&wished).await.unwrap();
            assert_eq!((settled.copies.len(), settled.wish), (copies, wish));
            assert!(blobs.is_settled(&settled));
            // Repair keeps to the same number.
            assert_eq!(blobs.repair(&settled).await.unwrap(), settled);
            assert_eq!(get(&blobs, &settled).await.unwrap(), content);
            location = settled;
        }
        let wished = Location { wish: Wish::exactly(4), ..location };
        assert!(matches!(
            blobs.settle(&wished).await,
            Err(Error::TooFewCopies { possible: 3, .. })
        ));
        let wanted = Wanted { copies: Wish::exactly(3), ..Wanted::usual(super::REGION) };
        let mut writer = blobs.create(&wanted, BlobId([2; 16]), bytes::Bytes::new());
        writer.write(content.clone()).await.unwrap();
        let written = writer.finish().await.unwrap();
        assert_eq!((written.copies.len(), written.wish), (3, wanted.copies));
    }
}
