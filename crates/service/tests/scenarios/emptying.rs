//! Emptying a versioned bucket, as tools do it.

use model::records::Versioning;

use crate::{Client, Store, assert_all_goes, seeds};

/// All versions of one key go in one request, the newest first as they are listed.
///
/// They used to get in each other's way: some were acknowledged as removed and stayed.
#[tokio::test]
async fn all_versions_of_one_key_go_in_one_request() {
    for seed in seeds(5) {
        let mut store = Store::new(seed).await;
        let client = Client::with_bucket(&store, Versioning::Unversioned).await;
        client.put("key", "null").await.expect("it is put");
        client.set_versioning(Versioning::Enabled).await;
        for number in 0..150 {
            match number % 5 {
                4 => client.delete("key").await.map(drop),
                _ => client.put("key", &number.to_string()).await.map(drop),
            }
            .expect("it is written");
        }
        assert_eq!(client.versions().await.len(), 151, "SEED={seed}");
        if seed == 0 {
            store.engine.keep_in_step();
        }
        client.remove_all(&client.versions().await).await;
        assert_eq!(client.versions().await.len(), 0, "SEED={seed}");
        assert_all_goes(&mut store, &client, seed).await;
    }
}

/// A client lists a page, removes what it holds, and asks for the next page after it.
///
/// The removal makes an older version current, which the next page used to leave out.
#[tokio::test]
async fn a_client_that_removes_page_by_page_gets_to_see_every_version() {
    for (seed, limit) in seeds(6).into_iter().zip([1, 2, 3, 4, 5, 7].into_iter().cycle()) {
        let mut store = Store::new(seed).await;
        let client = Client::with_bucket(&store, Versioning::Enabled).await;
        for key in ["a", "a\u{0}", "b"] {
            for number in 0..3 {
                client.put(key, &number.to_string()).await.expect("it is put");
            }
            client.delete(key).await.expect("a marker");
            client.set_versioning(Versioning::Suspended).await;
            client.put(key, "null").await.expect("it is put");
            client.set_versioning(Versioning::Enabled).await;
            client.put(key, "last").await.expect("it is put");
        }
        let (mut after, mut removed) = (None, 0);
        loop {
            let page = client.version_page(limit, after).await;
            let mut previous = None;
            for entry in &page.entries {
                let (key, id) = (entry.key.as_str(), entry.version.client_id());
                client.remove(key, &id).await.expect("it is removed");
                // All that earlier pages showed is gone.
                assert_eq!(entry.latest, previous != Some(key), "SEED={seed}: {key} {id}");
                previous = Some(key);
            }
            removed += page.entries.len();
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(removed, 18, "SEED={seed}, {limit} in a page");
        assert_all_goes(&mut store, &client, seed).await;
    }
}

/// The place after a null version is known even when that is gone: nothing is listed again.
#[tokio::test]
async fn a_page_goes_on_after_a_null_version_that_is_gone() {
    for seed in seeds(5) {
        let store = Store::new(seed).await;
        let client = Client::with_bucket(&store, Versioning::Enabled).await;
        let older = client.put("key", "older").await.expect("it is put").client_id();
        client.set_versioning(Versioning::Suspended).await;
        client.put("key", "null").await.expect("it is put");
        client.set_versioning(Versioning::Enabled).await;
        let newer = client.put("key", "newer").await.expect("it is put").client_id();
        let first = client.version_page(2, None).await;
        let listed = first.entries.iter().map(|entry| entry.version.client_id());
        assert_eq!(listed.collect::<Vec<_>>(), [newer, "null".to_owned()], "SEED={seed}");
        client.remove("key", "null").await.expect("it is removed");
        let second = client.version_page(2, first.next).await;
        let listed = second.entries.iter().map(|entry| entry.version.client_id());
        assert_eq!(listed.collect::<Vec<_>>(), [older], "SEED={seed}");
    }
}
