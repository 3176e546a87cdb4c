//! The engine on real files: conformance, starts that keep the index, and those that cannot.

use std::fs;
use std::path::Path;

use super::super::{Embedded, EmbeddedSettings, MetadataDirectory, RecoveryReport};
use super::{id, rows};
use crate::engine::conformance::{conformance, put};
use crate::engine::{Commit, Engine, EngineError};

fn settings(path: &Path, directories: usize) -> EmbeddedSettings {
    let directories = (0..directories)
        .map(|number| MetadataDirectory { path: path.join(format!("d{number}")), id: id(number) })
        .collect();
    EmbeddedSettings {
        journal_bytes: 256 << 10,
        reserve_bytes: 512 << 10,
        cache_bytes: 4 << 20,
        first_start: true,
        ..EmbeddedSettings::new(directories)
    }
}

fn open(settings: &EmbeddedSettings) -> (Embedded, RecoveryReport) {
    Embedded::open(settings, |_| {}).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let number = std::sync::atomic::AtomicUsize::new(0);
    conformance(|| async {
        let next = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        open(&settings(&directory.path().join(next.to_string()), next % 3 + 1)).0
    })
    .await;
}

/// Refused beside the success: a second opening of a directory in use.
#[tokio::test]
async fn a_second_engine_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 1);
    let (first, _) = open(&settings);
    assert!(matches!(Embedded::open(&settings, |_| {}), Err(EngineError::InUse(_))));
    drop(first);
    open(&settings);
}

#[tokio::test]
async fn clean_and_killed_ends_keep_the_index() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 2);
    let (engine, _) = open(&settings);
    for number in 0..300 {
        engine.commit(put(&format!("k{number}"), "v")).await.unwrap();
    }
    let before = rows(&engine).await;
    engine.close().await.unwrap();
    drop(engine);

    let (engine, report) = open(&settings);
    assert!(report.index_kept && report.records_replayed == 0, "{report}");
    assert_eq!(rows(&engine).await, before);
    engine.commit(put("after", "1")).await.unwrap();
    drop(engine);

    // Dropped without a close is what a kill leaves: this boot, this mount.
    let (engine, report) = open(&settings);
    if super::super::files::Directory::open(directory.path())
        .is_ok_and(|files| super::super::files::Files::mount(&files).is_some())
    {
        assert!(report.index_kept, "{report}");
    }
    assert_eq!(engine.sequence(), 301);
    assert_eq!(rows(&engine).await.len(), 301);
}

/// Nothing that happens to the index loses anything.
#[tokio::test]
async fn any_damage_to_the_index_only_costs_a_rebuild() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 1);
    let index = directory.path().join("d0/index");
    let (engine, _) = open(&settings);
    for number in 0..200 {
        engine.commit(put(&format!("k{number}"), "value")).await.unwrap();
    }
    let before = rows(&engine).await;
    engine.close().await.unwrap();
    drop(engine);

    let garbage = |length: usize| (0..length).map(|n| (n * 7 % 251) as u8).collect::<Vec<_>>();
    let damages: [(&str, &dyn Fn()); 4] = [
        ("missing", &|| fs::remove_dir_all(&index).unwrap()),
        ("empty", &|| {
            fs::remove_dir_all(&index).unwrap();
            fs::create_dir(&index).unwrap();
        }),
        ("garbage", &|| fs::write(index.join("db"), garbage(3 << 20)).unwrap()),
        ("a file in its place", &|| {
            fs::remove_dir_all(&index).unwrap();
            fs::write(&index, b"x").unwrap();
        }),
    ];
    for (what, damage) in damages {
        damage();
        let (engine, report) = open(&settings);
        assert!(!report.index_kept, "{what}: {report}");
        assert_eq!(rows(&engine).await, before, "{what}");
        engine.close().await.unwrap();
    }
    fs::write(index.join("snap.00000000.generating"), b"half").unwrap();
    let (engine, report) = open(&settings);
    assert!(report.index_kept, "{report}");
    assert_eq!(rows(&engine).await, before);
}

/// An index that somebody put back from a copy made earlier, or from another store.
#[tokio::test]
async fn an_index_from_another_time_is_not_believed() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 1);
    let index = directory.path().join("d0/index");
    let copies = [("earlier", 3), ("later", 6)].map(|it| (directory.path().join(it.0), it.1));
    let mut expected = Vec::new();
    for round in 0..6 {
        let (engine, _) = open(&settings);
        engine.commit(put(&format!("k{round}"), "value")).await.unwrap();
        if round == 4 {
            engine
                .commit(Commit { delete: vec![b"k1".to_vec()], ..Commit::default() })
                .await
                .unwrap();
        }
        expected.push(rows(&engine).await);
        engine.close().await.unwrap();
        drop(engine);
        for (copy, _) in copies.iter().filter(|(_, at)| *at == round + 1) {
            copy_folder(&index, copy);
        }
    }
    for (copy, _) in &copies {
        fs::remove_dir_all(&index).unwrap();
        copy_folder(copy, &index);
        let (engine, report) = open(&settings);
        assert_eq!(Some(&rows(&engine).await), expected.last(), "{report}");
        engine.close().await.unwrap();
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// The index's own directory is lost: the others have everything.
#[tokio::test]
async fn losing_the_directory_with_the_index_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 3);
    let (engine, _) = open(&settings);
    for number in 0..100 {
        engine.commit(put(&format!("k{number}"), "value")).await.unwrap();
    }
    let before = rows(&engine).await;
    drop(engine);
    fs::remove_dir_all(directory.path().join("d0")).unwrap();
    let (engine, report) = open(&settings);
    assert!(!report.index_kept, "{report}");
    assert_eq!(rows(&engine).await, before);
    assert!(engine.status().writable);
}
