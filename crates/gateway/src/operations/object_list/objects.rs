//! `GET /{bucket}` and `GET /{bucket}?list-type=2`: current objects.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use bytes::Bytes;
use model::policy::Action;
use service::objects::list::{ListObjects, ObjectPage};

use super::{Asked, write_object};
use crate::{
    dialect::Dialect,
    operations::{answers, arguments},
    wire::{self, Query, Reply, Request, Result, Route, Target, WireOperation},
    xml::{self, Writer},
};

/// `GET /{bucket}`
pub struct List;

impl WireOperation for List {
    const ROUTE: Route = Route::new("GET", Target::Bucket, "ListObjects")
        .needs(Action::ListBucket)
        .takes(&["list-type"])
        .tested_by(
            Some("tests/s3/test_listing.py::test_version_1_in_pages_gives_everything_once"),
            Some("tests/oss/test_listing.py::test_version_1_in_pages_gives_everything_once"),
        );
    type Call = ListObjects;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let asked = Asked::of(request.dialect, &request.query)?;
        let question = asked.question(request.parameter("marker").unwrap_or_default());
        Ok(ListObjects { bucket: request.bucket()?, question })
    }

    fn render(request: &Request, page: ObjectPage) -> Result<Reply> {
        let document = first_form(request.dialect, &request.query, &page)?;
        Ok(wire::xml(200, document))
    }
}

/// `GET /{bucket}?list-type=2`
pub struct ListV2;

impl WireOperation for ListV2 {
    const ROUTE: Route = Route::new("GET", Target::Bucket, "ListObjectsV2")
        .needs(Action::ListBucket)
        .query(&["list-type=2"])
        .tested_by(
            Some("tests/s3/test_listing.py::test_version_2_in_pages_gives_everything_once"),
            Some("tests/oss/test_listing.py::test_version_2_in_pages_gives_everything_once"),
        );
    type Call = ListObjects;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let asked = Asked::of(request.dialect, &request.query)?;
        let question = asked.question(&second_form_after(&request.query)?);
        Ok(ListObjects { bucket: request.bucket()?, question })
    }

    fn render(request: &Request, page: ObjectPage) -> Result<Reply> {
        let document = second_form(request.dialect, &request.query, &page)?;
        Ok(wire::xml(200, document))
    }
}

pub(super) fn first_form(dialect: Dialect, query: &Query, page: &ObjectPage) -> Result<Bytes> {
    let asked = Asked::of(dialect, query)?;
    let mut xml = xml::document(dialect, "ListBucketResult");
    xml.text("Name", page.bucket.name.as_str());
    match dialect {
        // botocore asks for the encoding unasked and then decodes all but this element, so every
        // boto3 user of a prefix like `a b/` would get another one back.
        Dialect::S3 => {
            xml.text("Prefix", &asked.prefix);
        }
        Dialect::Oss => asked.write(&mut xml, "Prefix", &asked.prefix),
    }
    asked.write(&mut xml, "Marker", query.get("marker").unwrap_or_default());
    // S3 clients take the last key for the next marker unless there may be prefixes behind it.
    let named = dialect == Dialect::Oss || !asked.delimiter.is_empty();
    if let Some(next) = page.next.as_ref().filter(|_| named) {
        asked.write(&mut xml, "NextMarker", next);
    }
    asked.write_shape(&mut xml, dialect, page.next.is_some());
    write_entries(&mut xml, dialect, &asked, page, true);
    Ok(xml.finish())
}

pub(super) fn second_form(dialect: Dialect, query: &Query, page: &ObjectPage) -> Result<Bytes> {
    let asked = Asked::of(dialect, query)?;
    let mut xml = xml::document(dialect, "ListBucketResult");
    xml.text("Name", page.bucket.name.as_str());
    asked.write(&mut xml, "Prefix", &asked.prefix);
    if let Some(after) = query.get("start-after") {
        asked.write(&mut xml, "StartAfter", after);
    }
    xml.optional("ContinuationToken", query.get("continuation-token"));
    xml.optional("NextContinuationToken", page.next.as_ref().map(|next| BASE64.encode(next)));
    xml.number("KeyCount", page.entries.len() + page.prefixes.len());
    asked.write_shape(&mut xml, dialect, page.next.is_some());
    let owners = query.get("fetch-owner").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    write_entries(&mut xml, dialect, &asked, page, owners);
    Ok(xml.finish())
}

/// Where the second form starts after: a token outweighs `start-after`.
pub(super) fn second_form_after(query: &Query) -> Result<String> {
    let Some(token) = query.get("continuation-token").filter(|token| !token.is_empty()) else {
        return Ok(query.get("start-after").unwrap_or_default().to_owned());
    };
    let decoded = BASE64.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.ok_or_else(|| {
        let detail = "The continuation token provided is incorrect";
        arguments::invalid("continuation-token", token, detail)
    })
}

fn write_entries(
    xml: &mut Writer,
    dialect: Dialect,
    asked: &Asked,
    page: &ObjectPage,
    owners: bool,
) {
    for (key, version) in &page.entries {
        let Some(object) = &version.object else { continue };
        xml.open("Contents");
        asked.write(xml, "Key", key.as_str());
        xml.text("LastModified", answers::date(version.modified_ms));
        write_object(xml, dialect, object);
        if owners {
            answers::write_owner_of(xml, dialect, &version.owner, (&page.owners, &page.owner));
        }
        xml.close();
    }
    asked.write_prefixes(xml, &page.prefixes);
}
