//! Directories that come, go, are emptied, and come back to work.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{Machine, REGION, content, get, identity, put, remove_copy, settings};
use crate::faulty::{EIO, EROFS, Operation, Power, SimDisk};
use crate::identity::Identity;
use crate::{
    BlobId, Blobs, CopyReport, Directory, DirectoryId, DirectorySpec, DirectoryState, Error,
    IncarnationId, Location, Settings, StoreId,
};

const SMALL: usize = 5_000;
const LARGE: usize = 1_300_000;

fn directories(location: &Location) -> HashSet<DirectoryId> {
    location.copies.iter().map(|copy| copy.directory).collect()
}

async fn put_some(blobs: &Blobs) -> Vec<(Location, bytes::Bytes)> {
    let mut stored = Vec::new();
    for number in 0..10_u8 {
        let content = content(number.into(), if number % 2 == 0 { SMALL } else { LARGE });
        let location = put(blobs, BlobId([number * 25; 16]), &content).await.unwrap();
        stored.push((location, content));
    }
    stored
}

async fn all_intact(blobs: &Blobs, location: &Location) -> bool {
    blobs.verify(location).await.iter().all(|(_, report)| *report == CopyReport::Intact)
}

#[tokio::test]
async fn a_directory_is_emptied_while_its_blobs_stay_readable() {
    let mut machine = Machine::new(3, 1);
    let blobs = machine.start().await;
    let stored = put_some(&blobs).await;
    let leaving = DirectoryId([0; 16]);
    let before = blobs.layout();
    blobs.set_draining(leaving, true);
    assert_ne!(blobs.layout(), before);
    for (location, content) in &stored {
        let settled = blobs.settle(location).await.unwrap();
        assert_eq!(settled == *location, !directories(location).contains(&leaving));
        assert!(blobs.is_settled(&settled) && settled.copies.len() == 2);
        assert!(!directories(&settled).contains(&leaving));
        remove_copy(&blobs, location, leaving).await;
        assert!(all_intact(&blobs, &settled).await);
        assert_eq!(get(&blobs, &settled).await.unwrap(), content);
    }
    let names = machine.disks[0].files();
    assert!(names.iter().all(|(name, _)| name.starts_with("segments/")), "{names:?}");
    let new = put(&blobs, BlobId([251; 16]), &content(1, LARGE)).await.unwrap();
    assert!(!directories(&new).contains(&leaving), "it takes nothing new");

    blobs.forget(leaving).await;
    assert_eq!(blobs.directories().len(), 2);
    assert!(blobs.is_settled(&new));
}

#[tokio::test]
async fn a_directory_that_is_lost_is_emptied_from_the_other_copies() {
    let mut machine = Machine::new(3, 1);
    let blobs = machine.start().await;
    let stored = put_some(&blobs).await;
    machine.disks[1].lose_everything();
    blobs.set_draining(DirectoryId([1; 16]), true);
    for (location, content) in &stored {
        let settled = blobs.settle(location).await.unwrap();
        assert!(all_intact(&blobs, &settled).await);
        assert_eq!(get(&blobs, &settled).await.unwrap(), content);
    }
}

/// Rather a copy too many in the old place than one too few.
#[tokio::test]
async fn a_blob_that_cannot_have_all_its_copies_elsewhere_stays_as_it_is() {
    let mut machine = Machine::new(3, 1);
    let blobs = machine.start_with(Settings { copies: Some(2), ..settings() }).await;
    let (location, _) = put_some(&blobs).await.remove(0);
    for directory in directories(&location) {
        blobs.set_draining(directory, true);
    }
    assert!(matches!(blobs.settle(&location).await, Err(Error::TooFewCopies { .. })));
    assert!(all_intact(&blobs, &location).await);
}

/// Copies that share a zone, because there was no other one, part when there is.
#[tokio::test]
async fn copies_part_when_a_zone_is_added() {
    for (copies, added) in [(2, 1), (3, 1), (3, 2)] {
        let settings = Settings { copies: Some(copies), ..settings() };
        let disks: Vec<_> = (0..5).map(|it| SimDisk::new(it, &Power::default())).collect();
        let member = |number: u8, zone: &str| {
            let identity = Identity { zone: zone.to_owned(), ..identity(number) };
            Directory::with_disk(identity, std::sync::Arc::new(disks[usize::from(number)].clone()))
        };
        let first = (0..3).map(|number| member(number, "old")).collect();
        let blobs = Blobs::open(settings, first, IncarnationId([1; 16])).await.unwrap();
        let stored = put_some(&blobs).await;
        assert!(stored.iter().all(|(location, _)| blobs.is_settled(location)));
        for number in 0..added {
            blobs.add(member(3 + number, &format!("new-{number}"))).await.unwrap();
        }
        for (location, content) in &stored {
            assert!(!blobs.is_settled(location));
            let settled = blobs.settle(location).await.unwrap();
            assert!(blobs.is_settled(&settled));
            let old = settled.copies.iter().filter(|copy| copy.directory.0[0] < 3).count();
            assert_eq!((settled.copies.len(), old), (copies, copies - usize::from(added)));
            assert!(all_intact(&blobs, &settled).await);
            assert_eq!(get(&blobs, &settled).await.unwrap(), content);
        }
        // Nobody waits for a zone that takes nothing.
        (3..3 + added).for_each(|number| blobs.set_draining(DirectoryId([number; 16]), true));
        assert!(stored.iter().all(|(location, _)| blobs.is_settled(location)));
    }
}

#[tokio::test]
async fn a_directory_that_is_added_takes_blobs_and_raises_the_copies_of_a_lone_one() {
    let mut machine = Machine::new(1, 1);
    let blobs = machine.start().await;
    let stored = put_some(&blobs).await;
    assert!(blobs.is_settled(&stored[0].0));
    let disk = SimDisk::new(9, &Power::default());
    let added = Directory::with_disk(identity(1), std::sync::Arc::new(disk));
    blobs.add(added).await.unwrap();
    for (location, content) in &stored {
        assert!(!blobs.is_settled(location));
        let settled = blobs.settle(location).await.unwrap();
        assert_eq!(settled.copies.len(), 2);
        assert!(all_intact(&blobs, &settled).await);
        assert_eq!(get(&blobs, &settled).await.unwrap(), content);
    }
    let new = put(&blobs, BlobId([251; 16]), &content(1, SMALL)).await.unwrap();
    assert_eq!(new.copies.len(), 2);
}

/// Whenever it comes, a blob on its way is stored: by the rule that held before, or by the new one.
#[tokio::test(start_paused = true)]
async fn a_directory_that_is_added_meanwhile_fails_no_write() {
    let step = Duration::from_secs(1);
    let mut found = HashSet::new();
    for (size, moment) in [SMALL, 500_000, LARGE].iter().flat_map(|size| (0..8).map(|m| (*size, m)))
    {
        let case = format!("{size} bytes, in step {moment}");
        let mut machine = Machine::new(1, 1);
        let blobs = machine.start().await;
        let content = content(moment, size);
        machine.disks[0].set_delay(step);
        let add = async {
            tokio::time::sleep(step * moment as u32 + step / 2).await;
            let disk = SimDisk::new(9, &Power::default());
            let added = Directory::with_disk(identity(1), std::sync::Arc::new(disk));
            blobs.add(added).await.unwrap();
        };
        let (location, ()) = tokio::join!(put(&blobs, BlobId([1; 16]), &content), add);
        let location = location.expect(&case);
        found.insert(location.copies.len());
        let settled = blobs.settle(&location).await.expect(&case);
        assert_eq!(settled.copies.len(), 2, "{case}");
        assert!(all_intact(&blobs, &settled).await, "{case}");
        assert_eq!(get(&blobs, &settled).await.unwrap(), content, "{case}");
    }
    assert_eq!(found, HashSet::from([1, 2]), "before and after the end of a write");
}

#[tokio::test]
async fn copies_that_are_too_many_are_given_up_but_never_the_last_that_answers() {
    let mut machine = Machine::new(3, 1);
    let blobs = machine.start_with(Settings { copies: Some(3), ..settings() }).await;
    let (location, content) = put_some(&blobs).await.remove(1);
    assert_eq!(location.copies.len(), 3);
    machine.disks[0].fail_from(Operation::Sync, 0, EIO);
    let blobs = machine.start_with(Settings { copies: Some(1), ..settings() }).await;
    for number in 0..10 {
        // The first one shows that the directory has failed.
        let _ = put(&blobs, BlobId([number; 16]), &content).await;
    }
    assert!(matches!(blobs.directories()[0].state, DirectoryState::Failed { .. }));
    let settled = blobs.settle(&location).await.unwrap();
    assert_eq!(settled.copies.len(), 1);
    assert_ne!(settled.copies[0].directory, DirectoryId([0; 16]));
    assert_eq!(get(&blobs, &settled).await.unwrap(), content);
}

/// As long as it does not work it stays out; then it takes blobs again without a restart.
#[tokio::test(start_paused = true)]
async fn a_directory_that_works_again_is_used_again() {
    for (operation, code) in
        [(Operation::Sync, EIO), (Operation::Create, EROFS), (Operation::Write, EIO)]
    {
        let mut machine = Machine::new(2, 1);
        let blobs = machine.start().await;
        machine.disks[1].fail_from(operation, 0, code);
        assert!(put(&blobs, BlobId([1; 16]), &content(1, SMALL)).await.is_err());
        for _ in 0..10 {
            tokio::time::advance(Duration::from_secs(60)).await;
            blobs.tend().await;
            assert_ne!(blobs.directories()[1].state, DirectoryState::Healthy);
        }
        machine.disks[1].heal();
        tokio::time::advance(Duration::from_secs(3600)).await;
        blobs.tend().await;
        assert_eq!(blobs.directories()[1].state, DirectoryState::Healthy, "{operation:?}");
        for (number, size) in [(2, SMALL), (3, LARGE)] {
            let location = put(&blobs, BlobId([number; 16]), &content(1, size)).await.unwrap();
            assert!(all_intact(&blobs, &location).await);
        }
        let left = machine.disks[1].files();
        assert!(left.iter().all(|(name, _)| !name.contains("probe")), "{left:?}");
    }
}

fn spec(path: &Path, number: u8) -> DirectorySpec {
    DirectorySpec { path: path.into(), zone: format!("zone-{number}"), region: REGION.into() }
}

async fn two_real(root: &Path) -> Blobs {
    let fresh = [1_u8, 2].map(|number| {
        let spec = spec(&root.join(number.to_string()), number);
        Directory::initialise(&spec, StoreId([1; 16]), DirectoryId([number; 16]), false).unwrap()
    });
    let settings = Settings { retry_after: Duration::from_millis(1), ..settings() };
    Blobs::open(settings, fresh.into(), IncarnationId([1; 16])).await.unwrap()
}

/// Not one byte goes to what stands at the path now, and the true one is taken back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_whose_place_another_takes_is_left_alone_until_it_is_back() {
    let root = tempfile::tempdir().unwrap();
    let blobs = two_real(root.path()).await;
    let (place, aside) = (root.path().join("2"), root.path().join("aside"));
    fs::rename(&place, &aside).unwrap();
    fs::create_dir(&place).unwrap();
    for _ in 0..3 {
        blobs.tend().await;
        assert!(matches!(blobs.directories()[1].state, DirectoryState::Failed { .. }));
        assert!(put(&blobs, BlobId([1; 16]), &content(1, LARGE)).await.is_err());
    }
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0, "it was written to");
    fs::remove_dir(&place).unwrap();
    fs::rename(&aside, &place).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while blobs.directories()[1].state != DirectoryState::Healthy {
        assert!(std::time::Instant::now() < deadline);
        blobs.tend().await;
        tokio::task::yield_now().await;
    }
    let location = put(&blobs, BlobId([2; 16]), &content(1, LARGE)).await.unwrap();
    assert!(all_intact(&blobs, &location).await);
}

/// Also before `tend` has looked: what was opened is written, never what the path leads to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_go_to_the_directory_that_was_opened() {
    let root = tempfile::tempdir().unwrap();
    let blobs = two_real(root.path()).await;
    let place = root.path().join("2");
    fs::rename(&place, root.path().join("aside")).unwrap();
    for folder in ["tmp", "segments", "blobs/01"] {
        fs::create_dir_all(place.join(folder)).unwrap();
    }
    put(&blobs, BlobId([1; 16]), &content(1, LARGE)).await.unwrap();
    put(&blobs, BlobId([2; 16]), &content(1, SMALL)).await.unwrap();
    let files = |folder: &str| fs::read_dir(place.join(folder)).unwrap().count();
    assert_eq!((files("tmp"), files("segments"), files("blobs/01")), (0, 0, 0));
    assert!(root.path().join("aside/blobs/01").read_dir().unwrap().next().is_some());
}
