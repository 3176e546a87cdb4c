//! Metadata made anew from the blobs: what comes back, and what does not.

use model::{Condition, names::VersionSelector, preconditions::Preconditions, records::Versioning};
use service::{
    copies::{SetCopies, ShowBucket},
    objects::{
        read::{HeadObject, Reading},
        write::WriteCondition,
    },
    rebuild::{Rebuild, RebuildReport},
};

use crate::{BUCKET, Client, Store, Who, audit, name, support::SMALL_BYTES_MAX, target};

impl Client {
    async fn rebuild(&self) -> crate::Result<RebuildReport> {
        let mut caller = self.caller.clone();
        caller.facts.root = true;
        let report = self.service.call(&caller, Rebuild).await;
        report.map_err(|error| error.condition)
    }

    async fn head(&self, key: &str) -> crate::Result<model::records::ObjectData> {
        let target = target(key, VersionSelector::Latest);
        let (preconditions, range, part) = (Preconditions::default(), None, None);
        let reading = Reading { target, preconditions, range, lenient_range: false, part };
        let facts = self.call(HeadObject(reading)).await?;
        Ok(facts.version.object.expect("an object"))
    }

    async fn whole(&self, key: &str) -> String {
        let bytes = self.get(key, VersionSelector::Latest).await.expect("it can be read");
        String::from_utf8(bytes.to_vec()).expect("text")
    }
}

async fn after_the_loss(store: &mut Store) -> (Client, RebuildReport) {
    store.lose_metadata().await;
    let client = Client { service: store.service.clone(), caller: store.caller(Who::Ann) };
    let report = client.rebuild().await.expect("it is rebuilt");
    (client, report)
}

#[tokio::test]
async fn the_newest_object_of_each_key_comes_back_as_it_was() {
    let mut store = Store::new(1).await;
    let client = Client::with_bucket(&store, Versioning::Enabled).await;
    let large = "large".repeat(SMALL_BYTES_MAX);
    for (key, text) in [("small", "old"), ("small", "new"), ("large", "was small"), ("empty", "")] {
        client.put(key, text).await.expect("it is put");
    }
    client.put("large", &large).await.expect("it is put");
    let upload = client.create_upload("parts").await;
    for (number, text) in [(2, "not this"), (5, &large), (2, "two,"), (9, ",nine"), (7, "unused")] {
        client.upload_part(&upload, number, text).await.expect("a part");
    }
    client.complete(&upload, WriteCondition::default()).await.expect("it completes");
    let unfinished = client.create_upload("small").await;
    client.upload_part(&unfinished, 1, "never completed").await.expect("a part");
    let mut before = Vec::new();
    for key in ["small", "large", "empty", "parts"] {
        before.push((key, client.head(key).await.expect("it is there"), client.whole(key).await));
    }

    let (client, report) = after_the_loss(&mut store).await;
    for (key, object, text) in before {
        let after = client.head(key).await.expect("it is back");
        let expected = model::records::ObjectData { content: after.content, ..object };
        assert_eq!(after, expected, "{key}");
        assert!(client.whole(key).await == text, "{key}");
    }
    assert_eq!((report.buckets, report.objects), (1, 4), "{report:?}");
    assert_eq!((report.older, report.broken, report.lost, report.unreadable), (2, 0, 0, 0));
    assert_eq!(client.usage().await.objects, 4);
    assert_eq!(audit(&store).await, Vec::<String>::new());

    client.put("small", "newer").await.expect("writes go on");
    client.delete("parts").await.expect("and deletes");
    assert_tidy_but_for_what_was_left(&store).await;
}

/// Each blob says how many copies its bucket wanted; the newest one is right.
#[tokio::test]
async fn a_bucket_keeps_its_own_number_of_copies() {
    for (numbers, expected) in [(vec![Some(3)], Some(3)), (vec![Some(1), None], None)] {
        let mut store = Store::new(1).await;
        let client = Client::with_bucket(&store, Versioning::Unversioned).await;
        client.put("before", "two copies").await.expect("it is put");
        for (number, copies) in numbers.into_iter().enumerate() {
            let set = SetCopies { bucket: name(BUCKET), copies };
            client.as_root(set).await.expect("there are directories enough");
            client.put(&number.to_string(), "as many as that").await.expect("it is put");
        }
        let (client, _) = after_the_loss(&mut store).await;
        let shown = client.as_root(ShowBucket(name(BUCKET))).await.expect("it is back");
        assert_eq!(shown.bucket.copies, expected);
        assert_eq!(shown.recount.is_some(), expected.is_some(), "all are brought to it");
        assert_eq!(client.whole("before").await, "two copies");
    }
}

/// Nothing of an earlier start is removed: this metadata does not know all of it.
async fn assert_tidy_but_for_what_was_left(store: &Store) {
    let segments = store.blobs.segments().await.expect("the disks answer").len();
    crate::Workers::default().finish(store).await.expect("the workers work");
    assert!(store.blobs.segments().await.expect("the disks answer").len() >= segments);
}

/// An older object that is whole is better than a newer one that is not, and the report says so.
#[tokio::test]
async fn a_key_falls_back_on_its_newest_whole_object() {
    let mut store = Store::new(2).await;
    let client = Client::with_bucket(&store, Versioning::Enabled).await;
    client.put("key", "older and whole").await.expect("it is put");
    client.put("key", &"newer".repeat(SMALL_BYTES_MAX)).await.expect("it is put");
    store.damage(0, 100);
    store.damage(1, 100);
    let (client, report) = after_the_loss(&mut store).await;
    assert_eq!(client.whole("key").await, "older and whole");
    assert_eq!((report.broken, report.lost), (1, 0));
    assert_eq!(report.broken_keys, [(BUCKET.to_owned(), "key".to_owned())]);
}

#[tokio::test]
async fn one_damaged_copy_costs_nothing() {
    let mut store = Store::new(3).await;
    let client = Client::with_bucket(&store, Versioning::Unversioned).await;
    let text = "large".repeat(SMALL_BYTES_MAX);
    client.put("key", &text).await.expect("it is put");
    store.damage(0, 100);
    let (client, report) = after_the_loss(&mut store).await;
    assert!(client.whole("key").await == text);
    assert_eq!((report.objects, report.broken), (1, 0));
}

#[tokio::test]
async fn only_the_root_account_may_rebuild() {
    let store = Store::new(4).await;
    let client = Client::with_bucket(&store, Versioning::Unversioned).await;
    let refused = client.call(Rebuild).await;
    assert_eq!(refused.map(drop), Err(Condition::AccessDenied));
}
