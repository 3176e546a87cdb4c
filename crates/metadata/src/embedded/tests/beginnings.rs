//! What may begin metadata, and what must find it.

use std::fs;

use super::super::has_begun;
use super::super::members::{EPOCH_FILE, EpochFile};
use super::{Store, id, rows};
use crate::engine::conformance::put;
use crate::engine::{Engine, EngineError};

#[tokio::test]
async fn emptied_directories_are_no_first_start() {
    let mut store = Store::new(3);
    let engine = store.engine();
    engine.commit(put("a", "1")).await.unwrap();
    let before = rows(&engine).await;
    drop(engine);
    store.settings.first_start = false;
    store.disks[0].wipe();
    assert_eq!(rows(&store.engine()).await, before);

    store.disks.iter().for_each(super::SimDisk::wipe);
    let everywhere = [id(0), id(1), id(2)];
    for accept_loss in [Vec::new(), everywhere.to_vec()] {
        store.settings.accept_loss = accept_loss;
        let Err(EngineError::Refused(text)) = store.open() else { panic!("not refused") };
        assert!(text.contains("metadata is missing"), "{text}");
        assert!(everywhere.iter().all(|id| text.contains(&super::super::members::name(id))));
    }
    store.settings.first_start = true;
    store.settings.accept_loss.clear();
    assert!(rows(&store.engine()).await.is_empty());
}

/// The directories that know an epoch fail, and those that know none are left.
#[tokio::test]
async fn the_rest_of_a_broken_store_does_not_begin_anew() {
    let mut store = Store::new(2);
    let engine = store.engine();
    engine.commit(put("a", "1")).await.unwrap();
    drop(engine);
    store.settings.first_start = false;
    store.settings.min_journals = Some(1);
    store.disks[1].wipe();
    assert!(matches!(store.open_some(&[1]), Err(EngineError::Refused(_))));
}

#[test]
fn metadata_has_begun_once_an_epoch_was_in_force() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let epoch = |promised, in_force| EpochFile { promised, in_force, ..EpochFile::default() };
    assert!(!has_begun(&path.join("absent")).unwrap());
    fs::create_dir(path.join("index")).unwrap();
    fs::write(path.join("lock"), "").unwrap();
    assert!(!has_begun(path).unwrap());
    fs::write(path.join(EPOCH_FILE), epoch(1, 0).encode()).unwrap();
    assert!(!has_begun(path).unwrap());
    fs::write(path.join(EPOCH_FILE), epoch(1, 1).encode()).unwrap();
    assert!(has_begun(path).unwrap());
    fs::write(path.join(EPOCH_FILE), "damaged").unwrap();
    assert!(has_begun(path).unwrap());
    fs::remove_file(path.join(EPOCH_FILE)).unwrap();
    let journal = super::super::journal::FileId { epoch: 1, base: 0, nonce: 7 };
    fs::write(path.join(journal.name()), "").unwrap();
    assert!(has_begun(path).unwrap());
    assert!(has_begun(&path.join(journal.name())).is_err(), "a file is no directory");
}
