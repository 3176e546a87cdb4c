//! Damage that a read finds is mended.

use model::{names::VersionSelector, records::Versioning};
use service::workers::{Repair, Worker};

use crate::{Client, Store};

/// Method: both copies are damaged in different places and read. Once the worker has been there,
/// each copy is damaged where only the other one had been: now all depends on the mended places.
#[tokio::test]
async fn copies_that_a_read_found_damaged_are_written_anew() {
    let store = Store::new(1).await;
    let client = Client::with_bucket(&store, Versioning::Unversioned).await;
    let whole = "0123456789".repeat(30_000);
    client.put("key", &whole).await.expect("it is put");
    let (early, late) = (5_000, 200_000);

    store.damage(0, early);
    store.damage(1, late);
    let read = client.get("key", VersionSelector::Latest).await;
    assert!(read.as_deref() == Ok(whole.as_bytes()), "one copy helps the other");
    Repair.step(&store.service).await.expect("the worker works");

    store.damage(0, late);
    store.damage(1, early);
    let read = client.get("key", VersionSelector::Latest).await;
    assert!(read.as_deref() == Ok(whole.as_bytes()), "both copies were mended");
}

/// The control: without the worker the same damage leaves no intact copy, and no byte is served.
#[tokio::test]
#[should_panic(expected = "DamagedData")]
async fn without_repair_damage_in_one_place_of_both_copies_is_an_error() {
    let store = Store::new(1).await;
    let client = Client::with_bucket(&store, Versioning::Unversioned).await;
    client.put("key", &"0123456789".repeat(30_000)).await.expect("it is put");
    for copy in 0..2 {
        store.damage(copy, 5_000);
    }
    // The client of these tests panics at whatever is a fault of the server.
    let _ = client.get("key", VersionSelector::Latest).await;
}
