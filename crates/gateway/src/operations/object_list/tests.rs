//! Golden listings of both protocols.

use model::{
    Condition,
    names::{BucketId, BucketName, ObjectKey},
    records::{Bucket, Etag, ObjectData, Version, Versioning},
};
use service::objects::list::{ListedVersion, ObjectPage, VersionPage};

use super::{
    objects::{first_form, second_form, second_form_after},
    versions::document,
};
use crate::{
    dialect::Dialect,
    encoding::query_pairs,
    operations::answers::tests::{account, version},
    wire::{Query, Result},
};

fn query(text: &str) -> Query {
    Query::new(query_pairs(text).unwrap())
}

fn bucket() -> Bucket {
    Bucket {
        id: BucketId(1),
        name: BucketName::parse("bkt").unwrap(),
        owner: account().id,
        created_ms: 0,
        region: String::new(),
        location: None,
        versioning: Versioning::Enabled,
        storage_class: None,
        redundancy: None,
        documents: Vec::new(),
        access_block: None,
        copies: None,
        acl: None,
        object_ownership: None,
        mfa_delete: None,
    }
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

/// Without a checksum, and uploaded in parts.
fn multipart() -> Version {
    let mut version = version();
    let object = version.object.as_mut().unwrap();
    *object = ObjectData {
        etag: Etag { md5: [0x0c; 16], parts: Some(2) },
        checksum: None,
        ..object.clone()
    };
    version
}

fn page(next: Option<&str>) -> ObjectPage {
    ObjectPage {
        bucket: bucket(),
        owner: account(),
        owners: Vec::new(),
        entries: vec![(key("a\rb +"), version()), (key("b"), multipart())],
        prefixes: vec!["c d/".to_owned()],
        next: next.map(str::to_owned),
    }
}

fn text(bytes: Result<bytes::Bytes>) -> String {
    let text = String::from_utf8(bytes.unwrap().to_vec()).unwrap();
    text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").unwrap().to_owned()
}

#[test]
fn s3_lists_objects_in_its_first_form() {
    let query = query("prefix&delimiter=/&max-keys=2000");
    assert_eq!(
        text(first_form(Dialect::S3, &query, &page(Some("c d/")))),
        "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>bkt</Name>\
         <Prefix></Prefix><Marker></Marker><NextMarker>c d/</NextMarker><MaxKeys>1000</MaxKeys>\
         <Delimiter>/</Delimiter><IsTruncated>true</IsTruncated><Contents><Key>a&#13;b +</Key>\
         <LastModified>2012-02-24T08:43:07.000Z</LastModified>\
         <ETag>&quot;abababababababababababababababab&quot;</ETag>\
         <ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>\
         <Size>9</Size><StorageClass>STANDARD</StorageClass><Owner><ID>c0ffee</ID>\
         <DisplayName>Tester</DisplayName></Owner></Contents><Contents><Key>b</Key>\
         <LastModified>2012-02-24T08:43:07.000Z</LastModified>\
         <ETag>&quot;0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c-2&quot;</ETag><Size>9</Size>\
         <StorageClass>STANDARD</StorageClass><Owner><ID>c0ffee</ID>\
         <DisplayName>Tester</DisplayName></Owner></Contents><CommonPrefixes>\
         <Prefix>c d/</Prefix></CommonPrefixes></ListBucketResult>"
    );
}

#[test]
fn oss_lists_objects_in_its_first_form() {
    let query = query("prefix=&marker=a%20a&encoding-type=url");
    assert_eq!(
        text(first_form(Dialect::Oss, &query, &page(Some("b")))),
        "<ListBucketResult><Name>bkt</Name><Prefix></Prefix><Marker>a%20a</Marker>\
         <NextMarker>b</NextMarker><MaxKeys>100</MaxKeys><Delimiter></Delimiter>\
         <IsTruncated>true</IsTruncated>\
         <EncodingType>url</EncodingType><Contents><Key>a%0Db%20%2B</Key>\
         <LastModified>2012-02-24T08:43:07.000Z</LastModified>\
         <ETag>&quot;ABABABABABABABABABABABABABABABAB&quot;</ETag><Type>Normal</Type>\
         <Size>9</Size><StorageClass>Standard</StorageClass><Owner><ID>123456789012</ID>\
         <DisplayName>123456789012</DisplayName></Owner></Contents><Contents><Key>b</Key>\
         <LastModified>2012-02-24T08:43:07.000Z</LastModified>\
         <ETag>&quot;0C0C0C0C0C0C0C0C0C0C0C0C0C0C0C0C-2&quot;</ETag><Type>Multipart</Type>\
         <Size>9</Size><StorageClass>Standard</StorageClass><Owner><ID>123456789012</ID>\
         <DisplayName>123456789012</DisplayName></Owner></Contents><CommonPrefixes>\
         <Prefix>c%20d/</Prefix></CommonPrefixes></ListBucketResult>"
    );
}

/// Source: `EncodingType` of S3 `ListObjects`, `ListObjectsV2` and `ListObjectVersions`, and the
/// list of elements that OSS names for `encoding-type`. The one exception: botocore's
/// `decode_list_object` does not decode the prefix of `ListObjects`, so it is given as it is.
#[test]
fn every_element_that_holds_a_key_is_encoded_when_asked_for() {
    let one = "prefix=p%20%2B&delimiter=d%20%2B&marker=m%20%2B&encoding-type=url";
    let two = "list-type=2&prefix=p%20%2B&delimiter=d%20%2B&start-after=s%20%2B&encoding-type=url";
    let all = "versions&prefix=p%20%2B&delimiter=d%20%2B&key-marker=m%20%2B&encoding-type=url";
    let versions = VersionPage {
        bucket: bucket(),
        owner: account(),
        owners: Vec::new(),
        entries: vec![ListedVersion { key: key("k +"), version: version(), latest: true }],
        prefixes: vec!["c +".to_owned()],
        next: Some(("n +".to_owned(), None)),
    };
    for dialect in [Dialect::S3, Dialect::Oss] {
        for (text, names) in [
            (text(first_form(dialect, &query(one), &page(Some("n +")))), "Marker NextMarker"),
            (text(second_form(dialect, &query(two), &page(Some("n +")))), "StartAfter"),
            (text(document(dialect, &query(all), &versions)), "KeyMarker NextKeyMarker"),
        ] {
            for name in names.split(' ').chain(["Prefix", "Delimiter", "Key", "CommonPrefixes"]) {
                let value = text.split(&format!("<{name}>")).nth(1).expect(name);
                let value = value.split_once("</").expect(name).0;
                let first = text.contains("<Marker>");
                if name == "Prefix" && first && dialect == Dialect::S3 {
                    assert_eq!(value, "p +", "{text}");
                    continue;
                }
                assert!(value.ends_with("%20%2B") || value.ends_with("c%20d/"), "{name}: {text}");
            }
        }
    }
}

#[test]
fn the_next_marker_is_told_by_oss_always_and_by_s3_with_a_delimiter() {
    let told = |dialect, text_of_query: &str| {
        let page = page(Some("b"));
        text(first_form(dialect, &query(text_of_query), &page)).contains("<NextMarker>")
    };
    assert!(!told(Dialect::S3, "prefix=a"));
    assert!(told(Dialect::S3, "delimiter=/"));
    assert!(told(Dialect::Oss, "prefix=a"));
}

#[test]
fn the_second_form_continues_by_an_opaque_token() {
    let asked = query("list-type=2&start-after=x&encoding-type=url&fetch-owner=false");
    let text = text(second_form(Dialect::S3, &asked, &page(Some("b\n"))));
    assert!(
        text.starts_with(
            "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <Name>bkt</Name><Prefix></Prefix><StartAfter>x</StartAfter>\
             <NextContinuationToken>Ygo</NextContinuationToken><KeyCount>3</KeyCount>\
             <MaxKeys>1000</MaxKeys><IsTruncated>true</IsTruncated>\
             <EncodingType>url</EncodingType><Contents><Key>a%0Db%20%2B</Key>"
        ),
        "{text}"
    );
    assert!(!text.contains("<Owner>"), "{text}");
    let after = |text: &str| second_form_after(&query(text));
    assert_eq!(after("start-after=x&continuation-token=Ygo").unwrap(), "b\n");
    assert_eq!(after("start-after=x&continuation-token").unwrap(), "x");
    for token in ["Y*", "gA"] {
        let error = after(&["continuation-token=", token].concat()).unwrap_err();
        assert_eq!(error.condition, Condition::InvalidArgument, "{token}");
    }
}

#[test]
fn an_empty_token_is_repeated_and_owners_come_when_fetched() {
    let asked = query("list-type=2&continuation-token=&fetch-owner=true");
    let text = text(second_form(Dialect::Oss, &asked, &page(None)));
    assert!(text.contains("<ContinuationToken></ContinuationToken><KeyCount>3"), "{text}");
    assert!(text.contains("<IsTruncated>false</IsTruncated>"), "{text}");
    assert!(text.contains("<Owner><ID>123456789012</ID>"), "{text}");
}

#[test]
fn versions_and_markers_come_in_the_order_of_the_listing() {
    let marker = Version { object: None, null: true, ..version() };
    let entries = vec![
        ListedVersion { key: key("a&b"), version: marker, latest: true },
        ListedVersion { key: key("a&b"), version: version(), latest: false },
    ];
    let page = VersionPage {
        bucket: bucket(),
        owner: account(),
        owners: Vec::new(),
        entries,
        prefixes: Vec::new(),
        next: Some(("a&b".to_owned(), Some("null".to_owned()))),
    };
    let owner = "<Owner><ID>c0ffee</ID><DisplayName>Tester</DisplayName></Owner>";
    assert_eq!(
        text(document(Dialect::S3, &query("versions&key-marker&max-keys=2"), &page)),
        format!(
            "<ListVersionsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <Name>bkt</Name><Prefix></Prefix><KeyMarker></KeyMarker>\
             <VersionIdMarker></VersionIdMarker><NextKeyMarker>a&amp;b</NextKeyMarker>\
             <NextVersionIdMarker>null</NextVersionIdMarker><MaxKeys>2</MaxKeys>\
             <IsTruncated>true</IsTruncated><DeleteMarker><Key>a&amp;b</Key>\
             <VersionId>null</VersionId><IsLatest>true</IsLatest>\
             <LastModified>2012-02-24T08:43:07.000Z</LastModified>{owner}</DeleteMarker>\
             <Version><Key>a&amp;b</Key><VersionId>00000000000000010000000000000002</VersionId>\
             <IsLatest>false</IsLatest><LastModified>2012-02-24T08:43:07.000Z</LastModified>\
             <ETag>&quot;abababababababababababababababab&quot;</ETag>\
             <ChecksumAlgorithm>CRC32</ChecksumAlgorithm>\
             <ChecksumType>FULL_OBJECT</ChecksumType><Size>9</Size>\
             <StorageClass>STANDARD</StorageClass>{owner}</Version></ListVersionsResult>"
        )
    );
    let oss = text(document(Dialect::Oss, &query("versions&encoding-type=url"), &page));
    assert!(oss.contains("<NextKeyMarker>a%26b</NextKeyMarker>"), "{oss}");
    assert!(oss.contains("<MaxKeys>100</MaxKeys>"), "{oss}");
    assert!(oss.contains("<Type>Normal</Type>"), "{oss}");
}
