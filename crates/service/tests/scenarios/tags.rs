//! Tags decide as they are when something is done, whoever changes them meanwhile.

use model::{
    Condition,
    names::VersionSelector,
    records::Versioning,
    tags::{Rules, Tags},
};
use service::{
    objects::write::WriteCondition,
    policies::PutBucketPolicy,
    tags::{
        DeleteBucketTags, DeleteObjectTags, GetBucketTags, GetObjectTags, PutBucketTags,
        PutObjectTags,
    },
};

use crate::{BUCKET, Client, Result, Store, Who, name, seeds, target};

/// Others may change and read the tags of what is open.
const OPEN: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
    "Principal": {"AWS": "222222222222"}, "Action": ["s3:*ObjectTagging", "s3:GetObject"],
    "Resource": "arn:aws:s3:::bucket/*",
    "Condition": {"StringEquals": {"s3:ExistingObjectTag/state": "open"}}}}"#;

fn tags(pairs: &[(&str, &str)]) -> Tags {
    let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Tags::new(pairs.collect(), &Rules::OF_OBJECT_S3).expect("tags")
}

fn set(state: &str, by: &str) -> PutObjectTags {
    let tags = tags(&[("state", state), ("by", by)]);
    PutObjectTags { target: target("key", VersionSelector::Latest), tags }
}

async fn shown(client: &Client) -> Result<Tags> {
    let get = GetObjectTags { target: target("key", VersionSelector::Latest) };
    Ok(client.call(get).await?.version.tags)
}

/// An owner whose object is open to others, and one of those.
async fn open(store: &Store) -> (Client, Client) {
    let owner = Client::with_bucket(store, Versioning::Unversioned).await;
    owner.put("key", "mine").await.expect("it is put");
    let policy = PutBucketPolicy { bucket: name(BUCKET), text: OPEN.to_owned() };
    owner.call(policy).await.expect("a policy");
    owner.call(set("open", "ann")).await.expect("tags");
    let other = Client { caller: store.caller(Who::Ben), ..owner.clone() };
    (owner, other)
}

/// However the two meet: what the owner closed stays as the owner closed it.
#[tokio::test]
async fn nobody_changes_what_its_tags_have_closed() {
    for seed in seeds(60) {
        let store = Store::new(seed).await;
        let (owner, other) = open(&store).await;
        // Whoever met the other comes again, as clients do.
        let close = async {
            while let Err(condition) = owner.call(set("closed", "ann")).await.map(drop) {
                assert_eq!(condition, Condition::SlowDown, "the owner may");
            }
        };
        let ((), changed) = futures_util::future::join(close, other.call(set("open", "ben"))).await;
        let changed = changed.map(drop);
        let refused = Err(Condition::AccessDenied);
        let late = Err(Condition::SlowDown);
        assert!([Ok(()), refused, late].contains(&changed), "{changed:?}");
        let found = shown(&owner).await.expect("tags");
        assert_eq!(found, tags(&[("state", "closed"), ("by", "ann")]), "SEED={seed}");
        assert_eq!(shown(&other).await.map(drop), refused);
    }
}

#[tokio::test]
async fn a_replaced_object_is_not_open_for_what_it_replaced() {
    for seed in seeds(40) {
        let store = Store::new(seed).await;
        let (owner, other) = open(&store).await;
        let (_, read) = futures_util::future::join(
            owner.put("key", "secret"),
            other.get("key", VersionSelector::Latest),
        )
        .await;
        match read {
            Ok(bytes) => assert_eq!(bytes, "mine", "SEED={seed}"),
            Err(condition) => {
                assert!(matches!(condition, Condition::AccessDenied | Condition::SlowDown));
            }
        }
        let read = other.get("key", VersionSelector::Latest).await;
        assert_eq!(read, Err(Condition::AccessDenied));
    }
}

/// Others may read and copy the object, and its tags while it is open.
const COPIED: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"AWS": "222222222222"},
     "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/key"},
    {"Effect": "Allow", "Principal": {"AWS": "222222222222"},
     "Action": "s3:GetObjectTagging", "Resource": "arn:aws:s3:::bucket/key",
     "Condition": {"StringEquals": {"s3:ExistingObjectTag/state": "open"}}},
    {"Effect": "Allow", "Principal": {"AWS": "222222222222"},
     "Action": ["s3:PutObject", "s3:PutObjectTagging"], "Resource": "arn:aws:s3:::bucket/copy"}]}"#;

#[tokio::test]
async fn a_copy_never_takes_tags_along_that_may_not_be_read() {
    let mut copied = 0;
    for seed in seeds(60) {
        let store = Store::new(seed).await;
        let (owner, other) = open(&store).await;
        let policy = PutBucketPolicy { bucket: name(BUCKET), text: COPIED.to_owned() };
        owner.call(policy).await.expect("a policy");
        owner.call(set("closed", "secret")).await.expect("tags");
        let (opened, copy) = futures_util::future::join(
            owner.call(set("open", "ann")),
            other.copy("key", "copy", WriteCondition::default()),
        )
        .await;
        assert!(matches!(opened.map(drop), Ok(()) | Err(Condition::SlowDown)));
        match copy {
            Ok(version) => {
                copied += 1;
                let open = tags(&[("state", "open"), ("by", "ann")]);
                assert_eq!(version.tags, open, "SEED={seed}");
            }
            Err(condition) => {
                assert!(matches!(condition, Condition::AccessDenied | Condition::SlowDown));
            }
        }
    }
    assert!(copied > 0 || std::env::var_os("SEED").is_some(), "nothing was copied");
}

#[tokio::test]
async fn tags_are_there_after_a_restart() {
    let mut store = Store::new(1).await;
    let (owner, _) = open(&store).await;
    let (bucket, of_bucket) = (|| name(BUCKET), tags(&[("team", "blue"), ("x", "")]));
    let put = PutBucketTags { bucket: bucket(), tags: of_bucket.clone() };
    owner.call(put).await.expect("tags");
    store.restart(None).await;
    let owner = Client { service: store.service.clone(), ..owner };
    assert_eq!(shown(&owner).await, Ok(tags(&[("state", "open"), ("by", "ann")])));
    let get = || GetBucketTags { bucket: bucket() };
    assert_eq!(owner.call(get()).await, Ok(of_bucket));
    let remove = |keys: Option<&[&str]>| DeleteBucketTags {
        bucket: bucket(),
        action: model::policy::Action::DeleteBucketTagging,
        keys: keys.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect()),
    };
    owner.call(remove(Some(&["x", "none"]))).await.expect("one goes");
    assert_eq!(owner.call(get()).await, Ok(tags(&[("team", "blue")])));
    owner.call(remove(None)).await.expect("all go");
    assert_eq!(owner.call(get()).await, Ok(Tags::default()));
    let clear = DeleteObjectTags { target: target("key", VersionSelector::Latest) };
    owner.call(clear).await.expect("all go");
    assert_eq!(shown(&owner).await, Ok(Tags::default()));
}

/// Tags of a bucket that are removed beside others that are set: either all of these are there
/// then, or what was removed is missing from what was there before.
#[tokio::test]
async fn removing_some_tags_of_a_bucket_never_brings_old_ones_back() {
    for seed in seeds(40) {
        let store = Store::new(seed).await;
        let owner = Client::with_bucket(&store, Versioning::Unversioned).await;
        let put = |pairs| PutBucketTags { bucket: name(BUCKET), tags: tags(pairs) };
        owner.call(put(&[("a", "1"), ("b", "1")])).await.expect("tags");
        let remove = DeleteBucketTags {
            bucket: name(BUCKET),
            action: model::policy::Action::DeleteBucketTagging,
            keys: Some(vec!["a".to_owned()]),
        };
        let (set, removed) = futures_util::future::join(
            owner.call(put(&[("a", "2"), ("c", "2")])),
            owner.call(remove),
        )
        .await;
        set.expect("the tags are set");
        let found = owner.call(GetBucketTags { bucket: name(BUCKET) }).await.expect("tags");
        let (all, rest) = (tags(&[("a", "2"), ("c", "2")]), tags(&[("c", "2")]));
        match removed {
            Ok(()) => assert!(found == rest || found == all, "SEED={seed}: {found:?}"),
            Err(condition) => {
                assert_eq!((condition, found), (Condition::WriteConflict, all), "SEED={seed}");
            }
        }
    }
}
