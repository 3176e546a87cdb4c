//! A condition is decided in the very commit that writes: of many rivals one wins.

use futures_util::future::join_all;
use model::{
    Condition,
    names::VersionSelector,
    preconditions::{EtagMatch, Preconditions},
    records::Versioning,
};
use service::objects::write::WriteCondition;

use crate::{Client, Store, assert_all_goes, assert_tidy, seeds, support::SMALL_BYTES_MAX};

const EACH: [Versioning; 3] = [Versioning::Unversioned, Versioning::Enabled, Versioning::Suspended];

fn only_new() -> WriteCondition {
    let if_none_match = Some(EtagMatch::Any);
    let preconditions = Preconditions { if_none_match, ..Preconditions::default() };
    WriteCondition { preconditions, forbid_overwrite: false }
}

/// Six puts at once: the one that went well, and what the others were told.
async fn put_at_once(client: &Client, condition: &WriteCondition) -> (Vec<String>, Vec<Condition>) {
    // Too long for a segment: what the losers stored must not stay as files.
    let texts = (0..6).map(|number| format!("text {number}").repeat(SMALL_BYTES_MAX));
    let texts: Vec<String> = texts.collect();
    let put = async |text: &String| {
        let put = client.put_if("key", text, condition.clone()).await;
        put.map(|_| text.clone())
    };
    let outcomes = join_all(texts.iter().map(put)).await;
    let (well, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    let refused = refused.into_iter().filter_map(Result::err).collect();
    (well.into_iter().filter_map(Result::ok).collect(), refused)
}

#[tokio::test]
async fn of_many_writes_that_want_a_new_key_one_wins() {
    for (seed, versioning) in seeds(20).into_iter().zip(EACH.into_iter().cycle()) {
        let mut store = Store::new(seed).await;
        let client = Client::with_bucket(&store, versioning).await;
        let (well, refused) = put_at_once(&client, &only_new()).await;
        assert_eq!(well.len(), 1, "SEED={seed}");
        assert_eq!(refused, [Condition::PreconditionFailed; 5], "SEED={seed}");
        let found = client.get("key", VersionSelector::Latest).await;
        assert!(found.as_deref() == Ok(well[0].as_bytes()), "SEED={seed}");
        assert_eq!(client.versions().await.len(), 1, "SEED={seed}");
        assert_tidy(&store, seed).await;
        assert_all_goes(&mut store, &client, seed).await;
    }
}

#[tokio::test]
async fn of_a_put_a_copy_and_a_completion_that_want_a_new_key_one_wins() {
    for (seed, versioning) in seeds(20).into_iter().zip(EACH.into_iter().cycle()) {
        let mut store = Store::new(seed).await;
        let client = Client::with_bucket(&store, versioning).await;
        client.put("source", "copied").await.expect("it is put");
        let upload = client.create_upload("key").await;
        client.upload_part(&upload, 1, "completed").await.expect("a part");
        let (put, copied, completed) = futures_util::future::join3(
            client.put_if("key", "put", only_new()),
            client.copy("source", "key", only_new()),
            client.complete(&upload, only_new()),
        )
        .await;
        let outcomes = [(put, "put"), (copied, "copied"), (completed, "completed")];
        let won: Vec<_> = outcomes.iter().filter(|(outcome, _)| outcome.is_ok()).collect();
        assert_eq!(won.len(), 1, "SEED={seed}: {outcomes:?}");
        let refused = outcomes.iter().filter_map(|(outcome, _)| outcome.as_ref().err());
        let refused: Vec<_> = refused.collect();
        assert_eq!(refused, [&Condition::PreconditionFailed; 2], "SEED={seed}");
        let found = client.get("key", VersionSelector::Latest).await;
        assert_eq!(found.as_deref(), Ok(won[0].1.as_bytes()), "SEED={seed}");
        if client.usage().await.uploads == 1 {
            client.complete(&upload, WriteCondition::default()).await.expect("it was refused only");
        }
        assert_all_goes(&mut store, &client, seed).await;
    }
}

#[tokio::test]
async fn of_many_writes_over_one_tag_one_wins() {
    for (seed, versioning) in seeds(20).into_iter().zip(EACH.into_iter().cycle()) {
        let mut store = Store::new(seed).await;
        let client = Client::with_bucket(&store, versioning).await;
        let first = client.put("key", "first").await.expect("it is put");
        let etag = first.object.expect("an object").etag.to_string();
        let if_match = Some(EtagMatch::OneOf(vec![etag]));
        let preconditions = Preconditions { if_match, ..Preconditions::default() };
        let over = WriteCondition { preconditions, forbid_overwrite: false };
        let (well, refused) = put_at_once(&client, &over).await;
        assert_eq!(well.len(), 1, "SEED={seed}");
        assert_eq!(refused, [Condition::PreconditionFailed; 5], "SEED={seed}");
        let found = client.get("key", VersionSelector::Latest).await;
        assert!(found.as_deref() == Ok(well[0].as_bytes()), "SEED={seed}");
        let kept = if versioning == Versioning::Enabled { 2 } else { 1 };
        assert_eq!(client.versions().await.len(), kept, "SEED={seed}");
        assert_all_goes(&mut store, &client, seed).await;
    }
}

#[tokio::test]
async fn of_many_writes_that_forbid_overwriting_one_wins() {
    for seed in seeds(10) {
        let mut store = Store::new(seed).await;
        let client = Client::with_bucket(&store, Versioning::Unversioned).await;
        let forbid = WriteCondition { forbid_overwrite: true, ..WriteCondition::default() };
        let (well, refused) = put_at_once(&client, &forbid).await;
        assert_eq!(well.len(), 1, "SEED={seed}");
        assert_eq!(refused, [Condition::FileAlreadyExists; 5], "SEED={seed}");
        assert_all_goes(&mut store, &client, seed).await;
    }
}
