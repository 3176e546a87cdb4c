//! The reclaim queue: everything goes, once, in whatever order.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join;
use model::{
    names::VersionSelector,
    records::{Attributes, Versioning},
    tags::Tags,
};
use service::{
    objects::write::{PutObject, WriteCondition},
    uploads::AbortUpload,
    workers::Progress,
};
use tokio::sync::mpsc;

use crate::{
    Arriving, BUCKET, Client, Store, Workers, assert_all_goes, assert_tidy, name, object,
    upload_target,
};

/// What somebody reads is not freed before the end, and then it is.
#[tokio::test]
async fn what_is_being_read_is_kept_to_the_end() {
    let mut store = Store::new(1).await;
    let client = Client::with_bucket(&store, Versioning::Unversioned).await;
    let whole = "0123456789".repeat(100_000);
    client.put("key", &whole).await.expect("it is put");
    let mut reader = client.open("key", VersionSelector::Latest).await.expect("it can be read");
    let mut read = reader.next().await.expect("bytes").expect("they are whole").to_vec();
    client.delete("key").await.expect("it is deleted");
    let mut workers = Workers::default();
    workers.finish(&store).await.expect("the workers work");
    assert_eq!(store.blob_files().len(), 2, "two copies are still there");
    while let Some(chunk) = reader.next().await {
        read.extend_from_slice(&chunk.expect("they are whole"));
    }
    assert!(read == whole.as_bytes());
    drop(reader);
    workers.finish(&store).await.expect("the workers work");
    assert_eq!(store.blob_files().len(), 0);
    assert_all_goes(&mut store, &client, 1).await;
}

/// One by one, each entry would wait for a sync of its own.
#[tokio::test(start_paused = true)]
async fn what_was_deleted_is_freed_side_by_side() {
    let mut store = Store::new(1).await;
    let client = Client::with_bucket(&store, Versioning::Unversioned).await;
    for number in 0..20 {
        client.put(&number.to_string(), "text").await.expect("it is put");
        client.delete(&number.to_string()).await.expect("it is deleted");
    }
    let mut workers = Workers::default();
    let holding = async {
        for _ in 0..2 {
            store.engine.hold_next_commit();
            let held = tokio::time::timeout(Duration::from_secs(1), store.engine.holding());
            held.await.expect("another commit comes while one is held");
        }
        store.engine.release();
        store.engine.release();
    };
    let (stepped, ()) = join(workers.reclaim(&store), holding).await;
    stepped.expect("reclaim works");
    assert_all_goes(&mut store, &client, 1).await;
}

/// Copies share a content: whoever takes references from it at the same time as others may not
/// have to try again and again.
#[tokio::test]
async fn many_copies_of_one_object_go_at_once() {
    let mut store = Store::new(1).await;
    let client = Client::with_bucket(&store, Versioning::Unversioned).await;
    client.put("0", "text").await.expect("it is put");
    for number in 1..300 {
        let copied = client.copy("0", &number.to_string(), WriteCondition::default()).await;
        copied.expect("it is copied");
    }
    client.remove_all(&client.versions().await).await;
    store.engine.keep_in_step();
    Workers::default().finish(&store).await.expect("the workers work");
    assert_all_goes(&mut store, &client, 1).await;
}

/// Bytes that are stored and not named yet lie in a segment that looks dead: it waits for them.
#[tokio::test]
async fn a_segment_outlives_the_write_that_is_about_to_name_a_record_in_it() {
    let mut store = Store::new(1).await;
    let client = Client::with_bucket(&store, Versioning::Unversioned).await;
    store.engine.hold_next_commit();
    let slow = client.put("slow", "slow");
    let meanwhile = async {
        store.engine.holding().await;
        // Fills the segments that hold the slow write's bytes, and several others.
        let text = "8 bytes ".repeat(1024);
        for number in 0..50 {
            client.put(&number.to_string(), &text).await.expect("it is put");
        }
        client.remove_all(&client.versions().await).await;
        Workers::default().finish(&store).await.expect("the workers work");
        store.engine.release();
    };
    let (written, ()) = join(slow, meanwhile).await;
    written.expect("it is put");
    let found = client.get("slow", VersionSelector::Latest).await;
    assert_eq!(found.as_deref(), Ok(b"slow".as_slice()));
    assert_tidy(&store, 1).await;
    assert_all_goes(&mut store, &client, 1).await;
}

/// A client that sends a byte a minute keeps no dead segment on disk.
#[tokio::test]
async fn an_upload_that_stands_still_holds_no_segment_back() {
    let store = Store::new(1).await;
    let client = Client::with_bucket(&store, Versioning::Unversioned).await;
    let (piece, arriving) = mpsc::channel(1);
    piece.send(Bytes::from_static(b"slow")).await.expect("there is room");
    let stalled = client.call(PutObject {
        acl: None,
        tags: Tags::default(),
        bucket: name(BUCKET),
        key: object("slow"),
        attributes: Attributes::default(),
        condition: WriteCondition::default(),
        body: Box::new(Arriving(arriving)),
    });
    let meanwhile = async {
        let text = "8 bytes ".repeat(1024);
        for number in 0..50 {
            client.put(&number.to_string(), &text).await.expect("it is put");
        }
        client.remove_all(&client.versions().await).await;
        Workers::default().finish(&store).await.expect("the workers work");
        store.blobs.sealed_segments().await.expect("the disks answer")
    };
    tokio::select! {
        biased;
        _ = stalled => panic!("the body has no end"),
        segments = meanwhile => assert!(segments.is_empty(), "{segments:?}"),
    }
}

/// The parts of a multipart object are freed once, even if the object's entry comes up before the
/// one of the upload it was made of: that one had to wait for a reader.
///
/// Their bytes used to be taken from the segment's count twice, so that a segment with live bytes
/// could look dead.
#[tokio::test]
async fn parts_are_freed_once_in_whatever_order_the_queue_comes_up() {
    let mut store = Store::new(1).await;
    let client = Client::with_bucket(&store, Versioning::Unversioned).await;
    client.put("key", "read").await.expect("it is put");
    let reader = client.open("key", VersionSelector::Latest).await.expect("it can be read");
    let upload = client.create_upload("parts").await;
    client.upload_part(&upload, 1, "one").await.expect("a part");
    client.upload_part(&upload, 2, "two").await.expect("a part");
    client.complete(&upload, WriteCondition::default()).await.expect("it completes");
    store.clock.turn_ms(1);
    // More entries than one step of the worker looks at.
    for number in 0..501 {
        client.put("key", &number.to_string()).await.expect("it is put");
    }
    store.clock.turn_ms(1);
    client.delete("parts").await.expect("it is deleted");
    let mut workers = Workers::default();
    workers.reclaim(&store).await.expect("reclaim works");
    drop(reader);
    while workers.reclaim(&store).await.expect("reclaim works") != Progress::Idle {}
    assert_tidy(&store, 1).await;
    assert_all_goes(&mut store, &client, 1).await;
}

/// More parts than a row of metadata holds, and than a step of the worker frees.
#[tokio::test]
async fn objects_of_many_parts_go_without_a_trace() {
    let mut store = Store::new(1).await;
    let client = Client::with_bucket(&store, Versioning::Unversioned).await;
    let (kept, aborted) =
        (client.create_upload("kept").await, client.create_upload("aborted").await);
    for number in 1..=600 {
        client.upload_part(&kept, number, &format!("{number},")).await.expect("a part");
        client.upload_part(&aborted, number, "lost").await.expect("a part");
    }
    client.complete(&kept, WriteCondition::default()).await.expect("it completes");
    client.call(AbortUpload(upload_target(&aborted))).await.expect("it is aborted");
    client.copy("kept", "copy", WriteCondition::default()).await.expect("it is copied");
    client.delete("kept").await.expect("it is deleted");
    assert_tidy(&store, 1).await;
    let expected: String = (1..=600).map(|number| format!("{number},")).collect();
    let found = client.get("copy", VersionSelector::Latest).await;
    assert_eq!(found.as_deref(), Ok(expected.as_bytes()));
    assert_all_goes(&mut store, &client, 1).await;
}

/// Small parts of multipart objects lie in segments; they used to keep a sparse one for ever.
#[tokio::test]
async fn a_sparse_segment_goes_although_parts_lie_in_it() {
    let mut store = Store::new(1).await;
    let client = Client::with_bucket(&store, Versioning::Unversioned).await;
    let text = "8 bytes ".repeat(1024);
    let upload = client.create_upload("parts").await;
    client.upload_part(&upload, 1, "one").await.expect("a part");
    client.put("filling", &text).await.expect("it is put");
    client.complete(&upload, WriteCondition::default()).await.expect("it completes");
    let under_way = client.create_upload("under way").await;
    client.upload_part(&under_way, 1, "still").await.expect("a part");
    let before = store.blobs.segments().await.expect("the disks answer");
    for _ in 0..50 {
        client.put("filling", &text).await.expect("it is put");
    }
    let mut workers = Workers::default();
    for _ in 0..3 {
        workers.finish(&store).await.expect("the workers work");
    }
    let after = store.blobs.segments().await.expect("the disks answer");
    let left = before.iter().filter(|old| after.iter().any(|new| new.key == old.key)).count();
    assert_eq!(left, 0, "the parts were moved");
    client.complete(&under_way, WriteCondition::default()).await.expect("it completes");
    for (key, expected) in [("parts", "one"), ("under way", "still"), ("filling", &text)] {
        let found = client.get(key, VersionSelector::Latest).await;
        assert_eq!(found.as_deref(), Ok(expected.as_bytes()), "{key}");
    }
    assert_all_goes(&mut store, &client, 1).await;
}
