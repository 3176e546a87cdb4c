//! Known and not served: refused by name with `NotImplemented`, never with success, and never taken
//! for the request without the sub-resource.

use crate::{
    dialect::Dialect,
    wire::{Entry, Handler, Route, Target},
};

/// The document is not kept yet.
const NOT_KEPT: &str = "not kept yet";
/// What S3 or OSS itself runs around the store.
const NOT_OURS: &str = "belongs to a service of the cloud around the store";
/// A feature of its own that is to come.
const TO_COME: &str = "not built yet";

const fn bucket(
    method: &'static str,
    name: &'static str,
    query: &'static [&'static str],
    reason: &'static str,
) -> Entry {
    let route = Route::new(method, Target::Bucket, name).query(query);
    Entry { route, handler: Handler::Refused(reason) }
}

const fn object(
    method: &'static str,
    name: &'static str,
    query: &'static [&'static str],
    reason: &'static str,
) -> Entry {
    let route = Route::new(method, Target::Object, name).query(query);
    Entry { route, handler: Handler::Refused(reason) }
}

const fn service(
    method: &'static str,
    name: &'static str,
    query: &'static [&'static str],
    reason: &'static str,
) -> Entry {
    let route = Route::new(method, Target::Service, name).query(query);
    Entry { route, handler: Handler::Refused(reason) }
}

const fn s3(entry: Entry) -> Entry {
    Entry { route: entry.route.only(Dialect::S3), handler: entry.handler }
}

const fn oss(entry: Entry) -> Entry {
    Entry { route: entry.route.only(Dialect::Oss), handler: entry.handler }
}

const fn named(oss_name: &'static str, entry: Entry) -> Entry {
    Entry { route: entry.route.named(oss_name), handler: entry.handler }
}

#[rustfmt::skip]
pub static TABLE: &[Entry] = &[
    // Both protocols.
    bucket("PUT", "PutBucketEncryption", &["encryption"], NOT_KEPT),
    named("PutBucketLifecycle",
        bucket("PUT", "PutBucketLifecycleConfiguration", &["lifecycle"], NOT_KEPT)),
    bucket("PUT", "PutBucketLogging", &["logging"], NOT_KEPT),
    bucket("PUT", "PutBucketRequestPayment", &["requestPayment"], NOT_KEPT),
    bucket("PUT", "PutBucketWebsite", &["website"], NOT_KEPT),
    object("PUT", "PutObjectRetention", &["retention"], NOT_KEPT),
    object("POST", "RestoreObject", &["restore"], TO_COME),

    // S3.
    s3(bucket("PUT", "PutBucketAccelerateConfiguration", &["accelerate"], NOT_KEPT)),
    s3(bucket("PUT", "PutBucketAnalyticsConfiguration", &["analytics", "id"], NOT_KEPT)),
    s3(bucket("PUT", "PutBucketIntelligentTieringConfiguration", &["intelligent-tiering", "id"],
        NOT_KEPT)),
    s3(bucket("PUT", "PutBucketInventoryConfiguration", &["inventory", "id"], NOT_KEPT)),
    s3(bucket("PUT", "PutBucketMetricsConfiguration", &["metrics", "id"], NOT_KEPT)),
    s3(bucket("PUT", "PutBucketNotificationConfiguration", &["notification"], NOT_KEPT)),
    s3(bucket("PUT", "PutBucketReplication", &["replication"], NOT_KEPT)),
    s3(bucket("PUT", "PutObjectLockConfiguration", &["object-lock"], NOT_KEPT)),
    s3(bucket("GET", "GetBucketAbac", &["abac"], NOT_OURS)),
    s3(bucket("PUT", "PutBucketAbac", &["abac"], NOT_OURS)),
    s3(bucket("GET", "CreateSession", &["session"], NOT_OURS)),
    s3(bucket("GET", "GetBucketMetadataConfiguration", &["metadataConfiguration"], NOT_OURS)),
    s3(bucket("POST", "CreateBucketMetadataConfiguration", &["metadataConfiguration"], NOT_OURS)),
    s3(bucket("DELETE", "DeleteBucketMetadataConfiguration", &["metadataConfiguration"],
        NOT_OURS)),
    s3(bucket("GET", "GetBucketMetadataTableConfiguration", &["metadataTable"], NOT_OURS)),
    s3(bucket("POST", "CreateBucketMetadataTableConfiguration", &["metadataTable"], NOT_OURS)),
    s3(bucket("DELETE", "DeleteBucketMetadataTableConfiguration", &["metadataTable"], NOT_OURS)),
    s3(bucket("PUT", "UpdateBucketMetadataAnnotationTableConfiguration",
        &["metadataAnnotationTable"], NOT_OURS)),
    s3(bucket("PUT", "UpdateBucketMetadataInventoryTableConfiguration",
        &["metadataInventoryTable"], NOT_OURS)),
    s3(bucket("PUT", "UpdateBucketMetadataJournalTableConfiguration", &["metadataJournalTable"],
        NOT_OURS)),
    s3(object("PUT", "PutObjectLegalHold", &["legal-hold"], NOT_KEPT)),
    s3(object("GET", "GetObjectTorrent", &["torrent"], NOT_OURS)),
    s3(object("GET", "GetObjectAnnotation", &["annotation"], NOT_OURS)),
    s3(object("PUT", "PutObjectAnnotation", &["annotation"], NOT_OURS)),
    s3(object("DELETE", "DeleteObjectAnnotation", &["annotation"], NOT_OURS)),
    s3(object("PUT", "RenameObject", &["renameObject"], TO_COME)),
    s3(object("POST", "SelectObjectContent", &["select"], TO_COME)),
    s3(object("PUT", "UpdateObjectEncryption", &["encryption"], NOT_OURS)),

    // OSS: service.
    oss(service("GET", "ListUserDataRedundancyTransition", &["redundancyTransition"], TO_COME)),
    oss(service("GET", "ListCloudBoxes", &["cloudboxes"], NOT_OURS)),
    oss(service("GET", "ListResourcePools", &["resourcePool"], NOT_OURS)),
    oss(service("GET", "GetUserQosInfo", &["qosInfo"], TO_COME)),
    oss(service("GET", "ListAccessPoints", &["accessPoint"], TO_COME)),

    // OSS: bucket.
    oss(bucket("POST", "PutBucketReplication", &["replication", "comp=add"], NOT_KEPT)),
    oss(bucket("POST", "DeleteBucketReplication", &["replication", "comp=delete"], NOT_KEPT)),
    oss(bucket("PUT", "PutBucketRtc", &["rtc"], NOT_KEPT)),
    oss(bucket("PUT", "PutBucketInventory", &["inventory", "inventoryId"], NOT_KEPT)),
    oss(bucket("POST", "InitiateBucketWorm", &["worm"], NOT_KEPT)),
    oss(bucket("DELETE", "AbortBucketWorm", &["worm"], NOT_KEPT)),
    oss(bucket("POST", "CompleteBucketWorm", &["wormId"], NOT_KEPT)),
    oss(bucket("POST", "ExtendBucketWorm", &["wormId", "wormExtend"], NOT_KEPT)),
    oss(bucket("PUT", "PutBucketObjectWormConfiguration", &["objectWorm"], NOT_KEPT)),
    oss(bucket("POST", "PutCname", &["cname", "comp=add"], TO_COME)),
    oss(bucket("POST", "DeleteCname", &["cname", "comp=delete"], TO_COME)),
    oss(bucket("POST", "CreateCnameToken", &["cname", "comp=token"], TO_COME)),
    oss(bucket("GET", "GetCnameToken", &["cname", "comp=token"], TO_COME)),
    oss(bucket("PUT", "PutBucketTransferAcceleration", &["transferAcceleration"], NOT_KEPT)),
    oss(bucket("PUT", "PutBucketAccessMonitor", &["accessmonitor"], NOT_KEPT)),
    oss(bucket("PUT", "PutBucketResourceGroup", &["resourceGroup"], NOT_KEPT)),
    oss(bucket("PUT", "PutBucketHttpsConfig", &["httpsConfig"], NOT_KEPT)),
    oss(bucket("PUT", "PutBucketArchiveDirectRead", &["bucketArchiveDirectRead"], NOT_KEPT)),
    oss(bucket("GET", "GetBucketOverwriteConfig", &["overwriteConfig"], NOT_KEPT)),
    oss(bucket("PUT", "PutBucketOverwriteConfig", &["overwriteConfig"], NOT_KEPT)),
    oss(bucket("DELETE", "DeleteBucketOverwriteConfig", &["overwriteConfig"], NOT_KEPT)),
    oss(bucket("GET", "GetBucketResponseHeader", &["responseHeader"], NOT_KEPT)),
    oss(bucket("PUT", "PutBucketResponseHeader", &["responseHeader"], NOT_KEPT)),
    oss(bucket("DELETE", "DeleteBucketResponseHeader", &["responseHeader"], NOT_KEPT)),
    oss(bucket("GET", "GetUserDefinedLogFieldsConfig", &["userDefinedLogFieldsConfig"], NOT_KEPT)),
    oss(bucket("PUT", "PutUserDefinedLogFieldsConfig", &["userDefinedLogFieldsConfig"], NOT_KEPT)),
    oss(bucket("DELETE", "DeleteUserDefinedLogFieldsConfig", &["userDefinedLogFieldsConfig"],
        NOT_KEPT)),
    oss(bucket("POST", "CreateBucketDataRedundancyTransition", &["redundancyTransition"],
        TO_COME)),
    oss(bucket("GET", "ListBucketDataRedundancyTransition", &["redundancyTransition"], TO_COME)),
    oss(bucket("DELETE", "DeleteBucketDataRedundancyTransition", &["redundancyTransition"],
        TO_COME)),
    oss(bucket("GET", "GetBucketQosInfo", &["qosInfo"], TO_COME)),
    oss(bucket("PUT", "PutBucketQosInfo", &["qosInfo"], TO_COME)),
    oss(bucket("DELETE", "DeleteBucketQosInfo", &["qosInfo"], TO_COME)),
    oss(bucket("PUT", "PutBucketStorageCapacity", &["qos"], TO_COME)),
    oss(bucket("GET", "GetStyle", &["style", "styleName"], NOT_KEPT)),
    oss(bucket("PUT", "PutStyle", &["style", "styleName"], NOT_KEPT)),
    oss(bucket("DELETE", "DeleteStyle", &["style", "styleName"], NOT_KEPT)),
    oss(bucket("GET", "GetMetaQueryStatus", &["metaQuery"], TO_COME)),
    oss(bucket("POST", "MetaQuery", &["metaQuery"], TO_COME)),
    oss(bucket("GET", "GetAccessPoint", &["accessPoint"], TO_COME)),
    oss(bucket("PUT", "CreateAccessPoint", &["accessPoint"], TO_COME)),
    oss(bucket("DELETE", "DeleteAccessPoint", &["accessPoint"], TO_COME)),
    oss(bucket("GET", "GetAccessPointPolicy", &["accessPointPolicy"], TO_COME)),
    oss(bucket("PUT", "PutAccessPointPolicy", &["accessPointPolicy"], TO_COME)),
    oss(bucket("DELETE", "DeleteAccessPointPolicy", &["accessPointPolicy"], TO_COME)),
    oss(bucket("POST", "DoDataPipeLineAction", &["dataPipeline"], NOT_OURS)),
    oss(bucket("GET", "GetBucketAntiDDosInfo", &["antiDDos"], NOT_OURS)),
    oss(bucket("PUT", "InitBucketAntiDDosInfo", &["antiDDos"], NOT_OURS)),

    // OSS: object.
    oss(object("POST", "AppendObject", &["append"], TO_COME)),
    oss(object("POST", "SealAppendObject", &["seal"], TO_COME)),
    oss(object("PUT", "PutSymlink", &["symlink"], TO_COME)),
    oss(object("PUT", "PutObjectLegalHold", &["legalHold"], NOT_KEPT)),
    oss(object("GET", "ProcessObject (GET)", &["x-oss-process"], TO_COME)),
    oss(object("POST", "ProcessObject", &["x-oss-process"], TO_COME)),
    oss(object("POST", "AsyncProcessObject", &["x-oss-async-process"], TO_COME)),
    oss(object("POST", "AsyncFetch", &["asyncFetch"], TO_COME)),
    oss(object("POST", "CleanRestoredObject", &["cleanRestoredObject"], TO_COME)),
    oss(object("PUT", "PutLiveChannel", &["live"], NOT_OURS)),
    oss(object("GET", "GetLiveChannel", &["live"], NOT_OURS)),
    oss(object("DELETE", "DeleteLiveChannel", &["live"], NOT_OURS)),
    oss(object("POST", "PostVodPlaylist", &["vod"], NOT_OURS)),
    oss(object("GET", "GetVodPlaylist", &["vod"], NOT_OURS)),
];
