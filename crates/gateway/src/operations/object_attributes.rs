//! `?attributes`: what is known of an object, as S3 tells it in one document.

use model::Condition;
use model::policy::Action;
use service::{
    Error,
    objects::read::{GetObjectAttributes, ObjectAttributes},
};

use super::{answers, arguments, checksums, conditions, storage_class, unserved};
use crate::{
    dialect::Dialect,
    wire::{self, Reply, Request, Result, Route, Target, WireOperation},
    xml::{self, Writer},
};

/// The header that lists what to tell.
const WANTED: &str = "x-amz-object-attributes";

/// `GET /{bucket}/{key}?attributes`
pub struct Get;

impl WireOperation for Get {
    const ROUTE: Route = Route::new("GET", Target::Object, "GetObjectAttributes")
        .needs(Action::GetObject)
        .needs(Action::GetObjectAttributes)
        .query(&["attributes"])
        .only(Dialect::S3)
        .tested_by(
            Some("tests/s3/test_objects.py::test_attributes_tell_size_etag_and_checksum"),
            None,
        );
    type Call = GetObjectAttributes;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        unserved::refuse(request)?;
        Wanted::of(request)?;
        let (after, limit) = paging(request)?;
        Ok(GetObjectAttributes {
            target: request.target()?,
            preconditions: conditions::of_read(&request.headers)?,
            parts_after: after,
            parts_limit: limit as usize,
        })
    }

    fn render(request: &Request, known: ObjectAttributes) -> Result<Reply> {
        let document = document(&Wanted::of(request)?, paging(request)?, &known)?;
        let mut reply = wire::xml(200, document);
        reply.add("last-modified", xml::http_date(known.version.modified_ms));
        let (version, versioning) = (&known.version, known.versioning);
        answers::add_read_version(&mut reply, Dialect::S3, version, versioning);
        Ok(reply)
    }
}

/// What a request wants to be told.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    etag: bool,
    checksum: bool,
    parts: bool,
    storage_class: bool,
    size: bool,
}

impl Wanted {
    fn of(request: &Request) -> Result<Self> {
        Self::parse(request.headers.get_all(WANTED).filter_map(|value| value.to_str().ok()))
    }

    fn parse<'v>(values: impl Iterator<Item = &'v str>) -> Result<Self> {
        let mut wanted = Self::default();
        for name in values.flat_map(|value| value.split(',')).map(str::trim) {
            match name {
                "ETag" => wanted.etag = true,
                "Checksum" => wanted.checksum = true,
                "ObjectParts" => wanted.parts = true,
                "StorageClass" => wanted.storage_class = true,
                "ObjectSize" => wanted.size = true,
                "" => {}
                _ => {
                    let detail = "Invalid attribute name specified.";
                    return Err(arguments::invalid(WANTED, name, detail));
                }
            }
        }
        if wanted == Self::default() {
            let detail = "The x-amz-object-attributes header specifying the attributes to be \
                          retrieved is either missing or empty";
            return Err(Error::new(Condition::InvalidRequest, detail));
        }
        Ok(wanted)
    }
}

/// The part to start after, and how many to list.
fn paging(request: &Request) -> Result<(u32, u32)> {
    let (marker, max) = ("x-amz-part-number-marker", "x-amz-max-parts");
    let after = arguments::number_marker(marker, request.header(marker)?)?;
    let default = arguments::page_default(Dialect::S3);
    Ok((after, arguments::page_limit(max, request.header(max)?, default)?))
}

fn document(
    wanted: &Wanted,
    (after, limit): (u32, u32),
    known: &ObjectAttributes,
) -> Result<bytes::Bytes> {
    let object = known.version.object.as_ref().ok_or(Condition::NoSuchKey)?;
    let mut xml = xml::document(Dialect::S3, "GetObjectAttributesResponse");
    if wanted.etag {
        xml.text("ETag", object.etag.to_string());
    }
    if let Some(checksum) = object.checksum.as_ref().filter(|_| wanted.checksum) {
        xml.open("Checksum");
        checksums::write(&mut xml, Some(checksum), object.etag.parts);
        xml.text("ChecksumType", checksums::kind_name(checksum.kind)).close();
    }
    if let Some(count) = known.parts_count.filter(|_| wanted.parts) {
        write_parts(&mut xml, count, (after, limit), known);
    }
    if wanted.storage_class {
        let class = object.attributes.storage_class.as_deref();
        xml.text("StorageClass", storage_class::name(Dialect::S3, class));
    }
    if wanted.size {
        xml.number("ObjectSize", object.size_bytes);
    }
    Ok(xml.finish())
}

fn write_parts(xml: &mut Writer, count: u32, (after, limit): (u32, u32), known: &ObjectAttributes) {
    xml.open("ObjectParts");
    xml.number("PartsCount", count).number("PartNumberMarker", after);
    xml.number("NextPartNumberMarker", known.parts.last().map_or(0, |part| part.number));
    xml.number("MaxParts", limit).flag("IsTruncated", known.parts_truncated);
    for part in &known.parts {
        xml.open("Part");
        checksums::write(xml, part.checksum.as_ref(), None);
        xml.number("PartNumber", part.number).number("Size", part.size_bytes).close();
    }
    xml.close();
}

#[cfg(test)]
mod tests {
    use model::records::{ContentPart, Versioning};

    use super::*;
    use crate::operations::answers::tests::version;

    #[test]
    fn only_what_is_asked_for_is_told() {
        let wanted = Wanted::parse(["ETag, ObjectSize", "Checksum"].into_iter()).unwrap();
        let known = ObjectAttributes {
            version: version(),
            versioning: Versioning::Unversioned,
            parts_count: None,
            parts: Vec::new(),
            parts_truncated: false,
        };
        assert_eq!(
            document(&wanted, (0, 1000), &known).unwrap(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<GetObjectAttributesResponse \
             xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <ETag>abababababababababababababababab</ETag><Checksum>\
             <ChecksumCRC32>y/Q5Jg==</ChecksumCRC32><ChecksumType>FULL_OBJECT</ChecksumType>\
             </Checksum><ObjectSize>9</ObjectSize></GetObjectAttributesResponse>"
        );
    }

    #[test]
    fn parts_come_in_pages() {
        let wanted = Wanted::parse(["ObjectParts"].into_iter()).unwrap();
        let part =
            ContentPart { number: 4, size_bytes: 5, blob: [0; 16], md5: [0; 16], checksum: None };
        let known = ObjectAttributes {
            version: version(),
            versioning: Versioning::Unversioned,
            parts_count: Some(6),
            parts: vec![part],
            parts_truncated: true,
        };
        let document = document(&wanted, (3, 1), &known).unwrap();
        let text = std::str::from_utf8(&document).unwrap();
        assert!(
            text.contains(
                "<ObjectParts><PartsCount>6</PartsCount><PartNumberMarker>3</PartNumberMarker>\
                 <NextPartNumberMarker>4</NextPartNumberMarker><MaxParts>1</MaxParts>\
                 <IsTruncated>true</IsTruncated><Part><PartNumber>4</PartNumber><Size>5</Size>\
                 </Part></ObjectParts>"
            ),
            "{text}"
        );
    }

    #[test]
    fn asking_for_nothing_or_the_unknown_is_refused() {
        let refused = |value| Wanted::parse([value].into_iter()).unwrap_err().condition;
        assert_eq!(refused(""), Condition::InvalidRequest);
        assert_eq!(refused("ETag,Colour"), Condition::InvalidArgument);
    }
}
