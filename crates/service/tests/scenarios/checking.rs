//! Scrub and check: damage is found where nobody reads, named, and mended.

use std::time::Duration;

use metadata::engine::{Add, Commit, Direction, Engine as _, ScanRange};
use model::{Condition, names::VersionSelector, records::Versioning};
use service::{
    check::{CheckReport, CheckWish, ReadCheck, StartCheck},
    workers::{Check, Progress, Scrub, ScrubSettings, Worker as _},
};

use crate::{BUCKET, Client, Store, assert_tidy, name, object, support::SMALL_BYTES_MAX};

impl Client {
    async fn start_check(&self, wish: CheckWish) -> crate::Result<()> {
        let mut caller = self.caller.clone();
        caller.facts.root = true;
        let started = self.service.call(&caller, StartCheck(wish)).await;
        started.map_err(|error| error.condition)
    }

    async fn check(&self, repair: bool) -> CheckReport {
        self.check_as(CheckWish { bucket: Some(name(BUCKET)), repair }).await
    }

    async fn check_all(&self, repair: bool) -> CheckReport {
        self.check_as(CheckWish { bucket: None, repair }).await
    }

    async fn check_as(&self, wish: CheckWish) -> CheckReport {
        self.start_check(wish).await.expect("it begins");
        let mut caller = self.caller.clone();
        caller.facts.root = true;
        let mut worker = Check::default();
        loop {
            worker.step(&self.service).await.expect("it checks");
            let report = self.service.call(&caller, ReadCheck).await.expect("it tells");
            let report = report.expect("there is a report");
            if !report.running {
                return report;
            }
        }
    }
}

fn large() -> String {
    "large".repeat(SMALL_BYTES_MAX)
}

async fn filled(seed: u64) -> (Store, Client) {
    let store = Store::new(seed).await;
    let client = Client::with_bucket(&store, Versioning::Enabled).await;
    for text in ["one", "two"] {
        client.put("small", text).await.expect("it is put");
    }
    client.delete("small").await.expect("a marker");
    client.put("large", &large()).await.expect("it is put");
    client
        .copy("large", "copy", service::objects::write::WriteCondition::default())
        .await
        .expect("it is copied");
    let upload = client.create_upload("parts").await;
    client.upload_part(&upload, 1, "part").await.expect("a part");
    client
        .complete(&upload, service::objects::write::WriteCondition::default())
        .await
        .expect("it completes");
    let unfinished = client.create_upload("under way").await;
    client.upload_part(&unfinished, 7, "part").await.expect("a part");
    (store, client)
}

#[tokio::test]
async fn a_whole_store_is_clean() {
    let (store, client) = filled(1).await;
    let report = client.check(false).await;
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.faults, []);
    assert_eq!((report.buckets, report.objects), (1, 5));
    // Two small versions, the large one twice, a part with its manifest, a part under way.
    assert_eq!(report.blobs, 7);
    assert_tidy(&store, 1).await;
}

#[tokio::test]
async fn a_damaged_copy_is_named_and_only_mended_when_asked() {
    let (store, client) = filled(2).await;
    store.damage(0, 1000);
    let report = client.check(false).await;
    assert!(!report.is_clean());
    let named: Vec<_> = report.faults.iter().filter_map(|fault| fault.key.as_deref()).collect();
    assert_eq!(named, ["copy", "large"], "both names of the content");
    assert!(report.faults.iter().all(|fault| fault.what == "a copy is damaged or missing"));
    let mended = client.check(true).await;
    assert!(mended.is_clean(), "{mended:?}");
    assert_eq!(mended.repaired, 1);
    assert!(client.check(false).await.faults.is_empty());
    assert_tidy(&store, 2).await;
}

/// The same place in all copies: nothing makes it whole, and no wrong byte is handed out.
#[tokio::test]
async fn an_object_damaged_in_all_copies_is_named_as_lost() {
    let (store, client) = filled(3).await;
    store.damage(0, 1000);
    store.damage(1, 1000);
    for repair in [false, true] {
        let report = client.check(repair).await;
        assert!(!report.is_clean());
        assert_eq!(report.lost, 1, "{report:?}");
        let first = report.faults.first().expect("it is named");
        assert_eq!((first.key.as_deref(), first.bucket.as_str()), (Some("copy"), BUCKET));
        assert!(first.what.starts_with("lost"));
    }
    let read = client.service.call(&client.caller, get("large")).await.map(drop);
    assert_eq!(read.map_err(|error| error.condition), Err(Condition::DamagedData));
}

fn get(key: &str) -> service::objects::read::GetObject {
    service::objects::read::GetObject(service::objects::read::Reading {
        target: service::objects::Target {
            bucket: name(BUCKET),
            key: object(key),
            version: VersionSelector::Latest,
        },
        preconditions: model::preconditions::Preconditions::default(),
        range: None,
        lenient_range: false,
        part: None,
    })
}

/// Different places in all copies: together they still make a whole.
#[tokio::test]
async fn copies_damaged_in_different_places_mend_each_other() {
    let (store, client) = filled(4).await;
    let long = "x".repeat(400_000);
    client.remove_all(&client.versions().await).await;
    crate::Workers::default().finish(&store).await.expect("the workers work");
    client.put("long", &long).await.expect("it is put");
    store.damage(0, 1000);
    store.damage(1, 300_000);
    assert_eq!(client.check(false).await.damaged, 1);
    assert_eq!(client.check(true).await.repaired, 1);
    assert!(client.check(false).await.is_clean());
}

#[tokio::test]
async fn wrong_counters_are_found_and_corrected() {
    let (store, client) = filled(5).await;
    let usage = client.usage().await;
    let bucket = client.service.call(&client.caller, look()).await.expect("it is there").bucket;
    let row = [b"ub".as_slice(), &bucket.id.0.to_be_bytes(), b"o"].concat();
    let owner = [b"uao".as_slice(), bucket.owner.as_str().as_bytes()].concat();
    let add = |key: Vec<u8>| Add { key, amount: 3, ..Add::default() };
    let spoil = Commit { add: vec![add(row), add(owner)], ..Commit::default() };
    store.engine.commit(spoil).await.expect("it counts wrongly");
    let report = client.check(false).await;
    assert_eq!((report.wrong_counters, report.is_clean()), (1, false));
    let report = client.check(true).await;
    assert_eq!((report.corrected_counters, report.is_clean()), (1, true));
    assert_eq!(client.usage().await, usage);
    assert!(client.check(false).await.is_clean());
}

fn look() -> service::buckets::LookAtBucket {
    service::buckets::LookAtBucket {
        name: name(BUCKET),
        action: model::policy::Action::GetBucketInfo,
    }
}

#[tokio::test]
async fn one_check_runs_at_a_time_and_of_a_bucket_that_is_there() {
    let (_store, client) = filled(6).await;
    let nowhere = CheckWish { bucket: Some(name("nowhere")), repair: false };
    assert_eq!(client.start_check(nowhere).await, Err(Condition::NoSuchBucket));
    client.start_check(CheckWish::default()).await.expect("it begins");
    assert_eq!(client.start_check(CheckWish::default()).await, Err(Condition::InvalidRequest));
    let refused = client.call(StartCheck(CheckWish::default())).await;
    assert_eq!(refused, Err(Condition::AccessDenied), "only the root account may");
}

const DAY_MS: i64 = 24 * 3600 * 1000;

pub fn settings() -> ScrubSettings {
    let period = Duration::from_secs(30 * 24 * 3600);
    ScrubSettings { period, bytes_per_second_min: 1000, bytes_per_second_max: 1_000_000 }
}

/// Steps of a scrub until it rests; how many blobs were read for that.
pub async fn pass(scrub: &mut Scrub, store: &Store) -> u32 {
    let mut steps = 0;
    while let Progress::Pause(pause) = scrub.step(&store.service).await.expect("it reads") {
        assert!(pause <= Duration::from_secs(60));
        steps += 1;
    }
    steps
}

#[tokio::test]
async fn rot_that_nobody_reads_is_found_once_in_a_period_and_mended() {
    let (mut store, client) = filled(7).await;
    store.scrub_with(settings()).await;
    let client = Client { service: store.service.clone(), ..client };
    let mut scrub = Scrub::default();
    assert!(pass(&mut scrub, &store).await > 0);
    store.damage(1, 2000);
    store.clock.turn_ms(29 * DAY_MS);
    assert_eq!(pass(&mut scrub, &store).await, 0, "the period is not over");
    assert!(!client.check(false).await.is_clean());
    store.clock.turn_ms(2 * DAY_MS);
    assert!(pass(&mut scrub, &store).await > 0);
    assert!(client.check(false).await.is_clean());
    assert_eq!(pass(&mut scrub, &store).await, 0, "once is enough");
    assert_tidy(&store, 7).await;
}

async fn state(store: &Store) -> metadata::ScrubState {
    let row = store.engine.get(b"Mscrub").await.expect("it reads").expect("it was noted");
    minicbor::decode(&row.value[1..]).expect("it decodes")
}

/// A restart costs no work that was done.
#[tokio::test]
async fn a_pass_goes_on_where_it_was() {
    let mut store = Store::new(8).await;
    store.scrub_with(settings()).await;
    let client = Client::with_bucket(&store, Versioning::Unversioned).await;
    for number in 0..250 {
        client.put(&number.to_string(), "small").await.expect("it is put");
    }
    let mut scrub = Scrub::default();
    scrub.step(&store.service).await.expect("it reads");
    store.restart(None).await;
    let before = state(&store).await;
    assert_eq!((before.blobs, before.after.is_some()), (100, true));
    assert_eq!(pass(&mut Scrub::default(), &store).await, 2, "150 were left");
    let after = state(&store).await;
    assert_eq!((after.blobs, after.after), (250, None));
}

/// A counter is changed behind the service's back, and found and mended by a check of everything.
#[tokio::test]
async fn miscounted_references_and_segments_are_found_and_mended() {
    for key in [b"r", b"S"] {
        let (store, client) = filled(21).await;
        assert_tidy(&store, 21).await;
        let rows = range(&store, key[0]).await;
        let (row, _) = rows.first().expect("there is such a counter").clone();
        for amount in [1, -1] {
            let add = Add { key: row.clone(), amount, minimum: None, maximum: None };
            let commit = Commit { add: vec![add], ..Commit::default() };
            store.engine.commit(commit).await.expect("it is changed");
            let report = client.check_all(false).await;
            assert_eq!(report.wrong_counters, 1, "{report:?}");
            assert!(!report.is_clean());
            let report = client.check_all(true).await;
            assert_eq!((report.wrong_counters, report.corrected_counters), (1, 1), "{report:?}");
            let report = client.check_all(false).await;
            assert!(report.is_clean() && report.wrong_counters == 0, "{report:?}");
        }
        assert_tidy(&store, 21).await;
    }
}

/// What changes while it is checked is never taken for wrong.
#[tokio::test]
async fn a_check_beside_writers_finds_nothing() {
    for seed in crate::seeds(6) {
        let (store, client) = filled(seed).await;
        let work = async {
            for number in 0..60_u32 {
                let key = format!("k{}", number % 7);
                client.put(&key, &large()[..(number as usize * 997) % 20_000]).await.expect("put");
                let condition = service::objects::write::WriteCondition::default();
                client.copy(&key, "other", condition).await.expect("copied");
                if number % 3 == 0 {
                    client.delete(&key).await.expect("deleted");
                }
                tokio::task::yield_now().await;
            }
        };
        let check = async {
            for _ in 0..8 {
                let report = client.check_all(false).await;
                assert!(report.is_clean() && report.wrong_counters == 0, "{report:?}, SEED={seed}");
            }
        };
        let free = async {
            for _ in 0..8 {
                crate::Workers::default().finish(&store).await.expect("they work");
            }
        };
        tokio::join!(work, check, free);
        let report = client.check_all(false).await;
        assert!(report.is_clean(), "{report:?}");
    }
}

async fn range(store: &Store, family: u8) -> Vec<(Vec<u8>, metadata::engine::Row)> {
    let range = ScanRange { start: vec![family], end: vec![family + 1] };
    store.engine.scan(&range, 100, Direction::Forward).await.expect("it reads").rows
}
