//! Documents we know but do not keep yet: asking for one, or deleting it, answers as if none had
//! ever been set. Terraform and the SDKs ask for all of them. Setting one is in `refused`.

use std::sync::Arc;

use bytes::Bytes;
use model::{Condition, policy::Action, records::Versioning};
use service::{
    Error, Service,
    buckets::{BucketInfo, LookAtBucket},
    objects::read::{LookAtObject, LookedAt},
};

use crate::{
    dialect::Dialect,
    wire::{self, Entry, Handler, Reply, Request, Result, Route, Target},
    xml,
};

/// What is said of a document nobody set.
#[derive(Clone, Copy)]
pub enum Answer {
    /// An error that says so.
    Unset(Condition),
    /// An error with words of its own.
    UnsetAs(Condition, &'static str),
    /// The document as it is before anybody sets it.
    Document(fn(&Request, &BucketInfo) -> Bytes),
    /// Nothing to delete, which is a success.
    Deleted,
}

/// Answers after the caller was found to be allowed, and bucket and object to exist.
///
/// # Errors
/// Those of looking at the bucket or object, and the answer itself where it is one.
pub async fn answer(
    request: &Request,
    service: &Arc<Service>,
    route: &Route,
    answer: Answer,
) -> Result<Reply> {
    let action = *route.actions_in(request.dialect).first().ok_or(Condition::Internal)?;
    let mut version = None;
    let info = if request.address.key.is_some() {
        let target = request.target()?;
        let look = LookAtObject { action: target.action(action), target };
        let LookedAt { bucket, owner, version: found } =
            service.call(&request.caller, look).await?;
        if bucket.versioning != Versioning::Unversioned {
            version = Some(found.client_id());
        }
        BucketInfo { bucket, owner }
    } else {
        service.call(&request.caller, LookAtBucket { name: request.bucket()?, action }).await?
    };
    let mut reply = match answer {
        Answer::Unset(condition) => return Err(condition.into()),
        Answer::UnsetAs(condition, detail) => return Err(Error::new(condition, detail)),
        Answer::Document(document) => wire::xml(200, document(request, &info)),
        Answer::Deleted => wire::empty(204),
    };
    if let Some(version) = version {
        reply.add_own(request.dialect, "version-id", version);
    }
    Ok(reply)
}

use Answer::{Deleted, Document, Unset, UnsetAs};

const S3: Dialect = Dialect::S3;
const OSS: Dialect = Dialect::Oss;

const fn get(
    name: &'static str,
    query: &'static [&'static str],
    action: Action,
    answer: Answer,
) -> Entry {
    entry(Route::new("GET", Target::Bucket, name).query(query).needs(action), answer)
}

/// - `oss_action`: where OSS has an action of its own for deleting it; S3 asks for the right to
///   set it.
const fn delete(
    name: &'static str,
    query: &'static [&'static str],
    action: Action,
    oss_action: Option<Action>,
) -> Entry {
    let mut route = Route::new("DELETE", Target::Bucket, name).query(query).needs(action);
    if let Some(action) = oss_action {
        route = route.needs_in_oss(action);
    }
    entry(route, Deleted)
}

const fn object(
    method: &'static str,
    name: &'static str,
    query: &'static [&'static str],
    action: Action,
    answer: Answer,
) -> Entry {
    entry(Route::new(method, Target::Object, name).query(query).needs(action), answer)
}

/// The client tests call every such operation of a protocol, by kind of target and answer.
const fn entry(route: Route, answer: Answer) -> Entry {
    macro_rules! both {
        ($test:literal) => {
            (
                concat!("tests/s3/test_unset.py::", $test),
                concat!("tests/oss/test_unset.py::", $test),
            )
        };
    }
    let (s3, oss) = match (route.target, answer) {
        (Target::Object, Unset(_) | UnsetAs(..)) => {
            both!("test_a_document_of_an_object_is_not_there")
        }
        (_, Unset(_) | UnsetAs(..)) => both!("test_a_document_of_a_bucket_is_not_there"),
        (_, Document(_)) => both!("test_a_document_of_a_bucket_has_its_default"),
        (_, Deleted) => both!("test_deleting_a_document_of_a_bucket_changes_nothing"),
    };
    Entry { route: route.tested_by(Some(s3), Some(oss)), handler: Handler::Absent(answer) }
}

const fn only(dialect: Dialect, entry: Entry) -> Entry {
    Entry { route: entry.route.only(dialect), handler: entry.handler }
}

const fn named(oss_name: &'static str, entry: Entry) -> Entry {
    Entry { route: entry.route.named(oss_name), handler: entry.handler }
}

const NO_LOCK: Answer =
    UnsetAs(Condition::InvalidRequest, "Bucket is missing Object Lock Configuration");

#[rustfmt::skip]
pub static TABLE: &[Entry] = &[
    get("GetBucketEncryption", &["encryption"],
        Action::GetEncryptionConfiguration, Unset(Condition::NoEncryptionRule)),
    delete("DeleteBucketEncryption", &["encryption"],
        Action::PutEncryptionConfiguration, Some(Action::DeleteBucketEncryption)),
    named("GetBucketLifecycle",
        get("GetBucketLifecycleConfiguration", &["lifecycle"],
            Action::GetLifecycleConfiguration, Unset(Condition::NoLifecycleRules))),
    delete("DeleteBucketLifecycle", &["lifecycle"],
        Action::PutLifecycleConfiguration, Some(Action::DeleteBucketLifecycle)),
    get("GetBucketLogging", &["logging"], Action::GetBucketLogging, Document(logging)),
    get("GetBucketReplication", &["replication"],
        Action::GetReplicationConfiguration, Unset(Condition::NoReplicationRules)),
    get("GetBucketRequestPayment", &["requestPayment"],
        Action::GetBucketRequestPayment, Document(request_payment)),
    get("GetBucketWebsite", &["website"], Action::GetBucketWebsite, Unset(Condition::NoWebsite)),
    delete("DeleteBucketWebsite", &["website"], Action::DeleteBucketWebsite, None),

    only(S3, delete("DeleteBucketReplication", &["replication"],
        Action::PutReplicationConfiguration, Some(Action::DeleteBucketReplication))),
    only(S3, get("GetBucketAccelerateConfiguration", &["accelerate"],
        Action::GetAccelerateConfiguration, Document(accelerate))),
    only(S3, get("GetBucketNotificationConfiguration", &["notification"],
        Action::GetBucketNotification, Document(notification))),
    only(S3, get("GetObjectLockConfiguration", &["object-lock"],
        Action::GetBucketObjectLock, Unset(Condition::NoObjectLock))),
    only(S3, get("ListBucketInventoryConfigurations", &["inventory"],
        Action::GetInventoryConfiguration, Document(inventories))),
    only(S3, get("GetBucketInventoryConfiguration", &["inventory", "id"],
        Action::GetInventoryConfiguration,
        Unset(Condition::NoSuchConfiguration))),
    only(S3, delete("DeleteBucketInventoryConfiguration", &["inventory", "id"],
        Action::PutInventoryConfiguration, None)),
    only(S3, get("ListBucketAnalyticsConfigurations", &["analytics"],
        Action::GetAnalyticsConfiguration, Document(analytics))),
    only(S3, get("GetBucketAnalyticsConfiguration", &["analytics", "id"],
        Action::GetAnalyticsConfiguration,
        Unset(Condition::NoSuchConfiguration))),
    only(S3, delete("DeleteBucketAnalyticsConfiguration", &["analytics", "id"],
        Action::PutAnalyticsConfiguration, None)),
    only(S3, get("ListBucketMetricsConfigurations", &["metrics"],
        Action::GetMetricsConfiguration, Document(metrics))),
    only(S3, get("GetBucketMetricsConfiguration", &["metrics", "id"],
        Action::GetMetricsConfiguration,
        Unset(Condition::NoSuchConfiguration))),
    only(S3, delete("DeleteBucketMetricsConfiguration", &["metrics", "id"],
        Action::PutMetricsConfiguration, None)),
    only(S3, get("ListBucketIntelligentTieringConfigurations", &["intelligent-tiering"],
        Action::GetIntelligentTiering,
        Document(intelligent_tiering))),
    only(S3, get("GetBucketIntelligentTieringConfiguration", &["intelligent-tiering", "id"],
        Action::GetIntelligentTiering,
        Unset(Condition::NoSuchConfiguration))),
    only(S3, delete("DeleteBucketIntelligentTieringConfiguration", &["intelligent-tiering", "id"],
        Action::PutIntelligentTiering, None)),

    only(OSS, delete("DeleteBucketLogging", &["logging"], Action::DeleteBucketLogging, None)),
    only(OSS, get("GetBucketWorm", &["worm"], Action::GetBucketWorm, Unset(Condition::NoWorm))),
    only(OSS, get("GetBucketObjectWormConfiguration", &["objectWorm"], Action::GetBucketObjectLock,
        Unset(Condition::NoObjectLock))),
    only(OSS, get("ListCname", &["cname"], Action::ListCname, Document(cnames))),
    only(OSS, get("GetBucketTransferAcceleration", &["transferAcceleration"],
        Action::GetAccelerateConfiguration,
        Unset(Condition::NoTransferAcceleration))),
    only(OSS, get("GetBucketAccessMonitor", &["accessmonitor"],
        Action::GetAccessMonitor, Document(access_monitor))),
    only(OSS, get("GetBucketResourceGroup", &["resourceGroup"],
        Action::GetBucketResourceGroup, Document(resource_group))),
    only(OSS, get("GetBucketHttpsConfig", &["httpsConfig"],
        Action::GetHttpsConfig, Document(https))),
    only(OSS, get("GetBucketArchiveDirectRead", &["bucketArchiveDirectRead"],
        Action::GetArchiveDirectRead,
        Document(archive_direct_read))),
    only(OSS, get("GetBucketReplicationLocation", &["replicationLocation"],
        Action::GetBucketReplicationLocation,
        Document(replication_location))),
    only(OSS, get("GetBucketReplicationProgress", &["replicationProgress"],
        Action::GetBucketReplicationProgress,
        Unset(Condition::NoReplicationRules))),
    only(OSS, get("ListBucketInventory", &["inventory"],
        Action::GetInventoryConfiguration, Document(inventories))),
    only(OSS, get("GetBucketInventory", &["inventory", "inventoryId"],
        Action::GetInventoryConfiguration,
        Unset(Condition::NoInventory))),
    only(OSS, delete("DeleteBucketInventory", &["inventory", "inventoryId"],
        Action::DeleteBucketInventory, None)),
    only(OSS, get("GetBucketStorageCapacity", &["qos"],
        Action::GetBucketStorageCapacity, Document(storage_capacity))),
    only(OSS, get("ListStyle", &["style"], Action::ListStyle, Document(styles))),
    only(OSS, get("ListLiveChannel", &["live"], Action::ListLiveChannel, Document(live_channels))),

    object("GET", "GetObjectRetention", &["retention"], Action::GetObjectRetention, NO_LOCK),
    only(S3, object("GET", "GetObjectLegalHold", &["legal-hold"],
        Action::GetObjectLegalHold, NO_LOCK)),
    only(OSS, object("GET", "GetObjectLegalHold", &["legalHold"],
        Action::GetObjectLegalHold, NO_LOCK)),
    only(OSS, object("GET", "GetSymlink", &["symlink"], Action::GetObject,
        UnsetAs(Condition::InvalidRequest, "The object is not a symbolic link."))),
];

fn empty(request: &Request, root: &'static str) -> Bytes {
    xml::document(request.dialect, root).finish()
}

/// A document of one element.
fn single(request: &Request, root: &'static str, name: &'static str, value: &str) -> Bytes {
    let mut xml = xml::document(request.dialect, root);
    xml.text(name, value);
    xml.finish()
}

fn accelerate(request: &Request, _: &BucketInfo) -> Bytes {
    empty(request, "AccelerateConfiguration")
}

fn notification(request: &Request, _: &BucketInfo) -> Bytes {
    empty(request, "NotificationConfiguration")
}

fn logging(request: &Request, _: &BucketInfo) -> Bytes {
    empty(request, "BucketLoggingStatus")
}

fn request_payment(request: &Request, _: &BucketInfo) -> Bytes {
    single(request, "RequestPaymentConfiguration", "Payer", "BucketOwner")
}

fn inventories(request: &Request, _: &BucketInfo) -> Bytes {
    single(request, "ListInventoryConfigurationsResult", "IsTruncated", "false")
}

fn analytics(request: &Request, _: &BucketInfo) -> Bytes {
    single(request, "ListBucketAnalyticsConfigurationResult", "IsTruncated", "false")
}

fn metrics(request: &Request, _: &BucketInfo) -> Bytes {
    single(request, "ListMetricsConfigurationsResult", "IsTruncated", "false")
}

fn intelligent_tiering(request: &Request, _: &BucketInfo) -> Bytes {
    single(request, "ListBucketIntelligentTieringConfigurationsOutput", "IsTruncated", "false")
}

fn cnames(request: &Request, info: &BucketInfo) -> Bytes {
    let mut xml = xml::document(request.dialect, "ListCnameResult");
    xml.text("Bucket", info.bucket.name.as_str()).text("Owner", info.owner.id.as_str());
    xml.finish()
}

fn access_monitor(request: &Request, _: &BucketInfo) -> Bytes {
    single(request, "AccessMonitorConfiguration", "Status", "Disabled")
}

fn resource_group(request: &Request, _: &BucketInfo) -> Bytes {
    single(request, "BucketResourceGroupConfiguration", "ResourceGroupId", "")
}

fn https(request: &Request, _: &BucketInfo) -> Bytes {
    let mut xml = xml::document(request.dialect, "HttpsConfiguration");
    xml.open("TLS").flag("Enable", false);
    xml.finish()
}

fn archive_direct_read(request: &Request, _: &BucketInfo) -> Bytes {
    single(request, "ArchiveDirectReadConfiguration", "Enabled", "false")
}

fn storage_capacity(request: &Request, _: &BucketInfo) -> Bytes {
    single(request, "BucketUserQos", "StorageCapacity", "-1")
}

fn replication_location(request: &Request, _: &BucketInfo) -> Bytes {
    empty(request, "ReplicationLocation")
}

fn styles(request: &Request, _: &BucketInfo) -> Bytes {
    empty(request, "StyleList")
}

fn live_channels(request: &Request, _: &BucketInfo) -> Bytes {
    let mut xml = xml::document(request.dialect, "ListLiveChannelResult");
    xml.text("Prefix", "").text("Marker", "").number("MaxKeys", 100);
    xml.flag("IsTruncated", false).text("NextMarker", "");
    xml.finish()
}
