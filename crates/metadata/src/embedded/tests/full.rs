//! A full disk refuses what adds and lets go on what reclaims.

use super::super::simulated::{Dice, Faults};
use super::takeover::until;
use super::{Store, rows};
use crate::engine::conformance::put;
use crate::engine::{Commit, CommitError, Engine};

fn delete(key: &str) -> Commit {
    Commit { delete: vec![key.into()], reclaims: true, ..Commit::default() }
}

async fn fill(store: &Store, engine: &impl Engine) -> usize {
    for disk in &store.disks {
        // Room for the reserve, the next file and a few more.
        let faults = Faults { capacity: Some(90 << 10), ..Faults::default() };
        disk.set_faults(faults);
    }
    for number in 0.. {
        match engine.commit(put(&format!("k{number:04}"), &"v".repeat(200))).await {
            Ok(_) => {}
            Err(CommitError::NoSpace) => return number,
            Err(error) => panic!("{error}"),
        }
    }
    0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_puts_takes_deletes_and_recovers() {
    for disks in [1, 2] {
        let store = Store::new(disks);
        let engine = store.engine();
        let written = fill(&store, &engine).await;
        assert!(written > 100, "{written}");
        let status = engine.status();
        assert!(status.full && status.writable && status.members.len() == disks);

        for number in 0..100 {
            engine.commit(delete(&format!("k{number:04}"))).await.unwrap();
            let answer = engine.commit(put("never", "1")).await;
            assert!(matches!(answer, Err(CommitError::NoSpace)), "{answer:?}");
        }
        assert_eq!(rows(&engine).await.len(), written - 100);

        store.disks.iter().for_each(|disk| disk.set_faults(Faults::default()));
        engine.commit(put("again", "1")).await.unwrap();
        assert!(!engine.status().full);
        let before = rows(&engine).await;
        drop(engine);
        store.cut(&mut Dice(3));
        assert_eq!(rows(&store.engine()).await, before);
    }
}

/// The disk gets full in the middle of a group, on one member only: the group did not happen.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_meets_a_full_disk_is_void_everywhere() {
    let store = Store::new(2);
    let engine = store.engine();
    engine.commit(put("before", "1")).await.unwrap();
    while !store.disks[1].names().iter().any(|name| name == "reserve-03.room") {
        tokio::task::yield_now().await;
    }
    let lengths = |name: &String| store.disks[1].contents(name).map_or(0, |bytes| bytes.len());
    let used: usize = store.disks[1].names().iter().map(lengths).sum();
    let capacity = Some(used as u64 + 1_000);
    store.disks[1].set_faults(Faults { capacity, ..Faults::default() });
    // Larger than a whole journal file, so that its space is not there yet.
    let answer = engine.commit(put("large", &"v".repeat(20 << 10))).await;
    assert!(matches!(answer, Err(CommitError::NoSpace)), "{answer:?}");
    assert!(engine.status().writable && engine.status().members.len() == 2);
    engine.commit(delete("before")).await.unwrap();
    assert_eq!(rows(&engine).await.len(), 0);
    drop(engine);
    store.cut(&mut Dice(4));
    assert_eq!(rows(&store.engine()).await.len(), 0);
}

/// Not a byte is left on one disk for the epoch file either: a part of the reserve goes for it.
#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_begins_where_no_byte_is_left() {
    for disks in [1, 2, 3] {
        let store = Store::new(disks);
        let engine = store.engine();
        engine.commit(put("before", "1")).await.unwrap();
        let last = &store.disks[disks - 1];
        while !last.names().iter().any(|name| name == "reserve-03.room") {
            tokio::task::yield_now().await;
        }
        let lengths = |name: &String| last.contents(name).map_or(0, |bytes| bytes.len());
        let used: usize = last.names().iter().map(lengths).sum();
        last.set_faults(Faults { capacity: Some(used as u64), ..Faults::default() });
        let answer = engine.commit(put("large", &"v".repeat(20 << 10))).await;
        assert!(matches!(answer, Err(CommitError::NoSpace)), "{answer:?}");
        assert!(engine.status().writable && engine.status().members.len() == disks);
        engine.commit(delete("before")).await.unwrap();
        drop(engine);
        let engine = store.engine();
        assert_eq!(rows(&engine).await.len(), 0, "a start needs a little room too");
        last.set_faults(Faults::default());
        engine.commit(put("again", "1")).await.unwrap();
    }
}

/// Nor is there a reserve to give up: commits stop, and a start within the process is tried until
/// there is space.
#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_without_any_space_begins_by_itself_once_there_is_some() {
    let store = Store::new(2);
    let engine = store.engine();
    engine.commit(put("before", "1")).await.unwrap();
    let disk = &store.disks[1];
    let is_ready = || disk.names().iter().any(|name| name == "reserve-03.room");
    until("there is a reserve", async || is_ready()).await;
    for number in 0..3 {
        disk.files().remove(&format!("reserve-{number:02}.room")).unwrap();
    }
    let lengths = |name: &String| disk.contents(name).map_or(0, |bytes| bytes.len());
    let used: usize = disk.names().iter().map(lengths).sum();
    disk.set_faults(Faults { capacity: Some(used as u64), ..Faults::default() });
    // Longer than what is set aside for a journal file, and not refused before it is written.
    let large = Commit { reclaims: true, ..put("large", &"v".repeat(20 << 10)) };
    let answer = engine.commit(large).await;
    assert!(matches!(answer, Err(CommitError::Unavailable)), "{answer:?}");
    until("commits stop", async || !engine.status().writable).await;
    disk.set_faults(Faults::default());
    until("it is writable", async || engine.status().writable).await;
    engine.commit(put("after", "1")).await.unwrap();
    let mut there = rows(&engine).await;
    // The other disk has it, and nobody was told that it did not happen.
    there.remove(&b"large"[..]);
    assert_eq!(there.into_keys().collect::<Vec<_>>(), [&b"after"[..], b"before"]);
}

/// A disk that is full of journals alone asks for the snapshots that let them go, early.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_full_of_journals_wants_two_snapshots() {
    let mut store = Store::new(1);
    store.settings.snapshot_after_bytes = 1 << 30;
    let engine = store.engine();
    fill(&store, &engine).await;
    for number in 0..3 {
        assert_eq!(engine.wants_snapshot(), number < 2, "more would not help");
        engine.snapshot().await.unwrap();
        assert!(!engine.wants_snapshot(), "another one of the same moment would not help");
        engine.commit(delete(&format!("k{number:04}"))).await.unwrap();
    }
}

/// A start on a full disk takes its journal file from the reserve.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_can_be_started_on() {
    let store = Store::new(1);
    let engine = store.engine();
    let written = fill(&store, &engine).await;
    drop(engine);
    store.cut(&mut Dice(3));
    let engine = store.engine();
    assert_eq!(rows(&engine).await.len(), written);
    engine.commit(delete("k0000")).await.unwrap();
}

/// A snapshot lets old journals go, and so makes room.
#[tokio::test(flavor = "multi_thread")]
async fn snapshots_free_a_disk_full_of_journals() {
    let store = Store::new(1);
    let engine = store.engine();
    let written = fill(&store, &engine).await;
    for number in 0..written {
        engine.commit(delete(&format!("k{number:04}"))).await.unwrap();
        if number % 50 == 0 {
            engine.snapshot().await.unwrap();
        }
    }
    engine.snapshot().await.unwrap();
    engine.snapshot().await.unwrap();
    engine.commit(put("again", "1")).await.unwrap();
    assert_eq!(rows(&engine).await.len(), 1);
}
