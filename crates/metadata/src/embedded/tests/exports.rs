//! Exports: exact at their moment whatever goes on meanwhile, and refused when anything is amiss.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::super::export::{
    self, End, HEADER_BYTES, Header, PIECE_BYTES_MAX, PIECE_HEADER_BYTES, chained,
};
use super::super::fields::{checksum, length32};
use super::super::files::Files;
use super::super::import::{Exported, import, import_into, verify};
use super::super::simulated::{Dice, SimDisk};
use super::super::{Embedded, EmbeddedSettings, MemberId, MetadataDirectory};
use super::{Store, id, rows};
use crate::engine::conformance::{apply, put, random_key, seeds};
use crate::engine::{Commit, Engine, EngineError, Row, Sequence};

const ORIGIN: [u8; 16] = [7; 16];

fn random_commit(dice: &mut Dice) -> Commit {
    let mut commit = Commit::default();
    let mut keys: Vec<_> = (0..=dice.roll(4)).map(|_| random_key(dice)).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        match dice.roll(3) {
            0 => commit.delete.push(key),
            _ => commit.put.push((key, vec![b'v'; dice.roll(60_000) as usize])),
        }
    }
    commit
}

/// All of an export, with `meanwhile` run after each piece.
fn exported(engine: &Embedded, meanwhile: &mut dyn FnMut()) -> Vec<u8> {
    let mut all = Vec::new();
    let mut take = |piece: Bytes| {
        all.extend(piece);
        meanwhile();
        Ok(())
    };
    let serving = engine.core.now().unwrap();
    export::write(serving.parts(), ORIGIN, &mut take).unwrap();
    all
}

fn into_store(export: &[u8], store: &Store) -> Result<Exported, EngineError> {
    let place = |(number, disk): (usize, &SimDisk)| (id(number), disk.files());
    let to: Vec<(MemberId, Arc<dyn Files>)> = store.disks.iter().enumerate().map(place).collect();
    import_into(&mut &*export, (Some(ORIGIN), 0), &to)
}

/// A store in which nothing may begin: metadata has to be found.
fn place(disks: usize) -> Store {
    let mut store = Store::new(disks);
    store.settings.first_start = false;
    store
}

/// Commits and snapshots go on between the pieces; what arrives is what one moment was.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_under_load_is_exact() {
    for seed in seeds(6) {
        println!("SEED={seed}");
        let store = Store::new(1 + (seed % 3) as usize);
        let engine = Arc::new(store.engine());
        let mut dice = Dice(seed);
        let mut history: Vec<(Sequence, Commit)> = Vec::new();
        let mut commits = async |number| {
            for _ in 0..number {
                let commit = random_commit(&mut dice);
                history.push((engine.commit(commit.clone()).await.unwrap(), commit));
            }
            if dice.roll(3) == 0 {
                engine.snapshot().await.unwrap();
            }
        };
        commits(300).await;
        let handle = Handle::current();
        let mut meanwhile = || handle.block_on(commits(10));
        let all = tokio::task::block_in_place(|| exported(&engine, &mut meanwhile));

        let copy = place(1 + (seed % 2) as usize);
        let found = into_store(&all, &copy).unwrap();
        assert!(found.records > 0 && found.sequence < engine.sequence(), "{found:?}");
        let mut model: BTreeMap<Vec<u8>, Row> = BTreeMap::new();
        for (sequence, commit) in history.iter().filter(|(at, _)| *at <= found.sequence) {
            apply(&mut model, commit, *sequence);
        }
        for disk in &copy.disks {
            disk.lose_power(&mut dice);
        }
        let (arrived, report) = copy.open().unwrap();
        assert_eq!(rows(&arrived).await, model, "SEED={seed}");
        assert_eq!((report.sequence, report.entries_loaded), (found.sequence, found.rows));
        assert!(report.records_replayed >= found.records, "{report}");
        // It goes on from there, through a crash too.
        arrived.commit(put("after", "1")).await.unwrap();
        drop(arrived);
        copy.cut(&mut dice);
        assert_eq!(rows(&copy.engine()).await.len(), model.len() + 1, "SEED={seed}");
    }
}

/// The same with commits and snapshots from another thread, at any moment, into real files.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_export_beside_a_writer_is_exact() {
    for seed in seeds(6) {
        println!("SEED={seed}");
        let home = tempfile::tempdir().unwrap();
        let directory = |number| MetadataDirectory {
            path: home.path().join(format!("{number}")),
            id: id(number),
        };
        let settings = EmbeddedSettings {
            first_start: true,
            journal_bytes: 1 << 20,
            reserve_bytes: 0,
            ..EmbeddedSettings::new(vec![directory(0), directory(1)])
        };
        let engine = Arc::new(Embedded::open(&settings, |_| {}).unwrap().0);
        let (writing, stop) = (Arc::clone(&engine), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let writer = tokio::spawn(async move {
            let mut dice = Dice(seed);
            let mut history: Vec<(Sequence, Commit)> = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let commit = random_commit(&mut dice);
                history.push((writing.commit(commit.clone()).await.unwrap(), commit));
                if dice.roll(50) == 0 {
                    writing.snapshot().await.unwrap();
                }
            }
            history
        });
        while engine.sequence() < 200 {
            tokio::task::yield_now().await;
        }
        let mut exports = Vec::new();
        for _ in 0..5 {
            let (mut all, mut stream) = (Vec::new(), engine.export(ORIGIN));
            while let Some(piece) = stream.recv().await {
                all.extend(piece.unwrap());
            }
            exports.push(all);
        }
        stop.store(true, Ordering::Relaxed);
        let history = writer.await.unwrap();
        for all in exports {
            let copy = place(1);
            let found = into_store(&all, &copy).unwrap();
            let mut model: BTreeMap<Vec<u8>, Row> = BTreeMap::new();
            for (sequence, commit) in history.iter().filter(|(at, _)| *at <= found.sequence) {
                apply(&mut model, commit, *sequence);
            }
            assert_eq!(rows(&copy.engine()).await, model, "SEED={seed}");
        }
    }
}

/// An export of a few rows, with journal records in it.
async fn small() -> Vec<u8> {
    let store = Store::new(2);
    let engine = store.engine();
    for number in 0..20 {
        engine.commit(put(&format!("k{number:02}"), &"v".repeat(40))).await.unwrap();
    }
    let handle = Handle::current();
    let mut number = 0;
    let mut meanwhile = || {
        number += 1;
        handle.block_on(engine.commit(put(&format!("m{number}"), "w"))).unwrap();
    };
    let all = tokio::task::block_in_place(|| exported(&engine, &mut meanwhile));
    assert!(verify(&mut &*all).unwrap().records > 0);
    all
}

fn is_refused(export: &[u8]) {
    let copy = place(1);
    assert!(matches!(into_store(export, &copy), Err(EngineError::Damaged(_))));
    assert!(matches!(copy.open(), Err(EngineError::Refused(_))), "half an import");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_export_is_refused_wherever_the_damage_is() {
    let all = small().await;
    assert!(into_store(&all, &place(1)).is_ok(), "undamaged it is taken");
    for byte in 0..all.len() {
        let mut damaged = all.clone();
        damaged[byte] ^= 1 << (byte % 8);
        is_refused(&damaged);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_off_export_is_refused_wherever_it_ends() {
    let all = small().await;
    for length in 0..all.len() {
        is_refused(&all[..length]);
    }
    is_refused(&[&all[..], b"\0"].concat());
    is_refused(&[&all[..], &all[..]].concat());
}

/// The pieces of an export, each with its kind.
fn pieces(all: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let (mut found, mut rest) = (Vec::new(), &all[HEADER_BYTES..]);
    while !rest.is_empty() {
        let kind = u32::from_le_bytes(rest[..4].try_into().unwrap());
        let length = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
        let (piece, next) = rest[PIECE_HEADER_BYTES..].split_at(length);
        found.push((kind, piece.to_vec()));
        rest = next;
    }
    found
}

/// An export with these pieces whose checksums and sums are right.
fn forged(header: &[u8], pieces: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut all = header.to_vec();
    let mut chain = checksum(&[header]);
    let bytes = |kind| pieces.iter().filter(|it| it.0 == kind).map(|it| it.1.len() as u64).sum();
    for (kind, content) in pieces {
        let mut content = content.clone();
        if let (3, Some(mut end)) = (kind, End::decode(&content)) {
            (end.snapshot_bytes, end.journal_bytes) = (bytes(1), bytes(2));
            content = end.encode();
        }
        let mut fixed = kind.to_le_bytes().to_vec();
        fixed.extend(length32(content.len()).to_le_bytes());
        chain = chained(chain, &fixed, &content);
        all.extend(fixed);
        all.extend(chain.to_le_bytes());
        all.extend(content);
    }
    all
}

/// Whoever makes an export on purpose can make all checksums right: it is refused or it is a store,
/// and never more than that.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_export_is_refused_or_opens() {
    let all = small().await;
    let (header, whole) = (&all[..HEADER_BYTES], pieces(&all));
    assert_eq!(forged(header, &whole), all, "the forger knows the form");
    let mut outcomes = [0, 0];
    for seed in seeds(400) {
        let mut dice = Dice(seed);
        let mut forgery = whole.clone();
        let chosen = dice.roll(forgery.len() as u64) as usize;
        let content = &mut forgery[chosen].1;
        match dice.roll(4) {
            0 => content.truncate(dice.roll(content.len() as u64) as usize),
            1 => content.extend(vec![0xff; dice.roll(100) as usize]),
            2 => drop(forgery.remove(chosen)),
            _ if content.is_empty() => continue,
            _ => {
                let byte = dice.roll(content.len() as u64) as usize;
                content[byte] = dice.roll(256) as u8;
            }
        }
        let copy = place(1);
        let taken = into_store(&forged(header, &forgery), &copy);
        let opened = copy.open().is_ok();
        assert_eq!(taken.is_ok(), opened, "SEED={seed}: {taken:?}");
        outcomes[usize::from(opened)] += 1;
    }
    let one_seed = outcomes[0] + outcomes[1] < 2;
    assert!(one_seed || outcomes.iter().all(|number| *number > 0), "{outcomes:?}");
}

/// The largest piece the form allows is asked for, and not there: no more is taken than is there.
#[test]
fn a_huge_piece_that_is_not_there_takes_no_memory() {
    let header = Header { origin: ORIGIN, epoch: 1, nonce: 2, created_unix_s: 3 }.encode();
    for length in [PIECE_BYTES_MAX, PIECE_BYTES_MAX + 1, u32::MAX] {
        let piece = [1_u32.to_le_bytes(), length.to_le_bytes(), [0; 4]].concat();
        let all = [header.clone(), piece].concat();
        assert!(matches!(verify(&mut &*all), Err(EngineError::Damaged(_))));
    }
}

/// A directory that was away at the second import still has the first one in it: it must not count.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_outranks_what_an_earlier_import_of_the_same_export_began() {
    let all = small().await;
    let home = tempfile::tempdir().unwrap();
    let directory =
        |name: &str, number| MetadataDirectory { path: home.path().join(name), id: id(number) };
    let bring = |replaced: &[&str], to: Vec<MetadataDirectory>| {
        let replaced: Vec<_> = replaced.iter().map(|name| home.path().join(name)).collect();
        import(&mut &*all, (ORIGIN, &replaced), &to).unwrap();
    };
    let open = |found| Embedded::open(&EmbeddedSettings::new(found), |_| {}).unwrap().0;
    bring(&[], vec![directory("first", 0), directory("away", 1)]);
    for number in 0..5 {
        let engine = open(vec![directory("first", 0), directory("away", 1)]);
        engine.commit(put("other", &format!("{number}"))).await.unwrap();
        engine.close().await.unwrap();
    }
    bring(&["first"], vec![directory("second", 0)]);
    open(vec![directory("second", 0)]).close().await.unwrap();
    let engine = open(vec![directory("second", 0), directory("away", 1)]);
    assert!(engine.get(b"other").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_asks_for_the_same_origin_and_for_empty_directories() {
    let all = small().await;
    let copy = place(1);
    let to = [(id(0), copy.disks[0].files())];
    let other = import_into(&mut &*all, (Some([8; 16]), 0), &to);
    assert!(matches!(other, Err(EngineError::Refused(_))));
    assert!(copy.disks[0].names().is_empty(), "nothing was written");

    into_store(&all, &copy).unwrap();
    let before = rows(&copy.engine()).await;
    let again = into_store(&all, &copy);
    assert!(matches!(again, Err(EngineError::Refused(_))));
    assert_eq!(rows(&copy.engine()).await, before);
}

/// Whenever the power goes, a start finds all of it, or nothing and says so.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_interrupted_anywhere_is_whole_or_no_metadata() {
    let all = small().await;
    let whole = place(2);
    into_store(&all, &whole).unwrap();
    let expected = rows(&whole.engine()).await;
    let mut outcomes = [0, 0];
    for operations in 0..60 {
        let copy = place(2);
        copy.power.cut_after(operations);
        let done = into_store(&all, &copy).is_ok();
        copy.cut(&mut Dice(operations.cast_unsigned()));
        match copy.open() {
            Ok((engine, _)) => assert_eq!(rows(&engine).await, expected, "cut at {operations}"),
            Err(EngineError::Refused(_)) => assert!(!done, "cut at {operations}"),
            Err(error) => panic!("cut at {operations}: {error}"),
        }
        outcomes[usize::from(done)] += 1;
    }
    assert!(outcomes.iter().all(|number| *number > 0), "{outcomes:?}");
}

/// A reader that goes away ends the export, and then old journals may go.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_nobody_reads_ends() {
    let store = Store::new(1);
    let engine = store.engine();
    for number in 0..200_u32 {
        let value = format!("{number}").repeat(10_000);
        engine.commit(put(&format!("k{number:03}"), &value)).await.unwrap();
    }
    let mut stream = engine.export(ORIGIN);
    stream.recv().await.unwrap().unwrap();
    assert!(engine.core.now().unwrap().parts().2.journal_wanted().is_some());
    let second = engine.export(ORIGIN).recv().await;
    assert!(matches!(second, Some(Err(EngineError::Unavailable(_)))), "one at a time");
    drop(stream);
    while engine.core.now().unwrap().parts().2.journal_wanted().is_some() {
        tokio::task::yield_now().await;
    }
    engine.close().await.unwrap();
    let mut refused = engine.export(ORIGIN);
    assert!(matches!(refused.recv().await, Some(Err(EngineError::Unavailable(_)))));
}

/// A reader that stays and takes nothing ends the export too, and is told when it reads on.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_whose_reader_stands_still_ends() {
    let mut store = Store::new(1);
    store.settings.export_patience = Duration::from_secs(1);
    let engine = store.engine();
    let mut dice = Dice(1);
    for number in 0..200_u32 {
        let value = (0..30_000).map(|_| dice.roll(256) as u8).collect();
        let put = vec![(format!("k{number:03}").into_bytes(), value)];
        engine.commit(Commit { put, ..Commit::default() }).await.unwrap();
    }
    let mut stream = engine.export(ORIGIN);
    stream.recv().await.unwrap().unwrap();
    while engine.core.now().unwrap().parts().2.journal_wanted().is_some() {
        tokio::task::yield_now().await;
    }
    let (mut pieces, mut last) = (0, None);
    while let Some(piece) = stream.recv().await {
        pieces += usize::from(piece.is_ok());
        last = Some(piece);
    }
    assert!(matches!(last, Some(Err(EngineError::Unavailable(_)))), "{last:?}");
    assert!(pieces > 0, "what was waiting is still handed out");
    // Another one goes through.
    let (mut all, mut stream) = (Vec::new(), engine.export(ORIGIN));
    while let Some(piece) = stream.recv().await {
        all.extend(piece.unwrap());
    }
    assert!(verify(&mut &*all).is_ok());
}

/// A start within the process waits for no reader, however patient the export is.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_ends_when_metadata_starts_anew() {
    let mut store = Store::new(2);
    store.settings.export_patience = Duration::from_secs(3_600);
    let engine = store.engine();
    let mut dice = Dice(1);
    for number in 0..200_u32 {
        let value = (0..30_000).map(|_| dice.roll(256) as u8).collect();
        let put = vec![(format!("k{number:03}").into_bytes(), value)];
        engine.commit(Commit { put, ..Commit::default() }).await.unwrap();
    }
    let mut stream = engine.export(ORIGIN);
    stream.recv().await.unwrap().unwrap();
    let stays = MetadataDirectory { path: "unused".into(), id: id(0) };
    engine.set_directories(&[stays]).await.unwrap();
    let mut last = None;
    while let Some(piece) = stream.recv().await {
        last = Some(piece);
    }
    assert!(matches!(last, Some(Err(EngineError::Unavailable(_)))), "{last:?}");
    let (mut all, mut stream) = (Vec::new(), engine.export(ORIGIN));
    while let Some(piece) = stream.recv().await {
        all.extend(piece.unwrap());
    }
    assert_eq!(verify(&mut &*all).unwrap().sequence, engine.sequence());
}
