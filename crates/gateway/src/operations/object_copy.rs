//! Copying an object within the store.

use model::{Condition, names::VersionSelector, policy::Action};
use service::{
    Error,
    objects::copy::{Copied, CopyObject},
};

use super::{
    acl, answers, arguments, attributes, checksums, conditions, copy_source, storage_class, tags,
    unserved,
};
use crate::{
    dialect::Dialect,
    wire::{self, Reply, Request, Result, Route, Target, WireOperation},
    xml,
};

/// `PUT /{bucket}/{key}` with a source to copy.
pub struct Copy;

impl WireOperation for Copy {
    const ROUTE: Route = Route::new("PUT", Target::Object, "CopyObject")
        .needs(Action::PutObject)
        .needs(Action::GetObject)
        .header(&["copy-source"])
        .tested_by(
            Some("tests/s3/test_copy.py::test_a_copy_has_the_same_bytes"),
            Some("tests/oss/test_objects.py::test_a_copy_keeps_or_replaces_metadata"),
        );
    type Call = CopyObject;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let (dialect, headers) = (request.dialect, &request.headers);
        unserved::refuse(request)?;
        let replace_tags = replaces(request, "tagging-directive")?;
        let replace = replaces(request, "metadata-directive")?;
        let given = attributes::of_request(dialect, headers)?;
        if !replace && given.website_redirect.is_some() {
            return Err(unserved::not_implemented("x-amz-website-redirect-location"));
        }
        let copy = CopyObject {
            source: copy_source::of_request(dialect, headers)?,
            source_preconditions: conditions::of_source(dialect, headers)?,
            bucket: request.bucket()?,
            key: request.key()?,
            replace: replace.then_some(given),
            storage_class: storage_class::of_request(dialect, headers)?,
            checksum: match dialect {
                Dialect::S3 => checksums::algorithm(headers)?,
                Dialect::Oss => None,
            },
            condition: conditions::of_write(dialect, headers)?,
            acl: acl::of_headers(request)?,
            tags: replace_tags.then(|| tags::of_headers(request)).transpose()?,
        };
        if storage_class::named(dialect, headers)?.is_none() {
            refuse_no_change(dialect, &copy)?;
        }
        Ok(copy)
    }

    fn render(request: &Request, copied: Copied) -> Result<Reply> {
        let (dialect, written) = (request.dialect, &copied.written);
        let mut document = xml::document(dialect, "CopyObjectResult");
        document.text("LastModified", answers::date(written.version.modified_ms));
        let object = written.version.object.as_ref();
        if let Some(object) = object {
            document.text("ETag", answers::etag(dialect, &object.etag));
            if let (Dialect::S3, Some(checksum)) = (dialect, &object.checksum) {
                document.text("ChecksumType", checksums::kind_name(checksum.kind));
                checksums::write(&mut document, Some(checksum), object.etag.parts);
            }
        }
        let mut reply = wire::xml(200, document.finish());
        if let (Dialect::Oss, Some(object)) = (dialect, object) {
            reply.add("etag", answers::etag(dialect, &object.etag));
            answers::add_crc64(&mut reply, object.crc64);
        }
        if copied.source_versioned {
            reply.add_own(dialect, "copy-source-version-id", copied.source.client_id());
        }
        answers::add_written_version(&mut reply, dialect, written);
        Ok(reply)
    }

    fn recover(request: &Request, error: Error) -> Result<Reply> {
        Err(conditions::copy_refusal(request.dialect, error))
    }
}

/// Whether a directive says `REPLACE` and not `COPY`.
fn replaces(request: &Request, directive: &str) -> Result<bool> {
    match request.own_header(directive)? {
        None | Some("") => Ok(false),
        Some(value) if value.eq_ignore_ascii_case("COPY") => Ok(false),
        Some(value) if value.eq_ignore_ascii_case("REPLACE") => Ok(true),
        Some(value) => {
            let name = format!("{}{directive}", request.dialect.header_prefix());
            Err(arguments::invalid(
                &name,
                value,
                format!("Unknown {}.", directive.replace('-', " ")),
            ))
        }
    }
}

/// S3 refuses to copy an object onto itself when nothing about it would change. OSS does not.
fn refuse_no_change(dialect: Dialect, copy: &CopyObject) -> Result<()> {
    let same = copy.source.bucket == copy.bucket
        && copy.source.key == copy.key
        && copy.source.version == VersionSelector::Latest;
    let unchanged = copy.replace.is_none() && copy.checksum.is_none();
    if dialect == Dialect::S3 && same && unchanged {
        let detail = "This copy request is illegal because it is trying to copy an object to \
                      itself without changing the object's metadata, storage class, website \
                      redirect location or encryption attributes.";
        return Err(Error::new(Condition::InvalidRequest, detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use model::records::Versioning;
    use service::objects::write::Written;

    use super::*;
    use crate::{
        operations::answers::tests::version,
        wire::{ReplyBody, testing::request},
    };

    async fn copy(dialect: Dialect, headers: &[(&str, &str)]) -> Result<CopyObject> {
        Copy::parse(&mut request(dialect, "PUT", "/bkt/key", headers, "")).await
    }

    #[tokio::test]
    async fn attributes_are_replaced_only_when_told() {
        let source = ("x-amz-copy-source", "/src/a%20b");
        let meta = ("x-amz-meta-a", "1");
        let kept = copy(Dialect::S3, &[source, meta]).await.unwrap();
        assert!(kept.replace.is_none());
        assert_eq!((kept.source.bucket.as_str(), kept.source.key.as_str()), ("src", "a b"));
        let directive = ("x-amz-metadata-directive", "replace");
        let replaced = copy(Dialect::S3, &[source, meta, directive]).await.unwrap();
        assert_eq!(replaced.replace.unwrap().user, [("a".to_owned(), "1".to_owned())]);
        let directive = ("x-amz-metadata-directive", "MERGE");
        let error = copy(Dialect::S3, &[source, directive]).await.err().unwrap();
        assert_eq!(error.condition, Condition::InvalidArgument);
    }

    #[tokio::test]
    async fn a_copy_onto_itself_must_change_something() {
        let source = ("x-amz-copy-source", "bkt/key");
        let error = copy(Dialect::S3, &[source]).await.err().unwrap();
        assert_eq!(error.condition, Condition::InvalidRequest);
        assert!(error.detail.unwrap().starts_with("This copy request is illegal because"));
        for change in [
            ("x-amz-metadata-directive", "REPLACE"),
            ("x-amz-storage-class", "STANDARD"),
            ("x-amz-checksum-algorithm", "SHA256"),
        ] {
            assert!(copy(Dialect::S3, &[source, change]).await.is_ok(), "{}", change.0);
        }
        let old = ("x-amz-copy-source", "bkt/key?versionId=null");
        assert!(copy(Dialect::S3, &[old]).await.is_ok());
        assert!(copy(Dialect::Oss, &[("x-oss-copy-source", "/bkt/key")]).await.is_ok());
    }

    #[test]
    fn the_answer_names_both_versions() {
        let copied = |versioning| Copied {
            written: Written { version: version(), versioning },
            source: version(),
            source_versioned: true,
        };
        let asked = request(Dialect::S3, "PUT", "/bkt/key", &[], "");
        let reply = Copy::render(&asked, copied(Versioning::Enabled)).unwrap();
        let id = Some("00000000000000010000000000000002");
        assert_eq!(reply.get("x-amz-copy-source-version-id"), id);
        assert_eq!(reply.get("x-amz-version-id"), id);
        let ReplyBody::Bytes(document) = reply.body else { panic!("a document is expected") };
        assert_eq!(
            document,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CopyObjectResult \
             xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <LastModified>2012-02-24T08:43:07.000Z</LastModified>\
             <ETag>&quot;abababababababababababababababab&quot;</ETag>\
             <ChecksumType>FULL_OBJECT</ChecksumType><ChecksumCRC32>y/Q5Jg==</ChecksumCRC32>\
             </CopyObjectResult>"
        );
        let asked = request(Dialect::Oss, "PUT", "/bkt/key", &[], "");
        let reply = Copy::render(&asked, copied(Versioning::Unversioned)).unwrap();
        assert_eq!(reply.get("x-oss-hash-crc64ecma"), Some("11051210869376104954"));
        let ReplyBody::Bytes(document) = reply.body else { panic!("a document is expected") };
        assert!(document.ends_with(
            b"<CopyObjectResult><LastModified>2012-02-24T08:43:07.000Z</LastModified>\
              <ETag>&quot;ABABABABABABABABABABABABABABABAB&quot;</ETag></CopyObjectResult>"
        ));
    }
}
