//! Snapshots: exact with their journal, never in the way when unfinished, checked before use.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::journal::FileId;
use super::super::simulated::{Dice, Faults};
use super::super::snapshot::SnapshotId;
use super::{Store, rows};
use crate::engine::conformance::{apply, put, random_key, seeds};
use crate::engine::{Commit, Engine, Row};

fn random_commit(dice: &mut Dice) -> Commit {
    let mut commit = Commit::default();
    let mut keys: Vec<_> = (0..=dice.roll(4)).map(|_| random_key(dice)).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        if dice.roll(3) == 0 {
            commit.delete.push(key);
        } else {
            commit.put.push((key, vec![b'v'; dice.roll(200) as usize]));
        }
    }
    commit
}

/// Snapshots are taken while commits go on; after a cut they and the journal give the model.
#[tokio::test(flavor = "multi_thread")]
async fn snapshot_and_journal_equal_the_model() {
    for seed in seeds(8) {
        println!("SEED={seed}");
        let mut dice = Dice(seed);
        let store = Store::new(1 + (seed % 2) as usize);
        let mut model: BTreeMap<Vec<u8>, Row> = BTreeMap::new();
        for _ in 0..3 {
            let engine = Arc::new(store.engine());
            assert_eq!(rows(&engine).await, model, "SEED={seed}");
            let snapshots = {
                let engine = Arc::clone(&engine);
                tokio::spawn(async move {
                    for _ in 0..3 {
                        engine.snapshot().await.unwrap();
                    }
                })
            };
            for _ in 0..150 {
                let commit = random_commit(&mut dice);
                let sequence = engine.commit(commit.clone()).await.unwrap();
                apply(&mut model, &commit, sequence);
            }
            snapshots.await.unwrap();
            drop(engine);
            store.cut(&mut dice);
        }
        let (engine, report) = store.open().unwrap();
        assert!(report.entries_loaded > 0, "{report}");
        assert_eq!(rows(&engine).await, model, "SEED={seed}");
    }
}

async fn with_rows(disks: usize) -> Store {
    let store = Store::new(disks);
    let engine = store.engine();
    for number in 0..100 {
        engine.commit(put(&format!("k{number:03}"), &"v".repeat(200))).await.unwrap();
    }
    assert!(engine.wants_snapshot());
    drop(engine);
    store
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_interrupted_anywhere_loses_nothing() {
    for operations in 1..24 {
        let store = with_rows(1).await;
        let engine = store.engine();
        engine.snapshot().await.unwrap();
        engine.commit(put("after", "1")).await.unwrap();
        let before = rows(&engine).await;
        store.power.cut_after(operations);
        let _ = engine.snapshot().await;
        drop(engine);
        store.cut(&mut Dice(operations.cast_unsigned()));
        assert_eq!(rows(&store.engine()).await, before, "cut at {operations}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_snapshots_are_kept_and_older_journals_go() {
    let store = with_rows(2).await;
    let engine = store.engine();
    for round in 0..4 {
        for number in 0..60 {
            engine.commit(put(&format!("r{round}-{number}"), &"v".repeat(200))).await.unwrap();
        }
        let report = engine.snapshot().await.unwrap();
        assert_eq!((report.copies, report.end), (2, engine.sequence()));
        assert!(!engine.wants_snapshot());
    }
    let names = store.disks[1].names();
    let mut snapshots: Vec<_> = names.iter().filter_map(|n| SnapshotId::parse(n)).collect();
    snapshots.sort();
    assert_eq!(snapshots.len(), 2);
    let journals: Vec<_> = names.iter().filter_map(|n| FileId::parse(n)).collect();
    let oldest = journals.iter().map(|file| file.base).min().unwrap();
    assert!(oldest <= snapshots[0].start && oldest > 100, "{oldest}");
}

/// A damaged snapshot is found out: another copy, an older one, or the journal alone serve.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_is_not_believed() {
    for (disks, damaged) in [(2, vec![0]), (2, vec![0, 1]), (1, vec![0])] {
        let store = with_rows(disks).await;
        let engine = store.engine();
        engine.snapshot().await.unwrap();
        engine.commit(put("between", "1")).await.unwrap();
        let newest = engine.snapshot().await.unwrap().end;
        let before = rows(&engine).await;
        drop(engine);
        for disk in &damaged {
            for name in store.disks[*disk].names() {
                if SnapshotId::parse(&name).is_some_and(|id| id.end == newest) {
                    store.disks[*disk].tamper(&name, |contents| contents[200] ^= 1);
                }
            }
        }
        store.cut(&mut Dice(9));
        let (engine, report) = store.open().unwrap();
        assert_eq!(rows(&engine).await, before, "{damaged:?}");
        assert!(report.to_string().contains("is damaged"), "{report}");
    }
}

/// A directory that cannot take the snapshot does not keep the other from it.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_needs_one_good_directory() {
    let store = with_rows(2).await;
    let engine = store.engine();
    store.disks[1].set_faults(Faults { fail_after: Some(0), ..Faults::default() });
    assert_eq!(engine.snapshot().await.unwrap().copies, 1);
    store.disks[0].set_faults(Faults { fail_after: Some(0), ..Faults::default() });
    assert!(engine.snapshot().await.is_err());
}

/// Journals damaged everywhere below a good index: it goes on, and wants a snapshot at once.
#[tokio::test(flavor = "multi_thread")]
async fn damage_below_a_trusted_index_asks_for_a_snapshot() {
    let store = with_rows(1).await;
    let mut journals = store.disks[0].names();
    journals.retain(|name| FileId::parse(name).is_some());
    journals.sort();
    store.disks[0].tamper(&journals[0], |contents| contents[1_000] ^= 1);
    let (engine, report) = store.open().unwrap();
    assert!(report.index_kept && engine.wants_snapshot(), "{report}");
    engine.snapshot().await.unwrap();
    drop(engine);
    store.cut(&mut Dice(1));
    assert_eq!(rows(&store.engine()).await.len(), 100);
}

/// Each start used to leave a journal file, with all its space, until the bytes in it were many.
#[tokio::test(flavor = "multi_thread")]
async fn many_starts_do_not_fill_the_disk_with_journals() {
    let store = Store::new(2);
    let journals = || {
        let names = store.disks[0].names().into_iter();
        names.filter(|name| name.ends_with(".journal")).count()
    };
    let mut most = 0;
    for number in 0..60 {
        let engine = store.engine();
        engine.commit(put(&format!("k{number:02}"), "v")).await.unwrap();
        if engine.wants_snapshot() {
            engine.snapshot().await.unwrap();
        }
        most = most.max(journals());
        drop(engine);
        store.cut(&mut Dice(number));
    }
    assert!((9..=30).contains(&most), "{most} journals");
    assert_eq!(rows(&store.engine()).await.len(), 60);
}
