//! Whoever does not own a bucket can do nothing in it, and learns nothing of what is there.

use std::sync::Arc;

use bytes::Bytes;
use model::{
    Condition,
    listing::Question,
    names::VersionSelector,
    policy::Action,
    preconditions::Preconditions,
    records::{Attributes, Upload, Versioning},
    tags::Tags,
};
use service::{
    body,
    buckets::{CreateBucket, DeleteBucket, LookAtBucket, SetVersioning, StatBucket},
    objects::{
        copy::CopyObject,
        delete::{DeleteCondition, DeleteObject, DeleteObjects},
        list::{ListObjects, ListVersions},
        read::{GetObject, GetObjectAttributes, HeadObject, Reading},
        write::{PutObject, WriteCondition},
    },
    uploads::{
        AbortUpload, CompleteUpload, CreateUpload, ListParts, ListUploads, UploadPart,
        UploadPartCopy,
    },
};

use crate::{BUCKET, Client, Store, Who, name, object, target, upload_target};

const LATEST: VersionSelector = VersionSelector::Latest;

macro_rules! refused {
    ($stranger:expr, $($operation:expr),* $(,)?) => {
        $(
            let outcome = $stranger.call($operation).await.map(drop);
            assert_eq!(outcome, Err(Condition::AccessDenied), "{}", stringify!($operation));
        )*
    };
}

fn reading(key: &str) -> Reading {
    Reading {
        target: target(key, LATEST),
        preconditions: Preconditions::default(),
        range: None,
        lenient_range: false,
        part: None,
    }
}

fn copy(from_bucket: &str, to_bucket: &str) -> CopyObject {
    let mut source = target("key", LATEST);
    source.bucket = name(from_bucket);
    CopyObject {
        acl: None,
        tags: None,
        source,
        source_preconditions: Preconditions::default(),
        bucket: name(to_bucket),
        key: object("copy"),
        replace: None,
        storage_class: None,
        checksum: None,
        condition: WriteCondition::default(),
    }
}

fn whole() -> Box<dyn body::Body> {
    Box::new(body::Whole(Some(Bytes::from_static(b"stranger"))))
}

async fn refused_in_objects(stranger: &Client) {
    let bucket = || name(BUCKET);
    let all = || Question { limit: 9, ..Question::default() };
    let condition = DeleteCondition::default;
    let put = |key: &str| PutObject {
        acl: None,
        tags: Tags::default(),
        bucket: bucket(),
        key: object(key),
        attributes: Attributes::default(),
        condition: WriteCondition::default(),
        body: whole(),
    };
    let attributes = |key: &str| GetObjectAttributes {
        target: target(key, LATEST),
        preconditions: Preconditions::default(),
        parts_after: 0,
        parts_limit: 9,
    };
    for key in ["key", "nothing is here"] {
        let delete =
            |version| DeleteObject { target: target(key, version), condition: condition() };
        refused!(
            stranger,
            put(key),
            GetObject(reading(key)),
            HeadObject(reading(key)),
            attributes(key),
            delete(LATEST),
            delete(VersionSelector::Null),
            DeleteObjects { bucket: bucket(), objects: vec![(object(key), LATEST, condition())] },
        );
    }
    refused!(
        stranger,
        ListObjects { bucket: bucket(), question: all() },
        ListVersions { bucket: bucket(), question: all(), version_after: None },
        LookAtBucket { name: bucket(), action: Action::ListBucket },
        LookAtBucket { name: bucket(), action: Action::GetBucketLocation },
        StatBucket { name: bucket() },
        SetVersioning { name: bucket(), versioning: Versioning::Suspended, mfa_delete: None },
        DeleteBucket { name: bucket(), abort_uploads: true },
        copy(BUCKET, BUCKET),
    );
}

async fn refused_in_uploads(stranger: &Client, upload: &Upload) {
    let bucket = || name(BUCKET);
    let question = || Question { limit: 9, ..Question::default() };
    refused!(
        stranger,
        CreateUpload {
            acl: None,
            tags: Tags::default(),
            bucket: bucket(),
            key: object("key"),
            attributes: Attributes::default(),
            checksum: None,
            part_bytes_min: 0,
            sequential: false,
        },
        UploadPart { target: upload_target(upload), number: 1, body: whole() },
        UploadPartCopy {
            target: upload_target(upload),
            number: 1,
            source: target("key", LATEST),
            source_preconditions: Preconditions::default(),
            range: None,
        },
        ListParts { target: upload_target(upload), after: 0, limit: 9 },
        ListUploads { bucket: bucket(), question: question(), upload_after: None },
        CompleteUpload {
            target: upload_target(upload),
            parts: None,
            condition: WriteCondition::default(),
            checksum: None,
            size_bytes: None,
        },
        AbortUpload(upload_target(upload)),
    );
}

#[tokio::test]
async fn strangers_are_refused_everywhere_and_change_nothing() {
    let store = Store::new(1).await;
    let owner = Client::with_bucket(&store, Versioning::Enabled).await;
    owner.put("key", "mine").await.expect("it is put");
    let upload = owner.create_upload("upload").await;
    owner.upload_part(&upload, 1, "part").await.expect("a part");
    let before = (owner.usage().await, owner.versions().await.len());
    for who in [Who::Ben, Who::Anonymous, Who::Worker] {
        let service = Arc::clone(&store.service);
        let stranger = Client { service, caller: store.caller(who) };
        refused_in_objects(&stranger).await;
        refused_in_uploads(&stranger, &upload).await;
    }
    assert_eq!((owner.usage().await, owner.versions().await.len()), before);
}

/// A copy needs both: the right to read the source, and the right to write the target.
#[tokio::test]
async fn a_copy_out_of_or_into_a_strangers_bucket_is_refused() {
    let store = Store::new(1).await;
    let ann = Client::with_bucket(&store, Versioning::Unversioned).await;
    ann.put("key", "mine").await.expect("it is put");
    let ben = Client { caller: store.caller(Who::Ben), ..ann.clone() };
    let (location, storage_class, redundancy) = (None, None, None);
    let create = CreateBucket {
        name: name("bens"),
        location,
        storage_class,
        redundancy,
        acl: None,
        object_ownership: None,
    };
    ben.call(create).await.expect("a bucket");
    refused!(ben, copy(BUCKET, "bens"), copy("bens", BUCKET));
    refused!(ann, copy(BUCKET, "bens"), copy("bens", BUCKET));
    ann.call(copy(BUCKET, BUCKET)).await.expect("both are hers");
}
