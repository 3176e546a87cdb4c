//! Blobs go to where they are to lie, whoever else moves, frees and writes meanwhile.

use std::collections::BTreeMap;

use blobs::faulty::Random;
use bytes::Bytes;
use futures_util::FutureExt as _;
use model::{
    Condition,
    names::VersionSelector,
    records::{Attributes, Versioning},
    tags::Tags,
};
use service::{
    disks::{DirectoryId, DrainDisk, KeepDisk, ListDisks, RemoveDisk},
    objects::write::{PutObject, WriteCondition},
    workers::{Placement, Progress, Worker as _},
};
use tokio::sync::mpsc;

use crate::{
    Arriving, BUCKET, Client, Result, Store, Workers, assert_tidy, name, object, seeds,
    support::SMALL_BYTES_MAX,
};

impl Client {
    async fn drain(&self, directory: DirectoryId) -> Result<()> {
        self.as_root(DrainDisk { directory, then_remove: false, successor: None }).await
    }

    async fn is_empty(&self, directory: DirectoryId) -> bool {
        let disks = self.as_root(ListDisks).await.expect("they are listed").disks;
        let disk = disks.into_iter().find(|disk| disk.status.id == directory).expect("it is known");
        disk.known.draining.is_some_and(|draining| draining.empty)
    }
}

fn disk(number: u8) -> DirectoryId {
    DirectoryId([number; 16])
}

/// Steps until all is done; what cannot be moved is no end.
async fn place(placement: &mut Placement, store: &Store) {
    loop {
        match placement.step(&store.service).await.expect("it steps") {
            Progress::Idle => return,
            Progress::More | Progress::Pause(_) => tokio::task::yield_now().await,
        }
    }
}

fn text(random: &mut Random) -> String {
    let size = match random.below(3) {
        0 => 10,
        1 => SMALL_BYTES_MAX / 2,
        _ => SMALL_BYTES_MAX * 3,
    };
    random.below(1_000_000).to_string().repeat(size / 6 + 1)
}

/// It does not look every second whether somebody wants something of it: it is told.
#[tokio::test]
async fn an_idle_placement_worker_is_woken_by_whoever_changes_directories() {
    let store = Store::new(1).await;
    let client = Client::with_bucket(&store, Versioning::Unversioned).await;
    let mut placement = Placement::default();
    place(&mut placement, &store).await;
    assert!(placement.every().as_secs() > 5);
    let mut woken = async || {
        let wakes = placement.woken_by(&store.service).expect("something wakes it");
        let woken = wakes.notified().now_or_never().is_some();
        place(&mut placement, &store).await;
        woken
    };
    assert!(!woken().await, "nothing has changed");
    client.drain(disk(1)).await.expect("two are left");
    assert!(woken().await && client.is_empty(disk(1)).await);
    client.as_root(KeepDisk(disk(1))).await.expect("it is kept");
    assert!(woken().await && !woken().await);
}

/// Directories are emptied and used again in any order, beside writers and all other workers.
#[tokio::test]
async fn nothing_is_lost_however_directories_come_and_go() {
    for seed in seeds(12) {
        let mut store = Store::new(seed).await;
        let client = Client::with_bucket(&store, Versioning::Unversioned).await;
        let mut random = Random(seed);
        let mut kept = BTreeMap::new();
        let (mut placement, mut workers) = (Placement::default(), Workers::default());
        for round in 0..12_u32 {
            let number = random.below(3) as u8;
            for other in 0..3 {
                client.as_root(KeepDisk(disk(other))).await.expect("it is kept");
            }
            client.drain(disk(number)).await.expect("two are left");
            let writes: Vec<_> =
                (0..6).map(|_| (format!("k{}", random.below(10)), text(&mut random))).collect();
            let steps = random.below(12);
            let write = async {
                for (key, text) in &writes {
                    client.put(key, text).await.expect("it is put");
                }
            };
            let move_some = async {
                for _ in 0..steps {
                    placement.step(&store.service).await.expect("it steps");
                    tokio::task::yield_now().await;
                }
            };
            let free = async { workers.finish(&store).await.expect("they step") };
            tokio::join!(write, move_some, free);
            kept.extend(writes);
            if random.below(4) == 0 {
                store.clock.turn_ms(i64::from(round));
            }
            for (key, text) in &kept {
                let read = client.get(key, VersionSelector::Latest).await.expect("it is there");
                assert!(read == *text, "{key} in round {round}, SEED={seed}");
            }
        }
        let last = disk(random.below(3) as u8);
        for other in 0..3 {
            client.as_root(KeepDisk(disk(other))).await.expect("it is kept");
        }
        client.drain(last).await.expect("two are left");
        place(&mut placement, &store).await;
        assert!(client.is_empty(last).await, "SEED={seed}");
        assert_tidy(&store, seed).await;
        client.as_root(KeepDisk(last)).await.expect("it is kept");
        store.restart(None).await;
        assert_tidy(&store, seed).await;
    }
}

/// A writer that chose its directories before is waited for.
#[tokio::test]
async fn a_directory_is_not_empty_as_long_as_an_old_write_may_name_it() {
    let store = Store::new(1).await;
    let client = Client::with_bucket(&store, Versioning::Unversioned).await;
    let mut placement = Placement::default();
    place(&mut placement, &store).await;
    let (pieces, arriving) = mpsc::channel(1);
    let (bucket, key) = (name(BUCKET), object("slow"));
    let (attributes, condition) = (Attributes::default(), WriteCondition::default());
    let body = Box::new(Arriving(arriving));
    let put = client.call(PutObject {
        bucket,
        key,
        attributes,
        condition,
        acl: None,
        tags: Tags::default(),
        body,
    });
    let piece = Bytes::from(vec![b'x'; SMALL_BYTES_MAX * 3]);
    let rest = async {
        pieces.send(piece.clone()).await.expect("it is taken");
        // The directories are chosen before the next piece is asked for.
        pieces.send(piece.clone()).await.expect("it is taken");
        client.drain(disk(0)).await.expect("two are left");
        for _ in 0..20 {
            let progress = placement.step(&store.service).await.expect("it steps");
            assert!(matches!(progress, Progress::Pause(_)), "{progress:?}");
            tokio::task::yield_now().await;
        }
        assert!(!client.is_empty(disk(0)).await);
        drop(pieces);
    };
    let (put, ()) = tokio::join!(put, rest);
    put.expect("it is put");
    place(&mut placement, &store).await;
    assert!(client.is_empty(disk(0)).await);
    assert_tidy(&store, 1).await;
}

#[tokio::test]
async fn only_the_root_account_changes_directories_and_only_an_empty_one_goes() {
    let store = Store::new(1).await;
    let client = Client::with_bucket(&store, Versioning::Unversioned).await;
    client.put("key", "text").await.expect("it is put");
    let drain = DrainDisk { directory: disk(2), then_remove: false, successor: None };
    assert_eq!(client.call(drain).await.err(), Some(Condition::AccessDenied));
    assert_eq!(client.call(ListDisks).await.err(), Some(Condition::AccessDenied));
    let remove = |accept_loss| RemoveDisk { directory: disk(2), accept_loss };
    assert_eq!(client.as_root(remove(true)).await.err(), Some(Condition::InvalidRequest));
    client.drain(disk(2)).await.expect("two are left");
    assert_eq!(client.as_root(remove(false)).await.err(), Some(Condition::InvalidRequest));
    assert_eq!(client.drain(disk(1)).await.err(), Some(Condition::InvalidRequest));
    place(&mut Placement::default(), &store).await;
    client.as_root(remove(false)).await.expect("it goes");
    let left = client.as_root(ListDisks).await.expect("they are listed").disks;
    assert_eq!(left.len(), 2);
    assert_tidy(&store, 1).await;
}

/// What is freed later than its directory went is counted nowhere.
#[tokio::test]
async fn a_directory_may_go_before_what_was_in_it_is_freed() {
    for seed in 0..4 {
        let store = Store::new(seed).await;
        let client = Client::with_bucket(&store, Versioning::Unversioned).await;
        for number in 0..6 {
            client.put(&format!("k{number}"), "small").await.expect("it is put");
        }
        client.put("read", "small").await.expect("it is put");
        for number in 0..6 {
            client.delete(&format!("k{number}")).await.expect("it goes");
        }
        // It holds back what is unnamed from now on.
        let reader = client.open("read", VersionSelector::Latest).await.expect("it is read");
        let mut workers = Workers::default();
        while workers.reclaim(&store).await.expect("it steps") != Progress::Idle {}
        client.drain(disk(0)).await.expect("two are left");
        place(&mut Placement::default(), &store).await;
        let remove = RemoveDisk { directory: disk(0), accept_loss: false };
        client.as_root(remove).await.expect("it is empty");
        drop(reader);
        assert_tidy(&store, seed).await;
    }
}
