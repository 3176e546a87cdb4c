//! What was acknowledged survives power cuts and a lost directory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::{Machine, blob_id, content, get, put, seeds};
use crate::faulty::{Keep, Lies, Random};
use crate::{Blobs, Error, Location};

const KEEPS: [Keep; 3] = [Keep::Nothing, Keep::Prefix, Keep::Scattered];

type Acknowledged = Arc<Mutex<Vec<(Location, Bytes)>>>;

/// Sizes around the border of small and large, mostly small.
fn any_content(random: &mut Random) -> Bytes {
    let length = match random.below(10) {
        0 => 256 * 1024 + random.below(600_000),
        1 => 100_000 + random.below(200_000),
        _ => random.below(20_000),
    };
    content(random.below(1000), length as usize)
}

/// Eight writers put blobs until the power goes; returns what was acknowledged.
async fn write_until_power_cut(blobs: &Blobs, seed: u64) -> Vec<(Location, Bytes)> {
    let acknowledged = Acknowledged::default();
    let writers = (0..8).map(|writer| {
        let (blobs, acknowledged) = (blobs.clone(), Arc::clone(&acknowledged));
        let mut random = Random(seed.wrapping_mul(1000) + writer);
        tokio::spawn(async move {
            for _ in 0..12 {
                let content = any_content(&mut random);
                match put(&blobs, blob_id(&mut random), &content).await {
                    Ok(location) => acknowledged.lock().unwrap().push((location, content)),
                    Err(_) => return,
                }
            }
        })
    });
    futures_util::future::join_all(writers).await;
    let acknowledged = acknowledged.lock().unwrap();
    acknowledged.clone()
}

/// An acknowledged write survives a power cut at any point and the loss of any one directory.
///
/// Method: eight writers, the power goes after a random number of disk operations, unsynced
/// changes are lost in one of three manners, one directory is emptied, all is read back.
#[tokio::test]
async fn acknowledged_blobs_survive_power_cut_and_one_lost_directory() {
    let mut total = 0;
    for seed in seeds(90) {
        let mut machine = Machine::new(3, seed);
        let blobs = machine.start().await;
        machine.power.cut_after(Random(seed).below(700) as u32);
        let acknowledged = write_until_power_cut(&blobs, seed).await;
        machine.restart(KEEPS[seed as usize % 3]);
        let lost = seed as usize / 3 % 3;
        machine.disks[lost].lose_everything();
        let blobs = machine.start().await;
        total += acknowledged.len();
        for (location, content) in acknowledged {
            let read = get(&blobs, &location).await;
            assert_eq!(read.ok(), Some(content), "SEED={seed}, lost {lost}, {location:?}");
        }
    }
    let enough = total > 500 || std::env::var("SEED").is_ok();
    assert!(enough, "only {total} writes were acknowledged");
}

/// The control of the test above: disks that lie about one kind of sync make it see losses.
#[tokio::test]
async fn disks_that_lie_about_a_sync_lose_acknowledged_blobs() {
    for lies in [Lies { contents: true, names: false }, Lies { contents: false, names: true }] {
        let mut machine = Machine::new(3, 7);
        machine.disks.iter().for_each(|disk| disk.set_lies(lies));
        let blobs = machine.start().await;
        let acknowledged = write_until_power_cut(&blobs, 7).await;
        assert_eq!(acknowledged.len(), 96);
        machine.restart(Keep::Nothing);
        let blobs = machine.start().await;
        let mut lost = 0;
        for (location, _) in acknowledged {
            match get(&blobs, &location).await {
                Ok(bytes) => assert!(bytes.is_empty(), "nothing can be read"),
                Err(Error::Missing(_) | Error::Damaged(_)) => lost += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(lost > 90, "{lies:?}: only {lost} of 96 lost");
    }
}

/// A blob is never read wrong, acknowledged or not, whatever the power cut left of it.
#[tokio::test]
async fn torn_records_are_passed_over_by_a_walk_of_the_segment() {
    for seed in seeds(30) {
        let mut machine = Machine::new(1, seed);
        let blobs = machine.start().await;
        machine.power.cut_after(20 + Random(seed).below(60) as u32);
        let acknowledged = write_until_power_cut(&blobs, seed).await;
        machine.restart(KEEPS[seed as usize % 3]);
        let blobs = machine.start().await;
        let mut found = BTreeMap::new();
        for info in blobs.sealed_segments().await.unwrap() {
            let mut from = Some(0);
            while let Some(offset) = from {
                let page = blobs.segment_records(info.key, offset, 5).await.unwrap();
                found.extend(page.records.into_iter().map(|record| (record.blob, record)));
                from = page.next;
            }
        }
        for (location, _) in acknowledged.iter().filter(|(l, _)| !l.segments().is_empty()) {
            let record = found.get(&location.blob).expect("acknowledged record is found");
            assert_eq!(record.place, location.copies[0].place, "SEED={seed}");
            assert_eq!(record.description, format!("what {} is", location.blob), "SEED={seed}");
        }
    }
}

/// A repair that the power interrupts at any point loses nothing that was left.
///
/// Method: each copy has a bad chunk that the other one has intact; every length of repair.
#[tokio::test]
async fn an_interrupted_repair_loses_nothing() {
    for seed in seeds(120) {
        let mut machine = Machine::new(2, seed);
        let blobs = machine.start().await;
        let content = content(seed, 1_500_000);
        let location = put(&blobs, crate::BlobId([9; 16]), &content).await.unwrap();
        for (disk, byte) in machine.disks.iter().zip([1000, 1_000_000]) {
            disk.flip_bit(&disk.files()[0].0, byte, 0);
        }
        machine.power.cut_after(seed as u32 / 3 + 1);
        let repaired = blobs.repair(&location).await;
        machine.restart(KEEPS[seed as usize % 3]);
        let blobs = machine.start().await;
        assert_eq!(get(&blobs, &location).await.unwrap(), content, "SEED={seed}");
        if let Ok(repaired) = repaired {
            for (_, report) in blobs.verify(&repaired).await {
                assert_eq!(report, crate::CopyReport::Intact, "SEED={seed}");
            }
        }
    }
}

#[tokio::test]
async fn segments_of_an_ended_process_are_never_appended_to() {
    let mut machine = Machine::new(1, 0);
    let blobs = machine.start().await;
    put(&blobs, crate::BlobId([1; 16]), &Bytes::from_static(b"one")).await.unwrap();
    machine.restart(Keep::Nothing);
    let before = machine.disks[0].files();
    let blobs = machine.start().await;
    put(&blobs, crate::BlobId([2; 16]), &Bytes::from_static(b"two")).await.unwrap();
    let after = machine.disks[0].files();
    assert!(before.iter().all(|file| after.contains(file)));
    assert_eq!(after.len(), before.len() + 1);
}
