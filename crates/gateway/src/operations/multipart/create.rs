//! `POST /{bucket}/{key}?uploads`: begin an upload.

use bytes::Bytes;
use model::{
    limits::{PART_BYTES_MIN_OSS, PART_BYTES_MIN_S3},
    names::BucketName,
    policy::Action,
    records,
};
use service::uploads::CreateUpload;

use crate::{
    dialect::Dialect,
    operations::{acl, arguments::KeyEncoding, attributes, checksums, tags, unserved},
    wire::{self, Reply, Request, Result, Route, Target, WireOperation},
    xml,
};

/// `POST /{bucket}/{key}?uploads`
pub struct Create;

impl WireOperation for Create {
    const ROUTE: Route = Route::new("POST", Target::Object, "CreateMultipartUpload")
        .needs(Action::PutObject)
        .query(&["uploads"])
        .takes(&["sequential"])
        .named("InitiateMultipartUpload")
        .tested_by(
            Some("tests/s3/test_multipart.py::test_metadata_comes_from_the_start_of_the_upload"),
            Some("tests/oss/test_multipart.py::test_parts_give_the_crc_of_the_whole"),
        );
    type Call = CreateUpload;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let (dialect, headers) = (request.dialect, &request.headers);
        unserved::refuse(request)?;
        KeyEncoding::parse(request.parameter("encoding-type"))?;
        let (checksum, part_bytes_min) = match dialect {
            Dialect::S3 => (checksums::of_upload(headers)?, PART_BYTES_MIN_S3),
            Dialect::Oss => (None, PART_BYTES_MIN_OSS),
        };
        Ok(CreateUpload {
            bucket: request.bucket()?,
            key: request.key()?,
            attributes: attributes::of_request(dialect, headers)?,
            checksum,
            part_bytes_min,
            sequential: dialect == Dialect::Oss && request.query.has("sequential"),
            acl: acl::of_headers(request)?,
            tags: tags::of_headers(request)?,
        })
    }

    fn render(request: &Request, upload: records::Upload) -> Result<Reply> {
        let encoding = KeyEncoding::parse(request.parameter("encoding-type"))?;
        let document = document(request.dialect, encoding, &request.bucket()?, &upload);
        let mut reply = wire::xml(200, document);
        if let (Dialect::S3, Some((algorithm, kind))) = (request.dialect, upload.checksum) {
            reply.add("x-amz-checksum-algorithm", checksums::name(algorithm));
            reply.add("x-amz-checksum-type", checksums::kind_name(kind));
        }
        Ok(reply)
    }
}

fn document(
    dialect: Dialect,
    encoding: KeyEncoding,
    bucket: &BucketName,
    upload: &records::Upload,
) -> Bytes {
    let encoding = if dialect == Dialect::Oss { encoding } else { KeyEncoding::Plain };
    let mut xml = xml::document(dialect, "InitiateMultipartUploadResult");
    xml.optional("EncodingType", encoding.element());
    xml.text("Bucket", bucket.as_str()).text("Key", encoding.apply(upload.key.as_str()));
    xml.text("UploadId", upload.id.to_string());
    xml.finish()
}

#[cfg(test)]
mod tests {
    use model::{
        checksums::Algorithm,
        names::{BucketId, ObjectKey, UploadId},
        records::{Attributes, ChecksumKind},
        tags::Tags,
    };

    use super::*;
    use crate::{operations::answers::tests::account, wire::testing::request};

    #[tokio::test]
    async fn the_smallest_part_is_the_one_of_the_dialect() {
        let mut s3 = request(Dialect::S3, "POST", "/bkt/key?uploads&sequential", &[], "");
        let create = Create::parse(&mut s3).await.unwrap();
        assert_eq!((create.part_bytes_min, create.sequential), (5 * 1024 * 1024, false));
        let mut oss = request(Dialect::Oss, "POST", "/bkt/key?uploads&sequential", &[], "");
        let create = Create::parse(&mut oss).await.unwrap();
        assert_eq!((create.part_bytes_min, create.sequential), (100 * 1024, true));
    }

    #[test]
    fn the_answer_names_the_upload() {
        let upload = records::Upload {
            id: UploadId([7; 16]),
            bucket: BucketId(1),
            key: ObjectKey::parse("a b").unwrap(),
            initiated_ms: 0,
            owner: account().id,
            attributes: Attributes::default(),
            checksum: Some((Algorithm::Crc32, ChecksumKind::Composite)),
            part_bytes_min: 0,
            sequential: false,
            acl: None,
            initiator: None,
            tags: Tags::default(),
        };
        let bucket = BucketName::parse("bkt").unwrap();
        let document = document(Dialect::Oss, KeyEncoding::Url, &bucket, &upload);
        assert!(document.ends_with(
            b"<InitiateMultipartUploadResult><EncodingType>url</EncodingType>\
              <Bucket>bkt</Bucket><Key>a%20b</Key>\
              <UploadId>07070707070707070707070707070707</UploadId>\
              </InitiateMultipartUploadResult>"
        ));
        let asked = request(Dialect::S3, "POST", "/bkt/a%20b?uploads", &[], "");
        let reply = Create::render(&asked, upload).unwrap();
        assert_eq!(reply.get("x-amz-checksum-algorithm"), Some("CRC32"));
        assert_eq!(reply.get("x-amz-checksum-type"), Some("COMPOSITE"));
    }
}
