//! One part: uploaded, or copied from an object; and the end of an upload without an object.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use model::{
    policy::Action,
    preconditions::ByteRange,
    records::{Etag, Part},
};
use service::{
    Error,
    uploads::{AbortUpload, CopiedPart, UploadPart, UploadPartCopy},
};

use super::target;
use crate::{
    dialect::Dialect,
    operations::{
        answers, arguments, checksums, conditions, copy_source, object_read::part_number, unserved,
    },
    wire::{self, Reply, Request, Result, Route, Target, WireOperation},
    xml,
};

/// `PUT /{bucket}/{key}?partNumber&uploadId`
pub struct Upload;

impl WireOperation for Upload {
    const ROUTE: Route = Route::new("PUT", Target::Object, "UploadPart")
        .needs(Action::PutObject)
        .query(&["partNumber", "uploadId"])
        .tested_by(
            Some("tests/s3/test_multipart.py::test_the_same_part_again_replaces_the_first"),
            Some("tests/oss/test_multipart.py::test_parts_give_the_crc_of_the_whole"),
        );
    type Call = UploadPart;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        unserved::refuse(request)?;
        Ok(UploadPart { number: number(request)?, target: target(request)?, body: request.body()? })
    }

    fn render(request: &Request, part: Part) -> Result<Reply> {
        let mut reply = wire::empty(200);
        reply.add("etag", etag(request.dialect, &part));
        match request.dialect {
            Dialect::S3 => {
                if let Some(checksum) = &part.checksum {
                    let (name, value) = checksums::header(checksum, None);
                    reply.add(&name, value);
                }
            }
            Dialect::Oss => {
                answers::add_crc64(&mut reply, part.crc64);
                reply.add("content-md5", BASE64.encode(part.md5));
            }
        }
        Ok(reply)
    }
}

/// `PUT /{bucket}/{key}?partNumber&uploadId` with a source to copy.
pub struct Copy;

impl WireOperation for Copy {
    const ROUTE: Route = Route::new("PUT", Target::Object, "UploadPartCopy")
        .needs(Action::PutObject)
        .needs(Action::GetObject)
        .query(&["partNumber", "uploadId"])
        .header(&["copy-source"])
        .tested_by(
            Some("tests/s3/test_multipart.py::test_a_range_can_be_copied_into_a_part"),
            Some("tests/oss/test_multipart.py::test_a_range_can_be_copied_into_a_part"),
        );
    type Call = UploadPartCopy;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let (dialect, headers) = (request.dialect, &request.headers);
        unserved::refuse(request)?;
        Ok(UploadPartCopy {
            number: number(request)?,
            target: target(request)?,
            source: copy_source::of_request(dialect, headers)?,
            source_preconditions: conditions::of_source(dialect, headers)?,
            range: source_range(dialect, request.own_header("copy-source-range")?)?,
        })
    }

    fn render(request: &Request, copied: CopiedPart) -> Result<Reply> {
        let (dialect, part) = (request.dialect, &copied.part);
        let mut document = xml::document(dialect, "CopyPartResult");
        document.text("LastModified", answers::date(part.modified_ms));
        document.text("ETag", etag(dialect, part));
        if dialect == Dialect::S3 {
            checksums::write(&mut document, part.checksum.as_ref(), None);
        }
        let mut reply = wire::xml(200, document.finish());
        if dialect == Dialect::Oss {
            reply.add("etag", etag(dialect, part));
            answers::add_crc64(&mut reply, part.crc64);
        }
        if copied.source_versioned {
            reply.add_own(dialect, "copy-source-version-id", copied.source.client_id());
        }
        Ok(reply)
    }

    fn recover(request: &Request, error: Error) -> Result<Reply> {
        Err(conditions::copy_refusal(request.dialect, error))
    }
}

/// `DELETE /{bucket}/{key}?uploadId`
pub struct Abort;

impl WireOperation for Abort {
    const ROUTE: Route = Route::new("DELETE", Target::Object, "AbortMultipartUpload")
        .needs(Action::AbortMultipartUpload)
        .query(&["uploadId"])
        .tested_by(
            Some("tests/s3/test_multipart.py::test_abort_drops_the_upload_and_its_parts"),
            Some("tests/oss/test_multipart.py::test_abort_drops_everything"),
        );
    type Call = AbortUpload;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        target(request).map(AbortUpload)
    }

    fn render(_: &Request, (): ()) -> Result<Reply> {
        Ok(wire::empty(204))
    }
}

fn number(request: &Request) -> Result<u32> {
    part_number(request.parameter("partNumber").unwrap_or_default())
}

fn etag(dialect: Dialect, part: &Part) -> String {
    answers::etag(dialect, &Etag { md5: part.md5, parts: None })
}

/// Reads the range of a source. Unlike a `Range` header a malformed one is refused, because the
/// part would hold other bytes than meant; S3 has only ranges with both ends.
fn source_range(dialect: Dialect, value: Option<&str>) -> Result<Option<ByteRange>> {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(None) };
    match (ByteRange::parse(value), dialect) {
        (Some(range @ ByteRange::FromTo(..)), _) | (Some(range), Dialect::Oss) => Ok(Some(range)),
        _ => {
            let name = format!("{}copy-source-range", dialect.header_prefix());
            let detail = format!(
                "The {name} value must be of the form bytes=first-last where first and last are \
                 the zero-based offsets of the first and last bytes to copy"
            );
            Err(arguments::invalid(&name, value, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use model::Condition;

    use super::*;

    #[test]
    fn the_range_of_a_source_is_never_ignored() {
        let range = |dialect, value| source_range(dialect, Some(value));
        assert_eq!(range(Dialect::S3, "bytes=0-4").unwrap(), Some(ByteRange::FromTo(0, 4)));
        assert_eq!(range(Dialect::Oss, "bytes=5-").unwrap(), Some(ByteRange::From(5)));
        assert_eq!(source_range(Dialect::S3, None).unwrap(), None);
        for value in
            ["0-2", "bytes=0", "bytes=hello-world", "bytes=0-bar", "bytes=hello-", "bytes=0-2,3-5"]
        {
            for dialect in [Dialect::S3, Dialect::Oss] {
                let error = range(dialect, value).unwrap_err();
                assert_eq!(error.condition, Condition::InvalidArgument, "{value}");
            }
        }
        assert!(range(Dialect::S3, "bytes=5-").is_err());
    }

    #[test]
    fn part_numbers_are_1_to_10000() {
        assert_eq!(part_number("1").unwrap(), 1);
        assert_eq!(part_number("10000").unwrap(), 10_000);
        for value in ["", "0", "10001", "-1", "1.5", "99999999999"] {
            let error = part_number(value).unwrap_err();
            assert_eq!(error.condition, Condition::InvalidArgument, "{value}");
        }
    }
}
