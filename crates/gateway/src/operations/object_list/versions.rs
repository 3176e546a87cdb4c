//! `GET /{bucket}?versions`: versions and delete markers.

use bytes::Bytes;
use model::policy::Action;
use service::objects::list::{self, ListedVersion, VersionPage};

use super::{Asked, write_object};
use crate::{
    dialect::Dialect,
    operations::answers,
    wire::{self, Query, Reply, Request, Result, Route, Target, WireOperation},
    xml::{self, Writer},
};

/// `GET /{bucket}?versions`
pub struct ListVersions;

impl WireOperation for ListVersions {
    const ROUTE: Route = Route::new("GET", Target::Bucket, "ListObjectVersions")
        .needs(Action::ListBucketVersions)
        .query(&["versions"])
        .tested_by(
            Some("tests/s3/test_versions.py::test_a_version_list_in_pages_gives_all_in_order"),
            Some("tests/oss/test_listing.py::test_version_lists_come_in_pages"),
        );
    type Call = list::ListVersions;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let asked = Asked::of(request.dialect, &request.query)?;
        let marker = |name| request.parameter(name).filter(|marker| !marker.is_empty());
        Ok(list::ListVersions {
            bucket: request.bucket()?,
            question: asked.question(marker("key-marker").unwrap_or_default()),
            version_after: marker("version-id-marker").map(str::to_owned),
        })
    }

    fn render(request: &Request, page: VersionPage) -> Result<Reply> {
        let document = document(request.dialect, &request.query, &page)?;
        Ok(wire::xml(200, document))
    }
}

pub(super) fn document(dialect: Dialect, query: &Query, page: &VersionPage) -> Result<Bytes> {
    let asked = Asked::of(dialect, query)?;
    let mut xml = xml::document(dialect, "ListVersionsResult");
    xml.text("Name", page.bucket.name.as_str());
    asked.write(&mut xml, "Prefix", &asked.prefix);
    asked.write(&mut xml, "KeyMarker", query.get("key-marker").unwrap_or_default());
    xml.text("VersionIdMarker", query.get("version-id-marker").unwrap_or_default());
    if let Some((key, version)) = &page.next {
        asked.write(&mut xml, "NextKeyMarker", key);
        // Behind a common prefix there is no version to go on after.
        match (version, dialect) {
            (Some(version), _) => xml.text("NextVersionIdMarker", version),
            (None, Dialect::Oss) => xml.text("NextVersionIdMarker", ""),
            (None, Dialect::S3) => &mut xml,
        };
    }
    asked.write_shape(&mut xml, dialect, page.next.is_some());
    for entry in &page.entries {
        write_entry(&mut xml, dialect, &asked, page, entry);
    }
    asked.write_prefixes(&mut xml, &page.prefixes);
    Ok(xml.finish())
}

fn write_entry(
    xml: &mut Writer,
    dialect: Dialect,
    asked: &Asked,
    page: &VersionPage,
    entry: &ListedVersion,
) {
    let version = &entry.version;
    xml.open(if version.object.is_some() { "Version" } else { "DeleteMarker" });
    asked.write(xml, "Key", entry.key.as_str());
    xml.text("VersionId", version.client_id()).flag("IsLatest", entry.latest);
    xml.text("LastModified", answers::date(version.modified_ms));
    if let Some(object) = &version.object {
        write_object(xml, dialect, object);
    }
    answers::write_owner_of(xml, dialect, &version.owner, (&page.owners, &page.owner));
    xml.close();
}
