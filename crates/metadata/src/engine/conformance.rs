//! What every engine must do. Each engine's tests run all of it; a failure is a panic.
//!
//! The randomized part prints its seed; `SEED=n` runs that one alone.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test suite")]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::{
    Add, COMMIT_BYTES_MAX, COMMIT_CHANGES_MAX, Commit, CommitError, Direction, Engine, EngineError,
    Expect, KEY_BYTES_MAX, PAGE_ROWS_MAX, Row, ScanRange, Sequence, VALUE_BYTES_MAX, read_counter,
};
use crate::embedded::simulated::Dice;

const SEEDS: u64 = 6;
const STEPS: usize = 300;

/// Runs everything, each part on a new engine.
pub async fn conformance<E: Engine, F: Future<Output = E>>(make: impl Fn() -> F) {
    rows_are_written_read_and_removed(make().await).await;
    appended_rows_stand_in_the_order_of_commits(make().await).await;
    pages_cover_a_range_in_both_directions(make().await).await;
    expectations_guard(make().await).await;
    adds_are_bounded(make().await).await;
    limits_are_checked(make().await).await;
    optimistic_counters_lose_nothing(Arc::new(make().await)).await;
    adds_never_conflict(Arc::new(make().await)).await;
    commits_are_seen_whole(Arc::new(make().await)).await;
    what_was_seen_once_is_seen_from_then_on(Arc::new(make().await)).await;
    closing_refuses_what_comes_later(make().await).await;
    for seed in seeds(SEEDS) {
        agrees_with_a_model(make().await, seed).await;
    }
}

/// The seeds to run: `SEED=n` alone, or fixed ones; `SEEDS=n` sets how many.
pub fn seeds(count: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    match number("SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("SEEDS").unwrap_or(count)).collect(),
    }
}

/// A commit that writes one row.
pub fn put(key: &str, value: &str) -> Commit {
    Commit { put: vec![(key.into(), value.into())], ..Commit::default() }
}

/// A commit that adds to one counter without bounds.
pub fn add(key: &str, amount: i64) -> Commit {
    let add = Add { key: key.into(), amount, ..Add::default() };
    Commit { add: vec![add], ..Commit::default() }
}

fn everything() -> ScanRange {
    ScanRange { start: Vec::new(), end: vec![0xff; 8] }
}

async fn rows_are_written_read_and_removed(engine: impl Engine) {
    assert_eq!(engine.sequence(), 0);
    assert_eq!(engine.get(b"a").await.unwrap(), None);
    let first = engine.commit(put("a", "1")).await.unwrap();
    let second = engine.commit(put("b", "")).await.unwrap();
    assert!(second > first);
    assert_eq!(engine.sequence(), second);
    let row = Row { version: first, value: Bytes::from_static(b"1") };
    assert_eq!(engine.get(b"a").await.unwrap(), Some(row.clone()));
    let empty = Row { version: second, value: Bytes::new() };
    let many = engine.get_many(&[b"b".to_vec(), b"c".to_vec(), b"a".to_vec()]).await.unwrap();
    assert_eq!(many, [Some(empty), None, Some(row)]);
    let delete = vec![b"a".to_vec(), b"never".to_vec()];
    let third = engine.commit(Commit { delete, ..Commit::default() }).await.unwrap();
    assert!(third > second);
    assert_eq!(engine.get(b"a").await.unwrap(), None);
    let checked = engine.commit(Commit::default()).await.unwrap();
    assert_eq!(checked, third, "a commit without changes takes no number");
}

/// Method: many tasks append and change one row at once; the row's last value is the last appended.
async fn appended_rows_stand_in_the_order_of_commits(engine: impl Engine) {
    let engine = Arc::new(engine);
    let tasks = (0..8_u8).map(|task| {
        let engine = Arc::clone(&engine);
        tokio::spawn(async move {
            let mut numbers = Vec::new();
            for number in 0..20_u8 {
                let value = vec![task, number];
                let append = vec![(b"log/".to_vec(), value.clone())];
                let commit =
                    Commit { append, put: vec![(b"last".to_vec(), value)], ..Commit::default() };
                numbers.push(engine.commit(commit).await.unwrap());
            }
            numbers
        })
    });
    let mut numbers: Vec<Sequence> = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        numbers.extend(task.await.unwrap());
    }
    numbers.sort_unstable();
    let range = ScanRange { start: b"log/".to_vec(), end: b"log0".to_vec() };
    let page = engine.scan(&range, PAGE_ROWS_MAX, Direction::Forward).await.unwrap();
    let keys: Vec<_> = page.rows.iter().map(|(key, _)| key.clone()).collect();
    let key = |number: &Sequence| [&b"log/"[..], &number.to_be_bytes()].concat();
    assert_eq!(keys, numbers.iter().map(key).collect::<Vec<_>>());
    assert!(page.rows.iter().zip(&numbers).all(|((_, row), number)| row.version == *number));
    let last = engine.get(b"last").await.unwrap().map(|row| row.value);
    assert_eq!(last, page.rows.last().map(|(_, row)| row.value.clone()));
    let twice = vec![(b"log/".to_vec(), vec![1]); 2];
    let refused = engine.commit(Commit { append: twice, ..Commit::default() }).await;
    assert!(matches!(refused, Err(CommitError::DuplicateKey { .. })));
}

async fn pages_cover_a_range_in_both_directions(engine: impl Engine) {
    for number in 0..PAGE_ROWS_MAX + 50 {
        engine.commit(put(&format!("k{number:05}"), "v")).await.unwrap();
    }
    let range = ScanRange { start: b"k00001".to_vec(), end: b"k00005".to_vec() };
    for (direction, expected) in [
        (Direction::Forward, ["k00001", "k00002", "k00003", "k00004"]),
        (Direction::Backward, ["k00004", "k00003", "k00002", "k00001"]),
    ] {
        for limit in [1, 3, 4, 5] {
            let keys = keys_of(&engine, &range, limit, direction).await;
            assert_eq!(keys, expected, "{direction:?} by {limit}");
        }
    }
    let all = engine.scan(&everything(), usize::MAX, Direction::Forward).await.unwrap();
    assert_eq!(all.rows.len(), PAGE_ROWS_MAX);
    assert!(all.next.is_some());
    for (start, end) in [("k1", "k0"), ("k00001", "k00001"), ("x", "y")] {
        let range = ScanRange { start: start.into(), end: end.into() };
        let page = engine.scan(&range, 10, Direction::Backward).await.unwrap();
        assert!(page.rows.is_empty() && page.next.is_none(), "{start}..{end}");
    }
    let one = engine.scan(&range, 0, Direction::Forward).await.unwrap();
    assert_eq!(one.rows.len(), 1, "a limit of 0 counts as 1");
}

async fn keys_of(
    engine: &impl Engine,
    range: &ScanRange,
    limit: usize,
    direction: Direction,
) -> Vec<String> {
    let mut keys = Vec::new();
    let mut next = Some(range.clone());
    while let Some(range) = next {
        let page = engine.scan(&range, limit, direction).await.unwrap();
        assert!(page.rows.len() <= limit);
        keys.extend(page.rows.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()));
        next = page.next;
    }
    keys
}

async fn expectations_guard(engine: impl Engine) {
    let version = engine.commit(put("a", "1")).await.unwrap();
    let a = || b"a".to_vec();
    let range = |start: &str, end: &str| Expect::EmptyRange {
        range: ScanRange { start: start.into(), end: end.into() },
    };
    let holds = [
        Expect::Version { key: a(), version },
        Expect::Absent { key: b"b".to_vec() },
        range("b", "z"),
        range("a\0", "b"),
        range("z", "a"),
    ];
    let broken = [
        Expect::Version { key: a(), version: version + 1 },
        Expect::Version { key: b"b".to_vec(), version },
        Expect::Absent { key: a() },
        range("a", "b"),
    ];
    for expect in &holds {
        let commit = Commit { expect: vec![expect.clone()], ..Commit::default() };
        assert!(engine.commit(commit).await.is_ok(), "{expect:?}");
    }
    for expect in broken {
        let mut commit = put("written", "never");
        commit.expect = vec![holds[0].clone(), expect.clone()];
        let answer = engine.commit(commit).await;
        assert!(matches!(answer, Err(CommitError::Conflict { .. })), "{expect:?}: {answer:?}");
    }
    assert_eq!(engine.get(b"written").await.unwrap(), None);
}

async fn adds_are_bounded(engine: impl Engine) {
    let bounded = |amount, minimum, maximum| Commit {
        put: vec![(b"beside".to_vec(), amount_bytes(amount))],
        add: vec![Add { key: b"n".to_vec(), amount, minimum, maximum }],
        ..Commit::default()
    };
    engine.commit(bounded(5, Some(0), Some(5))).await.unwrap();
    engine.commit(bounded(-2, Some(0), None)).await.unwrap();
    for (amount, minimum, maximum) in
        [(-4, Some(0), None), (3, None, Some(5)), (i64::MAX, None, None)]
    {
        let answer = engine.commit(bounded(amount, minimum, maximum)).await;
        assert!(matches!(answer, Err(CommitError::OutOfBounds { .. })), "{amount}: {answer:?}");
    }
    assert_eq!(counter(&engine, b"n").await, 3);
    let beside = engine.get(b"beside").await.unwrap().unwrap();
    assert_eq!(beside.value, amount_bytes(-2), "a refused commit changes nothing");
    engine.commit(put("text", "abc")).await.unwrap();
    let answer = engine.commit(add("text", 1)).await;
    assert!(matches!(answer, Err(CommitError::Engine(EngineError::NotACounter(_)))));
}

fn amount_bytes(amount: i64) -> Vec<u8> {
    amount.to_be_bytes().to_vec()
}

async fn counter(engine: &impl Engine, key: &[u8]) -> i64 {
    let row = engine.get(key).await.unwrap();
    row.map_or(0, |row| read_counter(key, &row.value).unwrap())
}

async fn limits_are_checked(engine: impl Engine) {
    let one = |key: usize, value: usize| Commit {
        put: vec![(vec![b'k'; key], vec![b'v'; value])],
        ..Commit::default()
    };
    let many = |count: usize, value: usize| Commit {
        put: (0..count).map(|n| (format!("{n:08}").into_bytes(), vec![0; value])).collect(),
        ..Commit::default()
    };
    engine.commit(one(KEY_BYTES_MAX, VALUE_BYTES_MAX)).await.unwrap();
    let row = engine.get(&[b'k'; KEY_BYTES_MAX]).await.unwrap().unwrap();
    assert_eq!(row.value.len(), VALUE_BYTES_MAX);
    engine.commit(many(COMMIT_CHANGES_MAX, 1)).await.unwrap();
    let per_row = VALUE_BYTES_MAX;
    engine.commit(many(COMMIT_BYTES_MAX / per_row - 1, per_row)).await.unwrap();
    let before = engine.sequence();
    for commit in [
        one(KEY_BYTES_MAX + 1, 0),
        one(1, VALUE_BYTES_MAX + 1),
        many(COMMIT_CHANGES_MAX + 1, 0),
        many(COMMIT_BYTES_MAX / per_row, per_row),
    ] {
        assert!(matches!(engine.commit(commit).await, Err(CommitError::TooLarge)));
    }
    let mut twice = put("a", "1");
    twice.delete = vec![b"a".to_vec()];
    assert!(matches!(engine.commit(twice).await, Err(CommitError::DuplicateKey { .. })));
    assert_eq!(engine.sequence(), before);
}

async fn optimistic_counters_lose_nothing<E: Engine>(engine: Arc<E>) {
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move {
                for _ in 0..20 {
                    while !increment(&*engine).await {}
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(counter(&*engine, b"n").await, 160);
}

async fn increment(engine: &impl Engine) -> bool {
    let row = engine.get(b"n").await.unwrap();
    let value = row.as_ref().map_or(0, |row| read_counter(b"n", &row.value).unwrap());
    let key = b"n".to_vec();
    let expect = match row {
        Some(row) => Expect::Version { key, version: row.version },
        None => Expect::Absent { key },
    };
    let put = vec![(b"n".to_vec(), amount_bytes(value + 1))];
    match engine.commit(Commit { expect: vec![expect], put, ..Commit::default() }).await {
        Ok(_) => true,
        Err(CommitError::Conflict { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

async fn adds_never_conflict<E: Engine>(engine: Arc<E>) {
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move {
                for _ in 0..10 {
                    engine.commit(add("n", 1)).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(counter(&*engine, b"n").await, 160);
}

async fn commits_are_seen_whole<E: Engine>(engine: Arc<E>) {
    let keys: Vec<Vec<u8>> = (0..20).map(|n| format!("row-{n:02}").into_bytes()).collect();
    let writer = {
        let (engine, keys) = (Arc::clone(&engine), keys.clone());
        tokio::spawn(async move {
            for round in 0..100_i64 {
                let rows = keys.iter().map(|key| (key.clone(), amount_bytes(round)));
                let commit = Commit { put: rows.collect(), ..Commit::default() };
                engine.commit(commit).await.unwrap();
            }
        })
    };
    while !writer.is_finished() {
        let many = engine.get_many(&keys).await.unwrap();
        assert!(many.windows(2).all(|pair| pair[0] == pair[1]), "get_many saw half a commit");
        let page = engine.scan(&everything(), 100, Direction::Forward).await.unwrap();
        let versions: Vec<_> = page.rows.iter().map(|(_, row)| row.version).collect();
        assert!(versions.windows(2).all(|pair| pair[0] == pair[1]), "scan saw half a commit");
        assert!(versions.is_empty() || versions.len() == keys.len());
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
}

/// Reading row by row, too, half a commit cannot be seen: an answer that shows one change of it is
/// followed by no answer from before it.
async fn what_was_seen_once_is_seen_from_then_on<E: Engine>(engine: Arc<E>) {
    let keys: Vec<Vec<u8>> = (0..200).map(|n| format!("row-{n:03}").into_bytes()).collect();
    let (first, last) = (keys[0].clone(), keys[keys.len() - 1].clone());
    let writer = {
        let engine = Arc::clone(&engine);
        tokio::spawn(async move {
            for _ in 0..200 {
                let rows = keys.iter().map(|key| (key.clone(), b"here".to_vec()));
                let commit = Commit { put: rows.collect(), ..Commit::default() };
                engine.commit(commit).await.unwrap();
                let commit = Commit { delete: keys.clone(), ..Commit::default() };
                engine.commit(commit).await.unwrap();
            }
        })
    };
    while !writer.is_finished() {
        let before = engine.sequence();
        let one = engine.get(&first).await.unwrap();
        let other = engine.get(&last).await.unwrap();
        // Commits with odd numbers write the rows, those with even numbers remove them.
        match (one, other) {
            (Some(one), Some(other)) => {
                assert!(other.version >= one.version, "a row was written without the other");
            }
            (Some(one), None) => {
                let removed = engine.sequence() > one.version;
                assert!(removed, "a row was written without the other");
            }
            (None, Some(other)) if before % 2 == 1 => {
                assert!(other.version > before, "a row was removed without the other");
            }
            (None, _) => {}
        }
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
}

async fn closing_refuses_what_comes_later(engine: impl Engine) {
    engine.commit(put("a", "1")).await.unwrap();
    engine.close().await.unwrap();
    assert!(matches!(engine.get(b"a").await, Err(EngineError::Closed)));
    let answer = engine.commit(put("a", "2")).await;
    assert!(matches!(answer, Err(CommitError::Engine(EngineError::Closed))));
}

/// Random commits and reads, all answers compared with those of a plain map.
async fn agrees_with_a_model(engine: impl Engine, seed: u64) {
    println!("SEED={seed}");
    let mut dice = Dice(seed);
    let mut model: BTreeMap<Vec<u8>, Row> = BTreeMap::new();
    let mut last = 0;
    for _ in 0..STEPS {
        if dice.roll(3) > 0 {
            let commit = random_commit(&mut dice, &model);
            let expected = apply(&mut model, &commit, last + 1);
            match engine.commit(commit.clone()).await {
                Ok(sequence) => {
                    assert!(expected, "SEED={seed}: {commit:?} should be refused");
                    assert_eq!(sequence, last + u64::from(commit.changes() > 0), "SEED={seed}");
                    last = sequence;
                }
                Err(CommitError::Conflict { .. } | CommitError::OutOfBounds { .. }) => {
                    assert!(!expected, "SEED={seed}: {commit:?} should pass");
                }
                Err(error) => panic!("SEED={seed}: {error}"),
            }
        }
        let (one, other) = (random_key(&mut dice), random_key(&mut dice));
        let range = ScanRange { start: one.clone(), end: other };
        let direction = [Direction::Forward, Direction::Backward][dice.roll(2) as usize];
        let limit = dice.roll(6) as usize + 1;
        let page = engine.scan(&range, limit, direction).await.unwrap();
        assert_eq!(page.rows, model_page(&model, &range, limit, direction), "SEED={seed}");
        assert_eq!(engine.get(&one).await.unwrap(), model.get(&one).cloned(), "SEED={seed}");
    }
}

/// A key out of few, so that they meet often.
pub fn random_key(dice: &mut Dice) -> Vec<u8> {
    let length = dice.roll(3) as usize + 1;
    (0..length).map(|_| [0, b'a', b'b', 0xff][dice.roll(4) as usize]).collect()
}

fn random_commit(dice: &mut Dice, model: &BTreeMap<Vec<u8>, Row>) -> Commit {
    let mut commit = Commit::default();
    let mut keys: Vec<_> = (0..dice.roll(5)).map(|_| random_key(dice)).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let is_counter = model.get(&key).is_none_or(|row| row.value.len() == 8);
        match dice.roll(3) {
            0 => commit.delete.push(key),
            1 if is_counter => {
                let amount = dice.roll(20).cast_signed() - 10;
                commit.add.push(Add { key, amount, minimum: Some(-15), maximum: Some(15) });
            }
            _ => commit.put.push((key, vec![b'v'; dice.roll(7) as usize])),
        }
    }
    for _ in 0..dice.roll(3) {
        let key = random_key(dice);
        commit.expect.push(match (dice.roll(3), model.get(&key)) {
            (0, _) => Expect::EmptyRange { range: ScanRange { start: key, end: vec![b'b'] } },
            (_, Some(row)) => Expect::Version { version: row.version - dice.roll(5) / 4, key },
            (_, None) => Expect::Absent { key },
        });
    }
    commit
}

/// Applies a commit to the model if it should be accepted, and says whether.
pub fn apply(model: &mut BTreeMap<Vec<u8>, Row>, commit: &Commit, version: Sequence) -> bool {
    let holds = |expect: &Expect| match expect {
        Expect::Version { key, version } => model.get(key).is_some_and(|r| r.version == *version),
        Expect::Absent { key } => !model.contains_key(key),
        Expect::EmptyRange { range } => {
            !model.keys().any(|key| *key >= range.start && *key < range.end)
        }
    };
    if !commit.expect.iter().all(holds) {
        return false;
    }
    let mut sums = Vec::new();
    for add in &commit.add {
        let current = model
            .get(&add.key)
            .map_or(0, |row| i64::from_be_bytes(row.value.as_ref().try_into().unwrap()));
        let sum = current + add.amount;
        if add.minimum.is_some_and(|least| sum < least) || add.maximum.is_some_and(|m| sum > m) {
            return false;
        }
        sums.push((add.key.clone(), amount_bytes(sum)));
    }
    for (key, value) in sums.into_iter().chain(commit.put.iter().cloned()) {
        model.insert(key, Row { version, value: value.into() });
    }
    for key in &commit.delete {
        model.remove(key);
    }
    true
}

fn model_page(
    model: &BTreeMap<Vec<u8>, Row>,
    range: &ScanRange,
    limit: usize,
    direction: Direction,
) -> Vec<(Vec<u8>, Row)> {
    let inside = |key: &Vec<u8>| *key >= range.start && *key < range.end;
    let rows = model.iter().filter(|(key, _)| inside(key));
    let mut rows: Vec<_> = rows.map(|(key, row)| (key.clone(), row.clone())).collect();
    if direction == Direction::Backward {
        rows.reverse();
    }
    rows.truncate(limit);
    rows
}
