//! Power cuts at any moment, with committers and snapshots going on.
//!
//! Method: a store lives several lives. In each it is opened, written to by several tasks at once
//! until the power goes at a random operation (which may be in the middle of the opening), and its
//! disks keep of the unsynced what chance leaves. Whenever it opens, everything acknowledged must
//! be there, and every other commit wholly or not at all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::super::Embedded;
use super::super::simulated::{Dice, Faults};
use super::{Store, rows};
use crate::engine::conformance::seeds;
use crate::engine::{Add, Commit, CommitError, Engine, EngineError, Row, Sequence};

const LIVES: usize = 5;
const TASKS: u64 = 4;
const SEEDS: u64 = 25;

/// What the writers know.
#[derive(Default)]
struct Ledger {
    acknowledged: BTreeMap<(u64, u64), Sequence>,
    /// Sent, and neither acknowledged nor refused for good.
    unknown: Vec<(u64, u64)>,
    refused: Vec<(u64, u64)>,
    next: BTreeMap<u64, u64>,
}

#[derive(Clone, Copy, Default)]
struct Plan {
    disks: usize,
    wipe: bool,
    ignore_sync_of: Option<&'static str>,
    ignore_sync_dir: bool,
}

fn commit(task: u64, number: u64, padding: usize) -> Commit {
    let rows = ["a", "b", "c"]
        .map(|part| (format!("row-{task}-{number:06}-{part}").into_bytes(), vec![b'x'; padding]));
    let mut put = rows.to_vec();
    put.push((format!("last-{task}").into_bytes(), number.to_be_bytes().to_vec()));
    let mut delete = Vec::new();
    if number >= 5 {
        delete.push(format!("row-{task}-{:06}-c", number - 5).into_bytes());
    }
    let add = vec![Add { key: b"total".to_vec(), amount: 1, ..Add::default() }];
    Commit { put, delete, add, ..Commit::default() }
}

async fn write(engine: Arc<Embedded>, ledger: Arc<Mutex<Ledger>>, task: u64, seed: u64) {
    let mut dice = Dice(seed ^ (task << 32));
    for _ in 0..60 {
        let number = {
            let mut ledger = ledger.lock().unwrap();
            let next = ledger.next.entry(task).or_default();
            *next += 1;
            *next
        };
        let answer = engine.commit(commit(task, number, dice.roll(300) as usize)).await;
        let mut ledger = ledger.lock().unwrap();
        match answer {
            Ok(sequence) => {
                ledger.acknowledged.insert((task, number), sequence);
            }
            Err(CommitError::Unavailable) => {
                ledger.unknown.push((task, number));
                return;
            }
            Err(CommitError::Engine(EngineError::Closed)) => {
                ledger.refused.push((task, number));
                return;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

async fn check(engine: &Embedded, ledger: &Mutex<Ledger>) -> Result<(), String> {
    let rows = rows(engine).await;
    let ledger = ledger.lock().unwrap();
    let number = |row: &Row| u64::from_be_bytes(row.value.as_ref().try_into().unwrap());
    let last = |task: u64| rows.get(format!("last-{task}").as_bytes()).map_or(0, number);
    let part = |task: u64, number: u64, part: &str| {
        rows.get(format!("row-{task}-{number:06}-{part}").as_bytes())
    };
    let mut whole = 0;
    for (task, next) in &ledger.next {
        for number in 1..=*next {
            let (a, b) = (part(*task, number, "a"), part(*task, number, "b"));
            let acknowledged = ledger.acknowledged.get(&(*task, number));
            if a.map(|row| row.version) != b.map(|row| row.version) {
                return Err(format!("commit {task}-{number} is half there"));
            }
            whole += u64::from(a.is_some());
            if let Some(sequence) = acknowledged {
                if a.map(|row| row.version) != Some(*sequence) {
                    return Err(format!("acknowledged commit {task}-{number} is lost: {a:?}"));
                }
                if last(*task) < number {
                    return Err(format!("acknowledged overwrite {task}-{number} is lost"));
                }
            }
            if ledger.refused.contains(&(*task, number)) && a.is_some() {
                return Err(format!("refused commit {task}-{number} is there"));
            }
            let gone = (number + 5..=*next)
                .any(|later| later == number + 5 && part(*task, later, "a").is_some());
            if a.is_some() && part(*task, number, "c").is_none() != gone {
                return Err(format!("deletion {task}-{number} is wrong"));
            }
        }
    }
    let total = rows.get(b"total".as_slice()).map_or(0, number);
    if total != whole {
        return Err(format!("{total} counted, {whole} there"));
    }
    let highest = ledger.acknowledged.values().max().copied().unwrap_or(0);
    if engine.sequence() < highest {
        return Err(format!("sequence {} after {highest} was given out", engine.sequence()));
    }
    Ok(())
}

/// One life, from opening to the cut. Answers whether the opening succeeded.
async fn live(store: &Store, ledger: &Arc<Mutex<Ledger>>, dice: &mut Dice) -> Result<bool, String> {
    let engine = match store.open() {
        Ok((engine, _)) => engine,
        Err(_) if !store.power.is_on() => return Ok(false),
        Err(error) => return Err(error.to_string()),
    };
    check(&engine, ledger).await?;
    let engine = Arc::new(engine);
    let seed = dice.roll(u64::MAX);
    let mut tasks: Vec<_> = (0..TASKS)
        .map(|task| tokio::spawn(write(Arc::clone(&engine), Arc::clone(ledger), task, seed)))
        .collect();
    if dice.roll(2) == 0 {
        let engine = Arc::clone(&engine);
        tasks.push(tokio::spawn(async move {
            for _ in 0..3 {
                let _ = engine.snapshot().await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    if dice.roll(3) == 0 {
        let _ = engine.close().await;
    }
    // What is visible after a failure must be true as well.
    drop(engine);
    Ok(true)
}

async fn run(seed: u64, plan: Plan) -> Result<(), String> {
    let mut dice = Dice(seed);
    let store = Store::new(plan.disks);
    let faults = Faults {
        ignore_sync_of: plan.ignore_sync_of,
        ignore_sync_dir: plan.ignore_sync_dir,
        ..Faults::default()
    };
    store.disks.iter().for_each(|disk| disk.set_faults(faults.clone()));
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    for _ in 0..LIVES {
        let operations = if dice.roll(4) == 0 { dice.roll(60) } else { dice.roll(700) };
        store.power.cut_after(operations.cast_signed() + 1);
        let opened = live(&store, &ledger, &mut dice).await?;
        store.cut(&mut dice);
        if plan.wipe && opened && dice.roll(2) == 0 {
            let victim = dice.roll(store.disks.len() as u64) as usize;
            store.disks[victim].wipe();
            store.disks[victim].set_faults(faults.clone());
            // Until a start has filled it again, no other may be lost.
            let (engine, _) = store.open().map_err(|error| error.to_string())?;
            check(&engine, &ledger).await?;
            drop(engine);
            store.cut(&mut dice);
        }
    }
    let (engine, _) = store.open().map_err(|error| error.to_string())?;
    check(&engine, &ledger).await?;
    let ledger = ledger.lock().unwrap();
    println!("{} acknowledged, {} unknown", ledger.acknowledged.len(), ledger.unknown.len());
    Ok(())
}

async fn survives(plan: Plan) {
    for seed in seeds(SEEDS) {
        println!("SEED={seed}");
        if let Err(error) = run(seed, plan).await {
            panic!("SEED={seed} with {} disks: {error}", plan.disks);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_disk_survives_power_cuts() {
    survives(Plan { disks: 1, ..Plan::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_disks_survive_power_cuts() {
    survives(Plan { disks: 2, ..Plan::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_disks_survive_power_cuts_and_a_wiped_one() {
    survives(Plan { disks: 3, wipe: true, ..Plan::default() }).await;
}

/// The tests above can see a loss: they do once one kind of sync is left out.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_sync_is_noticed() {
    let without = [
        Plan { disks: 1, ignore_sync_of: Some("journal.tmp"), ..Plan::default() },
        Plan { disks: 1, ignore_sync_dir: true, ..Plan::default() },
    ];
    for plan in without {
        let mut noticed = 0;
        for seed in 1..=12 {
            noticed += u32::from(run(seed, plan).await.is_err());
        }
        assert!(noticed > 0, "no seed noticed the missing sync of {:?}", plan.ignore_sync_of);
        println!("{:?}: noticed by {noticed} of 12 seeds", plan.ignore_sync_of);
    }
}
