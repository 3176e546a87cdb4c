//! Many clients at work on the versions of few keys: what was acknowledged holds.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use blobs::faulty::Random;
use futures_util::future::{join, join_all, join3};
use metadata::Usage;
use model::{Condition, names::VersionSelector, records::Versioning};
use service::objects::write::WriteCondition;

use crate::{
    Client, Store, Workers, assert_all_goes, assert_tidy, seeds, selector, support::SMALL_BYTES_MAX,
};

const KEYS: [&str; 2] = ["one", "two"];

/// What the clients know together.
#[derive(Default)]
struct Known {
    /// The first version of each key.
    first: BTreeMap<&'static str, String>,
    /// Bytes of each version written, by key and id; none for a marker.
    written: BTreeMap<(String, String), Option<String>>,
    /// Versions somebody began to remove.
    removed: BTreeSet<(String, String)>,
}

impl Known {
    fn note(&mut self, key: &str, id: String, text: Option<String>) {
        let news = self.written.insert((key.to_owned(), id.clone()), text);
        assert_eq!(news, None, "the id {id} was given twice");
    }
}

/// A client that takes `steps` random steps. Each key's first version is never removed, so that
/// it can be read at any time.
async fn work(client: Client, number: u64, seed: u64, steps: u64, known: &RefCell<Known>) {
    let mut random = Random(seed * 100 + number);
    for step in 0..steps {
        let key = KEYS[random.below(2) as usize];
        match random.below(10) {
            0..3 => {
                let text = text(number, step);
                let version = client.put(key, &text).await.expect("a put is never refused");
                known.borrow_mut().note(key, version.client_id(), Some(text));
            }
            3 => {
                let marker = client.delete(key).await.expect("a delete is never refused");
                known.borrow_mut().note(key, marker.expect("a marker has an id"), None);
            }
            4 => copy(&client, key, KEYS[random.below(2) as usize], known).await,
            5..8 => {
                let id = {
                    let mut known = known.borrow_mut();
                    let left = known.written.keys();
                    let left = left.filter(|name| name.0 == key && !known.removed.contains(*name));
                    let left: Vec<_> = left.cloned().collect();
                    let Some(chosen) = left.get(random.below(left.len() as u64) as usize) else {
                        continue;
                    };
                    known.removed.insert(chosen.clone());
                    chosen.1.clone()
                };
                client.remove(key, &id).await.expect("a removal is never refused");
            }
            8 => {
                let found = client.get(key, VersionSelector::Latest).await;
                let well = matches!(found, Ok(_) | Err(Condition::NoSuchKey));
                assert!(well, "SEED={seed}: {key} {:?}", found.err());
            }
            _ => {
                let first = first_of(&client, key, known).await;
                assert_eq!(first.as_deref(), Ok(b"first".as_slice()), "SEED={seed}: {key}");
            }
        }
    }
}

/// The bytes of a write: in a file of their own, or filling segments quickly, or few.
fn text(number: u64, step: u64) -> String {
    let text = format!("{number}.{step} ");
    match step % 3 {
        0 => text.repeat(SMALL_BYTES_MAX / 3),
        1 => text.repeat(SMALL_BYTES_MAX / 12),
        _ => text,
    }
}

/// The workers at work meanwhile.
async fn background(store: &Store, workers: &mut Workers) {
    for _ in 0..100 {
        workers.sweep(store).await.expect("sweep works");
        workers.reclaim(store).await.expect("reclaim works");
    }
}

async fn copy(client: &Client, from: &str, to: &str, known: &RefCell<Known>) {
    match client.copy(from, to, WriteCondition::default()).await {
        Ok(version) => {
            let bytes = client.get(to, selector(&version.client_id())).await;
            let text = bytes.ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            let text = text.expect("what was just copied is there");
            known.borrow_mut().note(to, version.client_id(), Some(text));
        }
        Err(condition) => assert_eq!(condition, Condition::NoSuchKey, "the latest was a marker"),
    }
}

async fn first_of(
    client: &Client,
    key: &str,
    known: &RefCell<Known>,
) -> crate::Result<bytes::Bytes> {
    let first = known.borrow().first[key].clone();
    client.get(key, selector(&first)).await
}

#[tokio::test]
async fn acknowledged_versions_are_there_and_removed_ones_are_not() {
    for seed in seeds(40) {
        let mut store = Store::new(seed).await;
        let client = Client::with_bucket(&store, Versioning::Enabled).await;
        let mut workers = Workers::default();
        workers.finish(&store).await.expect("the workers work");
        let known = RefCell::new(Known::default());
        for key in KEYS {
            let version = client.put(key, "first").await.expect("it is put");
            known.borrow_mut().first.insert(key, version.client_id());
        }
        let clients = (0..6).map(|number| work(client.clone(), number, seed, 20, &known));
        join(join_all(clients), background(&store, &mut workers)).await;
        check(&client, &known.into_inner(), seed).await;
        assert_tidy(&store, seed).await;
        assert_all_goes(&mut store, &client, seed).await;
    }
}

/// The listing names exactly what was written and not removed, and every version can be read.
async fn check(client: &Client, known: &Known, seed: u64) {
    let found = check_listings(client, seed).await;
    let firsts = known.first.iter().map(|(key, id)| ((*key).to_owned(), id.clone()));
    let expected = known.written.keys().filter(|name| !known.removed.contains(*name)).cloned();
    let expected: BTreeSet<_> = expected.chain(firsts).collect();
    assert_eq!(found, expected, "SEED={seed}");
    for ((key, id), text) in known.written.iter().filter(|(name, _)| found.contains(*name)) {
        let bytes = client.get(key, selector(id)).await;
        match text {
            Some(text) => assert!(bytes.as_deref() == Ok(text.as_bytes()), "SEED={seed}: {id}"),
            None => assert_eq!(bytes, Err(Condition::MethodNotAllowed), "SEED={seed}: {id}"),
        }
    }
}

/// The versions are in order, with one latest for each key and at most one null; the counters and
/// the listing of current objects agree with them. Returns keys and ids.
async fn check_listings(client: &Client, seed: u64) -> BTreeSet<(String, String)> {
    let listed = client.versions().await;
    let mut usage = Usage::default();
    let mut latest = Vec::new();
    let mut previous: Option<(&str, u64)> = None;
    let mut found = BTreeSet::new();
    for entry in &listed {
        let (key, id) = (entry.key.as_str(), entry.version.client_id());
        let same_key = previous.filter(|(previous, _)| *previous == key);
        let order = entry.version.id.order;
        assert!(same_key.is_none_or(|(_, newer)| newer > order), "SEED={seed}: {key} {order}");
        assert_eq!(entry.latest, same_key.is_none(), "SEED={seed}: {key} {id}");
        previous = Some((key, order));
        match &entry.version.object {
            Some(object) => {
                usage.objects += 1;
                usage.bytes += object.size_bytes as i64;
                if entry.latest {
                    latest.push((key.to_owned(), id.clone()));
                }
            }
            None => usage.delete_markers += 1,
        }
        assert!(found.insert((key.to_owned(), id)), "SEED={seed}: {key} is listed twice");
    }
    assert_eq!(client.usage().await, usage, "SEED={seed}");
    assert_eq!(client.current().await, latest, "SEED={seed}");
    for key in KEYS {
        let current = client.get(key, VersionSelector::Latest).await;
        let is_object = latest.iter().any(|(latest, _)| latest == key);
        assert_eq!(current.is_ok(), is_object, "SEED={seed}: {key}");
    }
    found
}

/// One client switches versioning on and off while others write, delete and remove.
#[tokio::test]
async fn versions_stay_in_order_while_versioning_is_switched() {
    for seed in seeds(40) {
        let mut store = Store::new(seed).await;
        let client = Client::with_bucket(&store, Versioning::Unversioned).await;
        let mut workers = Workers::default();
        workers.finish(&store).await.expect("the workers work");
        let clients = (0..5).map(|number| disturb(client.clone(), number, seed));
        let switches = async {
            for versioning in [Versioning::Enabled, Versioning::Suspended].repeat(4) {
                client.get(KEYS[0], VersionSelector::Latest).await.ok();
                client.set_versioning(versioning).await;
            }
        };
        join3(join_all(clients), switches, background(&store, &mut workers)).await;
        check_listings(&client, seed).await;
        assert_tidy(&store, seed).await;
        assert_all_goes(&mut store, &client, seed).await;
    }
}

/// Many replace and remove the null version of one key; versions of the same order come and go.
#[tokio::test]
async fn one_null_version_is_replaced_and_removed_by_many() {
    for seed in seeds(400) {
        let mut store = Store::new(seed).await;
        let client = Client::with_bucket(&store, Versioning::Suspended).await;
        let change = async |number: u64| {
            let mut random = Random(seed * 100 + number);
            for _ in 0..8 {
                match random.below(4) {
                    0 => drop(client.put(KEYS[0], "null").await.expect("it is put")),
                    1 => drop(client.delete(KEYS[0]).await.expect("it is deleted")),
                    _ => client.remove(KEYS[0], "null").await.expect("it is removed"),
                }
            }
        };
        join_all((0..4).map(change)).await;
        check_listings(&client, seed).await;
        assert_all_goes(&mut store, &client, seed).await;
    }
}

/// Changes at random; whatever it asks for is granted.
async fn disturb(client: Client, number: u64, seed: u64) {
    let mut random = Random(seed * 100 + number);
    for step in 0..20 {
        let key = KEYS[random.below(2) as usize];
        match random.below(8) {
            0..3 => drop(client.put(key, &text(number, step)).await.expect("it is put")),
            3..5 => drop(client.delete(key).await.expect("it is deleted")),
            5 => client.remove(key, "null").await.expect("the null version is removed"),
            6 => {
                let versions = client.versions().await;
                if let Some(chosen) = versions.get(random.below(versions.len() as u64) as usize) {
                    let id = chosen.version.client_id();
                    client.remove(chosen.key.as_str(), &id).await.expect("it is removed");
                }
            }
            _ => {
                let found = client.get(key, VersionSelector::Latest).await;
                let well = matches!(found, Ok(_) | Err(Condition::NoSuchKey));
                assert!(well, "SEED={seed}: {:?}", found.err());
            }
        }
    }
}

/// A version is found by its id at any moment, though newer ones come and go and it is current at
/// times and at times is not.
#[tokio::test]
async fn a_version_is_found_while_newer_ones_come_and_go() {
    for seed in seeds(20) {
        let store = Store::new(seed).await;
        let client = Client::with_bucket(&store, Versioning::Suspended).await;
        client.put("key", "null").await.expect("it is put");
        client.set_versioning(Versioning::Enabled).await;
        let second = client.put("key", "second").await.expect("it is put").client_id();
        let come_and_go = async {
            for _ in 0..15 {
                let newer = client.put("key", "newer").await.expect("it is put").client_id();
                client.remove("key", &newer).await.expect("it is removed");
            }
        };
        let look = async |id: &str, text: &str| {
            for _ in 0..40 {
                let found = client.get("key", selector(id)).await;
                assert_eq!(found.as_deref(), Ok(text.as_bytes()), "SEED={seed}: {id}");
            }
        };
        join3(come_and_go, look(&second, "second"), look("null", "null")).await;
    }
}

/// A copy of what is being deleted and freed is whole, or is none.
#[tokio::test]
async fn a_copy_of_what_is_being_deleted_is_whole_or_none() {
    for seed in seeds(40) {
        let mut store = Store::new(seed).await;
        let client = Client::with_bucket(&store, Versioning::Unversioned).await;
        let mut workers = Workers::default();
        workers.finish(&store).await.expect("the workers work");
        let whole = "text".repeat(SMALL_BYTES_MAX);
        client.put("source", &whole).await.expect("it is put");
        let delete = async {
            client.delete("source").await.expect("it is deleted");
            for _ in 0..9 {
                workers.reclaim(&store).await.expect("reclaim works");
            }
        };
        let copies = ["a", "b", "c"].map(|to| client.copy("source", to, WriteCondition::default()));
        let (copied, ()) = join(join_all(copies), delete).await;
        assert_tidy(&store, seed).await;
        for (outcome, key) in copied.into_iter().zip(["a", "b", "c"]) {
            let found = client.get(key, VersionSelector::Latest).await;
            match outcome {
                Ok(_) => assert!(found.as_deref() == Ok(whole.as_bytes()), "SEED={seed}: {key}"),
                Err(condition) => {
                    assert_eq!(condition, Condition::NoSuchKey, "SEED={seed}");
                    assert_eq!(found, Err(Condition::NoSuchKey), "SEED={seed}");
                }
            }
        }
        assert_all_goes(&mut store, &client, seed).await;
    }
}
