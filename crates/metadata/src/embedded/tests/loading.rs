//! An index made anew: in batches, the same as commit by commit, and of use when half made.

use std::sync::Arc;

use super::super::files::Files;
use super::super::index::Index;
use super::super::journal::Record;
use super::super::loading::Loader;
use super::super::log::{Log, MemberFiles};
use super::super::members::name;
use super::super::simulated::{Dice, Faults};
use super::{Store, id, rows};
use crate::engine::conformance::{put, seeds};
use crate::engine::resolve::Change;
use crate::engine::{Commit, Engine};

fn record(sequence: u64, changes: &[(&str, Option<&str>)]) -> Record {
    let owned = |(key, value): &(&str, Option<&str>)| -> Change {
        (key.as_bytes().to_vec(), value.map(|value| value.as_bytes().to_vec()))
    };
    Record { sequence, changes: changes.iter().map(owned).collect() }
}

/// All of an index, as text.
fn contents(index: &Index) -> Vec<(String, u64, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (found, _) = index.dump(&[], 1_000_000).unwrap();
    found.iter().map(|it| (text(&it.key), it.row.version, text(&it.row.value))).collect()
}

/// The last commit of all that change a row counts, wherever batches end.
#[test]
fn batches_of_any_size_and_single_records_come_to_the_same() {
    for seed in seeds(6) {
        println!("SEED={seed}");
        let mut dice = Dice(seed);
        let records: Vec<_> = (1..=3_000)
            .map(|sequence| {
                let key = format!("k{:04}", dice.roll(2_500));
                let value = format!("v{sequence}");
                let kept = dice.roll(4) > 0;
                record(sequence, &[(&key, kept.then_some(&value)), ("counter", Some(&value))])
            })
            .collect();
        let directory = tempfile::tempdir().unwrap();
        let index = |number: usize| {
            Index::open(&directory.path().join(number.to_string()), 1 << 20).unwrap()
        };
        let single = index(0);
        records.iter().for_each(|it| single.apply(1, std::slice::from_ref(it)).unwrap());
        for (number, bytes_max) in [1, 10_000, 1 << 30].into_iter().enumerate() {
            let batched = index(number + 1);
            let mut loader = Loader::new(&batched, 1, bytes_max);
            records.iter().cloned().for_each(|it| loader.record(it).unwrap());
            loader.finish().unwrap();
            assert_eq!(contents(&batched), contents(&single), "SEED={seed}, {bytes_max}");
            assert_eq!(batched.marked().unwrap(), Some((1, 3_000)));
        }
    }
}

#[tokio::test]
async fn a_row_that_every_commit_changes_is_not_written_for_each() {
    let mut store = Store::new(1);
    let engine = store.engine();
    for number in 0..500 {
        engine.commit(put("counter", &number.to_string())).await.unwrap();
    }
    drop(engine);
    store.cut(&mut Dice(1));
    store.settings.load_bytes = 1 << 20;
    let (engine, report) = store.open().unwrap();
    assert_eq!((report.records_replayed, report.rows_replayed), (500, 2), "{report}");
    let row = engine.get(b"counter").await.unwrap().unwrap();
    assert_eq!((row.version, &row.value[..]), (500, &b"499"[..]));
}

/// A process that is killed while it makes the index anew leaves one that lacks nothing up to its
/// mark, and holds parts of what comes after: the next start goes on from there.
#[tokio::test]
async fn a_start_goes_on_from_an_index_that_was_being_filled() {
    for (marked, beyond) in [(120, 0), (120, 90), (1, 250), (299, 1)] {
        let store = Store::new(1);
        let engine = store.engine();
        for number in 0..300 {
            let key = format!("k{:02}", number % 70);
            let commit = match number % 3 {
                0 => Commit { delete: vec![key.into_bytes()], ..Commit::default() },
                _ => put(&key, &number.to_string()),
            };
            engine.commit(commit).await.unwrap();
        }
        let before = rows(&engine).await;
        drop(engine);
        half_made(&store, marked, beyond);
        let (engine, report) = store.open().unwrap();
        assert!(report.index_kept, "{report}");
        assert_eq!(report.records_replayed, 300 - marked, "{report}");
        assert_eq!(rows(&engine).await, before, "marked {marked}, {beyond} beyond");
    }
}

/// What no journal calls durable may be gone at the next start, so an index with parts of it must
/// not be used then.
#[tokio::test]
async fn a_start_that_ends_amid_what_may_be_lost_leaves_no_index_to_go_on_from() {
    let mut dropped = 0;
    for changes in 0..12 {
        let store = Store::new(1);
        let engine = store.engine();
        for number in 0..20 {
            engine.commit(put(&format!("k{number}"), "v")).await.unwrap();
        }
        let before = rows(&engine).await;
        drop(engine);
        half_made(&store, 5, 0);
        store.disks[0].set_faults(Faults { fail_after: Some(changes), ..Faults::default() });
        let ended = store.open().is_err();
        store.disks[0].set_faults(Faults::default());
        let (engine, report) = store.open().unwrap();
        dropped += usize::from(ended && !report.index_kept);
        assert_eq!(rows(&engine).await, before);
    }
    assert!(dropped > 0, "between the note's removal and the next epoch");
}

/// Makes an index in place of the one there is: marked at `marked`, with `beyond` records more of
/// which the mark tells nothing.
fn half_made(store: &Store, marked: u64, beyond: u64) {
    let path = store.index_path().join(name(&id(0)));
    std::fs::remove_dir_all(&path).unwrap();
    let files: Arc<dyn Files> = store.disks[0].files();
    let member = MemberFiles::scan(id(0), files, true).unwrap();
    let log = Log::merge(vec![member], 0).unwrap();
    let index = Index::open(&path, 1 << 20).unwrap();
    let mut loader = Loader::new(&index, 1, 1 << 30);
    let mut ahead = Vec::new();
    log.replay(0, &mut |record| {
        if record.sequence <= marked {
            loader.record(record)?;
        } else if record.sequence <= marked + beyond {
            ahead.extend(record.changes.into_iter().map(|(key, value)| {
                (key, value.map(|value| super::super::index::stored(record.sequence, &value)))
            }));
        }
        Ok(())
    })
    .unwrap();
    loader.finish().unwrap();
    index.write_rows(&ahead).unwrap();
}
