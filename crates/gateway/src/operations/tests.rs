//! The table as a whole: no request finds two operations, none is taken for another.

use std::collections::HashSet;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use super::{list, page, table};
use crate::{
    dialect::Dialect,
    encoding::query_pairs,
    wire::{Found, Handler, Query, Target, Wanted, find},
};

/// What the table has for a request: a name, `405`, or `? parameter`.
fn found(dialect: Dialect, request: &str) -> String {
    let mut words = request.split_whitespace();
    let method = words.next().unwrap();
    let (path, query) = {
        let target = words.next().unwrap();
        target.split_once('?').unwrap_or((target, ""))
    };
    let target = match path {
        "/" => Target::Service,
        "/b" => Target::Bucket,
        _ => Target::Object,
    };
    let mut headers = HeaderMap::new();
    for name in words {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.insert(name, HeaderValue::from_static("x"));
    }
    let query = Query::new(query_pairs(query).unwrap());
    let wanted = Wanted { method, target, dialect, query: &query, headers: &headers };
    match find(table(), &wanted) {
        Found::Entry(entry) => entry.route.name_in(dialect).to_owned(),
        Found::Method => "405".to_owned(),
        Found::Unknown(name) => format!("? {name}"),
    }
}

#[test]
fn no_two_routes_are_equally_specific() {
    for dialect in [Dialect::S3, Dialect::Oss] {
        let mut seen = HashSet::new();
        for entry in table() {
            let route = &entry.route;
            if !route.dialects.include(dialect) {
                continue;
            }
            let (mut query, mut headers) = (route.query.to_vec(), route.headers.to_vec());
            query.sort_unstable();
            headers.sort_unstable();
            let place = (route.method, route.target, query, headers);
            assert!(seen.insert(place), "{dialect:?}: {} has a double", route.name);
        }
    }
}

#[test]
fn no_two_operations_of_a_protocol_share_a_name() {
    let mut seen = HashSet::new();
    for row in list() {
        // One operation in two forms: GET and HEAD, or the list of all and of one.
        if matches!(row.name, "GetObjectMeta") {
            continue;
        }
        assert!(seen.insert((row.dialect, row.target, row.name)), "{} {}", row.dialect, row.name);
    }
}

#[test]
fn the_most_specific_operation_is_found() {
    for (request, name) in [
        ("GET /", "ListBuckets"),
        ("GET /?max-buckets=1&x-id=ListBuckets", "ListBuckets"),
        ("GET /b", "ListObjects"),
        ("GET /b?prefix&marker&delimiter=%2F", "ListObjects"),
        ("GET /b?list-type=2&prefix=a", "ListObjectsV2"),
        ("GET /b?versions", "ListObjectVersions"),
        ("GET /b?uploads&prefix=x", "ListMultipartUploads"),
        ("GET /b?location", "GetBucketLocation"),
        ("GET /b?inventory", "ListBucketInventoryConfigurations"),
        ("GET /b?inventory&id=a", "GetBucketInventoryConfiguration"),
        ("PUT /b", "CreateBucket"),
        ("PUT /b?versioning", "PutBucketVersioning"),
        ("POST /b?delete=", "DeleteObjects"),
        ("GET /b/k?partNumber=1", "GetObject"),
        ("GET /b/k?versionId=null&response-content-type=a", "GetObject"),
        ("GET /b/k?X-Amz-Signature=a&X-Amz-Date=b&x-amz-checksum-mode=", "GetObject"),
        ("GET /b/k?uploadId=u&max-parts=1", "ListParts"),
        ("PUT /b/k", "PutObject"),
        ("PUT /b/k x-amz-copy-source", "CopyObject"),
        ("PUT /b/k?partNumber=1&uploadId=u", "UploadPart"),
        ("PUT /b/k?partNumber=1&uploadId=u x-amz-copy-source", "UploadPartCopy"),
        ("PUT /b/k?acl x-amz-copy-source", "PutObjectAcl"),
        ("POST /b/k?uploads", "CreateMultipartUpload"),
        ("POST /b/k?uploadId=u", "CompleteMultipartUpload"),
        ("DELETE /b/k?uploadId=u", "AbortMultipartUpload"),
        ("GET /b/k?unknown=parameter", "GetObject"),
    ] {
        assert_eq!(found(Dialect::S3, request), name, "{request}");
    }
    for (request, name) in [
        ("GET /?regions", "DescribeRegions"),
        ("GET /b?bucketInfo", "GetBucketInfo"),
        ("GET /b?stat", "GetBucketStat"),
        ("HEAD /b/k?objectMeta", "GetObjectMeta"),
        ("PUT /b", "PutBucket"),
        ("PUT /b/k x-oss-copy-source", "CopyObject"),
        ("PUT /b/k x-amz-copy-source", "PutObject"),
        ("GET /b/k?x-oss-process=image/info", "ProcessObject (GET)"),
        ("GET /b/k?Expires=1&OSSAccessKeyId=a&Signature=b&security-token=c", "GetObject"),
        ("POST /b?replication&comp=delete", "DeleteBucketReplication"),
        ("POST /b/k?append&position=0", "AppendObject"),
    ] {
        assert_eq!(found(Dialect::Oss, request), name, "{request}");
    }
}

#[test]
fn an_unknown_sub_resource_is_never_taken_for_the_plain_request() {
    for (request, outcome) in [
        ("DELETE /b?publicAccessBlock", "DeletePublicAccessBlock"),
        ("DELETE /b?acl", "405"),
        ("DELETE /b?acl=", "405"),
        ("DELETE /b?nonsense", "? nonsense"),
        ("DELETE /b?lifecycle&nonsense", "? nonsense"),
        ("DELETE /b?lifecycle&website", "? lifecycle"),
        ("DELETE /b?bucketInfo", "? bucketInfo"),
        ("DELETE /b/k?nonsense", "? nonsense"),
        ("DELETE /b/k?acl", "405"),
        ("DELETE /b/k?partNumber=1", "405"),
        ("PUT /b/k?uploadId=u", "405"),
        ("PUT /b?nonsense", "? nonsense"),
        ("PUT /b/k?append&position=0", "? append"),
        ("GET /b/k?nonsense", "? nonsense"),
        ("GET /?location", "? location"),
        ("PATCH /b", "405"),
        ("DELETE /", "405"),
    ] {
        assert_eq!(found(Dialect::S3, request), outcome, "{request}");
    }
}

#[test]
fn every_way_to_change_a_document_that_is_not_kept_is_refused() {
    for entry in table() {
        if let Handler::Absent(_) = entry.handler {
            assert!(matches!(entry.route.method, "GET" | "DELETE"), "{}", entry.route.name);
        }
    }
}

#[test]
fn the_pages_name_every_operation() {
    let page = page(Dialect::Oss);
    assert!(page.contains("| GetBucketStat | `GET /{bucket}?stat` | oss:GetBucketStat | served |"));
    let refused = "| PutSymlink | `PUT /{bucket}/{key}?symlink` |  | refused: not built yet |";
    assert!(page.contains(refused));
    assert!(!page.contains("ListObjectAnnotations"));
    assert!(list().iter().any(|row| row.headers == ["x-amz-copy-source"]));
}
