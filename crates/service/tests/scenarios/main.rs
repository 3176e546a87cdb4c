//! What a client relies on when others work beside it, and what the workers must not spoil.
//!
//! The engine below answers late by seed, so that each seed is another order of events.
//! `SEED=n` replays one, `SEEDS=n` runs more.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod audit;
mod bucket_limit;
mod checking;
mod clocks;
mod conditional_writes;
mod copies;
mod emptying;
mod mfa;
mod origins;
mod parallel_versions;
mod placement;
mod policies;
mod rebuilding;
mod reclaiming;
mod repairing;
mod sessions;
mod strangers;
#[path = "../support/mod.rs"]
mod support;
mod tags;
mod takeover;
mod uploads_in_parallel;

use std::sync::Arc;

use bytes::Bytes;
use metadata::Usage;
use model::{
    BucketName, Condition, ObjectKey, VersionId,
    checksums::Algorithm,
    listing::Question,
    names::VersionSelector,
    preconditions::Preconditions,
    records::{Attributes, Upload, Version, Versioning},
    tags::Tags,
};
use service::{
    Caller, ContentReader, Operation, Service,
    body::{self, Body, Digests},
    buckets::{CreateBucket, DeleteBucket, SetVersioning, StatBucket},
    objects::{
        Target,
        copy::CopyObject,
        delete::{DeleteCondition, DeleteObject, DeleteObjects},
        list::{ListObjects, ListVersions, ListedVersion, VersionPage},
        read::{GetObject, Reading},
        write::{PutObject, WriteCondition},
    },
    uploads::{CompleteUpload, CreateUpload, UploadPart, UploadTarget},
};

use tokio::sync::mpsc;

use support::{Store, Who, Workers, audit, leftovers};

type Result<T> = std::result::Result<T, Condition>;

const BUCKET: &str = "bucket";

/// The seeds to run: all of `0..count`, the one in `SEED`, or as many as `SEEDS` says.
fn seeds(count: u64) -> Vec<u64> {
    let number = |variable: &str| {
        let value = std::env::var(variable).ok()?;
        Some(value.parse().unwrap_or_else(|_| panic!("{variable} is not a number")))
    };
    match number("SEED") {
        Some(seed) => vec![seed],
        None => (0..number("SEEDS").unwrap_or(count)).collect(),
    }
}

fn name(bucket: &str) -> BucketName {
    BucketName::parse(bucket).expect("a name")
}

fn object(key: &str) -> ObjectKey {
    ObjectKey::parse(key).expect("a key")
}

fn target(key: &str, version: VersionSelector) -> Target {
    Target { bucket: name(BUCKET), key: object(key), version }
}

/// A body whose pieces come when the test sends them.
struct Arriving(mpsc::Receiver<Bytes>);

#[async_trait::async_trait(?Send)]
impl Body for Arriving {
    fn length_bytes(&self) -> Option<u64> {
        None
    }

    fn wants_sha256(&self) -> bool {
        false
    }

    fn algorithm(&self) -> Option<Algorithm> {
        None
    }

    async fn next(&mut self) -> Option<service::Result<Bytes>> {
        self.0.recv().await.map(Ok)
    }

    fn check(&mut self, _: &Digests) -> service::Result<()> {
        Ok(())
    }
}

/// One account at work in one bucket. Clones work beside each other.
#[derive(Clone)]
struct Client {
    service: Arc<Service>,
    caller: Caller,
}

impl Client {
    /// A client with a new bucket.
    async fn with_bucket(store: &Store, versioning: Versioning) -> Self {
        let service = Arc::clone(&store.service);
        let client = Self { service, caller: store.caller(Who::Ann) };
        client.create_bucket(BUCKET).await;
        if versioning != Versioning::Unversioned {
            client.set_versioning(versioning).await;
        }
        client
    }

    async fn create_bucket(&self, bucket: &str) {
        let (location, storage_class, redundancy) = (None, None, None);
        let create = CreateBucket {
            name: name(bucket),
            location,
            storage_class,
            redundancy,
            acl: None,
            object_ownership: None,
        };
        self.call(create).await.expect("a bucket");
    }

    /// As an operator.
    async fn as_root<O: Operation>(&self, operation: O) -> Result<O::Output> {
        let mut caller = self.caller.clone();
        caller.facts.root = true;
        self.service.call(&caller, operation).await.map_err(|error| error.condition)
    }

    /// What is asked for here may be refused, but is never the store's own fault.
    async fn call<O: Operation>(&self, operation: O) -> Result<O::Output> {
        let outcome = self.service.call(&self.caller, operation).await;
        outcome.map_err(|error| {
            let fault = matches!(error.condition, Condition::Internal | Condition::DamagedData);
            assert!(!fault, "{error}: {:?}", error.source);
            error.condition
        })
    }

    async fn set_versioning(&self, versioning: Versioning) {
        self.call(SetVersioning { name: name(BUCKET), versioning, mfa_delete: None })
            .await
            .expect("it is switched");
    }

    async fn put(&self, key: &str, text: &str) -> Result<Version> {
        self.put_if(key, text, WriteCondition::default()).await
    }

    async fn put_if(&self, key: &str, text: &str, condition: WriteCondition) -> Result<Version> {
        let body = Box::new(body::Whole(Some(Bytes::from(text.to_owned()))));
        let (bucket, key, attributes) = (name(BUCKET), object(key), Attributes::default());
        let put = PutObject {
            bucket,
            key,
            attributes,
            condition,
            acl: None,
            tags: Tags::default(),
            body,
        };
        Ok(self.call(put).await?.version)
    }

    async fn copy(&self, from: &str, to: &str, condition: WriteCondition) -> Result<Version> {
        let copied = self.call(CopyObject {
            acl: None,
            tags: None,
            source: target(from, VersionSelector::Latest),
            source_preconditions: Preconditions::default(),
            bucket: name(BUCKET),
            key: object(to),
            replace: None,
            storage_class: None,
            checksum: None,
            condition,
        });
        Ok(copied.await?.written.version)
    }

    /// Begins to read.
    async fn open(&self, key: &str, version: VersionSelector) -> Result<ContentReader> {
        let reading = Reading {
            target: target(key, version),
            preconditions: Preconditions::default(),
            range: None,
            lenient_range: false,
            part: None,
        };
        Ok(self.call(GetObject(reading)).await?.1)
    }

    async fn get(&self, key: &str, version: VersionSelector) -> Result<Bytes> {
        let mut reader = self.open(key, version).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = reader.next().await {
            bytes.extend_from_slice(&chunk.map_err(|error| error.condition)?);
        }
        Ok(bytes.into())
    }

    /// Deletes the latest version: the id of the marker made, if versions are kept.
    async fn delete(&self, key: &str) -> Result<Option<String>> {
        let target = target(key, VersionSelector::Latest);
        let delete = DeleteObject { target, condition: DeleteCondition::default() };
        Ok(self.call(delete).await?.version_id)
    }

    async fn remove(&self, key: &str, version: &str) -> Result<()> {
        let target = target(key, selector(version));
        let delete = DeleteObject { target, condition: DeleteCondition::default() };
        self.call(delete).await.map(drop)
    }

    /// Removes versions in one request: all must go.
    async fn remove_all(&self, versions: &[ListedVersion]) {
        let wish = |listed: &ListedVersion| {
            let version = selector(&listed.version.client_id());
            (listed.key.clone(), version, DeleteCondition::default())
        };
        let objects = versions.iter().map(wish).collect();
        let outcomes = self.call(DeleteObjects { bucket: name(BUCKET), objects }).await;
        for (outcome, listed) in outcomes.expect("the request is right").iter().zip(versions) {
            assert!(outcome.is_ok(), "{}: {outcome:?}", listed.version.client_id());
        }
    }

    async fn version_page(
        &self,
        limit: usize,
        after: Option<(String, Option<String>)>,
    ) -> VersionPage {
        let (after, version_after) = after.unwrap_or_default();
        let question = Question { after, limit, ..Question::default() };
        let list = ListVersions { bucket: name(BUCKET), question, version_after };
        self.call(list).await.expect("it lists")
    }

    async fn versions(&self) -> Vec<ListedVersion> {
        self.version_page(usize::MAX, None).await.entries
    }

    /// Keys and ids of the current objects.
    async fn current(&self) -> Vec<(String, String)> {
        let question = Question { limit: usize::MAX, ..Question::default() };
        let page = self.call(ListObjects { bucket: name(BUCKET), question }).await;
        let entries = page.expect("it lists").entries.into_iter();
        entries.map(|(key, version)| (key.to_string(), version.client_id())).collect()
    }

    async fn usage(&self) -> Usage {
        self.call(StatBucket { name: name(BUCKET) }).await.expect("it counts")
    }

    async fn create_upload(&self, key: &str) -> Upload {
        let create = CreateUpload {
            acl: None,
            tags: Tags::default(),
            bucket: name(BUCKET),
            key: object(key),
            attributes: Attributes::default(),
            checksum: None,
            part_bytes_min: 0,
            sequential: false,
        };
        self.call(create).await.expect("an upload")
    }

    async fn upload_part(&self, upload: &Upload, number: u32, text: &str) -> Result<()> {
        let body = Box::new(body::Whole(Some(Bytes::from(text.to_owned()))));
        self.call(UploadPart { target: upload_target(upload), number, body }).await.map(drop)
    }

    /// Makes an object of all parts there are.
    async fn complete(&self, upload: &Upload, condition: WriteCondition) -> Result<Version> {
        let complete = CompleteUpload {
            target: upload_target(upload),
            parts: None,
            condition,
            checksum: None,
            size_bytes: None,
        };
        Ok(self.call(complete).await?.version)
    }

    async fn delete_bucket(&self) -> Result<()> {
        self.call(DeleteBucket { name: name(BUCKET), abort_uploads: false }).await
    }
}

fn upload_target(upload: &Upload) -> UploadTarget {
    UploadTarget { bucket: name(BUCKET), key: upload.key.clone(), upload: upload.id }
}

fn selector(version: &str) -> VersionSelector {
    VersionId::parse(version).map_or(VersionSelector::Null, VersionSelector::Id)
}

/// Lets the workers finish: all rows and files that are left must be needed.
async fn assert_tidy(store: &Store, seed: u64) {
    Workers::default().finish(store).await.expect("the workers work");
    assert_eq!(audit(store).await, Vec::<String>::new(), "SEED={seed}");
}

/// Deletes what is left of the bucket and the bucket: nothing may remain two days later.
async fn assert_all_goes(store: &mut Store, client: &Client, seed: u64) {
    client.remove_all(&client.versions().await).await;
    assert_eq!(client.usage().await, Usage::default(), "SEED={seed}");
    client.delete_bucket().await.expect("the bucket is empty");
    store.clock.turn_ms(2 * 24 * 3600 * 1000);
    store.restart(None).await;
    Workers::default().finish(store).await.expect("the workers work");
    assert_eq!(leftovers(store).await, Vec::<String>::new(), "SEED={seed}");
}
