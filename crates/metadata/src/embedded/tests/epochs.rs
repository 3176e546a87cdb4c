//! Members that fail, are missing, or come back.

use super::super::members::{EPOCH_FILE, EpochFile, judge};
use super::super::simulated::{Dice, Faults};
use super::{Store, id, rows};
use crate::engine::conformance::put;
use crate::engine::{CommitError, Engine, EngineError, MemberState};

fn failing() -> Faults {
    Faults { fail_after: Some(0), ..Faults::default() }
}

#[tokio::test]
async fn commits_go_on_without_a_failed_directory_until_too_few_are_left() {
    let store = Store::new(3);
    let engine = store.engine();
    engine.commit(put("a", "1")).await.unwrap();
    let epoch = engine.status().epoch;

    store.disks[2].set_faults(failing());
    engine.commit(put("b", "1")).await.unwrap();
    engine.commit(put("c", "1")).await.unwrap();
    let status = engine.status();
    assert!(status.epoch > epoch && status.writable);
    assert!(status.members.iter().any(|m| m.id == id(2) && m.state == MemberState::Failed));

    store.disks[1].set_faults(failing());
    let answer = engine.commit(put("d", "1")).await;
    assert!(matches!(answer, Err(CommitError::Unavailable)), "{answer:?}");
    let answer = engine.commit(put("e", "1")).await;
    assert!(matches!(answer, Err(CommitError::Unavailable)), "{answer:?}");
    assert!(!engine.status().writable);
    assert_eq!(engine.get(b"d").await.unwrap(), None, "an unknown group is not served");
    assert!(engine.get(b"c").await.unwrap().is_some());
    drop(engine);

    store.disks.iter().for_each(|disk| disk.set_faults(Faults::default()));
    store.cut(&mut Dice(1));
    let engine = store.engine();
    for key in ["a", "b", "c"] {
        assert!(engine.get(key.as_bytes()).await.unwrap().is_some(), "{key}");
    }
    assert!(engine.get(b"e").await.unwrap().is_none());
}

/// A directory that fails already at the start is as good as missing.
#[tokio::test]
async fn a_start_goes_on_without_a_broken_directory() {
    let store = Store::new(3);
    let engine = store.engine();
    engine.commit(put("a", "1")).await.unwrap();
    drop(engine);
    for broken in 0..3 {
        for failing_after in [0, 3, 8, 14] {
            let faults = Faults { fail_after: Some(failing_after), ..Faults::default() };
            store.disks[broken].set_faults(faults);
            let engine = store.engine();
            engine.commit(put("b", "1")).await.unwrap();
            assert_eq!(rows(&engine).await.len(), 2);
            drop(engine);
            store.disks[broken].set_faults(Faults::default());
        }
    }
}

/// A directory that fell behind is filled again, and then suffices with any other.
#[tokio::test]
async fn a_directory_that_fell_behind_is_brought_up_to_date() {
    let store = Store::new(3);
    let engine = store.engine();
    engine.commit(put("a", "1")).await.unwrap();
    store.disks[0].set_faults(failing());
    engine.commit(put("b", "2")).await.unwrap();
    engine.commit(put("a", "3")).await.unwrap();
    let before = rows(&engine).await;
    drop(engine);
    store.disks[0].set_faults(Faults::default());
    assert_eq!(rows(&store.engine()).await, before);
    store.disks[1].wipe();
    store.cut(&mut Dice(5));
    assert_eq!(rows(&store.engine()).await, before);
    store.disks[2].wipe();
    store.cut(&mut Dice(6));
    assert_eq!(rows(&store.engine()).await, before);
}

#[tokio::test]
async fn a_start_is_refused_if_the_missing_ones_could_have_gone_on_alone() {
    let mut store = Store::new(3);
    let engine = store.engine();
    engine.commit(put("a", "1")).await.unwrap();
    drop(engine);
    let Err(EngineError::Refused(text)) = store.open_some(&[0]) else { panic!("not refused") };
    assert!(text.contains(&"02".repeat(16)) && text.contains(&"03".repeat(16)), "{text}");

    let (engine, report) = store.open_some(&[0, 2]).unwrap();
    assert!(report.to_string().contains(&format!("{}: missing", "02".repeat(16))), "{report}");
    engine.commit(put("b", "1")).await.unwrap();
    drop(engine);
    // 1 knows nothing of b; with 0 or 2 it learns it, alone it may not start.
    assert!(matches!(store.open_some(&[1]), Err(EngineError::Refused(_))));
    store.settings.min_journals = Some(1);
    assert!(matches!(store.open_some(&[1]), Err(EngineError::Refused(_))));
    store.settings.min_journals = None;
    let (engine, _) = store.open_some(&[1, 2]).unwrap();
    assert!(engine.get(b"b").await.unwrap().is_some());
}

#[tokio::test]
async fn accepted_loss_lets_the_rest_go_on() {
    let mut store = Store::new(2);
    let engine = store.engine();
    engine.commit(put("a", "1")).await.unwrap();
    drop(engine);
    assert!(matches!(store.open_some(&[1]), Err(EngineError::Refused(_))));
    store.settings.accept_loss = vec![id(0)];
    let (engine, _) = store.open_some(&[1]).unwrap();
    assert!(engine.get(b"a").await.unwrap().is_some());
    engine.commit(put("b", "1")).await.unwrap();
    let before = rows(&engine).await;
    drop(engine);
    store.settings.accept_loss.clear();
    let (engine, _) = store.open_some(&[1]).unwrap();
    assert_eq!(engine.status().members.len(), 1);
    drop(engine);
    // The one given up comes back and takes over what the other has.
    let engine = store.engine();
    assert_eq!(rows(&engine).await, before);
    assert_eq!(engine.status().members.len(), 2);
}

#[tokio::test]
async fn one_of_two_may_go_on_only_if_that_was_asked_for() {
    let mut store = Store::new(2);
    store.settings.min_journals = Some(1);
    let engine = store.engine();
    engine.commit(put("a", "1")).await.unwrap();
    store.disks[0].set_faults(failing());
    engine.commit(put("b", "1")).await.unwrap();
    drop(engine);
    store.disks[0].set_faults(Faults::default());
    assert!(matches!(store.open_some(&[0]), Err(EngineError::Refused(_))));
    let (engine, _) = store.open_some(&[1]).unwrap();
    assert!(engine.get(b"b").await.unwrap().is_some());
    drop(engine);
    assert_eq!(rows(&store.engine()).await.len(), 2);
}

/// The power goes at every operation of an epoch change that a failed directory causes.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_anywhere_in_an_epoch_change_loses_nothing() {
    for operations in 1..30 {
        let store = Store::new(3);
        let engine = store.engine();
        engine.commit(put("a", "1")).await.unwrap();
        store.disks[1].set_faults(failing());
        store.power.cut_after(operations);
        let acknowledged = engine.commit(put("b", "1")).await.is_ok();
        drop(engine);
        store.disks[1].set_faults(Faults::default());
        for pair in [[0, 1], [1, 2], [0, 2]] {
            store.cut(&mut Dice(operations.cast_unsigned()));
            let (engine, _) = store.open_some(&pair).unwrap();
            assert!(engine.get(b"a").await.unwrap().is_some());
            let there = engine.get(b"b").await.unwrap().is_some();
            assert!(there || !acknowledged, "cut at {operations}, found {pair:?}");
        }
    }
}

#[test]
fn an_epoch_file_reads_as_it_was_written() {
    let file = EpochFile {
        promised: 9,
        in_force: 8,
        min_journals: 2,
        joining: true,
        members: [(id(0), true), (id(1), false)].into(),
    };
    assert_eq!(EpochFile::decode(&file.encode()), Some(file.clone()));
    for place in 0..file.encode().len() {
        let mut damaged = file.encode();
        damaged[place] ^= 1;
        assert_eq!(EpochFile::decode(&damaged), None);
    }
}

/// An emptied directory that only promised does not count as one that knows.
#[test]
fn a_promise_on_an_empty_directory_is_no_knowledge() {
    let of = |joining| EpochFile {
        promised: 6,
        in_force: if joining { 0 } else { 5 },
        min_journals: 2,
        joining,
        members: [(id(0), true), (id(1), true), (id(2), true)].into(),
    };
    let two = |joining| [(id(0), Some(of(false))), (id(1), Some(of(joining)))].into();
    assert_eq!(judge(&two(false), None, &[]).unwrap().current, [id(0), id(1)]);
    assert!(judge(&two(true), None, &[]).is_err());
}

#[tokio::test]
async fn a_damaged_epoch_file_makes_a_directory_join_anew() {
    let store = Store::new(3);
    let engine = store.engine();
    engine.commit(put("a", "1")).await.unwrap();
    drop(engine);
    store.disks[1].tamper(EPOCH_FILE, |contents| contents[20] ^= 1);
    let (engine, report) = store.open().unwrap();
    assert!(report.to_string().contains("damaged"), "{report}");
    assert_eq!(rows(&engine).await.len(), 1);
    assert!(engine.status().members.iter().all(|m| m.state == MemberState::Active));
}
