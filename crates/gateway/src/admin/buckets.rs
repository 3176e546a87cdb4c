//! `/_larder/buckets`: what the operator may see and set of any bucket.

use std::sync::Arc;

use model::{Condition, names::BucketName};
use serde::{Deserialize, Serialize};
use service::{
    Error, Service,
    copies::{Recount, RecountPlace, SetCopies, ShowBucket, ShownBucket},
};

use super::{json, read};
use crate::{
    wire::{Reply, Request, Result, empty},
    xml::date,
};

#[derive(Serialize)]
struct Shown {
    name: String,
    owner: String,
    region: String,
    created: String,
    /// Those that were set for it.
    copies: Option<u8>,
    /// Those that a blob written now gets.
    copies_now: usize,
    objects: i64,
    object_bytes: i64,
    uploads: i64,
    recount: Option<Progress>,
}

/// How far the bytes of a bucket have their copies.
#[derive(Serialize)]
struct Progress {
    /// `uploads` or `versions`.
    walks: &'static str,
    /// The last key that was looked at in this pass.
    key: Option<String>,
    changed: u64,
    bytes: u64,
    /// Blobs that could not get their copies in the last pass.
    stuck: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    copies: Option<u8>,
}

fn named(name: &str) -> Result<BucketName> {
    BucketName::parse(name).map_err(|_| Error::from(Condition::InvalidBucketName))
}

/// `GET /_larder/buckets/{name}`
pub async fn show(request: &Request, service: &Arc<Service>, name: &str) -> Result<Reply> {
    json(200, &shown(service.call(&request.caller, ShowBucket(named(name)?)).await?))
}

/// `POST /_larder/buckets/{name}`
pub async fn set(request: &mut Request, service: &Arc<Service>, name: &str) -> Result<Reply> {
    let (bucket, Set { copies }) = (named(name)?, read(request).await?);
    service.call(&request.caller, SetCopies { bucket, copies }).await?;
    Ok(empty(204))
}

fn shown(ShownBucket { bucket, copies, usage, recount }: ShownBucket) -> Shown {
    Shown {
        name: bucket.name.to_string(),
        owner: bucket.owner.to_string(),
        region: bucket.region,
        created: date(bucket.created_ms),
        copies: bucket.copies,
        copies_now: copies,
        objects: usage.objects,
        object_bytes: usage.bytes,
        uploads: usage.uploads,
        recount: recount.map(progress),
    }
}

fn progress(recount: Recount) -> Progress {
    let (walks, key) = match recount.place {
        RecountPlace::Uploads(after) => ("uploads", after.map(|(key, _)| key)),
        RecountPlace::Versions(after) => ("versions", after.map(|(key, _)| key)),
    };
    Progress {
        walks,
        key: key.map(|key| key.to_string()),
        changed: recount.changed,
        bytes: recount.bytes,
        stuck: recount.stuck.max(recount.stuck_in_pass),
    }
}
