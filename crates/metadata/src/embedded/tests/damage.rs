//! Damaged journals: torn tails are cut, damage is repaired from another copy or refused.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::fields::sealed;
use super::super::files::Files;
use super::super::journal::{FileId, GroupWriter, Reader, Record, Segment};
use super::super::members::EpochFile;
use super::super::simulated::{Dice, Power, SimDisk};
use super::super::snapshot::{self, SnapshotId};
use super::{Store, rows};
use crate::engine::conformance::put;
use crate::engine::{Engine, EngineError};

const ID: FileId = FileId { epoch: 3, base: 10, nonce: 77 };

/// A journal file of three groups: 11, 12..=13, 14.
fn journal() -> (Vec<u8>, Vec<usize>) {
    let mut file = ID.header(ID.base);
    let mut chain = ID.seed();
    let mut starts = Vec::new();
    for (durable, sequences) in [(10, 11..=11), (11, 12..=13), (13, 14..=14)] {
        let mut writer = GroupWriter::new(ID, chain, durable);
        for sequence in sequences {
            writer.push(&record(sequence));
        }
        starts.push(file.len());
        let (group, after) = writer.finish();
        file.extend(group);
        chain = after;
    }
    (file, starts)
}

fn record(sequence: u64) -> Record {
    let changes = vec![
        (b"key".to_vec(), Some(sequence.to_be_bytes().to_vec())),
        (b"gone".to_vec(), None),
        (Vec::new(), Some(Vec::new())),
    ];
    Record { sequence, changes }
}

fn files_with(name: &str, contents: Vec<u8>) -> Arc<dyn Files> {
    let disk = SimDisk::new(&Power::on());
    disk.place(name, contents);
    disk.files()
}

/// What a reader makes of a file: the runs of records, and what is known durable.
fn read(contents: Vec<u8>) -> (Vec<(u64, u64)>, u64, Vec<Record>) {
    let files = files_with(&ID.name(), contents);
    let mut reader = Reader::new(&*files, ID);
    let summary = reader.summary().unwrap();
    let mut records = Vec::new();
    for segment in &summary.segments {
        let mut each = |record| {
            records.push(record);
            Ok::<_, std::io::Error>(())
        };
        let range = (segment.first, segment.last);
        assert_eq!(reader.replay(segment, range, &mut each).unwrap(), None);
    }
    let runs = summary.segments.iter().map(|segment: &Segment| (segment.first, segment.last));
    (runs.collect(), summary.durable, records)
}

#[test]
fn a_journal_reads_as_it_was_written() {
    let (file, _) = journal();
    let expected: Vec<_> = (11..=14).map(record).collect();
    assert_eq!(read(file.clone()), (vec![(11, 14)], 13, expected.clone()));
    let mut padded = file;
    padded.resize(100_000, 0);
    assert_eq!(read(padded), (vec![(11, 14)], 13, expected));
}

#[test]
fn the_last_number_there_is_reads_without_an_overflow() {
    let id = FileId { epoch: 3, base: u64::MAX - 1, nonce: 77 };
    let mut writer = GroupWriter::new(id, id.seed(), id.base);
    writer.push(&record(u64::MAX));
    let file = [id.header(id.base), writer.finish().0].concat();
    let files = files_with(&id.name(), file);
    let mut reader = Reader::new(&*files, id);
    let summary = reader.summary().unwrap();
    let mut records = Vec::new();
    let mut each = |record| {
        records.push(record);
        Ok::<_, std::io::Error>(())
    };
    let missing = reader.replay(&summary.segments[0], (0, u64::MAX), &mut each).unwrap();
    assert_eq!((missing, records), (None, vec![record(u64::MAX)]));
}

#[test]
fn a_journal_cut_anywhere_keeps_whole_records_only() {
    let (file, _) = journal();
    for length in 0..file.len() {
        let (runs, _, records) = read(file[..length].to_vec());
        let expected: Vec<_> = (11..).take(records.len()).map(record).collect();
        assert_eq!(records, expected, "cut at {length}");
        assert!(runs.len() <= 1);
    }
}

#[test]
fn any_flipped_bit_is_noticed_and_later_groups_are_found() {
    let (file, starts) = journal();
    for place in 64..file.len() {
        let mut damaged = file.clone();
        damaged[place] ^= 1 << (place % 8);
        let (runs, durable, records) = read(damaged);
        for read in records {
            assert_eq!(read, record(read.sequence), "flipped at {place}");
        }
        if (starts[1]..starts[2]).contains(&place) && runs != [(11, 14)] {
            assert_eq!(durable, 13, "flipped at {place}");
            assert_eq!(runs.last(), Some(&(14, 14)), "flipped at {place}");
        }
    }
}

/// A value that looks like a group of the file is no group, because its nonce is not known.
#[test]
fn a_stored_group_is_not_mistaken_for_a_real_one() {
    let mut forged = GroupWriter::new(FileId { nonce: 78, ..ID }, 0, 1_000);
    forged.push(&record(1_000));
    let (file, starts) = journal();
    let mut torn = file[..starts[2]].to_vec();
    torn.extend(forged.finish().0);
    assert_eq!(read(torn).1, 11);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn garbage_never_panics(
        garbage in proptest::collection::vec(any::<u8>(), 0..600),
        place in 0_usize..400,
    ) {
        let (mut file, _) = journal();
        let end = (place + garbage.len()).min(file.len());
        let length = end.saturating_sub(place);
        file[place..place + length].copy_from_slice(&garbage[..length]);
        for (_, record) in read(file).2.iter().map(|found| (found, record(found.sequence))) {
            prop_assert!(record.sequence > 10);
        }
        read(garbage.clone());
        let _ = EpochFile::decode(&garbage);
        let _ = EpochFile::decode(&sealed(garbage.clone()));
        let _ = FileId::parse(&String::from_utf8_lossy(&garbage));
        let id = SnapshotId { end: 0, start: 0, epoch: 0 };
        let files = files_with("x", garbage);
        let each = &mut |_| Ok::<_, std::io::Error>(());
        prop_assert!(snapshot::read(&*files, ("x", id), each).is_err());
    }
}

async fn written(disks: usize) -> Store {
    let store = Store::new(disks);
    let engine = store.engine();
    for number in 0..40 {
        engine.commit(put(&format!("k{number:02}"), &"v".repeat(300))).await.unwrap();
    }
    assert_eq!(engine.sequence(), 40);
    drop(engine);
    store
}

fn journals(store: &Store, disk: usize) -> Vec<String> {
    let mut names = store.disks[disk].names();
    names.retain(|name| FileId::parse(name).is_some());
    names.sort();
    names
}

#[tokio::test]
async fn damage_in_the_middle_is_repaired_from_another_copy_or_refused() {
    for disks in [1, 2] {
        let store = written(disks).await;
        let name = journals(&store, 0).remove(0);
        store.disks[0].tamper(&name, |contents| contents[2_000] ^= 4);
        store.cut(&mut Dice(1));
        match (disks, store.open()) {
            (1, Err(EngineError::Damaged(text))) => assert!(text.contains("record"), "{text}"),
            (2, Ok((engine, report))) => {
                assert_eq!(rows(&engine).await.len(), 40);
                assert!(report.to_string().contains("brought up to date"), "{report}");
                // From now on the damaged directory stands alone again.
                drop(engine);
                store.cut(&mut Dice(2));
                store.disks[1].wipe();
                let (engine, _) = store.open().unwrap();
                assert_eq!(rows(&engine).await.len(), 40);
            }
            (_, Ok(_)) => panic!("damage was served"),
            (_, Err(error)) => panic!("{error}"),
        }
    }
}

/// Two copies damaged in different places make one that is whole.
#[tokio::test]
async fn copies_damaged_in_different_places_complete_each_other() {
    let store = written(2).await;
    let name = journals(&store, 0).remove(0);
    store.disks[0].tamper(&name, |contents| contents[1_000] ^= 4);
    store.disks[1].tamper(&name, |contents| contents[4_000] ^= 4);
    store.cut(&mut Dice(1));
    let (engine, _) = store.open().unwrap();
    assert_eq!(rows(&engine).await.len(), 40);
}

#[tokio::test]
async fn a_lost_journal_file_is_noticed() {
    let store = written(1).await;
    let name = journals(&store, 0).remove(0);
    store.disks[0].files().remove(&name).unwrap();
    store.disks[0].files().sync_dir().unwrap();
    store.cut(&mut Dice(1));
    assert!(matches!(store.open(), Err(EngineError::Damaged(_))));
}

/// The tail of the last file is torn: a commit that was never acknowledged goes.
#[tokio::test]
async fn a_torn_tail_is_cut_without_complaint() {
    let store = written(1).await;
    let name = journals(&store, 0).pop().unwrap();
    let contents = store.disks[0].contents(&name).unwrap();
    let used = contents.iter().rposition(|byte| *byte != 0).unwrap();
    store.disks[0].tamper(&name, |contents| contents[used - 50..].fill(0));
    store.cut(&mut Dice(1));
    let (engine, _) = store.open().unwrap();
    assert_eq!(engine.sequence(), 39);
    engine.commit(put("again", "1")).await.unwrap();
    drop(engine);
    store.cut(&mut Dice(1));
    assert_eq!(rows(&store.engine()).await.len(), 40);
}
