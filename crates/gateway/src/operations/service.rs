//! What is asked of the service as a whole: its buckets, and the regions of OSS.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use model::{limits::BUCKETS_PER_ACCOUNT_MAX, policy::Action};
use service::{
    buckets::{BucketPage, DescribeRegions, ListBuckets},
    tags::WantedTag,
};

use super::{
    arguments::{invalid, page_limit},
    bucket::{describe, oss_region, region_of, write_owner},
};
use crate::{
    dialect::Dialect,
    wire::{self, Reply, Request, Result, Route, Target, WireOperation},
    xml::{self, Writer},
};

/// Entries of a page when an OSS client names no number. Source: OSS ListBuckets.
const OSS_ENTRIES: u32 = 100;

/// `GET /`
pub struct List;

impl WireOperation for List {
    const ROUTE: Route = Route::new("GET", Target::Service, "ListBuckets")
        .needs(Action::ListAllMyBuckets)
        .named("ListBuckets (GetService)")
        .tested_by(
            Some("tests/s3/test_buckets.py::test_list_buckets_comes_in_pages_and_by_prefix"),
            Some("tests/oss/test_buckets.py::test_buckets_are_listed_by_prefix_in_pages"),
        );
    type Call = ListBuckets;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let prefix = request.parameter("prefix").unwrap_or_default().to_owned();
        let (after, limit) = match request.dialect {
            Dialect::S3 => (token(request)?, s3_limit(request)?),
            Dialect::Oss => {
                let marker = request.parameter("marker").unwrap_or_default();
                let limit = page_limit("max-keys", request.parameter("max-keys"), OSS_ENTRIES)?;
                (marker.to_owned(), limit as usize)
            }
        };
        Ok(ListBuckets { prefix, after, limit, tag: wanted_tag(request) })
    }

    fn render(request: &Request, page: BucketPage) -> Result<Reply> {
        let mut xml = xml::document(request.dialect, "ListAllMyBucketsResult");
        match request.dialect {
            Dialect::S3 => write_s3(&mut xml, request, &page),
            Dialect::Oss => write_oss(&mut xml, request, &page),
        }
        Ok(wire::xml(200, xml.finish()))
    }
}

/// The tag that OSS lists by, if any.
fn wanted_tag(request: &Request) -> Option<WantedTag> {
    let text = |name: &str| request.parameter(name).map(str::to_owned);
    let wanted = WantedTag { key: text("tag-key"), value: text("tag-value") };
    let given = wanted.key.is_some() || wanted.value.is_some();
    (given && request.dialect == Dialect::Oss).then_some(wanted)
}

fn write_s3(xml: &mut Writer, request: &Request, page: &BucketPage) {
    write_owner(xml, Dialect::S3, &page.owner);
    xml.open("Buckets");
    let wanted = request.parameter("bucket-region").filter(|region| !region.is_empty());
    for bucket in &page.buckets {
        let region = region_of(request, bucket);
        if wanted.is_some_and(|wanted| wanted != region) {
            continue;
        }
        xml.open("Bucket").text("Name", bucket.name.as_str());
        xml.text("CreationDate", xml::date(bucket.created_ms));
        xml.text("BucketRegion", region).close();
    }
    xml.close();
    xml.optional("ContinuationToken", page.next.as_ref().map(|name| BASE64.encode(name)));
    xml.optional("Prefix", request.parameter("prefix").filter(|prefix| !prefix.is_empty()));
}

fn write_oss(xml: &mut Writer, request: &Request, page: &BucketPage) {
    let asked = ["prefix", "marker", "max-keys"].iter().any(|name| request.query.has(name));
    if asked || page.next.is_some() {
        xml.text("Prefix", request.parameter("prefix").unwrap_or_default());
        xml.text("Marker", request.parameter("marker").unwrap_or_default());
        let limit = page_limit("max-keys", request.parameter("max-keys"), OSS_ENTRIES);
        xml.number("MaxKeys", limit.unwrap_or(OSS_ENTRIES));
        xml.flag("IsTruncated", page.next.is_some());
        xml.text("NextMarker", page.next.as_deref().unwrap_or_default());
    }
    write_owner(xml, Dialect::Oss, &page.owner);
    xml.open("Buckets");
    for bucket in &page.buckets {
        xml.open("Bucket");
        describe(xml, request, bucket);
        xml.close();
    }
    xml.close();
}

/// The name a continuation token stands for.
fn token(request: &Request) -> Result<String> {
    let Some(token) = request.parameter("continuation-token") else { return Ok(String::new()) };
    let name = BASE64.decode(token).ok().and_then(|name| String::from_utf8(name).ok());
    name.ok_or_else(|| {
        invalid("continuation-token", token, "The continuation token provided is incorrect")
    })
}

fn s3_limit(request: &Request) -> Result<usize> {
    let Some(text) = request.parameter("max-buckets") else { return Ok(BUCKETS_PER_ACCOUNT_MAX) };
    match text.parse() {
        Ok(limit) if (1..=BUCKETS_PER_ACCOUNT_MAX).contains(&limit) => Ok(limit),
        _ => {
            let detail = "Argument max-buckets must be an integer between 1 and 10000.";
            Err(invalid("max-buckets", text, detail))
        }
    }
}

/// `GET /?regions`
pub struct GetRegions;

impl WireOperation for GetRegions {
    const ROUTE: Route = Route::new("GET", Target::Service, "DescribeRegions")
        .needs(Action::DescribeRegions)
        .query(&["regions"])
        .only(Dialect::Oss)
        .tested_by(
            None,
            Some("tests/oss/test_buckets.py::test_regions_name_this_one_with_an_endpoint"),
        );
    type Call = DescribeRegions;

    async fn parse(_: &mut Request) -> Result<Self::Call> {
        Ok(DescribeRegions)
    }

    fn render(request: &Request, regions: Vec<String>) -> Result<Reply> {
        let wanted = request.parameter("regions").filter(|region| !region.is_empty());
        let mut xml = xml::document(Dialect::Oss, "RegionInfoList");
        for region in regions.iter().map(|region| oss_region(region)) {
            if wanted.is_some_and(|wanted| wanted != region) {
                continue;
            }
            xml.open("RegionInfo").text("Region", region);
            xml.text("InternetEndpoint", request.endpoint());
            xml.text("InternalEndpoint", request.endpoint());
            xml.text("AccelerateEndpoint", request.endpoint()).close();
        }
        Ok(wire::xml(200, xml.finish()))
    }
}
