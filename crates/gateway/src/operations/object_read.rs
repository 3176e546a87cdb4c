//! Reading an object: `GET` and `HEAD`, whole, in part, or OSS's `?objectMeta`.

use model::{
    Condition,
    limits::PART_NUMBERS,
    policy::Action,
    preconditions::{ByteRange, Preconditions},
    records::ObjectData,
};
use service::{
    ContentReader, Error,
    objects::read::{GetObject, HeadObject, ObjectFacts, Reading},
};

use super::{answers, arguments, attributes, checksums, conditions, storage_class, unserved};
use crate::{
    dialect::Dialect,
    wire::{self, Reply, ReplyBody, Request, Result, Route, Target, WireOperation},
    xml,
};

/// Headers of the answer that a signed request may choose, each as `response-<name>`.
const OVERRIDABLE: [&str; 6] = [
    "content-type",
    "content-language",
    "expires",
    "cache-control",
    "content-disposition",
    "content-encoding",
];

/// `GET /{bucket}/{key}`
pub struct Get;

impl WireOperation for Get {
    const ROUTE: Route = Route::new("GET", Target::Object, "GetObject")
        .needs(Action::GetObject)
        .takes(&["partNumber"])
        .tested_by(
            Some("tests/s3/test_objects.py::test_what_was_put_is_what_is_read"),
            Some("tests/oss/test_objects.py::test_what_was_put_is_what_is_read"),
        );
    type Call = GetObject;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        reading(request).map(GetObject)
    }

    fn render(request: &Request, output: (ObjectFacts, ContentReader)) -> Result<Reply> {
        let (facts, reader) = output;
        let mut reply = describe(request, &facts)?;
        let size_bytes = facts.range.end - facts.range.start;
        reply.body = wire::object(reply.status, size_bytes, reader).body;
        Ok(reply)
    }
}

/// `HEAD /{bucket}/{key}`
pub struct Head;

impl WireOperation for Head {
    const ROUTE: Route = Route::new("HEAD", Target::Object, "HeadObject")
        .needs(Action::GetObject)
        .takes(&["partNumber"])
        .tested_by(
            Some("tests/s3/test_objects.py::test_head_answers_what_get_answers_without_the_body"),
            Some("tests/oss/test_objects.py::test_head_and_meta_tell_about_the_object"),
        );
    type Call = HeadObject;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        reading(request).map(HeadObject)
    }

    fn render(request: &Request, facts: ObjectFacts) -> Result<Reply> {
        let mut reply = describe(request, &facts)?;
        reply.body = ReplyBody::Absent { size_bytes: facts.range.end - facts.range.start };
        Ok(reply)
    }
}

/// `HEAD /{bucket}/{key}?objectMeta`
pub struct HeadMeta;

impl WireOperation for HeadMeta {
    const ROUTE: Route = Route::new("HEAD", Target::Object, "GetObjectMeta")
        .needs(Action::GetObject)
        .query(&["objectMeta"])
        .only(Dialect::Oss)
        .tested_by(
            None,
            Some("tests/oss/test_objects.py::test_head_and_meta_tell_about_the_object"),
        );
    type Call = HeadObject;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        plain_reading(request).map(HeadObject)
    }

    fn render(request: &Request, facts: ObjectFacts) -> Result<Reply> {
        let object = object(&facts)?;
        let mut reply = meta(request, &facts, object);
        reply.body = ReplyBody::Absent { size_bytes: object.size_bytes };
        Ok(reply)
    }
}

/// `GET /{bucket}/{key}?objectMeta`: the older form, whose answer cannot carry the length.
pub struct GetMeta;

impl WireOperation for GetMeta {
    const ROUTE: Route = Route::new("GET", Target::Object, "GetObjectMeta")
        .needs(Action::GetObject)
        .query(&["objectMeta"])
        .only(Dialect::Oss)
        .tested_by(None, Some("tests/oss/test_objects.py::test_meta_may_be_asked_for_by_get"));
    type Call = HeadObject;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        plain_reading(request).map(HeadObject)
    }

    fn render(request: &Request, facts: ObjectFacts) -> Result<Reply> {
        Ok(meta(request, &facts, object(&facts)?))
    }
}

fn plain_reading(request: &Request) -> Result<Reading> {
    Ok(Reading {
        target: request.target()?,
        preconditions: Preconditions::default(),
        range: None,
        lenient_range: false,
        part: None,
    })
}

fn reading(request: &Request) -> Result<Reading> {
    unserved::refuse(request)?;
    if !request.signed() && overrides(request).next().is_some() {
        let detail = "Request specific response headers cannot be used for anonymous GET requests.";
        return Err(Error::new(Condition::InvalidRequest, detail));
    }
    let range = request.header("range")?;
    let part = request.parameter("partNumber").filter(|_| request.dialect == Dialect::S3);
    if range.is_some() && part.is_some() {
        let detail = "Cannot specify both Range header and partNumber query parameter";
        return Err(Error::new(Condition::InvalidRequest, detail));
    }
    let strict = request.own_header("range-behavior")?;
    Ok(Reading {
        target: request.target()?,
        preconditions: conditions::of_read(&request.headers)?,
        // Bytes of another version must not be appended to what a client has: the whole is right.
        range: range
            .filter(|_| !request.headers.contains_key("if-range"))
            .and_then(ByteRange::parse),
        lenient_range: match request.dialect {
            Dialect::S3 => false,
            Dialect::Oss => !strict.is_some_and(|value| value.eq_ignore_ascii_case("standard")),
        },
        part: part.map(part_number).transpose()?,
    })
}

/// Reads a `partNumber` parameter.
///
/// # Errors
/// `InvalidArgument` outside 1 to 10000.
pub fn part_number(value: &str) -> Result<u32> {
    let number = value.parse().ok().filter(|number| PART_NUMBERS.contains(number));
    number.ok_or_else(|| {
        let (first, last) = (PART_NUMBERS.start(), PART_NUMBERS.end());
        let detail =
            format!("Part number must be an integer between {first} and {last}, inclusive");
        arguments::invalid("partNumber", value, detail)
    })
}

/// Headers of the answer the request chooses: name and value.
fn overrides(request: &Request) -> impl Iterator<Item = (&'static str, &str)> {
    OVERRIDABLE.into_iter().filter_map(|name| {
        let value = request.parameter(&format!("response-{name}"))?;
        (!value.is_empty()).then_some((name, value))
    })
}

fn object(facts: &ObjectFacts) -> Result<&ObjectData> {
    facts.version.object.as_ref().ok_or_else(|| Condition::NoSuchKey.into())
}

/// Everything but the bytes.
fn describe(request: &Request, facts: &ObjectFacts) -> Result<Reply> {
    let (dialect, object) = (request.dialect, object(facts)?);
    let mut reply = Reply::new(if facts.partial { 206 } else { 200 });
    reply.add("etag", answers::etag(dialect, &object.etag));
    reply.add("last-modified", xml::http_date(facts.version.modified_ms));
    reply.add("accept-ranges", "bytes");
    if let (true, Some(last)) = (facts.partial, facts.range.end.checked_sub(1)) {
        let (first, size) = (facts.range.start, object.size_bytes);
        reply.add("content-range", format!("bytes {first}-{last}/{size}"));
    }
    reply.headers.extend(attributes::to_headers(dialect, &object.attributes));
    for (name, value) in overrides(request) {
        reply.headers.retain(|(kept, _)| kept.as_str() != name);
        reply.add(name, value);
    }
    answers::add_read_version(&mut reply, dialect, &facts.version, facts.versioning);
    if facts.tags_count > 0 {
        reply.add_own(dialect, "tagging-count", facts.tags_count.to_string());
    }
    match dialect {
        Dialect::S3 => add_s3(&mut reply, request, facts, object)?,
        Dialect::Oss => add_oss(&mut reply, facts, object),
    }
    Ok(reply)
}

fn add_s3(
    reply: &mut Reply,
    request: &Request,
    facts: &ObjectFacts,
    object: &ObjectData,
) -> Result<()> {
    let class = storage_class::name(Dialect::S3, object.attributes.storage_class.as_deref());
    if class != storage_class::standard(Dialect::S3) {
        reply.add("x-amz-storage-class", class);
    }
    if let Some(count) = facts.parts_count {
        reply.add("x-amz-mp-parts-count", count.to_string());
    }
    if !checksums::wanted(&request.headers)? {
        return Ok(());
    }
    match &facts.part {
        Some(part) => {
            if let Some(checksum) = &part.checksum {
                let (name, value) = checksums::header(checksum, None);
                reply.add(&name, value);
                if let Some(of_object) = &object.checksum {
                    reply.add("x-amz-checksum-type", checksums::kind_name(of_object.kind));
                }
            }
        }
        None => answers::add_digests(reply, Dialect::S3, object, is_whole(facts, object)),
    }
    Ok(())
}

fn add_oss(reply: &mut Reply, facts: &ObjectFacts, object: &ObjectData) {
    let class = storage_class::name(Dialect::Oss, object.attributes.storage_class.as_deref());
    reply.add("x-oss-storage-class", class);
    reply.add("x-oss-object-type", object_type(object));
    answers::add_digests(reply, Dialect::Oss, object, is_whole(facts, object));
}

/// How OSS calls an object by the way it was written.
pub const fn object_type(object: &ObjectData) -> &'static str {
    match object.etag.parts {
        None => "Normal",
        Some(_) => "Multipart",
    }
}

fn is_whole(facts: &ObjectFacts, object: &ObjectData) -> bool {
    facts.range == (0..object.size_bytes)
}

fn meta(request: &Request, facts: &ObjectFacts, object: &ObjectData) -> Reply {
    let mut reply = Reply::new(200);
    reply.add("etag", answers::etag(request.dialect, &object.etag));
    reply.add("last-modified", xml::http_date(facts.version.modified_ms));
    answers::add_crc64(&mut reply, object.crc64);
    answers::add_read_version(&mut reply, request.dialect, &facts.version, facts.versioning);
    reply
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use model::{
        checksums::Algorithm,
        records::{Checksum, ChecksumKind, ContentPart, Etag, Versioning},
    };

    use super::*;
    use crate::{operations::answers::tests::version, wire::testing::request};

    fn facts(range: Range<u64>, partial: bool) -> ObjectFacts {
        ObjectFacts {
            version: version(),
            versioning: Versioning::Enabled,
            range,
            partial,
            parts_count: None,
            part: None,
            tags_count: 0,
        }
    }

    fn get(dialect: Dialect, query: &str, headers: &[(&str, &str)]) -> Request {
        request(dialect, "GET", &format!("/bkt/key{query}"), headers, "")
    }

    fn told(reply: &Reply) -> Vec<(&str, &str)> {
        let headers = reply.headers.iter();
        headers.map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
    }

    #[test]
    fn s3_tells_checksums_only_when_asked() {
        let reply = describe(&get(Dialect::S3, "", &[]), &facts(0..9, false)).unwrap();
        assert_eq!(reply.status, 200);
        assert_eq!(
            told(&reply),
            [
                ("etag", "\"abababababababababababababababab\""),
                ("last-modified", "Fri, 24 Feb 2012 08:43:07 GMT"),
                ("accept-ranges", "bytes"),
                ("content-type", "binary/octet-stream"),
                ("x-amz-version-id", "00000000000000010000000000000002"),
            ]
        );
        let asked = get(Dialect::S3, "", &[("x-amz-checksum-mode", "ENABLED")]);
        let reply = describe(&asked, &facts(0..9, false)).unwrap();
        assert_eq!(reply.get("x-amz-checksum-crc32"), Some("y/Q5Jg=="));
        assert_eq!(reply.get("x-amz-checksum-type"), Some("FULL_OBJECT"));
        let reply = describe(&asked, &facts(0..4, true)).unwrap();
        assert_eq!(reply.get("x-amz-checksum-crc32"), None);
    }

    #[test]
    fn oss_tells_type_class_and_crc_always() {
        let reply = describe(&get(Dialect::Oss, "", &[]), &facts(2..9, true)).unwrap();
        assert_eq!(reply.status, 206);
        assert_eq!(
            told(&reply),
            [
                ("etag", "\"ABABABABABABABABABABABABABABABAB\""),
                ("last-modified", "Fri, 24 Feb 2012 08:43:07 GMT"),
                ("accept-ranges", "bytes"),
                ("content-range", "bytes 2-8/9"),
                ("content-type", "application/octet-stream"),
                ("x-oss-version-id", "00000000000000010000000000000002"),
                ("x-oss-storage-class", "Standard"),
                ("x-oss-object-type", "Normal"),
                ("x-oss-hash-crc64ecma", "11051210869376104954"),
            ]
        );
        let reply = describe(&get(Dialect::Oss, "", &[]), &facts(0..9, false)).unwrap();
        assert_eq!(reply.get("content-md5"), Some("q6urq6urq6urq6urq6urqw=="));
    }

    #[test]
    fn a_part_is_told_with_its_own_checksum() {
        let checksum = Checksum {
            algorithm: Algorithm::Crc32,
            value: vec![0; 4],
            kind: ChecksumKind::FullObject,
        };
        let mut facts = facts(5..9, true);
        facts.parts_count = Some(2);
        facts.part = Some(ContentPart {
            number: 2,
            size_bytes: 4,
            blob: [0; 16],
            md5: [0; 16],
            checksum: Some(checksum),
        });
        let object = facts.version.object.as_mut().unwrap();
        object.etag = Etag { parts: Some(2), ..object.etag };
        object.checksum.as_mut().unwrap().kind = ChecksumKind::Composite;
        object.attributes.storage_class = Some("GLACIER".into());
        let asked = get(Dialect::S3, "?partNumber=2", &[("x-amz-checksum-mode", "enabled")]);
        let reply = describe(&asked, &facts).unwrap();
        assert_eq!(reply.get("content-range"), Some("bytes 5-8/9"));
        assert_eq!(reply.get("x-amz-mp-parts-count"), Some("2"));
        assert_eq!(reply.get("x-amz-checksum-crc32"), Some("AAAAAA=="));
        assert_eq!(reply.get("x-amz-checksum-type"), Some("COMPOSITE"));
        assert_eq!(reply.get("x-amz-storage-class"), Some("GLACIER"));
    }

    #[test]
    fn a_signed_request_chooses_headers_of_its_answer() {
        let query = "?response-content-type=text/plain&response-expires=&response-cache-control=a";
        let asked = get(Dialect::S3, query, &[]);
        let reply = describe(&asked, &facts(0..9, false)).unwrap();
        assert_eq!(reply.get("content-type"), Some("text/plain"));
        assert_eq!(reply.get("cache-control"), Some("a"));
        assert_eq!(reply.get("expires"), None);
        let types = reply.headers.iter().filter(|(name, _)| name == "content-type").count();
        assert_eq!(types, 1);
        let error = reading(&asked).err().unwrap();
        assert_eq!(error.condition, Condition::InvalidRequest);
    }

    #[test]
    fn oss_ranges_are_lenient_unless_asked_otherwise() {
        let range = ("range", "bytes=5-2000");
        let lenient = |dialect, headers: &[_]| {
            let reading = reading(&get(dialect, "", headers)).unwrap();
            assert_eq!(reading.range, Some(ByteRange::FromTo(5, 2000)));
            reading.lenient_range
        };
        assert!(lenient(Dialect::Oss, &[range]));
        assert!(!lenient(Dialect::Oss, &[range, ("x-oss-range-behavior", "standard")]));
        assert!(!lenient(Dialect::S3, &[range]));
    }

    #[test]
    fn a_range_of_another_version_or_of_many_is_not_served() {
        let range = |headers: &[_]| reading(&get(Dialect::S3, "", headers)).unwrap().range;
        assert_eq!(range(&[("range", "bytes=5-"), ("if-range", "\"x\"")]), None);
        assert_eq!(range(&[("range", "bytes=0-1,3-4")]), None);
        let both = get(Dialect::S3, "?partNumber=1", &[("range", "bytes=0-1")]);
        assert_eq!(reading(&both).err().unwrap().condition, Condition::InvalidRequest);
        let zero = get(Dialect::S3, "?partNumber=0", &[]);
        assert_eq!(reading(&zero).err().unwrap().condition, Condition::InvalidArgument);
    }

    #[test]
    fn the_short_form_of_oss_tells_no_metadata() {
        let asked = get(Dialect::Oss, "?objectMeta", &[]);
        let reply = HeadMeta::render(&asked, facts(0..9, false)).unwrap();
        let names: Vec<_> = told(&reply).into_iter().map(|(name, _)| name).collect();
        let expected = ["etag", "last-modified", "x-oss-hash-crc64ecma", "x-oss-version-id"];
        assert_eq!(names, expected);
        assert!(matches!(reply.body, ReplyBody::Absent { size_bytes: 9 }));
    }
}
