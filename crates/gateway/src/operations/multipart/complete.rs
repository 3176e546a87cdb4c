//! `POST /{bucket}/{key}?uploadId`: make the object of its parts.

use model::{
    Condition,
    checksums::Algorithm,
    limits::{PART_NUMBERS, XML_BYTES_MAX_LONG},
    policy::Action,
};
use serde::Deserialize;
use service::{
    Ask, Error,
    objects::write::Written,
    uploads::{CompleteUpload, PartChoice},
};

use super::target;
use crate::{
    dialect::Dialect,
    operations::{answers, arguments, arguments::KeyEncoding, checksums, conditions, unserved},
    wire::{self, Reply, Request, Result, Route, Target, WireOperation},
    xml,
};

/// `POST /{bucket}/{key}?uploadId`
pub struct Complete;

impl WireOperation for Complete {
    const ROUTE: Route = Route::new("POST", Target::Object, "CompleteMultipartUpload")
        .needs(Action::PutObject)
        .query(&["uploadId"])
        .tested_by(
            Some("tests/s3/test_multipart.py::test_parts_are_put_together_in_order"),
            Some("tests/oss/test_multipart.py::test_parts_give_the_crc_of_the_whole"),
        );
    type Call = CompleteUpload;

    fn before_document(request: &Request) -> Result<Option<Ask>> {
        Ok(Some(Ask::object(Action::PutObject, request.bucket()?, request.key()?)))
    }

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        unserved::refuse(request)?;
        KeyEncoding::parse(request.parameter("encoding-type"))?;
        let target = target(request)?;
        let condition = conditions::of_write(request.dialect, &request.headers)?;
        let parts = if takes_all(request)? {
            require_no_list(request).await?;
            None
        } else {
            Some(request.long_document::<Document>().await?.choices()?)
        };
        let count = parts.as_ref().map(Vec::len);
        let (checksum, size_bytes) = match request.dialect {
            Dialect::S3 => (checksums::of_completion(&request.headers, count)?, size(request)?),
            Dialect::Oss => (None, None),
        };
        Ok(CompleteUpload { target, parts, condition, checksum, size_bytes })
    }

    fn render(request: &Request, written: Written) -> Result<Reply> {
        let dialect = request.dialect;
        let (bucket, key) = (request.bucket()?, request.key()?);
        let encoding = match dialect {
            Dialect::S3 => KeyEncoding::Plain,
            Dialect::Oss => KeyEncoding::parse(request.parameter("encoding-type"))?,
        };
        let object = written.version.object.as_ref();
        let mut document = xml::document(dialect, "CompleteMultipartUploadResult");
        document.optional("EncodingType", encoding.element());
        document.text("Location", request.object_url(&bucket, &key));
        document.text("Bucket", bucket.as_str()).text("Key", encoding.apply(key.as_str()));
        if let Some(object) = object {
            document.text("ETag", answers::etag(dialect, &object.etag));
            if let (Dialect::S3, Some(checksum)) = (dialect, &object.checksum) {
                checksums::write(&mut document, Some(checksum), object.etag.parts);
                document.text("ChecksumType", checksums::kind_name(checksum.kind));
            }
        }
        let mut reply = wire::xml(200, document.finish());
        if let (Dialect::Oss, Some(object)) = (dialect, object) {
            reply.add("etag", answers::etag(dialect, &object.etag));
            answers::add_crc64(&mut reply, object.crc64);
        }
        answers::add_written_version(&mut reply, dialect, &written);
        Ok(reply)
    }
}

/// OSS: all parts uploaded, in order of their numbers.
fn takes_all(request: &Request) -> Result<bool> {
    let header = match request.dialect {
        Dialect::S3 => None,
        Dialect::Oss => request.header("x-oss-complete-all")?,
    };
    Ok(header.is_some_and(|value| value.eq_ignore_ascii_case("yes")))
}

async fn require_no_list(request: &mut Request) -> Result<()> {
    if request.whole(XML_BYTES_MAX_LONG).await?.is_empty() {
        return Ok(());
    }
    let detail = "The request body must be empty when x-oss-complete-all is yes.";
    Err(arguments::invalid("x-oss-complete-all", "yes", detail))
}

/// The size the client expects of the whole object.
fn size(request: &Request) -> Result<Option<u64>> {
    let Some(value) = request.header("x-amz-mp-object-size")? else { return Ok(None) };
    value.parse().map(Some).map_err(|_| {
        let detail = "Value for x-amz-mp-object-size header is invalid.";
        Error::new(Condition::InvalidRequest, detail)
    })
}

#[derive(Deserialize)]
#[serde(rename = "CompleteMultipartUpload")]
struct Document {
    #[serde(rename = "Part", default)]
    parts: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "PartNumber")]
    number: String,
    #[serde(rename = "ETag")]
    etag: String,
    #[serde(rename = "ChecksumCRC32")]
    crc32: Option<String>,
    #[serde(rename = "ChecksumCRC32C")]
    crc32c: Option<String>,
    #[serde(rename = "ChecksumCRC64NVME")]
    crc64nvme: Option<String>,
    #[serde(rename = "ChecksumSHA1")]
    sha1: Option<String>,
    #[serde(rename = "ChecksumSHA256")]
    sha256: Option<String>,
}

impl Document {
    /// The parts chosen, at least one. Their order is the service's to judge.
    fn choices(self) -> Result<Vec<PartChoice>> {
        if self.parts.is_empty() || self.parts.len() > *PART_NUMBERS.end() as usize {
            return Err(Condition::MalformedXml.into());
        }
        self.parts.into_iter().map(Entry::choice).collect()
    }
}

impl Entry {
    fn choice(self) -> Result<PartChoice> {
        let number = self.number.trim().parse().map_err(|_| Condition::MalformedXml)?;
        if !PART_NUMBERS.contains(&number) {
            let detail = "Part number must be an integer between 1 and 10000, inclusive";
            return Err(arguments::invalid("PartNumber", &self.number, detail));
        }
        let given = [
            (Algorithm::Crc32, self.crc32),
            (Algorithm::Crc32c, self.crc32c),
            (Algorithm::Crc64Nvme, self.crc64nvme),
            (Algorithm::Sha1, self.sha1),
            (Algorithm::Sha256, self.sha256),
        ];
        let given = given.into_iter().find_map(|(algorithm, value)| Some((algorithm, value?)));
        let checksum = given
            .filter(|(_, value)| !value.is_empty())
            .map(|(algorithm, value)| Ok((algorithm, checksums::of_part(algorithm, &value)?)))
            .transpose()
            .map_err(|error: Error| error.field("PartNumber", self.number.clone()))?;
        let etag = self.etag.trim().trim_matches('"').to_owned();
        Ok(PartChoice { number, etag, checksum })
    }
}

#[cfg(test)]
mod tests {
    use model::records::{ChecksumKind, Etag, Versioning};

    use super::*;
    use crate::{
        operations::answers::tests::version,
        wire::{ReplyBody, parse_document, testing::request},
    };

    fn choices(parts: &str) -> Result<Vec<PartChoice>> {
        let text = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        parse_document::<Document>(text.as_bytes())?.choices()
    }

    #[test]
    fn tags_are_read_with_quotes_however_written() {
        let parts = choices(
            "<Part><PartNumber>1</PartNumber><ETag>&#34;AB&#34;</ETag></Part>\n\
             <Part><ETag>&quot;cd&quot;</ETag><PartNumber> 2 </PartNumber></Part>\
             <Part><PartNumber>9</PartNumber><ETag>ef</ETag>\
             <ChecksumCRC32>y/Q5Jg==</ChecksumCRC32></Part>",
        )
        .unwrap();
        let read: Vec<_> = parts.iter().map(|part| (part.number, part.etag.as_str())).collect();
        assert_eq!(read, [(1, "AB"), (2, "cd"), (9, "ef")]);
        let checksum = Some((Algorithm::Crc32, vec![0xcb, 0xf4, 0x39, 0x26]));
        assert_eq!(parts.last().unwrap().checksum, checksum);
    }

    #[test]
    fn lists_that_make_no_object_are_refused() {
        let part =
            |number: &str| format!("<Part><PartNumber>{number}</PartNumber><ETag>a</ETag></Part>");
        for (parts, condition) in [
            (String::new(), Condition::MalformedXml),
            ("<Part><PartNumber>1</PartNumber></Part>".to_owned(), Condition::MalformedXml),
            (part("x"), Condition::MalformedXml),
            (part("0"), Condition::InvalidArgument),
            (part("10001"), Condition::InvalidArgument),
            (
                "<Part><PartNumber>1</PartNumber><ETag>a</ETag><ChecksumSHA1>y/Q=\
                 </ChecksumSHA1></Part>"
                    .to_owned(),
                Condition::InvalidPart,
            ),
        ] {
            assert_eq!(choices(&parts).unwrap_err().condition, condition, "{parts}");
        }
    }

    #[tokio::test]
    async fn oss_takes_all_parts_when_told_and_no_list_is_given() {
        let id = "07070707070707070707070707070707";
        let path = format!("/bkt/key?uploadId={id}");
        let complete = async |body| {
            let headers = [("x-oss-complete-all", "yes")];
            Complete::parse(&mut request(Dialect::Oss, "POST", &path, &headers, body)).await
        };
        let call = complete("").await.unwrap();
        assert_eq!(call.target.upload.to_string(), id);
        assert!(call.parts.is_none());
        let error = complete("<CompleteMultipartUpload/>").await.err().unwrap();
        assert_eq!(error.condition, Condition::InvalidArgument);
    }

    #[tokio::test]
    async fn an_id_that_none_of_ours_looks_like_is_no_upload() {
        let mut asked = request(Dialect::S3, "POST", "/bkt/key?uploadId=56788", &[], "");
        let error = Complete::parse(&mut asked).await.err().unwrap();
        assert_eq!(error.condition, Condition::NoSuchUpload);
    }

    #[test]
    fn the_answer_says_where_the_object_is() {
        let mut version = version();
        let object = version.object.as_mut().unwrap();
        object.etag = Etag { parts: Some(2), ..object.etag };
        object.checksum.as_mut().unwrap().kind = ChecksumKind::Composite;
        let written = Written { version, versioning: Versioning::Unversioned };
        let answer = |dialect, query: &str| {
            let path = format!("/bkt/a%20b?uploadId=x{query}");
            let asked = request(dialect, "POST", &path, &[], "");
            Complete::render(&asked, written.clone()).unwrap()
        };
        let ReplyBody::Bytes(document) = answer(Dialect::S3, "").body else {
            panic!("a document is expected")
        };
        assert_eq!(
            document,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CompleteMultipartUploadResult \
             xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <Location>http://127.0.0.1:9000/bkt/a%20b</Location><Bucket>bkt</Bucket>\
             <Key>a b</Key><ETag>&quot;abababababababababababababababab-2&quot;</ETag>\
             <ChecksumCRC32>y/Q5Jg==-2</ChecksumCRC32><ChecksumType>COMPOSITE</ChecksumType>\
             </CompleteMultipartUploadResult>"
        );
        let reply = answer(Dialect::Oss, "&encoding-type=url");
        assert_eq!(reply.get("x-oss-hash-crc64ecma"), Some("11051210869376104954"));
        let ReplyBody::Bytes(document) = reply.body else { panic!("a document is expected") };
        assert!(document.ends_with(
            b"<CompleteMultipartUploadResult><EncodingType>url</EncodingType>\
              <Location>http://127.0.0.1:9000/bkt/a%20b</Location><Bucket>bkt</Bucket>\
              <Key>a%20b</Key><ETag>&quot;ABABABABABABABABABABABABABABABAB-2&quot;</ETag>\
              </CompleteMultipartUploadResult>"
        ));
    }
}
