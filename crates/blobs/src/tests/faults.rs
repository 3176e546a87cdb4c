//! Full, failing, slow and hanging disks; writers that give up.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{Machine, REGION, Wanted, content, get, put, quick, seeds, settings, settle};
use crate::faulty::{EIO, EMFILE, ENOSPC, EROFS, Operation, Random, SimDisk};
use crate::{BlobId, CopyReport, DirectoryId, DirectoryState, Error, Settings};

const SMALL: usize = 5_000;
const LARGE: usize = 1_300_000;

/// A write that fails on one of three directories is stored twice on the others.
///
/// Method: the nth operation of each kind fails, for every n there is, for small and large.
#[tokio::test]
async fn another_directory_takes_the_place_of_a_failing_one() {
    use Operation::{Create, Rename, Resize, Sync, Write};
    for (operation, after) in
        (0..6).flat_map(|n| [Create, Resize, Write, Sync, Rename].map(|o| (o, n)))
    {
        for (failing, size, code) in [
            (0, SMALL, EIO),
            (1, LARGE, EIO),
            (2, LARGE, EIO),
            (0, LARGE, EROFS),
            (1, LARGE, ENOSPC),
        ] {
            let mut machine = Machine::new(3, after);
            let blobs = machine.start().await;
            machine.disks[failing].fail(operation, after, code);
            let content = content(after, size);
            for number in 0..4u8 {
                let case = format!("{operation:?} {after} of directory {failing}, {size} bytes");
                let location = put(&blobs, BlobId([number * 50; 16]), &content).await.expect(&case);
                assert_eq!(location.copies.len(), 2, "{case}");
                assert_ne!(location.copies[0].directory, location.copies[1].directory, "{case}");
                assert_eq!(get(&blobs, &location).await.unwrap(), content, "{case}");
                let intact = blobs.verify(&location).await;
                assert!(intact.iter().all(|(_, r)| *r == CopyReport::Intact), "{case}");
            }
        }
    }
}

/// A blob of one copy has no other to be filled from: as long as its first bytes are at hand, they
/// are written elsewhere.
#[tokio::test]
async fn a_directory_that_refuses_the_first_bytes_is_not_the_end() {
    use Operation::{Create, Sync, Write};
    // All in one write, and in several; of several only the first can be tried again.
    let (one, several) = (500_000, 2_500_000);
    for (operation, size) in [(Create, one), (Write, one), (Sync, one), (Write, several)] {
        let case = format!("{operation:?}, {size} bytes");
        let mut failed = 0;
        // One of the two is tried first.
        for failing in 0..2 {
            let mut machine = Machine::new(2, 1);
            let blobs = machine.start_with(Settings { copies: Some(1), ..settings() }).await;
            machine.disks[failing].fail(operation, 0, EIO);
            let content = content(1, size);
            let location = put(&blobs, BlobId([1; 16]), &content).await.expect(&case);
            assert_eq!(get(&blobs, &location).await.unwrap(), content, "{case}");
            failed += machine.disks[failing].count(operation).min(1);
        }
        assert_eq!(failed, 1, "{case}");
    }
}

#[tokio::test]
async fn fewer_copies_than_needed_are_never_a_success() {
    for size in [SMALL, LARGE] {
        let mut machine = Machine::new(2, 1);
        let blobs = machine.start().await;
        machine.disks[1].fail_from(Operation::Sync, 0, EIO);
        let refused = put(&blobs, BlobId([1; 16]), &content(1, size)).await;
        assert!(
            matches!(refused, Err(Error::TooFewCopies { possible: 1, needed: 2 })),
            "{refused:?}"
        );
        assert!(matches!(blobs.directories()[1].state, DirectoryState::Failed { .. }));
        assert_eq!(blobs.directories()[0].state, DirectoryState::Healthy);

        let settings = Settings { min_copies: Some(1), ..settings() };
        let mut machine = Machine::new(2, 1);
        let blobs = machine.start_with(settings).await;
        machine.disks[1].fail_from(Operation::Write, 0, EIO);
        let location = put(&blobs, BlobId([1; 16]), &content(1, size)).await.unwrap();
        assert_eq!(location.copies.len(), 1);
    }
}

/// Nothing is known of a copy that the process had no file descriptor for.
#[tokio::test]
async fn a_process_short_of_files_calls_neither_blobs_damaged_nor_directories_failed() {
    for size in [SMALL, LARGE] {
        let mut machine = Machine::new(2, 1);
        let content = content(1, size);
        let blobs = machine.start().await;
        let location = put(&blobs, BlobId([1; 16]), &content).await.unwrap();
        for disk in &machine.disks {
            disk.fail_from(Operation::Read, 0, EMFILE);
        }
        for _ in 0..40 {
            let refused = get(&blobs, &location).await;
            assert!(matches!(refused, Err(Error::Unavailable(_))), "{size}: {refused:?}");
        }
        let verified = blobs.verify(&location).await;
        assert!(verified.iter().all(|(_, report)| *report == CopyReport::Unavailable));
        assert!(blobs.take_damaged().is_empty(), "{size}: good copies would be written anew");
        let states = blobs.directories().into_iter().map(|directory| directory.state);
        assert!(states.into_iter().all(|state| state == DirectoryState::Healthy), "{size}");
    }
}

#[tokio::test]
async fn a_read_only_directory_still_reads() {
    let mut machine = Machine::new(2, 1);
    let blobs = machine.start().await;
    let content = content(1, SMALL);
    let location = put(&blobs, BlobId([1; 16]), &content).await.unwrap();
    machine.disks[0].fail_from(Operation::Write, 0, EROFS);
    assert!(put(&blobs, BlobId([2; 16]), &content).await.is_err());
    assert_eq!(blobs.directories()[0].state, DirectoryState::ReadOnly);
    machine.disks[1].lose_everything();
    assert_eq!(get(&blobs, &location).await.unwrap(), content);
}

#[tokio::test]
async fn a_full_directory_comes_back_when_space_returns() {
    for size in [SMALL, LARGE] {
        let mut machine = Machine::new(2, 1);
        let blobs = machine.start().await;
        let content = content(2, size);
        let first = put(&blobs, BlobId([1; 16]), &content).await.unwrap();
        machine.disks[1].set_capacity(Some(1000));
        // A small record may still fit in what is allocated.
        let mut refused = None;
        for number in 2..200 {
            refused = put(&blobs, BlobId([number; 16]), &content).await.err();
            if refused.is_some() {
                break;
            }
        }
        assert!(matches!(refused, Some(Error::NoSpace)), "{refused:?}");
        assert_eq!(blobs.directories()[1].state, DirectoryState::Full);
        blobs.remove(&first).await.expect("a full directory lets go");
        machine.disks[1].set_capacity(None);
        put(&blobs, BlobId([250; 16]), &content).await.expect("there is room again");
        assert_eq!(blobs.directories()[1].state, DirectoryState::Healthy);
    }
}

#[tokio::test]
async fn the_reserve_is_left_free() {
    let mut machine = Machine::new(1, 1);
    machine.disks[0].set_capacity(Some(10_000_000));
    let settings = Settings { reserve_bytes: 9_000_000, ..settings() };
    let blobs = machine.start_with(settings).await;
    put(&blobs, BlobId([1; 16]), &content(1, 900_000)).await.unwrap();
    put(&blobs, BlobId([2; 16]), &content(1, 900_000)).await.expect("the figure is a second old");
    let third = put_after_refresh(&blobs).await;
    assert!(matches!(third, Err(Error::NoSpace)), "{third:?}");
}

async fn put_after_refresh(blobs: &crate::Blobs) -> crate::Result<crate::Location> {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(2)).await;
    blobs.directories();
    settle().await;
    put(blobs, BlobId([3; 16]), &content(1, 900_000)).await
}

#[tokio::test(start_paused = true)]
async fn a_hanging_directory_is_given_up_after_the_timeout() {
    for size in [SMALL, LARGE] {
        let mut machine = Machine::new(3, 1);
        let blobs = machine.start_with(quick()).await;
        machine.disks[0].set_hanging(true);
        let started = Instant::now();
        let content = content(1, size);
        for number in 0..6u8 {
            let location = put(&blobs, BlobId([number * 40; 16]), &content).await.unwrap();
            assert_eq!(location.copies.len(), 2);
            assert_eq!(get(&blobs, &location).await.unwrap(), content);
        }
        assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
        assert!(matches!(blobs.directories()[0].state, DirectoryState::Failed { .. }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_read_is_also_asked_of_the_other_copy() {
    let mut machine = Machine::new(2, 1);
    let blobs = machine.start_with(quick()).await;
    for size in [SMALL, LARGE] {
        let content = content(1, size);
        let location = put(&blobs, BlobId([1; 16]), &content).await.unwrap();
        for slow in 0..2 {
            machine.disks[slow].set_hanging(true);
            let started = Instant::now();
            assert_eq!(get(&blobs, &location).await.unwrap(), content);
            assert!(started.elapsed() <= Duration::from_millis(200), "{:?}", started.elapsed());
            machine.disks[slow].set_hanging(false);
            tokio::time::sleep(Duration::from_secs(11)).await;
        }
    }
    assert_eq!(blobs.take_damaged(), []);
}

#[tokio::test(start_paused = true)]
async fn blobs_of_an_unreachable_directory_are_unavailable_not_lost() {
    let mut machine = Machine::new(1, 1);
    let blobs = machine.start_with(quick()).await;
    let location = put(&blobs, BlobId([1; 16]), &content(1, SMALL)).await.unwrap();
    machine.disks[0].set_hanging(true);
    assert!(matches!(get(&blobs, &location).await, Err(Error::Unavailable(_))));
    assert_eq!(blobs.take_damaged(), []);
}

#[tokio::test]
async fn an_absent_directory_counts_for_the_copies() {
    let disk = std::sync::Arc::new(SimDisk::new(1, &crate::faulty::Power::default()));
    let here = crate::Directory::with_disk(super::identity(1), disk);
    let gone = crate::Directory::absent(super::identity(2), std::path::Path::new("/gone"));
    let start = crate::IncarnationId([1; 16]);
    let blobs = crate::Blobs::open(settings(), vec![here, gone], start).await.unwrap();
    let refused = put(&blobs, BlobId([1; 16]), &content(1, SMALL)).await;
    assert!(matches!(refused, Err(Error::TooFewCopies { possible: 1, needed: 2 })));
    assert!(matches!(blobs.directories()[1].state, DirectoryState::Failed { .. }));
}

#[tokio::test]
async fn an_unfinished_writer_leaves_nothing() {
    let mut machine = Machine::new(3, 1);
    let blobs = machine.start().await;
    for length in [0, SMALL, LARGE] {
        let mut writer = blobs.create(&Wanted::usual(REGION), BlobId([1; 16]), Bytes::new());
        let content = content(1, length);
        for piece in content.chunks(300_000) {
            writer.write(content.slice_ref(piece)).await.unwrap();
        }
        drop(writer);
        settle().await;
        assert_eq!(machine.files(), 0, "after {length} bytes");
    }
}

/// A finish that is dropped at any of its steps leaves no file of the blob behind.
#[tokio::test]
async fn an_interrupted_finish_leaves_nothing() {
    for polls in 0..40 {
        let mut machine = Machine::new(3, polls);
        let blobs = machine.start().await;
        let mut writer = blobs.create(&Wanted::usual(REGION), BlobId([1; 16]), Bytes::new());
        writer.write(content(1, LARGE)).await.unwrap();
        let mut finish = Box::pin(writer.finish());
        let mut done = false;
        for _ in 0..polls {
            done = done || futures_util::FutureExt::now_or_never(&mut finish).is_some();
            if done {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(finish);
        settle().await;
        assert_eq!(machine.files(), if done { 2 } else { 0 }, "after {polls} polls");
    }
}

#[tokio::test]
async fn leftovers_of_a_killed_process_are_swept_at_start() {
    let mut machine = Machine::new(2, 1);
    let blobs = machine.start().await;
    let mut writer = blobs.create(&Wanted::usual(REGION), BlobId([1; 16]), Bytes::new());
    writer.write(content(1, LARGE)).await.unwrap();
    settle().await;
    assert_eq!(machine.files(), 2);
    std::mem::forget(writer);
    machine.start().await;
    assert_eq!(machine.files(), 0);
}

/// Whatever fails and whenever: an error, or a blob that is stored as often as promised.
#[tokio::test]
async fn random_faults_never_make_a_false_success() {
    let kinds = [
        Operation::Create,
        Operation::Write,
        Operation::Sync,
        Operation::Rename,
        Operation::Resize,
    ];
    for seed in seeds(100) {
        let mut random = Random(seed);
        let mut machine = Machine::new(3, seed);
        let blobs = machine.start().await;
        for disk in &machine.disks {
            for _ in 0..random.below(3) {
                let kind = kinds[random.below(5) as usize];
                let code = [EIO, ENOSPC, EROFS][random.below(3) as usize];
                disk.fail(kind, random.below(20), code);
            }
        }
        for number in 0..10u8 {
            let size = [SMALL, 300_000, LARGE][random.below(3) as usize];
            let content = content(seed, size);
            let Ok(location) = put(&blobs, BlobId([number; 16]), &content).await else { continue };
            let directories: Vec<DirectoryId> =
                location.copies.iter().map(|c| c.directory).collect();
            assert_eq!(directories.len(), 2, "SEED={seed}");
            for (_, report) in blobs.verify(&location).await {
                assert_eq!(report, CopyReport::Intact, "SEED={seed}");
            }
            assert_eq!(get(&blobs, &location).await.unwrap(), content, "SEED={seed}");
        }
    }
}

/// Only a disk that answers nothing has failed; a long queue is not a fault.
#[tokio::test(start_paused = true)]
async fn a_busy_directory_is_not_failed() {
    let mut machine = Machine::new(2, 1);
    let blobs = machine.start_with(quick()).await;
    for disk in &machine.disks {
        disk.set_delay(Duration::from_secs(4));
    }
    let content = content(1, LARGE);
    put(&blobs, BlobId([1; 16]), &content).await.unwrap();
    let states = blobs.directories().into_iter().map(|directory| directory.state);
    assert!(states.into_iter().all(|state| state == DirectoryState::Healthy));
}
