//! Listing the parts of an upload, and the uploads of a bucket.

use bytes::Bytes;
use model::{
    limits::LIST_ENTRIES_MAX,
    listing::Question,
    names::BucketName,
    policy::Action,
    records::{Etag, Part, Upload},
};
use service::uploads::{self, PartPage, UploadPage};

use super::target;
use crate::{
    dialect::Dialect,
    operations::{
        answers,
        arguments::{self, KeyEncoding},
        checksums, storage_class,
    },
    wire::{self, Query, Reply, Request, Result, Route, Target, WireOperation},
    xml::{self, Writer},
};

/// `GET /{bucket}/{key}?uploadId`
pub struct ListParts;

impl WireOperation for ListParts {
    const ROUTE: Route = Route::new("GET", Target::Object, "ListParts")
        .needs(Action::ListMultipartUploadParts)
        .query(&["uploadId"])
        .tested_by(
            Some("tests/s3/test_multipart.py::test_parts_are_listed_in_pages"),
            Some("tests/oss/test_multipart.py::test_parts_are_listed_in_pages"),
        );
    type Call = uploads::ListParts;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let (after, limit) = part_paging(&request.query)?;
        Ok(uploads::ListParts { target: target(request)?, after, limit: limit as usize })
    }

    fn render(request: &Request, page: PartPage) -> Result<Reply> {
        let document = parts(request.dialect, &request.query, &request.bucket()?, &page)?;
        Ok(wire::xml(200, document))
    }
}

/// `GET /{bucket}?uploads`
pub struct ListUploads;

impl WireOperation for ListUploads {
    const ROUTE: Route = Route::new("GET", Target::Bucket, "ListMultipartUploads")
        .needs(Action::ListBucketMultipartUploads)
        .query(&["uploads"])
        .tested_by(
            Some("tests/s3/test_multipart.py::test_uploads_are_listed_in_pages_by_key_and_start"),
            Some("tests/oss/test_listing.py::test_uploads_come_in_pages"),
        );
    type Call = uploads::ListUploads;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        KeyEncoding::parse(request.parameter("encoding-type"))?;
        let text = |name| request.parameter(name).unwrap_or_default().to_owned();
        Ok(uploads::ListUploads {
            bucket: request.bucket()?,
            question: Question {
                prefix: text("prefix"),
                delimiter: text("delimiter"),
                after: text("key-marker"),
                limit: upload_limit(&request.query)? as usize,
            },
            upload_after: Some(text("upload-id-marker")).filter(|marker| !marker.is_empty()),
        })
    }

    fn render(request: &Request, page: UploadPage) -> Result<Reply> {
        let document = uploads(request.dialect, &request.query, &request.bucket()?, &page)?;
        Ok(wire::xml(200, document))
    }
}

/// The part to start after, and how many to list.
fn part_paging(query: &Query) -> Result<(u32, u32)> {
    let (marker, max) = ("part-number-marker", "max-parts");
    let after = arguments::number_marker(marker, query.get(marker))?;
    Ok((after, arguments::page_limit(max, query.get(max), LIST_ENTRIES_MAX)?))
}

fn upload_limit(query: &Query) -> Result<u32> {
    arguments::page_limit("max-uploads", query.get("max-uploads"), LIST_ENTRIES_MAX)
}

fn parts(dialect: Dialect, query: &Query, bucket: &BucketName, page: &PartPage) -> Result<Bytes> {
    let (after, limit) = part_paging(query)?;
    let encoding = match dialect {
        Dialect::S3 => KeyEncoding::Plain,
        Dialect::Oss => KeyEncoding::parse(query.get("encoding-type"))?,
    };
    let upload = &page.upload;
    let mut xml = xml::document(dialect, "ListPartsResult");
    xml.optional("EncodingType", encoding.element());
    xml.text("Bucket", bucket.as_str()).text("Key", encoding.apply(upload.key.as_str()));
    xml.text("UploadId", upload.id.to_string());
    if dialect == Dialect::S3 {
        answers::write_initiator(&mut xml, dialect, "Initiator", (&upload.owner, &page.owner));
        answers::write_owner(&mut xml, dialect, "Owner", &page.owner);
        write_checksum(&mut xml, upload);
    }
    write_class(&mut xml, dialect, upload);
    let last = page.parts.last().map_or(after, |part| part.number);
    xml.number("PartNumberMarker", after).number("NextPartNumberMarker", last);
    xml.number("MaxParts", limit).flag("IsTruncated", page.next.is_some());
    for part in &page.parts {
        write_part(&mut xml, dialect, part);
    }
    Ok(xml.finish())
}

fn write_part(xml: &mut Writer, dialect: Dialect, part: &Part) {
    let etag = Etag { md5: part.md5, parts: None };
    xml.open("Part").number("PartNumber", part.number);
    xml.text("LastModified", answers::date(part.modified_ms));
    xml.text("ETag", answers::etag(dialect, &etag)).number("Size", part.size_bytes);
    match dialect {
        Dialect::S3 => checksums::write(xml, part.checksum.as_ref(), None),
        Dialect::Oss => {
            xml.number("HashCrc64ecma", part.crc64);
        }
    }
    xml.close();
}

fn uploads(
    dialect: Dialect,
    query: &Query,
    bucket: &BucketName,
    page: &UploadPage,
) -> Result<Bytes> {
    let encoding = KeyEncoding::parse(query.get("encoding-type"))?;
    let echoed = |name| query.get(name).unwrap_or_default();
    let mut xml = xml::document(dialect, "ListMultipartUploadsResult");
    xml.optional("EncodingType", encoding.element());
    xml.text("Bucket", bucket.as_str());
    xml.text("KeyMarker", encoding.apply(echoed("key-marker")));
    xml.text("UploadIdMarker", echoed("upload-id-marker"));
    let (key, upload) = match &page.next {
        Some((key, upload)) => (key.as_str(), upload.map(|id| id.to_string())),
        None => ("", None),
    };
    // The Python client of OSS misses them when they are absent.
    xml.text("NextKeyMarker", encoding.apply(key));
    xml.text("NextUploadIdMarker", upload.unwrap_or_default());
    if dialect == Dialect::Oss || !echoed("delimiter").is_empty() {
        xml.text("Delimiter", encoding.apply(echoed("delimiter")));
    }
    xml.text("Prefix", encoding.apply(echoed("prefix")));
    xml.number("MaxUploads", upload_limit(query)?).flag("IsTruncated", page.next.is_some());
    for upload in &page.uploads {
        write_upload(&mut xml, dialect, encoding, page, upload);
    }
    for prefix in &page.prefixes {
        xml.open("CommonPrefixes").text("Prefix", encoding.apply(prefix)).close();
    }
    Ok(xml.finish())
}

fn write_upload(
    xml: &mut Writer,
    dialect: Dialect,
    encoding: KeyEncoding,
    page: &UploadPage,
    upload: &Upload,
) {
    xml.open("Upload").text("Key", encoding.apply(upload.key.as_str()));
    xml.text("UploadId", upload.id.to_string());
    if dialect == Dialect::S3 {
        answers::write_initiator(xml, dialect, "Initiator", (&upload.owner, &page.owner));
        answers::write_owner(xml, dialect, "Owner", &page.owner);
        write_checksum(xml, upload);
    }
    write_class(xml, dialect, upload);
    xml.text("Initiated", answers::date(upload.initiated_ms)).close();
}

fn write_class(xml: &mut Writer, dialect: Dialect, upload: &Upload) {
    let class = upload.attributes.storage_class.as_deref();
    xml.text("StorageClass", storage_class::name(dialect, class));
}

fn write_checksum(xml: &mut Writer, upload: &Upload) {
    if let Some((algorithm, kind)) = upload.checksum {
        xml.text("ChecksumAlgorithm", checksums::name(algorithm));
        xml.text("ChecksumType", checksums::kind_name(kind));
    }
}

#[cfg(test)]
mod tests {
    use model::{
        names::{BucketId, ObjectKey, UploadId},
        records::Attributes,
        tags::Tags,
    };

    use super::*;
    use crate::{encoding::query_pairs, operations::answers::tests::account};

    fn upload() -> Upload {
        Upload {
            id: UploadId([7; 16]),
            bucket: BucketId(1),
            key: ObjectKey::parse("a\tb").unwrap(),
            initiated_ms: 1_330_072_987_045,
            owner: account().id,
            attributes: Attributes::default(),
            checksum: None,
            part_bytes_min: 0,
            sequential: false,
            acl: None,
            initiator: None,
            tags: Tags::default(),
        }
    }

    fn query(text: &str) -> Query {
        Query::new(query_pairs(text).unwrap())
    }

    fn text(bytes: Result<Bytes>) -> String {
        let text = String::from_utf8(bytes.unwrap().to_vec()).unwrap();
        text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").unwrap().to_owned()
    }

    fn bucket() -> BucketName {
        BucketName::parse("bkt").unwrap()
    }

    #[test]
    fn parts_are_listed_in_both_protocols() {
        let part = Part {
            number: 3,
            size_bytes: 5,
            md5: [0xab; 16],
            crc64: 42,
            checksum: None,
            modified_ms: 1_330_072_987_045,
            blob: [0; 16],
        };
        let page =
            PartPage { upload: upload(), owner: account(), parts: vec![part], next: Some(3) };
        let asked = query("uploadId=x&max-parts=1&part-number-marker=2");
        let id = "07070707070707070707070707070707";
        assert_eq!(
            text(parts(Dialect::Oss, &asked, &bucket(), &page)),
            format!(
                "<ListPartsResult><Bucket>bkt</Bucket><Key>a&#9;b</Key><UploadId>{id}</UploadId>\
                 <StorageClass>Standard</StorageClass><PartNumberMarker>2</PartNumberMarker>\
                 <NextPartNumberMarker>3</NextPartNumberMarker><MaxParts>1</MaxParts>\
                 <IsTruncated>true</IsTruncated><Part><PartNumber>3</PartNumber>\
                 <LastModified>2012-02-24T08:43:07.000Z</LastModified>\
                 <ETag>&quot;ABABABABABABABABABABABABABABABAB&quot;</ETag><Size>5</Size>\
                 <HashCrc64ecma>42</HashCrc64ecma></Part></ListPartsResult>"
            )
        );
        let s3 = text(parts(Dialect::S3, &asked, &bucket(), &page));
        let owner = "<ID>c0ffee</ID><DisplayName>Tester</DisplayName>";
        assert!(s3.contains(&format!("<Initiator>{owner}</Initiator>")), "{s3}");
        assert!(s3.contains(&format!("<Owner>{owner}</Owner>")), "{s3}");
        assert!(s3.contains("<ETag>&quot;abababababababababababababababab&quot;</ETag>"), "{s3}");
    }

    #[test]
    fn uploads_are_listed_in_both_protocols() {
        let page = UploadPage {
            owner: account(),
            uploads: vec![upload()],
            prefixes: vec!["c d/".to_owned()],
            next: None,
        };
        let asked = query("uploads&delimiter=/&encoding-type=url&prefix&key-marker");
        let id = "07070707070707070707070707070707";
        assert_eq!(
            text(uploads(Dialect::Oss, &asked, &bucket(), &page)),
            format!(
                "<ListMultipartUploadsResult><EncodingType>url</EncodingType>\
                 <Bucket>bkt</Bucket><KeyMarker></KeyMarker><UploadIdMarker></UploadIdMarker>\
                 <NextKeyMarker></NextKeyMarker><NextUploadIdMarker></NextUploadIdMarker>\
                 <Delimiter>/</Delimiter><Prefix></Prefix><MaxUploads>1000</MaxUploads>\
                 <IsTruncated>false</IsTruncated><Upload><Key>a%09b</Key>\
                 <UploadId>{id}</UploadId><StorageClass>Standard</StorageClass>\
                 <Initiated>2012-02-24T08:43:07.000Z</Initiated></Upload><CommonPrefixes>\
                 <Prefix>c%20d/</Prefix></CommonPrefixes></ListMultipartUploadsResult>"
            )
        );
        let other = Upload { owner: model::AccountId::parse("other").unwrap(), ..upload() };
        let next = Some(("a\tb".to_owned(), Some(UploadId([7; 16]))));
        let page = UploadPage { uploads: vec![other], next, ..page };
        let s3 = text(uploads(Dialect::S3, &query("uploads"), &bucket(), &page));
        let initiator = "<Initiator><ID>other</ID><DisplayName>other</DisplayName></Initiator>";
        assert!(s3.contains(initiator), "{s3}");
        let next = format!("<NextUploadIdMarker>{id}</NextUploadIdMarker>");
        assert!(s3.contains(&next), "{s3}");
    }
}
