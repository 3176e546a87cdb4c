//! A bucket's policy lets others in as far as it says, from the moment it is there until it goes.

use model::{
    Condition,
    names::VersionSelector,
    policy::Action,
    preconditions::Preconditions,
    records::{AccessBlock, Versioning},
};
use service::{
    buckets::LookAtBucket,
    objects::read::{HeadObject, Reading},
    policies::{
        DeleteBucketPolicy, GetAccessBlock, GetBucketPolicy, GetBucketPolicyStatus, PutAccessBlock,
        PutBucketPolicy,
    },
};

use crate::{BUCKET, Client, Store, Who, name, seeds, target};

const PUBLIC: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
    "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/*"}}"#;

fn put(text: &str) -> PutBucketPolicy {
    PutBucketPolicy { bucket: name(BUCKET), text: text.to_owned() }
}

fn delete() -> DeleteBucketPolicy {
    DeleteBucketPolicy { bucket: name(BUCKET) }
}

fn head(key: &str) -> HeadObject {
    HeadObject(Reading {
        target: target(key, VersionSelector::Latest),
        preconditions: Preconditions::default(),
        range: None,
        lenient_range: false,
        part: None,
    })
}

fn block(access_block: AccessBlock) -> PutAccessBlock {
    let action = Action::PutBucketPublicAccessBlock;
    PutAccessBlock { bucket: name(BUCKET), access_block: Some(access_block), action }
}

async fn with_key(store: &Store) -> Client {
    let owner = Client::with_bucket(store, Versioning::Unversioned).await;
    owner.put("key", "mine").await.expect("it is put");
    owner
}

#[tokio::test]
async fn a_policy_holds_from_the_next_request_on_also_after_a_restart() {
    let mut store = Store::new(1).await;
    let owner = with_key(&store).await;
    let anonymous = Client { caller: store.caller(Who::Anonymous), ..owner.clone() };
    for _ in 0..3 {
        assert_eq!(anonymous.call(head("key")).await.map(drop), Err(Condition::AccessDenied));
        owner.call(put(PUBLIC)).await.expect("a policy");
        anonymous.call(head("key")).await.expect("it may be read");
        assert_eq!(anonymous.call(head("none")).await.map(drop), Err(Condition::AccessDenied));
        owner.call(delete()).await.expect("it goes");
    }
    owner.call(put(PUBLIC)).await.expect("a policy");
    store.restart(None).await;
    let caller = store.caller(Who::Anonymous);
    let anonymous = Client { service: store.service.clone(), caller };
    anonymous.call(head("key")).await.expect("it may be read");
    let shown = GetBucketPolicy { bucket: name(BUCKET) };
    assert_eq!(anonymous.call(shown).await, Err(Condition::AccessDenied));
}

/// Whoever asks beside a change sees the policy before it or after it, never an error.
#[tokio::test]
async fn a_reader_beside_changes_is_allowed_or_refused_and_nothing_else() {
    for seed in seeds(20) {
        let store = Store::new(seed).await;
        let owner = with_key(&store).await;
        let anonymous = Client { caller: store.caller(Who::Anonymous), ..owner.clone() };
        let changes = async {
            for _ in 0..10 {
                owner.call(put(PUBLIC)).await.expect("a policy");
                owner.call(delete()).await.expect("it goes");
            }
        };
        let reads = async {
            for _ in 0..40 {
                let read = anonymous.call(head("key")).await.map(drop);
                assert!(matches!(read, Ok(()) | Err(Condition::AccessDenied)), "{read:?}");
            }
        };
        futures_util::future::join(changes, reads).await;
        assert_eq!(anonymous.call(head("key")).await.map(drop), Err(Condition::AccessDenied));
    }
}

/// However a public policy and the block that forbids it meet: never are both there after it.
#[tokio::test]
async fn a_public_policy_never_slips_past_the_block() {
    for seed in seeds(40) {
        let store = Store::new(seed).await;
        let owner = with_key(&store).await;
        let (policy, blocked) = futures_util::future::join(
            owner.call(put(PUBLIC)),
            owner.call(block(AccessBlock::ALL)),
        )
        .await;
        blocked.expect("the block is set");
        // Put before the block it stays, and the block restricts it; put after, it is refused.
        let anonymous = Client { caller: store.caller(Who::Anonymous), ..owner.clone() };
        assert_eq!(anonymous.call(head("key")).await.map(drop), Err(Condition::AccessDenied));
        assert!(matches!(policy, Ok(()) | Err(Condition::PublicPolicyBlocked)), "{policy:?}");
        let again = owner.call(put(PUBLIC)).await;
        assert_eq!(again, Err(Condition::PublicPolicyBlocked));
    }
}

#[tokio::test]
async fn a_successor_of_a_bucket_inherits_no_policy() {
    let store = Store::new(1).await;
    let owner = Client::with_bucket(&store, Versioning::Unversioned).await;
    owner.call(put(PUBLIC)).await.expect("a policy");
    owner.delete_bucket().await.expect("it is empty");
    let owner = with_key(&store).await;
    let anonymous = Client { caller: store.caller(Who::Anonymous), ..owner.clone() };
    assert_eq!(anonymous.call(head("key")).await.map(drop), Err(Condition::AccessDenied));
    let shown = GetBucketPolicy { bucket: name(BUCKET) };
    assert_eq!(owner.call(shown).await, Err(Condition::NoBucketPolicy));
}

#[tokio::test]
async fn strangers_neither_see_nor_change_a_policy() {
    let store = Store::new(1).await;
    let owner = with_key(&store).await;
    let bucket = || name(BUCKET);
    for who in [Who::Ben, Who::Anonymous, Who::Worker] {
        let stranger = Client { caller: store.caller(who), ..owner.clone() };
        let refused = Err(Condition::AccessDenied);
        assert_eq!(stranger.call(put(PUBLIC)).await, refused, "{who:?}");
        assert_eq!(stranger.call(delete()).await, refused, "{who:?}");
        assert_eq!(stranger.call(block(AccessBlock::NONE)).await, refused, "{who:?}");
        let get = GetBucketPolicy { bucket: bucket() };
        assert_eq!(stranger.call(get).await.map(drop), refused, "{who:?}");
        let status = GetBucketPolicyStatus { bucket: bucket() };
        assert_eq!(stranger.call(status).await.map(drop), refused, "{who:?}");
        let shown = GetAccessBlock { bucket: bucket() };
        assert_eq!(stranger.call(shown).await.map(drop), refused, "{who:?}");
    }
}

/// The anonymous may look at a bucket if the policy says so, and the worker never.
#[tokio::test]
async fn everybody_does_not_mean_the_server_itself() {
    let store = Store::new(1).await;
    let owner = with_key(&store).await;
    let all = r#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:*",
        "Resource": ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"]}}"#;
    owner.call(put(all)).await.expect("a policy");
    let look = || LookAtBucket { name: name(BUCKET), action: Action::ListBucket };
    for (who, expected) in
        [(Who::Anonymous, Ok(())), (Who::Ben, Ok(())), (Who::Worker, Err(Condition::AccessDenied))]
    {
        let client = Client { caller: store.caller(who), ..owner.clone() };
        assert_eq!(client.call(look()).await.map(drop), expected, "{who:?}");
    }
}
