//! Starts within the process: the index fails, directories come back, join and leave, and whoever
//! reads or commits meanwhile notices nothing but a pause.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::simulated::{Dice, Faults};
use super::super::{Embedded, EmbeddedSettings, MetadataDirectory};
use super::{Store, id, rows};
use crate::engine::conformance::{apply, put, seeds};
use crate::engine::{Commit, CommitError, Engine, EngineError, MemberState};

fn break_index(engine: &Embedded) {
    engine.core.now().unwrap().index.break_it();
}

fn active(engine: &Embedded) -> Vec<[u8; 16]> {
    let members = engine.status().members.into_iter();
    let mut active: Vec<_> =
        members.filter(|it| it.state == MemberState::Active).map(|it| it.id).collect();
    active.sort_unstable();
    active
}

pub async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_and_commits_go_on_when_the_index_fails() {
    for disks in [1, 2, 3] {
        let store = Store::new(disks);
        let engine = store.engine();
        for number in 0..50 {
            engine.commit(put(&format!("k{number:03}"), "v")).await.unwrap();
        }
        let before = rows(&engine).await;
        break_index(&engine);
        assert_eq!(rows(&engine).await, before, "{disks} disks");
        engine.commit(put("after", "1")).await.unwrap();
        assert_eq!(engine.sequence(), 51);
        assert_eq!(active(&engine).len(), disks);
        drop(engine);
        store.cut(&mut Dice(1));
        assert_eq!(rows(&store.engine()).await.len(), 51);
    }
}

/// The index stays where it was made anew, and nothing stays where it was before.
#[tokio::test(flavor = "multi_thread")]
async fn the_start_after_a_takeover_keeps_the_index() {
    for closed in [true, false] {
        let store = Store::new(3);
        let engine = store.engine();
        for number in 0..50 {
            engine.commit(put(&format!("k{number:03}"), "v")).await.unwrap();
        }
        break_index(&engine);
        let before = rows(&engine).await;
        if closed {
            engine.close().await.unwrap();
        }
        drop(engine);
        for starts in 0..2 {
            let (engine, report) = store.open().unwrap();
            assert!(report.index_kept, "closed: {closed}, {starts} starts before: {report}");
            assert_eq!(rows(&engine).await, before);
            // The old one goes after the start.
            while std::fs::read_dir(store.index_path()).unwrap().count() > 1 {
                tokio::task::yield_now().await;
            }
            // The one after this is a takeover again, to yet another directory.
            break_index(&engine);
            assert_eq!(rows(&engine).await, before);
        }
        store.cut(&mut Dice(1));
        let (engine, report) = store.open().unwrap();
        assert!(!report.index_kept, "{report}");
        assert_eq!(rows(&engine).await, before);
        assert!(store.index_path().join(super::super::members::name(&id(0))).exists());
    }
}

/// What the journal had when the index failed is there afterwards, although it was not applied.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_meets_a_failing_index_is_whole_or_not_there() {
    let store = Store::new(2);
    let engine = store.engine();
    engine.commit(put("a", "1")).await.unwrap();
    break_index(&engine);
    let outcome = engine.commit(put("b", "1")).await;
    assert!(matches!(outcome, Ok(_) | Err(CommitError::Unavailable)), "{outcome:?}");
    let there = engine.get(b"b").await.unwrap().is_some();
    assert!(there, "it was durable");
    engine.commit(put("c", "1")).await.unwrap();
    assert_eq!(engine.sequence(), 3);
}

/// A second failure is not mended at once: a start that does not help must not be all that is done.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_fails_again_and_again_is_refused_in_between() {
    let mut store = Store::new(1);
    store.settings.retry_after = Duration::from_secs(60);
    let engine = store.engine();
    engine.commit(put("a", "1")).await.unwrap();
    break_index(&engine);
    assert!(engine.get(b"a").await.unwrap().is_some());
    break_index(&engine);
    assert!(matches!(engine.get(b"a").await, Err(EngineError::Damaged(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_works_again_takes_part_again() {
    let store = Store::new(3);
    let engine = store.engine();
    engine.commit(put("a", "1")).await.unwrap();
    store.disks[1].set_faults(Faults { fail_after: Some(0), ..Faults::default() });
    for number in 0..20 {
        engine.commit(put(&format!("k{number}"), "v")).await.unwrap();
    }
    assert_eq!(active(&engine), [id(0), id(2)]);
    store.disks[1].set_faults(Faults::default());
    until("it is back", async || active(&engine).len() == 3).await;
    engine.commit(put("z", "1")).await.unwrap();
    let before = rows(&engine).await;
    drop(engine);
    // It alone with either of the others has everything.
    let (engine, _) = store.open_some(&[1, 2]).unwrap();
    assert_eq!(rows(&engine).await, before);
}

fn settings(path: &Path, numbers: &[usize]) -> EmbeddedSettings {
    EmbeddedSettings {
        journal_bytes: 64 << 10,
        reserve_bytes: 128 << 10,
        cache_bytes: 1 << 20,
        first_start: true,
        ..EmbeddedSettings::new(directories(path, numbers))
    }
}

fn directories(path: &Path, numbers: &[usize]) -> Vec<MetadataDirectory> {
    let directory = |number: &usize| MetadataDirectory {
        path: path.join(format!("d{number}")),
        id: id(*number),
    };
    numbers.iter().map(directory).collect()
}

/// What the directories `numbers` have, by themselves, at a later start.
async fn kept(path: &Path, numbers: &[usize]) -> Result<usize, EngineError> {
    let settings = EmbeddedSettings { first_start: false, ..settings(path, numbers) };
    let (engine, _) = Embedded::open(&settings, |_| {})?;
    Ok(rows(&engine).await.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_join_and_leave_while_commits_go_on() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path();
    let engine = Arc::new(Embedded::open(&settings(path, &[0]), |_| {}).unwrap().0);
    let writer = {
        let engine = Arc::clone(&engine);
        tokio::spawn(async move {
            let mut written = 0;
            while engine.get(b"stop").await.unwrap().is_none() {
                engine.commit(put(&format!("k{written:06}"), "value")).await.unwrap();
                written += 1;
            }
            written
        })
    };
    for numbers in [&[0, 1][..], &[0, 1, 2], &[1, 2], &[2, 3, 1], &[3, 2]] {
        for number in numbers {
            std::fs::create_dir_all(path.join(format!("d{number}"))).unwrap();
        }
        engine.set_directories(&directories(path, numbers)).await.unwrap();
        let mut ids: Vec<_> = numbers.iter().map(|number| id(*number)).collect();
        ids.sort_unstable();
        assert_eq!(active(&engine), ids);
        engine.commit(put(&format!("n{}", numbers.len()), "1")).await.unwrap();
    }
    engine.commit(put("stop", "1")).await.unwrap();
    let written: usize = writer.await.unwrap();
    let count = rows(&engine).await.len();
    assert_eq!(count, written + 2 + 1, "each was stored once");
    drop(engine);
    assert_eq!(kept(path, &[2, 3]).await.unwrap(), count);
    for left in [&[0][..], &[1], &[0, 1]] {
        assert!(matches!(kept(path, left).await, Err(EngineError::Refused(_))), "{left:?}");
    }
}

/// As often as one likes, as long as the last one was replaced.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_lost_counts_no_longer_once_it_is_replaced() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path();
    let mut members = vec![0, 1, 2];
    Embedded::open(&settings(path, &members), |_| {}).unwrap();
    for new in 3..8 {
        let lost = members.remove(new % 3);
        std::fs::remove_dir_all(path.join(format!("d{lost}"))).unwrap();
        let settings = EmbeddedSettings { first_start: false, ..settings(path, &members) };
        let (engine, _) = Embedded::open(&settings, |_| {}).unwrap();
        engine.commit(put(&format!("n{new}"), "1")).await.unwrap();
        members.push(new);
        std::fs::create_dir_all(path.join(format!("d{new}"))).unwrap();
        engine.set_directories(&directories(path, &members)).await.unwrap();
        assert_eq!(rows(&engine).await.len(), new - 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_cannot_be_used_does_not_join_and_nothing_changes() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path();
    let engine = Embedded::open(&settings(path, &[0, 1]), |_| {}).unwrap().0;
    engine.commit(put("a", "1")).await.unwrap();
    std::fs::write(path.join("d2"), "a file").unwrap();
    assert!(engine.set_directories(&directories(path, &[0, 1, 2])).await.is_err());
    assert!(engine.set_directories(&[]).await.is_err());
    assert_eq!(active(&engine), [id(0), id(1)]);
    engine.commit(put("b", "1")).await.unwrap();
    assert_eq!(rows(&engine).await.len(), 2);
}

/// Commits, failing indexes and failing directories in any order, and a power cut at the end.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_by_starts_within_the_process() {
    for seed in seeds(12) {
        println!("SEED={seed}");
        let mut dice = Dice(seed);
        let store = Store::new(3);
        let engine = store.engine();
        let mut model = std::collections::BTreeMap::new();
        let mut unsure = false;
        for number in 0..60 {
            match dice.roll(12) {
                0 => break_index(&engine),
                1 => {
                    let disk = &store.disks[dice.roll(3) as usize];
                    disk.set_faults(Faults { fail_after: Some(0), ..Faults::default() });
                    let _ = engine.commit(Commit::default()).await;
                    disk.set_faults(Faults::default());
                }
                _ => {}
            }
            let commit = put(&format!("k{}", dice.roll(20)), &format!("v{number}"));
            match engine.commit(commit.clone()).await {
                Ok(sequence) => {
                    apply(&mut model, &commit, sequence);
                }
                Err(_) => unsure = true,
            }
            if unsure {
                // What was not answered well may be there or not: look.
                until("it is served again", async || engine.get(b"k").await.is_ok()).await;
                model = rows(&engine).await;
                unsure = false;
            }
            if engine.core.now().is_some() && dice.roll(10) == 0 {
                let _ = engine.snapshot().await;
            }
        }
        until("it is served again", async || engine.get(b"k").await.is_ok()).await;
        assert_eq!(rows(&engine).await, model, "SEED={seed}");
        drop(engine);
        store.cut(&mut dice);
        assert_eq!(rows(&store.engine()).await, model, "SEED={seed}");
    }
}

/// The power goes at every operation of a start within the process.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_anywhere_in_a_start_within_the_process_loses_nothing() {
    for operations in 1..40 {
        let store = Store::new(2);
        let engine = store.engine();
        for number in 0..10 {
            engine.commit(put(&format!("k{number}"), "v")).await.unwrap();
        }
        let before = rows(&engine).await;
        store.power.cut_after(operations);
        break_index(&engine);
        let _ = tokio::time::timeout(Duration::from_millis(300), engine.get(b"k0")).await;
        drop(engine);
        store.cut(&mut Dice(operations.cast_unsigned()));
        assert_eq!(rows(&store.engine()).await, before, "cut at {operations}");
    }
}
