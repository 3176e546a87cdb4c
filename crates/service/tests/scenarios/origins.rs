//! What nothing names goes only if the metadata knows who wrote it, and has lost nothing.

use std::sync::Arc;

use blobs::{BlobId, Wanted};
use bytes::Bytes;
use model::records::Versioning;

use crate::{
    Client, Store, Workers,
    support::{REGION, SMALL_BYTES_MAX, Uneven},
};

/// Blobs that nothing names: one is a file of its own, one a record in a segment.
async fn write_unnamed(store: &Store) {
    for (number, size) in [(1, SMALL_BYTES_MAX * 2), (2, 100)] {
        let mut writer =
            store.blobs.create(&Wanted::usual(REGION), BlobId([number; 16]), Bytes::new());
        writer.write(vec![number; size].into()).await.expect("it is written");
        writer.finish().await.expect("it is written");
    }
}

async fn sweep(store: &Store) {
    Workers::default().finish(store).await.expect("the workers work");
}

async fn segments(store: &Store) -> usize {
    store.blobs.sealed_segments().await.expect("the disks answer").len()
}

#[tokio::test]
async fn what_an_ended_start_left_unnamed_goes() {
    let mut store = Store::new(1).await;
    write_unnamed(&store).await;
    store.restart(None).await;
    assert_eq!((store.blob_files().len(), segments(&store).await), (2, 2));
    sweep(&store).await;
    assert_eq!((store.blob_files().len(), segments(&store).await), (0, 0));
}

#[tokio::test]
async fn after_an_accepted_loss_what_is_unnamed_stays_for_one_run() {
    let mut store = Store::new(2).await;
    write_unnamed(&store).await;
    store.keep_unnamed = true;
    store.restart(None).await;
    sweep(&store).await;
    assert_eq!((store.blob_files().len(), segments(&store).await), (2, 2));
    store.keep_unnamed = false;
    store.restart(None).await;
    sweep(&store).await;
    assert_eq!((store.blob_files().len(), segments(&store).await), (0, 0));
}

/// Used to be lost: to other metadata each file looked like one that an ended process left.
#[tokio::test]
async fn metadata_that_knows_nothing_removes_nothing() {
    let mut store = Store::new(3).await;
    let client = Client::with_bucket(&store, Versioning::Unversioned).await;
    client.put("large", &"x".repeat(SMALL_BYTES_MAX * 2)).await.expect("it is put");
    client.put("small", "x").await.expect("it is put");
    drop(client);
    store.restart(None).await;
    let before = (store.blob_files(), segments(&store).await);
    assert_eq!((before.0.len(), before.1), (2, 2));
    store.engine = Arc::new(Uneven::new(4));
    for _ in 0..2 {
        store.restart(None).await;
        sweep(&store).await;
        assert_eq!((store.blob_files(), segments(&store).await), before);
    }
}
