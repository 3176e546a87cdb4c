//! Parts, completions and an abort of one upload at the same time.

use futures_util::future::{join, join_all, join4};
use model::{Condition, names::VersionSelector, records::Versioning};
use service::{objects::write::WriteCondition, uploads::AbortUpload};

use crate::{
    Client, Store, assert_all_goes, assert_tidy, seeds, support::SMALL_BYTES_MAX, upload_target,
};

/// A completion sent twice, as an impatient client does, makes one version and one answer.
#[tokio::test]
async fn completions_at_once_answer_alike() {
    for seed in seeds(20) {
        let mut store = Store::new(seed).await;
        let client = Client::with_bucket(&store, Versioning::Enabled).await;
        let upload = client.create_upload("key").await;
        client.upload_part(&upload, 1, "one").await.expect("a part");
        client.upload_part(&upload, 2, "two").await.expect("a part");
        let completions = (0..4).map(|_| client.complete(&upload, WriteCondition::default()));
        let outcomes = join_all(completions).await;
        let versions = client.versions().await;
        assert_eq!(versions.len(), 1, "SEED={seed}");
        for outcome in outcomes {
            assert_eq!(outcome.as_ref(), Ok(&versions[0].version), "SEED={seed}");
        }
        assert_tidy(&store, seed).await;
        let found = client.get("key", VersionSelector::Latest).await;
        assert_eq!(found.as_deref(), Ok(b"onetwo".as_slice()), "SEED={seed}");
        assert_all_goes(&mut store, &client, seed).await;
    }
}

/// Whoever comes first, the object is one that the parts add up to, or there is none.
#[tokio::test]
async fn an_upload_ends_once_whatever_happens_beside_it() {
    for seed in seeds(40) {
        let mut store = Store::new(seed).await;
        let client = Client::with_bucket(&store, Versioning::Unversioned).await;
        let upload = client.create_upload("key").await;
        client.upload_part(&upload, 1, "one").await.expect("a part");
        client.upload_part(&upload, 2, "two").await.expect("a part");
        let (replaced, added, completed, aborted) = join4(
            client.upload_part(&upload, 1, "ONE"),
            join(client.upload_part(&upload, 3, "three"), client.upload_part(&upload, 3, "THREE")),
            client.complete(&upload, WriteCondition::default()),
            client.call(AbortUpload(upload_target(&upload))),
        )
        .await;
        let gone =
            |outcome: &crate::Result<()>| matches!(outcome, Ok(()) | Err(Condition::NoSuchUpload));
        assert!(gone(&replaced) && gone(&added.0) && gone(&added.1), "SEED={seed}");
        assert!(completed.is_err() || aborted.is_err(), "SEED={seed}: it ended twice");
        let found = client.get("key", VersionSelector::Latest).await;
        match completed {
            Ok(_) => {
                let text = String::from_utf8_lossy(&found.expect("an object")).into_owned();
                let wholes = [
                    "onetwo",
                    "ONEtwo",
                    "onetwothree",
                    "onetwoTHREE",
                    "ONEtwothree",
                    "ONEtwoTHREE",
                ];
                assert!(wholes.contains(&text.as_str()), "SEED={seed}: {text}");
            }
            Err(condition) => {
                let refused = [Condition::NoSuchUpload, Condition::WriteConflict];
                assert!(refused.contains(&condition), "SEED={seed}: {condition:?}");
                assert_eq!(found, Err(Condition::NoSuchKey), "SEED={seed}");
                assert_eq!(aborted, Ok(()), "SEED={seed}");
            }
        }
        let usage = client.usage().await;
        assert_eq!((usage.uploads, usage.parts), (0, 0), "SEED={seed}");
        assert_tidy(&store, seed).await;
        assert_all_goes(&mut store, &client, seed).await;
    }
}

/// A part replaced while its upload completes is in the object as it was, or as it is now; it is
/// never freed with the object still naming it.
#[tokio::test]
async fn a_part_replaced_during_the_completion_is_never_lost() {
    for seed in seeds(100) {
        let mut store = Store::new(seed).await;
        let client = Client::with_bucket(&store, Versioning::Unversioned).await;
        let upload = client.create_upload("key").await;
        let long = |text: &str| text.repeat(SMALL_BYTES_MAX);
        client.upload_part(&upload, 1, &long("old")).await.expect("a part");
        let replace = async {
            let parts = (0..3).map(|_| client.upload_part(&upload, 1, "new"));
            join_all(parts).await
        };
        let completing = client.complete(&upload, WriteCondition::default());
        let (completed, replaced) = join(completing, replace).await;
        assert_tidy(&store, seed).await;
        match completed {
            Ok(_) => {
                let found = client.get("key", VersionSelector::Latest).await.expect("it is whole");
                assert!(found == long("old") || found == "new", "SEED={seed}");
            }
            Err(condition) => {
                assert_eq!(condition, Condition::WriteConflict, "SEED={seed}");
                assert!(replaced.contains(&Ok(())), "SEED={seed}");
                client.complete(&upload, WriteCondition::default()).await.expect("it completes");
            }
        }
        assert_all_goes(&mut store, &client, seed).await;
    }
}
