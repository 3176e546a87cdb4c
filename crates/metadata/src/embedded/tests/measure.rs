//! Figures, not tests: `cargo test -p metadata --release measure -- --ignored --nocapture`.

use std::sync::Arc;
use std::time::Instant;

use super::super::{Embedded, EmbeddedSettings, MetadataDirectory};
use super::id;
use crate::engine::{Add, Commit, Engine};

const COMMITTERS: usize = 64;
const COMMITS: usize = 500;
const ENTRIES: usize = 1_000_000;

fn open(path: &std::path::Path) -> (Embedded, super::super::RecoveryReport, f64) {
    let directory = MetadataDirectory { path: path.to_owned(), id: id(0) };
    let began = Instant::now();
    let settings = EmbeddedSettings { first_start: true, ..EmbeddedSettings::new(vec![directory]) };
    let (engine, report) = Embedded::open(&settings, |_| {}).unwrap();
    (engine, report, began.elapsed().as_secs_f64())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn measure_commits_and_starts() {
    let directory = tempfile::tempdir_in(".").unwrap();
    let path = directory.path().join("meta");
    let engine = Arc::new(open(&path).0);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    for committers in [1, COMMITTERS] {
        let began = Instant::now();
        let syncs = engine.status().syncs;
        let tasks: Vec<_> = (0..committers)
            .map(|task| {
                let engine = Arc::clone(&engine);
                tokio::spawn(async move {
                    for number in 0..COMMITS {
                        let key = format!("bucket/{committers}/{task:03}/{number:06}");
                        let put = vec![(key.into_bytes(), vec![7; 300])];
                        engine.commit(Commit { put, ..Commit::default() }).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let rate = (committers * COMMITS) as f64 / began.elapsed().as_secs_f64();
        let syncs = engine.status().syncs - syncs;
        println!("{committers} committers: {rate:.0} commits/s, {syncs} syncs");
    }
    let began = Instant::now();
    for batch in 0..ENTRIES / 500 {
        let rows = (0..500).map(|row| (format!("fill/{:09}", batch * 500 + row), vec![7; 150]));
        let put = rows.map(|(key, value)| (key.into_bytes(), value)).collect();
        engine.commit(Commit { put, ..Commit::default() }).await.unwrap();
    }
    println!("{ENTRIES} rows in commits of 500: {:.1} s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    let report = engine.snapshot().await.unwrap();
    println!("snapshot: {:.1} s, {report:?}", began.elapsed().as_secs_f64());
    engine.close().await.unwrap();
    drop(engine);
    let (engine, report, seconds) = open(&path);
    println!("clean start: {seconds:.3} s\n{report}");
    drop(engine);
    std::fs::remove_dir_all(path.join("index")).unwrap();
    let (_engine, report, seconds) = open(&path);
    let rate = report.entries_loaded as f64 / seconds;
    println!("rebuild: {seconds:.1} s, {rate:.0} entries/s\n{report}");
}

/// Rows as objects have them: two of their own, and counters that all share.
fn object(number: usize) -> Commit {
    let counter = |number: usize| Add {
        key: format!("n/{number}").into_bytes(),
        amount: 1,
        minimum: None,
        maximum: None,
    };
    let own = |family: &str, bytes| (format!("{family}/{number:09}").into_bytes(), vec![7; bytes]);
    Commit {
        put: vec![own("version/data", 160), own("content", 120)],
        add: (0..5).map(counter).collect(),
        ..Commit::default()
    }
}

/// A start without an index: half of `OBJECTS` from a snapshot, the rest from the journal.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn measure_a_rebuild() {
    let objects: usize = std::env::var("OBJECTS").map_or(100_000, |it| it.parse().unwrap());
    let directory = tempfile::tempdir_in(".").unwrap();
    let path = directory.path().join("meta");
    let engine = Arc::new(open(&path).0);
    for half in 0..2 {
        let tasks = (0..COMMITTERS * 4).map(|task| {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move {
                for number in (task..objects / 2).step_by(COMMITTERS * 4) {
                    engine.commit(object(half * objects / 2 + number)).await.unwrap();
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        if half == 0 {
            engine.snapshot().await.unwrap();
        }
    }
    drop(engine);
    for _ in 0..2 {
        std::fs::remove_dir_all(path.join("index")).unwrap();
        let (engine, report, seconds) = open(&path);
        assert_eq!(engine.sequence(), objects as u64);
        println!("rebuild of {objects} objects: {seconds:.2} s\n{report}");
    }
}
